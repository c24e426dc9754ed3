"""What one process of a benchmark writes down, and the clocks around the product's own code.

`answer_clock` and `kernel_clock` put themselves in the place of a function of the package while a command runs, and
give it back afterwards: the commands are timed as users give them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WARM_UP = 3  # steps that are not timed


class Report:
    """A JSON file that is whole after every fact: a process that is killed leaves what it knew."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, {}

    def note(self, **facts: Any) -> None:
        self.facts |= facts
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.facts), encoding="utf-8")
        beside.replace(self.path)


def wait(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def answer_clock(report: Report) -> Iterator[None]:
    """Inside, the time that `posology generate` takes for each group of notes is written down."""
    from posology.recipes import own_generate

    plain, groups = own_generate.answer_rows, list[dict[str, Any]]()

    def timed(answerer: Any, prompts: Any) -> Any:
        wait(answerer.precision.device)
        began = time.perf_counter()
        lines = plain(answerer, prompts)
        taken = time.perf_counter() - began  # answers lie on the CPU: nothing is left to wait for
        counts = [line.get("tokens", 0) + (line.get("stopped") == "end") for line in lines]
        groups.append({"seconds": taken, "rows": len(lines), "tokens": sum(counts), "steps": max(counts)})
        report.note(groups=groups)
        return lines

    own_generate.answer_rows = timed
    try:
        yield
    finally:
        own_generate.answer_rows = plain


@contextmanager
def kernel_clock(report: Report) -> Iterator[None]:
    """Inside, the step after the warm-up runs under torch's profiler; its longest operations are written down."""
    import torch
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    from posology.training import fit

    plain = fit._train_step
    cuda = torch.cuda.is_available()
    doing = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]

    def watched(objective: Any, optimiser: Any, engine: Any, step: int, *rest: Any) -> Any:
        if step != WARM_UP:
            return plain(objective, optimiser, engine, step, *rest)
        with profile(activities=doing) as seen:
            metrics = plain(objective, optimiser, engine, step, *rest)
        events = seen.key_averages()
        kernels = [event for event in events if (event.device_type == DeviceType.CUDA) == cuda]
        calls = [event for event in events if event.device_type == DeviceType.CPU]
        kind = "self_device_time_total" if cuda else "self_cpu_time_total"
        report.note(
            profiled_ms=sum(getattr(event, kind) for event in kernels) / 1000,
            kernels=longest(kernels, kind), operations=longest(calls, kind),
        )  # fmt: skip
        return metrics

    fit._train_step = watched
    try:
        yield
    finally:
        fit._train_step = plain


def longest(events: Any, kind: str, count: int = 20) -> list[dict[str, Any]]:
    """The events that took the most time in all, in milliseconds."""
    rows = sorted(((getattr(event, kind) / 1000, event.count, event.key[:120]) for event in events), reverse=True)
    return [{"ms": round(ms, 3), "calls": calls, "name": name} for ms, calls, name in rows[:count] if ms]
