"""Patients jotted down in any order and with any marks: only in training, and nothing of what is said is lost."""

from __future__ import annotations

import random
from collections import Counter

from posology.curriculum.build import Curriculum
from posology.curriculum.jotting import hasty, in_brackets, joined, jotted, of_age
from posology.curriculum.mentions import mentions
from posology.curriculum.phrasing import STRUCTURES
from posology.curriculum.questions import Slots, ask
from posology.knowledge.patient import Patient

PATIENT = Patient(age_years=62, egfr=28, comeds=("warfarin",), sex="male")


def test_what_is_joined_keeps_every_text_in_its_order() -> None:
    texts = ["62 y", "male", "eGFR 28"]
    made = {joined(texts, random.Random(seed)) for seed in range(300)}
    assert len(made) > 60
    for text in made:
        places = [text.index(part) for part in texts]
        assert places == sorted(places)


def test_brackets_stand_around_the_text() -> None:
    made = {in_brackets("a man", "eGFR 28", random.Random(seed)) for seed in range(200)}
    assert all(text.startswith("a man") and "eGFR 28" in text for text in made)
    assert not [text for text in made if "(" in text or ", " in text or "/" in text]  # the exam's, development's


def test_a_value_keeps_its_name_and_number() -> None:
    mention = mentions(Patient(egfr=28), random.Random(0))[0]
    made = {jotted(mention, random.Random(seed)) for seed in range(200)}
    assert {"eGFR 28", "eGFR: 28", "eGFR = 28", "the eGFR is 28"} <= made
    assert all("eGFR" in text and "28" in text for text in made)


def test_haste_drops_capitals_and_small_words_alone() -> None:
    question = "Is it safe to give metformin to a 62-year-old man with an eGFR of 28?"
    made = [hasty(question, random.Random(seed)) for seed in range(400)]
    assert 300 < made.count(question) < 380
    assert question.lower() in made and "it safe to give metformin to 62-year-old man with eGFR of 28?" in made
    assert all("metformin" in text and "28" in text for text in made)


def test_haste_leaves_a_grade_where_it_is() -> None:
    question = "A woman with Child-Pugh A liver disease takes a statin. A problem?"
    made = {hasty(question, random.Random(seed)) for seed in range(400)}
    assert {question, "woman with Child-Pugh A liver disease takes statin. problem?"} <= made
    assert all("child-pugh a " in text.lower() for text in made)


def test_jotted_questions_say_all_that_the_plain_ones_say() -> None:
    slots = Slots("metformin", PATIENT)
    made = [ask("renal", slots, "train", random.Random(seed)) for seed in range(400)]
    loose = [question for question in made if question.wording.endswith("|jotted")]
    assert len(loose) > 60
    for question in loose:
        assert all(part in question.text.lower() for part in ("metformin", "62", "28", "warfarin")), question


def test_only_training_has_them(curriculum: Curriculum) -> None:
    assert all("jotted" not in structures[group] for structures in STRUCTURES.values() for group in ("exam", "dev"))
    assert any(d.wording.endswith("|jotted") for d in curriculum.dialogues)
    assert not [c for c in curriculum.cases if c.wording.endswith("|jotted") and c.split != "S0"]


def test_an_age_is_said_in_another_way_at_times() -> None:
    question = "Is warfarin safe for an 82-year-old woman with falls?"
    made = Counter(of_age(question, random.Random(seed)) for seed in range(400))
    others = {f"Is warfarin safe for a woman {way} 82 with falls?" for way in ("of", "aged")}
    assert set(made) == {question, *others} and 20 < 400 - made[question] < 100
    assert {of_age("Warfarin for a 7-month-old baby?", random.Random(seed)) for seed in range(40)} == {
        "Warfarin for a 7-month-old baby?"
    }


def test_years_go_unsaid_now_and_then() -> None:
    question = "My patient is 84 years old and has gout. May I give colchicine?"
    made = Counter(of_age(question, random.Random(seed)) for seed in range(400))
    assert set(made) == {question, "My patient is 84 and has gout. May I give colchicine?"}
    assert 80 < 400 - made[question] < 160
