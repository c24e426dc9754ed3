"""What the terminal shows besides results: errors in one line with a hint, on stderr; NO_COLOR is respected by rich."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from posology.config import UserError
from posology.runs import is_leader

HERE = Path(__file__).resolve().parents[1]
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
    if _out_of_memory(error):
        hint = "fewer rows at a time (--micro-batch, or --rows), a lower --max-tokens, --lora qlora, or a smaller model"
        print(f"error: out of memory {_place(error)}\nhint: {hint}", file=sys.stderr)
        return 1
    # What a library says of a fault may quote a patient's note, so the place is told and not the words.
    print(f"error: {type(error).__name__} {_place(error)}", file=sys.stderr)
    print(
        "hint: this is a fault of posology's own; --debug shows all of it, which may hold text of your data",
        file=sys.stderr,
    )
    return 1


def _speaks() -> bool:
    """Whether this process tells what went wrong: of several the one that failed first, since it takes the others along."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return True
    if "torch" not in sys.modules:  # a bad config, say, which all of them read
        return is_leader()
    from posology.training.engine import is_first

    return is_first("error")


def _out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:  # then it cannot be torch's, and the import would take seconds
        return isinstance(error, MemoryError)
    from posology.models.memory import is_out_of_memory

    return is_out_of_memory(error)


def _place(error: Exception) -> str:
    """The innermost of our own lines that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if HERE in Path(frame.filename).parents]
    return f"in {Path(ours[-1].filename).relative_to(HERE)}, line {ours[-1].lineno}" if ours else "outside of posology"


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
