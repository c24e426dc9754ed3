"""What there is to learn: every fact as it applies to one drug, and to one pair of drugs where it is an interaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from posology.curriculum.splits import is_member_held_out
from posology.knowledge.fact import Condition, Fact, FactType
from posology.knowledge.library import Library
from posology.knowledge.patient import Patient

NUMBER_FIELDS = ("egfr", "crcl", "weight_kg", "creatinine_mg_dl", "age_years")
ADULT = 18.0


@dataclass(frozen=True)
class Target:
    """A fact seen from one drug; `comed` is the other drug (or member-less class) of an interaction."""

    fact: Fact
    when: tuple[Condition, ...]  # as the judge reads them for this drug
    drug: str
    comed: str = ""

    @cached_property
    def by_weight(self) -> bool:
        """The dose follows from the patient's weight."""
        action = self.fact.action
        return action is not None and "/kg" in action.scales_with

    @cached_property
    def counts(self) -> bool:
        """How many of several conditions hold decides: each of them must be read."""
        return any(condition.kind == "count" for condition in self.when)

    @cached_property
    def joined(self) -> bool:
        """Several conditions must hold together, an indication and being an adult aside: none of them decides alone."""
        told = [condition for condition in self.when if condition.kind != "indication" and not is_adult(condition)]
        return len(told) > 1

    @cached_property
    def graded(self) -> bool:
        """A grade of the liver or a trimester is among the conditions: a patient is drawn with one of several."""
        return any(condition.field in ("child_pugh", "trimester") for condition in self.when)

    @cached_property
    def number_field(self) -> str:
        """The numeric field whose value decides the verdict or the dose; "" for a yes-or-no fact."""
        if self.by_weight and (self.fact.action is None or self.fact.action.of in ("", self.drug)):
            return "weight_kg"
        found = {name for condition in self.when for name in numeric_fields(condition)}
        return next((name for name in NUMBER_FIELDS if name in found), "")

    @cached_property
    def kind(self) -> str:
        """The case kind of a question about this fact's verdict."""
        fact, kinds = self.fact, {condition.kind for condition in self.when}
        if self.comed:
            return "interaction"
        if kinds & {"genotype", "allergy", "lactating"}:
            return next(name for name in ("genotype", "allergy", "lactating") if name in kinds).replace(
                "lactating", "lactation"
            )
        if "pregnant" in kinds:
            return "pregnancy"
        if any(name in ("egfr", "crcl", "creatinine_mg_dl") for c in self.when for name in numeric_fields(c)):
            return "renal"
        if "child_pugh" in kinds or fact.type is FactType.HEPATIC:
            return "hepatic"
        if "condition" in kinds:
            return "condition"
        if fact.type in (FactType.INDICATION, FactType.PAEDIATRIC) or "indication" in kinds:
            return "dose" if self.by_weight else "indication"
        return "age" if self.number_field == "age_years" else "condition"


def numeric_fields(condition: Condition) -> tuple[str, ...]:
    """The patient's numeric fields in a condition; an adult-only bound on age is none."""
    if condition.kind == "count":
        return tuple(name for part in condition.parts for name in numeric_fields(part))
    if condition.kind != "number" or condition.field == "trimester":
        return ()
    if condition.field == "age_months":
        return ("age_years",)
    return () if is_adult(condition) else (condition.field,)


def is_adult(condition: Condition) -> bool:
    """An age in years that asks for an adult, and for nothing more."""
    return condition.field == "age_years" and condition.low == ADULT and condition.high is None


def all_targets(library: Library) -> list[Target]:
    """Every primary fact with a verdict, by drug and by pair, in a fixed order."""
    out: dict[tuple[str, str, str], Target] = {}
    for drug in library.drugs:
        for rule in library.rules_for(drug):
            if rule.fact.verdict is None or rule.fact.view != "primary":
                continue
            for comed in _comeds(rule.when, drug, library):
                out.setdefault((rule.fact.id, drug, comed), Target(rule.fact, rule.when, drug, comed))
    return [out[key] for key in sorted(out)]


def _comeds(when: Iterable[Condition], drug: str, library: Library) -> list[str]:
    for condition in when:
        if condition.kind == "comed":
            return [condition.field] if condition.field != drug else []
        if condition.kind == "comed_class":
            members = [name for name in library.members(condition.field) if name != drug]
            return members or [condition.field]
    return [""]


def held_out_members(fact: Fact, drug: str, comeds: Iterable[str], library: Library) -> bool:
    """Whether a class-level fact meets here a member that is kept for S3 (or the tests of it)."""
    names = (drug, *comeds)
    classes = [fact.drug_class] if fact.drug_class else []
    classes += [condition.field for condition in fact.when if condition.kind == "comed_class"]
    return any(
        is_member_held_out(fact.id, name) for group in classes for name in names if name in library.members(group)
    )


def reserved_combination(facts: Iterable[Fact], drug: str, patient: Patient, library: Library) -> bool:
    """Whether any of the facts that speak about this patient rests on a held-out member."""
    return any(held_out_members(fact, drug, patient.comeds, library) for fact in facts)
