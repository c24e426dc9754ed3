"""Answers, word for word, worked by hand from the facts that the design names."""

from __future__ import annotations

import pytest

from posology.curriculum.answers import script_of, verdict_sentence
from posology.curriculum.supply import Supply
from posology.knowledge.judge import judge
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient
from posology.text.spans import render

CASES = [
    ("metformin", Patient(egfr=28), False,
     "Metformin is contraindicated. The eGFR of 28 is below 30. Reason: lactic acidosis from accumulation. "
     "Instead of metformin: insulin glargine. Monitor kidney function."),
    ("ibuprofen", Patient(comeds=("warfarin",)), False,
     "Avoid ibuprofen. Deciding: ibuprofen with warfarin. Reason: additive bleeding. Instead of ibuprofen: acetaminophen. Monitor INR."),
    ("amoxicillin", Patient(age_years=4, weight_kg=20, indication="severe infection"), True,
     "Adjust the dose of amoxicillin: <|calc|>min(20*45/2,875)<|equals|>450<|/calc|> mg every 12 h. "
     "The weight of 20 kg is below 40. Monitor kidney function."),
    ("ibuprofen", Patient(age_years=11, weight_kg=52, indication="pain"), True,
     "Adjust the dose of ibuprofen: <|calc|>min(52*5,400)<|equals|>260<|/calc|> to <|calc|>min(52*10,400)<|equals|>400<|/calc|> mg "
     "every 6 to 8 h. The age of 11 is below 12. Monitor kidney function."),
    ("metformin", Patient(), False, "Not enough information: the eGFR is needed."),
    ("zorvatinib", Patient(egfr=50), False, "Not covered: no reviewed fact about this medicine."),
    ("warfarin", Patient(comeds=("zorvatinib",)), False, "Not covered: no reviewed fact about this combination."),
    ("codeine", Patient(age_years=9), False,
     "Codeine is contraindicated. The age of 9 is below 12. Reason: respiratory depression. Instead of codeine: acetaminophen."),
    ("cephalexin", Patient(allergies=(Allergy("penicillin"),)), False, "Not enough information: the kind of allergic reaction is needed."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("drug", "patient", "asks", "expected"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)]
)
def test_complete_answers(drug: str, patient: Patient, asks: bool, expected: str, library: Library) -> None:
    assert script_of(judge(patient, drug, library), patient, library, asks_dose=asks).text() == expected


def test_elements_are_optional_and_keep_their_order(library: Library) -> None:
    patient = Patient(egfr=28)
    script = script_of(judge(patient, "metformin", library), patient, library)
    assert script.applicable == ("deciding", "mechanism", "instead", "monitor")
    assert script.text(()) == "Metformin is contraindicated."
    assert (
        script.text({"monitor", "deciding"})
        == "Metformin is contraindicated. The eGFR of 28 is below 30. Monitor kidney function."
    )


def test_a_question_for_the_dose_gets_it_even_from_a_terse_expert(library: Library) -> None:
    patient = Patient(age_years=66, weight_kg=81, creatinine_mg_dl=1.0, indication="atrial fibrillation")
    judgement = judge(patient, "apixaban", library)
    asked = script_of(judgement, patient, library, asks_dose=True)
    assert asked.gold.dose_required and asked.text(()) == "Apixaban is acceptable. Usual dose: 5 mg every 12 h."
    assert script_of(judgement, patient, library).text(()) == "Apixaban is acceptable."


def test_the_usual_dose_stands_next_to_the_verdict_that_allows_it(supply: Supply) -> None:
    """And nowhere beside an adjusted dose, or after a reason."""
    told = 0
    for target in supply.targets:
        for situation in supply.pools[target]:
            for asks_dose in (False, True):
                script = supply.script(situation, asks_dose=asks_dose)
                before, dose, _ = script.text().partition(" Usual dose: ")
                if script.gold.verdict == "ADJUST":
                    assert not dose
                elif dose:
                    told += 1
                    differ = f" Sources differ: {', '.join(script.sources)}." if script.gold.conflict else ""
                    assert before == verdict_sentence(script) + differ
    assert told > 100


def test_conflicts_are_always_told(library: Library) -> None:
    patient = Patient(crcl=40)
    script = script_of(judge(patient, "nitrofurantoin", library), patient, library)
    assert "CONTRAINDICATED" in script.gold.conflict and len(script.gold.conflict) == 2
    assert script.text(()).startswith(
        "Nitrofurantoin is contraindicated. Sources differ: FDA label says contraindicated, "
    )


def test_two_of_three_are_all_told(library: Library) -> None:
    patient = Patient(age_years=84, weight_kg=57, creatinine_mg_dl=1.1, indication="atrial fibrillation")
    gold = script_of(judge(patient, "apixaban", library), patient, library).gold
    assert gold.deciding == "The age of 84 is 80 or above. The weight of 57 kg is 60 or below."


def test_steps_are_worked_out_one_by_one(library: Library) -> None:
    patient = Patient(weight_kg=120, indication="acetaminophen overdose")
    script = script_of(judge(patient, "acetylcysteine", library), patient, library)
    assert script.gold.dose is not None and script.gold.dose.cap_binding
    assert render(script.text(())).endswith(
        "min(120, 100) × 150 = 15000 mg, then min(120, 100) × 50 = 5000 mg, then min(120, 100) × 100 = 10000 mg."
    )


def test_an_unknown_result_is_asked_for(library: Library) -> None:
    patient = Patient(genotypes=(Genotype("CYP2D6"),))
    assert (
        script_of(judge(patient, "codeine", library), patient, library).text()
        == "Not enough information: the CYP2D6 result is needed."
    )


def test_an_adjusted_co_medication_is_named(library: Library) -> None:
    patient = Patient(comeds=("simvastatin",))
    script = script_of(judge(patient, "amlodipine", library), patient, library)
    assert script.text(()) == "Adjust the dose of simvastatin: at most 20 mg a day."


def test_gold_knows_what_a_medicine_always_needs(library: Library) -> None:
    patient = Patient(crcl=20, indication="atrial fibrillation")
    gold = script_of(judge(patient, "dabigatran", library), patient, library).gold
    assert gold.monitored == ("kidney function",)
    assert "suicidal thoughts" not in library.monitored("sertraline")  # only below 25 years


def test_gold_knows_what_else_says_its_verdict(library: Library) -> None:
    """Lisinopril is acceptable at a CrCl of 44, and with digoxin; that digoxin is allowed does not make age cautious."""
    patient = Patient(age_years=24, crcl=44, comeds=("digoxin",))
    gold = script_of(judge(patient, "lisinopril", library), patient, library).gold
    assert gold.deciding == "The CrCl of 44 is above 30."
    assert gold.deciding_too == ("Deciding: lisinopril with digoxin.",)
    patient = Patient(age_years=72, comeds=("simvastatin",))
    assert script_of(judge(patient, "empagliflozin", library), patient, library).gold.deciding_too == ()
