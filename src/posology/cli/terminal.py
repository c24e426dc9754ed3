"""What the terminal shows besides results: errors in one line with a hint, on stderr; NO_COLOR is respected by rich."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from posology.config import UserError
from posology.runs import is_leader

NOT_FOR_CARE = "Not for care of patients: no clinician has reviewed these facts or answers."


def explain(error: Exception) -> int:
    """Print what went wrong and how to mend it; return the exit code."""
    if not _speaks():
        return error.code if isinstance(error, UserError) else 1
    if isinstance(error, UserError):
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.code
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, OSError) and error.filename is not None:
        print(f"error: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    print(f"error: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
    print("hint: this is a fault of posology's own; run again with --debug for the traceback", file=sys.stderr)
    return 1


def _speaks() -> bool:
    """Whether this process tells what went wrong: of several the one that failed first, since it takes the others along."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return True
    if "torch" not in sys.modules:  # a bad config, say, which all of them read
        return is_leader()
    from posology.training.engine import is_first

    return is_first("error")


def console() -> Console:
    """Results go to stdout; no wrapping at 80 columns where the output is a file."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def table(title: str, columns: list[str], rows: list[list[Any]], right: set[int] | None = None) -> Table:
    """A plain table; `right` lists the columns of numbers."""
    out = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        out.add_column(column, justify="right" if number in (right or set()) else "left")
    for row in rows:
        out.add_row(*[str(cell) for cell in row])
    return out
