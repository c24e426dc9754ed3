"""What a person sees while a stage trains: one live line on a terminal, one plain line every few seconds elsewhere.

Everything goes to stderr: results alone go to stdout. NO_COLOR and TERM=dumb are respected. The loop only tells;
nothing here is read back by training.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from posology.training.health import Expected

INTERVAL_S = 5.0  # between plain lines
REFRESH_S = 0.1  # between redraws of the live line


class Progress:
    """Shows the stages of one run, one after another. `interval_s` is the pause between plain lines."""

    def __init__(self, stream: TextIO | None = None, *, interval_s: float = INTERVAL_S, quiet: bool = False) -> None:
        self.stream, self.quiet = stream or sys.stderr, quiet
        self.console = Console(file=self.stream, highlight=False, soft_wrap=True)
        self.live = self.console.is_terminal and not self.console.is_dumb_terminal and not quiet
        self.interval_s = REFRESH_S if self.live else interval_s
        self._live: Live | None = None

    def begin(
        self, name: str, step: int, steps: int, *, expected: Expected | None = None, shown: Sequence[str] = ("loss",),
        start: float | None = None,
    ) -> None:  # fmt: skip
        """A stage starts at `step` of `steps`. `shown` names the metrics to print, `expected` where the loss starts."""
        self._end()
        self.name, self.step, self.steps = name, step, steps
        self.expected, self.shown, self.start = expected, shown, start
        self._first_step, self._began, self._told = step, time.monotonic(), time.monotonic()
        self._metrics: Mapping[str, float] = {}
        self._heldout: Mapping[str, float] = {}
        self._last = ""
        if self.live:
            self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()

    def update(self, step: int, metrics: Mapping[str, float], *, start: float | None = None) -> None:
        """`step` updates are done. `start` is the first step's loss (the metric that `expected` speaks of)."""
        self.step, self.start = step, start
        self._metrics = {**self._metrics, **metrics}
        now = time.monotonic()
        if now - self._told >= self.interval_s:
            self._told = now
            self._show()

    def held_out(self, figures: Mapping[str, float]) -> None:
        """The newest held-out figures: shown with the next line."""
        self._heldout = figures

    def sample(self, prompt: str, answer: str) -> None:
        """A fixed prompt's answer now."""
        self.say(f"{printable(prompt)} -> {printable(answer)}")

    def say(self, text: str) -> None:
        """One line of its own: health, resuming, what went wrong."""
        if not self.quiet:
            self.console.print(Text(text), soft_wrap=True)

    def finish(self, seconds: float, stopped: str | None = None) -> None:
        """The stage has done what it should, or was `stopped` by its objective for a reason."""
        self._last = f"done in {clock(seconds)}" + (f", stopped early: {stopped}" if stopped else "")
        self._show()

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Around a stage: its line stays on the screen when it is over, in whatever way."""
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self) -> str:
        """The stage in one line: name, step, metrics with their start and what that should be, held-out, time left."""
        parts = [f"{self.name} {self.step}/{self.steps}"]
        for name in self.shown:
            if name in self._metrics:
                parts.append(f"{name} {figure(self._metrics[name])}")
        if self.start is not None:
            parts.append(f"started at {figure(self.start)}" + (f" ({_words(self.expected)})" if self.expected else ""))
        parts += [f"held-out {name} {figure(value)}" for name, value in _few(self._heldout)]
        done = self.step - self._first_step
        if self._last:
            parts.append(self._last)
        elif done and self.step < self.steps:
            left = (time.monotonic() - self._began) / done * (self.steps - self.step)
            parts.append(f"{clock(left)} left")
        return " · ".join(parts)

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)
        elif not self.quiet:
            print(self.line(), file=self.stream, flush=True)


def silent() -> Progress:
    """For every process of a run but the first: it says nothing."""
    return Progress(quiet=True)


def figure(value: float) -> str:
    """Four significant digits at most, no exponent for what occurs in training: 8.052, 0.0412, 312."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def printable(text: str) -> str:
    """A model's text on one line, with control characters (which could steer the terminal) shown as a dot."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def _words(expected: Expected) -> str:
    low, high, what = expected
    return f"{what} = {figure((low + high) / 2)}" if high - low < 0.01 else f"{what}: {figure(low)} to {figure(high)}"


def _few(figures: Mapping[str, float]) -> list[tuple[str, float]]:
    """The held-out loss, or the first two figures where there is none of that name."""
    return [("loss", figures["loss"])] if "loss" in figures else list(figures.items())[:2]
