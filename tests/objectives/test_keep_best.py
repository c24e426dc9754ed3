"""The best step is kept, also after a resume; memory that runs out makes micro-batches smaller, not the step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from posology.config import FitConfig, OptimiserConfig
from posology.errors import UserError
from posology.objectives.keep_best import KeepBest
from posology.training import fit as fit_module
from posology.training.fit import FitResult, fit
from posology.training.objective import Metrics
from posology.training.progress import Progress

from ..training.toys import Regression, Rows, generator, saver, toy_stage

SETTINGS = FitConfig(
    steps=12, evaluate_every=4, checkpoint_every=4, budget_s=None,
    optimiser=OptimiserConfig(learning_rate=0.01, warmup=1, decay=0.9),
)  # fmt: skip


class Rising(Regression):
    """Held-out figures are read from a list, so that a test knows which is best; 8 rows a step."""

    def __init__(self, figures: Sequence[float], memory: int = 100) -> None:
        super().__init__(dropout=0.0)
        self.figures, self.memory, self.micro_batches = list(figures), memory, 1
        self.sizes: list[int] = []

    def batch(self, step: int) -> Sequence[Rows]:
        x = torch.randn(8, 5, generator=generator("rows", step))
        size = -(-8 // self.micro_batches)
        return [Rows(part, part @ self.truth) for part in x.split(size)]

    def loss(self, batch: Rows) -> tuple[Tensor, Metrics]:
        if len(batch.inputs) > self.memory:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        self.sizes.append(len(batch.inputs))
        return super().loss(batch)

    def evaluate(self) -> Metrics:
        return {"loss": self.figures.pop(0)}


def train(objective: Regression, kept: KeepBest, folder: Path, said: io.StringIO | None = None) -> FitResult:
    return fit(
        kept, SETTINGS, toy_stage(folder), seed=1, fingerprint="x", save_final=saver(objective),
        progress=Progress(said or io.StringIO(), interval_s=0),
    )  # fmt: skip


@pytest.mark.parametrize(("figures", "best"), [((0, 3, 2, 4), 8), ((0, 1, 2, 4), 4), ((9, 3, 2, 1), 12)])
def test_the_best_step_is_kept_and_the_untrained_is_none(figures: tuple[float, ...], best: int, tmp_path: Path) -> None:
    objective = Rising(figures)
    result = train(objective, KeepBest(objective, "loss", 8), tmp_path)
    assert (result.kept_step, result.stopped) == (best, None)
    reference = Rising((0, 0, 0, 0))
    shorter = fit(
        reference, SETTINGS, toy_stage(tmp_path / "plain"), seed=1, fingerprint="x", save_final=saver(reference),
        progress=Progress(io.StringIO(), interval_s=0),
    )  # fmt: skip
    assert (result.digest == shorter.digest) == (best == 12)


def test_without_held_out_figures_the_last_step_is_kept(tmp_path: Path) -> None:
    objective = Rising((0, 3, 2, 4))
    assert train(objective, KeepBest(objective, "absent", 8), tmp_path).kept_step == 12


def test_out_of_memory_halves_the_micro_batch_at_the_same_step(tmp_path: Path) -> None:
    objective, said = Rising((0, 3, 2, 1), memory=2), io.StringIO()
    kept = KeepBest(objective, "loss", 8)
    result = train(objective, kept, tmp_path / "small", said)
    assert set(objective.sizes) == {2} and len(objective.sizes) == 12 * 4
    assert kept.micro_batch == 2
    assert "2 rows at a time instead of 4" in said.getvalue()
    ample = Rising((0, 3, 2, 1))
    ample.micro_batches = 4
    assert train(ample, KeepBest(ample, "loss", 8), tmp_path / "ample").digest == result.digest


@pytest.mark.parametrize(("world", "cuts"), [(1, 4), (2, 2), (3, 2), (8, 1)])
def test_rows_at_a_time_are_those_of_one_process(world: int, cuts: int) -> None:
    """Two rows at a time: each of 3 processes has up to 2 of a micro-batch of 4."""
    objective = Rising((0,))
    kept = KeepBest(objective, "loss", 8, world)
    kept.best.micro_batch.fill_(2)
    kept.batch(0)
    assert objective.micro_batches == cuts


def test_a_resumed_run_goes_on_with_the_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(stage: Any, step: int) -> None:
        if step == 6:
            raise Killed

    whole = Rising((0, 3, 2, 4), memory=2)
    expected = train(whole, KeepBest(whole, "loss", 8), tmp_path / "whole")
    first = Rising((0, 3, 2, 4), memory=2)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(fit_module, "_kill_for_test", kill)
        train(first, KeepBest(first, "loss", 8), tmp_path / "parts")
    second = Rising((2, 4), memory=2)
    resumed = KeepBest(second, "loss", 8)
    result = train(second, resumed, tmp_path / "parts")
    assert (result.kept_step, result.digest) == (expected.kept_step, expected.digest)
    assert resumed.micro_batch == 2


def test_one_row_that_does_not_fit_is_told(tmp_path: Path) -> None:
    objective = Rising((0, 3, 2, 1), memory=0)
    with pytest.raises(UserError, match="out of memory at step 1 of sft, one row at a time"):
        train(objective, KeepBest(objective, "loss", 8), tmp_path)


def test_other_errors_come_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objective = Rising((0, 3, 2, 1))
    monkeypatch.setattr(objective, "loss", lambda batch: (_ for _ in ()).throw(RuntimeError("shape mismatch")))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        train(objective, KeepBest(objective, "loss", 8), tmp_path)
