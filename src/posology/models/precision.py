"""Which precision a stage computes in: bf16 autocast where the processor has it, fp32 elsewhere.

Weights, optimiser state, losses and scores stay fp32 either way.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from posology.config import ConfigError

FAST_BF16 = ("avx512_bf16", "amx_bf16")  # without one of these, bf16 on a CPU is slower than fp32


@dataclass(frozen=True)
class Precision:
    """`with precision():` around a forward pass."""

    name: str  # "bf16" or "fp32"
    device: str = "cpu"

    def __call__(self) -> AbstractContextManager[object]:
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device, dtype=torch.bfloat16)


def pick_precision(asked: str = "auto", device: str = "cpu") -> Precision:
    """ "auto" becomes bf16 where it is fast, otherwise fp32. ConfigError for anything but auto, bf16, fp32."""
    if asked not in ("auto", "bf16", "fp32"):
        raise ConfigError(f"bad value precision = {asked!r}", "auto, bf16 or fp32")
    if asked == "auto":
        fast = torch.cuda.is_bf16_supported() if device == "cuda" else cpu_has_bf16()
        asked = "bf16" if fast else "fp32"
    return Precision(asked, device)


@cache
def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bf16 matrices in hardware."""
    flags = _cpu_flags()
    return any(flag in flags for flag in FAST_BF16)


def _cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The processor's feature flags, as torch sees them, otherwise as Linux does; empty where neither says."""
    try:
        capabilities = torch.cpu.get_capabilities()
        return {str(name) for name, present in capabilities.items() if present is True}
    except (AttributeError, RuntimeError):
        pass
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {flag for line in lines if line.startswith("flags") for flag in line.partition(":")[2].split()}
