"""Answers and cases on disk -> graded answers.

`answers.jsonl` has one row an answer: case_id, stage, mode ("greedy", "sample" or "closed_book"), sample, text (raw,
with calculator spans), logprob (summed over the model's own tokens), tokens, finished, score (the reward, or null).
`cases.jsonl` has one row a case, the fields of `curriculum.records.Case`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from posology.config import UserError
from posology.curriculum.records import Case, Gold, GoldDose
from posology.evaluation.claims import StopsFor
from posology.evaluation.reading_text import Names
from posology.evaluation.scorers import ItemScore, grade
from posology.files import read_jsonl
from posology.knowledge.judge import judge
from posology.knowledge.library import Library
from posology.knowledge.patient import Allergy, Genotype, Patient

Mode = Literal["greedy", "sample", "closed_book"]


@dataclass(frozen=True)
class Graded:
    """One answer of one stage with its grade."""

    stage: str
    mode: Mode
    sample: int
    item: ItemScore
    text: str
    tokens: int
    confidence: float | None  # geometric mean of the own tokens' probabilities
    score: float | None
    finished: bool


def grade_answers(
    cases: Mapping[str, Case], rows: Iterable[Mapping[str, Any]], names: Names, stops: StopsFor | None = None
) -> list[Graded]:
    """Grade every row. UserError where a row answers a case that is not there."""
    out = []
    for number, row in enumerate(rows, start=1):
        case = cases.get(row["case_id"])
        if case is None:
            raise UserError(
                f"answers.jsonl row {number} answers the case {row['case_id']!r}, which cases.jsonl does not hold",
                "the answers belong to another exam: grade them with the data they were made from",
            )
        tokens, logprob = int(row.get("tokens") or 0), row.get("logprob")
        out.append(
            Graded(
                stage=row["stage"],
                mode=row.get("mode", "greedy"),
                sample=int(row.get("sample") or 0),
                item=grade(case, row["text"], names, stops, row["case_id"]),
                text=row["text"],
                tokens=tokens,
                confidence=math.exp(min(0.0, logprob / tokens)) if logprob is not None and tokens else None,
                score=row.get("score"),
                finished=bool(row.get("finished", True)),
            )
        )
    return out


def by_id(cases: Iterable[Case]) -> dict[str, Case]:
    return {case.case_id: case for case in cases}


def judged_stops(library: Library) -> StopsFor:
    """Whether the judge stops a drug for a case's patient; None where the judge cannot say. Remembers its answers."""
    known: dict[tuple[int, str], bool | None] = {}

    def stops(case: Case, drug: str) -> bool | None:
        key = (id(case), drug)
        if key not in known:
            verdict = judge(patient_of(case.patient), drug, library).verdict
            known[key] = None if verdict == "INSUFFICIENT" else verdict.stops
        return known[key]

    return stops


def patient_of(fields: Mapping[str, Any]) -> Patient:
    """The Patient whose set fields a case tells."""
    values = dict(fields)
    if "allergies" in values:
        values["allergies"] = tuple(
            item if isinstance(item, Allergy) else Allergy(**item) for item in values["allergies"]
        )
    if "genotypes" in values:
        values["genotypes"] = tuple(
            item if isinstance(item, Genotype) else Genotype(**item) for item in values["genotypes"]
        )
    for name in ("comeds", "conditions"):
        if name in values:
            values[name] = tuple(values[name])
    return Patient(**values)


def read_cases(path: Path) -> list[Case]:
    """The exam from cases.jsonl."""
    return [case_of(row) for row in read_jsonl(path)]


def case_of(row: Mapping[str, Any]) -> Case:
    """A Case from its JSON row; tuples come back as tuples, so that its id is the same."""
    fields = {key: value for key, value in row.items() if key != "case_id"}
    gold = dict(fields["gold"])
    if gold.get("dose") is not None:
        gold["dose"] = GoldDose(**{key: _tuples(value) for key, value in gold["dose"].items()})
    fields["gold"] = Gold(**{key: _tuples(value) for key, value in gold.items()})
    return Case(**fields)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def select(graded: Sequence[Graded], stage: str, mode: Mode, splits: Iterable[str] = ()) -> list[Graded]:
    """The answers of a stage in a mode, in the given splits (none given: all)."""
    wanted = frozenset(splits)
    return [g for g in graded if g.stage == stage and g.mode == mode and (not wanted or g.item.split in wanted)]
