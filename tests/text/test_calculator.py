from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from posology.text.calculator import CalculatorError, calculate, evaluate, format_value


@dataclass(frozen=True)
class Tree:
    """An expression as text with the value that its tree has: None where something is divided by zero."""

    text: str
    value: Fraction | None


def number(text: str) -> Tree:
    return Tree(text, Fraction(text))


def combine(parts: tuple[Tree, str, Tree, str]) -> Tree:
    left, sign, right, space = parts
    text = f"({left.text}){space}{sign}{space}({right.text})"
    if left.value is None or right.value is None:
        return Tree(text, None)
    if sign in "+":
        return Tree(text, left.value + right.value)
    if sign in "-−":
        return Tree(text, left.value - right.value)
    if sign in "*×x":
        return Tree(text, left.value * right.value)
    return Tree(text, left.value / right.value if right.value else None)


def choose(parts: tuple[str, list[Tree]]) -> Tree:
    name, trees = parts
    values = [tree.value for tree in trees if tree.value is not None]
    text = f"{name}({','.join(tree.text for tree in trees)})"
    return Tree(text, {"min": min, "max": max}[name](values) if len(values) == len(trees) else None)


def negate(tree: Tree) -> Tree:
    return Tree(f"-({tree.text})", None if tree.value is None else -tree.value)


NUMBERS = st.one_of(
    st.integers(0, 2000).map(str), st.tuples(st.integers(0, 99), st.integers(0, 99)).map(lambda p: f"{p[0]}.{p[1]:02}")
).map(number)
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/×÷x−"), inner, st.sampled_from(["", " "])).map(combine),
        st.tuples(st.sampled_from(["min", "max"]), st.lists(inner, min_size=1, max_size=3)).map(choose),
        inner.map(negate),
    ),
    max_leaves=6,
)


@given(tree=TREES)
def test_the_parser_agrees_with_exact_fractions(tree: Tree) -> None:
    assume(len(tree.text) <= 200)
    if tree.value is None:
        with pytest.raises(CalculatorError, match="division by zero"):
            evaluate(tree.text)
    elif tree.value and not Fraction(1, 10**9) <= abs(tree.value) <= 10**12:
        with pytest.raises(CalculatorError, match=r"larger|smaller"):
            evaluate(tree.text)
    else:
        assert evaluate(tree.text) == float(tree.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("20*45/2", 450), ("min(50*45/2,875)", 875), ("1+2*3", 7), ("10-4-3", 3), ("100/10/5", 2), ("-2*-3", 6),
        ("2 × 3 ÷ 4", 1.5), (".5*4", 2), ("0.1+0.2", 0.3), ("max(1, 2, 3)-1", 2), ("20x45x10/1000", 9),
    ],
)  # fmt: skip
def test_precedence_and_signs_worked_by_hand(expression: str, value: float) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    "junk",
    ["", " ", "abc", "2**3", "2//3", "1e5", "2^3", "(1", "1)", "()", "1 2", "min()", "min 3", "1,2", "5 mg",
     "__import__", "*3", "1+", "min(1,)", "2..5", "٣+1", "1_000", "inf", "nan", "1/0", "1/(2-2)", "9999999*9999999",
     "1/9999999999/9", "1" * 16, "(" * 30 + "1" + ")" * 30, "-" * 40 + "1", "1+" * 150 + "1"],
)  # fmt: skip
def test_junk_zero_and_overflow_are_calculator_errors(junk: str) -> None:
    with pytest.raises(CalculatorError):
        calculate(junk)


@given(text=st.text(max_size=60))
def test_no_text_does_anything_but_give_a_number_or_a_calculator_error(text: str) -> None:
    with contextlib.suppress(CalculatorError):
        assert isinstance(evaluate(text), float)


@pytest.mark.parametrize(
    ("value", "text"),
    [(450.0, "450"), (1 / 3, "0.3333"), (12345.0, "12350"), (0.5, "0.5"), (-2.0, "-2"), (0.0, "0"), (-0.0, "0"),
     (100.0, "100"), (1234567.0, "1235000"), (0.00012346, "0.0001235"), (1e12, "1000000000000"),
     (2.00004, "2"), (7.5, "7.5")],
)  # fmt: skip
def test_values_have_four_digits_and_no_exponent(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_shown(value: float) -> None:
    with pytest.raises(CalculatorError):
        format_value(value)
