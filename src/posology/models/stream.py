"""Llama's forward pass over a flat stream of tokens, for training and scoring on a CPU.

The weights are Hugging Face's modules and the results are theirs (a test compares both); only the route differs:

- tokens of all rows form one stream without padding, so that no matrix product is spent on padding;
- attention runs over blocks of segments of similar length, as two matrix products (on a CPU, torch's own attention
  takes seven times as long forward and backward in bf16 at 64 tokens, and packed rows make it look at every key);
- the last layer's output projection and MLP are worked out only where the caller reads them.

Legend: N tokens of the stream, R places read, S segments of a block, L its longest segment, H heads, E a head's width,
D width, M the MLP's width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRotaryEmbedding

from posology.models.layout import Block, Layout

LONGEST = 512  # tokens of a row: attention keeps S * H * L * L probabilities
PIECE = 512  # tokens that elementwise work takes at a time: its temporaries then stay in the processor's cache


def can_stream(trunk: Any, segments_BT: Tensor) -> bool:
    """Whether `trunk` is a plain Llama on a CPU that this file knows in every detail."""
    if type(trunk) is not LlamaModel or segments_BT.device.type != "cpu" or not bool((segments_BT > 0).any()):
        return False
    config = trunk.config
    plain = (
        config.hidden_act == "silu"
        and config.num_key_value_heads == config.num_attention_heads
        and (config.rope_parameters or {}).get("rope_type", "default") == "default"
        and type(trunk.rotary_emb) is LlamaRotaryEmbedding
        and not config.attention_bias
        and not config.mlp_bias
        and not (trunk.training and config.attention_dropout)
        and trunk.embed_tokens.weight.dtype != torch.float64  # norms are worked in float32 here
    )
    return plain and int(segments_BT.shape[1]) <= LONGEST and all(_is_plain(layer) for layer in trunk.layers)


def _is_plain(layer: Any) -> bool:
    if type(layer) is not LlamaDecoderLayer:  # a sharded one gathers its weights when it is called itself
        return False
    attention, mlp = layer.self_attn, layer.mlp
    parts = (attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj)
    return all(type(part) is nn.Linear for part in (*parts, mlp.gate_proj, mlp.up_proj, mlp.down_proj))


def stream_hidden(
    trunk: Any,
    ids_BT: Tensor,
    positions_BT: Tensor,
    layout: Layout,
    read_R: Tensor | None = None,
    kept: list[Tensor] | None = None,
) -> Tensor:
    """(R, D): hidden states after the last norm at the stream places `read_R` (no place twice); all N of them if None.

    Under bf16 autocast the products run in bf16 and the residual stream stays fp32, as in Hugging Face's own pass.
    `kept` receives each layer's (N, 3 H, E) of turned queries, turned keys and values, for a cache.
    """
    dtype = compute_dtype(trunk)
    with torch.autocast("cpu", enabled=False):
        ids_N, positions_N = ids_BT.flatten()[layout.tokens_N], positions_BT.flatten()[layout.tokens_N]
        turn = rotation(trunk, positions_N)
        hidden_ND = F.embedding(ids_N, trunk.embed_tokens.weight)
        last = len(trunk.layers) - 1
        for number, layer in enumerate(trunk.layers):
            attended = _attention(layer, hidden_ND, turn, layout, dtype, kept)
            if number == last and read_R is not None:
                attended, hidden_ND = _pick(attended, read_R), _pick(hidden_ND, read_R)
            hidden_ND = hidden_ND + F.linear(attended, layer.self_attn.o_proj.weight.to(dtype))
            hidden_ND = hidden_ND + _mlp(layer, hidden_ND, dtype)
        return _norm(trunk.norm, hidden_ND, hidden_ND.dtype)


def compute_dtype(trunk: Any) -> torch.dtype:
    """What products run in: autocast's type inside autocast, the weights' own otherwise."""
    dtype: torch.dtype = trunk.embed_tokens.weight.dtype
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else dtype


def _attention(
    layer: Any, hidden_ND: Tensor, turn: Tensor, layout: Layout, dtype: torch.dtype, kept: list[Tensor] | None
) -> Tensor:
    attention = layer.self_attn
    normed = _norm(layer.input_layernorm, hidden_ND, dtype)
    weights = (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
    qkv = F.linear(normed, torch.cat([weight.to(dtype) for weight in weights]))
    return _applied(_BlockAttention, qkv, turn, layout.blocks, attention.head_dim, kept)


def _mlp(layer: Any, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    mlp = layer.mlp
    normed = _norm(layer.post_attention_layernorm, hidden, dtype)
    both = F.linear(normed, torch.cat([mlp.gate_proj.weight.to(dtype), mlp.up_proj.weight.to(dtype)]))
    return F.linear(_applied(_SwiGlu, both), mlp.down_proj.weight.to(dtype))


def _applied(function: type[torch.autograd.Function], *given: Any) -> Tensor:
    out: Tensor = function.apply(*given)  # type: ignore[no-untyped-call]  # torch gives `apply` no types
    return out


def _pick(x: Tensor, index: Tensor) -> Tensor:
    return _applied(_Pick, x, index)


def _norm(norm: Any, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    return _applied(_RmsNorm, hidden, norm.weight, norm.variance_epsilon, dtype)


def rotation(trunk: Any, positions_N: Tensor) -> Tensor:
    """(2, N, 1, E/2): cosines and sines of each token's rotary angles (Su et al. 2021, eq. 34), fp32."""
    angles = positions_N[:, None].float() * trunk.rotary_emb.inv_freq.float()
    return torch.stack([angles.cos(), angles.sin()])[:, :, None]


