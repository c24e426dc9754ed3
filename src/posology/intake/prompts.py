"""Read what is asked without asking for answers: the notes that a model is to summarise, or that summaries are held to.

A text file holds one note a line; CSV, JSONL, Parquet and dataset folders are read as for training, by the columns
clinical_note, prompt or messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from posology.intake.convert import id_of, label_of, to_prompt
from posology.intake.lines import open_lines
from posology.intake.options import ReadOptions
from posology.intake.read import is_blank, nothing_used, open_data, require_id, rows_of, stopped
from posology.intake.records import Example
from posology.intake.rows import BadRow, Row
from posology.intake.shapes import PROMPTS
from posology.intake.tally import Tally

TEXT = (".txt", ".text")


@dataclass(frozen=True)
class Prompt:
    """A row that is to be answered, or the reason why it cannot be."""

    row: int
    id: str
    asked: Example | None
    error: str = ""


def read_prompts(path: Path, options: ReadOptions) -> Iterator[Prompt]:
    """Every row of the labels asked for, in order; a bad one is told, not fatal. UserError for a file of another kind."""
    for _, row, found in _rows(path, options, answers=False):
        if isinstance(found, BadRow):
            yield Prompt(row.number, _id(row, options), None, found.reason)
        else:
            yield Prompt(row.number, found.id, found)


def read_notes(path: Path, options: ReadOptions, tally: Tally | None = None) -> Iterator[Example]:
    """The same rows; bad ones stop, or are counted in `tally` and passed over, as in training. The answer and the label that
    stand beside a note come with it.
    """
    tally = Tally() if tally is None else tally
    for file, row, found in _rows(path, options, answers=True):
        tally.rows += 1
        if isinstance(found, BadRow):
            if options.on_bad_row == "stop":
                raise stopped(file, row, found)
            tally.add_bad(row.number, found.reason)
            continue
        tally.used += 1
        yield found
    if not tally.used:
        raise nothing_used(path, tally)


def _rows(path: Path, options: ReadOptions, *, answers: bool) -> Iterator[tuple[Path, Row, Example | BadRow]]:
    """Every row but blank ones and those of other labels: its file, itself, and what it asks or what is wrong with it."""
    if path.suffix.lower() in TEXT:
        shape, rows, has_ids, is_csv = PROMPTS[0], _lines(path, options), False, False
    else:
        opened = open_data(path, options, "prompts")
        shape, rows = opened.shape, rows_of(opened)
        has_ids, is_csv = "id" in opened.read, opened.source.format == "CSV"
    wanted = {label.casefold() for label in options.labels}
    for number, (file, given) in enumerate(rows, start=1):
        row = replace(given, number=number)
        try:
            if row.fault:
                raise BadRow(row.fault, row.detail)
            if is_csv and is_blank(row):
                continue
            if wanted and options.column("label") in row.values and label_of(row, options).casefold() not in wanted:
                continue
            asked = to_prompt(shape, row, options, answers=answers)
            if has_ids:
                require_id(row, options)
        except BadRow as bad:
            yield file, row, bad
        else:
            yield file, row, asked


def _lines(path: Path, options: ReadOptions) -> Iterator[tuple[Path, Row]]:
    """A text file's lines as rows with one column; blank lines are no rows."""
    with open_lines(path) as lines:
        while True:
            lines.begin()
            try:
                text = next(lines, None)
            except BadRow as bad:
                yield path, Row(0, lines.number, fault=bad.reason)
                continue
            if text is None:
                return
            if text.strip():
                yield path, Row(0, lines.number, {options.column("clinical_note"): text.strip()}, lines.fault)


def _id(row: Row, options: ReadOptions) -> str:
    try:
        return id_of(row, options) or str(row.number)
    except BadRow:
        return str(row.number)
