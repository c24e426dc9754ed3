"""One sentence that says why: for `posology kb judge` and the report, never parsed."""

from __future__ import annotations

from collections.abc import Sequence

from posology.knowledge.fact import Fact, Verdict
from posology.knowledge.match import DecidingValue
from posology.knowledge.units import number

LABELS = {
    "egfr": "eGFR",
    "crcl": "CrCl",
    "age_years": "age in years",
    "age_months": "age in months",
    "weight_kg": "weight in kg",
    "height_cm": "height in cm",
    "creatinine_mg_dl": "creatinine",
    "child_pugh": "Child-Pugh class",
    "trimester": "trimester",
}
_STATED = {
    "comeds": "taken with {}",
    "conditions": "condition: {}",
    "condition": "condition: {}",
    "indication": "indication: {}",
    "sex": "sex: {}",
}


def field_label(name: str) -> str:
    """How a field is named to a reader: "eGFR", "CYP2D6 result", "reaction to penicillin"."""
    if name.startswith("genotype:"):
        return f"{name.removeprefix('genotype:')} result"
    if name.startswith("reaction:"):
        return f"reaction to {name.removeprefix('reaction:')}"
    return LABELS.get(name, name)


def value_phrase(value: DecidingValue) -> str:
    """ "eGFR 28 is below 30", "taken with ibuprofen", "CYP2D6 poor metabolizer"."""
    if value.field in LABELS:
        shown = value.value if isinstance(value.value, str) else number(float(value.value))
        return f"{LABELS[value.field]} {shown} is {value.bound_text}"
    if value.field == "allergies":
        return f"allergy: {value.value} ({value.bound_text})"
    if value.field.startswith("genotype:"):
        return f"{value.field.removeprefix('genotype:')} {value.value}"
    return _STATED.get(value.field, value.field).format(value.value)


def why(
    verdict: Verdict,
    values: Sequence[DecidingValue],
    fact: Fact | None,
    mechanism: str,
    missing: Sequence[str],
    not_covered: Sequence[str],
) -> str:
    """The reason for a verdict, with the fact and source it rests on, or what an INSUFFICIENT one lacks."""
    if verdict is Verdict.INSUFFICIENT:
        parts = []
        if missing:
            parts.append("needed: " + ", ".join(field_label(name) for name in missing))
        if not_covered:
            parts.append("not covered: " + "; ".join(not_covered))
        return "; ".join(parts)
    parts = [value_phrase(value) for value in values]
    if mechanism:
        parts.append(f"because of {mechanism}")
    if fact is not None:
        parts.append(f"{fact.id} ({', '.join(ref.id for ref in fact.sources)}, as of {fact.as_of})")
    return "; ".join(parts)
