"""Does a note support what a summary says of medicines? One answer for the scorer and for the maker of negatives.

A summary's medication is supported when the note tells of the same drug, in a status that allows it, and contradicts
none of the fields that the summary states; and each of those fields stands somewhere in the note beside that drug, so
that a note may give the dose in one place and the frequency in another. Doses are compared in one unit and a dose
given as "two 500 mg tablets" is 1 g as well; what the summary leaves out is an omission, never an invention.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from posology.intake.amounts import COUNTED, Dose, Frequency, in_micrograms, same_dose
from posology.intake.medication_cues import Status
from posology.intake.medications import Medication

Fault = Literal["drug", "dose", "route", "frequency", "status"]

_TAKEN: frozenset[Status] = frozenset({"current", "started", "changed", "given"})
_NOT_NOW: frozenset[Status] = frozenset({"stopped", "held", "past", "negated"})
_ALSO: dict[Status, frozenset[Status]] = {  # a status told by the summary -> the note's that allow it
    "current": _TAKEN,
    "started": _TAKEN | {"planned"},
    "changed": _TAKEN | {"planned"},
    "given": _TAKEN | {"past"},
    "planned": frozenset({"planned", "started", "changed"}),
    "stopped": _NOT_NOW,
    "held": _NOT_NOW,
    "past": _NOT_NOW | {"given"},
    "negated": _NOT_NOW,
    "allergy": frozenset({"allergy"}),
    "family": frozenset({"family"}),
}


@dataclass(frozen=True)
class Unsupported:
    """A medication of a summary that its note does not support, and the first field at fault."""

    medication: Medication
    fault: Fault


def unsupported(summary: Sequence[Medication], note: Sequence[Medication]) -> tuple[Unsupported, ...]:
    """The summary's medications that the note does not support, in order."""
    return tuple(Unsupported(item, fault) for item in summary if (fault := fault_of(item, note)) is not None)


def fault_of(item: Medication, note: Sequence[Medication]) -> Fault | None:
    """The field in which a note fails to support a medication; None where it supports it."""
    same = [other for other in note if other.drug == item.drug]
    if not same:
        return "drug"
    if item.dose and not any(_dose_told(item, other) for other in same):
        return "dose"
    if item.frequency and not any(other.frequency and frequency_told(item.frequency, other.frequency) for other in same):
        return "frequency"
    if item.route and not any(_route_told(item.route, other.route) for other in same):
        return "route"
    allowed = [other for other in same if other.status in _ALSO[item.status]]
    if not allowed:
        return "status"
    if item.dose and not any(other.dose is None or _dose_told(item, other) for other in allowed):
        return "dose"  # the note has this dose, but of another time: "increased from 20 mg to 40 mg"
    return None


def _dose_told(item: Medication, other: Medication) -> bool:
    said, told = _doses(item), _doses(other)
    if any(same_dose(one, two) for one in said for two in told):
        return True
    wide = other.dose  # one end of the note's range is told by it
    return wide is not None and not wide.combined and item.dose is not None and len(item.dose.values) == 1 and any(
        same_dose(item.dose, Dose((value,), wide.unit)) for value in wide.values
    )  # fmt: skip


def _doses(item: Medication) -> list[Dose]:
    """The dose as written, and times the count of tablets where both are told."""
    out = [dose for dose in (item.dose, item.count) if dose is not None]
    if item.dose and item.count and item.count.unit in COUNTED and len(item.count.values) == 1:
        times = item.count.values[0]
        out.append(Dose(tuple(value * times for value in item.dose.values), item.dose.unit, item.dose.combined))
    return out


def frequency_told(said: Frequency, told: Frequency) -> bool:
    """Whether every part of a summary's frequency stands in the note's."""
    if said.as_needed and not told.as_needed or said.once and not told.once:
        return False
    if said.hours is not None and said.hours != told.hours:
        return False
    return set(said.timing) <= set(told.timing)


def _route_told(said: str, told: str) -> bool:
    return said == told or (said == "injection" and told in ("intravenous", "intramuscular", "subcutaneous"))


def identical(one: Medication, other: Medication) -> bool:
    """Equal in every field, doses in one unit; where they stand in their texts does not matter."""
    if (one.dose is None) != (other.dose is None) or (one.dose and other.dose and not same_dose(one.dose, other.dose)):
        return False
    return (one.drug, one.route, one.frequency, one.status) == (other.drug, other.route, other.frequency, other.status)


def tuple_of(item: Medication) -> tuple[str, str, str, str, str, str]:
    """(drug, dose, unit, route, frequency, status) with masses in micrograms: equal tuples are one medication."""
    dose = in_micrograms(item.dose) if item.dose else None
    amount, _, unit = str(dose).partition(" ") if dose else ("", "", "")
    return item.drug, amount, unit, item.route, str(item.frequency or ""), item.status
