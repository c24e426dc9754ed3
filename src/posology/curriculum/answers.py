"""Judgement -> Gold -> the text of an expert's answer. Not for care of patients.

The order is fixed: the verdict sentence (with the adjusted dose, where there is one, and with what sources say, where
they differ), the usual dose, then the chosen optional elements in the order of `records.ELEMENTS`. The usual dose stands
next to the verdict that allows it: where it came after the reason, models wrote it after an adjusted dose, too.
Sentences are short and say only what the judge says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from posology.curriculum.mentions import age_words
from posology.curriculum.questions import capital, spelled
from posology.curriculum.records import ELEMENTS, Gold, GoldDose
from posology.curriculum.working import ADULT, working
from posology.knowledge.dose import Dose, dose_text
from posology.knowledge.fact import Fact, Verdict
from posology.knowledge.judge import Judgement
from posology.knowledge.library import Library
from posology.knowledge.match import DecidingValue
from posology.knowledge.patient import Patient
from posology.knowledge.units import number
from posology.text.comparison import MONTHS, NUMBER, YEAR
from posology.text.references import AGE, WEIGHT, sentence
from posology.text.spans import span

SAID = {
    "CONTRAINDICATED": "contraindicated", "AVOID": "avoid", "ADJUST": "adjust", "CAUTION": "caution", "OK": "acceptable",
}  # fmt: skip
NOT_COVERED_DRUG = "Not covered: no reviewed fact about this medicine."
NOT_COVERED_COMBINATION = "Not covered: no reviewed fact about this combination."
_MISSING = {
    "egfr": "eGFR", "crcl": "CrCl", "weight_kg": "weight", "age_years": "age", "age_months": "age",
    "creatinine_mg_dl": "creatinine", "height_cm": "height", "child_pugh": "Child-Pugh class",
    "allergies": "kind of allergic reaction",
}  # fmt: skip
_VALUE = {
    "egfr": "eGFR", "crcl": "CrCl", "weight_kg": WEIGHT, "creatinine_mg_dl": "creatinine", "age_months": MONTHS,
}  # fmt: skip
_NUMBER_ORDER = ("egfr", "crcl", "creatinine_mg_dl", "weight_kg", "age_months", "age_years")
_GROWN = re.compile(rf"(?:above )?(?P<bound>{NUMBER})(?: or above)?")


def gold_of(judgement: Judgement, patient: Patient, library: Library, *, asks_dose: bool = False) -> Gold:
    """What the judge says, in plain values. `asks_dose`: the question asks for the dose, so the answer must state it."""
    facts = tuple(fact.id for fact in judgement.facts)
    if judgement.verdict is Verdict.INSUFFICIENT:
        missing = tuple(dict.fromkeys(_asked_field(name) for name in judgement.missing))
        return Gold("INSUFFICIENT", facts, missing=missing, not_covered=bool(judgement.not_covered))
    dose = None if judgement.verdict.stops or judgement.dose is None else gold_dose(judgement.dose)
    return Gold(
        verdict=judgement.verdict.value,
        facts=facts,
        dose=dose,
        dose_required=dose is not None and (asks_dose or judgement.verdict is Verdict.ADJUST),
        deciding=_deciding(judgement, patient),
        deciding_too=_deciding_too(judgement, patient),
        mechanism=judgement.mechanism,
        alternatives=tuple(dict.fromkeys(drug for drug, _ in judgement.alternatives)),
        monitoring=judgement.monitoring,
        monitored=library.monitored(judgement.drug),
        conflict=tuple(dict.fromkeys(str(fact.verdict) for fact in (*judgement.facts[:1], *judgement.conflict)))
        if judgement.conflict
        else (),
    )


def _asked_field(name: str) -> str:
    if name.startswith("reaction:"):
        return "allergies"
    return "age_years" if name == "age_months" else name


def gold_dose(dose: Dose) -> GoldDose:
    """The judge's dose in plain values. A day's maximum bounds a single dose too."""
    maximum = dose.max if dose.max_per == dose.per or dose.per == "dose" else None
    return GoldDose(
        low=dose.low, high=dose.high, unit=dose.unit, per="day" if dose.per == "day" else "dose", every_h=dose.every_h,
        ceiling=dose.ceiling, maximum=maximum, cap_binding=dose.capped, expression=dose.expression,
        expression_low=dose.expression_low, steps=dose.phases, step_expressions=dose.phase_expressions, text=dose.text,
    )  # fmt: skip


# The deciding value ---------------------------------------------------------------------------------------------------


def _deciding(judgement: Judgement, patient: Patient) -> str:
    """One sentence on what decides: kidney or weight, then words, then age; "" where only the indication does."""
    values = [value for value in judgement.deciding if not _trivial(value)]
    counted = {value.condition for value in values} & _counts(judgement)
    if counted:
        return " ".join(number_sentence(value) for value in values if value.field in _NUMBER_ORDER)
    numbers = [value for value in values if value.field in _NUMBER_ORDER]
    clinical = [value for value in numbers if not value.field.startswith("age")]
    worded = [text for value in values if (text := _worded(value, judgement, patient))]
    if clinical or (numbers and not worded):
        return number_sentence(min(clinical or numbers, key=_number_rank))
    return f"Deciding: {worded[0]}." if worded else ""


def _deciding_too(judgement: Judgement, patient: Patient) -> tuple[str, ...]:
    """The same of the other facts with this verdict, where it is another sentence."""
    others = (replace(judgement, deciding=values) for values in judgement.deciding_too)
    said = dict.fromkeys(_deciding(other, patient) for other in others)
    return tuple(sentence for sentence in said if sentence not in ("", _deciding(judgement, patient)))


def _counts(judgement: Judgement) -> set[str]:
    """The parts of "at least n of" conditions of the deciding fact: each of them is told."""
    return {part.text for fact in judgement.facts[:1] for condition in fact.when for part in condition.parts}


def _trivial(value: DecidingValue) -> bool:
    if value.field == "age_years" and float(value.value) >= ADULT:
        grown = _GROWN.fullmatch(value.bound_text)  # 64 is 12 or above: true of every adult
        return grown is not None and float(grown["bound"]) <= ADULT
    if value.field == "age_months" and isinstance(value.value, float | int) and value.value >= 24:
        return True
    return value.field in ("indication", "sex")


def _number_rank(value: DecidingValue) -> tuple[int, float]:
    """Kidney before weight before age; of two bounds on one field the nearer."""
    bounds = [float(word) for word in value.bound_text.split() if word.replace(".", "").isdigit()]
    distance = min((abs(float(value.value) - bound) / max(bound, 1.0) for bound in bounds), default=9.0)
    order = _NUMBER_ORDER.index(value.field)
    return min(order, 4), distance


def number_sentence(value: DecidingValue) -> str:
    """ "The eGFR of 28 is below 30.", "The age of 7 months is below 12.", "The weight of 20 kg is below 40."."""
    shown = number(float(value.value))
    if value.field == "age_years":
        count, unit = age_words(float(value.value))
        if unit == "month":  # the bound is in years
            in_months = re.sub(NUMBER, lambda found: f"{float(found[0]) * YEAR:g}", value.bound_text)
            return sentence(MONTHS, count, in_months)
        return sentence(AGE, shown, value.bound_text)
    return sentence(_VALUE[value.field], shown, value.bound_text)


def _worded(value: DecidingValue, judgement: Judgement, patient: Patient) -> str:
    """ "ibuprofen with warfarin", "penicillin allergy, immediate", "CYP2D6 poor metabolizer", "pregnancy"."""
    name = value.field
    if name == "comeds":
        return f"{judgement.drug} with {value.value}"
    if name == "allergies":
        reaction = "" if value.bound_text == "unknown" else f", {value.bound_text}"
        return f"{value.value} allergy{reaction}"
    if name.startswith("genotype:"):
        return f"{name.removeprefix('genotype:')} {value.value}"
    if name == "child_pugh":
        return f"Child-Pugh {value.value}"
    if name in ("pregnant", "trimester"):
        if patient.trimester is not None and name == "trimester":
            return f"pregnancy, trimester {patient.trimester}"
        return "pregnancy"
    if name == "lactating":
        return "breastfeeding"
    return spelled(str(value.value)) if name in ("conditions", "condition") else ""


# Text -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Script:
    """All that an answer needs: gold, the asked drug, and the names that gold's plain values leave out."""

    gold: Gold
    drug: str
    of: str = ""  # the drug that is dosed, where it is the co-medication
    instead_of: str = ""  # which drug the alternative replaces
    sources: tuple[str, ...] = ()  # "publisher says verdict" phrases, told where gold has a conflict
    known: bool = True  # whether the knowledge base has the drug at all
    working: str = ""  # comparisons before the answer: see curriculum/working.py

    @cached_property
    def applicable(self) -> tuple[str, ...]:
        """The optional elements that this case has."""
        return tuple(element for element in ELEMENTS if element_sentence(self, element))

    def text(self, elements: Collection[str] = ELEMENTS) -> str:
        """The answer, without the working before it, with the asked optional elements (those that the case has)."""
        parts = [verdict_sentence(self)]
        if self.gold.conflict:
            parts.append(f"Sources differ: {', '.join(self.sources)}.")
        if self.tells_usual_dose:
            parts.append(usual_dose(self.gold.dose))
        told = sorted(ELEMENTS, key=lambda element: element != "instead") if self.may_tell_usual_dose else ELEMENTS
        parts += (element_sentence(self, element) for element in told if element in elements)
        return " ".join(filter(None, parts))

    @property
    def tells_usual_dose(self) -> bool:
        """Whether the question asks for a dose that the verdict sentence does not state."""
        return self.gold.dose_required and self.gold.verdict != "ADJUST"

    @property
    def may_tell_usual_dose(self) -> bool:
        """Whether the usual dose is what the optional element "instead" says."""
        gold = self.gold
        dosed = gold.dose is not None and gold.verdict in ("OK", "CAUTION")
        return dosed and not gold.dose_required and not gold.alternatives


