"""Train Bradley-Terry reward models on a user's pairs, measured on pairs that trained nothing.

A member's adapters are kept alone, with its head; they belong to the model that it started from (its adapters merged).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posology.config import UserError
from posology.evaluation.statistics import wilson
from posology.files import atomic_write_json, publish, read_json
from posology.models.device import device_of
from posology.models.heads import (
    ScalarModel,
    from_language_model,
    load_scalar_adapter,
    load_scalar_model,
    save_scalar_model,
)
from posology.models.lora import is_lora
from posology.models.memory import checkpoint_activations
from posology.models.precision import Precision, pick_precision
from posology.models.source import Source, copy_tokenizer, load_model, open_source, weights_type
from posology.objectives.keep_best import KeepBest
from posology.objectives.pairs import Pair, sequence_batch
from posology.objectives.reward import Ensemble, RewardObjective
from posology.own_config import OwnRewardConfig
from posology.recipes.own_dpo import encode_pairs, pair_rows
from posology.recipes.own_materials import (
    at_a_time,
    find_model,
    fingerprint,
    fit_config,
    join,
    layout_for,
    micro_batches,
    record,
    require_room,
    require_same,
    require_vocabulary,
    tell_memory,
    write_stats,
)
from posology.runs import Run, Stage
from posology.seeds import seed_of, stream
from posology.text.layout import PromptLayout
from posology.training.engine import Engine
from posology.training.fit import fit
from posology.training.progress import Progress

PARENTS = ("sft", "dpo", "ppo", "pretrain")
REFERENCES = 256  # chosen answers on which each member's scores are brought to one scale
ABOUT = "reward.json"


def own_reward(
    settings: OwnRewardConfig, run: Run, progress: Progress | None = None, *, allow_download: bool = False
) -> Stage:
    progress = progress or Progress()
    if settings.lora.quantised:
        raise UserError("--lora qlora is for sft and dpo: a reward model's trunk is a merged copy", "use --lora lora")
    if not settings.validation:
        raise UserError(
            "a reward model is not trained without --validation", "hold out some pairs: PPO's gate reads them"
        )
    engine, device = join(settings)
    stage = run.stage("reward")
    source = find_model(settings.model, run, PARENTS, allow_download=allow_download)
    layout = layout_for(source, settings)
    pairs = pair_rows(settings, stage)
    inputs = {"model": source.digest, "data": pairs.train.sha256, "validation": pairs.heldout["validation"].sha256}
    made_of = fingerprint(stage, settings, inputs)
    if stage.is_finished(made_of):
        return stage
    require_same(stage, settings, inputs)
    train, heldout = encode_pairs(layout, pairs, settings, progress)
    tell_memory(source, settings, engine, device, progress, sequences=2, copies=2)
    precision = pick_precision(settings.precision, device.type)
    base = load_model(source, device, dtype=weights_type(device, settings.lora.adapters is not None))
    require_room(base, settings.max_tokens)
    require_vocabulary(base, (side for pair in train for side in (pair.chosen, pair.rejected)))
    record(
        run, stage, settings, inputs, model=source.described(), data=pairs.train.manifest(),
        validation=pairs.heldout["validation"].manifest(),
    )  # fmt: skip
    for number in range(settings.members):
        _train_member(
            settings, stage.member(number), base, layout, train, heldout, made_of, precision, progress, engine
        )

    def finish() -> None:
        with publish(stage.final) as folder:
            _assemble(settings, stage, folder, base, source, train, heldout["validation"], layout, precision)
        stage.mark_finished(made_of)
        measured = read_json(stage.final / "heldout.json")
        write_stats(run, stage, pairs=len(train), members=settings.members, heldout=measured, precision=precision.name)

    engine.alone(finish)
    return stage


def _train_member(
    settings: OwnRewardConfig, member: Stage, base: Any, layout: PromptLayout, train: list[Pair],
    heldout: dict[str, list[Pair]], made_of: str, precision: Precision, progress: Progress, engine: Engine,
) -> None:  # fmt: skip
    if member.is_finished(made_of):
        return
    seed = seed_of(settings.seed, "reward", member.name)
    model = from_language_model(base, settings.lora.adapters, seed=seed)
    if settings.checkpointing:
        checkpoint_activations(model.trunk)
    objective = RewardObjective(
        member.name, model, train, heldout, pairs=settings.batch, seed=seed, pad=layout.pad, precision=precision,
        bootstrap=settings.members > 1, micro_batches=micro_batches(settings, engine.world),
        evaluation_rows=-(-at_a_time(settings, engine.world) // engine.world),
    )  # fmt: skip
    per_epoch = -(-len(train) // settings.batch)
    fit(
        KeepBest(objective, "loss/validation", settings.batch, engine.world),
        fit_config(settings, per_epoch * settings.epochs, per_epoch), member, seed=seed, fingerprint=made_of,
        progress=progress, save_final=_save_member, engine=engine,
    )  # fmt: skip


def _save_member(folder: Path, modules: Mapping[str, nn.Module]) -> None:
    model = modules["model"]
    assert isinstance(model, ScalarModel)
    save_scalar_model(model, folder, merged=not is_lora(model.trunk))


def _assemble(
    settings: OwnRewardConfig, stage: Stage, folder: Path, base: Any, source: Source, train: list[Pair],
    heldout: list[Pair], layout: PromptLayout, precision: Precision,
) -> None:  # fmt: skip
    """The members in one folder, the scale of each on chosen answers, and the accuracy on held-out pairs."""
    members = tuple(_open_member(stage.member(k).final, base) for k in range(settings.members))
    unit = Ensemble(members, (0.0,) * len(members), (1.0,) * len(members), "mean", 0.0, precision)
    picked = stream(settings.seed, "reference answers").sample(train, min(REFERENCES, len(train)))
    score_MB = ensemble_scores(unit, [pair.chosen for pair in picked], layout.pad)
    mean, std = score_MB.mean(1).tolist(), score_MB.std(1, unbiased=False).clamp_min(1e-6).tolist()
    for number, member in enumerate(members):
        save_scalar_model(member, folder / f"member-{number}", merged=not is_lora(member.trunk))
    ensemble = Ensemble(members, tuple(mean), tuple(std), "mean_minus_std", 0.5, precision)
    chosen_B, rejected_B = (
        ensemble.combine(ensemble_scores(ensemble, [getattr(pair, side) for pair in heldout], layout.pad))
        for side in ("chosen", "rejected")
    )
    right = int((chosen_B > rejected_B).sum())
    low, high = wilson(right, len(heldout))
    longer = sum(len(pair.chosen) > len(pair.rejected) for pair in heldout)
    about = {
        "mean": mean, "std": std, "aggregate": "mean_minus_std", "std_weight": 0.5, "min_accuracy": settings.min_accuracy,
        "folder": str(source.folder.resolve()), "model": source.described(), "chat_template": settings.chat_template,
    }  # fmt: skip
    atomic_write_json(folder / ABOUT, about)
    figures = {"k": right, "n": len(heldout), "value": right / len(heldout), "low": low, "high": high}
    ruler = {"chosen_is_longer": longer / len(heldout)}
    atomic_write_json(folder / "heldout.json", {"validation": figures, "length_ruler": ruler})
    copy_tokenizer(source.folder, folder)


def ensemble_scores(ensemble: Ensemble, rows: list[Any], pad: int, size: int = 16) -> torch.Tensor:
    """(M, B) of scores, some rows at a time."""
    device = device_of(ensemble.members[0])
    parts = [ensemble.normalised(sequence_batch(rows[i : i + size], pad).to(device)) for i in range(0, len(rows), size)]
    return torch.cat(parts, 1)


def _open_member(folder: Path, base: Any) -> ScalarModel:
    if (folder / "trunk").is_dir():
        return load_scalar_model(folder, device=device_of(base))
    return load_scalar_adapter(folder, from_language_model(base))


def load_own_ensemble(folder: Path, device: torch.device, precision: Precision) -> Ensemble:
    """The reward models of a finished stage. UserError where the model that they started from is gone or changed."""
    about = read_json(folder / ABOUT)
    source = open_source(Path(about["folder"]))
    if source.digest != about["model"]["sha256"]:
        raise UserError(
            f"{source.folder} has changed since the reward models of {folder} were trained", "train them again"
        )
    base = load_model(source, device, dtype=weights_type(device, lora=True))
    members = tuple(_open_member(folder / f"member-{k}", base) for k in range(len(about["mean"])))
    for member in members:
        member.requires_grad_(False).eval()
    return Ensemble(
        members, tuple(about["mean"]), tuple(about["std"]), about["aggregate"], about["std_weight"], precision
    )
