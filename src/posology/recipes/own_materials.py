"""What the recipes for a user's own model and data share: the model, its tokenizer, encoded rows, and the stage's record.

Nothing here writes or shows the text of a row: a row is named by its number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch

from posology import __version__
from posology.config import ConfigError, FitConfig, OptimiserConfig, UserError
from posology.files import atomic_write_json, atomic_write_text, hash_files, read_json, sha256_file, sha256_text
from posology.intake.options import ReadOptions
from posology.intake.tally import Tally
from posology.models.device import pick_device
from posology.models.estimate import BF16, FP32, Sharding, own_estimate
from posology.models.families import positions_of
from posology.models.hub import is_hub_name
from posology.models.precision import pick_precision
from posology.models.source import Source, hub_source, open_source, save_trained
from posology.own_config import FREE, OwnStageConfig, dump_own_config, load_own_config
from posology.parents import MODEL_FILES, resolve_parent
from posology.provenance import commit, machine, versions
from posology.recipes.examine import outside_tokenizer
from posology.runs import STAGES, Run, Stage, is_leader
from posology.text.chat import Encoded
from posology.text.layout import PromptLayout, UnfitRow, prompt_layout
from posology.training.engine import Engine, open_engine
from posology.training.fit import Saver
from posology.training.progress import Progress

NAMED = 5  # rows that a message names
STATS = "training_stats.json"


class Numbered(Protocol):
    @property
    def row(self) -> int: ...


T = TypeVar("T", bound=Numbered)
E = TypeVar("E")


# The model ------------------------------------------------------------------------------------------------------------


def find_model(spec: str, run: Run, stages: Sequence[str], *, allow_download: bool = False) -> Source:
    """A folder with a model, a stage's path (runs/a/sft), a run's name or path, or a model of the hub.

    Of another run, the first of `stages` that is finished; of `run` itself, where it starts from: its sft. UserError
    that says what there could have been.
    """
    path = Path(spec)
    if path.name in STAGES or path.name == "final" or any((path / name).exists() for name in MODEL_FILES):
        return open_source(resolve_parent(spec, run), allow_download=allow_download)
    for folder in (path, run.path.parent / spec):
        other = Run(folder)
        if not (folder / "manifest.json").is_file():
            continue
        allowed = ("sft",) if folder.resolve() == run.path.resolve() else stages
        there = [name for name in allowed if other.stage(name).manifest().get("status") == "finished"]
        if there:
            return open_source(resolve_parent(there[0], other), allow_download=allow_download)
        raise UserError(f"run {folder} has no finished stage to start from", f"one of: {', '.join(allowed)}")
    if path.is_dir():
        hint = "a model's folder has config.json or adapter_config.json, a run's manifest.json"
        raise UserError(f"{spec} holds neither a model nor a run", hint)
    if is_hub_name(spec):
        return hub_source(spec, allow_download=allow_download)
    raise UserError(f"no model {spec}", "give the folder of a model, a run, or a model's name on the hub")


def layout_for(source: Source, settings: OwnStageConfig) -> PromptLayout:
    """The model's tokenizer with the prompt form asked for. UserError where it differs from what the model was taught."""
    taught = source.about.get("chat_template")
    if taught is not None and bool(taught) != settings.chat_template:
        was = "with --chat-template" if taught else "without --chat-template"
        raise UserError(f"{settings.model} was trained {was}", "train and ask it in the same form")
    return prompt_layout(outside_tokenizer(source.folder), chat=settings.chat_template)


# Rows -----------------------------------------------------------------------------------------------------------------


@dataclass
class Rows(Generic[T]):
    """A file's rows as the reader gave them, and what became of those that it did not."""

    rows: list[T]
    sha256: str
    tally: Tally
    unfit: dict[str, list[int]] = field(default_factory=dict)  # reason -> row numbers

    def manifest(self) -> dict[str, Any]:
        """Counts and row numbers; no text."""
        counts = {reason: len(rows) for reason, rows in self.unfit.items()}
        return {"sha256": self.sha256, **self.tally.manifest(), "unfit": counts, "unfit_rows": self.unfit}


def read_rows(
    read: Callable[[Path, ReadOptions, Tally], Iterable[T]], path: str, settings: OwnStageConfig, rejects: Path | None
) -> Rows[T]:
    """All rows of a file. Skipped ones are listed in `rejects`, by the first of several processes."""
    options = ReadOptions(
        columns=settings.reading.columns, labels=settings.reading.labels, evidence=settings.reading.evidence,
        on_bad_row=settings.reading.on_bad_row,
        rejects=rejects if settings.reading.on_bad_row == "skip" and is_leader() else None,
    )  # fmt: skip
    tally = Tally()
    rows = list(read(Path(path), options, tally))
    return Rows(rows, digest_of_data(Path(path)), tally)


