"""Doses in text, and how a stated dose stands to the gold one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.curriculum.records import GoldDose
from posology.evaluation.reading_dose import Dose, compare, read_doses
from posology.evaluation.reading_text import normalise

from .exams import AMOXICILLIN_20


def doses(text: str) -> list[Dose]:
    return list(read_doses(normalise(text), (), ""))


def one(text: str) -> Dose:
    (dose,) = doses(text)
    return dose


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("450 mg every 12 h", Dose(450, 450, "mg", "dose", (12, 12))),
        ("450 mg q12h", Dose(450, 450, "mg", "dose", (12, 12))),
        ("450 mg twice daily", Dose(450, 450, "mg", "dose", (12, 12))),
        ("30 mg once daily", Dose(30, 30, "mg", "dose", (24, 24))),
        ("30 mg daily", Dose(30, 30, "mg", "dose", (24, 24))),
        ("200 to 300 mg every 4 to 6 h", Dose(200, 300, "mg", "dose", (4, 6))),
        ("200-300 mg every 4-6 hours", Dose(200, 300, "mg", "dose", (4, 6))),
        ("at most 20 mg a day", Dose(20, 20, "mg", "day", None, True)),
        ("50 % of the usual dose", Dose(50, 50, "%")),
        ("half the usual dose", Dose(50, 50, "%")),
        ("reduce the dose by 25 %", Dose(75, 75, "%")),
        ("one dose of 2 g", Dose(2, 2, "g")),
        ("2 g as a single dose", Dose(2, 2, "g")),
        ("1,000 mg every 6 h", Dose(1000, 1000, "mg", "dose", (6, 6))),
        ("900 mg a day in two divided doses", Dose(450, 450, "mg", "dose", (12, 12))),
        ("900 mg a day", Dose(900, 900, "mg", "day")),
        ("3000 mg, then 1000 mg, then 2000 mg", Dose(3000, 3000, "mg", steps=(3000, 1000, 2000))),
        ("0.5 mcg at night", Dose(0.5, 0.5, "mcg", "dose", (24, 24))),
        ("10 units once a week", Dose(10, 10, "units", "dose", (168, 168))),
        ("reduce from 1000 mg to 500 mg twice daily", Dose(500, 500, "mg", "dose", (12, 12), usual=True)),
    ],
)
def test_doses_are_read(text: str, dose: Dose) -> None:
    assert replace(one(text), usual=dose.usual) == dose


@pytest.mark.parametrize(
    "text",
    [
        "an eGFR of 28 mL/min",
        "creatinine of 1.5 mg/dL",
        "25 mg/kg/day",
        "the age of 9 is below 12",
        "CYP2D6",
        "5 % risk",
    ],
)
def test_what_is_no_dose(text: str) -> None:
    assert doses(text) == []


def test_a_stated_maximum_stands_beside_the_dose() -> None:
    dose, most = doses("300 mg every 6 h, at most 1500 mg a day")
    assert not dose.ceiling and most.ceiling and most.per == "day"


RANGE = GoldDose(200, 300, "mg", "dose", (4.0, 6.0), text="200 to 300 mg every 4 to 6 h")
CEILING = GoldDose(20, 20, "mg", "day", None, ceiling=True, maximum=20, text="at most 20 mg a day")
HALF = GoldDose(50, 50, "%", "dose", None, text="50 % of the usual dose")
ONCE = GoldDose(30, 30, "mg", "dose", (24.0, 24.0), text="30 mg once daily")
STEPS = GoldDose(3000, 3000, "mg", "dose", None, steps=(3000, 1000, 2000))
SINGLE = GoldDose(2, 2, "g", "dose", None, text="one dose of 2 g")


@pytest.mark.parametrize(
    ("gold", "text", "match"),
    [
        (AMOXICILLIN_20, "450 mg every 12 h", "right"),
        (AMOXICILLIN_20, "0.45 g every 12 hours", "right"),
        (AMOXICILLIN_20, "470 mg every 12 h", "right"),  # within 5 %
        (AMOXICILLIN_20, "480 mg every 12 h", "wrong"),
        (AMOXICILLIN_20, "450 mg", "wrong"),  # no interval
        (AMOXICILLIN_20, "450 mg every 8 h", "wrong"),
        (AMOXICILLIN_20, "450 mg every 6 h", "critical"),  # twice a day's total
        (AMOXICILLIN_20, "450 mg a day", "critical"),  # per dose told as per day: half
        (AMOXICILLIN_20, "900 mg a day", "consistent"),  # the day's total, not the dose
        (AMOXICILLIN_20, "900 mg every 12 h", "critical"),
        (AMOXICILLIN_20, "225 mg every 12 h", "critical"),
        (AMOXICILLIN_20, "450 mcg every 12 h", "critical"),
        (AMOXICILLIN_20, "450 units every 12 h", "wrong"),
        (AMOXICILLIN_20, "880 mg every 24 h", "critical"),  # above the maximum for one dose
        (RANGE, "250 mg every 6 h", "right"),
        (RANGE, "200 to 300 mg every 4 to 6 h", "right"),
        (RANGE, "400 mg every 6 h", "wrong"),
        (RANGE, "250 mg every 8 h", "wrong"),
        (CEILING, "at most 20 mg a day", "right"),
        (CEILING, "no more than 20 mg daily", "right"),
        (CEILING, "10 mg once daily", "consistent"),  # allowed, but the ceiling is not named
        (CEILING, "40 mg once daily", "critical"),
        (CEILING, "at most 15 mg a day", "wrong"),
        (CEILING, "at most 40 mg a day", "critical"),
        (HALF, "50 % of the usual dose", "right"),
        (HALF, "75 % of the usual dose", "wrong"),
        (HALF, "25 % of the usual dose", "critical"),
        (HALF, "50 mg once daily", "wrong"),
        (ONCE, "30 mg a day", "right"),
        (ONCE, "30 mg every 12 h", "critical"),
        (STEPS, "3000 mg, then 1000 mg, then 2000 mg", "right"),
        (STEPS, "3000 mg, then 1000 mg", "wrong"),
        (STEPS, "3000 mg, then 3000 mg, then 2000 mg", "critical"),
        (SINGLE, "one dose of 2 g", "right"),
        (SINGLE, "2 g every 12 h", "wrong"),
    ],
)
def test_comparison_by_hand(gold: GoldDose, text: str, match: str) -> None:
    assert compare(one(text), gold) == match


@given(st.floats(0.5, 5000), st.sampled_from([4.0, 6.0, 8.0, 12.0, 24.0]), st.sampled_from([10.0, 0.1, 2.0, 0.5]))
def test_gross_errors_are_critical_whatever_the_dose(amount: float, every: float, factor: float) -> None:
    gold = GoldDose(amount, amount, "mg", "dose", (every, every))
    stated = Dose(amount, amount, "mg", "dose", (every, every))
    assert compare(stated, gold) == "right"
    assert compare(replace(stated, low=amount * factor, high=amount * factor), gold) == "critical"


@given(st.floats(1, 1000), st.floats(0.955, 1.045))
def test_five_percent_is_right(amount: float, factor: float) -> None:
    gold = GoldDose(amount, amount, "mg", "dose", (8.0, 8.0))
    assert compare(Dose(amount * factor, amount * factor, "mg", "dose", (8.0, 8.0)), gold) == "right"
