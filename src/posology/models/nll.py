"""-log p(token) from hidden states, without a (N, V) tensor of fp32 logits. Legend: N places, D width, V vocabulary.

Over a vocabulary of thousands, the softmax in fp32 took a third of a training step on a CPU. Here logits are made and
turned into probabilities a few hundred places at a time, while they lie in the processor's cache; what is kept for the
gradient are the probabilities, in the precision of the products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posology.models.packed import SCALINGS, head_logits

PIECE = 256  # places whose logits are made at a time


def token_nll(model: Any, hidden_ND: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) fp32 of -log p(target), with gradient, and (N,) of bool: was the target the most likely token.

    Products run in autocast's type where autocast is on; the softmax and the result are fp32.
    """
    head = model.get_output_embeddings()
    scaled = any(getattr(model.config, name, None) for name in SCALINGS)
    double = hidden_ND.dtype == torch.float64  # for gradients against finite differences
    if type(head) is not nn.Linear or head.bias is not None or scaled or double or hidden_ND.device.type != "cpu":
        logits_NV = head_logits(model, hidden_ND).to(torch.float64 if double else torch.float32)
        nll_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
        return nll_N, logits_NV.detach().argmax(-1) == targets_N
    return linear_nll(hidden_ND, head.weight, targets_N)


def linear_nll(hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """The same for logits = hidden @ weight.T."""
    if hidden_ND.device.type != "cpu":
        logits_NV = F.linear(hidden_ND, weight_VD).float()
        nll_N = F.cross_entropy(logits_NV, targets_N, reduction="none")
        return nll_N, logits_NV.detach().argmax(-1) == targets_N
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else weight_VD.dtype
    with torch.autocast("cpu", enabled=False):
        nll_N, hit_N = _LinearNll.apply(hidden_ND.to(dtype), weight_VD.to(dtype), targets_N)  # type: ignore[no-untyped-call]  # torch gives `apply` no types
    return nll_N, hit_N


class _LinearNll(torch.autograd.Function):
    """Cross-entropy of softmax(hidden @ weight.T); its gradient on the logits is (p - onehot) * grad."""

    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        places = hidden_ND.shape[0]
        nll_N = torch.empty(places)
        hit_N = torch.empty(places, dtype=torch.bool)
        kept = any(ctx.needs_input_grad)
        p_NV = hidden_ND.new_empty(places if kept else 0, weight_VD.shape[0])
        for start in range(0, places, PIECE):
            piece = slice(start, start + PIECE)
            logits = F.linear(hidden_ND[piece], weight_VD).float()
            target = logits.gather(1, targets_N[piece, None]).squeeze(1)
            top = logits.amax(-1)
            p = torch.softmax(logits, -1)
            # log of the sum of exponentials, by way of the largest term: p_top = exp(top) / sum, and p_top >= 1 / V
            nll_N[piece] = top - p.amax(-1).log() - target
            hit_N[piece] = target == top
            if kept:
                p_NV[piece] = p
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N, p_NV)
        ctx.mark_non_differentiable(hit_N)
        return nll_N, hit_N

    @staticmethod
    def backward(ctx: Any, grad_N: Tensor, _: Tensor) -> tuple[Tensor, Tensor | None, None]:
        hidden_ND, weight_VD, targets_N, p_NV = ctx.saved_tensors
        p_NV[torch.arange(len(targets_N)), targets_N] -= 1
        p_NV.mul_(grad_N.to(p_NV.dtype)[:, None])
        frozen = not ctx.needs_input_grad[1]  # under LoRA
        return p_NV @ weight_VD, None if frozen else p_NV.t() @ hidden_ND, None
