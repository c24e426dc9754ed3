"""Cache = no cache, for both decoders and through growth and dropped rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from posology.config import LoraConfig
from posology.models.lora import apply_lora
from posology.rollout.decoder import GROWTH, CacheDecoder, LlamaDecoder, make_decoder


def family(name: str, tiny: Any) -> Any:
    torch.manual_seed(0)
    if name == "gpt2":
        return GPT2LMHeadModel(GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=2, n_positions=96)).eval()
    if name == "qwen":
        shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_position_embeddings": 96}
        return Qwen2ForCausalLM(
            Qwen2Config(vocab_size=48, num_attention_heads=4, num_key_value_heads=2, **shape)
        ).eval()
    if name == "lora":
        return apply_lora(tiny(), LoraConfig(kind="lora")).eval()
    return tiny()


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen", "lora", "llama through Hugging Face's cache"])
def test_cache_is_no_cache(tiny: Any, prompts: list[list[int]], name: str) -> None:
    model = family(name, tiny)
    decoder = CacheDecoder(model, 0) if "through" in name else make_decoder(model, 0)
    assert isinstance(decoder, LlamaDecoder if name == "llama" else CacheDecoder)
    texts = [list(prompt) for prompt in [*prompts, prompts[2], prompts[0], prompts[2]]]
    generator = torch.Generator().manual_seed(1)
    logits = decoder.prefill(texts)
    for step in range(GROWTH + 6):
        whole = torch.stack([model(torch.tensor([text])).logits[0, -1] for text in texts])
        torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-4)
        if step in (3, 20):  # rows that have ended leave
            kept = torch.tensor([i for i in range(len(texts)) if i % 3])
            decoder.keep(kept)
            texts = [texts[i] for i in kept.tolist()]
        ids = torch.randint(8, 48, (len(texts),), generator=generator)
        for text, token in zip(texts, ids.tolist(), strict=True):
            text.append(token)
        logits = decoder.step(ids)


@torch.no_grad()
def test_a_decoder_reads_the_weights_of_now(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny()
    before = make_decoder(model, 0).prefill(prompts)
    model.model.layers[0].mlp.up_proj.weight.mul_(2)
    assert not torch.allclose(make_decoder(model, 0).prefill(prompts), before)
