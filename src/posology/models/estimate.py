"""How much memory training takes in each process, from the shape of a model alone: told before any weight is read.

An estimate, not a promise: allocators round up, and kernels and communication need room of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from posology.config import ModelConfig, RunConfig
from posology.models.llama import language_model
from posology.models.loading import read_config
from posology.models.lora import apply_lora, trainable_parameters
from posology.models.quiet import quiet
from posology.models.sharded import layers_of
from posology.own_config import OwnLoraConfig

GIB = 2**30
FP32, BF16 = 4, 2  # bytes a value
ADAM = 4 + 8  # bytes a trained parameter: its gradient and two moments, fp32
KEPT = 34  # bytes a token, layer and unit of width for the backward pass (Korthikanti et al. 2022, eq. 2)
LOGITS = 3 * 4  # bytes a token and word of the vocabulary: logits, probabilities and their gradient, fp32


@dataclass(frozen=True)
class Estimate:
    """Bytes of one process, but for the counts of parameters."""

    parameters: int
    trained: int
    weights: int
    optimiser: int
    gathered: int  # whole weights of the layers at work, where each process keeps parts (fsdp2)
    activations: int
    available: int | None = None

    @property
    def total(self) -> int:
        return self.weights + self.optimiser + self.gathered + self.activations

    def words(self) -> str:
        parts = {"weights": self.weights, "gradients and optimiser": self.optimiser, "gathered layers": self.gathered,
                 "activations": self.activations}  # fmt: skip
        told = ", ".join(f"{name} {size / GIB:.2f}" for name, size in parts.items() if size)
        text = (
            f"memory: about {self.total / GIB:.2f} GiB ({told}); trains {self.trained:,} of {self.parameters:,} "
            f"parameters ({self.trained / self.parameters:.3%})"
        )
        if self.available is None:
            return text
        short = "; NOT ENOUGH, try --micro-batch 1, a lower --max-tokens, --lora qlora or --engine fsdp2 on more GPUs"
        return f"{text}; free {self.available / GIB:.2f} GiB" + (short if self.total > self.available else "")


@dataclass(frozen=True)
class Sharding:
    """Weights, gradients and moments spread over `world` processes, layers gathered in values of `bytes` bytes."""

    world: int
    bytes: int


def own_estimate(
    folder: Path, lora: OwnLoraConfig, device: torch.device, *, rows: int, tokens: int, checkpointing: bool, copies: int = 1,
    sharding: Sharding | None = None,
) -> Estimate:  # fmt: skip
    """For the model in a folder, and `rows` rows of `tokens` tokens at a time in each process.

    `copies`: models in memory, the trained one included.
    """
    config = read_config(folder)
    with torch.device("meta"), quiet():
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]  # transformers gives it no types
        stored: float = BF16 if lora.adapters is not None and device.type == "cuda" else FP32
        stored = lora.quantised / 8 if lora.quantised else stored
        layers = _layers(model)
        parameters = sum(p.numel() for p in model.parameters())
        trained = parameters
        if lora.adapters is not None:
            trained = trainable_parameters(apply_lora(model, lora.adapters))
    return _estimate(
        config, parameters, trained, layers, rows * tokens, stored=stored, copies=copies, checkpointing=checkpointing,
        sharding=sharding, available=_available(device),
    )  # fmt: skip


def taught_estimates(config: RunConfig) -> dict[str, Estimate]:
    """What pretrain, sft and dpo (where the config has it) take of each GPU with full weights trained under fsdp2, at the config's sizes.

    Rows of a micro-batch are taken to be full: `row` tokens, and for a pair twice `sft.row`.
    """
    world = config.cluster.processes if config.cluster else 1
    model = on_meta(config.model, config.tokenizer.vocabulary)
    parameters = sum(p.numel() for p in model.parameters())
    tokens = {
        "pretrain": _most(config.pretrain.tokens // config.pretrain.row, config.pretrain.fit.micro_batches, world)
        * config.pretrain.row,
        "sft": _most(config.sft.tokens // config.sft.row, config.sft.fit.micro_batches, world) * config.sft.row,
    }
    if config.dpo:
        tokens["dpo"] = _most(config.dpo.pairs, config.dpo.fit.micro_batches, world) * 2 * config.sft.row
    return {
        name: _estimate(
            model.config, parameters, parameters, _layers(model), count, stored=FP32, copies=2 if name == "dpo" else 1,
            checkpointing=False, sharding=Sharding(world, BF16),
        )
        for name, count in tokens.items()
    }  # fmt: skip


def on_meta(model: ModelConfig, vocabulary: int) -> LlamaForCausalLM:
    """The model without its weights: it takes no memory, and every shape is there."""
    with torch.device("meta"):
        return language_model(model, vocabulary, 0)


def _estimate(
    config: Any, parameters: int, trained: int, layers: list[int], tokens: int, *, stored: float, copies: int,
    checkpointing: bool, sharding: Sharding | None, available: int | None = None,
) -> Estimate:  # fmt: skip
    """`layers`: parameters of each repeated layer. `stored`: bytes a weight is kept in; adapters have 4 of their own."""
    every = trained == parameters
    weights = parameters * stored * copies + (0 if every else FP32 * trained)
    optimiser, gathered = ADAM * trained, 0.0
    if sharding is not None:
        weights, optimiser = weights / sharding.world, optimiser // sharding.world
        # The layer at work and the next one; where it is trained its gradient, as computed and as summed in fp32.
        a_layer = 2 * sharding.bytes + (sharding.bytes + FP32 if every else 0)
        rest = stored + (FP32 if every else 0)  # embedding and last norm stay as they are kept
        gathered = max(layers) * a_layer + (parameters - sum(layers)) * rest
    shape = config.get_text_config()
    depth, width = int(shape.num_hidden_layers), int(shape.hidden_size)
    kept = depth * FP32 * width + KEPT * width if checkpointing else depth * KEPT * width
    activations = tokens * (kept + LOGITS * int(shape.vocab_size))
    return Estimate(parameters, trained, int(weights), optimiser, int(gathered), activations, available)


def _layers(model: nn.Module) -> list[int]:
    return [sum(p.numel() for p in layer.parameters()) for layer in layers_of(model)]


def _most(rows: int, micro_batches: int, world: int) -> int:
    """Rows that a process holds at a time: its share of the largest micro-batch."""
    return ceil(ceil(max(rows, 1) / micro_batches) / world)


def _available(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) if torch.cuda.is_available() else None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return None
