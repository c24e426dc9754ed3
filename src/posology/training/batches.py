"""Tensors that objectives read. Legend: B rows, T positions, D width, V vocabulary.

Every batch knows its weight: the number of units its loss sums over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenBatch:
    """Packed or padded rows for next-token prediction.

    `segments_BT` numbers the examples inside a row from 1, 0 is padding; attention is causal and stays inside a
    segment. `positions_BT` restart at 0 in each segment. `targets_BT` is the next token where it is scored and
    -100 elsewhere (prompt, padding, calculator values, the last token of a segment).
    """

    ids_BT: Tensor
    positions_BT: Tensor
    segments_BT: Tensor
    targets_BT: Tensor

    @property
    def weight(self) -> float:
        return float((self.targets_BT != -100).sum())

    @property
    def rows_in(self) -> int:
        return self.ids_BT.shape[0]

    def rows(self, index: slice) -> TokenBatch:
        parts = (self.ids_BT, self.positions_BT, self.segments_BT, self.targets_BT)
        return TokenBatch(*(part[index] for part in parts))

    def to(self, device: torch.device) -> TokenBatch:
        parts = (self.ids_BT, self.positions_BT, self.segments_BT, self.targets_BT)
        return TokenBatch(*(part.to(device) for part in parts))


@dataclass(frozen=True)
class SequenceBatch:
    """One prompt and answer a row. `mask_BT` marks real tokens, `scored_BT` the answer tokens that are the
    policy's own (with the end token, without what the calculator inserted). scored_BT[b, t] speaks of ids_BT[b, t]."""

    ids_BT: Tensor
    mask_BT: Tensor
    scored_BT: Tensor

    def rows(self, index: Tensor | slice) -> SequenceBatch:
        return SequenceBatch(self.ids_BT[index], self.mask_BT[index], self.scored_BT[index])

    def to(self, device: torch.device) -> SequenceBatch:
        return SequenceBatch(self.ids_BT.to(device), self.mask_BT.to(device), self.scored_BT.to(device))

    @property
    def positions_BT(self) -> Tensor:
        return (self.mask_BT.long().cumsum(1) - 1).clamp_min(0)

    @property
    def weight(self) -> float:
        return float(self.ids_BT.shape[0])


@dataclass(frozen=True)
class PairBatch:
    """Row i of `rejected` is the worse answer to the same question as row i of `chosen`."""

    chosen: SequenceBatch
    rejected: SequenceBatch
    label_B: Tensor  # probability that `chosen` is the better one: 1.0, or a soft label from votes
    index_B: Tensor  # row numbers in the data set (precomputed reference log-probs are looked up by them)

    @property
    def weight(self) -> float:
        return float(self.rows_in)

    @property
    def rows_in(self) -> int:
        return self.index_B.shape[0]

    def rows(self, index: slice) -> PairBatch:
        return PairBatch(self.chosen.rows(index), self.rejected.rows(index), self.label_B[index], self.index_B[index])

    def to(self, device: torch.device) -> PairBatch:
        """The rows and labels there; the row numbers stay on the CPU, where they are looked up."""
        return PairBatch(self.chosen.to(device), self.rejected.to(device), self.label_B.to(device), self.index_B)


def pad_rows(rows: list[list[int]], value: int, side: str = "right") -> Tensor:
    """Ragged lists -> (B, T) of int64, padded on one side."""
    width = max(len(row) for row in rows)
    if side == "left":
        return torch.tensor([[value] * (width - len(row)) + row for row in rows])
    return torch.tensor([row + [value] * (width - len(row)) for row in rows])
