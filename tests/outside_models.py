"""Tiny models of other families, each with a tokenizer of its own, as they lie in a folder from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from posology.models.quiet import quiet

TEXT = "Question: Is metformin safe?\nAnswer: Avoid metformin.\nQuestion:"
CHAT = "{% for m in messages %}<user>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def outside_tokenizer(chat: bool) -> Any:
    """Byte-level BPE with one end token and no padding token; a chat template where `chat`."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<eos>", "<user>", "<assistant>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    backend.train_from_iterator([TEXT] * 9, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
    if chat:  # begins any text with a token of its own, which a rendered template must not get again
        backend.post_processor = processors.TemplateProcessing(single="<eos> $A", special_tokens=[("<eos>", 0)])
        made = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>")
        made.chat_template = CHAT
    return made


def save_gpt2(folder: Path, *, positions: int = 512, teach: str = "", vocabulary: int = 0) -> Path:
    """GPT-2 without a chat template; `teach`: a text that it is made to say by heart."""
    torch.manual_seed(0)
    tokenizer = outside_tokenizer(chat=False)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=vocabulary or len(tokenizer), n_embd=32, n_layer=2, n_head=2, n_positions=positions, bos_token_id=0,
            eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )
    )  # fmt: skip
    if teach:
        ids = torch.tensor([tokenizer(teach)["input_ids"]])
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
        for _ in range(60):
            optimiser.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimiser.step()
    return _save(model, tokenizer, folder)


def save_llama(folder: Path, **generation: Any) -> Path:
    """A Llama with grouped keys and a chat template; `generation`: what its folder asks of whoever generates."""
    torch.manual_seed(0)
    tokenizer = outside_tokenizer(chat=True)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
            intermediate_size=48, max_position_embeddings=512, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(6)  # wide enough that attention matters
    for name, value in generation.items():
        setattr(model.generation_config, name, value)
    return _save(model, tokenizer, folder)


def _save(model: Any, tokenizer: Any, folder: Path) -> Path:
    with quiet():
        model.save_pretrained(str(folder), safe_serialization=True)
        tokenizer.save_pretrained(str(folder))
    return folder
