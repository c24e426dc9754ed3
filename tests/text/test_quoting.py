"""The number of a comparison is one that the question says, as that quantity."""

from __future__ import annotations

import re

import pytest

from posology.text.comparison import expression
from posology.text.quoting import compares, is_comparable, may_begin

QUESTION = "A nine-year-old, 12.5, takes 50 mg of losartan and 30 of this; 1.0, 126, forty five, newborn?"


@pytest.mark.parametrize("number", ["30", "1", "1.0", "12.5", "126", "45", "0"])
def test_a_number_that_is_said_may_be_written_to_its_end(number: str) -> None:
    written = expression("weight", number, ["40", "≤75"])
    pieces = re.findall(r"[a-z]+ |\d{1,2}|.", written)  # as the tokenizer cuts numbers
    assert all(may_begin("".join(pieces[:end]), QUESTION) for end in range(len(pieces) + 1))


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("weight 300", "weight 30"),  # a digit too many
        ("weight 3", "weight "),  # one too few: 30 is one token
        ("eGFR 12?", "eGFR 12"),
        ("eGFR 26", "eGFR "),  # the end of another number
        ("weight 12.50", "weight 12.5"),
        ("weight 12?", "weight 12."),
        ("weight 9", "weight "),  # the age
        ("creatinine 5", "creatinine "),  # behind a point
        ("age 5", "age "),  # said as "forty five", which is one number
    ],
)
def test_a_number_that_is_not_said_may_not(written: str, held: str) -> None:
    assert may_begin(held, QUESTION)
    assert not may_begin(written, QUESTION)


NAMED = "48 yo, CrCl of 51 and the creatinine clearance is 52; eGFR = 36, creatinine: 1.2, 64 kilos, 50 mg for 2 months"


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("age", ["48"]), ("CrCl", ["51", "52"]), ("eGFR", ["36"]), ("creatinine", ["1.2"]), ("weight", ["64"]),
        ("months", ["2"]), ("height", []),
    ],
)  # fmt: skip
def test_a_number_that_is_said_as_one_quantity_is_written_as_no_other(name: str, own: list[str]) -> None:
    every = re.findall(r"\d+(?:\.\d+)?", NAMED)
    assert [number for number in every if may_begin(expression(name, number, ["40"]), NAMED)] == own


@pytest.mark.parametrize(
    "written", ["weight?40", "weight: ", "weightweight", "ageage", "ageine", "eGFR,", "age?18", "CrCl <"]
)
def test_a_quantity_comes_with_its_number(written: str) -> None:
    assert not may_begin(written, NAMED)


def test_a_number_after_dots_is_a_number() -> None:
    said = "a 1-year-old child ...9 kg.... creatinine 1.25"
    assert may_begin("weight 9?", said) and not may_begin("weight 1?", said)
    assert may_begin("creatinine 1.25?", said) and not may_begin("creatinine 25", said)


@pytest.mark.parametrize(
    "question",
    [
        "CrCl 51 and an eGFR of 36", "a 23-month-old", "ibuprofen 400 mg", "2.5mg/kg", "10 units for 5 days", "insulin 7%",
        "CYP2C9 *2/*3", "HLA-B*57:01", "HLA-B*15:02 and CYP2C19", "type 2 diabetes", "Type 1 diabetes, ABCG2", "G6PD deficiency",
    ],
)  # fmt: skip
def test_a_quantity_that_no_number_can_be_is_not_compared(question: str) -> None:
    assert not may_begin("weight", question)
    assert not may_begin("weight 5", question) and not may_begin("weight 2", question)


def test_a_number_beside_a_name_with_figures_is_a_number() -> None:
    said = "a 52 kg man of 61, type 2 diabetes, CYP2C9 poor metabolizer, 400 mg"
    assert may_begin("weight 52?", said) and may_begin("age 61?", said)
    assert not any(may_begin(written, said) for written in ("age 2", "age 9", "age 40", "months 2", "weight 61?"))
    assert may_begin("age 72?", "f72y, SLCO1B1 poor function, simvastatin")  # jotted, and no name


@pytest.mark.parametrize(
    "written", ["", " Coum", " Coumadin, aspirin", "eGFR", "weight ", " agenerase", "5*45", "min(30*2,4)"]
)
def test_names_and_calculations_are_the_models(written: str) -> None:
    assert may_begin(written, "Warfarin at 50?")


def test_what_compares_a_quantity() -> None:
    assert all(compares(text) for text in ("weight 5", "eGFR28?30", "age 9?≤12,18"))
    assert not any(compares(text) for text in ("", "weight", " weight 5", "opre 30", " warfarin", "5*45"))


def test_whether_anything_can_be_compared() -> None:
    assert is_comparable(NAMED) and is_comparable("A nine-year-old?") and not is_comparable("Warfarin after a stroke?")


@pytest.mark.parametrize(
    ("question", "grade"),
    [
        ("a man with Child-Pugh B liver disease", "B"), ("the Child-Pugh class is C", "C"), ("in _child-pugh class a_?", "A"),
        ("Child Pugh score: B", "B"),
    ],
)  # fmt: skip
def test_a_grade_is_the_letter_that_is_said(question: str, grade: str) -> None:
    allowed = [letter for letter in "ABC" if may_begin(expression("Child-Pugh", letter, ["B"]), question)]
    assert allowed == [grade] and may_begin("Child-Pugh ", question) and is_comparable(question)


@pytest.mark.parametrize(
    "question", ["a child with liver disease", "Child-Pugh liver disease", "class B", "a Child-Pugh Buddy"]
)
def test_no_grade_is_written_where_none_is_said(question: str) -> None:
    assert not may_begin("Child-Pugh ", question) and not is_comparable(question)


@pytest.mark.parametrize(
    ("question", "allergies"),
    [
        ("Should someone (cephalosporin allergy (mild)) have cephalexin?", ["cephalosporin, mild"]),
        ("one with anaphylaxis to penicillin", ["penicillin, immediate"]),
        ("who is allergic to proton pump inhibitors", ["proton pump inhibitor"]),
        ("a severe delayed reaction to beta blocker", ["beta blocker, severe delayed"]),
        ("iodine allergy, and a mild penicillin allergy", ["iodine", "penicillin, mild"]),
        ("Penicillin gave him hives. Amoxicillin now?", ["penicillin, immediate"]),
    ],
)
def test_an_allergy_is_one_that_is_said(question: str, allergies: list[str]) -> None:
    for words in allergies:
        written = expression("allergy", words, [])
        assert all(may_begin(written[:end], question) for end in range(len(written) + 1))
    for words in ("sulfonamide", f"{allergies[0].partition(',')[0]}, unheard of", "aspirin, mild"):
        assert not may_begin(expression("allergy", words, []), question)
    assert is_comparable(question)


def test_no_allergy_is_written_where_none_is_said() -> None:
    assert not may_begin("allergy ", "Can my patient take amoxicillin?")
    assert may_begin("allergy", "Can I give allergy pills?")  # a name of a lookup may begin so


def test_no_quantity_is_written_where_no_number_is_said() -> None:
    assert not any(
        may_begin(name, "amoxicillin, Child-Pugh B, for mild infection?") for name in ("age", "weight", "CrCl")
    )
    assert not is_comparable("Can my patient take amoxicillin for mild to moderate infection?")
