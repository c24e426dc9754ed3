from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.knowledge.units import Quantity, number, per_body
from posology.text.calculator import format_value


def test_masses_convert_and_others_do_not() -> None:
    assert Quantity(1.5, "g").to("mg") == Quantity(1500, "mg")
    assert Quantity(250, "mcg").to("mg") == Quantity(0.25, "mg")
    with pytest.raises(ValueError, match="mL"):
        Quantity(1, "mg").to("mL")


def test_a_unit_by_weight_is_split() -> None:
    assert per_body("mg/kg") == ("mg", "/kg")
    assert per_body("mg/m2") == ("mg", "/m2")
    assert per_body("units") == ("units", "")


@pytest.mark.parametrize(
    ("value", "shown"), [(450.0, "450"), (382.5, "382.5"), (0.035, "0.035"), (12345, "12350"), (0.0, "0")]
)
def test_numbers_are_written_as_answers_write_them(value: float, shown: str) -> None:
    assert number(value) == shown


@given(st.floats(1e-3, 1e6))
def test_numbers_agree_with_the_calculator(value: float) -> None:
    assert number(value) == format_value(value)
