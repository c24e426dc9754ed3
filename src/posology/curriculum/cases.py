"""The exam: S0 to S8, the development split, and the questions written by hand.

S1 and S2 are the headline. Their quotas follow what the scorecard needs: stops for safety, doses (with enough caps
that bind), and harmless verdicts for specificity, over as many facts as there are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from posology.config import DataConfig
from posology.curriculum.dialogues import is_dev_name, known_words, missing_pool, replace_drug, unknown_names
from posology.curriculum.exam import Examiner, Wish, is_new, is_old, rounds
from posology.curriculum.hand import hand_cases
from posology.curriculum.names import EXAM_NAMES, exam_inventions, typo
from posology.curriculum.patients import cap_weight, draw
from posology.curriculum.records import Case, Split
from posology.curriculum.situations import Situation
from posology.curriculum.splits import Group, is_dev_fact
from posology.curriculum.supply import Supply
from posology.curriculum.targets import Target
from posology.seeds import stream

# Cases at items = 1. Safety needs 1,000 stops and the dose measure 1,000 doses in S1 and S2 together.
STOPS = {"S1": 800, "S2": 260}
DOSES = {"S1": 260, "S2": 700}
OTHERS = {"S1": 100, "S2": 100}
SMALL = {"S0": 200, "S3": 200, "S4": 220, "S5": 220, "S6": 220, "S7": 90, "S8": 200}
DEV = {"stops": 150, "doses": 150, "others": 180, "unknown": 60, "missing": 60}


def make_cases(supply: Supply, config: DataConfig, seed: int) -> list[Case]:
    """All cases, in a fixed order; `config.items` scales every count but the hand-written ones."""
    exam = _Exam(supply, config.items, seed)
    out = [*exam.headline(), *exam.memory(), *exam.members(), *exam.unknown(), *exam.missing(), *exam.conflicts()]
    out += [*exam.distracted(), *exam.development()]
    asked = {case.question for case in out}
    return out + [case for case in hand_cases(supply.library) if case.question not in asked]


class _Exam:
    def __init__(self, supply: Supply, items: float, seed: int) -> None:
        self.supply, self.items, self.seed = supply, items, seed
        self.examiner = Examiner(supply, seed)
        self.rng = stream(seed, "exam")
        self.siblings: dict[tuple[str, str], list[Target]] = {}
        for target in supply.targets:
            self.siblings.setdefault((target.drug, target.kind), []).append(target)
        self.ours = [target for target in supply.targets if not is_dev_fact(target.fact.id)]
        self.theirs = [target for target in supply.targets if is_dev_fact(target.fact.id)]

    def count(self, number: int) -> int:
        return max(1, round(number * self.items))

    # S1 and S2 ---------------------------------------------------------------------------------------------------------

    def headline(self) -> Iterator[Case]:
        """Stops, doses and the rest, for seen numbers (S1) and new ones (S2)."""
        stops = [t for t in self.ours if t.fact.verdict is not None and t.fact.verdict.stops]
        yield from self._verdicts(stops, "S1", self.count(STOPS["S1"]), "stops")
        yield from self._verdicts([t for t in stops if t.number_field], "S2", self.count(STOPS["S2"]), "stops")
        yield from self._doses(self.ours, "S1", self.count(DOSES["S1"]))
        yield from self._doses([t for t in self.ours if t.number_field], "S2", self.count(DOSES["S2"]))
        others = [t for t in self.ours if t.fact.verdict is not None and not t.fact.verdict.stops and not t.by_weight]
        yield from self._verdicts(others, "S1", self.count(OTHERS["S1"]), "others")
        yield from self._verdicts([t for t in others if t.number_field], "S2", self.count(OTHERS["S2"]), "others")

    def _verdicts(self, targets: Sequence[Target], split: Split, quota: int, salt: str) -> Iterator[Case]:
        """Questions for a verdict, as minimal pairs where a twin is found; `quota` counts stops, or the others."""
        wish = Wish(split, "dev" if split == "dev" else "exam")

        def make(target: Target, number: int) -> list[Case]:
            numbers = self._numbers(split, target, number)
            one = self._situation(target, numbers)
            if one is None:
                return []
            name = f"{salt}:{target.fact.id}:{target.drug}:{target.comed}:{number}"
            rng = stream(self.seed, "case", split, name)
            pair = self._twins(one, rng, numbers, wish, name)
            if pair:
                return pair
            case = self.examiner.case(one, wish, rng)
            return [case] if case else []

        def counts(case: Case) -> bool:
            return (case.gold.verdict in ("CONTRAINDICATED", "AVOID")) == (salt == "stops")

        yield from rounds(targets, quota, make, f"{split}:{salt}", self.seed, counts)

    def _numbers(self, split: Split, target: Target, number: int) -> Group:
        """Which values the deciding number may have: new ones in S2, every other round in development."""
        if not target.number_field or (split == "dev" and number % 2):
            return "train"
        if split == "dev":
            return "dev"
        return "exam" if split == "S2" else "train"

    def _twins(self, one: Situation, rng: random.Random, numbers: Group, wish: Wish, name: str) -> list[Case]:
        other = self.supply.bench.across(one, numbers, self.examiner.fair) if one.target.number_field else None
        if other is None and numbers == "train":
            other = self.examiner.flipped(one, self.siblings[one.drug, one.target.kind], rng)
        if other is None or is_dev_fact(other.fact_id) != (wish.split == "dev"):
            return []
        return self.examiner.pair(one, other, wish, name)

    def _situation(self, target: Target, numbers: Group, *, heavy: bool | None = None) -> Situation | None:
        """A fair situation of this target with a number of the group; `heavy`: above (or not above) the dose's cap."""
        if numbers == "train" and heavy is None:  # S1 asks about patients whose like were trained on
            known = [s for s in self.supply.pools[target] if is_dev_fact(s.fact_id) == is_dev_fact(target.fact.id)]
            known = [s for s in known if self.examiner.fair(s)]
            return self.rng.choice(known) if known else None
        for _ in range(4):
            details = self.rng.choice((0, 0, 1, 2))
            found = self.supply.bench.situation(target, self.rng, numbers, details=details, heavy=heavy)
            if found is None:
                return None
            if not self.examiner.fair(found):
                continue
            if is_dev_fact(found.fact_id) != is_dev_fact(target.fact.id):
                continue
            if numbers != "train" and not is_new(found, numbers):
                continue
            if numbers == "train" and not is_old(found):
                continue
            return found
        return None

    def _doses(self, targets: Sequence[Target], split: Split, quota: int) -> Iterator[Case]:
        """Questions whose answer must state a dose; every other one by weight at a weight where the cap decides."""
        dosed = [
            t for t in targets if t.fact.action is not None and t.fact.verdict is not None and not t.fact.verdict.stops
        ]
        wish = Wish(split, "dev" if split == "dev" else "exam", dose=True)

        def make(target: Target, number: int) -> list[Case]:
            heavy = None if cap_weight(target) is None else number % 4 != 0
            one = self._situation(target, self._numbers(split, target, number), heavy=heavy)
            if one is None or one.judgement.dose is None or one.judgement.verdict.stops:
                return []
            rng = stream(self.seed, "case", split, "doses", target.fact.id, target.drug, target.comed, number)
            case = self.examiner.case(one, wish, rng)
            return [case] if case else []

        capped = [t for t in dosed if self._cap_can_bind(t)]
        plain = [t for t in dosed if t not in capped]
        first = round(quota * (0.55 if split == "S2" else 0.35)) if capped else 0
        yield from rounds(capped, first, make, f"{split}:capped", self.seed)
        yield from rounds(plain, quota - first, make, f"{split}:doses", self.seed)

    def _cap_can_bind(self, target: Target) -> bool:
        """Whether some patient is heavy enough for the cap."""
        rng = stream(self.seed, "cap", target.fact.id)
        return cap_weight(target) is not None and any(draw(target, rng, heavy=True) for _ in range(8))

    # The other splits --------------------------------------------------------------------------------------------------

    def memory(self) -> Iterator[Case]:
        """S0: seen facts in wordings that train."""
        yield from self._from_pools(self.count(SMALL["S0"]), Wish("S0", "train"))

    def members(self) -> Iterator[Case]:
        """S3: a class rule on a member that no dialogue and no pair ever joined to it."""

        def make(target: Target, number: int) -> list[Case]:
            found = self.supply.bench.situation(target, self.rng, held_out=True, details=number % 2)
            if found is None or found.judgement.conflict:
                return []
            case = self.examiner.case(found, Wish("S3"), self.rng)
            return [case] if case else []

        yield from rounds(self.supply.kept, self.count(SMALL["S3"]), make, "S3", self.seed)

    def unknown(self) -> Iterator[Case]:
        """S4: real medicines outside the knowledge base. S5: medicines that do not exist."""
        invented = exam_inventions(self.count(SMALL["S5"]), known_words(self.supply))
        real = list(EXAM_NAMES)
        stream(0, "exam names").shuffle(real)
        for name in real[: self.count(SMALL["S4"])]:
            yield from self._unknown(name, Wish("S4", kind="unknown drug"))
        for name in invented:
            yield from self._unknown(name, Wish("S5", kind="unknown drug"))

    def _unknown(self, name: str, wish: Wish) -> Iterator[Case]:
        target = self.rng.choice(self.ours)
        asked = replace_drug(self.rng.choice(self.supply.pools[target]), name)
        judged = self.supply.bench.judge(asked.patient, name)
        case = self.examiner.case(
            Situation(asked.kind, name, asked.patient, judged, asked.target), wish, self.rng, fact_id=name
        )
        if case:
            yield case

    def missing(self) -> Iterator[Case]:
        """S6: the deciding value left out."""
        yield from self._missing(self.count(SMALL["S6"]), Wish("S6", kind="missing"))

    def _missing(self, quota: int, wish: Wish) -> Iterator[Case]:
        made = 0
        targets = self.theirs if wish.split == "dev" else self.ours
        for situation, said in missing_pool(self.supply, self.rng, 2 * quota, targets):
            fact = situation.target.fact.id
            if made >= quota:
                return
            case = self.examiner.case(situation, wish, self.rng, extra=said, fact_id=fact)
            if case:
                made += 1
                yield case

    def conflicts(self) -> Iterator[Case]:
        """S7: sources that differ; both must be named."""
        fit = {
            t
            for t in self.ours
            if any(s.judgement.conflict and not is_dev_fact(s.fact_id) for s in self.supply.pools[t])
        }

        def make(target: Target, number: int) -> list[Case]:
            found = self.supply.bench.situation(target, self.rng, details=number % 3 == 2)
            if found is None or not found.judgement.conflict or is_dev_fact(found.fact_id):
                return []
            case = self.examiner.case(found, Wish("S7", kind="conflict"), self.rng)
            return [case] if case else []

        yield from rounds([t for t in self.ours if t in fit], self.count(SMALL["S7"]), make, "S7", self.seed)

    def distracted(self) -> Iterator[Case]:
        """S8: brand names, misspelt names, and patients of whom much is said that does not matter."""
        third = self.count(SMALL["S8"]) // 3 + 1
        branded = [t for t in self.ours if self.supply.library.drugs[t.drug].brands]
        yield from self._from_pools(third, Wish("S8", kind="brand"), branded, "brand")
        yield from self._from_pools(third, Wish("S8", kind="typo"), self.ours, "typo")

        def make(target: Target, number: int) -> list[Case]:
            found = self.supply.bench.situation(target, self.rng, details=3)
            if found is None or not self.examiner.fair(found) or is_dev_fact(found.fact_id):
                return []
            case = self.examiner.case(found, Wish("S8", kind="vignette"), self.rng)
            return [case] if case else []

        yield from rounds(self.ours, third, make, "S8:vignette", self.seed)

    def _from_pools(
        self, quota: int, wish: Wish, targets: Sequence[Target] | None = None, written: str = ""
    ) -> Iterator[Case]:
        """Situations that train as well, asked in the wish's wordings."""

        def make(target: Target, number: int) -> list[Case]:
            found = self.rng.choice(self.supply.pools[target])
            if not self.examiner.fair(found) or is_dev_fact(found.fact_id):
                return []
            drug = found.drug
            if written == "brand":
                drug = self.rng.choice(self.supply.library.drugs[drug].brands)
            elif written == "typo":
                drug = typo(found.drug, self.rng, "exam")
                if drug == found.drug:
                    return []
            case = self.examiner.case(found, Wish(wish.split, wish.group, wish.kind, drug), self.rng)
            return [case] if case else []

        yield from rounds(targets or self.ours, quota, make, f"{wish.split}:{written}", self.seed)

    def development(self) -> Iterator[Case]:
        """Other facts, other wordings, other numbers, other names: for checkpoints and for choosing the best stage."""
        stops = [t for t in self.theirs if t.fact.verdict is not None and t.fact.verdict.stops]
        others = [t for t in self.theirs if t.fact.verdict is not None and not t.fact.verdict.stops and not t.by_weight]
        yield from self._verdicts(stops, "dev", self.count(DEV["stops"]), "stops")
        yield from self._doses(self.theirs, "dev", self.count(DEV["doses"]))
        yield from self._verdicts(others, "dev", self.count(DEV["others"]), "others")
        names = unknown_names(self.supply, self.seed, 400)[1]
        assert all(is_dev_name(name) for name in names)  # never trained on
        for name in names[: self.count(DEV["unknown"])]:
            yield from self._unknown(name, Wish("dev", "dev", "unknown drug"))
        yield from self._missing(self.count(DEV["missing"]), Wish("dev", "dev", "missing"))
