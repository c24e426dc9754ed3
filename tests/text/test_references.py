from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.text.calculator import CalculatorError
from posology.text.comparison import expression
from posology.text.references import (
    by_name,
    in_numbers,
    is_reference,
    may_refer,
    numbers_of,
    refer,
    sentence,
    statement_in,
    tellable,
    told,
)
from posology.text.spans import render, span, split_working, strip_spans, with_working, work_out, worked

NUMBERS = {"weight": "5", "CrCl": "46", "age": "80", "months": "7", "creatinine": "1.5"}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("CrCl?60", "The CrCl of 46 is below 60."),
        ("CrCl?30,60", "The CrCl of 46 is from 30 to 60."),
        ("CrCl?≤46", "The CrCl of 46 is 46 or below."),
        ("creatinine?1.5", "The creatinine of 1.5 is 1.5 or above."),
        ("weight?≤2", "The weight of 5 kg is above 2."),
        ("months?12", "The age of 7 months is below 12."),
        ("months?24", "The age of 7 months is below 24."),
        ("months?144", "The age of 7 months is below 12 years."),
        ("months?6,72", "The age of 7 months is from 6 months to 6 years."),
        ("eGFR?30", "The eGFR is not known."),
    ],
)  # fmt: skip
def test_what_a_reference_tells(reference: str, said: str) -> None:
    assert is_reference(reference) and told(reference, NUMBERS) == said
    assert refer(f"Avoid it. {said} Reason: age.", NUMBERS, "[{}]".format) == (
        f"Avoid it. [{reference}] Reason: age." if "not known" not in said else f"Avoid it. {said} Reason: age."
    )


def test_only_a_name_with_limits_refers() -> None:
    for text in ("CrCl46?60", "CrCl?", "?60", "weight*45", "CrCl?60;", "CrCl 60"):
        assert not is_reference(text)
        with pytest.raises(CalculatorError):
            told(text, NUMBERS)


def test_a_sentence_that_the_working_does_not_bear_out_stays() -> None:
    for text in (
        "The CrCl of 46 is 60 or above.", "The CrCl of 64 is above 60.", "The eGFR of 46 is below 60.",
        "The weight of 5 is below 40.", "The CrCl of 46 is low.", "The age of 7 months is below 12 kg.",
    ):  # fmt: skip
        assert refer(text, NUMBERS, "[{}]".format) == text


@given(
    name=st.sampled_from(["eGFR", "weight", "age", "months"]),
    value=st.integers(0, 300),
    limits=st.lists(st.integers(1, 300), min_size=1, max_size=2, unique=True),
    closed=st.booleans(),
)
def test_what_is_told_can_be_referred_to(name: str, value: int, limits: list[int], closed: bool) -> None:
    reference = f"{name}?{','.join(('≤' if closed else '') + str(limit) for limit in limits)}"
    numbers = numbers_of([expression(name, str(value), ["1"])])
    text = told(reference, numbers)
    again = refer(text, numbers, str)
    assert is_reference(again) and told(again, numbers) == text
    stated = statement_in(f"So it is. {text} And so on.")
    assert stated is not None and (stated.text, stated.name, stated.number) == (text, name, str(value))


def test_calculations_go_by_the_weight() -> None:
    for text, named in (
        ("min(5*45/2,875)", "min(weight*45/2,875)"), ("min(5,5)*5/5", "min(weight,5)*5/5"), ("5*5", "weight*5"),
        ("15*5", "15*5"), ("5.5*2", "5.5*2"), ("min(10*5/2,5)", "min(10*5/2,5)"),
    ):  # fmt: skip
        assert by_name(text, NUMBERS) == named
        assert in_numbers(named, NUMBERS) == text
        assert by_name(text, {}) == text
    assert work_out("min(weight*45/2,875)", before=span("weight5?40", "<40")) == "112.5"
    with pytest.raises(CalculatorError):
        work_out("weight*45/2", before=span("age5?40", "<40"))


def test_an_answer_under_its_working() -> None:
    working = span(" amoxicillin", " amoxicillin") + span("age9?12", "<12") + span("weight5?40", "<40")
    answer = (
        f"Adjust the dose: {span('min(5*45/2,875)', '112.5')} mg. {sentence('weight', '5', 'below 40')} Monitor it."
    )
    written = with_working(working, answer)
    assert written == (
        working
        + "Adjust the dose: <|calc|>min(weight*45/2,875)<|equals|>112.5<|/calc|> mg. <|calc|>weight?40<|/calc|> Monitor it."
    )
    assert (
        render(written)
        == render(answer)
        == "Adjust the dose: min(5 × 45 ÷ 2, 875) = 112.5 mg. The weight of 5 kg is below 40. Monitor it."
    )
    assert strip_spans(written) == strip_spans(answer)
    assert split_working(written)[0] == working and len(worked(written)) == 3
    assert with_working("", answer) == answer


def test_a_reference_goes_by_what_stands_before_it() -> None:
    twice = span("age 5?12", "<12") + "<|calc|>age?12<|/calc|> " + span("age 50?12", "12") + "<|calc|>age?12<|/calc|>"
    assert render(twice) == "The age of 5 is below 12. The age of 50 is 12 or above."


def test_references_to_nothing_are_told_as_such() -> None:
    assert render("Avoid it. <|calc|>CrCl?60<|/calc|>") == "Avoid it. The CrCl is not known."
    assert render("<|calc|>CrCl?60<|equals|><|/calc|>") == "The CrCl is not known."
    assert strip_spans("<|calc|>weight*2<|equals|><|/calc|> mg") == " mg"
    assert render("<|calc|>weight*2<|equals|><|/calc|> mg") == "weight*2 mg"
    assert render("<|calc|>l 5?3<|equals|>3<|/calc|><|calc|>l*2<|equals|>10<|/calc|> mg") == "5 × 2 = 10 mg"
    many = ",".join(["30"] * 200)
    assert (
        render(f"<|calc|>CrCl46?60<|equals|><60<|/calc|><|calc|>CrCl?{many}<|/calc|>")
        == "The CrCl of 46 is 30 or above."
    )


TELLABLE = tellable(
    ["eGFR 28?30,45", " metformin", "CrCl 20?10,≤20", "weight 5?", "Child-Pugh B?B", "count2?age≥80,weight≤60"]
)


def test_what_can_be_told_of_a_working() -> None:
    assert {"eGFR", "CrCl"} == TELLABLE


@pytest.mark.parametrize(
    "text", ["eGFR?30", "CrCl?≤10,≤20", "min(weight*45/2,875)", "max(2*weight,5)", "20*45/2", "5x45"]
)
def test_what_an_answer_may_take_from_its_working(text: str) -> None:
    assert all(may_refer(text[:end], TELLABLE, whole=False) for end in range(len(text) + 1))
    assert may_refer(text, TELLABLE, whole=True)


@pytest.mark.parametrize("text", ["age?65", "os", "min(age*2,4)"])
def test_what_an_answer_may_not_take_from_its_working(text: str) -> None:
    assert not may_refer(text, TELLABLE, whole=False) and not may_refer(text, TELLABLE, whole=True)
    assert may_refer(text, set(), whole=True)  # nothing can be told, and nothing is held


@pytest.mark.parametrize("text", ["", "eGFR", "m", "min(weig"])
def test_what_is_begun_is_not_yet_whole(text: str) -> None:
    assert may_refer(text, TELLABLE, whole=False) and not may_refer(text, TELLABLE, whole=True)
