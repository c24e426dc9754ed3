"""Sampling from the likeliest tokens alone. Legend: B rows, V vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor


def keep_likely(logits_BV: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits with -inf for all but the `top_k` likeliest tokens (0: all), and of these all but the nucleus: the fewest
    whose probabilities sum to `top_p` (Holtzman et al. 2020, eq. 2). The likeliest token always stays."""
    if top_k and top_k < logits_BV.shape[-1]:
        least_B1 = logits_BV.topk(top_k).values[:, -1:]
        logits_BV = logits_BV.masked_fill(logits_BV < least_B1, float("-inf"))
    if top_p < 1:
        sorted_BV, order_BV = logits_BV.sort(descending=True, stable=True)
        p_BV = sorted_BV.softmax(-1)
        before_BV = p_BV.cumsum(-1) - p_BV  # what the likelier ones sum to
        out_BV = torch.zeros_like(before_BV, dtype=torch.bool).scatter(1, order_BV, before_BV >= top_p)
        logits_BV = logits_BV.masked_fill(out_BV, float("-inf"))
    return logits_BV
