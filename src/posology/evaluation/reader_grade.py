"""Grade the reader of medications on sentences labelled by hand, half of which nobody looked at while it was written.

The sentences ship with the package and are graded each time: what is shown is the reader as it is. They were written
and labelled by the reader's own author, in the manner of notes, before the reader; two labels of the development half were mended
afterwards, none of the other's. That is a weaker proof than strangers' labels on real notes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import posology.intake
from posology.files import read_jsonl
from posology.intake.amounts import read_dose
from posology.intake.drug_names import Vocabulary
from posology.intake.frequencies import read_frequency
from posology.intake.medication_cues import STATUSES
from posology.intake.medications import Medication, read_medications
from posology.intake.support import tuple_of

HALVES = ("development", "held_out")
FIELDS = ("drug", "dose", "unit", "route", "frequency", "status")
LABELLED = Path(posology.intake.__file__).with_name("labelled")
Tuple = tuple[str, ...]


@dataclass(frozen=True)
class Labelled:
    """A text and the medication tuples that a reader should find, as `support.tuple_of` writes them."""

    text: str
    tuples: tuple[Tuple, ...]


@dataclass(frozen=True)
class Agreement:
    """Found against wanted: counts, from which precision, recall and F1 follow (None where a denominator is 0)."""

    hits: int
    found: int
    wanted: int

    @property
    def precision(self) -> float | None:
        return self.hits / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        return self.hits / self.wanted if self.wanted else None

    @property
    def f1(self) -> float | None:
        return 2 * self.hits / (self.found + self.wanted) if self.found + self.wanted else None

    def as_json(self) -> dict[str, Any]:
        return {"hits": self.hits, "found": self.found, "wanted": self.wanted,
                "precision": self.precision, "recall": self.recall, "f1": self.f1}  # fmt: skip

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.hits + other.hits, self.found + other.found, self.wanted + other.wanted)


NOTHING = Agreement(0, 0, 0)


def labelled(half: str) -> list[Labelled]:
    """The labelled sentences of one half."""
    return [
        Labelled(row["text"], tuple(_tuple(label) for label in row["medications"]))
        for row in read_jsonl(LABELLED / f"{half}.jsonl")
    ]


def _tuple(label: dict[str, str]) -> Tuple:
    return tuple_of(
        Medication(
            drug=label["drug"],
            dose=read_dose(label["dose"]) if "dose" in label else None,
            route=label.get("route", ""),
            frequency=read_frequency(label["frequency"]) if "frequency" in label else None,
            status=STATUSES[STATUSES.index(label["status"])],
            known=True,
            start=0,
            end=0,
        )
    )


def agreement(found: Iterable[Tuple], wanted: Iterable[Tuple]) -> Agreement:
    """Equal tuples, each counted as often as it stands on both sides."""
    left, right = Counter(found), Counter(wanted)
    return Agreement(sum((left & right).values()), sum(left.values()), sum(right.values()))


def field_agreement(found: Sequence[Tuple], wanted: Sequence[Tuple], field: int) -> Agreement:
    """One field, with its drug: (drug,) alone, or (drug, field) where the field is told. Empty fields do not count."""
    if field == 0:
        return agreement([(item[0],) for item in found], [(item[0],) for item in wanted])
    return agreement(
        [(item[0], item[field]) for item in found if item[field]],
        [(item[0], item[field]) for item in wanted if item[field]],
    )


def grade_reader(half: str, vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """Tuple and field agreement over one half, as JSON, with the number of sentences and of medications."""
    whole, fields = NOTHING, [NOTHING] * len(FIELDS)
    rows = labelled(half)
    for row in rows:
        found = [tuple_of(item) for item in read_medications(row.text, vocabulary)]
        whole += agreement(found, row.tuples)
        fields = [total + field_agreement(found, row.tuples, at) for at, total in enumerate(fields)]
    return {
        "sentences": len(rows),
        "medications": whole.wanted,
        "tuple": whole.as_json(),
        "fields": {name: total.as_json() for name, total in zip(FIELDS, fields, strict=True)},
    }


def reader_figures() -> dict[str, Any]:
    """Both halves, and who labelled them."""
    figures: dict[str, Any] = {half: grade_reader(half) for half in HALVES}
    figures["labelled_by"] = "the reader's author, before the reader was written"
    return figures
