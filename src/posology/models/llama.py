"""The small Llama trained from random weights: Hugging Face's LlamaForCausalLM, made from a ModelConfig."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from posology.config import ModelConfig


def language_model(
    config: ModelConfig, vocabulary: int, seed: int, *, bos: int = 1, eos: int = 4, pad: int = 0
) -> LlamaForCausalLM:
    """A Llama with random fp32 weights; the same seed gives the same weights, and torch's own random state is kept.

    Hidden weights are N(0, 0.02), as Hugging Face draws them. The embedding, tied to the output, is narrower where
    the model is wide: logits then start with a standard deviation of at most 0.3, and the first loss lies within
    2 % of ln(vocabulary).
    """
    settings = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=config.width,
        intermediate_size=config.mlp_width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads or config.heads,
        max_position_embeddings=config.positions,
        attention_dropout=config.dropout,
        tie_word_embeddings=True,
        initializer_range=0.02,
        rms_norm_eps=1e-5,
        bos_token_id=bos,
        eos_token_id=eos,
        pad_token_id=pad,
        dtype="float32",
    )
    settings._attn_implementation = "sdpa"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(settings)
        with torch.no_grad():
            model.model.embed_tokens.weight.normal_(0.0, min(0.02, 0.3 / config.width**0.5))
    return model
