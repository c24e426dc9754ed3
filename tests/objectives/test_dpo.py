"""DPO: exactly ln 2 at first, log-ratios against an independent forward pass, signs, and a reference that stays put."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.config import LoraConfig
from posology.models.lora import apply_lora
from posology.models.precision import pick_precision
from posology.objectives import dpo
from posology.objectives.dpo import DpoObjective
from posology.objectives.pairs import Pair
from posology.text.chat import Encoded
from posology.training.batches import PairBatch

FP32 = pick_precision("fp32")
Logps = Callable[[Any, Encoded], list[float]]


def objective(model: Any, reference: Any, rows: list[Pair], **settings: Any) -> DpoObjective:
    defaults = {
        "pairs": len(rows), "beta": 0.1, "variant": "sigmoid", "label_smoothing": 0.0, "anchor": 0.0, "seed": 0,
        "pad": 0, "precision": FP32,
    }  # fmt: skip
    settings = defaults | settings
    return DpoObjective("dpo", model, reference, rows, settings.pop("heldout", {}), **settings)


def adapted(model: Any, dropout: float = 0.5) -> Any:
    return apply_lora(copy.deepcopy(model), LoraConfig(kind="lora", rank=4, dropout=dropout), 0)


def train(task: DpoObjective, steps: int, rate: float, start: int = 0) -> list[dict[str, float]]:
    optimiser = torch.optim.SGD([p for p in task.model.parameters() if p.requires_grad], lr=rate)
    curve = []
    for step in range(start, start + steps):
        task.model.train()  # as a loop may leave it
        optimiser.zero_grad()
        for batch in task.batch(step):
            total, metrics = task.loss(batch)
            (total / batch.weight).backward()
            curve.append(metrics)
        optimiser.step()
    return curve


@pytest.mark.parametrize("kind", ["two models", "adapter off", "dropout", "bf16"])
def test_first_preference_term_is_exactly_ln_two(tiny: Callable[..., Any], pairs: list[Pair], kind: str) -> None:
    model = tiny(spread=8.0, dropout=0.5 if kind == "dropout" else 0.0)
    policy, reference = (adapted(model), None) if kind == "adapter off" else (model, copy.deepcopy(model))
    precision = pick_precision("bf16" if kind == "bf16" else "fp32")
    task = objective(policy, reference, pairs, anchor=0.2, pairs=5, precision=precision)
    policy.train()
    for batch in task.batch(0):
        metrics = task.loss(batch)[1]
        assert metrics["preference"] == pytest.approx(math.log(2), abs=1e-7)
        assert metrics["chosen_shift"] == metrics["rejected_shift"] == metrics["margin"] == 0
        assert metrics["accuracy"] == 0.5
        assert metrics.keys() == dpo.METRICS.keys()
    assert task.expected_start is not None and task.start_metric in metrics


def test_shifts_and_loss_equal_an_independent_forward_pass(
    tiny: Callable[..., Any], pairs: list[Pair], independent_logps: Logps
) -> None:
    policy, reference = tiny(0, spread=8.0), tiny(1, spread=8.0)
    task = objective(policy, reference, pairs, beta=0.3, anchor=0.7)
    chosen, rejected, likelihood = [], [], []
    for pair in pairs:
        mine, theirs = independent_logps(policy, pair.chosen), independent_logps(reference, pair.chosen)
        chosen.append(sum(mine) - sum(theirs))
        likelihood.append(-sum(mine) / len(mine))
        rejected.append(
            sum(independent_logps(policy, pair.rejected)) - sum(independent_logps(reference, pair.rejected))
        )
    (batch,) = task.batch(0)
    metrics = task.loss(batch)[1]
    preference = [math.log1p(math.exp(-0.3 * (a - b))) for a, b in zip(chosen, rejected, strict=True)]
    assert metrics["chosen_shift"] == pytest.approx(sum(chosen) / 12, abs=1e-4)
    assert metrics["rejected_shift"] == pytest.approx(sum(rejected) / 12, abs=1e-4)
    assert metrics["margin"] == pytest.approx(0.3 * (sum(chosen) - sum(rejected)) / 12, abs=1e-4)
    assert metrics["accuracy"] == sum(a > b for a, b in zip(chosen, rejected, strict=True)) / 12
    assert metrics["anchor"] == pytest.approx(sum(likelihood) / 12, abs=1e-5)
    assert metrics["preference"] == pytest.approx(sum(preference) / 12, abs=1e-5)
    assert metrics["loss"] == pytest.approx(metrics["preference"] + 0.7 * metrics["anchor"], abs=1e-6)
    assert abs(metrics["preference"] - math.log(2)) > 0.01


def test_variants_equal_an_independent_forward_pass(
    tiny: Callable[..., Any], pairs: list[Pair], independent_logps: Logps
) -> None:
    policy, reference = tiny(0, spread=8.0), tiny(1, spread=8.0)
    per_token, summed = [], []
    for pair in pairs:
        sides = [
            [a - b for a, b in zip(independent_logps(policy, row), independent_logps(reference, row), strict=True)]
            for row in (pair.chosen, pair.rejected)
        ]
        summed.append(sum(sides[0]) - sum(sides[1]))
        per_token.append(sum(sides[0]) / len(sides[0]) - sum(sides[1]) / len(sides[1]))
    wanted = {
        "ipo": sum((h - 1 / (2 * 0.3)) ** 2 for h in per_token) / 12,
        "conservative": sum(
            0.9 * math.log1p(math.exp(-0.3 * h)) + 0.1 * math.log1p(math.exp(0.3 * h)) for h in summed
        ) / 12,
    }  # fmt: skip
    for variant, expected in wanted.items():
        task = objective(policy, reference, pairs, beta=0.3, variant=variant, label_smoothing=0.1)
        (batch,) = task.batch(0)
        assert task.loss(batch)[1]["preference"] == pytest.approx(expected, abs=1e-5), variant


def test_an_answer_without_own_tokens_has_no_log_ratio_and_gives_no_nan(
    tiny: Callable[..., Any], pairs: list[Pair]
) -> None:
    inserted = [Pair(Encoded(p.chosen.ids, [False] * len(p.chosen.ids)), p.rejected) for p in pairs]
    task = objective(tiny(0, spread=8.0), tiny(1, spread=8.0), inserted)
    (batch,) = task.batch(0)
    metrics = task.loss(batch)[1]
    assert metrics["chosen_shift"] == metrics["anchor"] == 0 and metrics["rejected_shift"] != 0
    assert math.isfinite(metrics["loss"])


def test_steps_prefer_the_chosen_answer(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    model = tiny()
    task = objective(model, copy.deepcopy(model), pairs, heldout={"seen": pairs, "none": []})
    curve = train(task, 15, 0.5)
    assert [m["loss"] for m in curve] == sorted((m["loss"] for m in curve), reverse=True)
    assert [m["margin"] for m in curve] == sorted(m["margin"] for m in curve)
    assert curve[-1]["accuracy"] > 0.9
    figures = task.evaluate()
    assert figures.keys() == {f"{key}/seen" for key in dpo.METRICS}
    assert figures["margin/seen"] >= curve[-1]["margin"]


def test_the_anchor_holds_the_chosen_answer(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    model = tiny()
    plain, anchored = (
        train(objective(copy.deepcopy(model), copy.deepcopy(model), pairs, anchor=anchor), 15, 0.5)[-1]
        for anchor in (0.0, 1.0)
    )
    assert anchored["chosen_shift"] > plain["chosen_shift"] + 0.1
    assert anchored["anchor"] < plain["anchor"]


@pytest.mark.parametrize("lora", [False, True])
def test_the_reference_stays_where_it_was(
    tiny: Callable[..., Any], pairs: list[Pair], independent_logps: Logps, lora: bool
) -> None:
    base = tiny(spread=4.0)
    before = [sum(independent_logps(base, pair.chosen)) for pair in pairs]
    task = objective(*((adapted(base, 0.0), None) if lora else (base, copy.deepcopy(base))), pairs, pairs=4)
    train(task, 2, 1.0)
    train(task, 1, 1.0, start=2)  # the last four pairs are met by a policy that has moved
    kept = [task._reference["train", i][0] for i in range(12)]
    assert kept == pytest.approx(before, abs=1e-4)
    assert abs(train(task, 1, 1.0, start=3)[0]["chosen_shift"]) > 1e-3


def test_reference_log_probs_are_computed_once(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    model = tiny()
    calls: list[int] = []
    reference = copy.deepcopy(model)
    reference.get_output_embeddings().register_forward_pre_hook(lambda *_: calls.append(1))
    task = objective(model, reference, pairs, pairs=4, heldout={"seen": pairs})
    train(task, 3, 0.1)
    task.evaluate()
    first = len(calls)
    train(task, 6, 0.1, start=3)
    task.evaluate()
    assert 0 < first == len(calls)
    assert not any(p.requires_grad for p in reference.parameters())


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_resumed_run_has_the_same_reference_bit_for_bit(
    tiny: Callable[..., Any], pairs: list[Pair], micro_batches: int
) -> None:
    """Pairs are met in other batches in the second epoch, where their sums may round otherwise."""

    def start() -> DpoObjective:
        task = objective(tiny(0), tiny(1), pairs, pairs=5, micro_batches=micro_batches)
        exact = task._log_probs

        def rounded(model: torch.nn.Module, batch: PairBatch) -> tuple[torch.Tensor, torch.Tensor]:
            """Rounding that depends on the rows beside, written large."""
            logp_2B, tokens_2B = exact(model, batch)
            return logp_2B + 0.001 * float(batch.index_B.sum()), tokens_2B

        task._log_probs = rounded  # type: ignore[method-assign]
        return task

    straight = start()
    seen = [[straight.loss(part)[1] for part in straight.batch(step)] for step in range(9)]
    assert seen[3] != seen[0]
    for step in (8, 6, 4, 3, 1):
        resumed = start()
        assert [[resumed.loss(part)[1] for part in resumed.batch(s)] for s in range(step, 9)] == seen[step:]
    assert len(straight._reference) == 12 and start()._reference == {}


def test_accumulated_equals_whole(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    reference, gradients = tiny(1, spread=4.0), []
    for micro_batches in (1, 3):
        policy = tiny(0, spread=4.0)
        task = objective(policy, reference, pairs, anchor=0.2, pairs=7, micro_batches=micro_batches)
        parts = task.batch(0)
        assert len(parts) == micro_batches
        for part in parts:
            (task.loss(part)[0] / 7).backward()
        gradients.append([p.grad for p in policy.parameters()])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))