def rotate(heads: Tensor, turn: Tensor, sign: float, out: Tensor) -> None:
    """Turn each head's pairs (i, i + E/2) by +angle (sign 1) or back (sign -1) into `out`; `out` may be `heads`."""
    half = heads.shape[-1] // 2
    for start in range(0, heads.shape[0], PIECE):
        piece = slice(start, start + PIECE)
        cos, sin = turn[0, piece], turn[1, piece]
        a, b = heads[piece].float().chunk(2, -1)
        left, right = torch.mul(a, cos).addcmul_(b, sin, value=-sign), torch.mul(b, cos).addcmul_(a, sin, value=sign)
        out[piece, ..., :half], out[piece, ..., half:] = left, right


class _BlockAttention(torch.autograd.Function):
    """softmax(q k^T / sqrt(E)) v (Vaswani et al. 2017, eq. 1), causal inside each segment, block by block.

    Written out with its gradient because of the layout: stream in, stream out, padded only in between.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, turn: Tensor, blocks: tuple[Block, ...], head: int, cache: list[Tensor] | None
    ) -> Tensor:
        tokens, width = qkv.shape
        heads = width // (3 * head)
        turned = torch.empty_like(qkv).view(tokens, 3 * heads, head)
        rotate(qkv.view_as(turned)[:, : 2 * heads], turn, 1.0, turned[:, : 2 * heads])
        turned[:, 2 * heads :] = qkv.view_as(turned)[:, 2 * heads :]
        if cache is not None:
            cache.append(turned)
        out = qkv.new_empty(tokens, heads * head)
        kept = []
        for block in blocks:
            q, k, v = _to_heads(turned[block.start : block.stop].flatten(1), block, 3, heads)
            weights = torch.matmul(q, k.transpose(1, 2)).mul_(head**-0.5)
            weights.view(block.count, heads, block.length, block.length).add_(block.bias(weights.dtype))
            weights = torch.softmax(weights, -1)
            out[block.start : block.stop] = _to_stream([torch.matmul(weights, v)], block, heads)
            kept += [q, k, v, weights]
        ctx.save_for_backward(turn, *kept)
        ctx.blocks, ctx.heads, ctx.head = blocks, heads, head
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        turn, *kept = ctx.saved_tensors
        heads, head = ctx.heads, ctx.head
        tokens = grad.shape[0]
        out = grad.new_empty(tokens, 3 * heads, head)
        for number, block in enumerate(ctx.blocks):
            q, k, v, weights = kept[4 * number : 4 * number + 4]
            (g,) = _to_heads(grad[block.start : block.stop], block, 1, heads)
            grad_v = torch.matmul(weights.transpose(1, 2), g)
            grad_weights = torch.matmul(g, v.transpose(1, 2))
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype).mul_(head**-0.5)
            grad_q = torch.matmul(grad_scores, k)
            grad_k = torch.matmul(grad_scores.transpose(1, 2), q)
            out[block.start : block.stop] = _to_stream([grad_q, grad_k, grad_v], block, heads).view(-1, 3 * heads, head)
        rotate(out[:, : 2 * heads], turn, -1.0, out[:, : 2 * heads])
        return out.flatten(1), None, None, None, None


def _to_heads(tokens: Tensor, block: Block, parts: int, heads: int) -> tuple[Tensor, ...]:
    """(n, parts * H * E) of a block's tokens -> `parts` times (S * H, L, E), 0 where a segment is shorter than L."""
    grid = tokens.new_zeros(block.count * block.length, tokens.shape[1])
    grid.index_copy_(0, block.slots_N, tokens)
    split = grid.view(block.count, block.length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, block.count * heads, block.length, -1).unbind(0)


