"""Notes and answers as the evaluation of summaries needs them: CSV or JSONL, by id. No text of a row reaches an error."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posology.errors import UserError
from posology.files import read_numbered_jsonl

NOTE_COLUMNS = ("clinical_note", "note", "prompt")
SUMMARY_COLUMNS = ("model_summary", "summary", "reference", "completion")
LARGEST_FIELD = 16 * 2**20  # characters


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number, columns) of a CSV or JSONL file. UserError names what cannot be read."""
    if path.suffix.lower() == ".jsonl":
        yield from read_numbered_jsonl(path)
        return
    if path.suffix.lower() != ".csv":
        raise UserError(f"{path} is neither .csv nor .jsonl", "give notes as one of these")
    csv.field_size_limit(LARGEST_FIELD)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file, strict=True), start=1):
                if None in row or None in row.values():
                    raise UserError(f"{path}: row {number} has another number of columns than the header")
                yield number, dict(row)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8", "save it as UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path} is no readable CSV: {error}") from None


def column(path: Path, number: int, row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The text of the first of these columns that a row has. UserError where there is none."""
    value = next((row[name] for name in names if name in row), None)
    if not isinstance(value, str):
        raise UserError(f"{path}: row {number} has no text under {' or '.join(names)}", f"its columns: {', '.join(row)}")
    return value


def optional_column(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The text of the first of these columns that a row has; "" where there is none."""
    value = next((row[name] for name in names if name in row), "")
    return value if isinstance(value, str) else ""


def identity(path: Path, number: int, row: Mapping[str, Any]) -> str:
    """A row's id as text. UserError where it has none."""
    value = row.get("id")
    if not isinstance(value, (str, int)) or isinstance(value, bool) or value == "":
        raise UserError(f"{path}: row {number} has no id", "each row needs a column id, text or a whole number")
    return str(value)


def read_answers(path: Path) -> dict[str, str]:
    """id -> answer of a JSONL file. UserError for a missing or repeated id, or an answer that is no text."""
    answers: dict[str, str] = {}
    for number, row in read_numbered_jsonl(path):
        key = identity(path, number, row)
        if key in answers:
            raise UserError(f"{path}: row {number} answers an id that an earlier row answers", "keep one answer an id")
        answers[key] = column(path, number, row, ("answer",))
    if not answers:
        raise UserError(f"{path} holds no answer", 'one JSON object a line: {"id": ..., "answer": ...}')
    return answers
