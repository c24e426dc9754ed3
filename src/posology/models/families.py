"""What differs between families of causal LMs: where adapters go, how attention is masked, whether our forward is theirs.

Llama, Mistral, Qwen, Gemma, Phi and GPT-2 are tested. Any other that transformers loads is tried on one row before
training: where the loss of our forward pass is not the model's own, it is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from posology.config import ConfigError, UserError
from posology.models.quiet import quiet

ALL_LINEAR = "all-linear"
# Where queries and values are projected: Llama's names, then those of families that project them together.
DEFAULT_TARGETS = (("q_proj", "v_proj"), ("qkv_proj",), ("c_attn",), ("query_key_value",))
TOLERANCE = 0.02  # of the loss: bf16 rounds differently by route; a wrong mask or position is off by far more


def linear_names(model: nn.Module) -> set[str]:
    """Last names of the layers that can take adapters; the output head is none of them."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and module is not head
    }


def resolve_targets(model: nn.Module, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the layers that get adapters: those asked for; all for ("all-linear",); () leaves it to the family."""
    known = linear_names(model)
    if asked and asked != (ALL_LINEAR,):
        if missing := [name for name in asked if name not in known]:
            raise ConfigError(
                f"lora targets: no layer is called {missing[0]!r}",
                f"this model has {', '.join(sorted(known))}; or {ALL_LINEAR}",
            )
        return asked
    family = next((names for names in DEFAULT_TARGETS if known.issuperset(names)), None)
    return tuple(sorted(known)) if asked or family is None else family


def is_transposed(model: nn.Module, targets: tuple[str, ...]) -> bool:
    """Whether the targets keep their weights as (in, out), as GPT-2's Conv1D does."""
    return any(
        isinstance(module, Conv1D) for name, module in model.named_modules() if name.rpartition(".")[2] in targets
    )


def positions_of(model: Any) -> int | None:
    """How many tokens the model reads; None where its config sets no limit."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions else None


@torch.no_grad()
def require_same_loss(model: Any, ids: list[int], loss: float) -> None:
    """UserError unless `loss`, ours on the row of `ids`, is what the model itself says of it."""
    row_1T = torch.tensor([ids], device=model.device)
    training = bool(model.training)
    model.eval()
    with quiet():
        theirs = float(model(input_ids=row_1T, labels=row_1T, use_cache=False).loss)
    model.train(training)
    if not abs(theirs - loss) <= TOLERANCE * max(abs(theirs), 1.0):
        raise UserError(
            f"models of type {model.config.model_type} cannot be trained here: on one row their own loss is "
            f"{theirs:.4f} nats a token, that of this program's forward pass {loss:.4f}",
            "Llama, Mistral, Qwen, Gemma, Phi and GPT-2 models are tested",
        )


def attention_masks(trunk: Any, seen_BQK: Tensor, positions_BT: Tensor) -> Tensor | dict[str, Tensor]:
    """The (B, 1, T, T) mask in the form that a family reads, with its sliding window where rows are longer.

    Families that mix windowed and full layers take a mask for each kind; "eager" attention adds its mask to the scores.
    """
    config = trunk.config
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if not window or (kinds and "sliding_attention" not in kinds) or seen_BQK.shape[-1] <= window:
        return _form(trunk, seen_BQK)
    near_BQK = (positions_BT[:, None, :, None] - positions_BT[:, None, None, :]) < window
    if len(kinds) < 2:
        return _form(trunk, seen_BQK & near_BQK)
    return {"full_attention": _form(trunk, seen_BQK), "sliding_attention": _form(trunk, seen_BQK & near_BQK)}


def _form(trunk: Any, seen_BQK: Tensor) -> Tensor:
    if getattr(trunk.config, "_attn_implementation", "") != "eager":
        return seen_BQK
    dtype = trunk.get_input_embeddings().weight.dtype
    return torch.zeros_like(seen_BQK, dtype=dtype).masked_fill_(~seen_BQK, torch.finfo(dtype).min)
