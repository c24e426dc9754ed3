"""Fine-tune a user's model on the user's rows: the loss looks at the answer and its end token alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from posology.intake.options import ReadOptions
from posology.intake.read import read_examples
from posology.intake.tally import Tally
from posology.models.families import require_same_loss
from posology.models.lora import trainable_parameters
from posology.models.memory import checkpoint_activations
from posology.models.precision import pick_precision
from posology.models.source import Source, load_trainable, weights_type
from posology.objectives.keep_best import KeepBest
from posology.objectives.next_token import NextToken, to_batch
from posology.own_config import OwnPretrainConfig, OwnSftConfig
from posology.recipes.own_materials import (
    Rows,
    T,
    about_of,
    encode_rows,
    find_model,
    fingerprint,
    fit_config,
    join,
    layout_for,
    micro_batches,
    read_rows,
    record,
    require_room,
    require_same,
    require_vocabulary,
    tell_adapters,
    tell_memory,
    trained_saver,
    write_stats,
)
from posology.runs import Run, Stage
from posology.seeds import seed_of
from posology.text.chat import Encoded
from posology.text.layout import encode_answered
from posology.text.packing import pack
from posology.training.fit import fit
from posology.training.progress import Progress

PARENTS = ("sft", "dpo", "ppo", "pretrain")  # of a run that is given as --model


def own_sft(
    settings: OwnSftConfig, run: Run, progress: Progress | None = None, *, allow_download: bool = False
) -> Stage:
    stage = run.stage("sft")
    source = find_model(settings.model, run, PARENTS, allow_download=allow_download)
    layout = layout_for(source, settings)
    return next_token_stage(
        settings, run, stage, source, read_examples, lambda row: encode_answered(layout, row, row.completion),
        about_of(settings, stage, layout), progress or Progress(),
    )  # fmt: skip


def next_token_stage(
    settings: OwnSftConfig | OwnPretrainConfig, run: Run, stage: Stage, source: Source,
    read: Callable[[Path, ReadOptions, Tally], Iterable[T]], encode: Callable[[T], Encoded], about: dict[str, Any],
    progress: Progress,
) -> Stage:  # fmt: skip
    """Train on the rows that `read` gives and `encode` lays out; `about` is what posology.json will tell."""
    engine, device = join(settings)
    train = read_rows(read, settings.data, settings, stage.path / "rejects.jsonl")
    heldout = (
        read_rows(read, settings.validation, settings, stage.path / "rejects-validation.jsonl")
        if settings.validation
        else None
    )
    inputs = {"model": source.digest, "data": train.sha256, "validation": heldout.sha256 if heldout else ""}
    made_of = fingerprint(stage, settings, inputs)
    if stage.is_finished(made_of):
        return stage
    require_same(stage, settings, inputs)

    def encoded_rows(rows: Rows[T], path: str) -> list[Encoded]:
        return encode_rows(
            rows, encode, len, settings.max_tokens, skip=settings.reading.on_bad_row == "skip", path=path,
            progress=progress,
        )  # fmt: skip

    encoded = encoded_rows(train, settings.data)
    watched = encoded_rows(heldout, settings.validation) if heldout else []

    lora = settings.lora.adapters
    tell_memory(source, settings, engine, device, progress, sequences=1, copies=1)
    precision = pick_precision(settings.precision, device.type)
    model = load_trainable(
        source, lora, engine.loads_on(device), seed=seed_of(settings.seed, "adapter"), bits=settings.lora.quantised,
        dtype=weights_type(device, lora is not None),
    )  # fmt: skip
    require_room(model, settings.max_tokens)
    require_vocabulary(model, [*encoded, *watched])
    if settings.checkpointing:
        checkpoint_activations(model)
    objective = NextToken(
        stage.name, model, encoded, watched, tokens=settings.batch * settings.max_tokens, row=settings.max_tokens,
        seed=settings.seed, precision=precision, vocabulary=model.config.get_text_config().vocab_size,
        micro_batches=micro_batches(settings, engine.world), packing=settings.packing, engine=engine,
    )  # fmt: skip
    engine.alone(lambda: _check_forward(objective, encoded[0]))
    kept = KeepBest(objective, "loss", settings.batch, engine.world)
    steps = sum(objective.steps(epoch) for epoch in range(settings.epochs))
    record(
        run, stage, settings, inputs, adapters=tell_adapters(source, settings, progress), model=source.described(), data=train.manifest(),
        validation=heldout.manifest() if heldout else None,
    )  # fmt: skip
    fit(
        kept, fit_config(settings, steps, -(-steps // settings.epochs)), stage, seed=settings.seed, fingerprint=made_of,
        progress=progress, save_final=trained_saver(source, about), engine=engine,
    )  # fmt: skip
    write_stats(
        run, stage, examples=len(encoded), validation_examples=len(watched), epochs=settings.epochs, batch=settings.batch,
        micro_batch=kept.micro_batch, tokens_an_epoch=sum(map(len, encoded)), trained_parameters=trainable_parameters(model),
        parameters=sum(p.numel() for p in model.parameters()), precision=precision.name, device=device.type,
    )  # fmt: skip
    return stage


@torch.no_grad()
def _check_forward(objective: NextToken, example: Encoded) -> None:
    """One row, every token scored: our loss must be the model's own."""

    whole = Encoded(example.ids, [False] + [True] * (len(example) - 1))
    batch = to_batch(pack([whole], len(whole), [0]).rows)
    objective.model.eval()
    loss, _ = objective.loss(batch)
    require_same_loss(objective.model, example.ids, float(loss) / batch.weight)
