"""Around another objective: remember the step with the best held-out figure, and make micro-batches smaller on demand.

What it remembers lies in buffers, so that a resumed run keeps the same step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from posology.training.objective import Metrics


class Best(nn.Module):
    """The lowest figure so far, its step, and how many rows a process works on at a time."""

    figure: Tensor
    step: Tensor
    micro_batch: Tensor

    def __init__(self, micro_batch: int) -> None:
        super().__init__()
        self.register_buffer("figure", torch.tensor(float("inf"), dtype=torch.float64))
        self.register_buffer("step", torch.tensor(-1))
        self.register_buffer("micro_batch", torch.tensor(micro_batch))


class KeepBest:
    """`objective`, of whose steps the one with the lowest held-out `figure` is kept. Step 0, untrained, is none of them.

    `rows`: units (rows or pairs) an optimiser step, of all `world` processes. Memory that runs out halves what is worked
    on at a time. Another number of processes may go on: each keeps its rows at a time, and a step has other micro-batches.
    """

    keeps_best = True

    def __init__(self, objective: Any, figure: str, rows: int, world: int = 1) -> None:
        self.objective, self.figure, self.rows, self.world = objective, figure, rows, world
        self.name: str = objective.name
        self.stride: int = objective.stride
        self.best = Best(-(-rows // (objective.micro_batches * world)))
        self.modules: Mapping[str, nn.Module] = {**objective.modules, "best": self.best}

    def __getattr__(self, name: str) -> Any:
        """What the loop asks of the objective inside: expected_start, start_metric."""
        return getattr(self.__dict__["objective"], name)

    def batch(self, step: int) -> Sequence[Any]:
        self._cut()
        batches: Sequence[Any] = self.objective.batch(step)
        return batches

    def loss(self, batch: Any) -> tuple[Tensor, Metrics]:
        result: tuple[Tensor, Metrics] = self.objective.loss(batch)
        return result

    def evaluate(self) -> Metrics:
        self._cut()
        figures: Metrics = self.objective.evaluate()
        return figures

    def observe(self, step: int, figures: Metrics) -> None:
        """Called by the loop with each evaluation."""
        if step and self.figure in figures and figures[self.figure] < float(self.best.figure):
            self.best.figure.fill_(figures[self.figure])
            self.best.step.fill_(step)

    @property
    def best_step(self) -> int | None:
        """None until a step has been evaluated."""
        return int(self.best.step) if int(self.best.step) >= 0 else None

    def _cut(self) -> None:
        self.objective.micro_batches = -(-self.rows // (self.micro_batch * self.world))

    @property
    def micro_batch(self) -> int:
        """Rows a process works on at a time."""
        return int(self.best.micro_batch)

    def halve(self) -> str | None:
        """From now on half as many rows at a time; None where it is one already."""
        before = self.micro_batch
        if before == 1:
            return None
        self.best.micro_batch.fill_(before // 2)
        return f"{self.micro_batch} rows at a time instead of {before}, at the same {self.rows} a step"
