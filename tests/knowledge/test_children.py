"""A child gets no amount that a source set for adults: not without an indication, and not with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from posology.knowledge.coverage import CHILDS_DOSE, gives_adult_amount
from posology.knowledge.dose import Dose
from posology.knowledge.fact import Fact, FactType, Verdict
from posology.knowledge.judge import judge
from posology.knowledge.library import Library, load_library
from posology.knowledge.match import within
from posology.knowledge.patient import Genotype, Patient

ULTRARAPID = (Genotype("CYP2C19", "ultrarapid metabolizer"),)


@pytest.mark.parametrize(
    ("drug", "fields"),
    [
        ("sertraline", {"egfr": 40}),
        ("sertraline", {"genotypes": ULTRARAPID}),
        ("omeprazole", {"genotypes": ULTRARAPID}),
        ("metformin", {"egfr": 90}),
        ("sitagliptin", {"egfr": 35}),
        ("sildenafil", {"comeds": ("clarithromycin",)}),
        ("colchicine", {"comeds": ("verapamil",), "crcl": 90}),
        ("warfarin", {"indication": "atrial fibrillation"}),
        ("amlodipine", {"conditions": ("cirrhosis",)}),
        ("amoxicillin", {"crcl": 20}),
    ],
)
def test_an_adult_amount_is_for_adults(drug: str, fields: dict[str, Any]) -> None:
    grown = judge(Patient(age_years=40, weight_kg=70, **fields), drug)
    assert grown.dose is not None and not grown.dose.expression  # a fixed amount
    for age in (0.5, 8, 17.9):
        child = judge(Patient(age_years=age, weight_kg=25, **fields), drug)
        assert child.dose is None or child.dose.expression, (drug, age, child.dose)
        assert child.verdict is not Verdict.ADJUST or child.dose is not None


def test_the_child_of_a_restriction_is_not_covered_rather_than_ok(small: Library) -> None:
    adult = judge(Patient(age_years=40, crcl=20), "kidol", small)
    assert adult.dose is not None and adult.dose.text == "500 mg once daily"
    child = judge(Patient(age_years=9, weight_kg=30, crcl=20), "kidol", small)
    assert (child.verdict, child.dose) == (Verdict.INSUFFICIENT, None)
    assert CHILDS_DOSE in child.not_covered
    # the safe side of a worse restriction does not make it OK: abacavir's dose in mild liver disease is an adult's
    assert judge(Patient(age_years=40, child_pugh="A"), "abacavir").verdict is Verdict.ADJUST
    assert judge(Patient(age_years=0.2, child_pugh="A"), "abacavir").not_covered == (CHILDS_DOSE,)
    assert judge(Patient(crcl=20), "kidol", small).dose == adult.dose  # no age given: an adult


def test_stops_and_doses_by_weight_still_reach_children(make_folder: Callable[..., Path], write_fact: Any) -> None:
    folder = make_folder(
        write_fact("kidol.renal.none", "renal", "drug kidol", "CONTRAINDICATED", ["crcl < 10"])
        + write_fact("kidol.condition.liver", "hepatic", "drug kidol", "ADJUST", ["condition: sore liver"],
                     'requires = ["weight_kg"]\naction = {dose = 2, unit = "mg/kg", every_h = 24}')
    )  # fmt: skip
    library = load_library(folder)
    assert judge(Patient(age_years=9, crcl=5), "kidol", library).verdict is Verdict.CONTRAINDICATED
    got = judge(Patient(age_years=9, weight_kg=30, conditions=("sore liver",)), "kidol", library)
    assert got.dose is not None and got.dose.text == "60 mg once daily"


def test_what_counts_as_an_adult_amount(real: Library) -> None:
    def adult(name: str) -> bool:
        return gives_adult_amount(real.by_id[name])

    assert adult("sertraline.negative.renal")
    assert not adult("amlodipine.paediatric.hypertension")  # a child's own fixed dose
    assert not adult("lisinopril.indication.hypertension")  # names an age, so its conditions decide
    assert not adult("prasugrel.indication.acs-60-kg")  # names a weight
    assert not adult("enoxaparin.renal.treatment-below-30")  # by weight
    assert not adult("simvastatin.interaction.amlodipine")  # a ceiling
    assert not adult("digoxin.interaction.amiodarone")  # a share of the usual dose


def situations() -> Iterator[dict[str, Any]]:
    yield {}
    for value in (8.0, 25.0, 40.0, 75.0, 95.0):
        yield {"egfr": value}
        yield {"crcl": value}
    yield from ({"child_pugh": name} for name in "ABC")
    yield {"conditions": ("cirrhosis",)}


def test_no_child_of_the_real_facts_gets_an_adults_amount(real: Library) -> None:
    """Every drug, alone and with what its facts name, at five ages: a fixed amount comes from a fact for that age."""
    wrong = []
    for name in real.drugs:
        own = [fact for fact in real.facts_for(name) if fact.action is not None]
        named = [c for fact in own for c in fact.when if c.kind in ("comed", "genotype")]
        extra: list[dict[str, Any]] = [
            {"comeds": (c.field,)} if c.kind == "comed" else {"genotypes": (Genotype(c.field, c.value),)} for c in named
        ]
        for age in (0.2, 4.0, 11.0, 15.0, 17.5):
            for fields in (*situations(), *extra):
                got = judge(Patient(age_years=age, weight_kg=max(4.0, 3 * age), **fields), name)
                dose = got.dose
                if dose is None or dose.expression or dose.percent is not None or dose.ceiling:
                    continue
                if not any(_for_age(fact, age, dose) for fact in got.facts):
                    wrong.append((name, age, fields, dose.text))
    assert wrong == []


def _for_age(fact: Fact, age: float, dose: Dose) -> bool:
    """Whether a fact could be the dose's and is about that age: it names the age, or a weight, or is a child's dose."""
    if fact.action is None or fact.action.unit != dose.unit:
        return False
    ages = [c for c in fact.when if c.field in ("age_years", "age_months")]
    inside = all(within(c, age if c.field == "age_years" else age * 12) for c in ages)
    weighed = any(c.field == "weight_kg" for c in fact.when)
    return inside and (bool(ages) or weighed or fact.type is FactType.PAEDIATRIC)
