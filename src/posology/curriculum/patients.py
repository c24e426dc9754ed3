"""A patient for whom a fact's conditions hold, with numbers that the asked split may use.

Half of the numbers lie close to the bounds that decide, the closer the more often, the rest anywhere in the band:
thresholds are learned at their edges. Which values a split may use with a drug is decided in splits.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from posology.curriculum.splits import Group, number_group
from posology.curriculum.targets import ADULT, Target
from posology.knowledge.fact import Condition
from posology.knowledge.library import Library
from posology.knowledge.patient import ALL_REACTIONS, Allergy, Genotype, Patient, Reaction

CAPPED = 0.4  # share of weights, where a cap can be reached, at which the cap decides
HEAVIEST = 1.7  # a child's greatest weight in a question, against the middle for the age
EDGE = 0.5  # share of numbers drawn close to a bound
NEAR = 6  # "close": among this many values nearest to it
_MONTHS = tuple(months / 12 for months in range(24) if months != 12)
_GRIDS: dict[str, tuple[float, ...]] = {
    "egfr": tuple(float(n) for n in range(5, 121)),
    "crcl": tuple(float(n) for n in range(2, 131)),
    "weight_kg": (*(n / 2 for n in range(3, 20)), *(float(n) for n in range(10, 161))),
    "creatinine_mg_dl": tuple(n / 10 for n in range(4, 51)),
    "age_years": (*_MONTHS, *(float(n) for n in range(1, 96))),
}
BENIGN: dict[str, tuple[float, float]] = {"egfr": (60, 110), "crcl": (60, 120), "creatinine_mg_dl": (0.6, 1.2)}


@dataclass(frozen=True)
class Bounds:
    """An interval; each end may be open."""

    low: float = float("-inf")
    high: float = float("inf")
    low_open: bool = False
    high_open: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.low_open else value >= self.low
        return above and (value < self.high if self.high_open else value <= self.high)

    def cut(self, condition: Condition, scale: float = 1.0) -> Bounds:
        """Narrowed by a condition; `scale` turns months into years."""
        bounds = self
        if condition.low is not None and condition.low * scale >= bounds.low:
            bounds = replace(bounds, low=condition.low * scale, low_open=condition.low_open)
        if condition.high is not None and condition.high * scale <= bounds.high:
            bounds = replace(bounds, high=condition.high * scale, high_open=condition.high_open)
        return bounds


@dataclass
class Draft:
    """What the conditions ask of a patient, collected before any value is drawn."""

    numbers: dict[str, Bounds] = field(default_factory=dict)
    grades: list[str] = field(default_factory=lambda: ["A", "B", "C"])
    graded: bool = False
    fields: dict[str, Any] = field(default_factory=dict)


@lru_cache(maxsize=4096)
def allowed(drug: str, name: str, group: Group) -> tuple[float, ...]:
    """The values of a field that a split may use with a drug, rising."""
    return tuple(sorted(value for value in _GRIDS[name] if number_group(drug, name, value) == group))


def draw(target: Target, rng: random.Random, group: Group = "train", *, heavy: bool | None = None) -> Patient | None:
    """A patient for whom the target's conditions hold; None where no allowed value fits.

    The target's own number comes from `group`, every other number from training's values. `heavy`: at a weight where
    the cap of a dose decides, or not; None leaves it to chance.
    """
    draft = _collect(target, rng)
    if draft is None:
        return None
    values: dict[str, Any] = {}
    if target.by_weight:
        _weigh(target, draft, rng.random() < CAPPED if heavy is None else heavy)
    for name in ("age_years", "egfr", "crcl", "creatinine_mg_dl", "weight_kg"):  # age first: weight follows it
        if name not in draft.numbers or name in values:
            continue
        bounds = draft.numbers[name]
        if name == "weight_kg":
            low, high = plausible_weight(values.get("age_years"))
            bounds = Bounds(max(bounds.low, low), min(bounds.high, high), bounds.low_open, bounds.high_open)
        value = draw_number(target.drug, name, bounds, rng, group if name == target.number_field else "train")
        if value is None:
            return None
        values[name] = value
    return Patient(**draft.fields, **values)


def _weigh(target: Target, draft: Draft, heavy: bool) -> None:
    """Bounds on the weight of a dose by weight; a heavy child must be old enough to weigh so much."""
    weight, cap = draft.numbers.get("weight_kg", Bounds()), cap_weight(target)
    if cap is not None and heavy:
        weight = replace(weight, low=max(weight.low, cap), low_open=weight.low <= cap or weight.low_open)
        if (age := draft.numbers.get("age_years")) is not None:
            draft.numbers["age_years"] = replace(age, low=max(age.low, (1.05 * cap / HEAVIEST - 8) / 2.5))
    draft.numbers["weight_kg"] = weight


def draw_number(drug: str, name: str, bounds: Bounds, rng: random.Random, group: Group) -> float | None:
    """A value in the bounds that this split may use, close to a finite bound half of the time."""
    if name == "age_years" and bounds.low == ADULT and bounds.high > 120:
        bounds = replace(bounds, high=75.0)  # an adult; older bounds are asked on purpose
    fitting = [value for value in allowed(drug, name, group) if bounds.holds(value)]
    if not fitting:
        return None
    if rng.random() < EDGE:
        finite = [end for end in (bounds.low, bounds.high) if abs(end) < 1e6]
        if finite:
            edge = rng.choice(finite)
            near = sorted(fitting, key=lambda value: (abs(value - edge), value))
            fitting = near[: rng.randint(1, NEAR)]  # the nearest in two of five draws
    return rng.choice(fitting)


def draw_weight(drug: str, patient: Patient, rng: random.Random) -> float | None:
    """One of training's weights, in kg, that goes with the patient's age."""
    return draw_number(drug, "weight_kg", Bounds(*plausible_weight(patient.age_years)), rng, "train")


def cap_weight(target: Target) -> float | None:
    """The weight, in kg, above which the cap of a dose by weight decides; None without a cap."""
    action = target.fact.action
    if action is None or not target.by_weight:
        return None
    if action.phases:
        return action.max_weight_kg
    if action.max is None or action.dose is None:
        return None
    high = action.dose[1] if isinstance(action.dose, tuple) else action.dose
    divided = action.divided if action.per == "day" and action.max_per == "dose" else 1
    return action.max * divided / high


def plausible_weight(age_years: float | None) -> tuple[float, float]:
    """Lightest and heaviest weight, in kg, that a question may give for an age."""
    if age_years is None:
        return 45.0, 120.0
    if age_years >= ADULT:
        return 42.0, 130.0
    if age_years < 1:
        months = age_years * 12
        return 1.5 + 0.5 * months, 4.5 + 0.65 * months
    middle = 2.5 * age_years + 8
    return 0.7 * middle, HEAVIEST * middle


def is_plausible(patient: Patient) -> bool:
    """Whether the weight (if any) is one that a question may give for the age."""
    low, high = plausible_weight(patient.age_years)
    return patient.weight_kg is None or low <= patient.weight_kg <= high


def _collect(target: Target, rng: random.Random) -> Draft | None:
    draft = Draft()
    for condition in target.when:
        if condition.kind == "count":
            _count(condition, draft, rng)
        else:
            _one(condition, target, draft, rng)
    if draft.graded:
        if not draft.grades:
            return None
        draft.fields["child_pugh"] = rng.choice(draft.grades)
    return draft


def _count(condition: Condition, draft: Draft, rng: random.Random) -> None:
    """At least n parts hold; the others are known and fail, so that the count is certain."""
    chosen = set(rng.sample(range(len(condition.parts)), rng.randint(condition.at_least, len(condition.parts))))
    for index, part in enumerate(condition.parts):
        bounds = draft.numbers.get(part.field, Bounds())
        inside = bounds.cut(part)
        if index in chosen:
            draft.numbers[part.field] = inside
        elif part.low is not None:
            draft.numbers[part.field] = replace(bounds, high=part.low, high_open=not part.low_open)
        else:
            draft.numbers[part.field] = replace(bounds, low=part.high or 0.0, low_open=not part.high_open)


def _one(condition: Condition, target: Target, draft: Draft, rng: random.Random) -> None:
    kind, fields = condition.kind, draft.fields
    if kind == "number" and condition.field == "trimester":
        inside = Bounds().cut(condition)
        fields.update(pregnant=True, trimester=rng.choice([n for n in (1, 2, 3) if inside.holds(n)]))
    elif kind == "number":
        name, scale = ("age_years", 1 / 12) if condition.field == "age_months" else (condition.field, 1.0)
        draft.numbers[name] = draft.numbers.get(name, Bounds()).cut(condition, scale)
    elif kind == "child_pugh":
        inside = Bounds().cut(condition)
        draft.graded = True
        draft.grades = [grade for grade in draft.grades if inside.holds(float("ABC".index(grade) + 1))]
    elif kind == "allergy":
        said = condition.value or rng.choice(("immediate", "mild"))
        reaction: Reaction = next((known for known in ALL_REACTIONS if known == said), "unknown")
        fields["allergies"] = (*fields.get("allergies", ()), Allergy(condition.field, reaction))
    elif kind == "genotype":
        fields["genotypes"] = (*fields.get("genotypes", ()), Genotype(condition.field, condition.value))
    elif kind in ("comed", "comed_class"):
        fields["comeds"] = (target.comed,)
    elif kind == "condition":
        fields["conditions"] = (*fields.get("conditions", ()), condition.field)
    elif kind in ("pregnant", "lactating"):
        fields[kind] = True
    else:  # sex, indication
        fields[kind] = condition.field


def fill(
    patient: Patient, missing: Iterable[str], target: Target, rng: random.Random, library: Library
) -> Patient | None:
    """The patient with what the judge asked for, at values that decide nothing as far as possible; None: no idea."""
    for name in missing:
        value = _filling(name, patient, target, rng, library)
        if value is None:
            return None
        patient = replace(patient, **value)
    return patient


def _filling(
    name: str, patient: Patient, target: Target, rng: random.Random, library: Library
) -> dict[str, Any] | None:
    if name in BENIGN:
        other = {"egfr": patient.crcl, "crcl": patient.egfr}.get(name)
        bounds = (
            Bounds(*BENIGN[name]) if other is None else Bounds(0.8 * other - 2, 1.2 * other + 2)
        )  # one kidney, two figures
        number = draw_number(target.drug, name, bounds, rng, "train")
        return None if number is None else {name: number}
    if name == "age_years":
        number = draw_number(target.drug, name, Bounds(18, 64), rng, "train")
        return None if number is None else {name: number}
    if name == "weight_kg":
        number = draw_weight(target.drug, patient, rng)
        return None if number is None else {name: number}
    if name == "child_pugh":
        return {"child_pugh": rng.choice("ABC")}
    if name == "trimester":
        return {"trimester": rng.choice((1, 2, 3))}
    if name == "sex":
        return {"sex": rng.choice(("female", "male"))}
    if name == "indication":
        known = {
            condition.field
            for rule in library.rules_for(target.drug)
            for condition in rule.when
            if condition.kind == "indication" and rule.fact.view == "primary" and not rule.mirrored
        }
        return {"indication": rng.choice(sorted(known))} if known else None
    return None  # height, a genotype's result, an allergy's reaction: asked about elsewhere
