"""Users' questions: the drug and the patient, from free text."""

from __future__ import annotations

import random
from typing import Any

import pytest

from posology.curriculum.patients import draw
from posology.curriculum.questions import Slots, ask
from posology.curriculum.targets import all_targets
from posology.evaluation.questions import read_question
from posology.knowledge.judge import judge
from posology.knowledge.library import Library, load_library
from posology.knowledge.patient import Allergy, Genotype, Patient


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library()


@pytest.mark.parametrize(
    ("question", "drug", "fields"),
    [
        ("Can my patient take metformin with an eGFR of 28?", "metformin", {"egfr": 28}),
        ("metformin egfr 28", "metformin", {"egfr": 28}),
        ("Is it safe to give Glucophage at eGFR = 52 mL/min/1.73 m2?", "metformin", {"egfr": 52}),
        ("Should I reduce the dose of enoxaparin if CrCl is 22?", "enoxaparin", {"crcl": 22}),
        ("Can warfarin be combined with aspirin?", "warfarin", {"comeds": ("aspirin",)}),
        ("My patient is on warfarin. Can I add ibuprofen?", "ibuprofen", {"comeds": ("warfarin",)}),
        ("Is Tylenol safe with Coumadin?", "acetaminophen", {"comeds": ("warfarin",)}),
        ("Does ibuprofen interact with lithium?", "ibuprofen", {"comeds": ("lithium",)}),
        (
            "What dose of amoxicillin for a 20 kg child with otitis media?", "amoxicillin",
            {"weight_kg": 20, "indication": "otitis media"},
        ),
        (
            "70 yo man, 60 kg, creatinine 1.5, on apixaban: ok to add ibuprofen?", "ibuprofen",
            {"age_years": 70, "sex": "male", "weight_kg": 60, "creatinine_mg_dl": 1.5, "comeds": ("apixaban",)},
        ),
        ("A 9-month-old baby: codeine?", "codeine", {"age_years": 0.75}),
        ("Codeine, 83 years, 58 kg?", "codeine", {"age_years": 83, "weight_kg": 58}),
        ("Codeine for 5 years, male: ok?", "codeine", {"sex": "male"}),
        ("Warfarin, 5 years, no bleeding. Ok?", "warfarin", {}),
        (
            "Can a pregnant woman in the second trimester take lisinopril?", "lisinopril",
            {"pregnant": True, "trimester": 2, "sex": "female"},
        ),
        ("Is ibuprofen ok during breastfeeding?", "ibuprofen", {"lactating": True}),
        (
            "My patient is allergic to penicillin (anaphylaxis). Is cephalexin safe?", "cephalexin",
            {"allergies": (Allergy("penicillin", "immediate"),)},
        ),
        (
            "Is codeine ok for a CYP2D6 poor metaboliser?", "codeine",
            {"genotypes": (Genotype("CYP2D6", "poor metabolizer"),)},
        ),
        ("Abacavir, HLA-B*57:01 positive?", "abacavir", {"genotypes": (Genotype("HLA-B*57:01", "positive"),)}),
        ("Is metformin safe in cirrhosis, Child-Pugh B?", "metformin", {"conditions": ("cirrhosis",), "child_pugh": "B"}),
        ("Is colchicine ok for gout?", "colchicine", {"indication": "gout"}),
        ("Can a patient with gout take hydrochlorothiazide?", "hydrochlorothiazide", {"conditions": ("gout",)}),
        ("Metformin for a patient without cirrhosis?", "metformin", {}),
        ("Simvastatin with diltiazem in the UK?", "simvastatin", {"comeds": ("diltiazem",), "jurisdiction": "UK"}),
        ("Can my patient take zorbatrix with warfarin?", "zorbatrix", {"comeds": ("warfarin",)}),
        ("What is known about metformin?", "metformin", {}),
        ("Warfarin for a man of 82?", "warfarin", {"age_years": 82.0, "sex": "male"}),
        ("Warfarin for a man of 82 kg?", "warfarin", {"weight_kg": 82.0, "sex": "male"}),
        ("Amoxicillin for a boy of 7 months, 8 kg?", "amoxicillin", {"age_years": 7 / 12, "sex": "male", "weight_kg": 8.0}),
        ("Rosuvastatin with ABCG2 poor function?", "rosuvastatin", {"genotypes": (Genotype("ABCG2", "poor function"),)}),
    ],
)  # fmt: skip
def test_questions_by_hand(question: str, drug: str, fields: dict[str, Any], library: Library) -> None:
    assert read_question(question, library) == (drug, Patient(**fields))


@pytest.mark.parametrize(
    "question", ["Hello, how are you?", "What is lactic acidosis?", "My eGFR is 28. Which drug?", "", "Thanks!"]
)
def test_no_drug_no_reading(question: str, library: Library) -> None:
    assert read_question(question, library) is None


def test_questions_of_the_curriculum_are_read_back(library: Library) -> None:
    """The reader knows nothing of the wordings; the judge must say the same of what it reads as of what was meant."""
    rng = random.Random(3)
    targets = all_targets(library)
    labels = {name: item.label for name, item in library.classes.items()}
    asked = same = exact = 0
    for target in rng.sample(targets, 200):
        patient = draw(target, rng)
        if patient is None:
            continue
        question = ask(
            target.kind, Slots(target.drug, patient), rng.choice(("train", "exam", "dev")), rng, classes=labels
        )
        read = read_question(question.text, library)
        asked += 1
        exact += read == (target.drug, patient)
        same += (
            read is not None
            and judge(read[1], read[0], library).verdict is judge(patient, target.drug, library).verdict
        )
    assert asked > 120
    assert same >= 0.98 * asked and exact >= 0.95 * asked
