from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.knowledge.formulas import body_surface_area, ckd_epi_2021, cockcroft_gault, dose_by_weight


@pytest.mark.parametrize(
    ("creatinine", "age", "sex", "expected"),
    [(1.0, 50, "male", 91.7), (1.0, 50, "female", 68.6), (2.0, 70, "male", 35.2), (0.5, 30, "female", 129.3)],
)
def test_ckd_epi_2021_vectors(creatinine: float, age: float, sex: str, expected: float) -> None:
    assert round(ckd_epi_2021(creatinine, age, sex), 1) == expected  # type: ignore[arg-type]


def test_ckd_epi_2021_men_with_low_creatinine() -> None:
    # 142 * (0.8/0.9)^-0.302 * 0.9938^40, by hand: the branch that a public calculator set has wrong
    assert ckd_epi_2021(0.8, 40, "male") == pytest.approx(142 * (0.8 / 0.9) ** -0.302 * 0.9938**40)
    assert round(ckd_epi_2021(0.8, 40, "male"), 1) == 114.7


@pytest.mark.parametrize(
    ("age", "weight", "creatinine", "sex", "expected"), [(70, 60, 1.5, "female", 33.1), (45, 80, 1.0, "male", 105.6)]
)
def test_cockcroft_gault_vectors(age: float, weight: float, creatinine: float, sex: str, expected: float) -> None:
    assert round(cockcroft_gault(age, weight, creatinine, sex), 1) == expected  # type: ignore[arg-type]


def test_body_surface_area_by_hand() -> None:
    assert body_surface_area(180, 80) == pytest.approx(2.0)  # sqrt(14400 / 3600)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_measurement_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="creatinine_mg_dl"):
        ckd_epi_2021(bad, 50, "male")
    with pytest.raises(ValueError, match="weight_kg"):
        cockcroft_gault(50, bad, 1.0, "male")


def test_kidney_equations_are_for_adults() -> None:
    with pytest.raises(ValueError, match="adults"):
        ckd_epi_2021(0.5, 10, "male")
    with pytest.raises(ValueError, match="adults"):
        cockcroft_gault(10, 30, 0.5, "male")


def test_a_day_of_20_kg_amoxicillin_is_two_doses_of_450() -> None:
    assert dose_by_weight(20, 45, divided=2, cap=875) == (450, False)
    assert dose_by_weight(50, 45, divided=2, cap=875) == (875, True)


@given(low=st.floats(0.2, 9), more=st.floats(0.01, 5), age=st.floats(18, 100), sex=st.sampled_from(["female", "male"]))
def test_more_creatinine_is_less_kidney(low: float, more: float, age: float, sex: str) -> None:
    assert ckd_epi_2021(low + more, age, sex) < ckd_epi_2021(low, age, sex)  # type: ignore[arg-type]
    assert cockcroft_gault(age, 70, low + more, sex) < cockcroft_gault(age, 70, low, sex)  # type: ignore[arg-type]


@given(weight=st.floats(0.5, 200), per_kg=st.floats(0.01, 100), cap=st.floats(1, 5000), divided=st.integers(1, 4))
def test_a_dose_never_passes_its_cap(weight: float, per_kg: float, cap: float, divided: int) -> None:
    amount, capped = dose_by_weight(weight, per_kg, divided=divided, cap=cap)
    assert amount <= cap
    assert capped == (amount == cap and weight * per_kg / divided > cap)
