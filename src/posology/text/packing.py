"""Packing: several examples in one row, each with its own positions and its own attention segment.

First fit over a window of open rows, in the order given: deterministic, and rows stay close to that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posology.text.chat import Encoded

OPEN_ROWS = 64  # rows that still take examples; the oldest is closed when one more is opened
IGNORED = -100


@dataclass(frozen=True)
class PackedRow:
    """One row: examples one after another, not padded. Segments count from 1; positions restart in each segment."""

    ids: list[int]
    positions: list[int]
    segments: list[int]
    scored: list[bool]

    @property
    def targets(self) -> list[int]:
        """The next token where it is scored and in the same segment, -100 elsewhere."""
        following = zip(self.ids[1:], self.scored[1:], self.segments[1:], self.segments, strict=False)
        return [token if scored and a == b else IGNORED for token, scored, a, b in following] + [IGNORED]


@dataclass(frozen=True)
class Packed:
    """`dropped` counts the examples longer than a row; `order` of the examples is kept in `members` (row by row)."""

    rows: list[PackedRow]
    members: list[list[int]]
    dropped: int
    row: int

    @property
    def fill(self) -> float:
        """Share of the rows' places that hold a token."""
        return sum(len(row.ids) for row in self.rows) / max(1, len(self.rows) * self.row)


def pack(examples: Sequence[Encoded], row: int, order: Sequence[int]) -> Packed:
    """Put the examples named by `order` into rows of at most `row` tokens. No example is cut."""
    members: list[list[int]] = []
    room: list[int] = []
    first_open = dropped = 0
    for index in order:
        length = len(examples[index])
        if length > row:
            dropped += 1
            continue
        while first_open < len(room) and room[first_open] == 0:
            first_open += 1
        place = next((r for r in range(first_open, len(room)) if room[r] >= length), len(room))
        if place == len(room):
            members.append([])
            room.append(row)
            first_open = max(first_open, len(room) - OPEN_ROWS)
        members[place].append(index)
        room[place] -= length
    return Packed([_row([examples[i] for i in group]) for group in members], members, dropped, row)


def _row(group: list[Encoded]) -> PackedRow:
    return PackedRow(
        ids=[token for example in group for token in example.ids],
        positions=[position for example in group for position in range(len(example))],
        segments=[number for number, example in enumerate(group, 1) for _ in example.ids],
        scored=[scored for example in group for scored in example.scored],
    )
