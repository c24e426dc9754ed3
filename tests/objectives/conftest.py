"""Tiny models and rows of token ids. Ids below 8 are special: 0 pads, 1 begins, 4 ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.config import ModelConfig
from posology.models.llama import language_model
from posology.objectives.pairs import Pair
from posology.text.chat import Encoded

VOCABULARY = 48


@pytest.fixture(scope="module", autouse=True)
def in_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """tiny(seed, dropout=0.0, spread=1.0): one layer, 32 wide, 48 tokens; `spread` widens the weights."""

    def make(seed: int = 0, *, dropout: float = 0.0, spread: float = 1.0, vocabulary: int = VOCABULARY) -> Any:
        config = ModelConfig(width=32, layers=1, heads=2, mlp_width=64, positions=64, dropout=dropout)
        model = language_model(config, vocabulary, seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(spread if weight.ndim > 1 else 1.0)
        return model

    return make


def _dialogue(number: int, length: int, inserted: bool = False) -> Encoded:
    """A prompt of four to six tokens, another for each number; an answer of `length` tokens, two of them inserted if
    asked; the end."""
    prompt = [1, 2, *((7 * number + j) % 40 + 8 for j in range(1 + number % 3)), 3]
    answer = [(11 * number + 5 * j * j + 3 * j) % 40 + 8 for j in range(length)]
    own = [not (inserted and 2 <= j < 4) for j in range(length)]
    return Encoded([*prompt, *answer, 4], [*[False] * len(prompt), *own, True])


@pytest.fixture
def dialogues() -> list[Encoded]:
    """Eight rows of unequal length; some hold two tokens that a calculator inserted."""
    return [_dialogue(i, 3 + (5 * i) % 7, inserted=i % 3 == 0) for i in range(8)]


@pytest.fixture
def pairs() -> list[Pair]:
    """Twelve pairs with the same prompt on both sides and answers of unequal length."""
    return [
        Pair(_dialogue(i, 3 + i % 5, inserted=i % 2 == 0), _swap(_dialogue(i, 4 + (3 * i) % 4), i)) for i in range(12)
    ]


def _swap(example: Encoded, number: int) -> Encoded:
    """The same prompt, another answer."""
    ids = [
        token if not own else (token - 8 + 17 + number) % 40 + 8
        for token, own in zip(example.ids, example.scored, strict=True)
    ]
    return Encoded([*ids[:-1], 4], example.scored)


@pytest.fixture
def independent_logps() -> Callable[[Any, Encoded], list[float]]:
    """log p of each scored token of one row by the model's own forward pass: unpadded, unpacked, full logits."""

    def logps(model: Any, example: Encoded) -> list[float]:
        with torch.no_grad():
            table = torch.log_softmax(model(torch.tensor([example.ids])).logits[0].double(), -1)
        return [float(table[t - 1, example.ids[t]]) for t, own in enumerate(example.scored) if own]

    return logps
