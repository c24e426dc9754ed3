"""Preference pairs as tensors, and the order in which they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from posology.seeds import numpy_stream
from posology.text.chat import Encoded
from posology.training.batches import PairBatch, SequenceBatch, pad_rows


@dataclass(frozen=True)
class Pair:
    """Two encoded dialogues with the same prompt tokens; `label` is the probability that `chosen` is the better."""

    chosen: Encoded
    rejected: Encoded
    label: float = 1.0


def sequence_batch(examples: Sequence[Encoded], pad: int) -> SequenceBatch:
    """Right-padded rows; the mask comes from the lengths, never from the pad id."""
    return SequenceBatch(
        pad_rows([example.ids for example in examples], pad),
        pad_rows([[1] * len(example.ids) for example in examples], 0).bool(),
        pad_rows([[int(s) for s in example.scored] for example in examples], 0).bool(),
    )


def pair_batch(pairs: Sequence[Pair], index: Sequence[int], pad: int) -> PairBatch:
    rows = [pairs[i] for i in index]
    return PairBatch(
        sequence_batch([pair.chosen for pair in rows], pad),
        sequence_batch([pair.rejected for pair in rows], pad),
        torch.tensor([pair.label for pair in rows], dtype=torch.float32),
        torch.tensor(list(index)),
    )


def both(batch: PairBatch, pad: int) -> SequenceBatch:
    """Chosen rows above rejected rows, for one forward: (2B, T)."""
    width = max(batch.chosen.ids_BT.shape[1], batch.rejected.ids_BT.shape[1])

    def stack(name: str, value: int) -> torch.Tensor:
        parts = [getattr(side, name) for side in (batch.chosen, batch.rejected)]
        return torch.cat([torch.nn.functional.pad(part, (0, width - part.shape[1]), value=value) for part in parts])

    return SequenceBatch(stack("ids_BT", pad), stack("mask_BT", 0), stack("scored_BT", 0))


class Order:
    """Row numbers of step s: a fresh permutation each epoch, a pure function of (seed, name, step)."""

    def __init__(self, seed: int, name: str, size: int, rows: int) -> None:
        if size < 1:
            raise ValueError(f"{name}: no rows to train on")
        self.seed, self.name, self.size, self.rows = seed, name, size, rows
        self._epoch: tuple[int, list[int]] | None = None
        self._first: dict[int, int] = {}

    def __call__(self, step: int) -> list[int]:
        return [self._row(step * self.rows + j) for j in range(self.rows)]

    def first_step(self, row: int) -> int:
        """The step, of the first epoch, at which a row is met for the first time."""
        if not self._first:
            self._first = {number: place // self.rows for place, number in enumerate(self._permutation(0))}
        return self._first[row]

    def _row(self, place: int) -> int:
        epoch, offset = divmod(place, self.size)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, self._permutation(epoch))
        return self._epoch[1][offset]

    def _permutation(self, epoch: int) -> list[int]:
        numbers: list[int] = numpy_stream(self.seed, self.name, "order", epoch).permutation(self.size).tolist()
        return numbers
