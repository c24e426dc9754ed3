"""What the exam must not share with training: wordings, a drug's numbers, names, class members, questions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from posology.curriculum.build import Curriculum
from posology.curriculum.names import EXAM_NAMES
from posology.curriculum.records import Case
from posology.curriculum.splits import is_dev_fact, is_pair_fact
from posology.curriculum.targets import NUMBER_FIELDS

RESERVED = ("S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8")  # S0 asks in wordings that train, on purpose
NGRAM = 13
_WORD = re.compile(r"[a-z0-9.]+")
_NUMBER = re.compile(r"(?<![\w*:.])\d+(?:\.\d+)?(?!\w|[:.]\d)")  # no digit of CYP2D6 or HLA-B*57:01


@dataclass(frozen=True)
class Overlap:
    """Questions of a split that share a run of 13 words with any training question or document."""

    split: str
    questions: int
    shared: int
    examples: tuple[str, ...]


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


def thirteen_grams(curriculum: Curriculum) -> list[Overlap]:
    """How many questions of each split share a run of 13 words with training (a report, not a leak)."""
    seen: set[tuple[str, ...]] = set()
    for text in (
        *(d.prompt for d in curriculum.dialogues if d.split == "train"),
        *(d.text for d in curriculum.documents),
    ):
        seen.update(_grams(text))
    out = []
    for split in dict.fromkeys(case.split for case in curriculum.cases):
        questions = [case.question for case in curriculum.cases if case.split == split]
        shared = [question for question in questions if any(gram in seen for gram in _grams(question))]
        out.append(Overlap(split, len(questions), len(shared), tuple(shared[:3])))
    return out


def _grams(text: str) -> Iterable[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return (tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1))
