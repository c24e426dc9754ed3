"""Near misses: the nearest patients whom a fact's number spares."""

from __future__ import annotations

from dataclasses import replace

from posology.curriculum.situations import Bench, Situation, near_misses, numbers_of
from posology.curriculum.splits import number_group
from posology.curriculum.supply import Supply
from posology.curriculum.targets import Target
from posology.knowledge.library import Library
from posology.knowledge.patient import Patient


def falls(library: Library, age: float) -> Situation:
    """Codeine after falls: to be avoided from 65 years on (AGS Beers), acceptable before."""
    rule = next(r for r in library.rules_for("codeine") if any(c.field == "falls" for c in r.when))
    target, patient = Target(rule.fact, rule.when, "codeine"), Patient(age_years=age, conditions=("falls",))
    return Situation(target.kind, "codeine", patient, Bench(library).judge(patient, "codeine"), target)


def test_an_age_above_the_limit_is_missed_by_the_nearest_below(library: Library) -> None:
    for age in (66.0, 72.0):
        old = falls(library, age)
        (young,) = near_misses(Bench(library), [old])
        assert (str(old.judgement.verdict), str(young.judgement.verdict)) == ("AVOID", "OK")
        assert young.patient == replace(old.patient, age_years=young.patient.age_years)
        assert young.patient.age_years is not None and 55 < young.patient.age_years < 65


def test_they_differ_in_one_number_of_training_and_in_the_verdict(library: Library) -> None:
    supply = Supply.make(library, 0, facts_limit=300)
    near = [(target, found) for target, every in supply.near.items() for found in every]
    assert len(near) > 100
    for target, found in near:
        assert target.number_field and not target.by_weight
        twins = [
            s for s in supply.pools[target]
            if replace(s.patient, **{target.number_field: None}) == replace(found.patient, **{target.number_field: None})
        ]  # fmt: skip
        assert any(twin.judgement.verdict is not found.judgement.verdict for twin in twins)
        assert (
            number_group(found.drug, target.number_field, dict(numbers_of(found.patient))[target.number_field])
            == "train"
        )
        assert not supply.bench.reserved(found.judgement, found.patient)  # S3 keeps its members
