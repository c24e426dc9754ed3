"""Decoding with a cache: prompts in, then one token a row and step. Legend: B rows, T places, V vocabulary, H heads,
E a head's width, D width.

`LlamaDecoder` runs a plain Llama on a CPU from its Hugging Face weights. `CacheDecoder` runs any Hugging Face causal
LM with that library's own cache. Both keep prompts to the left-padded end of the same columns, so that all rows write
their next token into one column; masks and positions are explicit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import DynamicCache

from posology.models.layout import layout_of
from posology.models.packed import head_logits, trunk_of
from posology.models.sharded import through
from posology.models.stream import can_stream, compute_dtype, rotate, rotation, stream_hidden

GROWTH = 32  # columns a cache grows by: compact caches read faster than wide ones that are mostly empty


class Decoder(Protocol):
    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompts; (B, V) fp32 logits of each row's next token."""
        ...

    def step(self, ids_B: Tensor) -> Tensor:
        """Append one token to each row; (B, V) fp32 logits of the next."""
        ...

    def keep(self, index: Tensor) -> None:
        """Go on with these rows only."""
        ...


def make_decoder(model: Any, pad: int) -> Decoder:
    """The fast decoder where it applies, otherwise Hugging Face's cache."""
    trunk = trunk_of(model)
    simple = getattr(model.config, "model_type", "") == "llama" and type(model).__name__ == "LlamaForCausalLM"
    probe = torch.ones(1, 1, dtype=torch.long, device=model.device)
    return LlamaDecoder(model, trunk) if simple and can_stream(trunk, probe) else CacheDecoder(model, pad)


