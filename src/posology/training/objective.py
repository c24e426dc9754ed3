"""The protocol that lets one loop serve pretraining, SFT, the reward model, PPO and DPO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, TypeVar

from torch import Tensor, nn

Metrics = dict[str, float]


class Weighted(Protocol):
    """What the loop needs to know of a micro-batch: how many units (scored tokens, or pairs) it sums over."""

    @property
    def weight(self) -> float: ...

    @property
    def rows_in(self) -> int:
        """How many rows there are to share out over processes."""
        ...

    def rows(self, index: slice) -> Self: ...


B = TypeVar("B", bound=Weighted)


class Objective(Protocol[B]):
    """A training objective. `loss` returns a SUM over the units that `weight` counts, so that the loop can divide
    by the weight of the whole optimiser step: over all micro-batches and all ranks.

    An objective may also have any of these; the loop asks whether they are there:
    expected_start: (low, high, what) or None     where the first step's loss should lie, and why ("ln V")
    start_metric: str                             the metric that this speaks of, by default "loss"
    shown: sequence of str                        the metrics shown while it trains, by default ("loss",)
    learning_rates: mapping of str to float       AdamW's rate for a module, by name
    observe(step, figures)                        is told of each evaluation; what it remembers lies in buffers
    stop_reason() -> str or None                  asked at multiples of stride and at the end: why to go no further
    best_step: int or None                        the step whose weights are kept if it does; a multiple of stride
    keeps_best: bool                              those of best_step are kept after the last step, too
    halve() -> str or None                        memory ran out: smaller micro-batches from now on; what to say of it
    frozen: mapping of str to module              modules that it reads and does not train (a reference policy)
    """

    name: str
    stride: int  # checkpoints fall on multiples of this
    modules: Mapping[str, nn.Module]  # what is trained and saved, by name; "model" is the one others load

    def batch(self, step: int) -> Sequence[B]:
        """The micro-batches of one optimiser step; none to sit it out.

        A pure function of (step, modules at the last multiple of stride), the same in every process: the loop gives
        `loss` this process's rows of each.
        """
        ...

    def loss(self, batch: B) -> tuple[Tensor, Metrics]:
        """Summed loss of one micro-batch, and metrics as means over its units (the loop weights them by `weight`)."""
        ...

    def evaluate(self) -> Metrics:
        """Held-out figures. Keys as in the module's METRICS."""
        ...