def script_of(judgement: Judgement, patient: Patient, library: Library, *, asks_dose: bool = False) -> Script:
    """What an expert says of a judged patient."""
    gold = gold_of(judgement, patient, library, asks_dose=asks_dose)
    replaced = judgement.alternatives[0][1] if judgement.alternatives else judgement.drug
    label = library.classes[replaced].label if replaced in library.classes else replaced
    return Script(
        gold, judgement.drug, of=judgement.dose.of if judgement.dose else "", instead_of=label,
        sources=source_phrases(judgement, library), known=judgement.drug in library.drugs,
        working=working(judgement.drug, patient, library),
    )  # fmt: skip


def verdict_sentence(script: Script) -> str:
    """The first sentence: the verdict, with the dose where it is one."""
    gold, drug = script.gold, script.drug
    if gold.verdict == "CONTRAINDICATED":
        return f"{capital(drug)} is contraindicated."
    if gold.verdict == "AVOID":
        return f"Avoid {drug}."
    if gold.verdict == "ADJUST":
        assert gold.dose is not None  # gold_of: an ADJUST judgement carries its dose
        return f"Adjust the dose of {script.of or drug}: {written_dose(gold.dose)}."
    if gold.verdict == "CAUTION":
        return f"Use {drug} with caution."
    if gold.verdict == "OK":
        return f"{capital(drug)} is acceptable."
    if gold.missing:
        return needed(gold.missing)
    return NOT_COVERED_COMBINATION if script.known else NOT_COVERED_DRUG


