"""The reviewer's side of `posology kb`: export, diff, status and audits of the facts. Not for care of patients."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import UserError
from posology.files import atomic_write_text
from posology.knowledge.audit import Audit, Finding, Status, load_differences
from posology.knowledge.changes import Changes, compare
from posology.knowledge.cpic import audit_cpic, read_recommendations
from posology.knowledge.labels import audit_labels, load_lexicon, read_sections
from posology.knowledge.library import load_library
from posology.knowledge.sheet import COLUMNS, Row, as_csv, read_review, review_rows
from posology.knowledge.verification import CHECKS, Checked, verification

Folder = Annotated[Path | None, typer.Option(help="A knowledge folder of your own (facts/*.toml, sources*.toml).")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
SHOWN_OF_A_NEW_FACT = ("type", "drug", "class", "conditions", "verdict", "action", "sources")
STATUSES: tuple[tuple[Status, str], ...] = (
    ("agrees", "agree"),
    ("out of scope", "out of scope"),
    ("explained", "explained"),
    ("gap", "missing from the facts"),
    ("unexplained", "unexplained"),
)
UNMATCHED = {
    "cpic": "pharmacogenomic facts with no row to compare",
    "labels": "contraindications of ours that the labels here do not name",
}


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


def audit(
    cpic: Annotated[Path | None, typer.Option(help="A CPIC export: recommendations.csv.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Sections of drug labels: sections.jsonl.")] = None,
    as_json: Json = False,
    folder: Folder = None,
) -> None:
    """Compare the facts with CPIC's table or with labels' contraindications. Exit 1 on an unexplained difference."""
    if cpic is None and labels is None:
        raise typer.BadParameter("name at least one file", param_hint="--cpic / --labels")
    library = load_library(folder)
    reviewed = load_differences(library, folder)
    typer.echo(NOT_FOR_CARE, err=True)
    audits: dict[str, Audit] = {}
    if cpic is not None:
        audits["cpic"] = audit_cpic(library, read_recommendations(cpic), reviewed.cpic)
    if labels is not None:
        audits["labels"] = audit_labels(library, read_sections(labels), load_lexicon(folder), reviewed.label)
    if as_json:
        typer.echo(json.dumps({name: asdict(done) for name, done in audits.items()}, ensure_ascii=False))
    else:
        for name, done in audits.items():
            _print_audit(name, done)
    stale = [line for done in audits.values() for line in done.stale]
    if stale:
        raise UserError(f"stale in differences.toml: {stale[0].partition(';')[0]}", "remove the entry")
    if not all(done.passes for done in audits.values()):
        raise typer.Exit(1)


def _print_audit(name: str, done: Audit) -> None:
    for status, words in reversed(STATUSES[1:]):
        found = [finding for finding in done.findings if finding.status == status]
        if found:
            typer.echo(f"\n{name}: {words} ({len(found)})")
        for finding in found:
            typer.echo(_finding_line(finding))
    if done.unmatched:
        typer.echo(f"\n{name}: {UNMATCHED[name]} ({len(done.unmatched)})")
    for subject, why in done.unmatched:
        typer.echo(f"  {subject}: {why}")
    for line in (*done.notes, *(f"stale: {line}" for line in done.stale)):
        typer.echo(f"\n{name}: {line}")
    counts = ", ".join(f"{done.count(status)} {words}" for status, words in STATUSES)
    typer.echo(f"\n{name}: {len(done.findings)} comparisons: {counts}; {len(done.unmatched)} unmatched")


def _finding_line(finding: Finding) -> str:
    line = f"  {finding.subject} [{finding.place}]: ours {finding.ours}; theirs {finding.theirs}"
    reason = f"\n    {finding.reason}" if finding.reason else ""
    return line + reason + (f" ({finding.source})" if finding.source else "")
