"""Does a condition hold for a patient? Three answers: it holds, it fails, or a value is unknown.

What is not stated counts as absent (allergies, conditions, co-medications, pregnancy, genotype, indication); numbers
and the Child-Pugh class that are not given are unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from posology.knowledge.fact import Condition
from posology.knowledge.formulas import ADULT_YEARS, ckd_epi_2021, cockcroft_gault
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient
from posology.knowledge.units import number

IMMEDIATE = ("immediate", "anaphylaxis", "anaphylactic", "urticaria", "hives", "angioedema", "bronchospasm", "ige")
SEVERE_DELAYED = ("severe delayed", "sjs", "stevens johnson syndrome", "ten", "toxic epidermal necrolysis", "dress")
MILD = ("mild", "rash", "mild rash", "maculopapular rash", "itching")


class Match(Enum):
    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class DecidingValue:
    """One value of this patient that decides, and the bound it meets, in words."""

    field: str  # "egfr", "comeds", "genotype:CYP2D6", "allergies", "conditions", "pregnant" ...
    value: float | str | bool
    bound_text: str  # "below 30", "45 or above", "from 15 to 30"; for an allergy its reaction; "" otherwise
    condition: str  # the condition as the fact writes it


def reaction_class(text: str) -> str:
    """ "anaphylaxis" -> "immediate"; a word we do not know is "unknown", so that the judge asks."""
    word = " ".join(text.casefold().replace("-", " ").replace("_", " ").split())
    for name, words in (("immediate", IMMEDIATE), ("severe delayed", SEVERE_DELAYED), ("mild", MILD)):
        if word in words:
            return name
    return "unknown"


def phenotype_name(text: str) -> str:
    """British spelling, case and spaces evened out: "Poor Metaboliser" -> "poor metabolizer"."""
    return " ".join(text.casefold().replace("metaboliser", "metabolizer").split())


def normalised(patient: Patient, library: Library, drug: str = "") -> Patient:
    """The patient in the library's names, with eGFR and CrCl worked out where their inputs are known.

    `drug` itself is no co-medication. Names that the library does not know are kept, in lower case.
    """
    comeds = (
        library.resolve_drug(name) or library.resolve_class(name) or name.strip().casefold() for name in patient.comeds
    )
    egfr, crcl = _kidney(patient)
    return replace(
        patient,
        egfr=egfr,
        crcl=crcl,
        pregnant=patient.pregnant or patient.trimester is not None,
        indication=_term(library, "indication", patient.indication),
        comeds=tuple(dict.fromkeys(name for name in comeds if name != drug)),
        conditions=tuple(dict.fromkeys(_term(library, "condition", name) for name in patient.conditions)),
        allergies=tuple(Allergy(_allergen(library, a.allergen), a.reaction) for a in patient.allergies),
        genotypes=tuple(_genotype(library, g) for g in patient.genotypes),
    )


def _term(library: Library, kind: str, text: str) -> str:
    return library.resolve_term(kind, text) or " ".join(text.casefold().split())


def _allergen(library: Library, text: str) -> str:
    known = library.resolve_term("allergen", text) or library.resolve_drug(text) or library.resolve_class(text)
    return known or " ".join(text.casefold().split())


def _genotype(library: Library, genotype: Genotype) -> Genotype:
    return Genotype(genotype.gene.strip().upper(), phenotype_name(genotype.phenotype))


def _kidney(patient: Patient) -> tuple[float | None, float | None]:
    egfr, crcl = patient.egfr, patient.crcl
    age, creatinine, sex = patient.age_years, patient.creatinine_mg_dl, patient.sex
    if age is not None and ADULT_YEARS <= age < 140 and creatinine is not None and creatinine > 0 and sex is not None:
        if egfr is None:
            egfr = round(ckd_epi_2021(creatinine, age, sex), 1)
        if crcl is None and patient.weight_kg is not None and patient.weight_kg > 0:
            crcl = round(cockcroft_gault(age, patient.weight_kg, creatinine, sex), 1)
    return egfr, crcl


def field_value(patient: Patient, name: str) -> float | None:
    """A numeric field as a number; age_months follows from age_years, Child-Pugh counts A = 1, B = 2, C = 3."""
    if name == "age_months":
        return None if patient.age_years is None else round(patient.age_years * 12, 6)
    if name == "child_pugh":
        return None if patient.child_pugh is None else float("ABC".index(patient.child_pugh) + 1)
    value = getattr(patient, name)
    return None if value is None else float(value)


def evaluate(condition: Condition, patient: Patient, library: Library) -> Match:
    """Whether a condition holds for a normalised patient."""
    kind = condition.kind
    if kind in ("number", "child_pugh"):
        return _number(condition, patient)
    if kind == "count":
        parts = [evaluate(part, patient, library) for part in condition.parts]
        if parts.count(Match.HOLDS) >= condition.at_least:
            return Match.HOLDS
        possible = parts.count(Match.HOLDS) + parts.count(Match.UNKNOWN)
        return Match.UNKNOWN if possible >= condition.at_least else Match.FAILS
    if kind == "sex":
        return Match.UNKNOWN if patient.sex is None else _truth(patient.sex == condition.field)
    if kind == "genotype":
        return _genotype_match(condition, patient)
    if kind == "allergy":
        return _allergy(condition, patient, library)
    if kind in ("comed", "comed_class"):
        return _truth(matching_comed(condition, patient, library) != "")
    stated = {
        "pregnant": patient.pregnant,
        "lactating": patient.lactating,
        "condition": condition.field in patient.conditions,
        "indication": condition.field == patient.indication,
    }
    return _truth(stated[kind])


def _truth(value: bool) -> Match:
    return Match.HOLDS if value else Match.FAILS


def _number(condition: Condition, patient: Patient) -> Match:
    value = field_value(patient, condition.field)
    if value is None:
        absent = condition.field == "trimester" and not patient.pregnant
        return Match.FAILS if absent else Match.UNKNOWN
    return _truth(within(condition, value))


def within(condition: Condition, value: float) -> bool:
    """Whether a number lies in the condition's interval."""
    low, high = condition.low, condition.high
    if low is not None and (value < low or (condition.low_open and value == low)):
        return False
    return high is None or value < high or (not condition.high_open and value == high)


