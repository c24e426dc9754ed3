"""Independent experts' scores of answers, and whether the reward models rank answers as the experts do.

A CSV with a header: `score` (any scale; higher is better), and either `id` (a case_id of the run's exam, with `stage` for
another than its best) or `question` and `answer`; `rater` where there are several. Raters' scores of an answer are
averaged.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from posology.errors import UserError
from posology.evaluation.statistics import BOOTSTRAP, Undefined, spearman

COLUMNS = "columns: score, and id (with stage) or question and answer; rater where there are several"
FEWEST = 5  # answers; fewer have no rank correlation worth telling
SHOWN = 10  # answers on which model and people differ most, either way
GAP = 0.25  # share of all answers by which two ranks must differ to be shown


@dataclass(frozen=True)
class Rated:
    """An answer and what each rater gave it."""

    question: str
    answer: str
    scores: Mapping[str, float]  # rater -> score

    @property
    def mean(self) -> float:
        return sum(self.scores.values()) / len(self.scores)


Known = Callable[[str, str], tuple[str, str] | None]  # (stage, case id) -> question and answer; "": the best stage


def read_scores(path: Path, known: Known) -> list[Rated]:
    """The rated answers, in order of appearance. UserError, naming file and line, for a row that cannot be used."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for line, row in _rows(path):
        at = f"{path}:{line}"
        answer, rater = _answer(row, known, at), row.get("rater") or ""
        try:
            score = float(row["score"])
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise UserError(
                f"{at} has score {row['score'][:40]!r}, which is no number", "leave the row out, or mend it"
            )
        scores = found.setdefault(answer, {})
        if rater in scores:
            raise UserError(f"{at} scores an answer a second time", "name the raters in a column rater")
        scores[rater] = score
    if len(found) < FEWEST:
        raise UserError(f"{path} scores {len(found)} answers", f"a rank correlation needs at least {FEWEST}")
    return [Rated(question, answer, scores) for (question, answer), scores in found.items()]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = set(reader.fieldnames or ())
            if "score" not in columns or not ("id" in columns or {"question", "answer"} <= columns):
                raise UserError(f"{path} lacks a column: it has {', '.join(sorted(columns)) or 'none'}", COLUMNS)
            for row in reader:
                if None in row or None in row.values():
                    raise UserError(f"{path}:{reader.line_num} has more or fewer fields than the header", COLUMNS)
                yield reader.line_num, {key: value.strip() for key, value in row.items()}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "--human takes a CSV file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not CSV in UTF-8: {error}", COLUMNS) from None


def _answer(row: Mapping[str, str], known: Known, at: str) -> tuple[str, str]:
    if row.get("id"):
        found = known(row.get("stage", ""), row["id"])
        if found is None:
            hint = "ids are case_ids of the run's answers.jsonl (greedy answers); or give question and answer"
            raise UserError(f"{at} scores {row['id'][:40]!r}, to which there is no answer", hint)
        return found
    if not row.get("question") or not row.get("answer"):
        raise UserError(f"{at} names no answer", COLUMNS)
    return row["question"], row["answer"]


def agreement(rated: Sequence[Rated], rewards: Sequence[float], draws: int = BOOTSTRAP) -> dict[str, Any]:
    """Rank correlations of reward and mean human score with bootstrap intervals over questions; where they differ."""
    means = [answer.mean for answer in rated]
    questions = [answer.question for answer in rated]
    reward, human = (stats.rankdata(values) / len(rated) for values in (rewards, means))
    order = sorted(range(len(rated)), key=lambda i: reward[i] - human[i])
    rows: list[dict[str, Any]] = [
        {"question": a.question, "answer": a.answer, "reward": float(r), "human": a.mean, "gap": float(x - y)}
        for a, r, x, y in zip(rated, rewards, reward, human, strict=True)
    ]
    return {
        "answers": len(rated),
        "questions": len(set(questions)),
        "raters": len({rater for answer in rated for rater in answer.scores}),
        "spearman": _correlation(lambda x, y: stats.spearmanr(x, y).statistic, rewards, means, questions, draws),
        "kendall": _correlation(lambda x, y: stats.kendalltau(x, y).statistic, rewards, means, questions, draws),
        "between_raters": between_raters(rated),
        "model_likes": [rows[i] for i in reversed(order) if rows[i]["gap"] >= GAP][:SHOWN],
        "people_like": [rows[i] for i in order if rows[i]["gap"] <= -GAP][:SHOWN],
    }


def between_raters(rated: Sequence[Rated]) -> float | None:
    """Mean Spearman of every two raters over the answers that both scored: what a model can at best be held to."""
    found = []
    for one, other in combinations(sorted({rater for answer in rated for rater in answer.scores}), 2):
        both = [answer.scores for answer in rated if one in answer.scores and other in answer.scores]
        value = spearman([scores[one] for scores in both], [scores[other] for scores in both])
        if not isinstance(value, Undefined):
            found.append(value)
    return sum(found) / len(found) if found else None


def _correlation(
    of: Callable[[Any, Any], float], x: Sequence[float], y: Sequence[float], clusters: Sequence[str], draws: int
) -> dict[str, Any]:
    """Value and 95 % percentile interval; whole questions are drawn. Null where one side is constant."""
    if len(set(x)) == 1 or len(set(y)) == 1:
        return {"value": None, "low": None, "high": None, "undefined": "one side is constant"}
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    groups = [np.flatnonzero(np.asarray(clusters) == name) for name in dict.fromkeys(clusters)]
    rng = np.random.Generator(np.random.PCG64(len(x)))
    values = []
    for _ in range(draws):
        index = np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])
        a, b = first[index], second[index]
        if np.ptp(a) > 0 and np.ptp(b) > 0:
            values.append(float(of(a, b)))
    low, high = np.percentile(values, [2.5, 97.5]) if values else (math.nan, math.nan)
    interval = {"low": float(low), "high": float(high)} if values else {"low": None, "high": None}
    return {"value": float(of(first, second)), **interval}
