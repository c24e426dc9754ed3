"""Log-probabilities of answer tokens: an independent forward pass, padding on either side, temperature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.models.precision import pick_precision
from posology.objectives.pairs import sequence_batch
from posology.objectives.policy import score_tokens
from posology.text.chat import Encoded
from posology.training.batches import SequenceBatch, pad_rows

FP32 = pick_precision("fp32")


def left_padded(rows: list[Encoded], pad: int) -> SequenceBatch:
    return SequenceBatch(
        pad_rows([row.ids for row in rows], pad, "left"),
        pad_rows([[1] * len(row) for row in rows], 0, "left").bool(),
        pad_rows([[int(own) for own in row.scored] for row in rows], 0, "left").bool(),
    )


def test_each_scored_token_is_read_from_the_place_before_it(
    tiny: Callable[..., Any], dialogues: list[Encoded], independent_logps: Callable[[Any, Encoded], list[float]]
) -> None:
    model = tiny(spread=8.0)
    rows = sequence_batch(dialogues, 0)
    scored = score_tokens(model, rows, FP32)
    expected = [independent_logps(model, row) for row in dialogues]
    assert scored.logp_N.tolist() == pytest.approx([logp for row in expected for logp in row], abs=1e-5)
    assert scored.per_row(scored.logp_N, 8).tolist() == pytest.approx([sum(row) for row in expected], abs=1e-4)
    spread_BT = scored.spread(scored.logp_N, rows.ids_BT)
    assert (spread_BT[~rows.scored_BT] == 0).all() and torch.equal(spread_BT[rows.scored_BT], scored.logp_N)


@pytest.mark.parametrize("pad", [0, 4])
def test_padding_on_either_side_changes_nothing(tiny: Callable[..., Any], dialogues: list[Encoded], pad: int) -> None:
    """Also with the end token as padding: the mask is what counts, never the pad id."""
    model = tiny(spread=8.0)
    right = score_tokens(model, sequence_batch(dialogues, pad), FP32).logp_N
    left = score_tokens(model, left_padded(dialogues, pad), FP32).logp_N
    alone = torch.cat([score_tokens(model, sequence_batch([row], pad), FP32).logp_N for row in dialogues])
    assert torch.allclose(right, alone, atol=1e-5) and torch.allclose(left, alone, atol=1e-5)


def test_temperature_divides_the_logits(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    model = tiny(spread=8.0)
    rows = sequence_batch(dialogues, 0)
    plain, cold = score_tokens(model, rows, FP32), score_tokens(model, rows, FP32, temperature=0.5)
    assert torch.allclose(cold.logits_NV, 2 * plain.logits_NV, atol=1e-5)
    assert not torch.allclose(cold.logp_N, plain.logp_N, atol=0.1)


def test_log_probs_are_float32_under_bf16(tiny: Callable[..., Any], dialogues: list[Encoded]) -> None:
    scored = score_tokens(tiny(), sequence_batch(dialogues, 0), pick_precision("bf16"))
    assert scored.logits_NV.dtype == scored.logp_N.dtype == torch.float32


def test_a_scored_first_token_is_our_mistake(tiny: Callable[..., Any]) -> None:
    with pytest.raises(AssertionError, match="first token"):
        score_tokens(tiny(), sequence_batch([Encoded([1, 4], [True, True])], 0), FP32)
