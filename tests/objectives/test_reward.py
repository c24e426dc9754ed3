"""Reward models: exactly ln 2 at first, signs, gradients, bootstraps, and ensembles worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from posology.models.heads import ScalarModel, from_language_model
from posology.models.precision import pick_precision
from posology.objectives import reward
from posology.objectives.pairs import Pair, both, pair_batch, sequence_batch
from posology.objectives.reward import Ensemble, RewardObjective
from posology.text.chat import Encoded

FP32 = pick_precision("fp32")


def objective(model: ScalarModel, rows: list[Pair], **settings: Any) -> RewardObjective:
    settings = {"pairs": len(rows), "seed": 0, "pad": 0, "precision": FP32, **settings}
    return RewardObjective("reward", model, rows, settings.pop("heldout", {}), **settings)


def scalar(model: Any, head: float = 0.0) -> ScalarModel:
    member = from_language_model(model)
    if head:
        torch.nn.init.normal_(member.head.weight, std=head, generator=torch.Generator().manual_seed(0))
    return member


def mean_loss(task: RewardObjective) -> torch.Tensor:
    (batch,) = task.batch(0)
    return task.loss(batch)[0] / batch.weight


def test_first_loss_is_exactly_ln_two(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny(spread=8.0)), pairs)
    (batch,) = task.batch(0)
    metrics = task.loss(batch)[1]
    assert metrics == {"loss": pytest.approx(math.log(2), abs=1e-7), "accuracy": 0.5, "margin": 0.0}
    assert metrics.keys() == reward.METRICS.keys()


def test_adding_a_constant_to_every_score_changes_nothing(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny(spread=8.0), head=0.2), pairs)
    before = mean_loss(task)
    before.backward()
    assert task.model.head.bias.grad is not None and task.model.head.weight.grad is not None
    assert task.model.head.bias.grad.abs().item() < 1e-7 < task.model.head.weight.grad.abs().max().item()
    with torch.no_grad():
        task.model.head.bias.add_(2.5)
    assert mean_loss(task).item() == pytest.approx(before.item(), abs=1e-6)
    assert abs(before.item() - math.log(2)) > 0.01


def test_one_small_step_lowers_the_loss_and_raises_the_margin(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny(spread=4.0)), pairs)
    optimiser = torch.optim.SGD(task.model.parameters(), lr=0.05)
    (batch,) = task.batch(0)
    curve = []
    for _ in range(3):
        total, metrics = task.loss(batch)
        curve.append((metrics["loss"], metrics["margin"]))
        optimiser.zero_grad()
        (total / batch.weight).backward()
        optimiser.step()
    assert curve[0][0] > curve[1][0] > curve[2][0]
    assert curve[0][1] < curve[1][1] < curve[2][1]


def test_pairs_can_be_memorised(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny()), pairs, heldout={"seen": pairs, "none": []})
    optimiser = torch.optim.AdamW(task.model.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        mean_loss(task).backward()
        optimiser.step()
    figures = task.evaluate()
    assert figures.keys() == {"accuracy/seen", "loss/seen"}
    assert figures["accuracy/seen"] == 1.0 and figures["loss/seen"] < 0.1


def test_gradient_equals_finite_differences(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny(spread=8.0), head=0.2), pairs, centering_weight=0.05)
    mean_loss(task).backward()
    weights = [p for p in task.model.parameters() if p.grad is not None]
    norm = math.sqrt(sum(float(p.grad.pow(2).sum()) for p in weights if p.grad is not None))
    direction = [p.grad / norm for p in weights if p.grad is not None]
    values = []
    with torch.no_grad():
        for move in (1e-2, -2e-2):
            for weight, slope in zip(weights, direction, strict=True):
                weight.add_(slope, alpha=move)
            values.append(mean_loss(task).item())
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(norm, rel=1e-2)


def test_soft_labels_and_centring_by_hand(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    voted = [Pair(pair.chosen, pair.rejected, 2 / 3) for pair in pairs]
    task = objective(scalar(tiny(spread=8.0), head=0.2), voted, centering_weight=0.1)
    (batch,) = task.batch(0)
    chosen, rejected = (side.tolist() for side in task.scores(batch))
    expected = [
        2 / 3 * math.log1p(math.exp(b - a)) + 1 / 3 * math.log1p(math.exp(a - b)) + 0.1 * (a + b) ** 2
        for a, b in zip(chosen, rejected, strict=True)
    ]
    assert mean_loss(task).item() == pytest.approx(sum(expected) / len(expected), abs=1e-6)


def test_scores_do_not_depend_on_the_longer_rows_beside(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    task = objective(scalar(tiny(spread=8.0), head=0.2), pairs)
    together_B = torch.cat(task.scores(pair_batch(pairs, range(12), 0)))
    alone_B = torch.cat([side for i in range(12) for side in task.scores(pair_batch(pairs, [i], 0))]).view(12, 2).T
    assert torch.allclose(together_B, alone_B.reshape(-1), atol=1e-5)
    assert together_B.std() > 0.1


def test_both_keeps_rows_masks_and_order(pairs: list[Pair]) -> None:
    rows = both(pair_batch(pairs, [3, 0], 0), 0)
    for row, example in enumerate([pairs[3].chosen, pairs[0].chosen, pairs[3].rejected, pairs[0].rejected]):
        assert rows.ids_BT[row][rows.mask_BT[row]].tolist() == example.ids
        assert rows.scored_BT[row][rows.mask_BT[row]].tolist() == example.scored
        assert not rows.scored_BT[row][~rows.mask_BT[row]].any()


def test_members_differ_by_bootstrap_and_order(tiny: Callable[..., Any], pairs: list[Pair]) -> None:
    model = scalar(tiny())
    plain = objective(model, pairs)
    one, again, other = (objective(model, pairs, bootstrap=True, seed=seed) for seed in (1, 1, 2))
    assert plain.train == pairs
    assert one.train == again.train != other.train
    assert len(one.train) == len(pairs) and all(pair in pairs for pair in one.train)
    assert len({id(pair) for pair in one.train}) < len(pairs)  # drawn with replacement
    assert plain.order(0) != objective(model, pairs, seed=3).order(0)


def test_a_batch_depends_on_the_step_alone_and_an_epoch_holds_each_pair_once(
    tiny: Callable[..., Any], pairs: list[Pair]
) -> None:
    task = objective(scalar(tiny()), pairs, pairs=5, micro_batches=2)
    seen = [[part.index_B.tolist() for part in task.batch(step)] for step in range(8)]
    assert [len(part) for part in seen[0]] == [3, 2]
    for step in (6, 1, 7):
        fresh = objective(scalar(tiny()), pairs, pairs=5, micro_batches=2)
        assert [part.index_B.tolist() for part in fresh.batch(step)] == seen[step]
    order = [i for step in seen for part in step for i in part]
    assert sorted(order[:12]) == sorted(order[12:24]) == list(range(12)) and order[:12] != order[12:24]


def member(scores: list[float]) -> Any:
    return lambda ids_BT, mask_BT, scored_BT=None: torch.tensor(scores)


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("mean", [1.0, 0.5]), ("min", [0.0, -1.0]), ("mean_minus_std", [1.0 - 0.5 * 1.0, 0.5 - 0.5 * 1.5])],
)
def test_ensemble_by_hand(aggregate: Any, expected: list[float]) -> None:
    # Normalised: (10, 10 - 5) -> 2, 2 with mean 8, std 1, ...: rows (2, 2) and (0, -1)
    ensemble = Ensemble((member([10.0, 10.0]), member([3.0, 1.0])), (8.0, 3.0), (1.0, 2.0), aggregate, 0.5, FP32)
    rows = sequence_batch([Encoded([1, 4], [False, True])] * 2, 0)
    score_MB = ensemble.normalised(rows)
    assert score_MB.tolist() == [[2.0, 2.0], [0.0, -1.0]]
    assert ensemble.combine(score_MB).tolist() == pytest.approx(expected)


def test_one_member_is_an_ensemble_of_its_own_score() -> None:
    ensemble = Ensemble((member([1.0, 4.0]),), (2.0,), (0.5,), "mean_minus_std", 9.0, FP32)
    rows = SimpleNamespace(ids_BT=None, mask_BT=None, scored_BT=None)
    assert ensemble.combine(ensemble.normalised(rows)).tolist() == [-2.0, 4.0]  # type: ignore[arg-type]
