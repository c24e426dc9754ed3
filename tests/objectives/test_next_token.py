"""Pretraining and SFT: masks by hand, packed = padded, accumulated = whole, memory, and pure batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.errors import UserError
from posology.models.precision import pick_precision
from posology.objectives import next_token
from posology.objectives.next_token import NextToken, to_batch
from posology.text.chat import Encoded
from posology.text.packing import pack

FP32 = pick_precision("fp32")
N = -100


def objective(model: Any, rows: list[Encoded], **settings: Any) -> NextToken:
    settings = {"tokens": 512, "row": 32, "seed": 0, "precision": FP32, "vocabulary": 48, **settings}
    return NextToken("sft", model, rows, settings.pop("heldout", []), **settings)


def step_gradient(task: NextToken, step: int = 0) -> tuple[float, list[torch.Tensor]]:
    """Mean loss and gradient of one optimiser step, as the loop takes it: sums / weight of the whole step."""
    parts = task.batch(step)
    weight = sum(part.weight for part in parts)
    task.model.zero_grad()
    total = 0.0
    for part in parts:
        loss = task.loss(part)[0] / weight
        loss.backward()
        total += float(loss.detach())
    return total, [p.grad.clone() for p in task.model.parameters() if p.grad is not None]


def test_token_and_mask_rows_are_these() -> None:
    question = Encoded([1, 2, 9, 3, 20, 5, 21, 6, 22, 7, 23, 4], [False] * 4 + [True] * 4 + [False] * 2 + [True] * 2)
    document = Encoded([1, 30, 31, 4], [False, True, True, True])
    batch = to_batch(pack([question, document], 20, [0, 1]).rows)
    assert batch.ids_BT.tolist() == [[1, 2, 9, 3, 20, 5, 21, 6, 22, 7, 23, 4, 1, 30, 31, 4]]
    assert batch.positions_BT.tolist() == [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3]]
    assert batch.segments_BT.tolist() == [[1] * 12 + [2] * 4]
    # The calculator's value 22 and its mark 7 are no targets; nor is the second example's first token.
    assert batch.targets_BT.tolist() == [[N, N, N, 20, 5, 21, 6, N, N, 23, 4, N, 30, 31, 4, N]]
    assert batch.weight == 9
    padded = to_batch(pack([question, document], 12, [0, 1]).rows)
    assert padded.ids_BT[1].tolist() == [1, 30, 31, 4] + [0] * 8
    assert padded.segments_BT[1].tolist() == [1] * 4 + [0] * 8
    assert padded.targets_BT[1].tolist() == [30, 31, 4] + [N] * 9


def test_loss_starts_near_ln_v(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    task = objective(tiny(vocabulary=640), dialogues, vocabulary=640, from_scratch=True)
    (batch,) = task.batch(0)
    loss = task.loss(batch)[1]["loss"]
    assert loss == pytest.approx(math.log(640), rel=0.02)
    assert task.expected_start is not None and task.expected_start[0] < loss < task.expected_start[1]


def test_loss_is_the_mean_of_each_scored_tokens_log_probability(
    tiny: Callable[..., Any], dialogues: list[Encoded], independent_logps: Callable[[Any, Encoded], list[float]]
) -> None:
    model = tiny(spread=8.0)
    expected = [logp for row in dialogues for logp in independent_logps(model, row)]
    task = objective(model, dialogues)
    (batch,) = task.batch(0)
    assert batch.weight == len(expected) == sum(sum(row.scored) for row in dialogues)
    assert task.loss(batch)[1]["loss"] == pytest.approx(-sum(expected) / len(expected), abs=1e-5)


def test_packed_equals_padded_in_loss_and_gradient(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    model = tiny(spread=4.0)
    packed = objective(model, dialogues)
    padded = objective(copy.deepcopy(model), dialogues, packing=False)
    assert packed.batch(0)[0].ids_BT.shape[0] < padded.batch(0)[0].ids_BT.shape[0] == 8
    (one, gradient), (other, reference) = step_gradient(packed), step_gradient(padded)
    assert one == pytest.approx(other, abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradient, reference, strict=True))


def test_accumulated_equals_whole(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    model = tiny(spread=4.0)
    whole, parts = (objective(copy.deepcopy(model), dialogues, micro_batches=n, packing=False) for n in (1, 3))
    weights = [part.weight for part in parts.batch(0)]
    assert len(weights) == 3 and len(set(weights)) > 1  # ragged
    (one, gradient), (other, reference) = step_gradient(whole), step_gradient(parts)
    assert one == pytest.approx(other, abs=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradient, reference, strict=True))
    means = [parts.loss(part)[1]["loss"] for part in parts.batch(0)]
    assert abs(sum(means) / 3 - one) > 1e-4  # the average of averages, which this is not


def test_eight_rows_can_be_memorised(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    task = objective(tiny(), dialogues, heldout=dialogues)
    optimiser = torch.optim.AdamW(task.model.parameters(), lr=0.01)
    for step in range(70):
        step_gradient(task, step)
        optimiser.step()
    figures = task.evaluate()
    assert figures["loss"] < 0.05
    assert figures["accuracy"] == 1.0


def test_rows_without_a_target_give_zero_and_no_nan(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), [Encoded([1, 2, 9, 3], [False] * 4)])
    (batch,) = task.batch(0)
    total, metrics = task.loss(batch)
    total.backward()
    assert float(total.detach()) == 0 and batch.weight == 0
    assert metrics == {"loss": 0.0, "accuracy": 0.0}
    assert all(p.grad is None or (p.grad == 0).all() for p in task.model.parameters())


def test_a_batch_depends_on_the_step_alone(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    model = tiny()
    straight = objective(model, dialogues, tokens=64)
    seen = [straight.batch(step)[0] for step in range(9)]
    for step in (7, 2, 8, 0, 2):
        (batch,) = objective(model, dialogues, tokens=64).batch(step)
        assert torch.equal(batch.ids_BT, seen[step].ids_BT) and torch.equal(batch.targets_BT, seen[step].targets_BT)
        (again,) = straight.batch(step)
        assert torch.equal(again.ids_BT, seen[step].ids_BT)
    other = objective(model, dialogues, tokens=64, seed=1)
    assert any(not torch.equal(other.batch(step)[0].ids_BT, seen[step].ids_BT) for step in range(9))


def test_every_example_is_seen_once_an_epoch(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    task = objective(tiny(), dialogues, tokens=64)
    scored = sum(sum(row.scored) for row in dialogues)
    weights = [task.batch(step)[0].weight for step in range(12)]
    ends = [sum(weights[: n + 1]) for n in range(12)]
    assert scored in ends and 2 * scored in ends
    half = ends.index(scored) + 1
    assert [task.batch(step)[0].ids_BT.tolist() for step in range(half)] != [
        task.batch(step)[0].ids_BT.tolist() for step in range(half, 2 * half)
    ]  # in a fresh order


def test_too_long_examples_are_counted_and_never_cut(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    long = Encoded([1, *[9] * 40, 4], [False, *[True] * 41])
    task = objective(tiny(), [*dialogues, long])
    assert task.dropped == 1
    assert task.batch(0)[0].weight == sum(sum(row.scored) for row in dialogues)
    with pytest.raises(UserError, match="none of 1 examples fits a row of 32 tokens"):
        objective(tiny(), [long])


def test_figures_have_these_names_and_bits_per_byte_is_by_hand(
    tiny: Callable[..., Any], dialogues: list[Encoded]
) -> None:
    model = tiny()
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()  # tied to the output: every token is equally likely
    task = objective(model, dialogues, heldout=dialogues[:2], heldout_bytes=20)
    assert task.loss(task.batch(0)[0])[1].keys() == next_token.METRICS.keys()
    figures = task.evaluate()
    assert figures.keys() == next_token.EVALUATION.keys()
    tokens = sum(sum(row.scored) for row in dialogues[:2])
    assert figures["loss"] == pytest.approx(math.log(48), abs=1e-6)
    assert figures["bits_per_byte"] == pytest.approx(tokens * math.log2(48) / 20, abs=1e-5)
    assert objective(model, dialogues).evaluate() == {}  # nothing was held out, so nothing was measured
