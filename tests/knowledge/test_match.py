from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.knowledge.fact import parse_condition
from posology.knowledge.library import Library
from posology.knowledge.match import (
    Match,
    bound_text,
    deciding_values,
    evaluate,
    normalised,
    other_side_text,
    phenotype_name,
    reaction_class,
    within,
)
from posology.knowledge.patient import Allergy, Genotype, Patient

HOLDS, FAILS, UNKNOWN = Match.HOLDS, Match.FAILS, Match.UNKNOWN


@pytest.mark.parametrize(
    ("text", "patient", "expected"),
    [
        ("egfr < 30", Patient(egfr=29.9), HOLDS),
        ("egfr < 30", Patient(egfr=30), FAILS),
        ("egfr < 30", Patient(), UNKNOWN),
        ("30 <= egfr < 45", Patient(egfr=30), HOLDS),
        ("30 <= egfr < 45", Patient(egfr=45), FAILS),
        ("age_months < 3", Patient(age_years=0.25), FAILS),
        ("age_months < 3", Patient(age_years=2 / 12), HOLDS),
        ("child_pugh >= B", Patient(child_pugh="C"), HOLDS),
        ("child_pugh >= B", Patient(child_pugh="A"), FAILS),
        ("child_pugh >= B", Patient(), UNKNOWN),
        ("pregnant", Patient(), FAILS),
        ("trimester >= 2", Patient(), FAILS),
        ("trimester >= 2", Patient(pregnant=True), UNKNOWN),
        ("trimester >= 2", Patient(trimester=2), HOLDS),
        ("sex: female", Patient(), UNKNOWN),
        ("sex: female", Patient(sex="male"), FAILS),
        ("comed: class soother", Patient(comeds=("CALMOL",)), HOLDS),
        ("comed: class soother", Patient(comeds=("Soothers",)), HOLDS),
        ("comed: calmol", Patient(comeds=("soother",)), FAILS),
        ("comed: calmol", Patient(), FAILS),
        ("condition: sore liver", Patient(conditions=("Hepatic soreness",)), HOLDS),
        ("indication: ache", Patient(indication="Ache"), HOLDS),
        ("genotype: CYP2D6 poor metabolizer", Patient(genotypes=(Genotype("cyp2d6", "Poor metaboliser"),)), HOLDS),
        ("genotype: CYP2D6 poor metabolizer", Patient(genotypes=(Genotype("CYP2D6", "normal metabolizer"),)), FAILS),
        ("genotype: CYP2D6 poor metabolizer", Patient(genotypes=(Genotype("CYP2D6"),)), UNKNOWN),
        ("genotype: CYP2D6 poor metabolizer", Patient(), FAILS),
        ("allergy: moss", Patient(allergies=(Allergy("Moss"),)), HOLDS),
        ("allergy: moss (immediate)", Patient(allergies=(Allergy("moss"),)), UNKNOWN),
        ("allergy: moss (immediate)", Patient(allergies=(Allergy("moss", "mild"),)), FAILS),
        ("allergy: soother", Patient(allergies=(Allergy("calmol", "mild"),)), HOLDS),
        ("allergy: calmol", Patient(allergies=(Allergy("soother", "mild"),)), HOLDS),
        ("at least 2 of: age_years >= 80; weight_kg <= 60", Patient(age_years=81, weight_kg=60), HOLDS),
        ("at least 2 of: age_years >= 80; weight_kg <= 60", Patient(age_years=81), UNKNOWN),
        ("at least 2 of: age_years >= 80; weight_kg <= 60", Patient(age_years=79), FAILS),
    ],
)
def test_conditions_by_hand(small: Library, text: str, patient: Patient, expected: Match) -> None:
    assert evaluate(parse_condition(text), normalised(patient, small), small) is expected


def test_kidney_function_is_worked_out_from_its_inputs(small: Library) -> None:
    person = normalised(Patient(age_years=70, weight_kg=60, creatinine_mg_dl=1.5, sex="female"), small)
    assert person.crcl == 33.1
    assert person.egfr == pytest.approx(37.2, abs=0.1)
    assert normalised(Patient(age_years=70, creatinine_mg_dl=1.5, sex="female"), small).crcl is None
    assert normalised(Patient(age_years=10, weight_kg=30, creatinine_mg_dl=1.5, sex="female"), small).egfr is None
    given_egfr = Patient(age_years=70, weight_kg=60, creatinine_mg_dl=1.5, sex="female", egfr=12)
    assert normalised(given_egfr, small).egfr == 12


def test_the_asked_drug_is_no_comedication(small: Library) -> None:
    assert normalised(Patient(comeds=("Kidnex", "thinol", "thinol")), small, "renalol").comeds == ("thinol",)


@pytest.mark.parametrize(
    ("text", "inside", "beyond", "outside"),
    [
        ("egfr < 30", "below 30", 30, "30 or above"),
        ("egfr <= 30", "30 or below", 31, "above 30"),
        ("age_years >= 65", "65 or above", 64, "below 65"),
        ("age_years > 65", "above 65", 65, "65 or below"),
        ("15 <= crcl < 30", "from 15 to 30", 30, "30 or above"),
        ("15 <= crcl < 30", "from 15 to 30", 14, "below 15"),
        ("child_pugh >= B", "B or worse", 1, "below B"),
    ],
)
def test_bounds_in_words(text: str, inside: str, beyond: float, outside: str) -> None:
    condition = parse_condition(text)
    assert bound_text(condition) == inside
    assert other_side_text(condition, beyond) == outside


@given(low=st.integers(0, 60), width=st.integers(1, 60), value=st.floats(0, 150))
def test_bands_split_the_line(low: int, width: int, value: float) -> None:
    bands = [f"egfr < {low + 1}", f"{low + 1} <= egfr < {low + 1 + width}", f"egfr >= {low + 1 + width}"]
    assert [within(parse_condition(text), value) for text in bands].count(True) == 1


def test_the_deciding_value_is_the_patients_own(small: Library) -> None:
    person = normalised(Patient(comeds=("calmol",), egfr=28), small)
    [comed] = deciding_values(parse_condition("comed: class soother"), person, small)
    assert (comed.field, comed.value) == ("comeds", "calmol")
    [egfr] = deciding_values(parse_condition("egfr < 30"), person, small)
    assert (egfr.field, egfr.value, egfr.bound_text) == ("egfr", 28, "below 30")


def test_words_that_people_use() -> None:
    assert reaction_class("Anaphylaxis") == "immediate"
    assert reaction_class("Stevens-Johnson syndrome") == "severe delayed"
    assert reaction_class("rash") == "mild"
    assert reaction_class("felt odd") == "unknown"
    assert phenotype_name(" Poor  Metaboliser ") == "poor metabolizer"
