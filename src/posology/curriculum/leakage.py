"""What the exam must not share with training: wordings, a drug's numbers, names, class members, questions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache, reduce
from operator import xor
from typing import Any

from posology.curriculum.build import Curriculum
from posology.curriculum.names import EXAM_NAMES
from posology.curriculum.records import Case
from posology.curriculum.splits import is_dev_fact, is_pair_fact
from posology.curriculum.targets import NUMBER_FIELDS

RESERVED = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")  # S0 asks in wordings that train, on purpose
NGRAM = 13
CHECKS = (  # what `leaks` looks for
    "wordings that the exam or development asks in, among those that were trained on",
    "an S2 question whose numbers all stand in one training question on the same medicine",
    "names of S4 and S5 in any text that was trained on",
    "facts of development in the exam, facts of the exam in development, trained pairs on facts held out of pairs",
    "questions of the exam, or those written by hand, among training questions",
)
_WORD = re.compile(r"[a-z0-9.]+")
_NUMBER = re.compile(r"(?<![\w*:.])\d+(?:\.\d+)?(?!\w|[:.]\d)")  # no digit of CYP2D6 or HLA-B*57:01


@dataclass(frozen=True)
class Overlap:
    """Questions of a split that come close to training.

    `shared`: they hold a run of 13 words of a training question or document; `close`: their words are those of a
    training question but for one added, left out or exchanged (a number or a medicine, often), in whatever order.
    """

    split: str
    questions: int
    shared: int
    close: int
    examples: tuple[str, ...]  # of `close`


def leaks(curriculum: Curriculum) -> list[str]:
    """Every leak in words, the first of each kind; [] where there is none."""
    found = [
        *_wordings(curriculum),
        *_numbers(curriculum),
        *_names(curriculum),
        *_facts(curriculum),
        *_questions(curriculum),
    ]
    return found


def _wordings(curriculum: Curriculum) -> Iterable[str]:
    taught = {d.wording for d in curriculum.dialogues if d.split == "train"}
    paired = {p.wording for p in curriculum.preferences if p.split == "train"}
    exam = {c.wording for c in curriculum.cases if c.split in RESERVED}
    dev = {c.wording for c in curriculum.cases if c.split == "dev"} | {
        d.wording for d in curriculum.dialogues if d.split == "dev"
    }
    for name, one, other in (
        ("dialogues and the exam", taught, exam), ("preferences and the exam", paired, exam),
        ("dialogues and development", taught, dev), ("development and the exam", dev, exam),
    ):  # fmt: skip
        # a wording is frame|structure: the frame is what is reserved
        shared = {w.split("|")[0] for w in one} & {w.split("|")[0] for w in other}
        if shared:
            yield f"wordings shared by {name}: {', '.join(sorted(shared)[:3])}"
    read = {d.wording for d in curriculum.documents if d.split == "train"}
    if shared := read & {d.wording for d in curriculum.documents if d.split == "heldout"}:
        yield f"document wordings both trained and held out: {', '.join(sorted(shared)[:3])}"


def numbers_in(text: str) -> frozenset[float]:
    """The numbers of a text."""
    return frozenset(float(match) for match in _NUMBER.findall(text))


def _numbers(curriculum: Curriculum) -> Iterable[str]:
    """An S2 question's (drug, numbers) must be new: no training question on the drug holds all of its numbers."""
    trained: dict[str, set[frozenset[float]]] = {}
    taught = [(d.drug, d.prompt) for d in curriculum.dialogues if d.split == "train"]
    paired = [(p.drug, p.prompt) for p in curriculum.preferences if p.split == "train"]
    for drug, prompt in (*taught, *paired):
        trained.setdefault(drug, set()).add(numbers_in(prompt))
    for case in curriculum.cases:
        if case.split == "S2":
            own = _own_numbers(case)
            if any(own <= numbers for numbers in trained.get(case.drug, ())):
                yield f"S2 shares (drug, numbers) with training: {case.drug} {sorted(own)}"
                return


def _own_numbers(case: Case) -> frozenset[float]:
    values = [float(case.patient[name]) for name in NUMBER_FIELDS if case.patient.get(name) is not None]
    return frozenset(
        round(12 * v, 6) if 0 < v < 2 and v == case.patient.get("age_years") and v % 1 else v for v in values
    )


