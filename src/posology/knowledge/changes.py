"""What differs between two versions of the knowledge base, fact by fact and field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posology.knowledge.sheet import COLUMNS, Row


@dataclass(frozen=True)
class Change:
    """One field of one fact, before and after."""

    fact: str
    field: str
    old: str
    new: str


@dataclass(frozen=True)
class Changes:
    added: tuple[Row, ...]
    removed: tuple[Row, ...]
    changed: tuple[Change, ...]  # in order of fact id, then of COLUMNS
    not_compared: tuple[str, ...] = ()  # columns that one of the two sides lacks

    @property
    def changed_facts(self) -> int:
        return len({change.fact for change in self.changed})


def compare(old: Sequence[Row], new: Sequence[Row]) -> Changes:
    """The facts added, removed and changed from `old` to `new`. A renamed fact is one removed and one added."""
    before = {row["id"]: row for row in old}
    after = {row["id"]: row for row in new}
    lacking = tuple(column for column in COLUMNS if _lacks(column, old) or _lacks(column, new))
    changed = tuple(
        Change(name, column, before[name][column], after[name][column])
        for name in sorted(before.keys() & after.keys())
        for column in COLUMNS
        if column not in lacking and before[name][column] != after[name][column]
    )
    return Changes(
        added=tuple(after[name] for name in sorted(after.keys() - before.keys())),
        removed=tuple(before[name] for name in sorted(before.keys() - after.keys())),
        changed=changed,
        not_compared=lacking,
    )


def _lacks(column: str, rows: Sequence[Row]) -> bool:
    return bool(rows) and column not in rows[0]