def needed(missing: Iterable[str]) -> str:
    """ "Not enough information: the eGFR is needed."."""
    names = [f"the {missing_label(name)}" for name in missing]
    return f"Not enough information: {' and '.join(names)} {'is' if len(names) == 1 else 'are'} needed."


def missing_label(name: str) -> str:
    if name.startswith("genotype:"):
        return f"{name.removeprefix('genotype:')} result"
    return _MISSING.get(name, name)


def element_sentence(script: Script, element: str) -> str:
    """One optional element as a sentence; "" where the case has none."""
    gold = script.gold
    if element == "deciding":
        return gold.deciding
    if element == "mechanism":
        return f"Reason: {gold.mechanism}." if gold.mechanism else ""
    if element == "monitor":
        return f"Monitor {gold.monitoring}." if gold.monitoring else ""
    if gold.alternatives:
        return f"Instead of {script.instead_of or script.drug}: {gold.alternatives[0]}."
    return usual_dose(gold.dose) if script.may_tell_usual_dose else ""


def usual_dose(dose: GoldDose | None) -> str:
    """ "Usual dose: 500 mg every 12 h."."""
    return f"Usual dose: {written_dose(dose)}."


def written_dose(dose: GoldDose | None) -> str:
    """A dose with calculator spans where something is worked out."""
    assert dose is not None  # asked for only where gold has one
    if dose.steps:
        spans = [_worked(step, text) for step, text in zip(dose.steps, _padded(dose), strict=True)]
        return ", then ".join(f"{shown} {dose.unit}" for shown in spans)
    if not dose.expression and not dose.expression_low:
        return dose.text
    high = _worked(dose.high, dose.expression)
    low = _worked(dose.low, dose.expression_low) if dose.low != dose.high else ""
    return dose_text(f"{low} to {high}" if low else high, dose.unit, dose.per, dose.every_h)


def _padded(dose: GoldDose) -> tuple[str, ...]:
    return dose.step_expressions or ("",) * len(dose.steps)


def _worked(value: float, expression: str) -> str:
    """ "<|calc|>20*45/2<|equals|>450<|/calc|>", or the bare value without an expression."""
    return span(expression, number(value)) if expression else number(value)


def source_phrases(judgement: Judgement, library: Library) -> tuple[str, ...]:
    """ "FDA label says contraindicated", "AGS says avoid": the deciding fact's publisher first."""
    facts = (*judgement.facts[:1], *judgement.conflict) if judgement.conflict else ()
    return tuple(dict.fromkeys(_source_phrase(fact, library) for fact in facts))


def _source_phrase(fact: Fact, library: Library) -> str:
    source = library.sources.get(fact.sources[0].id)
    publisher = source.publisher if source else "another source"
    return f"{publisher} says {SAID[str(fact.verdict)]}"
