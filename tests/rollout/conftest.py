from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.config import ModelConfig
from posology.models.llama import language_model
from posology.text.tokenizer import Tokenizer, train_tokenizer

CORPUS = ["Can I take metformin with an eGFR of 28?", "Adjust the dose: 450 mg every 12 h.", "Avoid ibuprofen."] * 12
PAD, END, VOCABULARY = 0, 4, 48


@pytest.fixture(scope="module", autouse=True)
def in_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(CORPUS, 320)


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """tiny(seed, vocabulary, positions): a small Llama whose answers depend on what it has read."""

    def make(seed: int = 0, vocabulary: int = VOCABULARY, positions: int = 96, spread: float = 6.0) -> Any:
        config = ModelConfig(width=32, layers=2, heads=2, mlp_width=48, positions=positions)
        model = language_model(config, vocabulary, seed, bos=1, eos=END, pad=PAD)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(spread if weight.ndim > 1 else 1.0)
        return model.eval()

    return make


@pytest.fixture
def prompts() -> list[list[int]]:
    """Nine prompts of unequal length."""
    generator = torch.Generator().manual_seed(0)
    lengths = [3, 9, 5, 17, 3, 11, 30, 2, 7]
    return [[1, *torch.randint(8, VOCABULARY, (n,), generator=generator).tolist(), 3] for n in lengths]
