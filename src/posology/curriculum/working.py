"""The working before an answer: which medicines are asked about, each of the patient's numbers and the grade of the liver
against the limits that the asked medicine has for it, and the allergies that matter to it; at last whether enough of
several numbers lie as they should, where two of three decide.

The medicines are written as the question has them, and the engine says by which names they are known
(text/formulary.py): what follows is said of a name that stands next to it, and of none that is not known.

A limit is a bound of any fact that may decide about the medicine: whatever the question, metformin's are eGFR 30 and
45. The model learns them by heart and the engine compares (text/comparison.py), so that a number never seen in
training falls on the right side. One letter or one word decides as numbers do (Child-Pugh B, a penicillin or a
cephalosporin), and is misread as numbers are: so it is copied, too, and held to the question (text/quoting.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from posology.curriculum.mentions import age_words
from posology.knowledge.fact import Condition
from posology.knowledge.library import Bound, Library
from posology.knowledge.patient import Allergy, Patient
from posology.knowledge.units import number
from posology.text.calculator import CalculatorError
from posology.text.comparison import (
    ALLERGY,
    AT_LEAST,
    AT_MOST,
    GRADES,
    LIVER,
    MONTHS,
    YEAR,
    compare,
    count_of,
    expression,
)
from posology.text.formulary import Formulary, lookup
from posology.text.references import AGE, WEIGHT
from posology.text.spans import CALC, END_CALC, span, work_out

_KIDNEY = {"egfr": "eGFR", "crcl": "CrCl", "creatinine_mg_dl": "creatinine"}
_COUNTABLE = {**_KIDNEY, "age_years": AGE, "weight_kg": WEIGHT}
ADULT = 18.0


def looked_up(names: Sequence[str], known: Formulary, *, dose: bool = False) -> str:
    """The medicines of a question as one span, the asked one first; "" for a question that names none.

    ``<|calc|> Coumadin, aspirin<|equals|> warfarin, aspirin<|/calc|>``; `dose`: whether the dose is asked.
    """
    asked = lookup(names, dose=dose)
    try:
        return span(asked, known.look_up(asked))
    except CalculatorError:  # no name, or one with a digit
        return ""


def working(drug: str, patient: Patient, library: Library) -> str:
    """The spans under the lookup: kidney, liver, allergies, age, weight; "" for a medicine without facts or limits.

    The weight stands next to the dose that is worked out from it, and is told for each medicine that has such a dose,
    with or without limits: an age that stood there was taken for it. Under it stands whether enough of several hold,
    where that decides.

    ``<|calc|>eGFR 28?30,45<|equals|><30<|/calc|>``
    """
    limits = library.limits_for(drug)
    asked = [(name, getattr(patient, field), limits.get(field, frozenset())) for field, name in _KIDNEY.items()]
    told = [_compared(name, number(value), bounds) for name, value, bounds in asked if value is not None and bounds]
    if patient.child_pugh is not None and "child_pugh" in limits:
        told.append(_compared(LIVER, patient.child_pugh, limits["child_pugh"], _grade))
    if library.asks_allergies(drug):
        told += map(_copied, patient.allergies)
    if patient.age_years is not None:
        name, value, bounds = _age(patient.age_years, limits)
        told += [_compared(name, number(value), bounds)] if bounds else []
    weights = limits.get("weight_kg", frozenset())
    if patient.weight_kg is not None and (weights or library.is_weighed(drug)):
        told.append(_compared(WEIGHT, number(patient.weight_kg), weights))
    for count in _counts(drug, library):
        with suppress(CalculatorError):  # not all of its numbers are told
            told.append(span(count, work_out(count, before="".join(told))))
    return "".join(told)


def _counts(drug: str, library: Library) -> list[str]:
    """Each count on which a verdict about the drug turns; only of bounds that are part of what they bound ("80 or above")."""
    counts = {
        count_of(condition.at_least, map(_side, condition.parts)): None
        for rule in library.rules_for(drug)
        for condition in rule.when
        if condition.kind == "count" and all(map(_side, condition.parts))
    }
    return list(counts)


def _side(part: Condition) -> str:
    """ "age≥80"; "" for what no count says."""
    if part.field not in _COUNTABLE:
        return ""
    if part.low is not None and part.high is None and not part.low_open:
        return f"{_COUNTABLE[part.field]}{AT_LEAST}{number(part.low)}"
    if part.high is not None and part.low is None and not part.high_open:
        return f"{_COUNTABLE[part.field]}{AT_MOST}{number(part.high)}"
    return ""


def _compared(name: str, value: str, bounds: Iterable[Bound], shown: Callable[[float], str] = number) -> str:
    asked = expression(name, value, [f"{AT_MOST if b.closed else ''}{shown(b.at)}" for b in sorted(bounds)])
    return span(asked, compare(asked))


def _grade(place: float) -> str:
    return GRADES[int(place) - 1]


def _copied(allergy: Allergy) -> str:
    """``<|calc|>allergy penicillin, mild?<|/calc|>``: there is nothing to work out."""
    words = allergy.allergen if allergy.reaction == "unknown" else f"{allergy.allergen}, {allergy.reaction}"
    return f"{CALC}{expression(ALLERGY, words, [])}{END_CALC}"


def _age(age_years: float, limits: dict[str, frozenset[Bound]]) -> tuple[str, float, frozenset[Bound]]:
    """The age as questions say it, in years or an infant's in months, and its limits in that unit.

    An adult's age is held against what parts adults (`parts_adults`), a child's against what parts children.
    """
    years, months = limits.get("age_years", frozenset()), limits.get("age_months", frozenset())
    count, unit = age_words(age_years)
    if unit == "month" or not age_years:
        return MONTHS, float(count), months | {Bound(b.at * YEAR, b.closed) for b in years if not parts_adults(b)}
    whole = {Bound(b.at / YEAR, b.closed) for b in months if b.at % YEAR == 0}
    return AGE, age_years, frozenset(b for b in years | whole if parts_adults(b) == (age_years >= ADULT))


def parts_adults(bound: Bound) -> bool:
    """Whether adults lie on both sides of a bound in years."""
    return bound.at > ADULT or (bound.at, bound.closed) == (ADULT, True)
