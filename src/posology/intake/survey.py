"""What a file holds, before anything is trained on it: rows, lengths, labels, duplicates, what is used and why not.

Numbers only: no text of a row is kept or told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posology.intake.options import ReadOptions
from posology.intake.read import Opened, open_data, read_records
from posology.intake.records import Example, Pair, Text
from posology.intake.seen import Seen
from posology.intake.shapes import names_to_show
from posology.intake.tally import FIRST, Tally

TOGETHER = "together"
# UTF-8 that was once read as Windows-1252: "≥" has become "â‰¥", "µg" "Âµg". A capital (or a letter that opens two or
# three bytes) is followed by what Windows-1252 makes of the bytes that continue a character.
_CONTINUED = re.escape(
    "".join(bytes([byte]).decode("cp1252", errors="ignore") or chr(byte) for byte in range(0x80, 0xC0))
)
_MOJIBAKE = re.compile(f"[Â-Þ][{_CONTINUED}]|[à-ï][{_CONTINUED}]{{2}}|[ð-ô][{_CONTINUED}]{{3}}")
_LOST = "\ufffd"  # what a program writes in place of a character that it could not read


@dataclass(frozen=True)
class Lengths:
    """Of the texts of one column: quantiles by nearest rank (the least length that so many rows do not exceed)."""

    median: int
    p95: int
    longest: int
    longest_row: int


@dataclass
class Found:
    """Rows that have something in common: how many, and the first few."""

    rows: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, row: int) -> None:
        self.rows += 1
        if len(self.first) < FIRST:
            self.first.append(row)


@dataclass(frozen=True)
class Survey:
    """`lengths`: by the file's name of a column, and of prompt and longer answer TOGETHER, over the rows that are used;
    among those, `repeated_prompts` have an earlier one's note or prompt, `repeated` its answer too, and `garbled` ones
    show characters that were lost on the way.
    """

    opened: Opened
    tally: Tally
    lengths: Mapping[str, Lengths]
    repeated_prompts: Found
    repeated: Found
    garbled: Found

    def unread(self) -> tuple[int, list[str]]:
        """How many columns are not read, and their names where they look like names."""
        others = [name for name in self.opened.columns if name not in self.opened.read.values()]
        return len(others), [name for name in names_to_show(self.opened.columns) if name in others]

    def as_json(self, unit: str) -> dict[str, Any]:
        """Plain data; `unit` names what the lengths count."""
        source = self.opened.source
        return {
            "path": str(source.path), "format": source.format, "split": source.split, "files": len(source.files),
            "bytes": sum(file.stat().st_size for file in source.files), "taken_for": self.opened.shape.words,
            "holds": self.opened.shape.holds, "columns": dict(self.opened.read), "other_columns": self.unread()[0],
            **self.tally.manifest(), "first_bad_rows": dict(self.tally.first), "length_unit": unit,
            "lengths": {name: asdict(lengths) for name, lengths in self.lengths.items()},
            "repeated_prompts": asdict(self.repeated_prompts), "repeated": asdict(self.repeated),
            "garbled": asdict(self.garbled),
        }  # fmt: skip


def words(text: str) -> int:
    return len(text.split())


def survey(path: Path, options: ReadOptions, length: Callable[[str], int] = words) -> Survey:
    """Read all of a file; `length` counts a text's words or tokens. UserError as `read_records` raises it."""
    opened, tally = open_data(path, options), Tally()
    repeated_prompts, repeated, garbled = Found(), Found(), Found()
    prompts, wholes = Seen(), Seen()
    measured: dict[str, _Measure] = {}
    for record in read_records(opened, tally):
        texts = _texts(record)
        if prompts.first(texts[0], record.row):
            repeated_prompts.add(record.row)
        if wholes.first("\0".join(texts), record.row):
            repeated.add(record.row)
        if any(is_garbled(text) for text in texts):
            garbled.add(record.row)
        lengths = dict(zip(_names(opened), map(length, texts), strict=True))
        if len(texts) > 1:
            lengths[TOGETHER] = length(texts[0]) + max(length(text) for text in texts[1:])
        for name, value in lengths.items():
            measured.setdefault(name, _Measure()).add(value, record.row)
    found = {name: measure.lengths() for name, measure in measured.items()}
    return Survey(opened, tally, found, repeated_prompts, repeated, garbled)


@dataclass
class _Measure:
    """Lengths as a histogram: however many rows, few lengths differ."""

    rows: Counter[int] = field(default_factory=Counter)
    longest: int = -1
    longest_row: int = 0

    def add(self, length: int, row: int) -> None:
        self.rows[length] += 1
        if length > self.longest:
            self.longest, self.longest_row = length, row

    def lengths(self) -> Lengths:
        return Lengths(self._quantile(50), self._quantile(95), self.longest, self.longest_row)

    def _quantile(self, percent: int) -> int:
        rank, passed = -(-percent * self.rows.total() // 100), 0
        for length in sorted(self.rows):
            passed += self.rows[length]
            if passed >= rank:
                return length
        raise AssertionError("a measure without rows")


def _texts(record: Example | Pair | Text) -> list[str]:
    """The prompt with what came before it, and the answers; or the text."""
    if isinstance(record, Text):
        return [record.text]
    prompt = "\n".join([*(turn.content for turn in record.history), record.prompt])
    return [prompt, record.completion] if isinstance(record, Example) else [prompt, record.chosen, record.rejected]


def _names(opened: Opened) -> list[str]:
    """What to call the texts of a record: as the file does."""
    shape = opened.shape
    if shape.columns == ("messages",):
        return [f"{opened.read['messages']} before the answer", "the answer"]
    names = [opened.read[name] for name in shape.columns]
    return ["before the answers", *names] if shape.columns == ("chosen", "rejected") else names


def is_garbled(text: str) -> bool:
    """Whether a text shows characters that were lost before it came here: "â‰¥" for "≥"."""
    return not text.isascii() and (_LOST in text or _MOJIBAKE.search(text) is not None)
