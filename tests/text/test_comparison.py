from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.text.calculator import CalculatorError
from posology.text.comparison import Comparison, compare, expression, limit_lists, spelled_out


@pytest.mark.parametrize(
    ("text", "result", "words"),
    [
        ("eGFR28?30,45", "<30", "below 30"),
        ("eGFR30?30,45", "30", "from 30 to 45"),
        ("eGFR 44.9?30, 45", "30", "from 30 to 45"),
        ("eGFR45?30,45", "45", "45 or above"),
        ("CrCl50?30,≤50", "30", "from 30 to 50"),
        ("CrCl51?30,≤50", "≤50", "above 50"),
        ("CrCl30?≤30", "<30", "30 or below"),
        ("CrCl30?30,≤30", "30", "exactly 30"),
        ("creatinine1.6?1.5", "1.5", "1.5 or above"),
        ("age9?45,12", "<12", "below 12"),  # a model may write the limits in any order
        ("Child-Pugh A?B", "<B", "better than B"),
        ("Child-Pugh B?C,B", "B", "B or worse, better than C"),
        ("Child-Pugh C?B", "B", "B or worse"),
    ],
)
def test_worked_by_hand(text: str, result: str, words: str) -> None:
    assert compare(text) == result
    assert Comparison.parse(text).words == words


def test_for_people() -> None:
    assert spelled_out("eGFR28?30,45") == "eGFR 28 is below 30 (limits 30 and 45)"
    assert spelled_out("CrCl17?15,30,≤30,60") == "CrCl 17 is from 15 to 30 (limits 15, 30 and 60)"
    assert spelled_out("age70?65") == "age 70 is 65 or above (limit 65)"
    assert spelled_out(" eGFR?30") == "eGFR?30"
    assert spelled_out("weight43?") == "weight 43"
    assert spelled_out("Child-Pugh C?B,C") == "Child-Pugh C is C or worse (limits B and C)"
    assert spelled_out("allergy penicillin, severe delayed?") == "allergy penicillin, severe delayed"


def test_a_number_without_limits_is_itself() -> None:
    assert compare("weight 9.5?") == "9.5" and expression("weight", "9.5", []) == "weight 9.5?"
    assert compare("Child-Pugh B?") == "B" and compare("allergy penicillin, mild?") == "penicillin, mild"


@pytest.mark.parametrize(
    "junk",
    [
        "",
        "28?30",
        "eGFR28",
        "eGFR?",
        "eGFR28?,",
        "eGFR28?30,",
        "eGFR-3?30",
        "eGFR28?30?45",
        "e28?" + "3," * 150 + "3",
        "Child-Pugh D?B",
        "Child-Pugh B?30",
        "eGFR 28?B",
        "Child-Pugh ?B",
        "allergy ?",
        "allergy penicillin?30",
    ],
)
def test_junk_is_a_calculator_error(junk: str) -> None:
    with pytest.raises(CalculatorError):
        compare(junk)


@given(st.text(max_size=40))
def test_no_text_does_anything_but_give_a_result_or_a_calculator_error(text: str) -> None:
    with contextlib.suppress(CalculatorError):
        assert compare(text)


BOUNDS = st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=5, unique=True)


@given(value=st.integers(0, 4000).map(lambda n: Fraction(n, 20)), bounds=BOUNDS)
def test_numbers_get_one_result_exactly_where_every_bound_treats_them_alike(
    value: Fraction, bounds: list[tuple[int, bool]]
) -> None:
    def result(number: Fraction) -> str:
        return compare(expression("eGFR", f"{float(number):.2f}", [f"{'≤' if c else ''}{at}" for at, c in bounds]))

    def sides(number: Fraction) -> list[bool]:
        return [number > at if closed else number >= at for at, closed in bounds]

    for other in (value + Fraction(1, 20), value + 1, Fraction(bounds[0][0]), Fraction(0)):
        assert (result(value) == result(other)) == (sides(value) == sides(other))


def test_lists_of_limits_are_found_as_they_are_written() -> None:
    text = (
        "<|calc|>eGFR28?30,45<|equals|><30<|/calc|><|calc|>weight43?<|equals|>43<|/calc|><|calc|>age61?65,≤75<|equals|>"
    )
    assert limit_lists(text) == ["?30,45", "?65,≤75"]
    assert limit_lists("Is it safe?") == []


COUNTED = "count2?age≥80,weight≤60,creatinine≥1.5"


@pytest.mark.parametrize(
    ("age", "weight", "creatinine", "result"),
    [
        ("79", "61", "1.4", "<2"),
        ("80", "61", "1.49", "<2"),
        ("80", "60", "1.4", "2"),  # both limits are among what is counted
        ("79", "59.5", "1.50", "2"),
        ("90", "45", "2", "2"),  # three are no fewer than two
    ],
)
def test_whether_two_of_three_hold(age: str, weight: str, creatinine: str, result: str) -> None:
    assert compare(COUNTED, {"age": age, "weight": weight, "creatinine": creatinine, "eGFR": "5"}) == result


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (COUNTED, {"age": "80", "weight": "60"}),  # of one number nothing is known
        (COUNTED, {"age": "80", "weight": "60", "creatinine": "high"}),
        ("count2?age≥80", {"age": "80"}),
        ("count?age≥80,weight≤60", {"age": "80", "weight": "60"}),
        ("count2?age≥80,weight<60", {"age": "80", "weight": "60"}),
        ("count2?" + ",".join(["age≥80"] * 40), {"age": "80"}),
    ],
)
def test_what_cannot_be_counted(text: str, numbers: dict[str, str]) -> None:
    with pytest.raises(CalculatorError):
        compare(text, numbers)


def test_a_count_is_found_and_told() -> None:
    assert limit_lists(f"eGFR 28?30,45 {COUNTED}") == ["?30,45", COUNTED]
    listed = "of: age 80 or above, weight 60 or below, creatinine 1.5 or above"
    assert spelled_out(COUNTED, "2") == f"2 or more {listed}"
    assert spelled_out(COUNTED, "<2") == f"fewer than 2 {listed}"
