from __future__ import annotations

from dataclasses import replace

import pytest

from posology.curriculum.supply import Supply
from posology.curriculum.working import working
from posology.knowledge.judge import judge
from posology.knowledge.library import Bound, Library
from posology.knowledge.patient import Patient
from posology.text.spans import comparisons


@pytest.mark.parametrize(
    ("drug", "patient", "said"),
    [
        ("metformin", Patient(egfr=28), ["eGFR 28 is below 30 (limits 30 and 45)"]),
        ("metformin", Patient(egfr=28, crcl=40, pregnant=True), ["eGFR 28 is below 30 (limits 30 and 45)"]),
        ("metformin", Patient(age_years=9), ["age 9 is below 10 (limits 10 and 18)"]),
        ("metformin", Patient(age_years=60), []),  # of adults all ages are alike
        ("amoxicillin", Patient(age_years=7 / 12), ["months 7 is 6 or above (limits 3 and 6)"]),
        ("omeprazole", Patient(age_years=15 / 12), ["months 15 is 12 or above (limit 12)"]),
        ("omeprazole", Patient(age_years=1), ["age 1 is from 1 to 17 (limits 1 and 17)"]),
        ("quinotrexate", Patient(egfr=28), []),
    ],
)
def test_the_limits_of_the_asked_medicine(drug: str, patient: Patient, said: list[str], library: Library) -> None:
    assert comparisons(working(drug, patient, library)) == said


def test_bounds_say_on_which_side_they_lie(library: Library) -> None:
    limits = library.limits_for("capecitabine")["crcl"]
    assert limits == {Bound(30.0), Bound(50.0, closed=True)}  # below 30, from 30 to 50, above 50
    assert library.limits_for("quinotrexate") == {}


def test_patients_whose_working_is_alike_are_judged_alike(library: Library) -> None:
    """The working keeps all of a kidney value that a verdict may turn on: another value in the same band changes nothing."""
    supply = Supply.make(library, 0, facts_limit=400)
    seen = 0
    for target, situations in supply.pools.items():
        for situation in situations[:3]:
            for field in ("egfr", "crcl"):
                value = getattr(situation.patient, field)
                if value is None:
                    continue
                for other in (value + 1, value - 1, value + 7):
                    patient = replace(situation.patient, **{field: other})
                    same = working(target.drug, patient, library).replace(f"{other:g}", "") == working(
                        target.drug, situation.patient, library
                    ).replace(f"{value:g}", "")
                    if same and other > 0:
                        seen += 1
                        again = judge(patient, target.drug, library)
                        assert again.verdict is situation.judgement.verdict, (target.drug, field, value, other)
    assert seen > 200
