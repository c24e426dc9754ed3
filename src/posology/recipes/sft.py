"""Fine-tune a base model on expert answers: the loss looks at the answer and its end token alone."""

from __future__ import annotations

from posology.config import RunConfig
from posology.models.device import pick_device
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.next_token import NextToken
from posology.recipes.materials import (
    adapter_settings,
    curriculum_of,
    encode_dialogues,
    fixed_answers,
    language_model_saver,
    open_parent,
    stage_fingerprint,
)
from posology.runs import Run, Stage
from posology.seeds import seed_of, stream
from posology.text.chat import encode_document
from posology.text.tokenizer import load_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import fit
from posology.training.progress import Progress

HELDOUT = 400  # dialogues in the held-out loss


def sft(config: RunConfig, run: Run, progress: Progress | None = None) -> Stage:
    settings = config.sft
    stage = run.stage("sft")
    parent = open_parent(run, settings.parent or "pretrain")
    made_of = stage_fingerprint(stage, config, settings, [parent])
    if stage.is_finished(made_of):
        return stage
    tokenizer = load_tokenizer(parent.path)
    curriculum = curriculum_of(config, run)
    device, engine = pick_device(config.device), open_engine(config.engine, config.device)
    model = load_language_model(
        parent.path,
        adapter_settings(settings.lora),
        tokenizer=tokenizer.fingerprint,
        seed=seed_of(config.seed, "adapter"),
        device=engine.loads_on(device),
    )
    train = encode_dialogues(tokenizer, (d for d in curriculum.dialogues if d.split == "train"))
    heldout = encode_dialogues(tokenizer, (d for d in curriculum.dialogues if d.split == "dev"))[:HELDOUT]
    if settings.replay:
        documents = [document.text for document in curriculum.documents if document.split == "train"]
        count = min(len(documents), round(len(train) * settings.replay / (1 - settings.replay)))
        picked = stream(config.seed, "replay").sample(documents, count)
        train += [encode_document(tokenizer, text) for text in picked]
    objective = NextToken(
        "sft", model, train, heldout, tokens=settings.tokens, row=settings.row, seed=config.seed,
        precision=pick_precision(settings.fit.precision, device.type), vocabulary=tokenizer.size,
        micro_batches=settings.fit.micro_batches, packing=settings.packing,
    )  # fmt: skip
    stage.note(parents={parent.name: parent.digest}, dropped_examples=objective.dropped)
    fit(
        objective, settings.fit, stage, seed=config.seed, fingerprint=made_of, progress=progress,
        save_final=language_model_saver(tokenizer), answers=fixed_answers(model, tokenizer),
        engine=engine,
    )  # fmt: skip
    return stage
