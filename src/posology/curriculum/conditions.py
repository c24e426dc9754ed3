"""A fact's conditions and action in words, as rules and not about one patient: "an eGFR below 30", "45 mg/kg a day"."""

from __future__ import annotations

from collections.abc import Iterable

from posology.curriculum.mentions import article
from posology.curriculum.questions import spelled
from posology.knowledge.dose import dose_text
from posology.knowledge.fact import Action, Condition
from posology.knowledge.library import Library
from posology.knowledge.match import bound_text
from posology.knowledge.units import number

_NOUNS = {
    "egfr": "an eGFR {}", "crcl": "a CrCl {}", "weight_kg": "a weight {} kg", "age_years": "an age {}",
    "age_months": "an age in months {}", "creatinine_mg_dl": "a creatinine {}", "trimester": "a trimester {}",
}  # fmt: skip


def circumstance(when: Iterable[Condition], library: Library) -> str:
    """The conditions as noun phrases that stand after "with"; "" where there are none."""
    return " and ".join(_noun(condition, library) for condition in when)


def _noun(condition: Condition, library: Library) -> str:
    kind, name = condition.kind, condition.field
    if kind == "count":
        return f"at least {condition.at_least} of {', '.join(_noun(part, library) for part in condition.parts)}"
    if kind == "number":
        return (
            _NOUNS[name]
            .format(bound_text(condition))
            .replace(" or above kg", " kg or above")
            .replace(" or below kg", " kg or below")
        )
    if kind == "child_pugh":
        return f"Child-Pugh {bound_text(condition)}"
    if kind == "allergy":
        reaction = f"{condition.value} " if condition.value else ""
        return f"{article(reaction or name)} {reaction}{name} allergy"
    if kind == "genotype":
        return f"{name} {condition.value}"
    if kind == "comed_class":
        label = library.classes[name].label if name in library.classes else name
        return f"{article(label)} {label}"
    if kind in ("pregnant", "lactating"):
        return {"pregnant": "pregnancy", "lactating": "breastfeeding"}[kind]
    return spelled(name)  # a comed, a condition, an indication, a sex


def dose_rule(action: Action, *, maximum: bool = False) -> str:
    """ "500 mg every 12 h", "45 mg/kg a day in 2 doses, at most 875 mg a dose", "50 % of the usual dose"."""
    if action.percent is not None:
        return f"{number(action.percent)} % of the usual dose"
    if action.phases:
        return ", then ".join(f"{number(phase.dose)} {phase.unit}" for phase in action.phases)
    cap = f"{number(action.max)} {action.unit.split('/')[0]} a {action.max_per}" if action.max is not None else ""
    if action.dose is None:
        return cap if maximum else f"at most {cap}"
    low, high = action.dose if isinstance(action.dose, tuple) else (action.dose, action.dose)
    amount = number(low) if low == high else f"{number(low)} to {number(high)}"
    if action.per == "day":
        text = f"{amount} {action.unit} a day" + (f" in {action.divided} doses" if action.divided > 1 else "")
    else:
        every = action.every_h
        text = dose_text(amount, action.unit, "dose", (every, every) if isinstance(every, int | float) else every)
    return f"{text}, at most {cap}" if cap else text
