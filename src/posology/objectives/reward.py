"""Bradley-Terry reward models: one objective trains one member; an ensemble normalises and aggregates several."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from posology.models.device import device_of
from posology.models.heads import ScalarModel
from posology.objectives.losses import bradley_terry, centering
from posology.objectives.pairs import Order, Pair, both, pair_batch
from posology.objectives.policy import Precision
from posology.seeds import numpy_stream
from posology.training.batches import PairBatch, SequenceBatch
from posology.training.objective import Metrics

METRICS = {
    "loss": "nats a pair, -log sigma(r_chosen - r_rejected), with the centring term if it is on",
    "accuracy": "share of pairs where the chosen answer scores higher (a tie counts half)",
    "margin": "mean of r_chosen - r_rejected",
}


class RewardObjective:
    """Train one reward model. `heldout` maps a name ("heldout_facts" ...) to pairs; accuracies are logged by name."""

    stride = 1

    def __init__(
        self, name: str, model: ScalarModel, train: Sequence[Pair], heldout: Mapping[str, Sequence[Pair]], *,
        pairs: int, seed: int, pad: int, precision: Precision, centering_weight: float = 0.0, bootstrap: bool = False,
        micro_batches: int = 1, evaluation_rows: int = 128,
    ) -> None:  # fmt: skip
        self.name = name
        self.modules: Mapping[str, nn.Module] = {"model": model}
        self.model, self.pad, self.precision, self.centering_weight = model, pad, precision, centering_weight
        self.micro_batches, self.evaluation_rows = micro_batches, evaluation_rows
        self.heldout = heldout
        self.train = list(train)
        if bootstrap:
            draws = numpy_stream(seed, name, "bootstrap").integers(len(self.train), size=len(self.train))
            self.train = [self.train[i] for i in draws]
        self.order = Order(seed, name, len(self.train), pairs)
        # Zero head: exactly ln 2; the tolerance is float32 rounding.
        self.expected_start = (math.log(2) - 1e-4, math.log(2) + 1e-4, "ln 2")

    def batch(self, step: int) -> Sequence[PairBatch]:
        rows = self.order(step)
        size = -(-len(rows) // self.micro_batches)
        return [pair_batch(self.train, rows[i : i + size], self.pad) for i in range(0, len(rows), size)]

    def scores(self, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Float32 scores of chosen and rejected rows, from one forward."""
        rows = both(batch, self.pad).to(device_of(self.model))
        with self.precision():
            score_2B = self.model(rows.ids_BT, rows.mask_BT, scored_BT=rows.scored_BT)
        chosen_B, rejected_B = score_2B.float().chunk(2)
        return chosen_B, rejected_B

    def loss(self, batch: PairBatch) -> tuple[Tensor, Metrics]:
        chosen_B, rejected_B = self.scores(batch)
        margin_B = chosen_B - rejected_B
        loss_B = bradley_terry(margin_B, batch.label_B.to(margin_B.device))
        if self.centering_weight:
            loss_B = loss_B + self.centering_weight * centering(chosen_B, rejected_B)
        margin_B = margin_B.detach()
        return loss_B.sum(), {
            "loss": float(loss_B.detach().mean()),
            "accuracy": float(_wins(margin_B).mean()),
            "margin": float(margin_B.mean()),
        }

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        """Accuracy and loss on each held-out set, as "accuracy/<set>" and "loss/<set>"."""
        self.model.eval()
        figures: Metrics = {}
        for name, pairs in self.heldout.items():
            if not pairs:
                continue
            margin_B = self.margins(pairs)
            figures[f"accuracy/{name}"] = float(_wins(margin_B).mean())
            figures[f"loss/{name}"] = float(bradley_terry(margin_B, torch.ones_like(margin_B)).mean())
        self.model.train()
        return figures

    @torch.no_grad()
    def margins(self, pairs: Sequence[Pair]) -> Tensor:
        """r_chosen - r_rejected for each pair."""
        parts = []
        for start in range(0, len(pairs), self.evaluation_rows):
            index = range(start, min(start + self.evaluation_rows, len(pairs)))
            chosen_B, rejected_B = self.scores(pair_batch(pairs, list(index), self.pad))
            parts.append(chosen_B - rejected_B)
        return torch.cat(parts) if parts else torch.zeros(0)


def _wins(margin_B: Tensor) -> Tensor:
    return (margin_B > 0).float() + 0.5 * (margin_B == 0).float()


@dataclass(frozen=True)
class Ensemble:
    """Reward models on one scale: each member is normalised on reference answers, then they are aggregated.

    mean - lambda * std is the lower confidence bound of Coste et al. 2024, "Reward model ensembles help mitigate
    overoptimization" (their uncertainty-weighted objective uses the variance; we use the standard deviation).
    """

    members: tuple[ScalarModel, ...]
    mean: tuple[float, ...]  # of each member's scores on the reference answers
    std: tuple[float, ...]
    aggregate: Literal["mean", "min", "mean_minus_std"]
    std_weight: float
    precision: Precision

    @torch.no_grad()
    def normalised(self, rows: SequenceBatch) -> Tensor:
        """Each member's score in units of its own standard deviation on the reference answers: (M, B)."""
        with self.precision():
            score_MB = torch.stack(
                [member(rows.ids_BT, rows.mask_BT, scored_BT=rows.scored_BT).float() for member in self.members]
            )
        mean_M1, std_M1 = (score_MB.new_tensor(x)[:, None] for x in (self.mean, self.std))
        return (score_MB - mean_M1) / std_M1

    def combine(self, score_MB: Tensor) -> Tensor:
        """(M, B) normalised scores -> (B,) rewards."""
        if self.aggregate == "min":
            return score_MB.min(0).values
        mean_B = score_MB.mean(0)
        if self.aggregate == "mean" or len(score_MB) == 1:
            return mean_B
        return mean_B - self.std_weight * score_MB.std(0, unbiased=False)
