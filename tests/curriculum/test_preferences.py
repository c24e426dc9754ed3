"""Preferences: two rulers that must not win, facts held apart, and every wrong answer wrong."""

from __future__ import annotations

from collections import Counter

import pytest

from posology.curriculum.build import Curriculum
from posology.curriculum.corruptions import CORRUPTIONS, STYLES
from posology.curriculum.preferences import alarmed, length, longer
from posology.curriculum.records import Preference
from posology.curriculum.splits import is_pair_fact
from posology.curriculum.summary import ruler


def pairs(curriculum: Curriculum, split: str) -> list[Preference]:
    return [pair for pair in curriculum.preferences if pair.split == split]


def test_neither_ruler_wins(curriculum: Curriculum) -> None:
    train = pairs(curriculum, "train")
    assert len(train) > 400
    longer_wins, alarm_wins = ruler(train)
    assert 0.45 <= longer_wins <= 0.55
    assert 0.45 <= alarm_wins <= 0.55
    assert sum(alarmed(pair) != 0 for pair in train) > 20  # the ruler has something to measure


def test_rulers_measure_what_they_say() -> None:
    short, long = "Avoid x.", "X is contraindicated. Monitor y."
    pair = Preference("q", long, short, "terse", "renal", "x", (), "w")
    assert (longer(pair), alarmed(pair)) == (1, 1)
    assert length("Give <|calc|>2*3<|equals|>6<|/calc|> mg.") == 3
    assert ruler([pair]) == (1.0, 1.0) and ruler([]) == (0.5, 0.5)


def test_pairs_of_held_out_facts_never_train(curriculum: Curriculum) -> None:
    assert all(is_pair_fact(fact) for pair in pairs(curriculum, "train") for fact in pair.fact_ids)
    held = pairs(curriculum, "heldout_facts")
    assert held and all(not is_pair_fact(pair.fact_ids[0]) for pair in held)


def test_new_wordings_are_new(curriculum: Curriculum) -> None:
    trained = {pair.wording.split("|")[0] for pair in pairs(curriculum, "train")}
    for split in ("heldout_wordings", "dev"):
        found = pairs(curriculum, split)
        assert found and not trained & {pair.wording.split("|")[0] for pair in found}


def test_every_corruption_is_there_and_named(curriculum: Curriculum) -> None:
    counts = Counter(pair.corruption for pair in curriculum.preferences)
    assert set(counts) <= {*CORRUPTIONS, *STYLES, "terse"}
    common = {*CORRUPTIONS, *STYLES} - {
        "cap_dropped",
        "band_swapped",
        "unsafe_alternative",
        "usual_dose_beside",
    }  # rare in so few facts
    assert common <= set(counts)
    assert 0.1 <= counts["terse"] / sum(counts.values()) <= 0.35


def test_the_two_answers_differ_and_terse_ones_are_parts(curriculum: Curriculum) -> None:
    for pair in curriculum.preferences:
        assert pair.chosen != pair.rejected
        if pair.corruption == "terse":
            assert pair.chosen.startswith(pair.rejected.split(". ")[0].rstrip("."))
            assert length(pair.rejected) < length(pair.chosen)


def test_many_wrong_answers_are_as_long_as_the_right_ones(curriculum: Curriculum) -> None:
    right = ("terse", "monitoring_dropped", *STYLES)
    wrong = [pair for pair in curriculum.preferences if pair.corruption not in right]
    near = [abs(length(p.chosen) - length(p.rejected)) <= max(1, 0.1 * length(p.chosen)) for p in wrong]
    assert sum(near) / len(near) == pytest.approx(0.45, abs=0.15)
