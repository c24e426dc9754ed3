"""What the judge says about a drug that an answer offers to a case's patient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posology.curriculum.records import Case
from posology.evaluation.claims import StopsFor
from posology.knowledge.judge import judge
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient


def judged_stops(library: Library) -> StopsFor:
    """Whether the judge stops a drug for a case's patient; None where the judge cannot say. Remembers its answers."""
    known: dict[tuple[Patient, str], bool | None] = {}

    def stops(case: Case, drug: str) -> bool | None:
        key = (patient_of(case.patient), drug)
        if key not in known:
            verdict = judge(*key, library).verdict
            known[key] = None if verdict == "INSUFFICIENT" else verdict.stops
        return known[key]

    return stops


def patient_of(fields: Mapping[str, Any]) -> Patient:
    """The Patient whose set fields a case tells."""
    values = dict(fields)
    if "allergies" in values:
        values["allergies"] = tuple(
            item if isinstance(item, Allergy) else Allergy(**item) for item in values["allergies"]
        )
    if "genotypes" in values:
        values["genotypes"] = tuple(
            item if isinstance(item, Genotype) else Genotype(**item) for item in values["genotypes"]
        )
    for name in ("comeds", "conditions"):
        if name in values:
            values[name] = tuple(values[name])
    return Patient(**values)
