"""Another model sits a run's exam: its answers read from a file, every case accounted for, graded as a stage is.

A row of the file is {"case_id", "answer"}, or "text" for "answer"; it may tell "logprob" (the sum over the answer's
tokens, natural logarithm), "tokens" and "finished"; other keys are passed over. A case without an answer counts as
an empty one, which is wrong in every measure: leaving hard questions out gains nothing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posology.config import ConfigError, RunConfig, UserError
from posology.curriculum.build import read_curriculum
from posology.curriculum.records import Case
from posology.evaluation.baselines import UNTRAINED
from posology.evaluation.grading import by_id
from posology.evaluation.judging import judged_stops
from posology.evaluation.measures import SPLITS
from posology.evaluation.reader_figures import reader_figures
from posology.evaluation.reading_text import library_names
from posology.evaluation.scorecard import STAGES, build_scorecard
from posology.files import read_jsonl, read_numbered_jsonl, sha256_text
from posology.knowledge.library import load_library
from posology.knowledge.subset import subset
from posology.runs import Run

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HUGE = 10**12  # no answer has so many tokens
ROW = '{"case_id": "...", "answer": "..."}'


@dataclass(frozen=True)
class Exam:
    """The cases of a run. `asked` are those that count now, by id; `part` says which they are ("": all)."""

    run: str
    cases: Mapping[str, Case]
    asked: Mapping[str, Case]
    part: str = ""


@dataclass(frozen=True)
class Answer:
    """What was answered to one case; None where the file does not tell."""

    text: str
    logprob: float | None = None
    tokens: int | None = None
    finished: bool | None = None


# The exam -------------------------------------------------------------------------------------------------------------


def exam_of(run: Run, splits: Sequence[str] = ()) -> Exam:
    """The exam as it lies in a run; UserError where the run has none, or its records changed since they were made."""
    if run.data_fingerprint() is None:
        there = run.data_dir.is_dir()
        what = "the exam has been changed since it was made" if there else "there is no exam"
        hint = f"make it with `posology run --config {run.config_path} --run {run.name}`"
        raise UserError(f"run {run.name}: {what} ({run.data_dir})", hint)
    cases = by_id(read_curriculum(run.data_dir).cases)
    asked = by_id(of_splits(list(cases.values()), splits))
    return Exam(run.name, cases, asked, f"--splits {','.join(splits)}" if splits else "")


def of_splits(cases: Sequence[Case], splits: Sequence[str]) -> list[Case]:
    """The cases of these splits (none given: all), in their order; ConfigError for one that there is not."""
    for split in splits:
        if split not in SPLITS:
            raise ConfigError(f"--splits: there is no split {split!r}", f"one of: {', '.join(SPLITS)}")
    return [case for case in cases if not splits or case.split in splits]


def some_of(exam: Exam, limit: int) -> Exam:
    """`limit` of the asked cases, for trying out: a fixed draw over all splits, since ids are content hashes."""
    if limit >= len(exam.asked):
        return exam
    part = f"{exam.part} --limit {limit}".strip()
    return Exam(exam.run, exam.cases, {key: exam.asked[key] for key in sorted(exam.asked)[:limit]}, part)


def checked_name(name: str) -> str:
    """A name for the card; ConfigError for one that no file can have, or that is a stage's of the run itself."""
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"bad name {name!r}", "give one with --name: 1 to 64 of A-Z, a-z, 0-9, '.', '_', '-', beginning with a letter or digit"
        )  # fmt: skip
    if name in (*STAGES, UNTRAINED):
        raise ConfigError(f"{name!r} is the name of a stage of the run itself", f"for example --name other-{name}")
    return name


# Answers --------------------------------------------------------------------------------------------------------------


def read_answers(path: Path, exam: Exam) -> dict[str, Answer]:
    """Case id -> answer. UserError, naming file and line, for a row that is no answer to a case of this exam.

    Answers to cases of the exam that are not asked now are kept: the card counts them as left out.
    """
    answers: dict[str, Answer] = {}
    lines: dict[str, int] = {}
    for line, row in read_numbered_jsonl(path):
        at = f"{path}:{line}"
        case_id = _field(row, "case_id", str, at)
        if case_id is None:
            raise UserError(f"{at} names no case_id", f"a row is {ROW}")
        if case_id not in exam.cases:
            hint = f"answer the cases of `posology cases export --run {exam.run}`: they are those of this run"
            raise UserError(f"{at} answers the case {case_id[:40]!r}, which run {exam.run} does not ask", hint)
        if case_id in lines:
            hint = "keep one answer a case (of a run's answers.jsonl: one stage's greedy ones)"
            raise UserError(f"{at} answers the case {case_id!r} again: line {lines[case_id]} did", hint)
        lines[case_id] = line
        answers[case_id] = _answer(row, at)
    if not answers:
        raise UserError(f"{path} holds no answers", f"each line must hold one: {ROW}")
    return answers


def _answer(row: Mapping[str, Any], at: str) -> Answer:
    key = "answer" if "answer" in row else "text"
    text = _field(row, key, str, at) if key in row else None
    if text is None:
        hint = f'a row is {ROW}; "" for no answer'
        raise UserError(f"{at} " + (f"has {key} null" if key in row else "has no answer"), hint)
    logprob, tokens = _field(row, "logprob", float, at), _field(row, "tokens", int, at)
    if tokens is not None and not 0 <= tokens < HUGE:
        hint = "the number of tokens of the answer, 0 or more; leave it out if not known"
        raise UserError(f"{at} has tokens = {str(tokens)[:40]}", hint)
    if logprob is not None and not (math.isfinite(logprob) and logprob <= 1e-6):
        hint = "the sum of natural logarithms of probabilities, so 0 or less; leave it out if not known"
        raise UserError(f"{at} has logprob = {logprob}", hint)
    if logprob is not None and tokens is None:
        raise UserError(f"{at} has a logprob and no tokens", "say over how many tokens it is summed, or leave it out")
    text = text.encode("utf-8", "replace").decode("utf-8")  # JSON may hold half a character, which no file can
    return Answer(text, logprob, tokens, _field(row, "finished", bool, at))


