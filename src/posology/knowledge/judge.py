"""judge(patient, drug) -> Judgement: the only source of gold answers. Not for care of patients.

The worst verdict of the facts that fire wins. Anything short of a stop also needs every required field known and
every stated circumstance addressed by some fact; otherwise the verdict is INSUFFICIENT and says what is missing or
not covered. Absence from the knowledge base is never OK.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from posology.knowledge import coverage
from posology.knowledge.coverage import Assessed, assess, beyond
from posology.knowledge.dose import Dose
from posology.knowledge.fact import Alternative, Condition, Fact, FactType, Verdict, parse_condition
from posology.knowledge.library import Library, Rule, load_library
from posology.knowledge.match import (
    DecidingValue,
    Match,
    deciding_values,
    evaluate,
    field_value,
    matching_comed,
    normalised,
)
from posology.knowledge.patient import Patient
from posology.knowledge.prescribe import choose_dose, with_maximum
from posology.knowledge.words import why

SEVERITY = {"major": 0, "moderate": 1, "minor": 2}
DECIDING_ORDER = ("number", "child_pugh", "genotype", "allergy", "comed", "comed_class", "condition", "pregnant")


@dataclass(frozen=True)
class Judgement:
    """How a drug stands for a patient, and on which facts that rests."""

    drug: str
    verdict: Verdict
    facts: tuple[Fact, ...] = ()  # those with the winning verdict first, most specific first; then the others
    dose: Dose | None = None
    missing: tuple[str, ...] = ()  # fields to ask for, the most important first: "egfr", "genotype:CYP2D6" ...
    not_covered: tuple[str, ...] = ()  # "drug: x", "comed: x", "condition: x", "pregnancy", coverage.NOTHING ...
    conflict: tuple[Fact, ...] = ()  # other views or jurisdictions that say another verdict
    other_doses: tuple[Fact, ...] = ()  # those that say the same verdict with another dose
    why: str = ""
    deciding: tuple[DecidingValue, ...] = ()  # of the first fact
    deciding_too: tuple[tuple[DecidingValue, ...], ...] = ()  # of each other one that says the same verdict
    alternatives: tuple[tuple[str, str], ...] = ()  # (drug, instead of which), each judged on the same patient
    mechanism: str = ""
    monitoring: str = ""


def judge(patient: Patient, drug: str, library: Library | None = None) -> Judgement:
    """The verdict on a drug (generic name, brand or alias) for a patient, from the facts alone."""
    library = library or load_library()
    name = library.resolve_drug(drug)
    if name is None:
        label = " ".join(drug.split())
        return _insufficient(label, Findings(), (), (f"drug: {label}",))
    person = normalised(patient, library, name)
    findings = _find(person, name, library)
    if findings.verdict.stops:
        return _answer(person, name, library, findings)
    answering = [*findings.fired, *(item for item, _ in findings.safe)]
    found = coverage.circumstances(person, library)
    labels, votes = coverage.uncovered(found, findings.fired, answering, findings.items, person)
    missing = coverage.ordered(
        coverage.demanded(findings.items, person, library), coverage.raised_genotypes(findings.items, person), votes
    )
    if not findings.fired and not missing and not labels:
        missing = coverage.only_ways_to_dose(findings.items, person, children_only=bool(answering))
        labels = [] if missing or answering else [coverage.NOTHING]
    if findings.for_adults:  # a restriction that gives an adult's amount: what a child needs is not known
        labels.append(coverage.CHILDS_DOSE)
    if missing or labels:
        return _insufficient(name, findings, tuple(dict.fromkeys(missing)), tuple(labels))
    return _answer(person, name, library, findings)


@dataclass(frozen=True)
class Findings:
    """What the facts say: `fired` in order of weight, `safe` the thresholds this patient is beyond, nearest first."""

    items: tuple[Assessed, ...] = ()  # every deciding rule, fired or not
    others: tuple[Assessed, ...] = ()  # other views and jurisdictions
    fired: tuple[Assessed, ...] = ()
    safe: tuple[tuple[Assessed, tuple[Condition, ...]], ...] = ()

    @property
    def for_adults(self) -> bool:
        """Whether a restriction holds whose amount is not for this patient, a child."""
        return any(item.barred and item.holds and item.verdict is not Verdict.OK for item in self.items)

    @property
    def verdict(self) -> Verdict:
        if self.fired:
            return self.fired[0].verdict
        return Verdict.OK if self.safe else Verdict.INSUFFICIENT


def decides(fact: Fact, jurisdiction: str) -> bool:
    """Whether a fact decides for patients of a jurisdiction; the US is the default.

    Elsewhere that jurisdiction's own facts decide, though they are the "other" view of a US question.
    """
    if fact.jurisdiction == jurisdiction and jurisdiction != "US":
        return True
    return fact.view == "primary" and fact.jurisdiction in (jurisdiction, "intl")


def _find(person: Patient, name: str, library: Library) -> Findings:
    every = assess(library.rules_for(name), person, library)
    items = [item for item in every if decides(item.rule.fact, person.jurisdiction)]
    others = [item for item in every if not decides(item.rule.fact, person.jurisdiction)]
    fired = _without_overridden(_once([item for item in items if item.fires]))
    safe = [(item, cleared) for item in items if (cleared := beyond(item, person))]
    safe.sort(key=lambda pair: (_distance(pair[1][0], person), -pair[0].verdict.rank, pair[0].rule.fact.id))
    return Findings(tuple(items), tuple(others), tuple(sorted(fired, key=_weight)), tuple(safe))


def _once(items: Sequence[Assessed]) -> list[Assessed]:
    """One rule a fact: an interaction within one class matches from both sides."""
    return list({item.rule.fact.id: item for item in reversed(items)}.values())


def _without_overridden(fired: list[Assessed]) -> list[Assessed]:
    """A drug's own fact that names a class's fact in `conflicts_with` replaces it for that drug."""
    named = {other for item in fired if item.rule.fact.drug for other in item.rule.fact.conflicts_with}
    return [item for item in fired if not (item.rule.fact.drug_class and item.rule.fact.id in named)]


def _weight(item: Assessed) -> tuple[int, int, int, int, int, str]:
    """Sort key: worst verdict, most conditions, a drug's own before its class's, restrictions before usual doses."""
    fact = item.rule.fact
    conditions = sum(1 for _ in coverage.flat(item.rule.when))
    usual = (*coverage.USUAL_TYPES,).index(fact.type) + 1 if fact.type in coverage.USUAL_TYPES else 0
    return -item.verdict.rank, -conditions, int(bool(fact.drug_class)), usual, SEVERITY[fact.severity], fact.id


def _distance(condition: Condition, person: Patient) -> float:
    """How far a value lies from the bound it clears, relative to the bound."""
    value = field_value(person, condition.field) if condition.kind in ("number", "child_pugh") else None
    if value is None:
        return 1.0
    return min(abs(value - b) / max(b, 1.0) for b in (condition.low, condition.high) if b is not None)


def _insufficient(name: str, findings: Findings, missing: tuple[str, ...], labels: tuple[str, ...]) -> Judgement:
    facts = tuple(item.rule.fact for item in findings.fired)
    text = why(Verdict.INSUFFICIENT, (), None, "", missing, labels)
    return Judgement(name, Verdict.INSUFFICIENT, facts, missing=missing, not_covered=labels, why=text)


def _answer(person: Patient, name: str, library: Library, findings: Findings) -> Judgement:
    verdict = findings.verdict
    winners = [item for item in findings.fired if item.verdict is verdict]
    choice = choose_dose(verdict, findings.fired, person, name, library)
    if choice.missing or choice.clash:
        return _insufficient(name, findings, choice.missing, ("dose for this combination",) if choice.clash else ())
    if choice.fact is not None and verdict is Verdict.ADJUST:  # the fact whose dose is given decides
        winners.sort(key=lambda item: item.rule.fact.id != choice.fact.id if choice.fact else False)
    rest = [item for item in findings.fired if item not in winners]
    facts = [item.rule.fact for item in (*winners, *rest)]
    cited = {fact.id for fact in facts}
    facts += [fact for fact in _comforts(person, library, findings) if fact.id not in cited]
    first = winners[0] if winners else findings.safe[0][0]
    values = _deciding(first.rule, person, library)
    mechanism = next((item.rule.fact.mechanism for item in winners if item.rule.fact.mechanism), "")
    dose = with_maximum(choice.dose, library.rules_for(name), person, library) if choice.dose else None
    return Judgement(
        drug=name,
        verdict=verdict,
        facts=tuple(facts),
        dose=dose,
        conflict=_conflict(verdict, [item.rule for item in winners] or [first.rule], findings.others),
        other_doses=_other_doses(verdict, winners[:1], findings.others),
        why=why(verdict, values, facts[0], mechanism, (), ()),
        deciding=values,
        deciding_too=tuple(_deciding(item.rule, person, library) for item in winners[1:]),
        alternatives=_alternatives(winners, person, name, library) if verdict is not Verdict.OK else (),
        mechanism=mechanism,
        monitoring=_monitoring(winners, person, name, library),
    )


def _comforts(person: Patient, library: Library, findings: Findings) -> list[Fact]:
    """The facts whose safe side is what the verdict rests on: for OK without a fact of its own, or to cover something.

    The nearest threshold stands for its family.
    """
    found = [] if findings.fired else [findings.safe[0][0].rule.fact]
    spoken = [condition for item in findings.fired for condition in coverage.flat(item.rule.when)]
    for circumstance in coverage.circumstances(person, library):
        if not any(circumstance.about(condition) for condition in spoken):
            about = (i.rule.fact for i, _ in findings.safe if any(map(circumstance.about, coverage.flat(i.rule.when))))
            found += [fact for fact in [next(about, None)] if fact is not None]
    return found


def _deciding(rule: Rule, person: Patient, library: Library) -> tuple[DecidingValue, ...]:
    """What the first fact turns on: required numbers first, then other numbers, then what is stated."""
    place = {kind: index for index, kind in enumerate(DECIDING_ORDER)}

    def order(condition: Condition) -> tuple[int, int]:
        kind = "number" if condition.kind == "count" else condition.kind
        return place.get(kind, len(place)), condition.field not in rule.fact.requires

    when = sorted(rule.when, key=order)
    return tuple(value for condition in when for value in deciding_values(condition, person, library))


def _monitoring(winners: Sequence[Assessed], person: Patient, name: str, library: Library) -> str:
    own = next((item.rule.fact.monitoring for item in winners if item.rule.fact.monitoring), "")
    if own or (winners and winners[0].verdict.stops):  # what is not given needs no watching
        return own
    for rule in library.rules_for(name):
        if rule.fact.type is FactType.MONITORING and decides(rule.fact, person.jurisdiction) and not rule.mirrored:
            states = [evaluate(condition, person, library) for condition in rule.when]
            if rule.fact.monitoring and all(state is Match.HOLDS for state in states):
                return rule.fact.monitoring
    return ""


def _conflict(verdict: Verdict, deciding: Sequence[Rule], others: Sequence[Assessed]) -> tuple[Fact, ...]:
    ids = {rule.fact.id for rule in deciding}
    named = {name for rule in deciding for name in rule.fact.conflicts_with}
    fields = {condition.patient_field for rule in deciding for condition in rule.when}
    found: dict[str, Fact] = {}
    for item in others:
        fact = item.rule.fact
        if not item.fires or item.verdict is verdict:
            continue
        same_topic = not fact.conflicts_with and bool(fields & {c.patient_field for c in item.rule.when})
        if ids & set(fact.conflicts_with) or fact.id in named or same_topic:
            found[fact.id] = fact
    return tuple(sorted(found.values(), key=lambda fact: (-(fact.verdict or verdict).rank, fact.id)))


def _other_doses(verdict: Verdict, deciding: Sequence[Assessed], others: Sequence[Assessed]) -> tuple[Fact, ...]:
    """Facts of another view that name the deciding one, agree with its verdict and give another dose."""
    own = [item.rule.fact for item in deciding]
    found = (item.rule.fact for item in others if item.fires and item.verdict is verdict)
    return tuple(fact for fact in found if any(f.id in fact.conflicts_with and f.action != fact.action for f in own))


def _alternatives(
    winners: Sequence[Assessed], person: Patient, name: str, library: Library
) -> tuple[tuple[str, str], ...]:
    found: dict[tuple[str, str], None] = {}
    for item in winners:
        for alternative in item.rule.fact.alternatives:
            replaced = _replaced(alternative, item.rule, person, name, library)
            other = library.resolve_drug(alternative.drug)
            if (
                other is not None
                and other not in (name, replaced, *person.comeds)
                and _suits(alternative, other, replaced, person, name, library)
            ):
                found[(other, replaced)] = None
    return tuple(found)


def _replaced(alternative: Alternative, rule: Rule, person: Patient, name: str, library: Library) -> str:
    """The drug that the alternative stands in for: the asked one, or the co-medication that the fact means."""
    wanted = alternative.instead_of or (rule.fact.drug or rule.fact.drug_class)
    wanted = library.resolve_drug(wanted) or library.resolve_class(wanted) or wanted
    if library.is_a(name, wanted):
        return name
    meant = [matching_comed(c, person, library) for c in rule.when if c.kind in ("comed", "comed_class")]
    return next((comed for comed in (*meant, *person.comeds) if comed and library.is_a(comed, wanted)), name)


def _suits(alternative: Alternative, other: str, replaced: str, person: Patient, name: str, library: Library) -> bool:
    """Judged on the same patient (who, when a co-medication is replaced, takes the asked drug and not that one)."""
    same = person
    if replaced != name:
        comeds = (*(comed for comed in person.comeds if comed != replaced), name)
        same = replace(person, comeds=comeds, indication="")
    if alternative.unless and evaluate(parse_condition(alternative.unless), same, library) is Match.HOLDS:
        return False
    return not _find(normalised(same, library, other), other, library).verdict.stops
