"""No leak in what is built; and each kind of leak, planted, is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from posology.curriculum.build import Curriculum
from posology.curriculum.leakage import leaks, numbers_in, overlaps, report
from posology.curriculum.names import EXAM_NAMES


def test_nothing_leaks(curriculum: Curriculum) -> None:
    assert leaks(curriculum) == []


def planted(curriculum: Curriculum, **changes: Any) -> list[str]:
    """The leaks after one more training dialogue, made from an exam case or by hand."""
    dialogue = replace(next(d for d in curriculum.dialogues if d.split == "train"), **changes)
    return leaks(replace(curriculum, dialogues=(*curriculum.dialogues, dialogue)))


def test_a_shared_wording_is_found(curriculum: Curriculum) -> None:
    case = next(c for c in curriculum.cases if c.split == "S1")
    assert any("wordings shared" in leak for leak in planted(curriculum, wording=case.wording))


def test_shared_numbers_are_found(curriculum: Curriculum) -> None:
    case = next(c for c in curriculum.cases if c.split == "S2")
    assert any("(drug, numbers)" in leak for leak in planted(curriculum, drug=case.drug, prompt=f"x {case.question} y"))


def test_a_name_of_the_exam_is_found_wherever_it_stands(curriculum: Curriculum) -> None:
    assert any("names of S4" in leak for leak in planted(curriculum, prompt=f"Is {EXAM_NAMES[7].capitalize()} ok?"))
    invented = next(c.drug for c in curriculum.cases if c.split == "S5")
    document = replace(curriculum.documents[0], text=f"{invented} is good.")
    assert any("names of S4" in leak for leak in leaks(replace(curriculum, documents=(document,))))


def test_a_shared_question_is_found(curriculum: Curriculum) -> None:
    case = next(c for c in curriculum.cases if c.split == "S6")
    assert any("exam questions" in leak for leak in planted(curriculum, prompt=case.question))


def test_a_held_out_fact_in_a_trained_pair_is_found(curriculum: Curriculum) -> None:
    held = next(p for p in curriculum.preferences if p.split == "heldout_facts")
    moved = replace(curriculum, preferences=(*curriculum.preferences, replace(held, split="train")))
    assert any("held out of pairs" in leak for leak in leaks(moved))


def test_a_case_on_the_wrong_side_is_found(curriculum: Curriculum) -> None:
    case = next(c for c in curriculum.cases if c.split == "dev" and c.gold.verdict != "INSUFFICIENT")
    moved = replace(curriculum, cases=(*curriculum.cases, replace(case, split="S1", wording="x|y")))
    assert any("on a fact of development" in leak for leak in leaks(moved))


def test_numbers_are_read_as_written() -> None:
    assert numbers_in("A 62-year-old, CrCl 2.8: CYP2D6, HLA-B*57:01, 14.5 kg.") == {62.0, 2.8, 14.5}


def test_the_report_counts_shared_runs(curriculum: Curriculum) -> None:
    found = {overlap.split: overlap for overlap in overlaps(curriculum)}
    assert found["S1"].questions == sum(case.split == "S1" for case in curriculum.cases)
    assert all(overlap.shared <= overlap.questions for overlap in found.values())


def test_questions_but_one_word_away_are_counted(curriculum: Curriculum) -> None:
    """In any order; two words away is not close, and neither is a question of development's own pairs."""
    case = next(c for c in curriculum.cases if c.split == "S1")
    dialogue = next(d for d in curriculum.dialogues if d.split == "train")

    def close(prompt: str) -> int:
        one = replace(curriculum, cases=(case,), preferences=(), dialogues=(replace(dialogue, prompt=prompt),))
        return overlaps(one)[0].close

    words = case.question.split()
    assert close(case.question) == close(f"{case.question} please") == close(" ".join(words[::-1])) == 1
    assert close(" ".join(["Qqq", *words[1:]])) == 1
    assert close(" ".join(["Qqq", *words[1:], "rrr"])) == 0


def test_the_report_says_clean_or_names_the_leak(curriculum: Curriculum) -> None:
    clean = report(curriculum)
    assert clean["clean"] and clean["leaks"] == [] and clean["exam_questions"] == len(curriculum.cases)
    case = next(c for c in curriculum.cases if c.split == "S6")
    taught = replace(next(d for d in curriculum.dialogues if d.split == "train"), prompt=case.question)
    found = report(replace(curriculum, dialogues=(*curriculum.dialogues, taught)))
    assert not found["clean"] and case.question in found["leaks"][-1]
    assert found["training_questions"] == clean["training_questions"] + 1
