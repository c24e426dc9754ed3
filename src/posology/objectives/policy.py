"""A language model read as a policy: log-probabilities of answer tokens.

Legend: B rows, T positions, N scored tokens, V vocabulary. The head runs on scored positions alone, in float32:
log-probabilities are compared between policies, and a bfloat16 logit of 20 is off by up to 0.06.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from posology.models.device import device_of
from posology.models.lora import reference_policy
from posology.models.packed import head_logits, hidden_at
from posology.models.sharded import through
from posology.training.batches import SequenceBatch

Precision = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True)
class Scored:
    """Scored tokens, flattened row by row: token n is ids[row_N[n], position_N[n]]."""

    logits_NV: Tensor  # float32, already divided by the temperature
    logp_N: Tensor  # log-probability of the token that stands there
    row_N: Tensor
    position_N: Tensor

    def per_row(self, x_N: Tensor, rows: int) -> Tensor:
        """Sum a value of each token over its row: (N,) -> (B,)."""
        return x_N.new_zeros(rows).index_add(0, self.row_N, x_N)

    def spread(self, x_N: Tensor, like_BT: Tensor) -> Tensor:
        """Put a value of each token at its place in a (B, T) float tensor, 0 elsewhere."""
        out = x_N.new_zeros(like_BT.shape)
        return out.index_put((self.row_N, self.position_N), x_N)


@contextmanager
def frozen(model: Any, reference: nn.Module | None) -> Iterator[nn.Module]:
    """The reference policy: another model, or `model` with its adapters off or put back for the time being."""
    if reference is not None:
        yield reference
    else:
        with reference_policy(model):
            yield model


def score_tokens(model: nn.Module, batch: SequenceBatch, precision: Precision, temperature: float = 1.0) -> Scored:
    """Forward the rows once and read the log-probability of every scored token from the position before it."""
    assert not batch.scored_BT[:, 0].any(), "a row's first token has no token before it that could predict it"
    batch = batch.to(device_of(model))
    logits_NV = through(model, _logits, model, batch, precision) / temperature
    row_N, position_N = batch.scored_BT.nonzero(as_tuple=True)
    token_N = batch.ids_BT[row_N, position_N]
    logp_N = torch.log_softmax(logits_NV, -1).gather(1, token_N[:, None]).squeeze(1)
    return Scored(logits_NV, logp_N, row_N, position_N)


def _logits(model: nn.Module, batch: SequenceBatch, precision: Precision) -> Tensor:
    """(N, V) float32: what predicts each scored token."""
    with precision():
        before_BT = torch.nn.functional.pad(batch.scored_BT[:, 1:], (0, 1))
        hidden_ND = hidden_at(model, batch.ids_BT, batch.positions_BT, batch.mask_BT.long(), before_BT)
    return head_logits(model, hidden_ND.float())
