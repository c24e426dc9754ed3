"""Every equation of the five stages, as pure functions. Legend: B rows, T positions, N tokens, V vocabulary.

All of them return one value a row or token, so that the caller decides over what to average. Log-probabilities,
losses and KL are in nats; inputs are float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the entries where `mask` is true (0 if there are none)."""
    return (x * mask).sum() / mask.sum().clamp_min(1)


def whiten(x_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Shift and scale so that the masked entries have mean 0 and variance 1. Returns a new tensor, 0 off the mask."""
    mean = masked_mean(x_BT, mask_BT)
    variance = masked_mean((x_BT - mean) ** 2, mask_BT)
    return (x_BT - mean) * torch.rsqrt(variance + 1e-8) * mask_BT


def bradley_terry(margin_B: Tensor, label_B: Tensor) -> Tensor:
    """-[q log sigma(m) + (1 - q) log sigma(-m)] for margin m = r_chosen - r_rejected and label q.

    Bradley & Terry 1952; as a reward loss: Ouyang et al. 2022 (InstructGPT), eq. 1, where q = 1. ln 2 at m = 0.
    """
    return -(label_B * F.logsigmoid(margin_B) + (1 - label_B) * F.logsigmoid(-margin_B))


def centering(chosen_B: Tensor, rejected_B: Tensor) -> Tensor:
    """(r_w + r_l)^2, which holds scores near zero without touching margins (Eisenstein et al. 2023, sec. 2)."""
    return (chosen_B + rejected_B) ** 2


def dpo_sigmoid(margin_B: Tensor, beta: float) -> Tensor:
    """-log sigma(beta * h), h = log-ratio of chosen minus log-ratio of rejected. Rafailov et al. 2023, eq. 7."""
    return -F.logsigmoid(beta * margin_B)


def dpo_conservative(margin_B: Tensor, beta: float, label_smoothing: float) -> Tensor:
    """DPO under labels that are flipped with probability `label_smoothing` (Mitchell 2023, conservative DPO, eq. 3)."""
    return -(1 - label_smoothing) * F.logsigmoid(beta * margin_B) - label_smoothing * F.logsigmoid(-beta * margin_B)


def ipo(mean_margin_B: Tensor, beta: float) -> Tensor:
    """(h - 1 / (2 beta))^2 on log-ratios averaged per token (Azar et al. 2023, eq. 17)."""
    return (mean_margin_B - 1 / (2 * beta)) ** 2


def gae(rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates and returns (Schulman et al. 2016, eq. 16). Returns (advantages, returns).

    Only masked positions are steps of the episode: positions in between (a value that the calculator inserted) pass
    through untouched, as if the next own token followed at once. The value after the last own token is 0.
    """
    advantages = torch.zeros_like(rewards_BT)
    running_B = torch.zeros_like(rewards_BT[:, 0])
    next_value_B = torch.zeros_like(running_B)
    for t in reversed(range(rewards_BT.shape[1])):
        own_B = mask_BT[:, t].to(rewards_BT.dtype)
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        step_B = delta_B + gamma * lam * running_B
        advantages[:, t] = step_B * own_B
        running_B = torch.where(own_B > 0, step_B, running_B)
        next_value_B = torch.where(own_B > 0, values_BT[:, t], next_value_B)
    return advantages, (advantages + values_BT) * mask_BT


def ppo_clip(logp: Tensor, old_logp: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """-min(rho A, clip(rho, 1 - eps, 1 + eps) A) for rho = pi / pi_old (Schulman et al. 2017, eq. 7)."""
    ratio = (logp - old_logp).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


def value_loss(value: Tensor, old_value: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error, pessimistic when the value moved by more than `clip` (0: no clipping).

    Detail 9 of Huang et al. 2022, "The 37 implementation details of PPO".
    """
    error = (value - returns) ** 2
    if clip:
        clipped = old_value + (value - old_value).clamp(-clip, clip)
        error = torch.maximum(error, (clipped - returns) ** 2)
    return 0.5 * error


def entropy(logits_NV: Tensor) -> Tensor:
    """Entropy of each token's distribution, nats."""
    log_probs = F.log_softmax(logits_NV, -1)
    return -(log_probs.exp() * log_probs).sum(-1)


def explained_variance(predicted: Tensor, actual: Tensor) -> float:
    """1 - Var(actual - predicted) / Var(actual); 0 where `actual` does not vary, at most 1."""
    variance = actual.var(unbiased=False)
    if variance < 1e-12:
        return 0.0
    return float(1 - (actual - predicted).var(unbiased=False) / variance)