_WORDS = {str: "a text", float: "a number", int: "a whole number", bool: "true or false"}


def _field(row: Mapping[str, Any], key: str, kind: type, at: str) -> Any:
    """A row's value of the right type, or None; UserError for another type."""
    value = row.get(key)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < HUGE else math.inf
    if value is None or type(value) is kind:
        return value
    raise UserError(f"{at} has {key} = {str(value)[:40]!r}, a {type(value).__name__}", f"{key} must be {_WORDS[kind]}")


# The card -------------------------------------------------------------------------------------------------------------


def grade_candidate(
    exam: Exam, answers: Mapping[str, Answer], name: str, config: RunConfig, *, rivals: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The scorecard of one candidate, in the shape of a run's own, with who answered what under "candidate".

    `rivals` are rows of one of the run's own stages: it is graded beside the candidate, and compared case by case.
    """
    library = subset(load_library(), config.data.drugs)
    rows = [_row(name, case_id, answers.get(case_id, Answer(""))) for case_id in exam.asked]
    against = [str(row["stage"]) for row in rivals[:1]]
    card = build_scorecard(
        exam.asked, [*rows, *rivals], library_names(library), run=exam.run, seed=config.seed,
        stops=judged_stops(library), draws=config.evaluation.bootstrap, stages=(name, *against),
        compared=[(name, stage) for stage in against], reader=reader_figures(library_names(load_library())),
    )  # fmt: skip
    del card["by_fact"]  # for a run's own stages, over several seeds
    card["best_stage"] = None  # nothing was chosen on the development split
    given = [answers[case_id] for case_id in exam.asked if case_id in answers]
    card["stages"][name]["extra"] |= {
        "answer_tokens": _mean([answer.tokens for answer in given]),
        "unfinished": _count([answer.finished for answer in given]),
    }
    return {**card, "candidate": _coverage(exam, answers, name)}


def stage_rows(run: Run, stage: str, exam: Exam) -> list[dict[str, Any]]:
    """A stage's own answers to the asked cases; UserError where the run has none."""
    path = run.answers_path
    rows = list(read_jsonl(path)) if path.is_file() else []
    found = [row for row in rows if row["stage"] == stage and row["case_id"] in exam.asked]
    if not found:
        there = [name for name in STAGES if any(row["stage"] == name for row in rows)]
        hint = f"there is: {', '.join(there)}" if there else f"grade the run first: posology evaluate {run.name}"
        raise UserError(f"run {run.name} has no answers of a stage {stage!r} to these cases", hint)
    return found


def _row(name: str, case_id: str, answer: Answer) -> dict[str, Any]:
    return {
        "case_id": case_id, "stage": name, "mode": "greedy", "sample": 0, "text": answer.text,
        "logprob": answer.logprob, "tokens": answer.tokens, "finished": answer.finished is not False, "score": None,
    }  # fmt: skip


def _mean(tokens: Sequence[int | None]) -> float | None:
    known = [n for n in tokens if n is not None]
    return sum(known) / len(known) if known else None


def _count(finished: Sequence[bool | None]) -> int | None:
    return None if None in finished else sum(not done for done in finished)


def _coverage(exam: Exam, answers: Mapping[str, Answer], name: str) -> dict[str, Any]:
    """Which cases were asked and answered. Cards with the same `asked_sha256` are of the same exam."""
    missing = Counter(str(case.split) for key, case in exam.asked.items() if key not in answers)
    return {
        "name": name,
        "exam_cases": len(exam.cases),
        "part": exam.part,
        "asked": len(exam.asked),
        "asked_sha256": sha256_text("\n".join(sorted(exam.asked))),
        "answered": len(exam.asked) - sum(missing.values()),
        "empty": sum(not answers[key].text.strip() for key in exam.asked if key in answers),
        "unanswered": sum(missing.values()),
        "unanswered_by_split": {split: missing[split] for split in SPLITS if missing[split]},
        "left_out": sum(key not in exam.asked for key in answers),
    }


def coverage_lines(card: Mapping[str, Any]) -> list[str]:
    """Which cases were answered, in a sentence each."""
    seen = card["candidate"]
    lines = [
        f"{seen['name']} answered {seen['answered']:,} of {seen['asked']:,} cases asked"
        f" (the exam of run {card['run']} has {seen['exam_cases']:,}; fingerprint of those asked {seen['asked_sha256'][:12]})"
    ]
    if seen["unanswered"]:
        where = ", ".join(f"{split} {n:,}" for split, n in seen["unanswered_by_split"].items())
        lines.append(f"{seen['unanswered']:,} without an answer count as wrong: {where}")
    if seen["empty"]:
        lines.append(f"{seen['empty']:,} answers are empty, and wrong")
    if seen["part"]:
        lines.append(f"{seen['part']}: a part of the exam, and no result for the whole of it")
    if seen["left_out"]:
        lines.append(f"{seen['left_out']:,} answers to other cases of the run were left out")
    return lines
