"""The exam as multiple choice: which cases it asks, and how its scores are worked out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posology.evaluation.choices import BEGINNINGS, choice_figures, choice_rows

from .exams import amoxicillin_20, exam_cases, metformin_28, metformin_60, no_egfr, unknown_drug, warfarin_ibuprofen


def test_the_right_answer_begins_with_the_right_choice() -> None:
    cases = [metformin_28(), metformin_60(), amoxicillin_20(), warfarin_ibuprofen(), unknown_drug()]
    rows = choice_rows(cases)
    said = [row["choices"][row["gold"]] for row in rows]
    assert said == [
        "Metformin is contraindicated.", "Metformin is acceptable.", "Adjust the dose of amoxicillin",
        "Avoid ibuprofen.", "Not covered: no reviewed fact about this",
    ]  # fmt: skip
    assert all(len(set(row["choices"])) == len(BEGINNINGS) for row in rows)
    assert [row["question"] for row in rows] == [case.question for case in cases]


def test_each_choice_begins_with_what_the_model_worked_out() -> None:
    case = metformin_28()
    plain, worked = choice_rows([case]), choice_rows([case, warfarin_ibuprofen()], {case.question: "(worked)"})
    assert worked[0]["choices"] == ["(worked)" + text for text in plain[0]["choices"]]
    assert worked[0]["gold"] == plain[0]["gold"]
    assert worked[1]["choices"][1] == "Avoid ibuprofen."


def test_what_has_no_single_beginning_is_left_out() -> None:
    other = replace(warfarin_ibuprofen(), answer="Adjust the dose of warfarin: 2 mg once daily.")
    assert choice_rows([no_egfr(), other]) == []
    asked = [case for case in exam_cases() if "Not enough" not in case.answer]
    assert len(choice_rows(exam_cases())) == len(asked)


def test_scores_by_hand() -> None:
    """acc takes the likeliest choice, acc_norm the likeliest a character: a long right choice wins only there."""
    rows = [
        {"choices": ["ab", "abcdefgh"], "gold": 1, "fact": "a"},
        {"choices": ["ab", "abcd"], "gold": 0, "fact": "b"},
    ]
    figures = choice_figures(rows, [[-1.0, -2.0], [-1.0, -4.0]])
    assert (figures["acc"]["k"], figures["acc"]["n"]) == (1, 2)
    assert figures["acc_norm"]["k"] == 2 and figures["acc"]["facts"] == 2
    with pytest.raises(ValueError, match="argument"):
        choice_figures(rows, [[-1.0, -2.0]])
