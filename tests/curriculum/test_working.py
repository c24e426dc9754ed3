from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace

import pytest

from posology.config import DataConfig
from posology.curriculum.build import Curriculum
from posology.curriculum.dialogues import make_dialogues
from posology.curriculum.knowledge_dialogues import knowledge_dialogues
from posology.curriculum.questions import Slots, as_written, ask, medicines
from posology.curriculum.supply import Supply
from posology.curriculum.working import looked_up, working
from posology.knowledge.coverage import REDUCED_KIDNEY
from posology.knowledge.judge import judge
from posology.knowledge.library import Bound, Library
from posology.knowledge.patient import Allergy, Patient
from posology.text.formulary import DOSE, Formulary, is_lookup
from posology.text.quoting import is_comparable, may_begin
from posology.text.spans import CALC, END_CALC, EQUALS, worked


@pytest.mark.parametrize(
    ("drug", "patient", "said"),
    [
        ("metformin", Patient(egfr=28), ["eGFR 28 is below 30 (limits 30 and 45)"]),
        ("metformin", Patient(egfr=28, crcl=40, pregnant=True), ["eGFR 28 is below 30 (limits 30 and 45)"]),
        ("metformin", Patient(age_years=9), ["age 9 is below 10 (limits 10 and 18)"]),
        ("metformin", Patient(age_years=60), []),  # of adults all ages are alike
        (
            "warfarin",
            Patient(age_years=12, weight_kg=40),
            ["age 12 is below 18 (limit 18)", "weight 40"],
        ),  # for its dose
        ("metformin", Patient(weight_kg=40), []),  # no dose of it goes by weight
        (
            "amoxicillin",
            Patient(age_years=7 / 12),
            ["age 7 months is from 6 months to 3 years (limits 3 months, 6 months, 3 years, 13 years and 18 years)"],
        ),
        (
            "omeprazole",
            Patient(age_years=15 / 12),
            ["age 15 months is from 1 to 17 years (limits 1 and 17 years)"],
        ),
        ("omeprazole", Patient(age_years=1), ["age 1 is from 1 to 17 (limits 1 and 17)"]),
        ("quinotrexate", Patient(egfr=28), []),
        ("rivaroxaban", Patient(child_pugh="A"), ["Child-Pugh A is better than B (limit B)"]),
        ("celecoxib", Patient(child_pugh="C"), ["Child-Pugh C is C or worse (limits B and C)"]),
        (
            "losartan",
            Patient(egfr=50, child_pugh="B"),
            [
                "eGFR 50 is from 30 to 60 (limits 30 and 60)",
                "Child-Pugh B is better than C (limit C)",
            ],
        ),
        (
            "apixaban",
            Patient(age_years=90, weight_kg=60, creatinine_mg_dl=1.4),
            [
                "creatinine 1.4 is below 1.5 (limit 1.5)",
                "age 90 is 80 or above (limit 80)",
                "weight 60 is 60 or below (limit 60)",
                "2 or more of: age 80 or above, weight 60 or below, creatinine 1.5 or above",
            ],
        ),
        ("apixaban", Patient(age_years=90), ["age 90 is 80 or above (limit 80)"]),  # two of three cannot be counted
        ("tizanidine", Patient(child_pugh="B"), ["Child-Pugh B"]),  # whatever the grade
        ("allopurinol", Patient(child_pugh="B"), []),  # no fact asks for it
        ("cephalexin", Patient(allergies=(Allergy("penicillin", "mild"),)), ["allergy penicillin, mild"]),
        ("cephalexin", Patient(allergies=(Allergy("penicillin"),)), ["allergy penicillin"]),
        ("gabapentin", Patient(allergies=(Allergy("penicillin"),)), []),
    ],
)
def test_the_limits_of_the_asked_medicine(drug: str, patient: Patient, said: list[str], library: Library) -> None:
    assert worked(working(drug, patient, library)) == said


def test_bounds_say_on_which_side_they_lie(library: Library) -> None:
    limits = library.limits_for("capecitabine")["crcl"]
    assert limits == {Bound(30.0), Bound(50.0, closed=True)}  # below 30, from 30 to 50, above 50
    assert library.limits_for("quinotrexate") == {}


def test_patients_whose_working_is_alike_are_judged_alike(library: Library) -> None:
    """The working keeps all of a kidney value that a fact's verdict may turn on: another value in the same band changes
    nothing, but that any figure below 60 must be answered for by some fact."""
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
                    if same and other > 0 and (other < REDUCED_KIDNEY) == (value < REDUCED_KIDNEY):
                        seen += 1
                        again = judge(patient, target.drug, library)
                        assert again.verdict is situation.judgement.verdict, (target.drug, field, value, other)
    assert seen > 200


