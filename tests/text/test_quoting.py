"""The number of a comparison is one that the question says."""

from __future__ import annotations

import pytest

from posology.text.comparison import expression
from posology.text.quoting import may_begin

QUESTION = (
    "A nine-year-old of 30 kg with a creatinine of 1.0 takes 12.5 mg of losartan; eGFR 126. Forty five days, newborn?"
)


@pytest.mark.parametrize("number", ["30", "9", "1", "1.0", "12.5", "126", "45", "0"])
def test_a_number_that_is_said_may_be_written_to_its_end(number: str) -> None:
    written = expression("weight", number, ["40", "≤75"])
    assert all(may_begin(written[:end], QUESTION) for end in range(len(written) + 1))


@pytest.mark.parametrize(
    ("written", "held"),
    [
        ("weight 300", "weight 30"),  # a digit too many
        ("weight 3?", "weight 3"),  # one too few
        ("eGFR 12?", "eGFR 12"),
        ("eGFR 26", "eGFR "),  # the end of another number
        ("weight 12.50", "weight 12.5"),
        ("weight 12?", "weight 12."),
        ("creatinine 5", "creatinine "),  # behind a point
        ("age 5", "age "),  # said as "forty five", which is one number
    ],
)
def test_a_number_that_is_not_said_may_not(written: str, held: str) -> None:
    assert may_begin(held, QUESTION)
    assert not may_begin(written, QUESTION)


@pytest.mark.parametrize("written", ["", " Coum", " Coumadin, aspirin", "CrCl?60", "eGFR", "5*45", "min(30*2,4)"])
def test_names_and_calculations_are_the_models(written: str) -> None:
    assert may_begin(written, "Warfarin?")