def digest_of_data(path: Path) -> str:
    return hash_files(path, "**/*") if path.is_dir() else sha256_file(path)


def encode_rows(
    data: Rows[T], encode: Callable[[T], E], length: Callable[[E], int], max_tokens: int, *, skip: bool, path: str,
    progress: Progress,
) -> list[E]:  # fmt: skip
    """Encoded rows that can be laid out and fit; the others are counted and named by number, or stop the run.

    None is ever cut.
    """
    encoded: list[E] = []
    for row in data.rows:
        try:
            one = encode(row)
        except UnfitRow as why:
            data.unfit.setdefault(str(why), []).append(row.row)
            continue
        if length(one) > max_tokens:
            data.unfit.setdefault(f"longer than {max_tokens} tokens", []).append(row.row)
            continue
        encoded.append(one)
    for reason, rows in data.unfit.items():
        told = ", ".join(str(number) for number in rows[:NAMED]) + (" ..." if len(rows) > NAMED else "")
        message = f"{path}: {len(rows):,} of {len(data.rows):,} rows cannot be used: {reason} (row {told})"
        if not skip:
            raise UserError(message, "mend them, raise --max-tokens, or leave them out with --on-bad-row skip")
        progress.say(message)
    if not encoded:
        raise UserError(f"{path}: no row is left to train on", "raise --max-tokens, or look at `posology data check`")
    return encoded


def require_vocabulary(model: Any, rows: Iterable[Encoded]) -> None:
    """UserError where the tokenizer knows tokens that the model does not."""
    largest = max(max(row.ids) for row in rows)
    known = model.get_input_embeddings().weight.shape[0]
    if largest >= known:
        raise UserError(
            f"tokenizer and model do not belong together: token {largest}, where the model knows {known}",
            "use the tokenizer that was published with the model",
        )


def require_room(model_or_config: Any, max_tokens: int) -> None:
    """UserError where rows may be longer than what the model reads."""
    positions = positions_of(model_or_config)
    if positions is not None and max_tokens > positions:
        raise UserError(
            f"--max-tokens {max_tokens} is more than the model reads: {positions}",
            f"add --max-tokens {positions}, or less",
        )


# The machine ----------------------------------------------------------------------------------------------------------


def join(settings: OwnStageConfig) -> tuple[Engine, torch.device]:
    """The engine, joined to the other processes if there are any, and the device that this one computes on.

    ConfigError where the engine does not go together with how the command was started, or with the settings.
    """
    if settings.engine == "fsdp2" and settings.lora.quantised:
        raise ConfigError("--lora qlora does not run with --engine fsdp2", "use --lora lora, or --engine ddp")
    return open_engine(settings.engine, settings.device), pick_device(settings.device)