@pytest.mark.parametrize(
    ("text", "name", "written"),
    [
        ("Is Coumadin safe?", "coumadin", " Coumadin"),
        ("Coumadin: safe?", "coumadin", "Coumadin"),
        ("Safe (coumadin)?", "Coumadin", "coumadin"),
        ("Is trimethoprim-sulfamethoxazole safe with trimethoprim?", "trimethoprim", " trimethoprim"),
        ("Is it safe?", "warfarin", " warfarin"),
    ],
)
def test_a_name_is_written_as_the_question_has_it(text: str, name: str, written: str) -> None:
    assert as_written(text, name) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Is Coumadin for atrial fibrillation safe?", " Coumadin for atrial fibrillation"),
        ("Coumadin for Atrial fibrillation?", "Coumadin for Atrial fibrillation"),
        ("Atrial fibrillation. Is Coumadin safe?", " Coumadin"),  # what it is for does not follow it
    ],
)
def test_a_medicine_is_written_with_what_it_is_asked_for(text: str, written: str) -> None:
    assert medicines(text, "Coumadin", "atrial fibrillation", ["aspirin"]) == (written, " aspirin")


def test_the_medicines_are_looked_up_the_asked_one_first(library: Library) -> None:
    known = Formulary(library.drug_names)
    patient = Patient(comeds=("aspirin", "nsaid"))
    question = ask("interaction", Slots("Coumadin", patient), "train", random.Random(0), classes={"nsaid": "NSAID"})
    assert [name.strip().lower() for name in question.names] == ["coumadin", "aspirin"]  # a class is no medicine
    assert worked(looked_up(question.names, known)) == ["Coumadin is warfarin; aspirin is covered"]
    assert looked_up((), known) == looked_up((" vitamin K1",), known) == ""


def test_every_question_begins_with_its_own_medicine(library: Library) -> None:
    """What a model must copy stands in the question, and the engine knows it exactly where the answer covers it."""
    supply = Supply.make(library, 0, facts_limit=60)
    dialogues = make_dialogues(supply, DataConfig(questions=20), 0, knowledge_dialogues(library, 40, 0))
    assert len(dialogues) > 900
    for dialogue in dialogues:
        asked, _, value = dialogue.working.removeprefix(CALC).partition(EQUALS)
        assert asked.startswith(DOSE) == dialogue.wording.startswith("dose.") or not dialogue.working
        if not dialogue.working:
            assert dialogue.kind in ("monitoring", "antidote", "maximum")  # of a class, or the other way round
            continue
        first, known = asked.removeprefix(DOSE).split(",")[0], value.split(",")[0].split("<")[0]
        assert first in dialogue.prompt
        assert (known == " unknown") == (dialogue.kind == "unknown drug"), dialogue
        assert known in (" unknown", f" {dialogue.drug}")


def test_what_an_expert_looks_up_may_be_written(curriculum: Curriculum, supply: Supply) -> None:
    """The engine holds a model to the medicines of the question, and never keeps it from the right ones."""
    asked = [(dialogue.prompt, dialogue.working) for dialogue in curriculum.dialogues]
    asked += [(case.question, case.working) for case in curriculum.cases if case.split != "hand"]
    lookups = 0
    for question, before in asked:
        first = re.match(rf"{re.escape(CALC)}(.*?){re.escape(EQUALS)}(.*?){re.escape(END_CALC)}", before)
        if first is None or not is_lookup(first[1]):
            continue
        lookups += 1
        assert supply.formulary.may_begin(first[1], supply.formulary.named(question)), (question, first[1])
        assert supply.formulary.left_out(first[2], question) == [], (question, first[2])
    assert lookups > 1000


def test_every_working_is_one_that_its_question_lets_a_model_write(curriculum: Curriculum, library: Library) -> None:
    """Whatever training and exam do to a wording, what the expert copies is still there to be copied."""
    known = Formulary(library.drug_names)
    asked = [(d.prompt, d.working) for d in curriculum.dialogues] + [(c.question, c.working) for c in curriculum.cases]
    kinds = Counter[str]()
    for question, text in asked:
        for expression in re.findall(rf"{re.escape(CALC)}(.*?)(?:{re.escape(EQUALS)}|{re.escape(END_CALC)})", text):
            if is_lookup(expression):
                assert known.may_begin(expression, known.named(question)), (question, expression)
            else:
                assert is_comparable(question) and may_begin(expression, question), (question, expression)
            kinds[expression.partition(" ")[0]] += 1
    assert min(kinds["eGFR"], kinds["age"], kinds["Child-Pugh"], kinds["allergy"]) > 20, kinds
