"""Speed and utilisation of stages that have run: seconds from their metrics.jsonl, tokens from the very batches that
their objectives make, operations from flops.py.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from clocks import WARM_UP
from flops import Rows, matrices, operations


def sft_rows(run: Path, steps: int) -> list[Rows]:
    """The rows of the run's SFT steps, from the objective that made them."""
    from torch import nn

    from posology.intake.read import read_examples
    from posology.objectives.next_token import NextToken
    from posology.own_config import load_own_config
    from posology.recipes.examine import outside_tokenizer
    from posology.recipes.own_materials import read_rows
    from posology.text.layout import encode_answered, prompt_layout

    settings = load_own_config(run / "config.yaml").sft
    assert settings is not None
    layout = prompt_layout(outside_tokenizer(Path(settings.model)), chat=False)
    found = read_rows(read_examples, settings.data, settings, None).rows
    objective = NextToken(
        "sft", nn.Identity(), [encode_answered(layout, row, row.completion) for row in found], [],
        tokens=settings.batch * settings.max_tokens, row=settings.max_tokens, seed=settings.seed, precision=nullcontext,
        vocabulary=2, packing=settings.packing,
    )  # fmt: skip
    rows = []
    for step in range(steps):
        (batch,) = objective.batch(step)
        lengths = (batch.segments_BT > 0).sum(1).tolist()
        rows.append(Rows(tuple(lengths), batch.ids_BT.shape[1], int(batch.weight)))
    return rows


def dpo_rows(run: Path, base: Path, steps: int) -> list[Rows]:
    """The rows of the run's DPO steps: chosen and rejected."""
    from posology.objectives.pairs import Order, both, pair_batch
    from posology.own_config import load_own_config
    from posology.recipes.examine import outside_tokenizer
    from posology.recipes.own_dpo import encode_pairs, pair_rows
    from posology.runs import Run
    from posology.text.layout import prompt_layout
    from posology.training.progress import silent

    settings = load_own_config(run / "config.yaml").dpo
    assert settings is not None
    layout = prompt_layout(outside_tokenizer(base), chat=False)
    made = pair_rows(settings, Run(run).stage("dpo"), from_factual=settings.from_factual)
    pairs, _ = encode_pairs(layout, made, settings, silent())
    order = Order(settings.seed, "dpo", len(pairs), settings.batch)
    rows = []
    for step in range(steps):
        batch = both(pair_batch(pairs, order(step), layout.pad), layout.pad)
        rows.append(Rows(tuple(batch.mask_BT.sum(1).tolist()), batch.ids_BT.shape[1], int(batch.scored_BT.sum())))
    return rows


def training_figures(
    run: Path, base: Path, stage: str, shape: dict[str, int], max_tokens: int, device: str
) -> dict[str, Any]:
    """Speed and operations of a stage, as far as it came. `run` is the run's folder, `base` its base model's."""
    import torch

    from posology.models.estimate import own_estimate
    from posology.own_config import load_own_config
    from posology.runs import Run

    logged = Run(run).stage(stage).read_metrics()
    train = [row for row in logged if row["split"] == "train"]
    clock = [row["time_s"] for row in train]
    seconds = [after - before for before, after in pairwise(clock)][WARM_UP - 1 :]
    made = sft_rows(run, len(train)) if stage == "sft" else dpo_rows(run, base, len(train))
    rows = made[WARM_UP:]
    settings = getattr(load_own_config(run / "config.yaml"), stage)
    estimate = own_estimate(
        base, settings.lora, torch.device(device), rows=8 if stage == "sft" else 16, tokens=max_tokens,
        checkpointing=settings.checkpointing,
    )  # fmt: skip
    figures = {
        "steps": len(train), "timed_steps": len(seconds), "first": train[0] if train else None,
        "last": train[-1] if train else None, "heldout": [row for row in logged if row["split"] == "heldout"],
        "estimated_bytes": estimate.total, "trained_parameters": estimate.trained,
        "micro_batch": Run(run).training_stats().get(stage, {}).get("micro_batch"),  # halved where memory ran out
    }  # fmt: skip
    if not seconds:
        return figures
    forwards = 1 if stage == "sft" else 2
    both = [operations(row, matrices(shape), forwards) for row in rows]
    total, model, hardware = sum(seconds), sum(m for m, _ in both), sum(h for _, h in both)
    return figures | {
        "step_ms": [round(1000 * value) for value in seconds], "median_step_ms": 1000 * median(seconds),
        "tokens_per_step": sum(row.real for row in rows) / len(rows),
        "tokens_per_s": sum(row.real for row in rows) / total,
        "padded_tokens_per_s": sum(row.places for row in rows) / total,
        "scored_tokens_per_s": sum(row.scored for row in rows) / total,
        "model_flops_per_s": model / total, "hardware_flops_per_s": hardware / total,
    }  # fmt: skip


def generation_figures(groups: list[dict[str, Any]]) -> dict[str, Any]:
    """Speed of decoding, prompts included, over all groups but the first."""
    timed = groups[1:]
    if not timed:
        return {}
    seconds, steps = sum(group["seconds"] for group in timed), sum(group["steps"] for group in timed)
    return {
        "tokens_per_s": sum(group["tokens"] for group in timed) / seconds,
        "answers_per_s": sum(group["rows"] for group in timed) / seconds,
        "ms_a_token_of_all_rows": 1000 * seconds / steps,
    }


def utilised(part: dict[str, Any], about: dict[str, Any]) -> dict[str, float]:
    """Shares of the GPU's peak, where both are known."""
    gpu, shares = about.get("gpu") or {}, {}
    if (peak := gpu.get("peak_bf16_flops")) and "model_flops_per_s" in part:
        shares |= {"mfu": part["model_flops_per_s"] / peak, "hfu": part["hardware_flops_per_s"] / peak}
    if "hardware_flops_per_s" in part and "ceilings" in about:
        shares["share_of_measured"] = part["hardware_flops_per_s"] / about["ceilings"]["matmul_flops"]
    if (peak := gpu.get("peak_bytes_per_s")) and "ms_a_token_of_all_rows" in part:
        model = matrices(about["shape"])
        read = 2 * (model.layers + model.head)  # bytes, in bf16
        shares["bandwidth_share"] = read / (part["ms_a_token_of_all_rows"] / 1000) / peak
    return shares
