"""Pairs of answers: right and complete over right and terse, and right over wrong, one thing wrong at a time.

Two rulers must not win: "the longer answer is better" and "the answer that says contraindicated is better" each hold
in about half of the pairs that they can tell apart. A `Balance` a split keeps count, and chooses styles and
corruptions against whichever ruler is ahead.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from posology.config import DataConfig
from posology.curriculum.answers import NOT_COVERED_DRUG, Script, needed
from posology.curriculum.corruptions import (
    ASKABLE,
    CORRUPTIONS,
    STYLES,
    Bank,
    Given,
    Wrong,
    corrupted,
    heard,
    verdict_up_to_contraindicated,
    wrong_text,
)
from posology.curriculum.dialogues import dose_frame, missing_pool, replace_drug, unknown_names
from posology.curriculum.mentions import Mention
from posology.curriculum.questions import Question, Slots, ask
from posology.curriculum.records import ELEMENTS, PairSplit, Preference
from posology.curriculum.situations import Situation
from posology.curriculum.splits import Group, is_dev_fact, is_pair_fact
from posology.curriculum.supply import Supply, asks_dose
from posology.curriculum.targets import Target
from posology.seeds import stream
from posology.text.spans import strip_spans

TERSE = 0.30  # share of pairs that compare complete with terse
NEXT_BAND = 0.4  # share of wrong answers to questions of a number that are right, whole and all, for another number
STYLED = 0.05  # share of pairs whose second answer is the first one in a worse style
NEW_WORDINGS, DEV = 0.10, 0.05  # pairs for the held-out figures, as shares of the trained ones
ABSTAINING = 0.14  # share of pairs about unknown drugs and missing values
_WEIGHTS = {
    "verdict_up": 5, "verdict_down": 5, "negated": 2, "sibling_drug": 2, "threshold_shifted": 3, "band_swapped": 4,
    "wrong_mechanism": 2, "wrong_reason": 2, "unsafe_alternative": 3, "monitoring_dropped": 1, "monitoring_invented": 2,
    "needless_abstention": 2,
}  # fmt: skip


_WRONG_DOSES = (
    "dose_x10", "dose_div10", "unit_swapped", "day_for_dose", "dose_of_another", "dose_of_another", "usual_dose_beside",
    "usual_dose_beside",
)  # fmt: skip


def length(answer: str) -> int:
    """Words of an answer as people read it."""
    return len(strip_spans(answer).split())


def longer(pair: Preference) -> int:
    """1: the chosen answer is longer; -1: the rejected one; 0: equally long."""
    difference = length(pair.chosen) - length(pair.rejected)
    return (difference > 0) - (difference < 0)


def alarmed(pair: Preference) -> int:
    """1: only the chosen answer says "contraindicated"; -1: only the rejected one; 0: both or neither."""
    return ("contraindicated" in pair.chosen.lower()) - ("contraindicated" in pair.rejected.lower())


@dataclass
class Balance:
    """How far each ruler is ahead among the pairs made so far."""

    length: int = 0
    alarm: int = 0

    def add(self, pair: Preference) -> None:
        self.length += longer(pair)
        self.alarm += alarmed(pair)


def make_preferences(supply: Supply, config: DataConfig, seed: int) -> list[Preference]:
    """`config.pairs` pairs a fact for training, with the held-out wordings and facts beside them."""
    maker = _Maker(supply, seed)
    facts = sorted({target.fact.id for target in supply.targets})
    by_fact: dict[str, list[Target]] = {fact: [] for fact in facts}
    for target in supply.targets:
        by_fact[target.fact.id].append(target)
    out: list[Preference] = []
    answerable = max(1, round(config.pairs * (1 - ABSTAINING)))
    for fact in facts:
        rng = stream(seed, "pairs", fact)
        share = 2 if by_fact[fact][0].by_weight else 1  # doses go wrong in more ways
        for split, group, count in _plan(fact, share * answerable, rng):
            out += maker.about_fact(by_fact[fact], split, group, count, rng)
    out += maker.abstentions(round(ABSTAINING * config.pairs * len(facts)))
    return out


def _plan(fact: str, count: int, rng: random.Random) -> Iterator[tuple[PairSplit, Group, int]]:
    """Which pairs a fact gives: to training and its new wordings, or only to the figure for unseen facts."""
    if not is_pair_fact(fact):
        yield "heldout_facts", "train", max(1, count // 3)
        return
    yield "train", "train", count
    extra = count * (DEV if is_dev_fact(fact) else NEW_WORDINGS) * (3 if is_dev_fact(fact) else 1)
    whole = int(extra) + (rng.random() < extra - int(extra))
    if whole:
        yield ("dev" if is_dev_fact(fact) else "heldout_wordings"), "dev", whole


def bank_of(supply: Supply) -> Bank:
    """What wrong answers to questions on these facts are made from."""
    bands: dict[str, list[tuple[Situation, Script]]] = {}
    doses: list[Given] = []
    usual: dict[str, list[Given]] = {}
    for target, situations in supply.pools.items():
        for situation in situations[:4] if target.number_field else ():
            bands.setdefault(situation.drug, []).append((situation, supply.script(situation)))
        gold, weight = supply.script(situations[0]).gold, situations[0].patient.weight_kg
        if gold.dose is not None and not gold.dose.steps:
            doses.append((gold.dose, weight))
            if gold.verdict in ("OK", "CAUTION"):
                usual.setdefault(target.drug, []).append((gold.dose, weight))
    return Bank.of(
        supply.bench, {drug: tuple(found) for drug, found in bands.items()}, doses,
        {drug: tuple(found) for drug, found in usual.items()},
    )  # fmt: skip


class _Maker:
    def __init__(self, supply: Supply, seed: int) -> None:
        self.supply, self.seed = supply, seed
        self.balances: dict[PairSplit, Balance] = {}
        self.bank = bank_of(supply)

    def about_fact(
        self, targets: Sequence[Target], split: PairSplit, group: Group, count: int, rng: random.Random
    ) -> Iterator[Preference]:
        """Pairs on situations where the fact decides; for training, no fact held out of pairs may speak at all."""
        situations = [
            s for target in targets for s in self.supply.pools[target] if self._may(s, split, targets[0].fact.id)
        ]
        made = 0
        for _ in range(4 * count if situations else 0):
            if made >= count:
                return
            pair = self._pair(rng.choice(situations), split, group, rng)
            if pair is not None and self._welcome(pair, split, rng):
                made += 1
                yield pair

    def _may(self, situation: Situation, split: PairSplit, fact: str) -> bool:
        if split == "heldout_facts":
            return situation.fact_id == fact
        return all(is_pair_fact(spoken.id) for spoken in situation.judgement.facts)

    def _balance(self, split: PairSplit) -> Balance:
        return self.balances.setdefault(split, Balance())

    def _welcome(self, pair: Preference, split: PairSplit, rng: random.Random) -> bool:
        """Counts the pair, unless it would put the ruler of alarm further ahead."""
        balance = self._balance(split)
        if alarmed(pair) * balance.alarm > 0 and rng.random() < 0.9:
            return False
        balance.add(pair)
        return True

    def _pair(self, situation: Situation, split: PairSplit, group: Group, rng: random.Random) -> Preference | None:
        question = self.supply.question(situation, group, rng, frame=dose_frame(situation, group, rng))
        wants = asks_dose(question)
        if wants and situation.judgement.dose is None and not situation.judgement.verdict.stops:
            return None
        script = self.supply.script(situation, asks_dose=wants)
        script = replace(script, working=self.supply.working(question, script))
        behind = self._balance(split).length < 0  # longer answers have lost too often: more pairs where they win
        if rng.random() < (2 if behind else 1) * TERSE and script.applicable:
            return self._terse(question, situation, script, split, rng)
        if rng.random() < STYLED:
            return self._styled(question, situation, script, split, rng)
        name, wrong = self._wrong(situation, script, split, rng)
        if wrong is None:
            return None
        return self._best(question, situation, script, name, self._styles(script, wrong, name, rng), split, rng)

    def _terse(
        self, question: Question, situation: Situation, script: Script, split: PairSplit, rng: random.Random
    ) -> Preference:
        kept = rng.sample(script.applicable, rng.randrange(len(script.applicable)))
        return _record(question, situation, script, script.text(), script.text(kept), "terse", split)

    def _styled(
        self, question: Question, situation: Situation, script: Script, split: PairSplit, rng: random.Random
    ) -> Preference:
        name = rng.choice(sorted(STYLES))
        right = script.text(rng.sample(script.applicable, rng.randint(0, len(script.applicable))))
        return _record(question, situation, script, right, STYLES[name](right, rng), name, split)

    def _wrong(
        self, situation: Situation, script: Script, split: PairSplit, rng: random.Random
    ) -> tuple[str, Wrong | None]:
        """A corruption that applies; one that says "contraindicated" where that ruler has won too often."""
        if self._balance(split).alarm > 0 and rng.random() < 0.5:
            wrong = verdict_up_to_contraindicated(script, situation, self.bank, rng)
            if wrong is not None:
                return "verdict_up", wrong
        if situation.target.number_field and rng.random() < NEXT_BAND:
            wrong = corrupted("band_swapped", script, situation, self.bank, rng)
            if wrong is not None:
                return "band_swapped", wrong
        for _ in range(12):
            name = self._name(script, rng)
            wrong = corrupted(name, script, situation, self.bank, rng)
            if wrong is not None:
                return name, wrong
        return "", None

    def _name(self, script: Script, rng: random.Random) -> str:
        """Doses are corrupted half of the time where there are any, caps where they bind, alternatives where named."""
        dose, chance = script.gold.dose, rng.random()
        if dose is not None and dose.cap_binding and rng.random() < 0.5:
            return "cap_dropped"
        if (
            script.gold.verdict == "CONTRAINDICATED" and chance < 0.5
        ):  # what makes room for false alarms on the other side
            return rng.choice(("verdict_down", "verdict_down", "needless_abstention"))
        if dose is not None and chance < 0.5:
            return rng.choice(_WRONG_DOSES)
        if script.gold.alternatives and chance < 0.15:
            return "unsafe_alternative"
        return rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]

    def _styles(self, script: Script, wrong: Wrong, name: str, rng: random.Random) -> list[tuple[str, str]]:
        """(right, wrong) texts: with the same elements on both sides, and with more on the wrong side."""
        if name == "monitoring_dropped":
            return [(script.text(), wrong_text(wrong, ELEMENTS))]
        needs = {heard(name, script)} - {""}
        share = rng.choice((0.5, 1.0))  # every other right answer is complete: that is what preferences favour
        some = {element for element in script.applicable if rng.random() < share} | needs
        every = set(script.applicable) | needs
        fewer = set(rng.sample(sorted(some), rng.randint(0, len(some))))
        sides = [(some, some), (some, every), (fewer, some), (set[str](), every)]
        return [(script.text(right), wrong_text(wrong, sorted(other))) for right, other in sides]

    def _best(
        self, question: Question, situation: Situation, script: Script, name: str, options: list[tuple[str, str]],
        split: PairSplit, rng: random.Random,
    ) -> Preference | None:  # fmt: skip
        """Equal lengths as far as possible; a longer wrong answer where the longer one has won too often."""
        pairs = [
            _record(question, situation, script, right, wrong, name, split)
            for right, wrong in options
            if right != wrong
        ]
        if not pairs:
            return None
        if self._balance(split).length > 0:
            against = [pair for pair in pairs if longer(pair) < 0]
            return rng.choice(against) if against else pairs[0]
        return min(pairs, key=lambda pair: abs(length(pair.chosen) - length(pair.rejected)))

    # Abstention --------------------------------------------------------------------------------------------------------

    def abstentions(self, count: int) -> Iterator[Preference]:
        """Pairs whose right answer asks for a value or declines; the wrong one is confident, or asks for something else."""
        rng = stream(self.seed, "pairs", "abstention")
        names, dev_names = unknown_names(self.supply, self.seed, max(60, count // 2))
        everything = [
            s
            for target in self.supply.targets
            for s in self.supply.pools[target]
            if self._may(s, "train", target.fact.id)
        ]
        lacking = [
            item for item in missing_pool(self.supply, rng, max(40, min(count, 600))) if self._may(item[0], "train", "")
        ]
        for index in range(count if everything else 0):
            dev = index % 11 == 0
            split: PairSplit = ("dev" if index % 33 == 0 else "heldout_wordings") if dev else "train"
            group: Group = "dev" if dev else "train"
            if index % 2 and lacking:
                pair = self._lacking(lacking[index // 2 % len(lacking)], split, group, rng)
            else:
                pair = self._unknown(
                    rng.choice(everything), rng.choice(dev_names if dev and dev_names else names), split, group, rng
                )
            if pair is not None and self._welcome(pair, split, rng):
                yield pair

    def _unknown(self, source: Situation, name: str, split: PairSplit, group: Group, rng: random.Random) -> Preference:
        asked = replace_drug(source, name)
        question = ask(source.kind, Slots(name, asked.patient), group, rng, classes=self.supply.classes)
        script = self.supply.script(source, asks_dose=asks_dose(question) and source.judgement.dose is not None)
        wrong = replace(
            script, drug=name, of=name if script.of else "", sources=(), gold=replace(script.gold, conflict=())
        )
        text = self._confident(wrong, NOT_COVERED_DRUG, split, rng)
        return Preference(
            question.text,
            NOT_COVERED_DRUG,
            text,
            "confident_unknown",
            "unknown drug",
            name,
            (),
            question.wording,
            split,
            self.supply.working(question),
            NOT_COVERED_DRUG,
        )

    def _lacking(
        self, item: tuple[Situation, tuple[Mention, ...]], split: PairSplit, group: Group, rng: random.Random
    ) -> Preference | None:
        situation, said = item
        question = self.supply.question(situation, group, rng, extra=said)
        right = self.supply.script(situation)
        other = [
            name for name in ASKABLE if name not in right.gold.missing and getattr(situation.patient, name) is None
        ]
        if rng.random() < 0.3 and other:
            text, name = needed([rng.choice(other)]), "wrong_missing"
        else:
            pools = [s for s in self.supply.pools[situation.target] if self._may(s, "train", "")]
            if not pools:
                return None
            text, name = (
                self._confident(self.supply.script(rng.choice(pools)), right.text(()), split, rng),
                "confident_missing",
            )
        return Preference(
            question.text,
            right.text(()),
            text,
            name,
            "missing",
            situation.drug,
            right.gold.facts,
            question.wording,
            split,
            self.supply.working(question, right),
            right.text(()),
        )

    def _confident(self, script: Script, right: str, split: PairSplit, rng: random.Random) -> str:
        """A confident answer as long as the balance wants it."""
        texts = [script.text(rng.sample(script.applicable, k)) for k in range(len(script.applicable) + 1)]
        ahead = self._balance(split).length
        if ahead:
            return max(texts, key=length) if ahead > 0 else min(texts, key=length)
        return min(texts, key=lambda text: abs(length(text) - length(right)))


def _record(
    question: Question, situation: Situation, script: Script, right: str, wrong: str, name: str, split: PairSplit
) -> Preference:
    facts = tuple(fact.id for fact in situation.judgement.facts)
    assert name in ("terse", *CORRUPTIONS, *STYLES)  # every pair says what is wrong with its second answer
    return Preference(
        question.text,
        right,
        wrong,
        name,
        situation.kind,
        situation.drug,
        facts,
        question.wording,
        split,
        script.working,
        script.text(),
    )
