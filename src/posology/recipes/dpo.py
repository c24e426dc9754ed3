"""Direct preference optimisation from the fine-tuned model, which is also the frozen reference."""

from __future__ import annotations

from posology.config import RunConfig, UserError
from posology.models.device import pick_device
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.dpo import DpoObjective
from posology.recipes.materials import (
    adapter_settings,
    curriculum_of,
    encode_pairs,
    fixed_answers,
    language_model_saver,
    open_parent,
    stage_fingerprint,
)
from posology.runs import Run, Stage
from posology.seeds import seed_of
from posology.text.tokenizer import load_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import fit
from posology.training.progress import Progress

WATCHED = 128  # held-out pairs of each split in the held-out figures


def dpo(config: RunConfig, run: Run, progress: Progress | None = None) -> Stage:
    settings = config.dpo
    if settings is None:
        raise UserError("the config has no section dpo", "add it, or start from configs/laptop.yaml")
    stage = run.stage("dpo")
    parent = open_parent(run, settings.parent or "sft")
    made_of = stage_fingerprint(stage, config, settings, [parent])
    if stage.is_finished(made_of):
        return stage
    tokenizer = load_tokenizer(parent.path)
    preferences = curriculum_of(config, run).preferences
    lora, device = adapter_settings(settings.lora), pick_device(config.device)
    engine = open_engine(config.engine, config.device)
    home = engine.loads_on(device)
    policy = load_language_model(
        parent.path, lora, tokenizer=tokenizer.fingerprint, seed=seed_of(config.seed, "adapter"), device=home
    )
    reference = None if lora else load_language_model(parent.path, tokenizer=tokenizer.fingerprint, device=home)
    positions = policy.config.max_position_embeddings
    train, dropped = encode_pairs(tokenizer, (p for p in preferences if p.split == "train"), positions)
    heldout = {
        name: encode_pairs(tokenizer, (p for p in preferences if p.split == name), positions)[0][:WATCHED]
        for name in ("heldout_wordings", "heldout_facts")
    }
    objective = DpoObjective(
        "dpo", policy, reference, train, heldout, pairs=settings.pairs, beta=settings.beta, variant=settings.variant,
        label_smoothing=settings.label_smoothing, anchor=settings.anchor, seed=config.seed, pad=tokenizer.pad,
        precision=pick_precision(settings.fit.precision, device.type), micro_batches=settings.fit.micro_batches,
        engine=engine,
    )  # fmt: skip
    stage.note(parents={parent.name: parent.digest}, pairs=len(train), dropped_pairs=dropped)
    fit(
        objective, settings.fit, stage, seed=config.seed, fingerprint=made_of, progress=progress,
        save_final=language_model_saver(tokenizer), answers=fixed_answers(policy, tokenizer), engine=engine,
    )  # fmt: skip
    return stage
