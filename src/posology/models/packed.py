"""The forward pass over packed or padded rows. Legend: B rows, T positions, D width, V vocabulary, N scored places.

A row holds examples one after another; `segments_BT` numbers them from 1 and is 0 on padding. Attention is causal
and stays inside a segment, so that a packed example has the same loss and gradient as one alone. Padding attends
to padding: its outputs are finite and nobody reads them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from posology.models.families import attention_masks
from posology.models.layout import layout_of
from posology.models.stream import can_stream, stream_hidden

SCALINGS = ("logit_scale", "logits_scaling", "final_logit_softcapping")  # what some families do to their logits


def segment_mask(segments_BT: Tensor) -> Tensor:
    """(B, 1, T, T) of bool: True where a query (third axis) may look at a key (fourth)."""
    same = segments_BT[:, :, None] == segments_BT[:, None, :]
    causal = torch.ones(segments_BT.shape[1], segments_BT.shape[1], dtype=torch.bool, device=segments_BT.device).tril()
    return (same & causal)[:, None]


def hidden_states(model: Any, ids_BT: Tensor, positions_BT: Tensor, segments_BT: Tensor) -> Tensor:
    """(B, T, D): what the output head reads, after the last norm. `model` is a causal LM, or a trunk without a head.

    Where only some places are read, `hidden_at` costs less.
    """
    trunk = trunk_of(model)
    if can_stream(trunk, segments_BT):
        layout = layout_of(segments_BT, ids_BT, positions_BT)
        hidden_ND = stream_hidden(trunk, ids_BT, positions_BT, layout)
        places, tokens_N = layout.tokens_N, None
        if layout.shared:
            places = (layout.where >= 0).nonzero().squeeze(1)
            tokens_N = layout.where[places]
        flat = hidden_ND.new_zeros(ids_BT.numel(), hidden_ND.shape[1])
        flat = flat.index_copy(0, places, hidden_ND if tokens_N is None else hidden_ND[tokens_N])
        return flat.view(*ids_BT.shape, -1)
    masks = attention_masks(trunk, segment_mask(segments_BT), positions_BT)
    output = trunk(input_ids=ids_BT, position_ids=positions_BT, attention_mask=masks, use_cache=False)
    hidden: Tensor = output.last_hidden_state
    return hidden


def hidden_at(model: Any, ids_BT: Tensor, positions_BT: Tensor, segments_BT: Tensor, read_BT: Tensor) -> Tensor:
    """(N, D): `hidden_states(...)[read_BT]` for a mask of real places, without the work that only other places need."""
    trunk = trunk_of(model)
    if can_stream(trunk, segments_BT):
        layout = layout_of(segments_BT, ids_BT, positions_BT)
        read_N = layout.where[read_BT.flatten()]
        assert bool((read_N >= 0).all()), "padding has no hidden state to read"
        if not layout.shared:
            return stream_hidden(trunk, ids_BT, positions_BT, layout, read_N)
        once_R, again_N = torch.unique(read_N, return_inverse=True)
        return stream_hidden(trunk, ids_BT, positions_BT, layout, once_R)[again_N]
    return hidden_states(model, ids_BT, positions_BT, segments_BT)[read_BT]


def head_logits(model: Any, hidden: Tensor) -> Tensor:
    """(..., V): the output head on hidden states of any leading shape, with the family's scaling if it has one."""
    head = model.get_output_embeddings()
    if hidden.dtype == torch.float32 and head.weight.dtype in (torch.bfloat16, torch.float16):
        logits = F.linear(hidden, head.weight.float(), None if head.bias is None else head.bias.float())
    else:
        logits = head(hidden)
    times, divisor, cap = (getattr(model.config, name, None) for name in SCALINGS)  # Cohere, Granite, Gemma
    if times:
        logits = logits * times
    if divisor:
        logits = logits / divisor
    if cap:
        logits = torch.tanh(logits / cap) * cap
    return logits


def forward_packed(model: Any, ids_BT: Tensor, positions_BT: Tensor, segments_BT: Tensor) -> Tensor:
    """(B, T, V) logits of every place. Where few places are scored, `hidden_states` and `head_logits` cost less."""
    return head_logits(model, hidden_states(model, ids_BT, positions_BT, segments_BT))


def mask_layout(mask_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Positions and segments of one padded example a row, padding on either side: positions count real tokens."""
    segments_BT = mask_BT.long()
    return (segments_BT.cumsum(1) - 1).clamp_min(0), segments_BT


def trunk_of(model: Any) -> Any:
    """The model without its output head, adapters kept: what `hidden_states` runs."""
    if hasattr(model, "peft_config") and hasattr(model, "get_base_model"):
        model = model.get_base_model()  # peft puts its layers inside the base model
    return model.base_model if model.get_output_embeddings() is not None else model
