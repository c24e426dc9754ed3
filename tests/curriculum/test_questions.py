"""Questions: what is said of a patient is all there, in every shape."""

from __future__ import annotations

import random

import pytest

from posology.curriculum.mentions import VAGUE, age_words, article, head, mentions
from posology.curriculum.phrasing import FRAMES, Frame
from posology.curriculum.questions import Slots, ask, spelled
from posology.knowledge.patient import Allergy, Genotype, Patient

FULL = Patient(
    age_years=62, sex="male", weight_kg=81, egfr=28, comeds=("warfarin",), conditions=("gout",),
    genotypes=(Genotype("CYP2D6", "poor metabolizer"),), allergies=(Allergy("penicillin", "mild"),),
)  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame.name)
def test_a_question_says_everything_and_names_its_wording(frame: Frame) -> None:
    patient = Patient(comeds=("warfarin",)) if frame.slot == "comed" else Patient(egfr=28, comeds=("warfarin",))
    patient = FULL if frame.slot in ("np", "sentence", "chart") else patient
    for seed in range(8):
        question = ask("renal", Slots("ibuprofen", patient), frame.group, random.Random(seed), frame=frame)
        assert question.wording.split("|")[0] == frame.name
        for said in (
            "ibuprofen",
            "warfarin",
            *(("62", "28", "81", "CYP2D6", "penicillin", "gout") if patient is FULL else ()),
        ):
            assert said.lower() in question.text.lower(), question.text
        assert "{" not in question.text and "  " not in question.text


def test_a_frame_that_does_not_fit_gives_way_to_one_that_does() -> None:
    only_for_two = next(frame for frame in FRAMES if frame.slot == "comed")
    question = ask("renal", Slots("metformin", FULL), "train", random.Random(0), frame=only_for_two)
    assert not question.wording.startswith(only_for_two.name)


def test_the_same_stream_gives_twins_that_differ_in_one_number() -> None:
    texts = [
        ask("renal", Slots("metformin", Patient(egfr=egfr, age_years=50)), "exam", random.Random(7)).text
        for egfr in (29, 31)
    ]
    assert texts[0] != texts[1] and texts[0].replace("29", "31") == texts[1]


def test_indications_follow_the_drug() -> None:
    question = ask("dose", Slots("amoxicillin", Patient(indication="gerd", age_years=3)), "train", random.Random(1))
    assert "moxicillin for GERD" in question.text
    assert spelled("hiv infection") == "HIV infection"


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        (Patient(age_years=62, sex="male"), {"a 62-year-old man"}),
        (Patient(age_years=8, sex="female"), {"an 8-year-old girl"}),
        (Patient(age_years=7 / 12), {"a 7-month-old", "a 7-month-old baby"}),
        (Patient(age_years=11), {"an 11-year-old", "an 11-year-old child"}),
        (Patient(age_years=0), {"a newborn"}),
        (Patient(), {"my patient", "a patient", "someone"}),
    ],
)
def test_the_noun_tells_age_and_sex(patient: Patient, expected: set[str]) -> None:
    assert {head(patient, random.Random(seed)) for seed in range(40)} == expected


def test_articles_and_months() -> None:
    assert [article(word) for word in ("eGFR", "NSAID", "urea", "ACE inhibitor", "CYP2D6", "statin")] == [
        "an",
        "an",
        "a",
        "an",
        "a",
        "a",
    ]
    assert age_words(1.5) == ("18", "month") and age_words(1.0) == ("1", "year") and age_words(40.0) == ("40", "year")


def test_a_class_may_be_a_co_medication() -> None:
    (mention,) = mentions(Patient(comeds=("nsaid",)), random.Random(0), classes={"nsaid": "NSAID"})
    assert mention.when == "with an NSAID"


def test_vague_words_hold_no_value() -> None:
    assert all(not any(c.isdigit() for c in mention.chart) for group in VAGUE.values() for mention in group)
