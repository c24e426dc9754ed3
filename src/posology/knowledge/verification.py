"""How many facts someone has checked, and against what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import get_args

from posology.knowledge.fact import Fact, Verified
from posology.knowledge.library import Library

CHECKS: tuple[str, ...] = get_args(Verified.model_fields["by"].annotation)  # cpic, label, second_source, none


@dataclass(frozen=True)
class Checked:
    """Counts of facts by what verified them. `name` is a fact type, a drug, or "class nsaid"."""

    name: str
    by: dict[str, int]  # every one of CHECKS

    @property
    def facts(self) -> int:
        return sum(self.by.values())

    @property
    def verified(self) -> int:
        return self.facts - self.by["none"]


@dataclass(frozen=True)
class Verification:
    all: Checked
    types: tuple[Checked, ...]  # least verified first
    drugs: tuple[Checked, ...]  # least verified first; facts about a class count for the class, once


def verification(library: Library) -> Verification:
    """The counts for a whole library, by fact type and by the drug or class that a fact is written about."""
    types: dict[str, list[Fact]] = {}
    drugs: dict[str, list[Fact]] = {}
    for fact in library.facts:
        types.setdefault(fact.type.value, []).append(fact)
        drugs.setdefault(fact.drug or f"class {fact.drug_class}", []).append(fact)
    return Verification(_counted("all", library.facts), _ordered(types), _ordered(drugs))


def _counted(name: str, facts: Iterable[Fact]) -> Checked:
    found: list[str] = [fact.verified.by for fact in facts]
    return Checked(name, {check: found.count(check) for check in CHECKS})


def _ordered(groups: dict[str, list[Fact]]) -> tuple[Checked, ...]:
    """Lowest share first; of equal shares the one with more facts left to check, then by name."""
    counts = [_counted(name, facts) for name, facts in groups.items()]
    return tuple(sorted(counts, key=lambda c: (c.verified / c.facts, -c.by["none"], c.name)))
