"""A fact's action -> the dose for one patient, with the calculator's expression and the words of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from posology.knowledge.fact import Action, Phase
from posology.knowledge.formulas import body_surface_area
from posology.knowledge.patient import Patient
from posology.knowledge.units import MASS_MG, number, per_body


@dataclass(frozen=True)
class Dose:
    """What to give. One of: an amount (`low`..`high` `unit`), steps (`phases`), a ceiling, a percentage.

    `per` is "dose" where `low`/`high` are one dose (a day's dose that the fact divides is given as one dose of it),
    "day" where they are a day's amount that no source divides. For a ceiling `low == high` is the most that may be
    given; for a percentage they count against the usual dose (unit "%").
    """

    of: str  # the drug that is dosed
    low: float
    high: float
    unit: str  # "mg", "g", "mcg", "units", "mL", "%"
    per: str = "dose"  # "dose" | "day"
    every_h: tuple[float, float] | None = None  # hours between doses (shortest, longest); None: once
    divided: int = 1
    expression: str = ""  # gives `high`: "min(50*45/2,875)"; "" where nothing is computed
    expression_low: str = ""  # gives `low` where the two differ
    capped: bool = False  # the cap, not the weight, decided `high`
    max: float | None = None  # the cited maximum, in `unit`
    max_per: str = "dose"
    percent: float | None = None
    ceiling: bool = False
    phases: tuple[float, ...] = ()  # doses given in steps, in `unit`
    phase_expressions: tuple[str, ...] = ()  # one a step
    phase_hours: tuple[float, ...] = ()  # over how long each step runs
    route: str = ""
    note: str = ""
    text: str = ""  # as an answer says it


def missing_for(action: Action, patient: Patient) -> tuple[str, ...]:
    """The patient's fields that the dose cannot be computed without."""
    wanted = ["weight_kg"] if action.scales_with else []
    if "/m2" in action.scales_with:
        wanted.append("height_cm")
    return tuple(name for name in wanted if getattr(patient, name) is None)


def dose_for(action: Action, patient: Patient, of: str) -> Dose:
    """The dose for this patient. Call only when `missing_for` is empty (ValueError otherwise)."""
    if missing := missing_for(action, patient):
        raise ValueError(f"{of}: no dose without {', '.join(missing)}")
    drug = action.of or of
    if action.percent is not None:
        share = action.percent
        text = f"{number(share)} % of the usual dose"
        return Dose(drug, share, share, "%", percent=share, route=action.route, note=action.note, text=text)
    if action.phases:
        return _steps(action, patient, drug)
    if action.dose is None:
        return _ceiling(action, drug)
    return _amount(action, patient, drug)


def _ceiling(action: Action, drug: str) -> Dose:
    most = action.max or 0.0  # the schema has made sure of a max
    text = f"at most {number(most)} {action.unit} a {action.max_per}"
    return Dose(
        drug, most, most, action.unit, per=action.max_per, max=most, max_per=action.max_per, ceiling=True,
        route=action.route, note=action.note, text=text,
    )  # fmt: skip


def _amount(action: Action, patient: Patient, drug: str) -> Dose:
    low, high = action.dose if isinstance(action.dose, tuple) else (action.dose, action.dose)
    assert low is not None and high is not None  # dose_for has looked
    unit, suffix = per_body(action.unit)
    ends = [_one_end(action, patient, suffix, value) for value in (low, high)]
    every = action.every_h
    interval = (every, every) if isinstance(every, (int, float)) else every
    per = "dose"
    if action.per == "day":
        interval = (24 / action.divided, 24 / action.divided) if action.divided > 1 else None
        per = "dose" if action.divided > 1 else "day"
    (low_amount, low_expression, _), (high_amount, high_expression, capped) = ends
    shown = number(low_amount) if low_amount == high_amount else f"{number(low_amount)} to {number(high_amount)}"
    return Dose(
        drug, low_amount, high_amount, unit, per=per, every_h=interval, divided=action.divided,
        expression=high_expression, expression_low=low_expression if low_amount != high_amount else "",
        capped=capped, max=action.max, max_per=action.max_per, route=action.route, note=action.note,
        text=dose_text(shown, unit, per, interval),
    )  # fmt: skip


def _one_end(action: Action, patient: Patient, suffix: str, value: float) -> tuple[float, str, bool]:
    """One end of the range as (amount, expression, whether the cap decided)."""
    amount, expression = value, ""
    if suffix:
        body, shown = _body(action, patient, suffix)
        amount, expression = body * value, f"{shown}*{number(value)}"
    cap, divided = action.max, action.divided if action.per == "day" else 1
    if action.per == "day" and action.max_per == "day":  # the cap counts against the whole day's dose
        capped = cap is not None and amount > cap
        amount = cap if capped and cap is not None else amount
        if cap is not None and expression:
            expression = f"min({expression},{number(cap)})"
        return amount / divided, _split(expression, divided), capped
    expression = _split(expression, divided)
    amount /= divided
    # A single dose above the day's maximum is capped by it too.
    capped = cap is not None and amount > cap
    if cap is not None and expression:
        expression = f"min({expression},{number(cap)})"
    return (cap if capped and cap is not None else amount), expression, capped


def _split(expression: str, divided: int) -> str:
    return f"{expression}/{divided}" if expression and divided > 1 else expression


def _body(action: Action, patient: Patient, suffix: str) -> tuple[float, str]:
    """What the dose is multiplied by, and how the expression writes it: kg counted up to a limit, or m2."""
    weight = patient.weight_kg
    assert weight is not None  # missing_for has looked
    if suffix == "/m2":
        assert patient.height_cm is not None
        area = round(body_surface_area(patient.height_cm, weight), 2)
        return area, number(area)
    if action.max_weight_kg is None:
        return weight, number(weight)
    return min(weight, action.max_weight_kg), f"min({number(weight)},{number(action.max_weight_kg)})"


def _steps(action: Action, patient: Patient, drug: str) -> Dose:
    unit = per_body(action.phases[0].unit)[0]
    steps = [_step(action, patient, phase, unit) for phase in action.phases]
    amounts = tuple(amount for amount, _ in steps)
    heavy = action.max_weight_kg is not None and (patient.weight_kg or 0) > action.max_weight_kg
    expressions = tuple(expression for _, expression in steps)
    return Dose(
        drug, amounts[0], amounts[0], unit, expression=expressions[0], capped=heavy, phases=amounts,
        phase_expressions=expressions, phase_hours=tuple(phase.over_h for phase in action.phases),
        route=action.route, note=action.note,
        text=", then ".join(f"{number(amount)} {unit}" for amount in amounts),
    )  # fmt: skip


def _step(action: Action, patient: Patient, phase: Phase, unit: str) -> tuple[float, str]:
    phase_unit, suffix = per_body(phase.unit)
    if not suffix:
        factor = MASS_MG[phase_unit] / MASS_MG[unit] if phase_unit != unit else 1.0
        return phase.dose * factor, ""
    body, shown = _body(action, patient, suffix)
    return body * phase.dose, f"{shown}*{number(phase.dose)}"


def dose_text(amount: str, unit: str, per: str, every_h: tuple[float, float] | None) -> str:
    """ "450 mg every 12 h", "30 mg once daily", "200 to 300 mg every 4 to 6 h", "40 mg a day", "one dose of 2 g"."""
    if per == "day":
        return f"{amount} {unit} a day"
    if every_h is None:
        return f"one dose of {amount} {unit}"
    if every_h == (24, 24):
        return f"{amount} {unit} once daily"
    low, high = (number(hours) for hours in every_h)
    return f"{amount} {unit} every {low if low == high else f'{low} to {high}'} h"
