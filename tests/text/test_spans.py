from __future__ import annotations

import pytest

from posology.text.calculator import CalculatorError
from posology.text.formulary import Formulary
from posology.text.spans import explained, render, span, split_working, strip_spans, work_out, worked

WORKING = span(" Coumadin, aspirin", " warfarin, aspirin") + span("eGFR28?30,45", "<30") + span("age70?65", "65")
ANSWER = "Adjust it: <|calc|>20*45/2<|equals|>450<|/calc|> mg."


def test_spans_for_people_and_for_readers() -> None:
    answer = "Give <|calc|>20*45/2<|equals|>450<|/calc|> to <|calc|>min(-1*-2,3)<|equals|>2<|/calc|> mg."
    assert render(answer) == "Give 20 × 45 ÷ 2 = 450 to min(−1 × −2, 3) = 2 mg."
    assert strip_spans(answer) == "Give 450 to 2 mg."


@pytest.mark.parametrize(
    ("answer", "rendered", "stripped"),
    [
        ("a <|calc|>2*3", "a 2 × 3", "a "),
        ("a <|calc|>2*3<|equals|>6", "a 2 × 3 = 6", "a 6"),
        ("a <|calc|>2*junk<|equals|><|/calc|> b", "a 2*junk b", "a  b"),
        ("a<|/calc|> <|equals|>b", "a b", "a b"),
        ("<|calc|>1<|calc|>2+2<|equals|>4<|/calc|>", "12 + 2 = 4", "4"),
        ("no marks", "no marks", "no marks"),
    ],
)
def test_broken_spans_leave_no_marks(answer: str, rendered: str, stripped: str) -> None:
    assert render(answer) == rendered
    assert strip_spans(answer) == stripped


def test_working_is_no_part_of_what_is_said() -> None:
    assert render(WORKING + ANSWER) == render(ANSWER) == "Adjust it: 20 × 45 ÷ 2 = 450 mg."
    assert strip_spans(WORKING + ANSWER) == "Adjust it: 450 mg."
    assert split_working(WORKING + ANSWER) == (WORKING, ANSWER)
    assert split_working(ANSWER) == ("", ANSWER)


def test_working_is_told_to_whoever_asks() -> None:
    said = [
        "Coumadin is warfarin; aspirin is covered",
        "eGFR 28 is below 30 (limits 30 and 45)",
        "age 70 is 65 or above (limit 65)",
    ]
    assert worked(WORKING + ANSWER) == said
    assert explained(WORKING + "Avoid it.") == f"Working: {'; '.join(said)}.\nAvoid it."
    assert explained("Avoid it.") == "Avoid it."


@pytest.mark.parametrize("broken", ["<|calc|>eGFR?", "<|calc|>eGFR28?30,<|equals|><|/calc|>", "<|calc|>?<|equals|>"])
def test_a_broken_comparison_is_hidden_too_and_told_as_it_stands(broken: str) -> None:
    assert render(broken + "Avoid it.") in ("Avoid it.", "")
    assert "Avoid" in render(broken + "<|/calc|>Avoid it.")
    assert worked(broken)[0] in ("eGFR?", "eGFR28?30,", "?")


def test_each_grammar_works_out_its_own() -> None:
    assert work_out("20*45/2") == "450"
    assert work_out("eGFR28?30,45") == "<30"
    assert work_out(" Coumadin", Formulary({"coumadin": "warfarin"})) == " warfarin"
    for junk in ("eGFR28", "28?", "eGFR28?x", " Coumadin", "", ","):
        with pytest.raises(CalculatorError):
            work_out(junk)
