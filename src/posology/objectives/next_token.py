"""Pretraining and supervised fine-tuning: one objective with two masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from posology.errors import UserError
from posology.models.device import device_of
from posology.models.nll import token_nll
from posology.models.packed import hidden_at
from posology.models.sharded import through
from posology.objectives.policy import Precision
from posology.seeds import numpy_stream
from posology.text.chat import Encoded
from posology.text.packing import IGNORED, PackedRow, pack
from posology.training.batches import TokenBatch, pad_rows
from posology.training.objective import Metrics

METRICS = {
    "loss": "nats per scored token, -log p(token | what came before)",
    "accuracy": "share of scored tokens that are the most likely token",
}
EVALUATION = {
    **METRICS,
    "bits_per_byte": "bits of the scored text / its UTF-8 bytes: comparable between tokenizers (if bytes are known)",
}


class NextToken:
    """Cross-entropy on the scored tokens of packed rows.

    `train` and `heldout` are encoded examples; `heldout_bytes` is the number of UTF-8 bytes that held-out targets
    stand for. An epoch's rows are packed in an order that depends on (seed, name, epoch) alone. An example longer than
    a row is left out, never cut; `dropped` counts those of `train`. UserError if no example fits.
    """

    stride = 1

    def __init__(
        self, name: str, model: nn.Module, train: Sequence[Encoded], heldout: Sequence[Encoded], *,
        tokens: int, row: int, seed: int, precision: Precision, vocabulary: int, micro_batches: int = 1,
        heldout_bytes: int = 0, from_scratch: bool = False, packing: bool = True,
    ) -> None:  # fmt: skip
        self.name = name
        self.modules: Mapping[str, nn.Module] = {"model": model}
        self.model, self.train, self.seed, self.precision = model, train, seed, precision
        self.row, self.rows, self.micro_batches, self.packing = row, max(tokens // row, 1), micro_batches, packing
        self.heldout_bytes = heldout_bytes
        ln_v = math.log(vocabulary)
        self.expected_start = (0.95 * ln_v, 1.1 * ln_v, "ln V") if from_scratch else None
        self.dropped = sum(len(example) > row for example in train)
        if self.dropped == len(train):
            raise UserError(f"{name}: none of {len(train)} examples fits a row of {row} tokens", f"raise {name}.row")
        self._epoch: tuple[int, list[TokenBatch]] | None = None
        self._lengths: dict[int, int] = {}
        self._heldout = self._pack(heldout, list(range(len(heldout))))

    def _pack(self, examples: Sequence[Encoded], order: Sequence[int]) -> list[TokenBatch]:
        """Whole steps of packed rows; the last, smaller one is kept, so that every example is seen once an epoch."""
        groups = [order] if self.packing else [[index] for index in order]
        rows = [row for group in groups for row in pack(examples, self.row, group).rows]
        return [to_batch(rows[i : i + self.rows]) for i in range(0, len(rows), self.rows)]

    def batch(self, step: int) -> Sequence[TokenBatch]:
        epoch, start = 0, step
        while start >= self.steps(epoch):
            start -= self.steps(epoch)
            epoch += 1
        return self._split(self._batches(epoch)[start])

    def _split(self, whole: TokenBatch) -> list[TokenBatch]:
        size = -(-whole.rows_in // self.micro_batches)
        return [whole.rows(slice(i, i + size)) for i in range(0, whole.rows_in, size)]

    def steps(self, epoch: int) -> int:
        """How many steps an epoch has: first-fit packing makes it depend a little on the order."""
        if epoch not in self._lengths:
            self._lengths[epoch] = len(self._batches(epoch))
        return self._lengths[epoch]

    def _batches(self, epoch: int) -> list[TokenBatch]:
        if self._epoch is None or self._epoch[0] != epoch:
            order = numpy_stream(self.seed, self.name, "order", epoch).permutation(len(self.train))
            self._epoch = (epoch, self._pack(self.train, order.tolist()))
        return self._epoch[1]

    def loss(self, batch: TokenBatch) -> tuple[Tensor, Metrics]:
        batch = batch.to(device_of(self.model))
        with self.precision():
            nll_N, hit_N = through(self.model, self._token_nll, batch)
        total = nll_N.sum()
        count = max(len(nll_N), 1)
        return total, {"loss": float(total.detach()) / count, "accuracy": float(hit_N.sum()) / count}

    def _token_nll(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        scored_BT = batch.targets_BT != IGNORED
        hidden_ND = hidden_at(self.model, batch.ids_BT, batch.positions_BT, batch.segments_BT, scored_BT)
        return token_nll(self.model, hidden_ND, batch.targets_BT[scored_BT])

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        if not self._heldout:
            return {}
        self.model.eval()
        loss = hits = tokens = 0.0
        for batch in (part for whole in self._heldout for part in self._split(whole)):
            total, metrics = self.loss(batch)
            loss, hits, tokens = loss + float(total), hits + metrics["accuracy"] * batch.weight, tokens + batch.weight
        self.model.train()
        figures = {"loss": loss / max(tokens, 1), "accuracy": hits / max(tokens, 1)}
        if self.heldout_bytes:
            figures["bits_per_byte"] = loss / math.log(2) / self.heldout_bytes
        return figures


def to_batch(rows: Sequence[PackedRow]) -> TokenBatch:
    """Packed rows -> tensors, padded on the right; padding is segment 0 and never a target."""
    return TokenBatch(
        pad_rows([row.ids for row in rows], 0),
        pad_rows([row.positions for row in rows], 0),
        pad_rows([row.segments for row in rows], 0),
        pad_rows([row.targets for row in rows], IGNORED),
    )