def _genotype_match(condition: Condition, patient: Patient) -> Match:
    raised = [g.phenotype for g in patient.genotypes if g.gene == condition.field.upper()]
    if condition.value in raised:
        return Match.HOLDS
    return Match.UNKNOWN if "" in raised else Match.FAILS


def _allergy(condition: Condition, patient: Patient, library: Library) -> Match:
    reactions = [a.reaction for a in patient.allergies if allergen_is(a.allergen, condition.field, library)]
    if not reactions:
        return Match.FAILS
    if not condition.value or condition.value in reactions:
        return Match.HOLDS
    return Match.UNKNOWN if "unknown" in reactions else Match.FAILS


def allergen_is(stated: str, name: str, library: Library) -> bool:
    """Whether a stated allergen is `name`: the same word, a member of that class, or the class of that drug."""
    return library.is_a(stated, name) or library.is_a(name, stated)


def matching_comed(condition: Condition, patient: Patient, library: Library) -> str:
    """The patient's co-medication that a comed condition means; "" where there is none."""
    for comed in patient.comeds:
        if library.is_a(comed, condition.field):
            return comed
    return ""


def bound_text(condition: Condition) -> str:
    """The interval in words: "below 30", "45 or above", "from 15 to 30"."""
    low, high = _shown(condition, condition.low), _shown(condition, condition.high)
    down, up = ("better", "worse") if condition.kind == "child_pugh" else ("below", "above")
    if low and high:
        return low if low == high else f"from {low} to {high}"
    if high:
        return f"below {high}" if condition.high_open else f"{high} or {down}"
    return f"above {low}" if condition.low_open else f"{low} or {up}"


def other_side_text(condition: Condition, value: float) -> str:
    """In words, the side of the interval on which `value` lies: for "egfr < 30" and 45, "30 or above"."""
    if condition.low is not None and value <= condition.low and not within(condition, value):
        low = _shown(condition, condition.low)
        return f"{low} or below" if condition.low_open else f"below {low}"
    high = _shown(condition, condition.high)
    return f"{high} or above" if condition.high_open else f"above {high}"


def _shown(condition: Condition, bound: float | None) -> str:
    if bound is None:
        return ""
    return "ABC"[int(bound) - 1] if condition.kind == "child_pugh" else number(bound)


def deciding_values(condition: Condition, patient: Patient, library: Library) -> list[DecidingValue]:
    """What this patient has that meets (or, beyond a threshold, does not meet) the condition."""
    name = condition.patient_field
    if condition.kind == "count":
        holding = evaluate(condition, patient, library) is Match.HOLDS
        wanted = [p for p in condition.parts if (evaluate(p, patient, library) is Match.HOLDS) == holding]
        return [value for part in wanted for value in deciding_values(part, patient, library)]
    if condition.kind in ("number", "child_pugh"):
        value = field_value(patient, condition.field)
        if value is None:
            return []
        text = bound_text(condition) if within(condition, value) else other_side_text(condition, value)
        shown = patient.child_pugh or "" if condition.kind == "child_pugh" else value
        return [DecidingValue(name, shown, text, condition.text)]
    if condition.kind in ("comed", "comed_class"):
        return [DecidingValue(name, matching_comed(condition, patient, library), "", condition.text)]
    if condition.kind == "allergy":
        stated = next((a for a in patient.allergies if allergen_is(a.allergen, condition.field, library)), None)
        return [DecidingValue(name, stated.allergen, stated.reaction, condition.text)] if stated else []
    if condition.kind in ("pregnant", "lactating"):
        return [DecidingValue(name, True, "", condition.text)]
    value_text = condition.value if condition.kind == "genotype" else condition.field
    return [DecidingValue(name, value_text, "", condition.text)]
