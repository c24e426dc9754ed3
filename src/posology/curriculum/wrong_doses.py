"""Wrong doses: gold's dose with one thing changed, in the calculator's expression as well as in the value; or another's.

Each function takes a gold dose and returns the wrong one, or None where it does not apply. The expression still gives
the value, so that the calculator does not betray the corruption.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from posology.curriculum.records import GoldDose
from posology.knowledge.dose import dose_text
from posology.knowledge.units import number
from posology.text.calculator import CalculatorError, evaluate
from posology.text.references import WEIGHT, by_name, in_numbers

_CAPPED = re.compile(r"^min\((?P<body>.+),(?P<cap>[\d.]+)\)(?P<rest>(?:/\d+)?)$")
_OTHER_UNIT = {"mg": ("g", "mcg"), "g": ("mg",), "mcg": ("mg",), "units": ("mg",), "mL": ("mg",), "%": ("mg",)}
NOTICEABLE = 1.06  # a dose must be this much off to be wrong: the scorer allows 5 %


def of_another(
    dose: GoldDose, others: Sequence[tuple[GoldDose, float | None]], weight: float | None, rng: random.Random
) -> GoldDose | None:
    """The dose that some other fact has, for this patient: `others` with the weight (kg) that each was worked out for."""
    alike = [one for one in others if (one[0].unit, bool(one[0].expression)) == (dose.unit, bool(dose.expression))]
    for other, its_weight in rng.sample(alike, min(len(alike), 6)) if not dose.steps else ():
        wrong = other
        if other.expression:
            if weight is None or its_weight is None:
                continue
            high, low = (_for_weight(text, its_weight, weight) for text in (other.expression, other.expression_low))
            wrong = replace(other, expression=high, expression_low=low, high=evaluate(high), low=evaluate(low or high))
        if wrong.low > NOTICEABLE * dose.high or (wrong.high < dose.low / NOTICEABLE and not dose.ceiling):
            return _checked(wrong)
    return None


def _for_weight(expression: str, its_weight: float, weight: float) -> str:
    """ "20*45/2" for 20 kg is "30*45/2" for 30."""
    return in_numbers(by_name(expression, {WEIGHT: number(its_weight)}), {WEIGHT: number(weight)})


def scaled(dose: GoldDose, factor: float) -> GoldDose | None:
    """The dose times `factor` (10, 0.1): each dose a kilogram and the cap are multiplied."""
    if dose.unit == "%":
        return None
    wrong = replace(
        dose,
        low=dose.low * factor,
        high=dose.high * factor,
        steps=tuple(step * factor for step in dose.steps),
        expression=_scaled_expression(dose.expression, factor),
        expression_low=_scaled_expression(dose.expression_low, factor),
        step_expressions=tuple(_scaled_expression(text, factor) for text in dose.step_expressions),
    )
    return _checked(replace(wrong, text=_plain_text(wrong)))


def in_another_unit(dose: GoldDose, rng: random.Random) -> GoldDose | None:
    """The right number with another unit."""
    wrong = replace(dose, unit=rng.choice(_OTHER_UNIT[dose.unit]))
    return _checked(replace(wrong, text=_plain_text(wrong)))


def day_for_dose(dose: GoldDose) -> GoldDose | None:
    """One dose told as a day's amount, or a day's amount as one dose."""
    if dose.unit == "%" or dose.steps:
        return None
    if dose.per == "dose" and dose.every_h is not None and dose.every_h[1] <= 12 and not dose.ceiling:
        wrong = replace(dose, per="day", every_h=None)
    elif dose.per == "day" and not dose.ceiling:
        wrong = replace(dose, per="dose", every_h=(6.0, 6.0))
    elif dose.per == "day":
        return replace(dose, text=f"at most {number(dose.high)} {dose.unit} every 6 h")
    else:
        return None
    return _checked(replace(wrong, text=_plain_text(wrong)))


def uncapped(dose: GoldDose) -> GoldDose | None:
    """The dose by weight above its maximum, where the maximum decides."""
    if not dose.cap_binding:
        return None
    if dose.steps:
        texts = tuple(re.sub(r"^min\(([\d.]+),[\d.]+\)", r"\1", text) for text in dose.step_expressions)
        steps = tuple(evaluate(text) for text in texts)
        if steps[0] <= NOTICEABLE * dose.steps[0]:
            return None
        return _checked(replace(dose, steps=steps, high=steps[0], low=steps[0], step_expressions=texts))
    high_text, low_text = _uncapped(dose.expression), _uncapped(dose.expression_low)
    if high_text == dose.expression:
        return None
    high = evaluate(high_text)
    low = evaluate(low_text) if low_text else high if dose.low == dose.high else dose.low
    if high <= NOTICEABLE * dose.high:
        return None
    return _checked(replace(dose, high=high, low=low, expression=high_text, expression_low=low_text))


def _scaled_expression(expression: str, factor: float) -> str:
    """ "min(50*45/2,875)" times 10 is "min(50*450/2,8750)"."""
    if match := _CAPPED.match(expression):
        return f"min({_scaled_expression(match['body'], factor)},{number(float(match['cap']) * factor)}){match['rest']}"
    return re.sub(r"\*([\d.]+)", lambda found: f"*{number(float(found[1]) * factor)}", expression)


def _uncapped(expression: str) -> str:
    match = _CAPPED.match(expression)
    return f"{match['body']}{match['rest']}" if match else expression


def _plain_text(dose: GoldDose) -> str:
    shown = number(dose.low) if dose.low == dose.high else f"{number(dose.low)} to {number(dose.high)}"
    if dose.unit == "%":
        return f"{shown} % of the usual dose"
    if dose.ceiling:
        return f"at most {shown} {dose.unit} a {dose.per}"
    return dose_text(shown, dose.unit, dose.per, dose.every_h)


def _checked(dose: GoldDose) -> GoldDose | None:
    """The dose, if every expression gives its value."""
    pairs = [(dose.expression, dose.high), (dose.expression_low, dose.low)]
    pairs += list(zip(dose.step_expressions, dose.steps, strict=False))
    try:
        fits = all(not text or abs(evaluate(text) - value) <= 1e-3 * max(1.0, abs(value)) for text, value in pairs)
    except CalculatorError:
        return None
    return dose if fits else None
