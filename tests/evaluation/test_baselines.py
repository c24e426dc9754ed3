"""Answers that need no model."""

from __future__ import annotations

from posology.curriculum.records import Dialogue
from posology.evaluation.baselines import baseline_answers, majority_sentence, nearest_answers, opening, say
from posology.evaluation.reading import read_answer

from .exams import METFORMIN_ANSWER, NAMES, amoxicillin_20, metformin_28, no_egfr


def dialogue(prompt: str, answer: str) -> Dialogue:
    return Dialogue(prompt, answer, "renal", "metformin", ("f",), "w")


TRAIN = [
    dialogue("Can my patient take metformin with an eGFR of 25?", "Metformin is contraindicated."),
    dialogue("Can my patient take metformin with an eGFR of 60?", "Metformin is acceptable."),
    dialogue("Is ibuprofen safe with warfarin?", "Avoid ibuprofen."),
    dialogue("Is naproxen safe with warfarin?", "Avoid naproxen."),
]


def test_nearest_question_wins() -> None:
    asked = ["may a patient with eGFR 60 have metformin?", "warfarin and naproxen?", "something else entirely"]
    assert nearest_answers(asked, TRAIN) == ["Metformin is acceptable.", "Avoid naproxen.", TRAIN[0].answer]
    assert nearest_answers(asked, TRAIN, block=1) == nearest_answers(asked, TRAIN)


def test_majority_is_the_most_frequent_verdict() -> None:
    assert majority_sentence(TRAIN) == "Avoid {drug}."
    assert opening(METFORMIN_ANSWER) == "CONTRAINDICATED"
    assert opening(amoxicillin_20().answer) == "ADJUST"
    assert opening(no_egfr().answer) == "INSUFFICIENT"


def test_every_baseline_answers_every_case_readably() -> None:
    cases = {case.case_id: case for case in (metformin_28(), amoxicillin_20(), no_egfr())}
    found = baseline_answers(cases, TRAIN)
    assert set(found) == {
        "always contraindicated", "always OK", "always abstain", "majority", "nearest training question",
        "the judge itself",
    }  # fmt: skip
    for name, answers in found.items():
        assert answers.keys() == cases.keys()
        if name != "nearest training question":
            assert all(read_answer(text, cases[key].drug, NAMES).verdict != "NONE" for key, text in answers.items())
    assert "majority" not in baseline_answers(cases)


def test_sentences_name_the_drug() -> None:
    assert say("{Drug} is acceptable.", "insulin glargine") == "Insulin glargine is acceptable."
