"""The reviewer's side of `posology kb`: export, diff and status of the facts. Not for care of patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.files import atomic_write_text
from posology.knowledge.changes import Changes, compare
from posology.knowledge.library import load_library
from posology.knowledge.sheet import COLUMNS, Row, as_csv, read_review, review_rows
from posology.knowledge.verification import CHECKS, Checked, verification

Folder = Annotated[Path | None, typer.Option(help="A knowledge folder of your own (facts/*.toml, sources*.toml).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
SHOWN_OF_A_NEW_FACT = ("type", "drug", "class", "conditions", "verdict", "action", "sources")


def export(
    csv: Annotated[bool, typer.Option("--csv", help="CSV, the only form so far.")] = False,
    file: Annotated[Path | None, typer.Argument(help="Where to write; without it, stdout.")] = None,
    folder: Folder = None,
) -> None:
    """Every fact as one row of a spreadsheet, in words, for review: `posology kb export --csv facts.csv`."""
    if not csv:
        raise typer.BadParameter("say in which form: --csv", param_hint="--csv")
    rows = review_rows(load_library(folder))
    typer.echo(NOT_FOR_CARE, err=True)
    if file is None:
        typer.echo(as_csv(rows), nl=False)
        return
    atomic_write_text(file, as_csv(rows))
    typer.echo(f"{len(rows)} facts written to {file}", err=True)


def diff(
    old: Annotated[Path, typer.Argument(help="A knowledge folder, or a CSV of `posology kb export`.")],
    new: Annotated[Path, typer.Argument(help="The same, later.")],
) -> None:
    """What was added, removed and changed between two versions of the facts, field by field."""
    changes = compare(read_review(old), read_review(new))
    for line in _change_lines(changes):
        typer.echo(line)
    typer.echo(NOT_FOR_CARE, err=True)
    if changes.not_compared:
        typer.echo(f"note: not compared, missing on one side: {', '.join(changes.not_compared)}", err=True)


def _change_lines(changes: Changes) -> list[str]:
    lines = []
    for sign, rows in (("+", changes.added), ("-", changes.removed)):
        for row in rows:
            lines += [f"{sign} {row['id']}", *_fact_lines(row)]
    shown = ""
    for change in changes.changed:
        if change.fact != shown:
            shown = change.fact
            lines.append(f"~ {shown}")
        lines += [f"    {change.field}:", f"      - {change.old or '(empty)'}", f"      + {change.new or '(empty)'}"]
    counts = f"{len(changes.added)} added, {len(changes.removed)} removed, {changes.changed_facts} changed"
    return [*lines, counts]


def _fact_lines(row: Row) -> list[str]:
    return [f"    {name}: {row[name]}" for name in COLUMNS if name in SHOWN_OF_A_NEW_FACT and row.get(name)]


def status(as_json: Json = False, folder: Folder = None) -> None:
    """How many facts are verified and by what, by type and by drug, the least verified first."""
    found = verification(load_library(folder))
    typer.echo(NOT_FOR_CARE, err=True)
    if as_json:
        types, drugs = ([_checked_json(group) for group in groups] for groups in (found.types, found.drugs))
        typer.echo(json.dumps({**_checked_json(found.all), "types": types, "drugs": drugs}, ensure_ascii=False))
        return
    out = console()
    for title, groups in (("by type", found.types), ("by drug", found.drugs)):
        rows = [[group.name, *_cells(group)] for group in groups]
        out.print(table(title, ["", "facts", "verified", *CHECKS], rows, right=set(range(1, 3 + len(CHECKS)))))
        out.print()
    total = found.all
    by = ", ".join(f"{check} {total.by[check]}" for check in CHECKS)
    out.print(f"{total.verified} of {total.facts} facts verified ({by})")


def _cells(group: Checked) -> list[str]:
    return [str(group.facts), f"{group.verified / group.facts:.0%}", *(str(group.by[check]) for check in CHECKS)]


def _checked_json(group: Checked) -> dict[str, Any]:
    return {"name": group.name, "facts": group.facts, "verified": group.verified, "by": group.by}
