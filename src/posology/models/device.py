"""Which device a model computes on: the fastest there is, or the one that was asked for."""

from __future__ import annotations

from typing import Any

import torch

from posology.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(asked: str = "auto") -> torch.device:
    """ "auto" is a CUDA GPU where one is there, then Apple's, then the CPU. ConfigError for one that is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked == "auto":
        return torch.device(next(name for name in ("cuda", "mps", "cpu") if there[name]))
    if asked not in there:
        raise ConfigError(f"bad value device = {asked!r}", f"allowed: {', '.join(DEVICES)}")
    if not there[asked]:
        raise ConfigError(f"device {asked} was asked for, and none is there", "use device=auto")
    return torch.device(asked)


def device_of(model: Any) -> torch.device:
    """Where a model's weights lie."""
    device: torch.device = next(model.parameters()).device
    return device
