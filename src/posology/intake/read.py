"""Read a user's file: rows -> examples, pairs or texts, one at a time.

    tally = Tally()
    for example in read_examples(Path("train.csv"), ReadOptions(on_bad_row="skip", rejects=Path("rejects.jsonl")), tally):
        ...
    manifest["data"] = tally.manifest()

Rows of other labels are set aside before anything else about them is judged: a hallucinated summary may have the id of
the factual one. No error, count or list of rejects holds any text of a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posology.errors import ConfigError, UserError
from posology.intake.arrowfile import arrow_columns, arrow_rows, parquet_columns, parquet_rows
from posology.intake.convert import has_marks, id_of, label_of, to_example, to_pair, to_text
from posology.intake.csvfile import csv_header, csv_rows
from posology.intake.jsonl import jsonl_columns, jsonl_rows
from posology.intake.options import ReadOptions
from posology.intake.records import Example, Pair, Text
from posology.intake.rejects import rejects_to
from posology.intake.rows import BadRow, Row
from posology.intake.seen import Seen
from posology.intake.shapes import ALIASES, Shape, shape_of
from posology.intake.sources import Source, find_source
from posology.intake.tally import KNOWN_LABELS, Tally

DEFAULT = ReadOptions()


def read_examples(path: Path, options: ReadOptions = DEFAULT, tally: Tally | None = None) -> Iterator[Example]:
    """Rows to learn from, streamed: clinical notes with summaries, {prompt, completion}, {messages}.

    The columns are checked at the call, each row as it is asked for. `tally` is filled in as reading goes on.
    UserError names the first bad row (where bad rows stop) or, at the end, a file of which no row is used.
    """
    opened = open_data(path, options, "examples")
    tally = Tally() if tally is None else tally
    return _all_used(path, read_records(opened, tally), tally)


def read_pairs(path: Path, options: ReadOptions = DEFAULT, tally: Tally | None = None) -> Iterator[Pair]:
    """Preferences, streamed: {prompt, chosen, rejected}, {clinical_note, chosen, rejected}, or a text with its
    error_sentence and its corrected_sentence. Otherwise as above.
    """
    opened = open_data(path, options, "pairs")
    tally = Tally() if tally is None else tally
    return _all_used(path, read_records(opened, tally), tally)


def read_texts(path: Path, options: ReadOptions = DEFAULT, tally: Tally | None = None) -> Iterator[Text]:
    """Plain texts, streamed: {text}. Otherwise as above."""
    opened = open_data(path, options, "texts")
    tally = Tally() if tally is None else tally
    return _all_used(path, read_records(opened, tally), tally)


@dataclass(frozen=True)
class Opened:
    """A source whose columns have been looked at: `columns` are its first file's, `read` our names -> those in use."""

    source: Source
    shape: Shape
    columns: tuple[str, ...]
    read: Mapping[str, str]
    options: ReadOptions


def open_data(path: Path, options: ReadOptions = DEFAULT, holds: str = "") -> Opened:
    """Find the files and tell their shape. `holds`: "examples", "pairs", "texts" or "prompts" are asked for; "" takes
    any of the first three.
    """
    source = find_source(path, options.split)
    if options.rejects is not None and options.rejects.absolute() in {file.absolute() for file in source.files}:
        raise ConfigError(f"the rejects would overwrite {options.rejects}, which is read", "name another file")
    columns = columns_of(source, source.files[0])
    shape = shape_of(str(source.files[0]), columns, options, holds)
    read = {name: options.column(name) for name in (*shape.columns, *shape.optional)}
    if "edit" in read and read["edit"] not in columns:
        read["edit"] = ALIASES["edit"]
    there = {name: theirs for name, theirs in read.items() if theirs in columns}
    return Opened(source, shape, tuple(columns), there, options)


def read_records(opened: Opened, tally: Tally) -> Iterator[Example | Pair | Text]:
    """The records of any kind, one at a time. UserError at a bad row, where bad rows stop."""
    options = opened.options
    ids, wanted = Seen(), {label.casefold() for label in options.labels}
    tally.wanted = options.labels
    with rejects_to(options.rejects) as reject:
        for number, (file, row) in enumerate(rows_of(opened), start=1):
            tally.rows += 1
            try:
                record = _record(opened, replace(row, number=number), wanted, ids, tally)
            except BadRow as bad:
                if options.on_bad_row == "stop":
                    raise stopped(file, row, bad, f"; `posology data check {file}` lists them all") from None
                tally.add_bad(number, bad.reason)
                reject(file, row, bad)
                continue
            if record is not None:
                tally.used += 1
                yield record


