"""Where a step's numbers meet: over micro-batches now, over processes later.

One process is the only engine so far. The loop sums through it, so that data parallelism replaces this file alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from posology.seeds import seed_of
from posology.training.objective import Metrics


@dataclass(frozen=True)
class Engine:
    """One process of `world`."""

    rank: int = 0
    world: int = 1

    def total(self, value: float) -> float:
        """The sum of a number over all processes: the identity for one."""
        return value

    def seed(self, seed: int, *names: str | int) -> None:
        """Set torch's global generators to a named stream, so that dropout is a pure function of the step."""
        torch.manual_seed(seed_of(seed, *names, self.rank))


@dataclass
class Meter:
    """Means over the units of a step: each micro-batch counts as much as its weight."""

    _sums: dict[str, float] = field(default_factory=dict)
    _weights: dict[str, float] = field(default_factory=dict)

    def add(self, metrics: Mapping[str, float], weight: float) -> None:
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * weight
            self._weights[name] = self._weights.get(name, 0.0) + weight

    def means(self, engine: Engine) -> Metrics:
        """The mean of each metric; 0/0 where nothing was counted, which is not a number."""
        weights = {name: engine.total(weight) for name, weight in self._weights.items()}
        return {
            name: engine.total(total) / weights[name] if weights[name] else float("nan")
            for name, total in self._sums.items()
        }


def to_train(modules: Mapping[str, nn.Module]) -> None:
    """Dropout on. An objective that wants it off says so in its `loss` (PPO)."""
    for module in modules.values():
        module.train()
