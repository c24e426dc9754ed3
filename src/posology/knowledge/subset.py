"""A smaller library: some drugs and every fact that speaks of them alone. A short run teaches a subset well."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from posology.config import ConfigError
from posology.knowledge.fact import Condition, Fact
from posology.knowledge.library import Library


def subset(library: Library, names: Collection[str]) -> Library:
    """The library of these drugs (names, brands or aliases; none: all of them). Facts about other drugs are left out;
    alternatives that are not in the subset are dropped from the facts that stay."""
    if not names:
        return library
    kept = set()
    for name in names:
        resolved = library.resolve_drug(name)
        if resolved is None:
            raise ConfigError(f"data.drugs names {name!r}, which the knowledge base does not know")
        kept.add(resolved)
    small = replace(library, drugs={name: drug for name, drug in library.drugs.items() if name in kept}, facts=())
    facts = tuple(_trimmed(fact, small) for fact in library.facts if _belongs(fact, small))
    return replace(small, facts=facts)


def _belongs(fact: Fact, small: Library) -> bool:
    own = fact.drug in small.drugs or bool(small.members(fact.drug_class))
    reversible = not fact.antidote or fact.antidote in small.drugs
    return own and reversible and all(_known(condition, small) for condition in fact.when)


def _known(condition: Condition, small: Library) -> bool:
    if condition.kind == "comed":
        return condition.field in small.drugs
    if condition.kind == "comed_class":
        return bool(small.members(condition.field))
    return all(_known(part, small) for part in condition.parts)


def _trimmed(fact: Fact, small: Library) -> Fact:
    alternatives = tuple(item for item in fact.alternatives if item.drug in small.drugs)
    return fact.model_copy(update={"alternatives": alternatives})
