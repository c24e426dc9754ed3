"""The protocol that lets one loop serve pretraining, SFT, the reward model, PPO and DPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from torch import Tensor, nn

Metrics = dict[str, float]


class Weighted(Protocol):
    """What the loop needs to know of a micro-batch: how many units (scored tokens, or pairs) it sums over."""

    @property
    def weight(self) -> float: ...


B = TypeVar("B", bound=Weighted)


class Objective(Protocol[B]):
    """A training objective. `loss` returns a SUM over the units that `weight` counts, so that the loop can divide
    by the weight of the whole optimiser step: over all micro-batches and all ranks."""

    name: str
    stride: int  # checkpoints fall on multiples of this
    modules: Mapping[str, nn.Module]  # what is trained and saved, by name; "model" is the one others load

    def batch(self, step: int) -> Sequence[B]:
        """The micro-batches of one optimiser step: a pure function of (step, modules at the last multiple of stride)."""
        ...

    def loss(self, batch: B) -> tuple[Tensor, Metrics]:
        """Summed loss of one micro-batch, and metrics as means over its units (the loop weights them by `weight`)."""
        ...

    def evaluate(self) -> Metrics:
        """Held-out figures. Keys as in the module's METRICS."""
        ...
