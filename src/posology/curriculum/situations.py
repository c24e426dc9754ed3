"""A drug, a patient and what the judge says of them: the common ground of dialogues, preferences and cases."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal

from posology.curriculum.patients import allowed, draw, draw_weight, fill, is_plausible
from posology.curriculum.splits import Group, number_group
from posology.curriculum.targets import ADULT, NUMBER_FIELDS, Target, reserved_combination
from posology.knowledge.fact import Verdict
from posology.knowledge.formulas import cockcroft_gault
from posology.knowledge.judge import Judgement, judge
from posology.knowledge.library import Bound, Library
from posology.knowledge.patient import Patient
from posology.text.comparison import YEAR

Sex = Literal["female", "male"]
TRIES = 5
KIDNEY = ("egfr", "crcl", "creatinine_mg_dl")  # one of them is enough, and two might not go together
BEYOND = 6  # numbers close to a limit
CLOSE = 0.1  # how far a CrCl that is told may lie from the one that Cockcroft-Gault gives, as a share of it


@dataclass(frozen=True)
class Situation:
    """One judged patient. `fact_id` is the deciding fact: the cluster that a case counts for."""

    kind: str
    drug: str
    patient: Patient
    judgement: Judgement
    target: Target

    @property
    def fact_id(self) -> str:
        return self.judgement.facts[0].id if self.judgement.facts else ""

    @property
    def numbers(self) -> tuple[tuple[str, float], ...]:
        return numbers_of(self.patient)


def numbers_of(patient: Patient) -> tuple[tuple[str, float], ...]:
    """The patient's numbers as (field, value), in a fixed order."""
    return tuple((name, float(value)) for name in NUMBER_FIELDS if (value := getattr(patient, name)) is not None)


def changed(patient: Patient, name: str, value: Any) -> Patient:
    """The patient with one field at another value."""
    return replace(patient, **{name: value})


def is_measured(patient: Patient) -> bool:
    """Whether a figure of the kidney is told."""
    return any(getattr(patient, name) is not None for name in KIDNEY)


def in_group(drug: str, patient: Patient, group: Group = "train") -> bool:
    """Whether a split may use every number of this patient with this drug."""
    return all(number_group(drug, name, value) == group for name, value in numbers_of(patient))


