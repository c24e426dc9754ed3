from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from posology.knowledge.fact import Verified
from posology.knowledge.library import Library
from posology.knowledge.verification import CHECKS, verification


def test_counts_add_up(real: Library) -> None:
    found = verification(real)
    assert CHECKS == ("cpic", "label", "second_source", "none")
    assert found.all.facts == len(real.facts)
    for groups in (found.types, found.drugs):
        assert {name: sum(group.by[name] for group in groups) for name in CHECKS} == found.all.by
    assert found.all.verified == sum(fact.verified.by != "none" for fact in real.facts)


def test_least_verified_first(small: Library) -> None:
    checked = Verified(by="label", date="2026-01-02")
    facts = tuple(
        fact.model_copy(update={"verified": checked}) if fact.drug in ("renalol", "soothol") else fact
        for fact in small.facts
    )
    found = verification(replace(small, facts=facts))
    names = [group.name for group in found.drugs]
    assert set(names[-2:]) == {"renalol", "soothol"}
    assert names[0] == "thinol"  # nothing verified, and the most facts to check
    assert "class thinner" in names  # a fact about a class counts once, for the class
    last = found.drugs[-1]
    assert last.verified == last.facts == last.by["label"]


SAYS_WHERE = "2026-11-26"  # checks of this day or later say what was read; the earlier ones did not


def test_a_check_says_what_was_read(real: Library) -> None:
    checked = [fact for fact in real.facts if fact.verified.date >= SAYS_WHERE]
    assert len(checked) >= 100
    silent = [fact.id for fact in checked if not fact.verified.at]
    assert silent == []
    assert all(fact.verified.at == "" for fact in real.facts if fact.verified.by == "none")


def test_a_check_against_a_label_names_one_that_is_there(real: Library, public_data: Path) -> None:
    def letters(text: str) -> str:
        return re.sub(r"[^a-z]", "", text.casefold())

    with open(public_data / "fda_labels" / "sections.jsonl", encoding="utf-8") as file:
        products = {letters(json.loads(line)["label_drug"].partition(" ")[0]) for line in file} - {""}
    unknown = [
        fact.id
        for fact in real.facts
        if fact.verified.by == "label"
        and fact.verified.date >= SAYS_WHERE
        and not any(letters(fact.verified.at).startswith(product) for product in products)
    ]
    assert unknown == []
