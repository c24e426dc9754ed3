"""Remarks and surnames around questions: in training alone, and they change nothing but the words around."""

from __future__ import annotations

import random
import re

from posology.curriculum.build import Curriculum
from posology.curriculum.chatter import EVERYDAY, around, blurred, person, surname
from posology.curriculum.phrasing import FRAMES
from posology.curriculum.questions import Slots, ask
from posology.knowledge.library import Library
from posology.knowledge.patient import Patient
from posology.text.formulary import Formulary

QUESTION = "Is ibuprofen ok for my patient on warfarin?"


def test_a_remark_stands_before_or_after_the_untouched_question() -> None:
    made = [around(QUESTION, random.Random(seed)) for seed in range(400)]
    assert all(QUESTION in text for text in made)
    before = sum(text.endswith(QUESTION) and text != QUESTION for text in made)
    after = sum(text.startswith(QUESTION) and text != QUESTION for text in made)
    assert 20 <= before <= 60 and 10 <= after <= 45
    assert made.count(QUESTION) > 280


def test_surnames_hardly_ever_come_back() -> None:
    rng = random.Random(0)
    names = [surname(rng) for _ in range(300)]
    assert len(set(names)) > 280 and all(name.isalpha() and name[0].isupper() for name in names)


def test_made_up_words_replace_ordinary_ones_and_never_a_slot() -> None:
    wording = "Is it safe to give {drug} to {np}?"
    made = [blurred(wording, random.Random(seed)) for seed in range(400)]
    changed = [text for text in made if text != wording]
    assert 40 <= len(changed) <= 95
    for text in changed:
        differ = [a != b for a, b in zip(text.split(" "), wording.split(" "), strict=True)]
        assert 1 <= sum(differ) <= 2 and "{drug}" in text and "{np}?" in text and text[0].isupper()


def test_everyday_words_are_no_medicines_and_none_that_only_reserved_wordings_have(library: Library) -> None:
    words = {
        group: {word for f in FRAMES if f.group == group for word in re.findall(r"[a-z]+", f.text.lower())}
        for group in ("train", "dev", "exam")
    }
    reserved = (words["dev"] | words["exam"] | {"see"}) - words["train"]  # "I see ..." is a structure of development's
    assert {"worry", "suppose", "see"} <= reserved and not reserved & set(EVERYDAY)
    assert not [word for word in EVERYDAY if Formulary(library.drug_names).find(word)]
    assert len(set(EVERYDAY)) == len(EVERYDAY)


def test_titles_fit_the_patient() -> None:
    for seed in range(40):
        assert person("male", random.Random(seed)).startswith("Mr ")
        assert not person("female", random.Random(seed)).startswith("Mr ")
        pregnant = ask("pregnancy", Slots("lisinopril", Patient(pregnant=True)), "train", random.Random(seed)).text
        assert "Mr " not in pregnant


def test_only_training_questions_have_them(curriculum: Curriculum) -> None:
    marks = ("Mrs ", "Mr ", "Ms ", "Dr ", "Thank", "Good morning.", "Hello.")
    taught = [d.prompt for d in curriculum.dialogues if d.split == "train"]
    assert any(mark in text for text in taught for mark in marks)
    asked = [c.question for c in curriculum.cases if c.split not in ("S0", "hand")]
    assert not [text for text in asked for mark in marks if mark in text]