class Bench:
    """Judges patients, each once, and builds situations on targets. One per build; nothing random of its own."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._judged: dict[tuple[Patient, str], Judgement] = {}
        self._demands: dict[
            tuple[str, str], tuple[str, ...]
        ] = {}  # what the judge asks for beside a target's conditions
        self._harmless: dict[str, tuple[str, ...]] = {}

    def judge(self, patient: Patient, drug: str) -> Judgement:
        key = (patient, drug)
        found = self._judged.get(key)
        if found is None:
            found = self._judged[key] = judge(patient, drug, self.library)
        return found

    def reserved(self, judgement: Judgement, patient: Patient) -> bool:
        """Whether the judgement rests on a class member that is kept for S3."""
        return reserved_combination(judgement.facts, judgement.drug, patient, self.library)

    def situation(
        self, target: Target, rng: random.Random, group: Group = "train", *, held_out: bool = False,
        details: int = 0, heavy: bool | None = None,
    ) -> Situation | None:  # fmt: skip
        """A judged patient on whom the target speaks, with `details` more said; None where a few tries find none.

        `held_out`: only (S3), or never (otherwise), on class members that are kept for the exam. `heavy`: see `draw`.
        """
        fallback = None
        drafts = (draw(target, rng, group, heavy=heavy) for _ in range(4 * TRIES))
        for patient in islice((draft for draft in drafts if draft is not None), TRIES):
            found = self._complete(self._detailed(patient, target, rng, details), target, rng)
            if found is None or not usable(found.judgement):
                continue
            if self.reserved(found.judgement, found.patient) != held_out:
                continue
            if found.fact_id == target.fact.id:
                return found
            fallback = fallback or found
        return fallback

    def _complete(self, patient: Patient, target: Target, rng: random.Random) -> Situation | None:
        """The patient with every field that the judge demands."""
        key = (target.fact.id, target.drug)
        wanted = [name for name in self._demands.get(key, ()) if not getattr(patient, name, "known")]
        filled = fill(patient, wanted, target, rng, self.library)
        for _ in range(3):
            if filled is None:
                return None
            judgement = self.judge(filled, target.drug)
            if judgement.verdict is not Verdict.INSUFFICIENT:
                return Situation(target.kind, target.drug, filled, judgement, target)
            if judgement.not_covered:
                return None
            self._demands[key] = tuple(dict.fromkeys((*self._demands.get(key, ()), *judgement.missing)))
            filled = fill(filled, judgement.missing, target, rng, self.library)
        return None

    def _detailed(self, patient: Patient, target: Target, rng: random.Random, count: int) -> Patient:
        """The patient with up to `count` details that mostly decide nothing: age and sex, or a normal value."""
        for name in rng.sample(DETAILS, len(DETAILS)) if count else ():
            if count <= 0:
                break
            value = getattr(patient, name)
            if value is None or value == ():
                added = self._detail(patient, name, target.drug, rng)
                count -= added != patient
                patient = added
        return patient

    def _detail(self, patient: Patient, name: str, drug: str, rng: random.Random) -> Patient:
        value: Any = None
        mother = patient.pregnant or patient.lactating
        if name == "sex":
            value = "female" if mother else rng.choice(("female", "male"))
        elif name == "comeds":
            harmless = self.harmless(drug)
            value = (rng.choice(harmless),) if harmless else ()
        elif name in KIDNEY and is_measured(patient):
            value = None
        elif name == "age_years" or not (patient.age_years is not None and patient.age_years < ADULT):
            low, high = _DETAIL_RANGES[name]
            high = 42.0 if name == "age_years" and mother else high
            choices = [v for v in allowed(drug, name, "train") if low <= v <= high]
            value = rng.choice(choices) if choices else None
        return replace(patient, **{name: value}) if value is not None else patient

    def harmless(self, drug: str) -> tuple[str, ...]:
        """The drugs that a cited negative fact lets this one be combined with."""
        if drug not in self._harmless:
            found = {
                rule.when[0].field
                for rule in self.library.rules_for(drug)
                if rule.fact.verdict is Verdict.OK and rule.fact.view == "primary"
                and len(rule.when) == 1 and rule.when[0].kind == "comed"
            }  # fmt: skip
            self._harmless[drug] = tuple(sorted(found - {drug}))
        return self._harmless[drug]

    def across(self, situation: Situation, group: Group, may: Callable[[Situation], bool]) -> Situation | None:
        """The nearest number of the group on the other side of a threshold: another verdict, all else the same."""
        name = situation.target.number_field
        value = getattr(situation.patient, name, None) if name else None
        if value is None:
            return None
        values = sorted(allowed(situation.drug, name, group), key=lambda v: (abs(v - value), v))
        step = max(1, len(values) // 40)
        patients = [changed(situation.patient, name, v) for v in values if v != value]
        for patient in [one for one in patients if is_plausible(one)][: 9 * step : step]:
            judgement = self.judge(patient, situation.drug)
            found = replace(situation, patient=patient, judgement=judgement)
            if judgement.verdict is not situation.judgement.verdict and usable(judgement) and may(found):
                return found
        return None

    def beyond(self, situation: Situation, rng: random.Random) -> Iterator[Situation]:
        """For each limit of the medicine for the target's number: one of training's numbers close to it on its other
        side, if another fact decides there or its verdict is another."""
        name = situation.target.number_field
        value = getattr(situation.patient, name, None) if name else None
        if value is None:
            return
        limits = self.library.limits_for(situation.drug)
        bounds = set(limits.get(name, ()))
        if name == "age_years":
            bounds |= {Bound(bound.at / YEAR, bound.closed) for bound in limits.get("age_months", ())}
        values = [
            v for v in allowed(situation.drug, name, "train") if is_plausible(changed(situation.patient, name, v))
        ]
        for bound in sorted(bounds):
            over, under = [v for v in values if bound.passed(v)], [v for v in values if not bound.passed(v)]
            others = under[-BEYOND:] if bound.passed(value) else over[:BEYOND]
            if not others:
                continue
            patient = changed(situation.patient, name, rng.choice(others))
            found = replace(situation, patient=patient, judgement=self.judge(patient, situation.drug))
            same = (found.fact_id, found.judgement.verdict) == (situation.fact_id, situation.judgement.verdict)
            if not same and usable(found.judgement) and not self.reserved(found.judgement, patient):
                yield found


DETAILS = ("age_years", "age_years", "sex", "sex", "weight_kg", "comeds", "egfr", "crcl")
_DETAIL_RANGES = {"age_years": (20.0, 59.0), "weight_kg": (50.0, 100.0), "egfr": (70.0, 110.0), "crcl": (70.0, 120.0)}


def usable(judgement: Judgement) -> bool:
    """Whether an answer can be written: a verdict, and a dose (if any) of a drug that the question names."""
    if judgement.verdict is Verdict.INSUFFICIENT:
        return False
    dosed = judgement.dose is None or judgement.dose.of == judgement.drug
    return dosed or judgement.verdict is Verdict.ADJUST


def near_misses(bench: Bench, situations: Iterable[Situation], rng: random.Random) -> Iterator[Situation]:
    """Of each patient the like beyond a limit of the medicine, where another fact decides; the limits take turns.

    54 years and falls, where a fact speaks of 65 and above; but also 66 years and a stomach ulcer, where the dose for
    that is cited for adults and another fact speaks of the old.
    """
    for turn, situation in enumerate(situations):
        beyond = list(bench.beyond(situation, rng))
        if beyond:
            yield beyond[turn % len(beyond)]


def beside(bench: Bench, situations: Iterable[Situation], rng: random.Random) -> Iterator[Situation]:
    """The same patients on a medicine that may be combined with the asked one, where the same fact still decides."""
    for situation in situations:
        harmless = bench.harmless(situation.drug)
        if not harmless or situation.patient.comeds:
            continue
        patient = changed(situation.patient, "comeds", (rng.choice(harmless),))
        found = replace(situation, patient=patient, judgement=bench.judge(patient, situation.drug))
        if found.fact_id == situation.fact_id and usable(found.judgement):
            yield found


def weighed(bench: Bench, situations: Iterable[Situation], rng: random.Random) -> Iterator[Situation]:
    """The same patients with their weight told, of a medicine that has doses by weight, where the same fact still
    decides: a weight alone must not make a dose of it."""
    for situation in situations:
        if situation.patient.weight_kg is not None or not bench.library.is_weighed(situation.drug):
            continue
        weight = draw_weight(situation.drug, situation.patient, rng)
        patient = changed(situation.patient, "weight_kg", weight)
        found = replace(situation, patient=patient, judgement=bench.judge(patient, situation.drug))
        if weight is not None and found.fact_id == situation.fact_id and usable(found.judgement):
            yield found


def measured(bench: Bench, situations: Iterable[Situation], rng: random.Random) -> Iterator[Situation]:
    """The same patients with the kidney figure told that other facts about the medicine turn on, at any value where the
    same fact still decides: an eGFR that a limit allows must not undo what stands beside it."""
    for situation in situations:
        limits, patient = bench.library.limits_for(situation.drug), situation.patient
        names = [name for name in KIDNEY[:2] if name in limits]
        if not names or is_measured(patient):
            continue
        name = rng.choice(names)
        for value in rng.sample(allowed(situation.drug, name, "train"), TRIES):
            told = changed(patient, name, value)
            found = replace(situation, patient=told, judgement=bench.judge(told, situation.drug))
            if found.fact_id == situation.fact_id and usable(found.judgement):
                yield found
                break


def cleared(bench: Bench, situations: Iterable[Situation], rng: random.Random) -> Iterator[Situation]:
    """The same patients with the CrCl that goes with their creatinine, where the same fact still decides: a creatinine
    that counts must not be passed over for the CrCl before it."""
    for situation in situations:
        patient = situation.patient
        age, weight, creatinine = patient.age_years, patient.weight_kg, patient.creatinine_mg_dl
        if age is None or weight is None or creatinine is None or age < ADULT:
            continue
        if "crcl" not in bench.library.limits_for(situation.drug):
            continue
        sexes: tuple[Sex, Sex] = ("female", "male")
        sex: Sex = rng.choice(sexes) if patient.sex is None else patient.sex
        crcl = cockcroft_gault(age, weight, creatinine, sex)
        value = min(allowed(situation.drug, "crcl", "train"), key=lambda v: abs(v - crcl))
        told = replace(patient, sex=sex, crcl=value)
        found = replace(situation, patient=told, judgement=bench.judge(told, situation.drug))
        if abs(value - crcl) <= CLOSE * crcl and found.fact_id == situation.fact_id and usable(found.judgement):
            yield found


def pool(
    bench: Bench, target: Target, rng: random.Random, count: int, group: Group = "train", *, held_out: bool = False,
) -> Iterator[Situation]:  # fmt: skip
    """Up to `count` different situations on a target; half of them say one or two things more than is needed."""
    seen: set[Patient] = set()
    for _ in range(2 * count):
        if len(seen) >= count:
            return
        details = rng.choice((0, 0, 0, 1, 1, 2))
        found = bench.situation(target, rng, group, held_out=held_out, details=details)
        if found is None and details == 0:
            return
        if found is not None and found.patient not in seen:
            seen.add(found.patient)
            yield found
