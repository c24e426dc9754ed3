"""Doses, frequencies and routes: worked by hand, and equal whatever the spelling."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.intake.amounts import (
    Dose,
    find_doses,
    find_route,
    fold,
    read_dose,
    same_dose,
)
from posology.intake.frequencies import Frequency, find_frequency, read_frequency


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("500 mg", Dose((500,), "mg")),
        ("1,000mg", Dose((1000,), "mg")),
        ("81-mg", Dose((81,), "mg")),
        (".5 mg", Dose((0.5,), "mg")),
        ("10 to 20 mg", Dose((10, 20), "mg")),
        ("10 mg-20 mg", Dose((10, 20), "mg")),
        ("160/12.5 mg", Dose((160, 12.5), "mg", combined=True)),
        ("5 mcg/hr", Dose((5,), "mcg/h")),
        ("45 mg/kg/day", Dose((45,), "mg/kg/day")),
        ("50 µg", Dose((50,), "mcg")),
        ("2000 IU", Dose((2000,), "units")),
        ("20 mEq", Dose((20,), "meq")),
        ("0.1%", Dose((0.1,), "%")),
        ("two hundred milligrams", Dose((200,), "mg")),
        ("two point five mg", Dose((2.5,), "mg")),
        ("one twenty-five micrograms", Dose((125,), "mcg")),
        ("one thousand two hundred and fifty mg", Dose((1250,), "mg")),
        ("one tablet", Dose((1,), "tablet")),
        ("half a tablet", Dose((0.5,), "tablet")),
        ("1 or 2 puffs", Dose((1, 2), "puff")),
    ],
)
def test_a_dose(text: str, dose: Dose) -> None:
    assert read_dose(text) == dose


@pytest.mark.parametrize(
    "text",
    ["glucose 180 mg/dL", "potassium 4.2 mEq/L", "leukocytes 11,000/mm3", "day 4", "120/80", "level 15 mg per L"],
)
def test_a_laboratory_value_is_no_dose(text: str) -> None:
    assert read_dose(text) is None


def test_from_one_dose_to_another_is_no_range() -> None:
    assert [item.dose for item in find_doses("from 20 to 40 mg")] == [Dose((20,), "mg"), Dose((40,), "mg")]


def test_a_limit_is_told_apart() -> None:
    assert [item.capped for item in find_doses("650 mg every 6 hours, maximum 3 g per day")] == [False, True]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1 g", "1000 mg", True),
        ("0.5 mg", "500 mcg", True),
        ("0.1 g/kg", "100 mg/kg", True),
        ("5 mg", "5 mcg", False),
        ("5 mg/kg", "5 mg", False),
        ("10 units", "10 mL", False),
        ("10-20 mg", "10/20 mg", False),
    ],
)
def test_doses_are_compared_in_one_unit(one: str, other: str, same: bool) -> None:
    first, second = read_dose(one), read_dose(other)
    assert first is not None and second is not None
    assert same_dose(first, second) is same


@settings(derandomize=True, deadline=None)
@given(
    st.integers(1, 9999), st.sampled_from(["mg", "mcg", "g", "units", "ml", "meq", "%", "tablet", "puff", "mg/kg/day"])
)
def test_a_dose_reads_as_it_is_written(amount: int, unit: str) -> None:
    dose = Dose((amount / 4,), unit)
    assert read_dose(str(dose)) == dose


@pytest.mark.parametrize(
    ("text", "frequency"),
    [
        ("BID", Frequency((12.0, 12.0))),
        ("b.i.d.", Frequency((12.0, 12.0))),
        ("every 12 hours", Frequency((12.0, 12.0))),
        ("three times a day", Frequency((8.0, 8.0))),
        ("tds", Frequency((8.0, 8.0))),
        ("q6h prn", Frequency((6.0, 6.0), as_needed=True)),
        ("q.4-6h. p.r.n.", Frequency((4.0, 6.0), as_needed=True)),
        ("nightly", Frequency((24.0, 24.0), ("at bedtime",))),
        ("before meals and at bedtime", Frequency((24.0, 24.0), ("at bedtime", "before meals"))),
        ("every other day", Frequency((48.0, 48.0))),
        ("twice a week", Frequency((84.0, 84.0))),
        ("daily for 10 days", Frequency((24.0, 24.0))),
        ("x 10 days", None),
        ("a week before surgery", None),
        ("activities of daily living", None),
    ],
)
def test_a_frequency(text: str, frequency: Frequency | None) -> None:
    assert read_frequency(text) == frequency


@pytest.mark.parametrize(
    ("text", "route"),
    [("p.o.", "oral"), ("by mouth", "oral"), (" iv ", "intravenous"), ("inhaler", "inhaled"), ("cream", "topical"),
     ("tablet p.r.n.", ""), ("oral contraceptive", ""), ("in both eyes", "ophthalmic"), ("patch", "transdermal")],
)  # fmt: skip
def test_a_route(text: str, route: str) -> None:
    assert find_route(text) == route


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=80))
def test_folding_keeps_every_place(text: str) -> None:
    assert len(fold(text)) == len(text)
    find_doses(fold(text)), find_frequency(fold(text)), find_route(fold(text))  # any text can be read
