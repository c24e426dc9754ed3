"""Read what models answered, and the scores of answers: JSONL by id. A bad row is named, and none of its text told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posology.errors import UserError
from posology.intake.convert import id_of
from posology.intake.jsonl import jsonl_rows
from posology.intake.options import ReadOptions
from posology.intake.rows import BadRow, Row

ANSWER = 'one JSON object a line: {"id": ..., "answer": ...}, as `posology generate --output` writes them'
ONCE = "one answer an id is scored; of notes that stand in a file once a label: posology generate --labels factual"


@dataclass(frozen=True)
class Answers:
    """`texts`: id -> answer. `failed` rows say of themselves that their note could not be answered."""

    texts: Mapping[str, str]
    failed: int = 0


def read_answers(path: Path) -> Answers:
    """The answers of a file. UserError for a missing or repeated id, or an answer that is no text."""
    texts: dict[str, str] = {}
    failed = 0
    for row, identity in _named_rows(path, ANSWER):
        answer = row.values.get("answer")
        if row.values.get("error"):
            failed += 1
        elif not isinstance(answer, str):
            raise _bad(path, row, "it has no text under answer", ANSWER)
        elif identity in texts:
            raise _bad(path, row, "it answers an id that an earlier row answers", ONCE)
        else:
            texts[identity] = answer
    if not texts:
        told = f": {failed:,} of its rows tell of an error" if failed else ""
        raise UserError(f"{path} holds no answer{told}", ANSWER)
    return Answers(texts, failed)


def read_scores(path: Path, fields: Sequence[str]) -> list[Mapping[str, Any]]:
    """Rows with an id and a finite number under each of `fields`. UserError names the first that is none."""
    form = f"one JSON object a line with id, {', '.join(fields)} and, if known, edit"
    rows: list[Mapping[str, Any]] = []
    for row, _ in _named_rows(path, form):
        for name in fields:
            value = row.values.get(name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
                raise _bad(path, row, f"it has no finite number under {name}", form)
        rows.append(row.values)
    return rows


def _named_rows(path: Path, form: str) -> Iterator[tuple[Row, str]]:
    """The rows with their ids."""
    for row in jsonl_rows(path):
        try:
            if row.fault:
                raise BadRow(row.fault)
            identity = id_of(row, ReadOptions())
            if not identity:
                raise BadRow("it has no id")
        except BadRow as bad:
            raise _bad(path, row, bad.reason, form) from None
        yield row, identity


def _bad(path: Path, row: Row, reason: str, hint: str) -> UserError:
    return UserError(f"{path} row {row.number}: {reason}", hint)
