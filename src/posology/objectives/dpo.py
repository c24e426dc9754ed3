"""Direct preference optimisation (Rafailov et al. 2023), with an anchor that keeps the chosen answer likely."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from posology.objectives.losses import dpo_conservative, dpo_sigmoid, ipo
from posology.objectives.pairs import Order, Pair, both, pair_batch
from posology.objectives.policy import Precision, score_tokens
from posology.training.batches import PairBatch
from posology.training.objective import Metrics

METRICS = {
    "loss": "nats a pair: preference term + anchor * mean negative log-likelihood of the chosen answer",
    "preference": "nats a pair, the preference term alone: ln 2 while policy = reference (sigmoid)",
    "anchor": "nats a token, negative log-likelihood of the chosen answer under the policy",
    "accuracy": "share of pairs whose implicit reward beta * log-ratio is higher for the chosen answer (a tie counts half)",
    "margin": "mean implicit reward of chosen minus rejected",
    "chosen_shift": "nats an answer, log pi - log pi_ref of the chosen answer; falling below 0 is the alarm",
    "rejected_shift": "nats an answer, log pi - log pi_ref of the rejected answer",
}


class DpoObjective:
    """Train a policy on pairs against a frozen reference: another model, or the policy with its adapter off.

    Log-probabilities are sums over the answer's own tokens, the end token included. A pair's reference log-probs
    are computed once, when the pair is first met, and kept.
    """

    stride = 1

    def __init__(
        self, name: str, model: nn.Module, reference: nn.Module | None, train: Sequence[Pair],
        heldout: Mapping[str, Sequence[Pair]], *, pairs: int, beta: float,
        variant: Literal["sigmoid", "conservative", "ipo"], label_smoothing: float, anchor: float, seed: int, pad: int,
        precision: Precision, micro_batches: int = 1,
    ) -> None:  # fmt: skip
        self.name = name
        self.modules: Mapping[str, nn.Module] = {"model": model}
        self.model, self.reference, self.train, self.heldout = model, reference, train, heldout
        self.beta, self.variant, self.label_smoothing, self.anchor = beta, variant, label_smoothing, anchor
        self.pad, self.precision, self.micro_batches = pad, precision, micro_batches
        self.order = Order(seed, name, len(train), pairs)
        self.expected_start = (math.log(2) - 1e-4, math.log(2) + 1e-4, "ln 2") if variant == "sigmoid" else None
        self.start_metric = "preference"
        self._reference: dict[tuple[str, int], tuple[float, float]] = {}
        if reference is not None:
            reference.requires_grad_(False).eval()

    def batch(self, step: int) -> Sequence[PairBatch]:
        rows = self.order(step)
        size = -(-len(rows) // self.micro_batches)
        return [pair_batch(self.train, rows[i : i + size], self.pad) for i in range(0, len(rows), size)]

    def loss(self, batch: PairBatch) -> tuple[Tensor, Metrics]:
        return self._loss(batch, "train")

    def _loss(self, batch: PairBatch, split: str) -> tuple[Tensor, Metrics]:
        logp_2B, tokens_2B = self._log_probs(self.model, batch)
        shift_2B = logp_2B - self._reference_log_probs(batch, split)
        chosen_B, rejected_B = shift_2B.chunk(2)
        tokens_chosen_B, tokens_rejected_B = tokens_2B.chunk(2)
        margin_B = chosen_B - rejected_B
        if self.variant == "ipo":
            mean_margin_B = chosen_B / tokens_chosen_B - rejected_B / tokens_rejected_B
            preference_B = ipo(mean_margin_B, self.beta)
        elif self.variant == "conservative":
            preference_B = dpo_conservative(margin_B, self.beta, self.label_smoothing)
        else:
            preference_B = dpo_sigmoid(margin_B, self.beta)
        anchor_B = -logp_2B.chunk(2)[0] / tokens_chosen_B
        loss_B = preference_B + self.anchor * anchor_B
        wins_B = (margin_B > 0).float() + 0.5 * (margin_B == 0).float()
        return loss_B.sum(), {
            "loss": float(loss_B.detach().mean()),
            "preference": float(preference_B.detach().mean()),
            "anchor": float(anchor_B.detach().mean()),
            "accuracy": float(wins_B.mean()),
            "margin": self.beta * float(margin_B.detach().mean()),
            "chosen_shift": float(chosen_B.detach().mean()),
            "rejected_shift": float(rejected_B.detach().mean()),
        }

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        """Every metric on each held-out set, as "<metric>/<set>"."""
        self.model.eval()
        figures: Metrics = {}
        for name, pairs in self.heldout.items():
            sums = dict.fromkeys(METRICS, 0.0)
            for start in range(0, len(pairs), 64):
                batch = pair_batch(pairs, list(range(start, min(start + 64, len(pairs)))), self.pad)
                for key, value in self._loss(batch, name)[1].items():
                    sums[key] += value * batch.weight
            figures |= {f"{key}/{name}": value / len(pairs) for key, value in sums.items()}
        self.model.train()
        return figures

    def _log_probs(self, model: nn.Module, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Summed log-probability of each answer and its number of tokens, chosen above rejected: (2B,), (2B,)."""
        rows = both(batch, self.pad)
        scored = score_tokens(model, rows, self.precision)
        return scored.per_row(scored.logp_N, len(rows.ids_BT)), rows.scored_BT.sum(1).float()

    @torch.no_grad()
    def _reference_log_probs(self, batch: PairBatch, split: str) -> Tensor:
        index = batch.index_B.tolist()
        if any((split, i) not in self._reference for i in index):
            training = self.model.training
            self.model.eval()
            off = contextlib.nullcontext() if self.reference is not None else self.model.disable_adapter()
            with off:
                logp_2B, _ = self._log_probs(self.reference or self.model, batch)
            self.model.train(training)
            chosen_B, rejected_B = logp_2B.chunk(2)
            for i, chosen, rejected in zip(index, chosen_B.tolist(), rejected_B.tolist(), strict=True):
                self._reference[split, i] = (chosen, rejected)
        sums = torch.tensor([self._reference[split, i] for i in index], dtype=torch.float32)
        return torch.cat([sums[:, 0], sums[:, 1]])
