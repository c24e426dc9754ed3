"""What became of a file's rows, in numbers that may be written down: no text of any row is among them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN_LABELS = ("factual", "factual_with_evidence", "hallucinated")
OTHER = "(other)"  # labels that are not shown: a column that was named by mistake may hold patients' text
FEW = 12  # a file with more kinds of label than this has something else in that column
FIRST = 5  # row numbers that are kept for each reason
_WORD = re.compile(r"[^\W\d][\w.+-]{0,31}|\d")


@dataclass
class Tally:
    """Filled in while a file is read; complete when its reader is exhausted.

    rows = used + unused + blank + bad: rows of other labels are `unused`; `blank` ones hold nothing in any column.
    """

    rows: int = 0
    used: int = 0
    unused: int = 0
    blank: int = 0
    marked: int = 0  # used rows that held evidence marks
    bad: Counter[str] = field(default_factory=Counter)  # reason -> rows
    first: dict[str, list[int]] = field(default_factory=dict)  # reason -> the first rows that have it
    wanted: tuple[str, ...] = ()  # labels that the user named
    _labels: Counter[str] = field(default_factory=Counter, repr=False)

    @property
    def skipped(self) -> int:
        """Bad rows, whatever the reason."""
        return self.bad.total()

    def add_bad(self, row: int, reason: str) -> None:
        self.bad[reason] += 1
        rows = self.first.setdefault(reason, [])
        if len(rows) < FIRST:
            rows.append(row)

    def add_label(self, label: str) -> None:
        """Count a label; "" is a row without one."""
        new = label not in self._labels and not self._always(label)
        hidden = new and (len(self._labels) > 2 * FEW or not _WORD.fullmatch(label))
        self._labels[OTHER if hidden else label] += 1

    def labels(self) -> dict[str, int]:
        """Rows by label, most frequent first. A label is named if the user named it, if it is one of KNOWN_LABELS, or
        if it is a single word that several rows have, in a column of few kinds. The rest may be text of a note, and is
        summed under OTHER.
        """
        few = sum(not self._always(label) for label in self._labels) <= FEW
        shown: Counter[str] = Counter()
        for label, count in self._labels.items():
            shown[label if self._always(label) or (few and count > 1) else OTHER] += count
        return dict(shown.most_common())

    def _always(self, label: str) -> bool:
        return not label or label in KNOWN_LABELS or label in self.wanted

    def manifest(self) -> Mapping[str, Any]:
        """For a run's manifest: plain JSON, counts and reasons only."""
        return {
            "rows": self.rows, "used": self.used, "other_label": self.unused, "blank": self.blank, "bad": self.skipped,
            "bad_by_reason": dict(self.bad.most_common()), "with_evidence_marks": self.marked, "labels": self.labels(),
        }  # fmt: skip
