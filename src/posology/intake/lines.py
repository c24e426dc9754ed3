"""Physical lines of a text file: bounded in length, decoded, and rewindable within a row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from posology.errors import UserError
from posology.intake.rows import INNER_BOM, MAX_ROW, NOT_UTF8, NUL, TOO_LONG, BadRow

BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks


@contextmanager
def open_lines(path: Path) -> Iterator[Lines]:
    """The lines of a file, past a byte order mark. UserError for one that cannot be opened, is empty, or is UTF-16."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by `with` below; opened apart so that only this error is caught)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    with file:
        head = file.read(len(BOM))
        if head.startswith(UTF16):
            raise UserError(f"{path} is UTF-16, not UTF-8", f"iconv -f UTF-16 -t UTF-8 {path} > utf8-{path.name}")
        if not head:
            raise UserError(f"{path} is empty", "the file may have been cut off when it was copied")
        yield Lines(file, len(BOM) if head == BOM else 0)


class Lines:
    """An iterator over lines that knows where the row at hand began: `begin` each row, then take its lines.

    A line that is not UTF-8 comes with surrogates in place of its bad bytes, so that the row can still be told from
    its neighbours; `fault` then says what is wrong. BadRow when the lines of one row exceed MAX_ROW together.
    """

    def __init__(self, file: BinaryIO, start: int) -> None:
        self._file = file
        self.number = 0  # of the line read last; 1 is the first
        self._offset = start  # of the line to read next
        file.seek(start)
        self.begin()

    def begin(self) -> None:
        """The next line is the first of a row."""
        self.first = self.number + 1
        self.fault = ""
        self.ended = False  # the file ended while this row was read
        self._start = self._second = self._offset

    def restart(self) -> None:
        """Go back to the first line of the row at hand."""
        self._seek(self._start, self.first - 1)

    def rewind(self) -> None:
        """Give the row at hand up and go on with the line after its first."""
        self._seek(self._second, self.first)

    def _seek(self, offset: int, number: int) -> None:
        self._file.seek(offset)
        self._offset, self.number = offset, number
        self.begin()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_ROW + 1)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self._offset += len(line)
        too_long = self._offset - self._start > MAX_ROW
        if too_long:
            self._pass_over(line)
        if self.number == self.first:
            self._second = self._offset
        if too_long:
            raise BadRow(TOO_LONG)
        return self._decoded(line)

    def _pass_over(self, line: bytes) -> None:
        """Read on to the end of a line that is too long to keep."""
        while line and not line.endswith(b"\n"):
            line = self._file.readline(MAX_ROW)
            self._offset += len(line)

    def _decoded(self, raw: bytes) -> str:
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            self.fault = self.fault or NOT_UTF8
            return raw.decode("utf-8", errors="surrogateescape")
        if "\0" in line:
            self.fault = self.fault or NUL
        if "\ufeff" in line:
            self.fault = self.fault or INNER_BOM
        return line
