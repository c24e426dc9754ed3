"""Which of the facts that fired gives the dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from posology.knowledge.coverage import USUAL_TYPES, Assessed
from posology.knowledge.dose import Dose, dose_for, missing_for
from posology.knowledge.fact import Action, Fact, FactType, Verdict
from posology.knowledge.library import Library, Rule
from posology.knowledge.match import Match, evaluate, matching_comed
from posology.knowledge.patient import Patient
from posology.knowledge.units import Quantity, comparable, per_body


@dataclass(frozen=True)
class Choice:
    """The dose and its fact; or what it lacks; or `clash`: two doses that no source combines."""

    dose: Dose | None = None
    fact: Fact | None = None
    missing: tuple[str, ...] = ()
    clash: bool = False


def choose_dose(verdict: Verdict, fired: Sequence[Assessed], patient: Patient, name: str, library: Library) -> Choice:
    """The dose that an answer states: the deciding ADJUST fact's; for OK and CAUTION the usual one, where known.

    `fired` is sorted by weight. Of several restrictions on one drug the lowest dose is taken.
    """
    if verdict.stops:
        return Choice()
    if verdict is not Verdict.ADJUST:
        return _usual(fired, patient, name)
    winners = [item for item in fired if item.verdict is Verdict.ADJUST]
    winners = [item for item in winners if not any(_refines(other, item) for other in winners)]
    limits = [item for item in winners if item.rule.fact.type not in USUAL_TYPES] or winners
    missing = [name for item in limits for name in missing_for(_action(item), patient)]
    if missing:
        return Choice(missing=tuple(dict.fromkeys(missing)))
    doses = [(dose_for(_action(item), patient, _dosed(item.rule, patient, name, library)), item) for item in limits]
    best, item = doses[0]
    if item.rule.fact.type not in USUAL_TYPES:
        for dose, other in doses[1:]:
            if dose.of == best.of and _lower(dose, best):
                best, item = dose, other
        by_weight = [w for w in winners if w not in limits and per_body(_action(w).unit)[1]]
        absolute = best.percent is None and not best.ceiling and not best.expression
        if absolute and best.of == name and by_weight:
            return Choice(clash=True)
    return Choice(best, item.rule.fact)


def _usual(fired: Sequence[Assessed], patient: Patient, name: str) -> Choice:
    """The most specific indication's usual dose, or nothing."""
    for item in fired:
        fact = item.rule.fact
        action = fact.action
        if item.verdict is not Verdict.OK or action is None or item.rule.mirrored or action.of not in ("", name):
            continue
        if not missing_for(action, patient):
            return Choice(dose_for(action, patient, name), fact)
    return Choice()


def _action(item: Assessed) -> Action:
    assert item.rule.fact.action is not None  # the schema: ADJUST carries an action
    return item.rule.fact.action


def _refines(other: Assessed, item: Assessed) -> bool:
    """Whether `other` is the same statement with more conditions."""
    theirs, ours = ({condition.text for condition in side.rule.when} for side in (other, item))
    return ours < theirs


def _dosed(rule: Rule, patient: Patient, name: str, library: Library) -> str:
    """The drug that a fact doses: from the other side of an interaction that is the co-medication."""
    if not rule.mirrored:
        return name
    meant = [matching_comed(c, patient, library) for c in rule.when if c.kind in ("comed", "comed_class")]
    return rule.fact.drug or next((comed for comed in meant if comed), name)


def _lower(dose: Dose, than: Dose) -> bool:
    if dose.percent is not None and than.percent is not None:
        return dose.percent < than.percent
    if (dose.percent is None) != (than.percent is None) or not comparable(dose.unit, than.unit):
        return False
    return Quantity(daily(dose), dose.unit).to(than.unit).amount < daily(than)


def daily(dose: Dose) -> float:
    """The most a day, in the dose's unit; a single dose counts as a day's."""
    if dose.phases:
        return sum(dose.phases)
    return dose.high * (24.0 / dose.every_h[0] if dose.every_h else 1.0)


def with_maximum(dose: Dose, rules: Sequence[Rule], patient: Patient, library: Library) -> Dose:
    """The dose with the lowest cited maximum for this patient: its own fact's or one of the drug's maximum facts.

    A maximum of another kind (a dose's beside a day's), another route, or below the dose itself is left aside.
    """
    if dose.percent is not None or dose.phases:
        return dose
    for rule in rules:
        limit = _limit(rule, dose, patient, library)
        if limit is None:
            continue
        most, per = limit
        longest = 24.0 / dose.every_h[1] if dose.every_h else 1.0
        given = dose.high if per == "dose" else dose.high * longest
        tighter = dose.max is None or (dose.max_per == per and most < dose.max)
        if tighter and given <= most:
            dose = replace(dose, max=most, max_per=per)
    return dose


def _limit(rule: Rule, dose: Dose, patient: Patient, library: Library) -> tuple[float, str] | None:
    """What a maximum fact allows this patient, in the dose's unit, and whether a dose or a day; None: nothing."""
    action = rule.fact.action
    if rule.fact.type is not FactType.MAXIMUM or action is None or rule.fact.view != "primary" or rule.mirrored:
        return None
    if any(evaluate(condition, patient, library) is not Match.HOLDS for condition in rule.when):
        return None
    other_route = bool(action.route and dose.route and action.route != dose.route)
    if other_route or not comparable(per_body(action.unit)[0], dose.unit) or missing_for(action, patient):
        return None
    cap = dose_for(action, patient, dose.of)
    if cap.every_h is not None and cap.every_h[0] < 24 and action.per != "day":
        return None  # several doses a day: no single amount
    amount = cap.high * cap.divided
    per = action.max_per if action.dose is None else action.per
    return Quantity(amount, cap.unit).to(dose.unit).amount, per