def at_a_time(settings: OwnStageConfig, world: int) -> int:
    """Rows of an optimiser step that all processes work on together: a micro-batch."""
    share = -(-settings.batch // world)
    return min(world * min(settings.micro_batch or share, share), settings.batch)


def micro_batches(settings: OwnStageConfig, world: int) -> int:
    """Micro-batches an optimiser step."""
    return -(-settings.batch // at_a_time(settings, world))


# The stage ------------------------------------------------------------------------------------------------------------


def fit_config(settings: OwnStageConfig, steps: int, per_epoch: int) -> FitConfig:
    """Epochs as steps: a linear warm-up, then a linear decay to 0; an evaluation and a checkpoint each epoch."""
    warmup = min(math.ceil(settings.warmup * steps), steps - 1)
    return FitConfig(
        steps=steps, evaluate_every=per_epoch,
        checkpoint_every=settings.checkpoint_every or per_epoch, budget_s=None, precision=settings.precision,
        optimiser=OptimiserConfig(
            kind="adamw", learning_rate=settings.learning_rate, weight_decay=0.0, betas=(0.9, 0.999), warmup=warmup,
            decay=1 - warmup / steps, clip=1.0,
        ),
    )  # fmt: skip


def fingerprint(stage: Stage, settings: OwnStageConfig, inputs: dict[str, str]) -> str:
    """SHA-256 of everything that the stage's weights depend on."""
    parts = {"stage": stage.name, "settings": _binding(settings), "inputs": inputs, "version": __version__}
    return sha256_text(json.dumps(parts, sort_keys=True))


def require_same(stage: Stage, settings: OwnStageConfig, inputs: dict[str, str]) -> None:
    """UserError where the stage was begun with other settings, data or parents: its work is not thrown away unasked."""
    made_of = stage.manifest().get("made_of")
    begun = stage.final.is_dir() or any(stage.path.glob("**/step-*"))
    if made_of is None or not begun:
        return
    before, now = (made_of["settings"], made_of["inputs"]), (_binding(settings), inputs)
    for old, new in zip(before, now, strict=True):
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) != new.get(key):
                shown = "other contents" if old is made_of["inputs"] else f"{old.get(key)!r}, not {new.get(key)!r}"
                raise UserError(
                    f"{stage.path} was begun with {key} = {shown}",
                    f"repeat that, take another name with --run, or delete {stage.path} to begin anew",
                )


def trained_saver(source: Source, about: dict[str, Any]) -> Saver:
    """Write a stage's final folder: what was trained, with the tokenizer."""
    return lambda folder, modules: save_trained(modules["model"], source, folder, about)


def record(run: Run, stage: Stage, settings: OwnStageConfig, inputs: dict[str, str], **facts: Any) -> None:
    """What the stage is made of, into its manifest and the run's config.yaml: what was refused before leaves no trace."""
    before = load_own_config(run.config_path)
    if is_leader():
        atomic_write_text(run.config_path, dump_own_config(before.model_copy(update={stage.name: settings})))
    run.update_manifest(status="running", seed=settings.seed, machine=machine(), commit=commit(), versions=versions())
    stage.note(made_of={"settings": _binding(settings), "inputs": inputs}, **facts)


def _binding(settings: OwnStageConfig) -> dict[str, Any]:
    """Settings that weights depend on, flat: "lora.rank" and so on."""
    flat: dict[str, Any] = {}
    for key, value in settings.model_dump(mode="json").items():
        if isinstance(value, dict) and key in ("lora", "reading"):
            flat |= {f"{key}.{name}": item for name, item in value.items() if name not in FREE}
        elif key not in FREE:
            flat[key] = value
    return flat


def about_of(settings: OwnStageConfig, stage: Stage, layout: PromptLayout) -> dict[str, Any]:
    """What posology.json tells whoever opens the model: how it is asked."""
    return {
        "stage": stage.name,
        "chat_template": settings.chat_template,
        "end": layout.end,
        "bits": settings.lora.quantised,
    }


def tell_adapters(source: Source, settings: OwnStageConfig, progress: Progress) -> dict[str, Any] | None:
    """Say where adapters that are there are trained further, so that their own shape holds; it goes into the manifest."""
    if source.adapter is None or settings.lora.adapters is None:
        return None
    made = read_json(source.adapter / "adapter_config.json")
    shape = {"rank": made["r"], "alpha": made["lora_alpha"], "dropout": made["lora_dropout"],
             "targets": sorted(made["target_modules"])}  # fmt: skip
    told = ", ".join(f"{name} {value}" for name, value in shape.items() if name != "targets")
    progress.say(f"the adapters of {settings.model} are trained further, as they were made: {told}")
    return shape


def tell_memory(
    source: Source, settings: OwnStageConfig, engine: Engine, device: torch.device, progress: Progress, *, sequences: int,
    copies: int,
) -> None:  # fmt: skip
    """Print what the work will take of each process before anything is loaded; `sequences`: those of a row."""
    if not engine.leader:
        return
    bf16 = device.type == "cuda" and pick_precision(settings.precision, device.type).name == "bf16"
    sharding = Sharding(engine.world, BF16 if bf16 else FP32) if engine.kind == "fsdp2" else None
    estimate = own_estimate(
        source.base, settings.lora, device, rows=sequences * -(-at_a_time(settings, engine.world) // engine.world),
        tokens=settings.max_tokens, checkpointing=settings.checkpointing, copies=copies, sharding=sharding,
    )  # fmt: skip
    progress.say(estimate.words() + (f"; in each of {engine.world} processes" if engine.world > 1 else ""))


def write_stats(run: Run, stage: Stage, **facts: Any) -> None:
    """Add a stage to the run's training_stats.json: counts, losses and speeds from its own log."""
    if not stage.writes:
        return
    rows = stage.read_metrics()
    train = [row for row in rows if row["split"] == "train"]
    heldout = [
        {k: v for k, v in row.items() if k not in ("split", "time_s")} for row in rows if row["split"] != "train"
    ]
    about = stage.manifest()
    stats = {
        "steps": about.get("steps"),
        "kept_step": about.get("kept_step"),
        "seconds": about.get("seconds"),
        "first_loss": train[0].get("loss") if train else None,
        "last_loss": train[-1].get("loss") if train else None,
        "validation": heldout,
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
        **facts,
    }
    path = run.path / STATS
    before = read_json(path) if path.is_file() else {}
    atomic_write_json(path, {**before, stage.name: stats})
