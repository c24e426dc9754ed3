"""The gain of a model's last norm: every logit is proportional to it."""

from __future__ import annotations

from typing import Any

from posology.errors import UserError
from posology.models.packed import trunk_of


def last_gain(model: Any) -> str:
    """The name of the last norm's gain, by which every logit scales; UserError where there is none, or it is frozen."""
    trunk = trunk_of(model)
    norm = next((part for part in reversed(list(trunk.children())) if getattr(part, "weight", None) is not None), None)
    gain = None if norm is None or "rmsnorm" not in type(norm).__name__.lower() else norm.weight
    name = next((name for name, parameter in model.named_parameters() if parameter is gain), "")
    if gain is None or not name or not gain.requires_grad or "gemma" in type(norm).__name__.lower():
        raise UserError(
            "scale_learning_rate: this model has no gain of a last norm that can be trained",
            "Llama, Mistral and Qwen have one, without an adapter; set scale_learning_rate: 0",
        )
    return name
