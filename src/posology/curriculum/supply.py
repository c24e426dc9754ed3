"""What every kind of record draws on: the targets in play and their judged situations, made once a build."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from posology.curriculum.answers import Script, script_of
from posology.curriculum.mentions import VAGUE, Mention
from posology.curriculum.phrasing import Frame
from posology.curriculum.questions import Question, Slots, ask
from posology.curriculum.situations import (
    Bench,
    Situation,
    beside,
    cleared,
    in_group,
    measured,
    near_misses,
    pool,
    weighed,
)
from posology.curriculum.splits import Group, first_facts
from posology.curriculum.targets import Target, all_targets, held_out_members
from posology.curriculum.working import looked_up
from posology.knowledge.fact import Verdict
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient
from posology.seeds import stream
from posology.text.formulary import Formulary

POOL = {"count": 24, "weight": 18, "number": 12, "graded": 9, "stop": 12, "plain": 6}  # situations made of a target
NEAR_MISSES = 6  # of them have their like beyond a limit
BESIDE = 2  # of those with a number have their like on one more medicine
WEIGHED = 12  # and with a weight that decides nothing


@dataclass
class Supply:
    """The library's targets with their training situations, and what is asked of them."""

    library: Library
    bench: Bench
    targets: list[Target]  # taught and examined
    kept: list[Target]  # class members kept for S3
    pools: dict[Target, list[Situation]]
    near: dict[Target, list[Situation]]  # like some of them: beyond a limit, or with more said (training's alone)
    classes: dict[str, str]  # labels of drug classes
    _scripts: dict[tuple[Patient, str, bool], Script] = field(default_factory=dict)

    @classmethod
    def make(cls, library: Library, seed: int, facts_limit: int = 0) -> Supply:
        """Pools of the first `facts_limit` facts (0: all), for training's numbers."""
        chosen = first_facts(
            (f.id for f in library.facts if f.verdict is not None and f.view == "primary"), facts_limit
        )
        every = [target for target in all_targets(library) if target.fact.id in chosen]
        bench = Bench(library)
        kept = [t for t in every if held_out_members(t.fact, t.drug, (t.comed,), library)]
        taken = {(t.fact.id, t.drug, t.comed) for t in kept}
        pools: dict[Target, list[Situation]] = {}
        for target in every:
            key = (target.fact.id, target.drug, target.comed)
            if key in taken:
                continue
            count = POOL[_pool(target)]
            made = list(pool(bench, target, stream(seed, "pool", *key), count))
            if made:
                pools[target] = made
        near = {}
        for target, found in pools.items():
            rng = stream(seed, "near", target.fact.id, target.drug, target.comed)
            near[target] = list(near_misses(bench, found[:NEAR_MISSES], rng))
            if target.number_field:
                near[target] += beside(bench, found[-BESIDE:], rng)
                near[target] += weighed(bench, found[:WEIGHED], rng)
                near[target] += cleared(bench, found if target.counts else (), rng)
            else:
                near[target] += measured(bench, found[: len(found) // 2], rng)
        labels = {name: item.label for name, item in library.classes.items()}
        return cls(library, bench, list(pools), kept, pools, near, labels)

    def script(self, situation: Situation, *, asks_dose: bool = False) -> Script:
        """What an expert says of a situation."""
        key = (situation.patient, situation.drug, asks_dose)
        found = self._scripts.get(key)
        if found is None:
            found = self._scripts[key] = script_of(
                situation.judgement, situation.patient, self.library, asks_dose=asks_dose
            )
        return found

    @cached_property
    def formulary(self) -> Formulary:
        return Formulary(self.library.drug_names)

    def working(self, question: Question, script: Script | None = None) -> str:
        """What comes before any answer to a question: its medicines looked up, then the script's comparisons."""
        asked = looked_up(question.names, self.formulary, dose=asks_dose(question))
        return asked + (script.working if script else "")

    def question(
        self, situation: Situation, group: Group, rng: random.Random, *, kind: str = "", drug: str = "",
        extra: Sequence[Mention] = (), frame: Frame | None = None,
    ) -> Question:  # fmt: skip
        """A question about a situation in a wording of the group; `drug` is how the drug is written."""
        slots = Slots(drug or situation.drug, situation.patient, tuple(extra))
        return ask(kind or situation.kind, slots, group, rng, classes=self.classes, frame=frame)

    def missing(self, situation: Situation, rng: random.Random) -> tuple[Situation, tuple[Mention, ...]] | None:
        """The situation with a deciding value left out, and what may be said instead; None where nothing would be asked."""
        options = list(_without(situation.patient))
        rng.shuffle(options)
        for name, patient in options:
            if not in_group(situation.drug, patient):
                continue
            judgement = self.bench.judge(patient, situation.drug)
            if judgement.verdict is not Verdict.INSUFFICIENT or judgement.not_covered or not judgement.missing:
                continue
            if self.bench.reserved(judgement, patient):
                continue
            vague = VAGUE.get({"egfr": "kidney", "crcl": "kidney", "child_pugh": "liver"}.get(name, ""), ())
            said = (rng.choice(vague),) if vague and rng.random() < 0.5 else ()
            return replace(situation, patient=patient, judgement=judgement), said
        return None


def _pool(target: Target) -> str:
    if target.counts:
        return "count"
    if target.by_weight or target.number_field:
        return "weight" if target.by_weight else "number"
    if target.graded:
        return "graded"
    return "stop" if target.fact.verdict is not None and target.fact.verdict.stops else "plain"


def _without(patient: Patient) -> Iterable[tuple[str, Patient]]:
    """The patient with one value fewer each time, or with a result or a reaction that nobody knows."""
    for name in ("egfr", "crcl", "weight_kg", "age_years", "creatinine_mg_dl", "child_pugh"):
        if getattr(patient, name) is not None:
            yield name, patient.without(name)
    if patient.genotypes:
        yield "genotypes", replace(patient, genotypes=tuple(Genotype(g.gene) for g in patient.genotypes))
    if patient.allergies:
        yield "allergies", replace(patient, allergies=tuple(Allergy(a.allergen) for a in patient.allergies))


def asks_dose(question: Question) -> bool:
    """Whether a wording asks for the dose."""
    return question.wording.startswith("dose.")
