"""The device a model computes on: what is asked for, or the fastest there is; batches follow the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.config import ConfigError
from posology.models.device import device_of, pick_device
from posology.training.batches import PairBatch, SequenceBatch, TokenBatch


def test_auto_takes_the_fastest_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    there: dict[str, bool] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        there.update(cuda=cuda, mps=mps)
        assert pick_device("auto").type == expected
        assert pick_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_or_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="cuda was asked for"):
        pick_device("cuda")
    with pytest.raises(ConfigError, match="device = 'tpu'"):
        pick_device("tpu")


def test_batches_move_whole_and_row_numbers_stay() -> None:
    """On the meta device, which holds shapes alone: nothing is left behind."""
    meta, grid = torch.device("meta"), torch.ones(2, 3, dtype=torch.long)
    rows = SequenceBatch(grid, grid.bool(), grid.bool())
    pairs = PairBatch(rows, rows, torch.ones(2), torch.arange(2)).to(meta)
    moved = [*vars(TokenBatch(grid, grid, grid, grid).to(meta)).values(), *vars(rows.to(meta)).values()]
    moved += [*vars(pairs.chosen).values(), *vars(pairs.rejected).values(), pairs.label_B]
    assert {tensor.device for tensor in moved} == {meta}
    assert pairs.index_B.device.type == "cpu"


def test_a_models_device_is_where_its_weights_lie(tiny: Callable[..., Any]) -> None:
    assert device_of(tiny()) == torch.device("cpu")