def _to_stream(parts: list[Tensor], block: Block, heads: int) -> Tensor:
    """The inverse: `parts` of (S * H, L, E) -> (n, parts * H * E), padding left out."""
    grids = [part.view(block.count, heads, block.length, -1).transpose(1, 2) for part in parts]
    return torch.stack(grids, 2).view(block.count * block.length, -1).index_select(0, block.slots_N)


class _RmsNorm(torch.autograd.Function):
    """x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019, eq. 4), worked in fp32, returned in `dtype`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
        out = torch.empty_like(x, dtype=dtype)
        scale = torch.empty(x.shape[0], 1)
        for start in range(0, x.shape[0], PIECE):
            piece = slice(start, start + PIECE)
            x32 = x[piece].float()
            square = torch.linalg.vecdot(x32, x32)[:, None].div_(x.shape[1])
            scale[piece] = square.add_(eps).rsqrt_()
            out[piece] = (x32 * scale[piece]).mul_(weight)
        ctx.save_for_backward(x, weight, scale)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        grad_x, grad_weight = torch.empty_like(x), torch.zeros(weight.shape)
        for start in range(0, x.shape[0], PIECE):
            piece = slice(start, start + PIECE)
            grad32, normed = grad[piece].float(), x[piece].float() * scale[piece]
            grad_weight += (grad32 * normed).sum(0)
            grad_normed = grad32 * weight
            share = torch.linalg.vecdot(grad_normed, normed)[:, None].div_(x.shape[1])
            grad_x[piece] = grad_normed.addcmul_(normed, share, value=-1).mul_(scale[piece])
        return grad_x, grad_weight.to(weight.dtype), None, None


class _SwiGlu(torch.autograd.Function):
    """silu(gate) * up (Shazeer 2020, eq. 6) for (R, 2 M) -> (R, M)."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        ctx.save_for_backward(both)
        out = both.new_empty(both.shape[0], both.shape[1] // 2)
        for start in range(0, both.shape[0], PIECE):
            gate, up = both[start : start + PIECE].chunk(2, -1)
            torch.mul(F.silu(gate), up, out=out[start : start + PIECE])
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        out = torch.empty_like(both)
        for start in range(0, both.shape[0], PIECE):
            piece = slice(start, start + PIECE)
            gate, up = both[piece].chunk(2, -1)
            grad_gate, grad_up = out[piece].chunk(2, -1)
            torch.mul(grad[piece], F.silu(gate), out=grad_up)
            grad_gate.copy_(torch.ops.aten.silu_backward(grad[piece] * up, gate))
        return out


class _Pick(torch.autograd.Function):
    """x[index] for an index without repeats: its gradient is a copy, not a sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.rows = x.shape[0]
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return grad.new_zeros(ctx.rows, *grad.shape[1:]).index_copy_(0, index, grad), None
