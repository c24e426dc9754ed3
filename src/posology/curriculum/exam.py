"""What exam questions are made with: the bench, fair rounds over facts, and minimal pairs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from posology.curriculum.answers import script_of
from posology.curriculum.mentions import Mention
from posology.curriculum.phrasing import FRAMES
from posology.curriculum.questions import Question, Slots, ask
from posology.curriculum.records import Case, Split
from posology.curriculum.situations import Situation, changed, numbers_of, usable
from posology.curriculum.splits import Group, number_group
from posology.curriculum.supply import Supply, asks_dose
from posology.curriculum.targets import Target
from posology.knowledge.fact import Verdict
from posology.knowledge.patient import Patient
from posology.seeds import stream

FLIPPED = ("comeds", "genotypes", "allergies", "conditions", "child_pugh")  # yes-or-no attributes that a twin changes


_BLANK = vars(Patient())


def patient_fields(patient: Patient) -> dict[str, Any]:
    """The fields that are set, as plain values."""
    said = {name: value for name, value in vars(patient).items() if value != _BLANK[name]}
    for name in ("allergies", "genotypes"):
        if name in said:
            said[name] = tuple(asdict(item) for item in said[name])
    return said


@dataclass(frozen=True)
class Wish:
    """How a case is to be asked."""

    split: Split
    group: Group = "exam"
    kind: str = ""  # "" : the target's own
    drug: str = ""  # how the drug is written
    dose: bool = False  # with a frame that asks for the dose


class Examiner:
    """Turns situations into cases, each question once."""

    def __init__(self, supply: Supply, seed: int) -> None:
        self.supply, self.seed = supply, seed
        self.asked: set[str] = set()

    def case(
        self, situation: Situation, wish: Wish, rng: random.Random, *, extra: Sequence[Mention] = (), twin: str = "",
        fact_id: str = "",
    ) -> Case | None:  # fmt: skip
        """A question with its gold; None where it was asked before, or asks for a dose that nobody cites."""
        question = self._question(situation, wish, rng, extra)
        if question is None or question.text in self.asked:
            return None
        wants = asks_dose(question)
        if (
            wants
            and situation.judgement.dose is None
            and not situation.judgement.verdict.stops
            and (situation.judgement.verdict is not Verdict.INSUFFICIENT)
        ):
            return None
        self.asked.add(question.text)
        script = script_of(situation.judgement, situation.patient, self.supply.library, asks_dose=wants)
        kind = wish.kind or situation.kind
        return Case(
            question.text, situation.drug, kind, wish.split, script.gold, patient_fields(situation.patient),
            fact_id or situation.fact_id, question.wording, twin, script.text(), self.supply.working(question, script),
        )  # fmt: skip

    def _question(
        self, situation: Situation, wish: Wish, rng: random.Random, extra: Sequence[Mention]
    ) -> Question | None:
        frame = None
        if wish.dose:
            frame = rng.choice([f for f in FRAMES if f.use == "dose" and f.group == wish.group])
        slots = Slots(wish.drug or situation.drug, situation.patient, tuple(extra))
        return ask(situation.kind, slots, wish.group, rng, classes=self.supply.classes, frame=frame)

    def pair(self, one: Situation, other: Situation, wish: Wish, name: str) -> list[Case]:
        """A minimal pair: the same wording for both, so that one attribute is all that differs."""
        kept = set(self.asked)
        twin = f"{wish.split}:{name}"
        cases = [self.case(side, wish, stream(self.seed, "twin", wish.split, name), twin=twin) for side in (one, other)]
        found = [case for case in cases if case is not None]
        if len(found) == 2 and found[0].wording == found[1].wording:
            return found
        self.asked = kept
        return []

    # Twins -------------------------------------------------------------------------------------------------------------

    def flipped(self, situation: Situation, siblings: Sequence[Target], rng: random.Random) -> Situation | None:
        """One attribute exchanged for another that the same drug's facts speak about: the verdict is another one."""
        attribute = next((name for name in FLIPPED if getattr(situation.patient, name)), "")
        for target in rng.sample(siblings, min(5, len(siblings))) if attribute else ():
            for source in self.supply.pools[target][:1]:
                value = getattr(source.patient, attribute)
                if not value or value == getattr(situation.patient, attribute):
                    continue
                found = self._other(situation, changed(situation.patient, attribute, value))
                if found is not None:
                    return found
        return None

    def _other(self, situation: Situation, patient: Patient) -> Situation | None:
        judgement = self.supply.bench.judge(patient, situation.drug)
        if judgement.verdict is situation.judgement.verdict or not self.fair(
            replace(situation, patient=patient, judgement=judgement)
        ):
            return None
        return replace(situation, patient=patient, judgement=judgement)

    def fair(self, situation: Situation) -> bool:
        """Answerable, free of conflicts (S7 asks those) and of class members kept for S3."""
        judgement = situation.judgement
        return (
            usable(judgement)
            and not judgement.conflict
            and not self.supply.bench.reserved(judgement, situation.patient)
        )


def is_new(situation: Situation, group: Group) -> bool:
    """Whether the deciding number is one that training never used with this drug."""
    name = situation.target.number_field
    value = getattr(situation.patient, name, None) if name else None
    return value is not None and number_group(situation.drug, name, value) == group


def is_old(situation: Situation) -> bool:
    """Whether every number is one that training uses with this drug."""
    return all(number_group(situation.drug, name, value) == "train" for name, value in numbers_of(situation.patient))


def rounds(
    targets: Sequence[Target], quota: int, make: Callable[[Target, int], list[Case]], salt: str, seed: int,
    counts: Callable[[Case], bool] = lambda case: True,
) -> Iterator[Case]:  # fmt: skip
    """Cases from one fact after another, round by round, until `quota` that count are made or nothing more comes.

    What one call of `make` gives stays together, so that a minimal pair is never cut in half.
    """
    by_fact: dict[str, list[Target]] = {}
    for target in targets:
        by_fact.setdefault(target.fact.id, []).append(target)
    facts = sorted(by_fact)
    stream(seed, "rounds", salt).shuffle(facts)
    made = 0
    for number in range(40):
        before = made
        for fact in facts:
            if made >= quota:
                return
            group = by_fact[fact]
            cases = make(group[number % len(group)], number)
            made += sum(counts(case) for case in cases)
            yield from cases
        if made == before and number > 2:
            return
