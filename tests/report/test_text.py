"""How figures and differences are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.report.text import clock, decimal, figure, interval, listed, percent, value_text, word_diff
from posology.report.view import Measure


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.8742, "87.4 %"),
        (0.99981, "99.981 %"),
        (0.9999999, "> 99.999 %"),
        (0.0002, "0.02 %"),
    ],
)
def test_a_share_that_is_not_all_or_nothing_never_reads_so(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (8.0512, "8.05"),
        (0.08934, "0.0893"),
        (2457600, "2,457,600"),
        (-0.5, "−0.500"),
        (312.4, "312"),
        (-2.34e-7, "−2.3 × 10⁻⁷"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert figure(value) == text


def test_no_minus_before_a_zero() -> None:
    assert decimal(-0.0001) == "0.00"
    assert decimal(-0.01) == "−0.01"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.14, "3.1 s"), (58.2, "58 s"), (59.7, "1 min 0 s"), (567, "9 min 27 s"), (3725, "1 h 2 min")],
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_listed() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


def test_intervals_are_in_the_unit_of_their_measure() -> None:
    share = Measure("accuracy", 0.874, "f", "k", low=0.86, high=0.8871, n=2412)
    points = Measure("usefulness", 7.31, "f", "k", low=7.1, high=7.51, n=240)
    assert (value_text(share), interval(share)) == ("87.4 %", "[86.0, 88.7]")
    assert (value_text(points), interval(points)) == ("7.31", "[7.10, 7.51]")


def test_what_has_no_answer_says_why_and_a_bare_count_is_no_share() -> None:
    assert value_text(Measure("dose", None, "f", "k", n=0, undefined="no items")) == "undefined: no items"
    assert value_text(Measure("unfinished", 1.0, "f", "k")) == "1"


WORDS = st.lists(st.sampled_from(["avoid", "warfarin", ".", " ", "45", "mg", "\n"]), max_size=12).map("".join)


@given(WORDS, WORDS)
def test_a_diff_holds_both_texts(old: str, new: str) -> None:
    pieces = word_diff(old, new)
    assert "".join(text for kind, text in pieces if kind != "added") == old
    assert "".join(text for kind, text in pieces if kind != "removed") == new


def test_a_new_sentence_is_one_piece() -> None:
    pieces = word_diff("Avoid x. Reason: y.", "Avoid x. Deciding: z. Reason: y.")
    assert [text.strip() for kind, text in pieces if kind == "added"] == ["Deciding: z."]
    assert not [text for kind, text in pieces if kind == "removed"]
