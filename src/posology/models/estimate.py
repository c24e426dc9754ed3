"""How much memory training will take, from the shape of a model alone: told before any weight is read.

An estimate, not a promise: allocators round up, and kernels need room of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM

from posology.models.loading import read_config
from posology.models.lora import apply_lora, trainable_parameters
from posology.models.quiet import quiet
from posology.own_config import OwnLoraConfig

ADAM = 4 + 8  # bytes a trained parameter: its gradient and two moments, fp32
SAVED = (
    34  # bytes a token, layer and unit of width that a layer keeps without recomputing (Korthikanti et al. 2022, eq. 2)
)
LOGITS = 3 * 4  # bytes a token and word of the vocabulary: logits, probabilities and their gradient, fp32


@dataclass(frozen=True)
class Estimate:
    """Bytes, but for the counts of parameters."""

    parameters: int
    trained: int
    weights: int
    optimiser: int
    activations: int
    available: int | None

    @property
    def total(self) -> int:
        return self.weights + self.optimiser + self.activations

    def words(self) -> str:
        gib = {name: getattr(self, name) / 2**30 for name in ("total", "weights", "optimiser", "activations")}
        text = (
            f"memory: about {gib['total']:.2f} GiB (weights {gib['weights']:.2f}, gradients and optimiser "
            f"{gib['optimiser']:.2f}, activations {gib['activations']:.2f}); trains {self.trained:,} of "
            f"{self.parameters:,} parameters ({self.trained / self.parameters:.3%})"
        )
        if self.available is None:
            return text
        short = "; NOT ENOUGH, try --micro-batch 1, a lower --max-tokens or --lora qlora"
        return f"{text}; free {self.available / 2**30:.2f} GiB" + (short if self.total > self.available else "")


def memory_estimate(
    folder: Path, lora: OwnLoraConfig, device: torch.device, *, rows: int, tokens: int, checkpointing: bool, copies: int = 1
) -> Estimate:  # fmt: skip
    """For `rows` rows of `tokens` tokens at a time. `copies`: frozen models beside the trained one, itself included."""
    config = read_config(folder)
    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        parameters = sum(p.numel() for p in model.parameters())
        adapted = apply_lora(model, lora.adapters) if lora.adapters is not None else model
        trained = trainable_parameters(adapted) if lora.adapters is not None else parameters
    frozen = 2 if lora.adapters is not None and device.type == "cuda" else 4
    weights = parameters * (lora.quantised / 8 if lora.quantised else frozen) * copies
    if lora.adapters is not None:
        weights += 4 * trained
    shape = config.get_text_config()
    layers, width = int(shape.num_hidden_layers), int(shape.hidden_size)
    kept = layers * 4 * width + SAVED * width if checkpointing else layers * SAVED * width
    activations = rows * tokens * (kept + LOGITS * int(shape.vocab_size))
    return Estimate(parameters, trained, int(weights), ADAM * trained, activations, _available(device))


def _available(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
