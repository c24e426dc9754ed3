"""`posology evaluate`, `doctor` and `report`: grade a run, check it, show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from posology.cli.ask import find_run
from posology.cli.stages import Runs
from posology.cli.terminal import console
from posology.config import load_config
from posology.files import atomic_write_json, read_json

RunArgument = Annotated[str, typer.Argument(help="A run's name, or its path (runs/laptop).")]
RED = 3  # a quality gate failed


def evaluate(
    run: RunArgument = "laptop", runs: Runs = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print scorecard.json instead of tables.")] = False,
) -> None:  # fmt: skip
    """Grade every finished stage of a run; write scorecard.json and report.html."""
    where = find_run(run, runs)
    from posology.cli.stages import _progress
    from posology.cli.summary import scorecard_tables
    from posology.recipes.grade import grade
    from posology.report.page import write_report

    grade(load_config(where.config_path), where, _progress())
    write_report(where)
    card = read_json(where.scorecard_path)
    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        scorecard_tables(card, console())


def doctor(run: Annotated[str, typer.Argument(help="A run's name or path; without it only the machinery is checked.")] = "",
           runs: Runs = Path("runs")) -> None:  # fmt: skip
    """Print the sanity list, green or red; exit 3 on red."""
    where = find_run(run, runs) if run else None
    from posology.recipes.doctor import inspect, machinery

    checks = [*machinery(), *(inspect(where) if where else [])]
    out = console()
    for check in checks:
        mark = "[green]ok[/green] " if check.passed else "[red]RED[/red]"
        out.print(f"{mark} {check.name}", f"[dim]{check.detail}[/dim]", soft_wrap=True)
    if where:
        atomic_write_json(
            where.path / "doctor.json", [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]
        )
    red = sum(not check.passed for check in checks)
    out.print(f"{len(checks) - red} of {len(checks)} checks are green")
    if red:
        raise typer.Exit(RED)


def report(run: RunArgument = "laptop", runs: Runs = Path("runs")) -> None:
    """Write the run's report.html again from its files."""
    where = find_run(run, runs)
    from posology.report.page import write_report

    print(write_report(where))
