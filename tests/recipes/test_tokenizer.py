"""Which parts of answers the tokenizer keeps whole."""

from __future__ import annotations

import pytest

from posology.recipes.tokenizer import doses_of


@pytest.mark.parametrize(
    ("answer", "doses"),
    [
        ("Losartan is acceptable. Usual dose: 2.5 to 10 mg once daily. Monitor serum potassium.", {" 2.5 to 10 mg once daily"}),
        ("Adjust the dose of metformin: at most 1000 mg a day. <|calc|>eGFR?30,45<|/calc|>", {" at most 1000 mg a day"}),
        (
            "Adjust the dose of amoxicillin: <|calc|>min(weight*45/2,875)<|equals|>450<|/calc|> mg every 12 h.",
            {"min(weight*45/2,875)"},
        ),
        ("Avoid metformin. <|calc|>eGFR?30<|/calc|> Instead of metformin: glipizide.", set()),
    ],
)  # fmt: skip
def test_a_dose_is_kept_whole_as_a_fact_has_it(answer: str, doses: set[str]) -> None:
    assert doses_of(answer) == doses