def _names(curriculum: Curriculum) -> Iterable[str]:
    names = {case.drug.lower() for case in curriculum.cases if case.split in ("S4", "S5")} | set(EXAM_NAMES)
    texts = [d.text for d in curriculum.documents]
    texts += [text for d in curriculum.dialogues for text in (d.prompt, d.answer)]
    texts += [text for p in curriculum.preferences for text in (p.prompt, p.chosen, p.rejected)]
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.lower())}
    if shared := names & words:
        yield f"names of S4 and S5 in training text: {', '.join(sorted(shared)[:3])}"


def _facts(curriculum: Curriculum) -> Iterable[str]:
    for case in curriculum.cases:
        if case.split == "dev" and case.gold.verdict != "INSUFFICIENT" and not is_dev_fact(case.fact_id):
            yield f"a development case on a fact of the exam: {case.fact_id}"
            break
    for case in curriculum.cases:
        if (
            case.split in ("S0", *RESERVED)
            and case.gold.verdict != "INSUFFICIENT"
            and is_dev_fact(case.fact_id)
            and case.split != "S3"
        ):
            yield f"an exam case on a fact of development: {case.split} {case.fact_id}"
            break
    for pair in curriculum.preferences:
        if pair.split == "train" and not all(is_pair_fact(fact) for fact in pair.fact_ids):
            yield f"a trained pair on a fact held out of pairs: {pair.fact_ids}"
            break


def _questions(curriculum: Curriculum) -> Iterable[str]:
    taught = {d.prompt for d in curriculum.dialogues if d.split == "train"} | {p.prompt for p in curriculum.preferences}
    asked = {case.question for case in curriculum.cases if case.split in (*RESERVED, "hand")}
    if shared := taught & asked:
        yield f"exam questions in training: {sorted(shared)[0]}"


def overlaps(curriculum: Curriculum) -> list[Overlap]:
    """How close the questions of each split come to what was trained on: a report, not a leak.

    Templates of one language cannot but come close; how often they do is what a sceptic asks.
    """
    prompts = [d.prompt for d in curriculum.dialogues if d.split == "train"]
    runs: set[tuple[str, ...]] = set()
    for text in (*prompts, *(d.text for d in curriculum.documents)):
        runs.update(_grams(text))
    near: set[int] = set()
    for prompt in {*prompts, *(p.prompt for p in curriculum.preferences if p.split == "train")}:
        near.update(_but_one_word(prompt))
    out = []
    for split in dict.fromkeys(case.split for case in curriculum.cases):
        questions = [case.question for case in curriculum.cases if case.split == split]
        shared = [question for question in questions if any(gram in runs for gram in _grams(question))]
        close = [question for question in questions if not near.isdisjoint(_but_one_word(question))]
        out.append(Overlap(split, len(questions), len(shared), len(close), tuple(close[:3])))
    return out


def report(curriculum: Curriculum) -> dict[str, Any]:
    """leakage.json: whether the exam is clean, every leak in words, what was held against what, and the overlaps."""
    found = leaks(curriculum)
    taught = {d.prompt for d in curriculum.dialogues if d.split == "train"}
    paired = {p.prompt for p in curriculum.preferences if p.split == "train"}
    return {
        "clean": not found,
        "leaks": found,
        "training_questions": len(taught | paired),
        "training_documents": len(curriculum.documents),
        "exam_questions": len(curriculum.cases),
        "checks": list(CHECKS),
        "overlaps": [asdict(overlap) for overlap in overlaps(curriculum)],
    }


def _grams(text: str) -> Iterable[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return (tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1))


def _but_one_word(text: str) -> list[int]:
    """Keys of the set of its words, whole and without each one: two texts that share a key differ in one word at most."""
    words = [_key(word.strip(".")) for word in set(_WORD.findall(text.lower()))]
    whole = reduce(xor, words, 0)
    return [whole, *(whole ^ word for word in words)]


@lru_cache(maxsize=65536)
def _key(word: str) -> int:
    """Eight bytes that stand for a word, the same in every process."""
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
