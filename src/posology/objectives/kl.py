"""How far the policy has moved: four estimates of KL(policy || reference), and the controller that holds it.

With samples from the policy and logr = log pi_ref - log pi (Schulman 2020, "Approximating KL divergence"):
k1 = -logr is unbiased and may be negative in a sample; k2 = logr^2 / 2 is biased, low variance;
k3 = e^logr - 1 - logr is unbiased and never negative. `exact_kl` sums over the vocabulary at each sampled prefix
(Rao-Blackwellised, Amini et al. 2025): unbiased, never negative and the least noisy; the controller reads it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def k1(logp: Tensor, reference_logp: Tensor) -> Tensor:
    return logp - reference_logp


def k2(logp: Tensor, reference_logp: Tensor) -> Tensor:
    return 0.5 * (reference_logp - logp) ** 2


def k3(logp: Tensor, reference_logp: Tensor) -> Tensor:
    logr = reference_logp - logp
    return torch.expm1(logr) - logr


def exact_kl(logits_NV: Tensor, reference_logits_NV: Tensor) -> Tensor:
    """KL(policy || reference) of each token's distribution, in nats, summed over the vocabulary: (N,).

    Clamped at 0: rounding can leave -1e-7.
    """
    log_p = F.log_softmax(logits_NV, -1)
    log_q = F.log_softmax(reference_logits_NV, -1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_min(0)


class KlController(nn.Module):
    """Adaptive coefficient beta (Ziegler et al. 2019, sec. 2.2), a buffer: saved and restored like a weight.

    error = clip(kl / target - 1, -0.2, 0.2); beta <- beta * (1 + error * n / horizon), within [floor, ceiling].
    Their horizon of 10,000 answers cannot move beta in a short run; ours is stated in answers by the config.
    """

    beta: Tensor

    def __init__(
        self, beta: float, target: float, horizon: float, floor: float, ceiling: float, *, adaptive: bool = True
    ) -> None:
        super().__init__()
        self.register_buffer("beta", torch.tensor(float(beta), dtype=torch.float64))
        self.target, self.horizon, self.floor, self.ceiling, self.adaptive = target, horizon, floor, ceiling, adaptive

    def update(self, kl_nats: float, answers: int) -> None:
        """Take one rollout's mean exact KL (nats an answer) over `answers` answers."""
        if not self.adaptive:
            return
        error = min(max(kl_nats / self.target - 1, -0.2), 0.2)
        self.beta.mul_(1 + error * answers / self.horizon).clamp_(self.floor, self.ceiling)
