"""The file that lists skipped rows: {"file", "row", "line", "reason", "detail"} a line, and never any text of a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from posology.files import atomic_stream
from posology.intake.rows import BadRow, Row

Reject = Callable[[Path, Row, BadRow], None]


@contextmanager
def rejects_to(path: Path | None) -> Iterator[Reject]:
    """``with rejects_to(path) as reject: reject(file, row, bad)``. The file takes its name at the end, and
    replaces an older one even where no row is rejected; when the body raises it is not written.
    """
    if path is None:
        yield lambda file, row, bad: None
        return
    with atomic_stream(path) as write:

        def reject(file: Path, row: Row, bad: BadRow) -> None:
            entry = {"file": file.name, "row": row.number, "line": row.line or None,
                     "reason": bad.reason, "detail": bad.detail}  # fmt: skip
            write((json.dumps(entry, ensure_ascii=False) + "\n").encode())

        yield reject