class LlamaDecoder:
    """A Llama's decoding step, its weights cast and joined once."""

    def __init__(self, model: Any, trunk: Any) -> None:
        self.trunk = trunk
        self.dtype = dtype = compute_dtype(trunk)
        self.heads = trunk.config.num_attention_heads
        self.embedding = trunk.embed_tokens.weight.detach()
        self.head = model.get_output_embeddings().weight.detach().to(dtype)
        self.norm = trunk.norm.weight.detach().float()
        self.layers = [_Weights(layer, dtype) for layer in trunk.layers]
        self.eps = trunk.config.rms_norm_eps

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        number_of = {prompt: number for number, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
        logits = self._read(list(number_of))
        if len(number_of) == len(prompts):
            return logits
        index = torch.tensor([number_of[tuple(prompt)] for prompt in prompts])  # several answers to one prompt
        self.keep(index)
        return logits[index]

    def _read(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        rows, width = len(prompts), max(len(prompt) for prompt in prompts)
        lengths_B = torch.tensor([len(prompt) for prompt in prompts])
        segments_BT = (torch.arange(width) < lengths_B[:, None]).long()
        ids_BT = torch.zeros(rows, width, dtype=torch.long)
        ids_BT[segments_BT.bool()] = torch.tensor([token for prompt in prompts for token in prompt])
        positions_BT = torch.arange(width).expand(rows, width)
        layout = layout_of(segments_BT)
        last_B = layout.where.view(rows, width).gather(1, lengths_B[:, None] - 1).squeeze(1)
        kept: list[Tensor] = []
        hidden_BD = stream_hidden(self.trunk, ids_BT, positions_BT, layout, last_B, kept)

        self.positions_B = lengths_B
        self.filled = width
        room = -(-(width + 1) // GROWTH) * GROWTH
        row_N = layout.tokens_N // width
        column_N = layout.tokens_N % width + (width - lengths_B)[row_N]
        self.bias_BT = torch.full((rows, room), float("-inf"), dtype=self.dtype)
        self.bias_BT[:, :width].masked_fill_(segments_BT.flip(1).bool(), 0.0)
        self.caches = []
        for turned in kept:
            for part in torch.split(turned, self.heads, 1)[1:]:
                cache = turned.new_zeros(rows, self.heads, room, part.shape[-1])
                cache.permute(0, 2, 1, 3)[row_N, column_N] = part
                self.caches.append(cache)
        return F.linear(hidden_BD.to(self.dtype), self.head).float()

    def step(self, ids_B: Tensor) -> Tensor:
        if self.filled == self.bias_BT.shape[1]:
            self._grow()
        column, rows = self.filled, ids_B.shape[0]
        self.bias_BT[:, column] = 0.0
        turn = rotation(self.trunk, self.positions_B)
        x_BD = F.embedding(ids_B, self.embedding)
        for number, layer in enumerate(self.layers):
            qkv = F.linear(self._normed(x_BD, layer.norm), layer.qkv).view(rows, 3 * self.heads, -1)
            turned = torch.empty_like(qkv[:, : 2 * self.heads])
            rotate(qkv[:, : 2 * self.heads], turn, 1.0, turned)
            query, key = turned.chunk(2, 1)
            keys, values = self.caches[2 * number], self.caches[2 * number + 1]
            keys[:, :, column], values[:, :, column] = key, qkv[:, 2 * self.heads :]
            x_BD = x_BD + F.linear(self._attend(query, keys, values), layer.out)
            gate, up = F.linear(self._normed(x_BD, layer.mlp_norm), layer.gate_up).chunk(2, -1)
            x_BD = x_BD + F.linear(F.silu(gate).mul_(up), layer.down)
        self.filled += 1
        self.positions_B = self.positions_B + 1
        return F.linear(self._normed(x_BD, self.norm), self.head).float()

    def keep(self, index: Tensor) -> None:
        self.bias_BT, self.positions_B = self.bias_BT[index], self.positions_B[index]
        self.caches = [cache.index_select(0, index) for cache in self.caches]

    def _attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, H E): softmax(q k^T / sqrt(E)) v with one query a row, as two batched products."""
        rows, heads, width = query.shape
        scores = torch.bmm(keys.view(rows * heads, -1, width), (query * width**-0.5).view(rows * heads, width, 1))
        scores = scores.view(rows, heads, -1) + self.bias_BT[:, None]
        weights = torch.softmax(scores, -1).view(rows * heads, 1, -1)
        return torch.bmm(weights, values.view(rows * heads, -1, width)).view(rows, heads * width)

    def _normed(self, x_BD: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x_BD, (x_BD.shape[-1],), weight, self.eps).to(self.dtype)

    def _grow(self) -> None:
        self.bias_BT = F.pad(self.bias_BT, (0, GROWTH), value=float("-inf"))
        self.caches = [F.pad(cache, (0, 0, 0, GROWTH)) for cache in self.caches]


class _Weights:
    """One layer's weights: norms in fp32, products in `dtype`, joined where they share an input."""

    def __init__(self, layer: Any, dtype: torch.dtype) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm = layer.input_layernorm.weight.detach().float()
        self.mlp_norm = layer.post_attention_layernorm.weight.detach().float()
        self.qkv = _joined((attention.q_proj, attention.k_proj, attention.v_proj), dtype)
        self.out = _joined((attention.o_proj,), dtype)
        self.gate_up = _joined((mlp.gate_proj, mlp.up_proj), dtype)
        self.down = _joined((mlp.down_proj,), dtype)


def _joined(parts: Sequence[Any], dtype: torch.dtype) -> Tensor:
    return torch.cat([part.weight.detach().to(dtype) for part in parts])


class CacheDecoder:
    """Any causal LM of Hugging Face, through its DynamicCache."""

    def __init__(self, model: Any, pad: int) -> None:
        self.model, self.pad = model, pad
        self.device = model.device

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Tensor:
        width = max(len(prompt) for prompt in prompts)
        ids_BT = torch.tensor([[self.pad] * (width - len(p)) + list(p) for p in prompts], device=self.device)
        self.mask_BT = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        self.cache = DynamicCache(config=self.model.config)
        return self._forward(ids_BT, (self.mask_BT.cumsum(1) - 1).clamp_min(0))

    def step(self, ids_B: Tensor) -> Tensor:
        self.mask_BT = F.pad(self.mask_BT, (0, 1), value=1)
        return self._forward(ids_B[:, None], self.mask_BT.sum(1, keepdim=True) - 1)

    def keep(self, index: Tensor) -> None:
        self.mask_BT = self.mask_BT[index]
        self.cache.batch_select_indices(index)

    def _forward(self, ids_BT: Tensor, positions_BT: Tensor) -> Tensor:
        return through(self.model, self._next, ids_BT, positions_BT)

    def _next(self, ids_BT: Tensor, positions_BT: Tensor) -> Tensor:
        hidden_BTD = trunk_of(self.model)(
            input_ids=ids_BT,
            attention_mask=self.mask_BT,
            position_ids=positions_BT,
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        return head_logits(self.model, hidden_BTD[:, -1]).float()
