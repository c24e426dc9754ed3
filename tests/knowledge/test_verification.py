from __future__ import annotations

from dataclasses import replace

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
