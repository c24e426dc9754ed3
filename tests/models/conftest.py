from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from posology.config import ModelConfig
from posology.models.llama import language_model

VOCABULARY = 96


@pytest.fixture(scope="module", autouse=True)
def in_one_thread(one_thread: None) -> None:
    pass


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """tiny(seed, **config): a small Llama with weights wide enough that attention matters."""

    def make(seed: int = 0, spread: float = 6.0, **changes: Any) -> Any:
        config = ModelConfig(**{"width": 32, "layers": 2, "heads": 2, "mlp_width": 48, "positions": 64, **changes})
        model = language_model(config, VOCABULARY, seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.parameters():
                weight.mul_(spread) if weight.ndim > 1 else weight.uniform_(0.5, 1.5, generator=generator)
        return model

    return make


@dataclass(frozen=True)
class Rows:
    ids_BT: Tensor
    positions_BT: Tensor
    segments_BT: Tensor

    @property
    def all(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.ids_BT, self.positions_BT, self.segments_BT


@pytest.fixture
def packed_rows() -> Callable[..., Rows]:
    """packed_rows(lengths per row, width, seed): random tokens, several segments a row, padding behind them."""

    def make(rows: list[list[int]], width: int, seed: int = 0) -> Rows:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(8, VOCABULARY, (len(rows), width), generator=generator)
        positions, segments = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, lengths in enumerate(rows):
            at = 0
            for number, length in enumerate(lengths, 1):
                positions[row, at : at + length] = torch.arange(length)
                segments[row, at : at + length] = number
                at += length
        return Rows(ids.where(segments > 0, 0), positions, segments)

    return make
