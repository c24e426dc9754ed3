"""Splits are frozen: they depend on names alone."""

from __future__ import annotations

import pytest

from posology.curriculum.splits import (
    first_facts,
    is_dev_fact,
    is_member_held_out,
    is_pair_fact,
    number_group,
    split_of,
    unit,
)

FACTS = [f"drug{i}.renal.below-{j}" for i in range(200) for j in (15, 30, 45, 60, 90)]


def test_a_hash_is_a_frozen_number_between_0_and_1() -> None:
    # Worked once from SHA-256: a change of salt or of the text that is hashed would move every split.
    assert unit("dev", "metformin.renal.below-30") == pytest.approx(0.0754341, abs=1e-6)
    assert all(0 <= unit("a", str(i)) < 1 for i in range(100))
    assert unit("a", "bc") != unit("ab", "c")


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (sum(map(is_dev_fact, FACTS)) / len(FACTS), 0.15),
        (1 - sum(map(is_pair_fact, FACTS)) / len(FACTS), 0.20),
        (sum(is_member_held_out(fact, "x") for fact in FACTS) / len(FACTS), 0.10),
        (sum(number_group(fact, "egfr", 28) == "exam" for fact in FACTS) / len(FACTS), 0.20),
        (sum(number_group(fact, "egfr", 28) == "dev" for fact in FACTS) / len(FACTS), 0.06),
    ],
)
def test_shares_are_what_they_say(share: float, expected: float) -> None:
    assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / len(FACTS)) ** 0.5)


def test_a_number_is_reserved_as_it_is_written() -> None:
    for value in range(3, 120):
        assert number_group("metformin", "egfr", value) == number_group("metformin", "weight_kg", float(value))
    # 7 months are written "7"; 2 years are written "2".
    assert number_group("amoxicillin", "age_years", 7 / 12) == number_group("amoxicillin", "weight_kg", 7)
    assert number_group("amoxicillin", "age_years", 2) == number_group("amoxicillin", "weight_kg", 2)
    assert {number_group("amoxicillin", "age_years", 0)} == {"train"}


def test_a_limit_keeps_the_first_facts_by_hash() -> None:
    few, more = first_facts(FACTS, 20), first_facts(FACTS, 50)
    assert len(few) == 20 and few < more
    assert first_facts(reversed(FACTS), 20) == few
    assert first_facts(FACTS, 0) == set(FACTS)


def test_a_fact_serves_one_split() -> None:
    assert {split_of(fact) for fact in FACTS} == {"dev", "exam"}
    assert all((split_of(fact) == "dev") == is_dev_fact(fact) for fact in FACTS)
