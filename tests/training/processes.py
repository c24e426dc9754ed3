"""Processes that work side by side as torchrun would have started them, for tests: forked, so that none imports torch."""

from __future__ import annotations

import os
import socket
import sys
import traceback
from collections.abc import Callable

import torch

from posology.models.sharded import whole
from posology.training.optimiser import Optimiser


def together(world: int, work: Callable[[], object]) -> list[int]:
    """Exit statuses of `world` children that do `work` side by side; 0 stands for one that is no process of several.

    The caller must never have computed: threads do not survive a fork.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(max(world, 1)):
        pid = os.fork()
        if not pid:
            if world:
                os.environ.update(RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
            try:
                work()
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def recorded(updates: int) -> dict[str, torch.Tensor]:
    """Filled from now on with the gradients of the first updates, whole, as the optimiser gets them: "0.model.head"."""
    found: dict[str, torch.Tensor] = {}
    update = Optimiser.step

    def step(self: Optimiser, number: int) -> None:
        if number < updates:
            for name, parameter in self.parameters.items():
                if parameter.grad is not None:
                    found[f"{number}.{name}"] = whole(parameter.grad).clone()
        update(self, number)

    Optimiser.step = step  # type: ignore[method-assign]
    return found
