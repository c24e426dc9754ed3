"""Direct preference optimisation (Rafailov et al. 2023), with an anchor that keeps the chosen answer likely."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from posology.models.memory import dropout_off
from posology.objectives.losses import dpo_conservative, dpo_sigmoid, ipo
from posology.objectives.pairs import Order, Pair, both, pair_batch
from posology.objectives.policy import Precision, frozen, score_tokens
from posology.training.batches import PairBatch
from posology.training.engine import Engine
from posology.training.objective import Metrics

METRICS = {
    "loss": "nats a pair: preference term + anchor * mean negative log-likelihood of the chosen answer",
    "preference": "nats a pair, the preference term alone: ln 2 while policy = reference (sigmoid)",
    "anchor": "nats a token, negative log-likelihood of the chosen answer under the policy",
    "accuracy": "share of pairs whose implicit reward, beta * log-ratio, is higher for the chosen answer (tie: half)",
    "margin": "mean implicit reward of chosen minus rejected",
    "chosen_shift": "nats an answer, log pi - log pi_ref of the chosen answer; falling below 0 is the alarm",
    "rejected_shift": "nats an answer, log pi - log pi_ref of the rejected answer",
}


class DpoObjective:
    """Train a policy on pairs against a frozen reference: another model, or the policy with its adapter off.

    Log-probabilities are sums over the answer's own tokens, the end token included. Dropout is off: noise in log pi
    that log pi_ref does not have would enter every margin. A pair's reference log-probs are computed once and kept.
    Labels of pairs are not read: `label_smoothing` speaks for all of them.
    """

    stride = 1

    def __init__(
        self, name: str, model: nn.Module, reference: nn.Module | None, train: Sequence[Pair],
        heldout: Mapping[str, Sequence[Pair]], *, pairs: int, beta: float,
        variant: Literal["sigmoid", "conservative", "ipo"], label_smoothing: float, anchor: float, seed: int, pad: int,
        precision: Precision, micro_batches: int = 1, evaluation_rows: int = 64, engine: Engine | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.modules: Mapping[str, nn.Module] = {"model": model}
        self.frozen: Mapping[str, nn.Module] = {} if reference is None else {"reference": reference}
        self.engine = engine or Engine()
        self.model, self.reference, self.train, self.heldout = model, reference, train, heldout
        self.beta, self.variant, self.label_smoothing, self.anchor = beta, variant, label_smoothing, anchor
        self.pad, self.precision, self.micro_batches = pad, precision, micro_batches
        self.evaluation_rows = evaluation_rows
        self.order = Order(seed, name, len(train), pairs)
        self.expected_start = None if variant == "ipo" else (math.log(2) - 1e-4, math.log(2) + 1e-4, "ln 2")
        self.start_metric = "preference"
        self._reference: dict[tuple[str, int], tuple[float, float]] = {}
        if reference is not None:
            reference.requires_grad_(False).eval()

    def batch(self, step: int) -> Sequence[PairBatch]:
        batches = self._batches(step)
        self.model.eval()
        for batch in batches:  # here, where every process has all of the step's pairs and they can share the work
            self._reference_log_probs(batch, "train")
        return batches

    def _batches(self, step: int) -> Sequence[PairBatch]:
        rows = self.order(step)
        size = -(-len(rows) // self.micro_batches)
        return [pair_batch(self.train, rows[i : i + size], self.pad) for i in range(0, len(rows), size)]

    def loss(self, batch: PairBatch) -> tuple[Tensor, Metrics]:
        return self._loss(batch, "train")

    def _loss(self, batch: PairBatch, split: str) -> tuple[Tensor, Metrics]:
        dropout_off(self.model)
        logp_2B, tokens_2B = self._log_probs(self.model, batch)
        shift_2B = logp_2B - self._reference_log_probs(batch, split).to(logp_2B.device)
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
        figures: Metrics = {}
        for name, pairs in self.heldout.items():
            if not pairs:
                continue
            sums = dict.fromkeys(METRICS, 0.0)
            for start in range(0, len(pairs), self.evaluation_rows):
                stop = min(start + self.evaluation_rows, len(pairs))
                batch = pair_batch(pairs, list(range(start, stop)), self.pad)
                for key, value in self._loss(batch, name)[1].items():
                    sums[key] += value * batch.weight
            figures |= {f"{key}/{name}": value / len(pairs) for key, value in sums.items()}
        return figures

    def _log_probs(self, model: nn.Module, batch: PairBatch) -> tuple[Tensor, Tensor]:
        """Summed log-probability of each answer and its number of tokens, chosen above rejected: (2B,), (2B,)."""
        rows = both(batch, self.pad)
        scored = score_tokens(model, rows, self.precision)
        tokens_2B = rows.scored_BT.sum(1).clamp_min(1).float()
        return scored.per_row(scored.logp_N, len(rows.ids_BT)), tokens_2B.to(scored.logp_N.device)

    def _reference_log_probs(self, batch: PairBatch, split: str) -> Tensor:
        """log pi_ref of the chosen answers above the rejected ones: (2B,)."""
        index = batch.index_B.tolist()
        for i in index:
            if (split, i) not in self._reference:
                self._keep_reference(split, self.order.first_step(i) if split == "train" else None, batch)
        sums = torch.tensor([self._reference[split, i] for i in index])
        return torch.cat([sums[:, 0], sums[:, 1]])

    @torch.no_grad()
    def _keep_reference(self, split: str, home: int | None, batch: PairBatch) -> None:
        """Compute and keep the reference log-probs of `batch`, or of the pairs whose first step is `home`.

        A sum of floats depends on the batch that it was computed in. So a training pair is always computed in the
        batch in which it comes first, wherever a run was interrupted: resumed = uninterrupted, bit for bit.
        """
        for part in [batch] if home is None else self._batches(home):
            share, counts = self.engine.share(part)
            with frozen(self.model, self.reference) as reference:
                logp_2B, _ = self._log_probs(reference, share)
            logp_B2 = torch.zeros(part.rows_in, 2)
            if counts:
                logp_B2[self.engine.mine] = torch.stack(logp_2B.chunk(2), 1).cpu()
            self.engine.add_up(logp_B2)
            for i, (chosen, rejected) in zip(part.index_B.tolist(), logp_B2.tolist(), strict=True):
                if home is None or self.order.first_step(i) == home:
                    self._reference.setdefault((split, i), (chosen, rejected))
