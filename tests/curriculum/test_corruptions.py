"""Corruptions, worked by hand: one thing wrong, and wrong for certain."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from posology.curriculum.answers import Script, script_of
from posology.curriculum.corruptions import CORRUPTIONS, Bank, corrupted, heard, words, wrong_text
from posology.curriculum.records import ELEMENTS, GoldDose
from posology.curriculum.situations import Bench, Situation
from posology.curriculum.supply import Supply
from posology.curriculum.targets import all_targets
from posology.curriculum.wrong_doses import day_for_dose, of_another, scaled, uncapped
from posology.knowledge.library import Library
from posology.knowledge.patient import Genotype, Patient
from posology.text.calculator import evaluate

HEAVY = GoldDose(875, 875, "mg", "dose", (12, 12), maximum=875, cap_binding=True, expression="min(60*45/2,875)")


@pytest.fixture(scope="module")
def bank(library: Library) -> Bank:
    return Bank.of(Bench(library), {})


def case(library: Library, drug: str, patient: Patient, fact: str) -> tuple[Script, Situation, Bank]:
    bench = Bench(library)
    target = next(t for t in all_targets(library) if t.fact.id == fact and t.drug == drug)
    judgement = bench.judge(patient, drug)
    assert judgement.facts[0].id == fact
    script = script_of(judgement, patient, library, asks_dose=judgement.dose is not None)
    return script, Situation(target.kind, drug, patient, judgement, target), Bank.of(bench, {})


def test_ten_times_the_dose_in_value_and_expression() -> None:
    wrong = scaled(HEAVY, 10)
    assert wrong is not None
    assert (wrong.high, wrong.expression) == (8750, "min(60*450/2,8750)") and evaluate(wrong.expression) == 8750


def test_a_tenth_of_the_dose_in_steps() -> None:
    dose = GoldDose(
        10500, 10500, "mg", "dose", None, steps=(10500, 3500), step_expressions=("min(70,100)*150", "min(70,100)*50")
    )
    wrong = scaled(dose, 0.1)
    assert wrong is not None
    assert wrong.steps == (1050, 350) and wrong.step_expressions == ("min(70,100)*15", "min(70,100)*5")


def test_a_dropped_cap_gives_what_the_weight_asks() -> None:
    wrong = uncapped(HEAVY)
    assert wrong is not None and (wrong.high, wrong.expression) == (1350, "60*45/2")
    assert (
        uncapped(GoldDose(450, 450, "mg", "dose", (12, 12), expression="min(20*45/2,875)")) is None
    )  # the cap does not bind


def test_another_facts_dose_for_this_patient() -> None:
    child = GoldDose(450, 450, "mg", "dose", (12, 12), expression="min(20*45/2,875)")
    other = GoldDose(90, 180, "mg", "dose", (24, 24), expression="min(30*6,600)", expression_low="min(30*3,600)")
    near = GoldDose(675, 675, "mg", "dose", (8, 8), expression="min(30*45/2,875)")  # for 20 kg the same 450 mg
    wrong = of_another(
        child, [(other, 30.0), (near, 30.0), (replace(HEAVY, expression=""), None)], 20.0, random.Random(0)
    )
    assert wrong is not None and (wrong.low, wrong.high) == (60, 120)
    assert (wrong.expression_low, wrong.expression) == ("min(20*3,600)", "min(20*6,600)")
    adult = GoldDose(5, 10, "mg", "dose", (24, 24), text="5 to 10 mg once daily")
    same = GoldDose(10, 20, "mg", "dose", (24, 24), text="10 to 20 mg once daily")  # 10 mg is right as well
    grams = replace(adult, low=50.0, high=50.0, unit="g")
    assert of_another(adult, [(same, None), (grams, None), (other, 30.0)], 20.0, random.Random(0)) is None
    more = replace(same, low=12.5, text="12.5 to 20 mg once daily")
    assert of_another(adult, [(same, None), (more, None)], None, random.Random(0)) == more


def test_a_dose_told_as_a_day() -> None:
    wrong = day_for_dose(GoldDose(450, 450, "mg", "dose", (12, 12), text="450 mg every 12 h"))
    assert wrong is not None and (wrong.text, wrong.per) == ("450 mg a day", "day")
    assert day_for_dose(GoldDose(30, 30, "mg", "dose", (24, 24))) is None  # 30 mg once daily is 30 mg a day


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("negated", "Metformin is not contraindicated."),
        ("verdict_up", None),
        ("dose_x10", None),
        ("cap_dropped", None),
    ],
)
def test_metformin_at_28(name: str, expected: str | None, library: Library) -> None:
    script, situation, bank = case(library, "metformin", Patient(egfr=28), "metformin.renal.below-30")
    wrong = corrupted(name, script, situation, bank, random.Random(0))
    assert (wrong_text(wrong, ()) if wrong else None) == expected


def test_a_shifted_threshold_is_another_one(library: Library) -> None:
    script, situation, bank = case(library, "metformin", Patient(egfr=28), "metformin.renal.below-30")
    seen = set()
    for seed in range(40):
        wrong = corrupted("threshold_shifted", script, situation, bank, random.Random(seed))
        assert wrong is not None and wrong.script.gold.deciding != script.gold.deciding
        seen.add(wrong.script.gold.deciding)
    assert seen == {"The eGFR of 28 is below 45.", "The eGFR of 28 is below 60."}  # not above half of 30: another side


def test_an_unsafe_alternative_is_stopped_by_the_judge(library: Library) -> None:
    script, situation, bank = case(library, "ibuprofen", Patient(comeds=("warfarin",)), "warfarin.interaction.nsaid")
    for seed in range(10):
        wrong = corrupted("unsafe_alternative", script, situation, bank, random.Random(seed))
        if wrong is not None:
            (name,) = wrong.script.gold.alternatives
            assert bank.bench.judge(situation.patient, name).verdict.stops
            return
    pytest.fail("no unsafe alternative found")


def test_another_mechanism_shares_no_word(library: Library) -> None:
    script, situation, bank = case(library, "metformin", Patient(egfr=28), "metformin.renal.below-30")
    for seed in range(20):
        wrong = corrupted("wrong_mechanism", script, situation, bank, random.Random(seed))
        assert wrong is None or not words(wrong.script.gold.mechanism) & words(script.gold.mechanism)


def test_every_other_wrong_phrase_is_said_of_the_drug_elsewhere(library: Library) -> None:
    script, situation, bank = case(library, "metformin", Patient(egfr=28), "metformin.renal.below-30")
    of_metformin = {fact.mechanism for fact in library.facts_for("metformin")}
    found = [corrupted("wrong_mechanism", script, situation, bank, random.Random(seed)) for seed in range(200)]
    near = [wrong.script.gold.mechanism in of_metformin for wrong in found if wrong]
    assert 0.35 < sum(near) / len(near) < 0.75


def test_the_usual_dose_beside_an_adjusted_one(library: Library) -> None:
    fact = "atorvastatin.pharmacogenomics.slco1b1-decreased"
    patient = Patient(genotypes=(Genotype("SLCO1B1", "decreased function"),))
    script, situation, bare = case(library, "atorvastatin", patient, fact)
    assert corrupted("usual_dose_beside", script, situation, bare, random.Random(0)) is None
    usual = GoldDose(80, 80, "mg", "dose", (24, 24), text="80 mg once daily")
    bank = replace(bare, usual={"atorvastatin": ((usual, None),)})
    wrong = corrupted("usual_dose_beside", script, situation, bank, random.Random(0))
    assert wrong is not None
    beside = "Usual dose: 80 mg once daily."
    assert wrong_text(wrong, ()) == f"Adjust the dose of atorvastatin: at most 40 mg a day. {beside}"
    assert wrong_text(wrong, ("monitor",)).endswith(f"40 mg a day. {beside} Monitor muscle symptoms.")


def test_what_is_corrupted_is_said(supply: Supply) -> None:
    """Every corruption that applies changes the text, with no more than the element it needs."""
    bank, rng, tried = Bank.of(supply.bench, {}), random.Random(0), set()
    for target in supply.targets[::3]:
        situation = supply.pools[target][0]
        script = supply.script(situation)
        for name in CORRUPTIONS:
            wrong = corrupted(name, script, situation, bank, rng)
            if wrong is None or name.startswith(("confident", "wrong_missing")):
                continue
            needs = ELEMENTS if name == "monitoring_dropped" else [heard(name, script)]
            assert wrong_text(wrong, needs) != script.text(needs), (name, script.text())
            tried.add(name)
    assert len(tried) >= 12
