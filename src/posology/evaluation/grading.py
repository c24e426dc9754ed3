"""Rows of answers.jsonl -> graded answers.

One row an answer: case_id, stage, mode ("greedy", "sample" or "closed_book"), sample, text (raw, with calculator
spans), logprob (summed over the model's own tokens), tokens, finished, score (the reward, or null).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from posology.config import UserError
from posology.curriculum.records import Case
from posology.evaluation.claims import StopsFor
from posology.evaluation.judging import judged_stops as judged_stops
from posology.evaluation.reading_text import Names
from posology.evaluation.scorers import ItemScore, grade

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


Groups = Mapping[tuple[str, str], Sequence[Graded]]  # (stage, mode) -> answers


def group(graded: Iterable[Graded]) -> Groups:
    out: dict[tuple[str, str], list[Graded]] = {}
    for g in graded:
        out.setdefault((g.stage, g.mode), []).append(g)
    return out


def select(groups: Groups, stage: str, mode: Mode, splits: Iterable[str] = ()) -> list[Graded]:
    """The answers of a stage in a mode, in the given splits (none given: all)."""
    wanted = frozenset(splits)
    return [g for g in groups.get((stage, mode), ()) if not wanted or g.item.split in wanted]
