"""Ctrl-C and SIGTERM as a request: finish the step, save, then stop. The second one is not a request."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass
class StopSignals:
    """Which signal has asked to stop; None so far."""

    received: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended: 130 for SIGINT, 143 for SIGTERM; 0 for none so far."""
        return 128 + int(self.received) if self.received else 0


@contextlib.contextmanager
def stop_signals(*, say: bool = True) -> Iterator[StopSignals]:
    """Inside, the first SIGINT or SIGTERM is only noted, and told if `say`; from then on both do what they did before.

    Signals reach the main thread alone: elsewhere nothing is caught.
    """
    signals = StopSignals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        signals.received = signal.Signals(number)
        restore()
        if not say:
            return
        # os.write, because print may have been interrupted half-way and cannot be entered twice.
        with contextlib.suppress(OSError, ValueError):
            os.write(
                sys.stderr.fileno(), b"\nstopping: saving at the next step that can be resumed (again: stop at once)\n"
            )

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
        yield signals
    finally:
        restore()
