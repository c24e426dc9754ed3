"""Train an ensemble of Bradley-Terry reward models on preferences, split by fact, and measure it on held-out pairs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from posology.config import RewardConfig, RunConfig
from posology.curriculum.build import Curriculum
from posology.files import atomic_write_json, publish, read_json
from posology.models.device import device_of, pick_device
from posology.models.heads import ScalarModel, from_language_model, load_scalar_model, save_scalar_model
from posology.models.loading import load_language_model
from posology.models.precision import Precision, pick_precision
from posology.objectives.pairs import Pair, sequence_batch
from posology.objectives.reward import Ensemble, RewardObjective
from posology.recipes.materials import (
    Parent,
    adapter_settings,
    curriculum_of,
    encode_pairs,
    library_of,
    naive_arm,
    open_parent,
    sample_answers,
    stage_fingerprint,
)
from posology.recipes.reward_figures import figures
from posology.runs import Run, Stage
from posology.seeds import seed_of, stream
from posology.text.chat import Encoded
from posology.text.tokenizer import Tokenizer, load_tokenizer, save_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import Saver, fit
from posology.training.progress import Progress

WATCHED = 200  # held-out pairs of each split scored while training; all of them are scored at the end
REFERENCE_ANSWERS = 256  # the parent's own answers, on which each member is normalised


def reward(config: RunConfig, run: Run, progress: Progress | None = None, *, naive: bool = False) -> Stage:
    """Train and measure the ensemble; with `naive` the one of the config's second arm, as stage reward-naive."""
    settings = naive_arm(config).reward if naive else config.reward
    stage = run.stage("reward-naive" if naive else "reward")
    parent = open_parent(run, settings.parent or "sft")
    made_of = stage_fingerprint(stage, config, settings, [parent])
    if stage.is_finished(made_of):
        return stage
    tokenizer = load_tokenizer(parent.path)
    curriculum = curriculum_of(config, run)
    device, engine = pick_device(config.device), open_engine(config.engine, config.device)
    base = load_language_model(parent.path, tokenizer=tokenizer.fingerprint, device=device)
    precision = pick_precision(settings.fit.precision, device.type)
    pairs = pairs_by_split(tokenizer, curriculum, base.config.max_position_embeddings)
    if 0 < settings.limit < len(pairs["train"]):
        pairs["train"] = stream(config.seed, "fewer pairs").sample(pairs["train"], settings.limit)
    heldout = {name: pairs[name][:WATCHED] for name in ("heldout_wordings", "heldout_facts")}
    for number in range(settings.members):
        member = stage.member(number)
        if member.is_finished(made_of):
            continue
        seed = seed_of(config.seed, "reward", number)
        model = from_language_model(base, adapter_settings(settings.lora), seed=seed, likelihood=settings.likelihood)
        objective = RewardObjective(
            member.name, model, pairs["train"], heldout, pairs=settings.pairs, seed=seed, pad=tokenizer.pad,
            precision=precision, centering_weight=settings.centering, bootstrap=settings.bootstrap,
            micro_batches=settings.fit.micro_batches,
        )  # fmt: skip
        fit(
            objective, settings.fit, member, seed=seed, fingerprint=made_of, progress=progress,
            save_final=scalar_saver(tokenizer), engine=engine,
        )  # fmt: skip
    engine.alone(lambda: _finish(config, settings, stage, base, curriculum, tokenizer, made_of, parent, pairs))
    return stage


def _finish(
    config: RunConfig, settings: RewardConfig, stage: Stage, base: object, curriculum: Curriculum, tokenizer: Tokenizer,
    made_of: str, parent: Parent, pairs: Mapping[str, list[Pair]],
) -> None:  # fmt: skip
    """Put the members together and measure the ensemble."""
    precision = pick_precision(settings.fit.precision, device_of(base).type)
    references = _reference_answers(config, base, tokenizer, curriculum)
    with publish(stage.final) as folder:
        _assemble(settings, stage, folder, references, tokenizer, precision)
        ensemble = load_ensemble(folder, tokenizer, precision)
        measured = figures(ensemble, tokenizer, curriculum, library_of(config), config.seed, settings.probes)
        atomic_write_json(folder / "heldout.json", measured)
    stage.note(parents={parent.name: parent.digest})
    stage.mark_finished(made_of, pairs={name: len(rows) for name, rows in pairs.items()})


def scalar_saver(tokenizer: Tokenizer) -> Saver:
    def save(folder: Path, modules: Mapping[str, nn.Module]) -> None:
        model = modules["model"]
        assert isinstance(model, ScalarModel)
        save_scalar_model(model, folder, tokenizer=tokenizer.fingerprint)

    return save


def pairs_by_split(tokenizer: Tokenizer, curriculum: Curriculum, positions: int) -> dict[str, list[Pair]]:
    splits = ("train", "dev", "heldout_wordings", "heldout_facts")
    return {
        name: encode_pairs(tokenizer, (p for p in curriculum.preferences if p.split == name), positions)[0]
        for name in splits
    }


def _reference_answers(config: RunConfig, base: object, tokenizer: Tokenizer, curriculum: Curriculum) -> list[Encoded]:
    """The parent's own sampled answers to training questions: the scale on which members are compared."""
    prompts = sorted({d.prompt for d in curriculum.dialogues if d.split == "train"})
    picked = stream(config.seed, "reference prompts").sample(prompts, min(REFERENCE_ANSWERS, len(prompts)))
    return sample_answers(base, tokenizer, picked, config.ppo.max_new_tokens, seed_of(config.seed, "reference answers"))


def _assemble(
    settings: RewardConfig, stage: Stage, folder: Path, references: list[Encoded], tokenizer: Tokenizer, precision: Precision
) -> None:  # fmt: skip
    """Copy the members into one folder and note each one's mean and spread on the reference answers."""
    members = tuple(load_scalar_model(stage.member(k).final, device=precision.device) for k in range(settings.members))
    unit = Ensemble(members, (0.0,) * len(members), (1.0,) * len(members), "mean", 0.0, precision)
    rows = [sequence_batch(references[i : i + 64], tokenizer.pad) for i in range(0, len(references), 64)]
    score_MB = torch.cat([unit.normalised(batch.to(device_of(members[0]))) for batch in rows], 1)
    for number, member in enumerate(members):
        save_scalar_model(member, folder / f"member-{number}", tokenizer=tokenizer.fingerprint)
    atomic_write_json(
        folder / "ensemble.json",
        {
            "mean": score_MB.mean(1).tolist(),
            "std": score_MB.std(1, unbiased=False).clamp_min(1e-6).tolist(),
            "correlation": torch.corrcoef(score_MB).tolist() if len(members) > 1 else [[1.0]],
            "reference_answers": len(references),
            "aggregate": settings.aggregate,
            "std_weight": settings.std_weight,
        },
    )
    save_tokenizer(tokenizer, folder)


def load_ensemble(folder: Path, tokenizer: Tokenizer, precision: Precision) -> Ensemble:
    """The reward models of a finished reward stage; UserError if they were trained with another tokenizer."""
    about = read_json(folder / "ensemble.json")
    members = tuple(
        load_scalar_model(folder / f"member-{k}", tokenizer=tokenizer.fingerprint, device=precision.device)
        for k in range(len(about["mean"]))
    )
    return Ensemble(
        members, tuple(about["mean"]), tuple(about["std"]), about["aggregate"], about["std_weight"], precision
    )
