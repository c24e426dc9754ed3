"""How much memory a process needs when a model is spread over many (engine fsdp2), from the config alone.

An estimate, not a promise: allocators round up, and kernels and communication need room of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
from transformers import LlamaForCausalLM

from posology.config import ModelConfig, RunConfig
from posology.models.llama import language_model
from posology.models.sharded import layers_of

GIB = 2**30
STATES = 16  # bytes a trained parameter: weight, gradient and AdamW's two moments, all fp32
FROZEN = 4  # bytes a parameter of a reference model
GATHERED = (
    10  # bytes a parameter of the layer at work: weights in bf16, and the next layer's; gradient in bf16 and fp32
)
ROOT = 8  # the same for embedding and last norm, which stay fp32
KEPT = 34  # bytes a token, layer and unit of width for the backward pass (Korthikanti et al. 2022, eq. 2)
LOGITS = 12  # bytes a token and word of the vocabulary: logits, probabilities and their gradient, fp32


@dataclass(frozen=True)
class Footprint:
    """Bytes of one process, but for the count of parameters."""

    parameters: int
    states: int
    gathered: int
    activations: int

    @property
    def total(self) -> int:
        return self.states + self.gathered + self.activations


def on_meta(model: ModelConfig, vocabulary: int) -> LlamaForCausalLM:
    """The model without its weights: it takes no memory, and every shape is there."""
    with torch.device("meta"):
        return language_model(model, vocabulary, 0)


def footprint(config: RunConfig) -> dict[str, Footprint]:
    """What pretrain, sft and dpo (where the config has it) take of each GPU with full weights trained, at the config's sizes.

    Rows of a micro-batch are taken to be full: `row` tokens, and for a pair twice `sft.row`.
    """
    world = config.cluster.processes if config.cluster else 1
    model = on_meta(config.model, config.tokenizer.vocabulary)
    parameters = sum(p.numel() for p in model.parameters())
    layer = max(sum(p.numel() for p in part.parameters()) for part in layers_of(model))
    root = parameters - layer * config.model.layers
    tokens = {
        "pretrain": _most(config.pretrain.tokens // config.pretrain.row, config.pretrain.fit.micro_batches, world)
        * config.pretrain.row,
        "sft": _most(config.sft.tokens // config.sft.row, config.sft.fit.micro_batches, world) * config.sft.row,
    }
    if config.dpo:
        tokens["dpo"] = _most(config.dpo.pairs, config.dpo.fit.micro_batches, world) * 2 * config.sft.row
    return {
        name: Footprint(
            parameters,
            parameters * (STATES + (FROZEN if name == "dpo" else 0)) // world,
            layer * GATHERED + root * ROOT,
            count * (KEPT * config.model.layers * config.model.width + LOGITS * config.tokenizer.vocabulary),
        )
        for name, count in tokens.items()
    }


def _most(rows: int, micro_batches: int, world: int) -> int:
    """Rows that a process holds at a time: its share of the largest micro-batch."""
    return ceil(ceil(max(rows, 1) / micro_batches) / world)
