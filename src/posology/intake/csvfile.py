"""CSV -> rows. A row that cannot be read is told from its neighbours, so that the next one is a row again.

The hard case is a quote that never closes: it swallows what follows, and the lines after it may well look like rows (a
line of a note with three commas in it). So after broken quotes the next row is taken to begin where a line reads as a
whole row whose id is written as ids before it were, and whose label is known. In a file with neither column nothing
tells a row from the text of a note, and the rest is left unread, which is said.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from posology.errors import UserError
from posology.intake.lines import Lines, open_lines
from posology.intake.rows import MAX_ROW, BadRow, Row

DELIMITERS = ",;\t"
UNCLOSED = "a quote opens in it that never closes"
MISQUOTED = "a quote closes in the middle of a field, or never closes (a quote within a quoted field is written twice)"
LONE_RETURN = "it holds a carriage return without a line feed"
TOO_FEW = "it has fewer fields than the header"
TOO_MANY = "it has more fields than the header"
UNREAD = "it and all after it are unread: after a broken quote nothing told a row from the text of a note"
_REMEMBERED = 64  # ways of writing an id, and labels


def csv_header(path: Path) -> tuple[list[str], str]:
    """The names in the first row, and what separates the fields. UserError where the first row names nothing."""
    with open_lines(path) as lines:
        return _header(path, lines)


def csv_rows(path: Path, identity: str = "id", label: str = "label", labels: Iterable[str] = ()) -> Iterator[Row]:
    """The rows in order; blank lines are no rows. `identity` and `label` name the columns that tell a row from the
    text of a note after broken quotes; `labels` are known before the first row is read.
    """
    with open_lines(path) as lines:
        columns, delimiter = _header(path, lines)
        known = _Known(columns, identity, label, labels)
        number = 0
        while (found := _record(lines, delimiter)) is not None:
            number += 1
            fields, fault = found
            first, last, broken = lines.first, lines.number, fault in (UNCLOSED, MISQUOTED)
            fault, counts = fault or lines.fault, ""
            if not fault and len(fields) != len(columns):
                fault = TOO_FEW if len(fields) < len(columns) else TOO_MANY
                counts = f"{len(fields)} instead of {len(columns)}"
            if not fault:
                known.add(fields)
                yield Row(number, first, dict(zip(columns, fields, strict=True)))
                continue
            recovered = not broken or _recover(lines, delimiter, known)
            if broken:
                last = lines.number
            yield Row(number, first, fault=fault, detail=counts or _span(first, last))
            if not recovered:
                if last > first:
                    yield Row(number + 1, first + 1, fault=UNREAD)
                return


def _span(first: int, last: int) -> str:
    return f"lines {first} to {last}" if last > first else ""


def _header(path: Path, lines: Lines) -> tuple[list[str], str]:
    lines.begin()
    try:
        delimiter = max(DELIMITERS, key=next(lines, "").count)
    except BadRow as bad:
        raise _no_header(path, bad.reason) from None
    lines.restart()
    fields, fault = _record(lines, delimiter) or ([], "")
    fault = fault or lines.fault
    if fault or not any(name.strip() for name in fields):
        raise _no_header(path, fault or "it names no column")
    return [name.strip() for name in fields], delimiter


def _no_header(path: Path, why: str) -> UserError:
    return UserError(f"{path}: its first row cannot be read: {why}", "the first row of a CSV file names its columns")


def _record(lines: Lines, delimiter: str) -> tuple[list[str], str] | None:
    """The next record's fields, and what is wrong with how it is written; None at the end of the file."""
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW))  # `lines` bounds the length of a whole row
    while True:
        lines.begin()
        try:
            fields = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
        except BadRow as bad:  # too long: within one line, or a quote keeps it open
            return [], bad.reason if lines.number == lines.first else UNCLOSED
        except csv.Error as error:
            if lines.ended:
                return [], UNCLOSED
            return [], LONE_RETURN if "new-line character" in str(error) else MISQUOTED
        if fields is None:
            return None
        if fields:  # a blank line has none
            return [field.replace("\r\n", "\n") for field in fields], ""


def _recover(lines: Lines, delimiter: str, known: _Known) -> bool:
    """Go to the next line, after the first of the row at hand, at which a row begins; False where none does."""
    lines.rewind()
    while (found := _record(lines, delimiter)) is not None:
        fields, fault = found
        if not fault and known.fits(fields):
            lines.restart()
            return True
        lines.rewind()
    return False


class _Known:
    """How ids are written and which labels there are, in rows that were read without fault."""

    def __init__(self, columns: Sequence[str], identity: str, label: str, labels: Iterable[str]) -> None:
        self._width = len(columns)
        self._id = columns.index(identity) if identity in columns else -1
        self._label = columns.index(label) if label in columns else -1
        self._ids: set[str] = set()
        self._labels = {name.casefold() for name in labels}

    def add(self, fields: Sequence[str]) -> None:
        if self._id >= 0 and len(self._ids) < _REMEMBERED:
            self._ids.add(_written(fields[self._id]))
        if self._label >= 0 and len(self._labels) < _REMEMBERED:
            self._labels.add(fields[self._label].strip().casefold())

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether these are a row's fields, and not some line of a note."""
        if len(fields) != self._width:
            return False
        by_id = self._id >= 0 and bool(self._ids)
        by_label = self._label >= 0 and bool(self._labels)
        return (
            (by_id or by_label)
            and (not by_id or _written(fields[self._id]) in self._ids)
            and (not by_label or fields[self._label].strip().casefold() in self._labels)
        )


def _written(identity: str) -> str:
    """ "NOTE-0017" -> "a-0": runs of letters and of digits count as one."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "0", identity.strip()[:64]))
