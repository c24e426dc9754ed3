"""Direct preference optimisation of a user's model on pairs of answers, or on hard negatives made of factual ones.

The reference is the model as `--model` names it. Where that is adapters (an SFT run), they are trained further and a
frozen second set of them is the reference; where it is a whole model with fresh adapters, the model with them off. The
base's weights are in memory once either way; only with `--lora none` is there a second model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posology.curriculum.hard_negatives import EDITS, Edit, hard_negatives, split_edits
from posology.intake.options import ReadOptions
from posology.intake.read import read_examples, read_pairs
from posology.intake.records import Pair as Row
from posology.intake.tally import Tally
from posology.models.device import pick_device
from posology.models.lora import trainable_parameters
from posology.models.memory import checkpoint_activations
from posology.models.precision import pick_precision
from posology.models.source import load_model, load_trainable
from posology.objectives.dpo import DpoObjective
from posology.objectives.keep_best import KeepBest
from posology.objectives.pairs import Pair
from posology.own_config import OwnDpoConfig, OwnStageConfig
from posology.recipes.own_materials import (
    Rows,
    about_of,
    encode_rows,
    find_model,
    fingerprint,
    fit_config,
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
from posology.text.layout import PromptLayout, UnfitRow, encode_answers
from posology.training.fit import fit
from posology.training.progress import Progress

PARENTS = ("sft", "dpo", "ppo", "pretrain")
HELD_OUT_EDITS = 0.25  # share of the kinds of edit that train nothing: does the lesson carry over to them?


@dataclass(frozen=True)
class PairRows:
    """Pairs to train on, and those that are watched, by name; how they came about, without their text."""

    train: Rows[Row]
    heldout: dict[str, Rows[Row]]
    about: dict[str, Any]


def own_dpo(
    settings: OwnDpoConfig, run: Run, progress: Progress | None = None, *, allow_download: bool = False
) -> Stage:
    progress = progress or Progress()
    stage = run.stage("dpo")
    source = find_model(settings.model, run, PARENTS, allow_download=allow_download)
    layout = layout_for(source, settings)
    pairs = pair_rows(settings, stage, from_factual=settings.from_factual)
    inputs = {"model": source.digest, "data": pairs.train.sha256} | {
        name: rows.sha256 for name, rows in pairs.heldout.items()
    }
    made_of = fingerprint(stage, settings, inputs)
    if stage.is_finished(made_of):
        return stage
    require_same(stage, settings, inputs)
    train, heldout = encode_pairs(layout, pairs, settings, progress)

    lora = settings.lora.adapters
    tell_memory(source, settings, 2 * (settings.micro_batch or settings.batch), 1 if lora else 2, progress)
    device = pick_device(settings.device)
    precision = pick_precision(settings.precision, device.type)
    policy = load_trainable(
        source, lora, device, seed=seed_of(settings.seed, "adapter"), bits=settings.lora.quantised, reference=True
    )
    reference = None if lora else load_model(source, device)
    require_room(policy, settings.max_tokens)
    require_vocabulary(policy, (side for pair in train for side in (pair.chosen, pair.rejected)))
    if settings.checkpointing:
        checkpoint_activations(policy)
    objective = DpoObjective(
        "dpo", policy, reference, train, heldout, pairs=settings.batch, beta=settings.beta, variant=settings.variant,
        label_smoothing=settings.label_smoothing, anchor=settings.anchor, seed=settings.seed, pad=layout.pad,
        precision=precision, micro_batches=micro_batches(settings), evaluation_rows=settings.micro_batch or settings.batch,
    )  # fmt: skip
    kept = KeepBest(objective, f"loss/{next(iter(heldout), '')}", settings.batch)
    per_epoch = -(-len(train) // settings.batch)
    record(
        stage, settings, inputs, adapters=tell_adapters(source, settings, progress), model=source.described(),
        data=pairs.train.manifest(), pairs=pairs.about,
        validation={name: rows.manifest() for name, rows in pairs.heldout.items()},
    )  # fmt: skip
    fit(
        kept, fit_config(settings, per_epoch * settings.epochs, per_epoch), stage, seed=settings.seed, fingerprint=made_of,
        progress=progress, save_final=trained_saver(source, about_of(settings, stage, layout)),
    )  # fmt: skip
    write_stats(
        run, stage, pairs=len(train), validation_pairs={name: len(rows) for name, rows in heldout.items()},
        epochs=settings.epochs, batch=settings.batch, micro_batch=kept.micro_batch,
        trained_parameters=trainable_parameters(policy), precision=precision.name, device=device.type,
    )  # fmt: skip
    return stage


def pair_rows(settings: OwnStageConfig, stage: Stage, *, from_factual: bool = False) -> PairRows:
    """The pairs of the files, or pairs made of their factual rows: then some kinds of edit are held out."""
    rejects = stage.path / "rejects.jsonl"
    if not from_factual:
        watched = (
            {
                "validation": read_rows(
                    read_pairs, settings.validation, settings, stage.path / "rejects-validation.jsonl"
                )
            }
            if settings.validation
            else {}
        )
        return PairRows(read_rows(read_pairs, settings.data, settings, rejects), watched, {})
    taught, unseen = split_edits(settings.seed, HELD_OUT_EDITS)
    refused: Counter[str] = Counter()
    heldout = {}
    if settings.validation:
        for name, edits in (("validation", taught), ("held_out_edits", unseen)):
            path = stage.path / f"rejects-{name.replace('_', '-')}.jsonl"
            heldout[name] = read_rows(_maker(settings.seed, edits, Counter()), settings.validation, settings, path)
    train = read_rows(_maker(settings.seed, taught, refused), settings.data, settings, rejects)
    counts = {edit: sum(row.edit == edit for row in train.rows) for edit in EDITS}
    about = {"by_edit": counts, "held_out_edits": list(unseen), "without_pair": dict(refused.most_common())}
    return PairRows(train, heldout, about)


def _maker(seed: int, edits: tuple[Edit, ...], refused: Counter[str]) -> Callable[..., Iterable[Row]]:
    """A reader of examples that gives pairs; why some gave none is counted in `refused`."""

    def read(path: Path, options: ReadOptions, tally: Tally) -> Iterable[Row]:
        made = hard_negatives(read_examples(path, options, tally), seed, edits)
        refused.update(refusal.reason for refusal in made.refused)
        return made.pairs

    return read


def encode_pairs(
    layout: PromptLayout, pairs: PairRows, settings: OwnStageConfig, progress: Progress
) -> tuple[list[Pair], dict[str, list[Pair]]]:
    """Pairs whose two sides both fit; the others are named by number, or stop the run."""

    def encoded(rows: Rows[Row], path: str) -> list[Pair]:
        return encode_rows(
            rows, lambda row: encode_pair(layout, row), lambda pair: max(len(pair.chosen), len(pair.rejected)),
            settings.max_tokens, skip=settings.reading.on_bad_row == "skip", path=path, progress=progress,
        )  # fmt: skip

    train = encoded(pairs.train, settings.data)
    return train, {name: encoded(rows, settings.validation) for name, rows in pairs.heldout.items() if rows.rows}


def encode_pair(layout: PromptLayout, row: Row) -> Pair:
    """Two answers behind the same prompt tokens. UnfitRow where they have the same tokens."""
    chosen, rejected = encode_answers(layout, row, (row.chosen, row.rejected))
    if chosen.ids == rejected.ids:
        raise UnfitRow("both of its answers have the same tokens")
    return Pair(chosen, rejected)
