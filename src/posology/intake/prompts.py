"""Read what a model is to be asked: notes, prompts or conversations without answers. A bad row is told, not fatal.

A text file holds one note a line; CSV, JSONL, Parquet and dataset folders are read as for training, by the columns
clinical_note, prompt or messages, whatever other columns there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from posology.errors import UserError
from posology.intake.convert import id_of, to_prompt
from posology.intake.options import ReadOptions
from posology.intake.read import Opened, columns_of, rows_of
from posology.intake.records import Example
from posology.intake.rows import BadRow, Row, text_fault
from posology.intake.shapes import Shape, names_to_show
from posology.intake.sources import find_source

SHAPES = (
    Shape("examples", ("clinical_note",), "clinical notes"),
    Shape("examples", ("prompt",), "prompts"),
    Shape("examples", ("messages",), "conversations"),
)


@dataclass(frozen=True)
class Prompt:
    """A row that is to be answered, or the reason why it cannot be."""

    row: int
    id: str
    asked: Example | None
    error: str = ""


def read_prompts(path: Path, options: ReadOptions) -> Iterator[Prompt]:
    """Every row in order; blank lines of a text file are no rows. UserError for a file that holds nothing to ask."""
    if path.suffix.lower() in (".txt", ".text"):
        yield from _lines(path)
        return
    source = find_source(path, options.split)
    columns = columns_of(source, source.files[0])
    shape = next((shape for shape in SHAPES if options.column(shape.columns[0]) in columns), None)
    if shape is None:
        shown = names_to_show(columns)
        hint = "name it with --column clinical_note=theirs" + (f"; the file has: {', '.join(shown)}" if shown else "")
        raise UserError(f"{path} has no column clinical_note, prompt or messages", hint)
    read = {name: options.column(name) for name in (*shape.columns, "id") if options.column(name) in columns}
    opened = Opened(source, shape, tuple(columns), read, options)
    for number, (_, row) in enumerate(rows_of(opened), start=1):
        named = replace(row, number=number)
        try:
            if row.fault:
                raise BadRow(row.fault, row.detail)
            asked = to_prompt(shape, named, options)
        except BadRow as bad:
            yield Prompt(number, _id(named, options), None, bad.reason)
        else:
            yield Prompt(number, asked.id, asked)


def _id(row: Row, options: ReadOptions) -> str:
    try:
        return id_of(row, options) or str(row.number)
    except BadRow:
        return str(row.number)


def _lines(path: Path) -> Iterator[Prompt]:
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by `with` below)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    number = 0
    with file:
        for line in file:
            if not line.strip():
                continue
            number += 1
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                fault = text_fault(text)
            except UnicodeDecodeError:
                text, fault = "", "it is not UTF-8 text"
            asked = None if fault else Example(number, str(number), text, "", is_note=True)
            yield Prompt(number, str(number), asked, fault)