def _record(opened: Opened, row: Row, wanted: set[str], ids: Seen, tally: Tally) -> Example | Pair | Text | None:
    """What a row becomes; None for a blank one, or one of another label."""
    if row.fault:
        raise BadRow(row.fault, row.detail)
    if opened.source.format == "CSV" and is_blank(row):
        tally.blank += 1
        return None
    shape, options = opened.shape, opened.options
    if shape.holds == "examples" and ("label" in opened.read or options.column("label") in row.values):
        label = label_of(row, options)
        tally.add_label(label)
        if wanted and label.casefold() not in wanted:
            tally.unused += 1
            return None
    record: Example | Pair | Text
    if shape.holds == "texts":
        record = to_text(row, options)
    else:
        record = (to_example if shape.holds == "examples" else to_pair)(shape, row, options)
    identity = require_id(row, options) if "id" in opened.read else id_of(row, options)
    if identity and (first := ids.first(identity, row.number)):
        together = " of all files together" if len(opened.source.files) > 1 else ""
        raise BadRow(f"its {options.column('id')} is that of an earlier row", f"row {first}{together}")
    tally.marked += has_marks(row, shape, options)
    return record


def is_blank(row: Row) -> bool:
    """Whether no column of a CSV file's row holds anything but spaces."""
    return all(isinstance(value, str) and not value.strip() for value in row.values.values())


def require_id(row: Row, options: ReadOptions) -> str:
    """The row's own id. BadRow where it has none."""
    if identity := id_of(row, options):
        return identity
    raise BadRow(f"it has no {options.column('id')}")


def rows_of(opened: Opened) -> Iterator[tuple[Path, Row]]:
    """The rows of all files in order, each with its file."""
    read, options = opened.read, opened.options
    for file in opened.source.files:
        there = columns_of(opened.source, file)
        if lacking := [theirs for theirs in read.values() if theirs not in there]:
            raise UserError(f"{file} has no column {lacking[0]!r}, which {opened.source.files[0].name} has")
        if opened.source.format == "CSV":
            labels = (*options.labels, *KNOWN_LABELS)
            rows = csv_rows(file, options.column("id"), options.column("label"), labels)
        elif opened.source.format == "JSONL":
            rows = jsonl_rows(file)
        else:
            rows = (parquet_rows if opened.source.format == "Parquet" else arrow_rows)(file, list(read.values()))
        try:
            for row in rows:
                yield file, row
        except OSError as error:
            raise UserError(f"cannot read {file}: {error.strerror}") from None


def columns_of(source: Source, file: Path) -> list[str]:
    if source.format == "CSV":
        return csv_header(file)[0]
    return {"JSONL": jsonl_columns, "Parquet": parquet_columns, "Arrow": arrow_columns}[source.format](file)


def stopped(file: Path, row: Row, bad: BadRow, more: str = "") -> UserError:
    """What to tell the user of the first bad row, where bad rows stop; `more` ends the hint."""
    line = f" (line {row.line})" if row.line not in (0, row.number) else ""
    detail = f" ({bad.detail})" if bad.detail else ""
    hint = f"mend it, or pass over bad rows with --on-bad-row skip{more}"
    return UserError(f"{file} row {row.number}{line}: {bad.reason}{detail}", hint)


def _all_used(path: Path, records: Iterator[Example | Pair | Text], tally: Tally) -> Iterator[Any]:
    """The records; at the end UserError where there was none."""
    yield from records
    if not tally.used:
        raise nothing_used(path, tally)


def nothing_used(path: Path, tally: Tally) -> UserError:
    """What became of the rows of a file of which none is used."""
    if not tally.rows:
        return UserError(f"{path} holds no rows")
    parts = {"of another label": tally.unused, "bad": tally.skipped, "blank": tally.blank}
    told = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
    hint = f"`posology data check {path}` tells why"
    if tally.unused:
        labels = ", ".join(f"{name or '(none)'} {count:,}" for name, count in tally.labels().items())
        hint = f"labels here: {labels}; choose with --labels, or --labels all"
    return UserError(f"{path}: none of {tally.rows:,} rows can be used: {told}", hint)
