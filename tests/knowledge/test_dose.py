from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.knowledge.dose import Dose, dose_for, missing_for
from posology.knowledge.fact import Action
from posology.knowledge.patient import Patient
from posology.text.calculator import evaluate


def dose(action: dict[str, Any], **patient: Any) -> Dose:
    return dose_for(Action.model_validate(action), Patient(**patient), "kidol")


def test_a_days_dose_is_divided() -> None:
    got = dose({"dose": 45, "unit": "mg/kg", "per": "day", "divided": 2, "max": 875}, weight_kg=20)
    assert (got.low, got.high, got.unit, got.every_h, got.capped) == (450, 450, "mg", (12, 12), False)
    assert got.expression == "min(20*45/2,875)"
    assert got.text == "450 mg every 12 h"


def test_the_cap_binds() -> None:
    got = dose({"dose": 45, "unit": "mg/kg", "per": "day", "divided": 2, "max": 875}, weight_kg=50)
    assert (got.high, got.capped, got.expression) == (875, True, "min(50*45/2,875)")
    assert got.text == "875 mg every 12 h"


def test_a_days_cap_comes_before_the_division() -> None:
    got = dose({"dose": 90, "unit": "mg/kg", "per": "day", "divided": 2, "max": 4000, "max_per": "day"}, weight_kg=60)
    assert (got.high, got.capped, got.expression) == (2000, True, "min(60*90,4000)/2")


def test_without_a_cap_there_is_no_min() -> None:
    assert dose({"dose": 45, "unit": "mg/kg", "per": "day", "divided": 2}, weight_kg=20).expression == "20*45/2"


def test_a_range_has_an_expression_for_each_end() -> None:
    got = dose({"dose": [10, 15], "unit": "mg/kg", "every_h": [4, 6], "max": 1000}, weight_kg=20)
    assert (got.low, got.high) == (200, 300)
    assert (got.expression_low, got.expression) == ("min(20*10,1000)", "min(20*15,1000)")
    assert got.text == "200 to 300 mg every 4 to 6 h"


def test_steps_count_weight_up_to_a_limit() -> None:
    steps = [{"dose": d, "unit": "mg/kg", "over_h": h} for d, h in ((150, 1), (50, 4), (100, 16))]
    light, heavy = (dose({"phases": steps, "max_weight_kg": 100}, weight_kg=w) for w in (20, 120))
    assert light.phases == (3000, 1000, 2000)
    assert light.text == "3000 mg, then 1000 mg, then 2000 mg"
    assert heavy.phases == (15000, 5000, 10000)
    assert heavy.phase_expressions == ("min(120,100)*150", "min(120,100)*50", "min(120,100)*100")
    assert heavy.capped and not light.capped


@pytest.mark.parametrize(
    ("action", "text"),
    [
        ({"dose": 30, "unit": "mg", "every_h": 24}, "30 mg once daily"),
        ({"dose": 5, "unit": "mg", "every_h": 12}, "5 mg every 12 h"),
        ({"dose": 2, "unit": "g"}, "one dose of 2 g"),
        ({"unit": "mg", "max": 20, "max_per": "day"}, "at most 20 mg a day"),
        ({"percent": 50}, "50 % of the usual dose"),
        ({"dose": [40, 80], "unit": "mg", "per": "day"}, "40 to 80 mg a day"),
        ({"dose": 75, "unit": "mg", "per": "day", "divided": 3}, "25 mg every 8 h"),
    ],
)
def test_fixed_doses_in_words(action: dict[str, Any], text: str) -> None:
    got = dose(action)
    assert got.text == text
    assert got.expression == ""


def test_body_surface_needs_height_and_weight() -> None:
    action = Action.model_validate({"dose": 1250, "unit": "mg/m2", "every_h": 12})
    assert missing_for(action, Patient(weight_kg=80)) == ("height_cm",)
    got = dose_for(action, Patient(weight_kg=80, height_cm=180), "kidol")
    assert (got.high, got.expression) == (2500, "2*1250")
    with pytest.raises(ValueError, match="height_cm"):
        dose_for(action, Patient(weight_kg=80), "kidol")


@given(
    weight=st.floats(1, 120).map(lambda x: round(x, 1)),
    per_kg=st.sampled_from([0.1, 2.5, 7, 15, 45, 90]),
    divided=st.integers(1, 4),
    cap=st.sampled_from([None, 100, 875, 4000]),
    cap_per=st.sampled_from(["dose", "day"]),
)
def test_the_expression_gives_the_amount(
    weight: float, per_kg: float, divided: int, cap: float | None, cap_per: str
) -> None:
    action = {"dose": per_kg, "unit": "mg/kg", "per": "day", "divided": divided, "max": cap, "max_per": cap_per}
    got = dose(action, weight_kg=weight)
    assert evaluate(got.expression) == pytest.approx(got.high)
    if cap is not None:
        assert got.high * (divided if cap_per == "day" else 1) <= cap * 1.0000001
