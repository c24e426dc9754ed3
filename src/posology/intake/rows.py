"""A row as its file holds it, and what may be wrong with one. No message here ever holds a value of the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_ROW = 8_000_000  # bytes; what one row may take in memory, whatever a file without line ends or quotes claims
MAX_TEXT = 1_000_000  # characters of one text: about 250,000 tokens, more than any model here reads

NOT_UTF8 = "it is not UTF-8 text"
NUL = "it holds a NUL character"
INNER_BOM = "it holds a byte order mark, which belongs at a file's start only"
TOO_LONG = f"it is longer than {MAX_ROW:,} bytes"


@dataclass(frozen=True)
class Row:
    """`values` by the file's own column names; empty where `fault` says why the row cannot be read."""

    number: int  # 1 is the first row of data
    line: int  # of the file, where the row begins; 0 where the format has no lines
    values: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    detail: str = ""  # numbers that belong to the fault


class BadRow(Exception):  # noqa: N818 (the row is bad, the program is not)
    """A row that cannot be used. `reason` is one of a few fixed sentences; `detail` may add numbers."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def text_fault(text: str) -> str:
    """What makes a text unfit for a tokenizer or a file; "" if nothing does."""
    if "\0" in text:
        return NUL
    if "\ufeff" in text:
        return INNER_BOM
    return "" if text.isascii() or _encodable(text) else "it holds half of a surrogate pair, which is no character"


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
