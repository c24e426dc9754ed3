"""DPO against what the model itself says wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posology.config import DataConfig
from posology.curriculum.preferences import make_preferences
from posology.curriculum.supply import Supply
from posology.knowledge.library import load_library
from posology.recipes.dpo import is_mistake, with_complete
from posology.text.spans import with_working

COMPLETE = (
    "Adjust the dose of amoxicillin: <|calc|>min(20*45/2,875)<|equals|>450<|/calc|> mg every 12 h. The weight of 20 kg is "
    "below 40. Reason: reduced clearance. Monitor kidney function."
)
WORKED = "<|calc|># amoxicillin<|equals|> amoxicillin<|/calc|><|calc|>weight 20?40<|equals|><40<|/calc|>"
DOSE = "Adjust the dose of amoxicillin: <|calc|>min(weight*45/2,875)<|equals|>450<|/calc|> mg every 12 h."


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        (DOSE, False),  # to leave something out is no mistake
        (f"{DOSE} <|calc|>weight?40<|/calc|> Monitor kidney function.", False),
        (f"{DOSE} Monitor kidney function. Reason: reduced clearance.", False),
        (f"{DOSE} Monitor rash.", True),
        (f"{DOSE} Instead of amoxicillin: azithromycin.", True),
        (DOSE.replace("45/2", "45").replace("450", "875"), True),
        (f"{DOSE} Reason: reduced", True),  # broken off
        ("Amoxicillin is acceptable. Monitor kidney function.", True),
        ("", True),
    ],
)
def test_an_answer_is_a_mistake_where_it_says_what_the_complete_one_does_not(said: str, mistake: bool) -> None:
    assert is_mistake(WORKED + said, COMPLETE) == mistake


def test_no_expert_answer_is_a_mistake_and_wrong_ones_are() -> None:
    pairs = make_preferences(Supply.make(load_library(), 0, facts_limit=60), DataConfig(pairs=8), 0)
    right_too = ("terse", "monitoring_dropped", "sentence_repeated")
    assert sum(pair.corruption not in right_too for pair in pairs) > 100
    for pair in pairs:
        chosen, rejected = (with_working(pair.working, answer) for answer in (pair.chosen, pair.rejected))
        assert not is_mistake(chosen, pair.complete), pair
        assert is_mistake(rejected, pair.complete) == (pair.corruption not in right_too), pair


def test_the_complete_answer_can_be_the_chosen_one() -> None:
    pairs = make_preferences(Supply.make(load_library(), 0, facts_limit=60), DataConfig(pairs=8), 0)
    for pair in pairs:
        assert with_complete(pair).chosen == pair.complete != pair.rejected
        assert with_complete(replace(pair, complete="")) == replace(pair, complete="")  # pairs of one's own have none
    assert sum(with_complete(pair) != pair for pair in pairs) > 0.3 * len(pairs)
