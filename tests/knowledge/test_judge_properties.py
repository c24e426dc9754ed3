"""Properties of the judge on the shipped facts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from posology.knowledge.fact import Fact, Verdict
from posology.knowledge.judge import decides, judge
from posology.knowledge.library import load_library
from posology.knowledge.match import Match, evaluate, normalised
from posology.knowledge.patient import Allergy, Genotype, Patient

LIBRARY = load_library()
DRUGS = sorted(LIBRARY.drugs)
CONDITIONS = sorted(name for kind, name in LIBRARY.terms if kind == "condition")
INDICATIONS = sorted(name for kind, name in LIBRARY.terms if kind == "indication")


def bounded() -> list[Fact]:
    """The facts that restrict a drug below one kidney value, and nothing else."""
    return [
        fact
        for fact in LIBRARY.facts
        if fact.drug and fact.verdict not in (None, Verdict.OK) and decides(fact, "US") and len(fact.when) == 1
        and fact.when[0].field in ("egfr", "crcl") and fact.when[0].high is not None and fact.when[0].high_open
    ]  # fmt: skip


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


PATIENTS = st.builds(
    Patient,
    age_years=maybe(st.floats(0.1, 95).map(lambda x: round(x, 1))),
    weight_kg=maybe(st.floats(3, 150).map(lambda x: round(x, 1))),
    sex=maybe(st.sampled_from(["female", "male"])),
    creatinine_mg_dl=maybe(st.floats(0.3, 6).map(lambda x: round(x, 1))),
    egfr=maybe(st.integers(3, 130)),
    crcl=maybe(st.integers(3, 150)),
    child_pugh=maybe(st.sampled_from("ABC")),
    trimester=maybe(st.integers(1, 3)),
    lactating=st.booleans(),
    indication=st.sampled_from(["", "", *INDICATIONS]),
    jurisdiction=st.sampled_from(["US", "US", "UK", "EU"]),
    allergies=st.lists(st.sampled_from([Allergy("penicillin", "immediate"), Allergy("sulfonamide")]), max_size=1).map(
        tuple
    ),
    genotypes=st.lists(
        st.builds(Genotype, st.sampled_from(["CYP2D6", "CYP2C19", "DPYD"]), st.sampled_from(["", "poor metabolizer"])),
        max_size=1,
    ).map(tuple),
    comeds=st.lists(st.sampled_from(DRUGS), max_size=2).map(tuple),
    conditions=st.lists(st.sampled_from(CONDITIONS), max_size=2).map(tuple),
)


@settings(max_examples=300, deadline=None)
@given(patient=PATIENTS, drug=st.sampled_from(DRUGS))
def test_the_worst_verdict_that_fires_wins(patient: Patient, drug: str) -> None:
    person = normalised(patient, LIBRARY, drug)
    fired = [
        rule.fact
        for rule in LIBRARY.rules_for(drug)
        if rule.fact.verdict is not None
        and decides(rule.fact, patient.jurisdiction)
        and all(evaluate(c, person, LIBRARY) is Match.HOLDS for c in rule.when)
    ]
    replaced = {name for fact in fired if fact.drug for name in fact.conflicts_with}
    worst = max(
        (fact.verdict.rank for fact in fired if fact.verdict and not (fact.drug_class and fact.id in replaced)),
        default=0,
    )
    got = judge(patient, drug, LIBRARY)
    if worst >= Verdict.AVOID.rank:
        assert got.verdict.rank == worst
    elif got.verdict is Verdict.INSUFFICIENT:
        assert got.missing or got.not_covered
    else:
        assert got.verdict.rank == max(worst, Verdict.OK.rank)
        assert got.facts, "no verdict without a fact"


@settings(max_examples=300, deadline=None)
@given(patient=PATIENTS, drug=st.sampled_from(DRUGS), comed=st.sampled_from(DRUGS))
def test_another_medicine_never_turns_a_stop_into_anything_milder(patient: Patient, drug: str, comed: str) -> None:
    before = judge(patient, drug, LIBRARY).verdict
    after = judge(replace(patient, comeds=(*patient.comeds, comed)), drug, LIBRARY).verdict
    if before.stops:
        assert after.stops
    if after is Verdict.OK and comed != drug and comed not in patient.comeds:
        assert before in (Verdict.OK, Verdict.INSUFFICIENT)


@settings(max_examples=200, deadline=None)
@given(patient=PATIENTS, drug=st.sampled_from(DRUGS))
def test_answers_are_whole_and_their_alternatives_safe(patient: Patient, drug: str) -> None:
    got = judge(patient, drug, LIBRARY)
    assert got.why
    assert got == judge(patient, drug, LIBRARY)
    if got.verdict is Verdict.ADJUST:
        assert got.dose is not None and got.dose.text
    for other, replaced in got.alternatives:
        kept = tuple(c for c in patient.comeds if c not in (drug, replaced))  # the asked drug is no co-medication
        comeds = kept if replaced == drug else (*kept, drug)
        indication = patient.indication if replaced == drug else ""
        assert not judge(replace(patient, comeds=comeds, indication=indication), other, LIBRARY).verdict.stops


@settings(max_examples=200, deadline=None)
@given(fact=st.sampled_from(bounded()), step=st.sampled_from([0.1, 0.5, 1]))
def test_the_two_sides_of_a_threshold(fact: Fact, step: float) -> None:
    [condition] = fact.when
    assert condition.high is not None and fact.verdict is not None
    inside, bound, outside = (
        judge(Patient(weight_kg=70, **{condition.field: value}), fact.drug, LIBRARY)
        for value in (condition.high - step, condition.high, condition.high + step)
    )
    assert inside.verdict.rank >= fact.verdict.rank
    assert fact.id in {item.id for item in inside.facts}
    for beyond in (bound, outside):
        assert beyond.verdict is Verdict.OK or fact.id not in {item.id for item in beyond.facts}
        if beyond.verdict is Verdict.OK and beyond.deciding:
            assert beyond.deciding[0].field == condition.field


@settings(max_examples=40, deadline=None)
@given(patient=PATIENTS, text=st.text(min_size=1, max_size=20))
def test_any_word_is_judged_without_an_error(patient: Patient, text: str) -> None:
    strange = replace(patient, comeds=(text,), conditions=(text,), indication=text, allergies=(Allergy(text),))
    judge(strange, "warfarin", LIBRARY)
    assert judge(patient, f"{text}-no-such-drug", LIBRARY).verdict is Verdict.INSUFFICIENT
