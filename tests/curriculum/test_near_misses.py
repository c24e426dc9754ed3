"""Near misses: patients like those of a fact, beyond a limit where another fact decides."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from posology.curriculum.build import Curriculum
from posology.curriculum.patients import is_plausible
from posology.curriculum.situations import KIDNEY, Bench, Situation, near_misses, numbers_of
from posology.curriculum.splits import number_group
from posology.curriculum.supply import Supply
from posology.curriculum.targets import Target
from posology.knowledge.formulas import cockcroft_gault
from posology.knowledge.library import Library
from posology.knowledge.patient import Patient


def falls(library: Library, age: float) -> Situation:
    """Codeine after falls: to be avoided from 65 years on (AGS Beers), acceptable before."""
    rule = next(r for r in library.rules_for("codeine") if any(c.field == "falls" for c in r.when))
    target, patient = Target(rule.fact, rule.when, "codeine"), Patient(age_years=age, conditions=("falls",))
    return Situation(target.kind, "codeine", patient, Bench(library).judge(patient, "codeine"), target)


def test_an_age_above_a_limit_is_missed_on_the_other_side_of_each(library: Library) -> None:
    for age in (66.0, 72.0, 93.0):
        old = falls(library, age)
        assert str(old.judgement.verdict) == "AVOID"
        found = list(near_misses(Bench(library), [old] * 6, random.Random(0)))
        verdicts = {other.patient.age_years or 0.0: str(other.judgement.verdict) for other in found}
        assert all(other.patient == replace(old.patient, age_years=other.patient.age_years) for other in found)
        assert max(verdicts) < 65
        assert {said for years, said in verdicts.items() if years > 50} == {"OK"}
        assert "CONTRAINDICATED" in {said for years, said in verdicts.items() if years < 18}


def test_a_dose_for_adults_is_asked_for_the_old_and_for_children_too(library: Library) -> None:
    """Omeprazole for reflux: a dose for adults, others by weight from 1 to 16 years, and caution from 65 on."""
    rule = next(r for r in library.rules_for("omeprazole") if r.fact.id == "omeprazole.indication.gerd")
    target, patient = (
        Target(rule.fact, rule.when, "omeprazole"),
        Patient(age_years=24.0, weight_kg=60.0, indication="gerd"),
    )
    adult = Situation(target.kind, "omeprazole", patient, Bench(library).judge(patient, "omeprazole"), target)
    found = list(near_misses(Bench(library), [adult] * 8, random.Random(0)))
    ages = [other.patient.age_years or 0.0 for other in found]
    assert len(found) == 8 and min(ages) < 17 and max(ages) >= 65
    assert all(age < 17 or age >= 65 for age in ages)
    assert all(other.fact_id != adult.fact_id for other in found)


def test_they_differ_in_one_number_of_training_and_in_what_is_decided_or_in_something_that_decides_nothing(
    library: Library,
) -> None:
    supply = Supply.make(library, 0, facts_limit=300)
    every_near = [(target, found) for target, every in supply.near.items() for found in every]
    near = [(target, found) for target, found in every_near if target.number_field]
    decided_by = {(target, s.patient): s.fact_id for target, every in supply.pools.items() for s in every}
    beside = [(t, s) for t, s in near if s.patient.comeds and (t, replace(s.patient, comeds=())) in decided_by]
    weighed = [
        (t, s)
        for t, s in near
        if s.patient.weight_kg is not None and (t, replace(s.patient, weight_kg=None)) in decided_by
    ]
    weighed = [(t, s) for t, s in weighed if t.number_field != "weight_kg"]
    assert len(beside) > 30 and len(weighed) > 30 and len(near) - len(beside) - len(weighed) > 100
    for target, found in weighed:
        assert found.fact_id == decided_by[target, replace(found.patient, weight_kg=None)]
        assert library.is_weighed(found.drug) and is_plausible(found.patient)
    for target, found in beside:
        assert found.fact_id == decided_by[target, replace(found.patient, comeds=())]
        assert set(found.patient.comeds) <= set(supply.bench.harmless(found.drug))
    for target, found in near:
        if (target, found) in (*beside, *weighed):
            continue
        twins = [
            s for s in supply.pools[target]
            if replace(s.patient, **{target.number_field: None}) == replace(found.patient, **{target.number_field: None})
        ]  # fmt: skip
        assert any((twin.fact_id, twin.judgement.verdict) != (found.fact_id, found.judgement.verdict) for twin in twins)
        assert (
            number_group(found.drug, target.number_field, dict(numbers_of(found.patient))[target.number_field])
            == "train"
        )
        assert not supply.bench.reserved(found.judgement, found.patient)  # S3 keeps its members


def test_what_turns_on_no_number_is_asked_with_the_kidney_figure_that_others_turn_on(library: Library) -> None:
    """Methotrexate with a suppressed marrow stays contraindicated at any CrCl, and training says so."""
    supply = Supply.make(library, 0, facts_limit=300)
    told = [(t, s) for t, every in supply.near.items() if not t.number_field for s in every]
    assert len(told) > 300
    pools = {target: {s.patient: s.fact_id for s in every} for target, every in supply.pools.items()}
    for target, found in told:
        (name,) = [name for name in KIDNEY if getattr(found.patient, name) is not None]
        assert pools[target][replace(found.patient, **{name: None})] == found.fact_id
        assert name in library.limits_for(found.drug)
        assert number_group(found.drug, name, getattr(found.patient, name)) == "train"
        assert not supply.bench.reserved(found.judgement, found.patient)


def test_no_patient_is_asked_about_whose_numbers_do_not_go_together(library: Library, curriculum: Curriculum) -> None:
    """A weight goes with the age, and a CrCl with the creatinine that it is told beside."""
    supply = Supply.make(library, 0, facts_limit=0)
    every = [s.patient for found in (*supply.pools.values(), *supply.near.values()) for s in found]
    asked = [case.patient for case in curriculum.cases if case.split != "hand"]
    every += [
        Patient(age_years=p["age_years"], weight_kg=p["weight_kg"]) for p in asked if {"age_years", "weight_kg"} <= {*p}
    ]
    weighed = [p for p in every if p.weight_kg is not None and p.age_years is not None]
    assert len(weighed) > 300 and all(is_plausible(patient) for patient in weighed)
    measured = [patient for patient in every if patient.creatinine_mg_dl is not None]
    assert len(measured) > 10 and all(patient.egfr is None for patient in measured)
    both = [patient for patient in measured if patient.crcl is not None]
    assert len(both) > 5
    for p in both:
        assert p.age_years and p.weight_kg and p.creatinine_mg_dl and p.sex
        assert p.crcl == pytest.approx(cockcroft_gault(p.age_years, p.weight_kg, p.creatinine_mg_dl, p.sex), rel=0.1)
