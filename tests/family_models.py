"""Tiny random models of the families that users bring, as they lie in a folder from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
)  # fmt: skip

from posology.models.quiet import quiet

from .outside_models import outside_tokenizer

SHAPE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
HEADS = {"head_dim": 8}

MAKERS: dict[str, Any] = {
    "llama": lambda size: LlamaConfig(vocab_size=size, **SHAPE),
    "qwen2": lambda size: Qwen2Config(vocab_size=size, **SHAPE),
    "gpt2": lambda size: GPT2Config(
        vocab_size=size, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=0
    ),
    "mistral": lambda size: MistralConfig(vocab_size=size, sliding_window=16, **SHAPE),  # shorter than the rows
    "qwen3": lambda size: Qwen3Config(vocab_size=size, **HEADS, **SHAPE),
    "gemma": lambda size: GemmaConfig(vocab_size=size, **HEADS, **SHAPE),
    "gemma2": lambda size: Gemma2Config(vocab_size=size, sliding_window=16, **HEADS, **SHAPE),
    "gemma3": lambda size: Gemma3TextConfig(vocab_size=size, sliding_window=16, **HEADS, **SHAPE),
    "phi": lambda size: PhiConfig(vocab_size=size, **SHAPE),
    "phi3": lambda size: Phi3Config(vocab_size=size, **SHAPE),
}
QUICK = ("llama", "qwen2", "gpt2")
OTHERS = tuple(name for name in MAKERS if name not in QUICK)


def save_family(folder: Path, family: str, *, chat: bool = False, **changes: Any) -> Path:
    """A model whose weights are wide enough that attention matters, and its tokenizer. `changes`: of its config."""
    tokenizer = outside_tokenizer(chat)
    torch.manual_seed(0)
    config = MAKERS[family](len(tokenizer))
    config.update(changes)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(6)
    with quiet():
        model.save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))
    return folder
