"""`posology evaluate`, `doctor` and `report`: grade a run (or another model on its exam), check it, show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from posology.cli.ask import find_run, taught_run
from posology.cli.candidate import Candidate, candidate_lines, sit
from posology.cli.cases import Splits
from posology.cli.reading import Column, OnBadRow, read_options
from posology.cli.stages import Runs
from posology.cli.summaries import Notes, Page, Scores, Summaries, evaluate_files
from posology.cli.terminal import console
from posology.config import ConfigError, load_config
from posology.files import atomic_write_json, read_json

RunArgument = Annotated[str, typer.Argument(help="A run's name, or its path (runs/laptop).")]
Answers = Annotated[
    Path | None, typer.Option("--answers", help="Grade these instead: JSONL of case_id and answer, made elsewhere.")
]
Model = Annotated[
    str,
    typer.Option(
        "--model", help="Ask this model instead: the local folder of a Hugging Face causal LM and its tokenizer."
    ),
]
Instructions = Annotated[
    Path | None, typer.Option("--instructions", help="A text file that --model reads before every question.")
]
Name = Annotated[str, typer.Option("--name", help="What to call it; by default the file's or folder's name.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Ask --model so many cases only, for trying out; 0: all.")]
Rows = Annotated[int, typer.Option("--rows", min=1, help="Questions that --model answers together.")]
Against = Annotated[
    str, typer.Option("--against", help="Compare, case by case, with this stage of the run: sft, dpo or ppo.")
]
RED = 3  # a quality gate failed


def evaluate(
    run: RunArgument = "laptop", runs: Runs = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the scorecard's JSON instead of tables.")] = False,
    answers: Answers = None, model: Model = "", instructions: Instructions = None, name: Name = "",
    splits: Splits = "", limit: Limit = 0, rows: Rows = 16, against: Against = "",
    summaries: Summaries = None, notes: Notes = None, column: Column = None, on_bad_row: OnBadRow = "stop",
    page: Page = None, scores: Scores = None,
) -> None:  # fmt: skip
    """Grade every finished stage of a run; another model, with --answers or --model; or --summaries of your notes."""
    if summaries:
        evaluate_files(summaries, notes, read_options(column, on_bad_row=on_bad_row), page, scores, as_json)
        return
    if notes or column or page or scores:
        raise ConfigError("--notes, --column, --page and --scores are for summaries", "give --summaries answers.jsonl")
    where = taught_run(run, runs)
    asked = Candidate(answers, model, instructions, name, splits, limit, rows, against)
    if answers is not None or model:
        _show(sit(where, asked), as_json)
        return
    if only := asked.given():
        raise ConfigError(f"{only} is for another model's answers", "give --answers FILE or --model FOLDER")
    from posology.cli.stages import _progress
    from posology.recipes.grade import grade
    from posology.report.page import write_report

    grade(load_config(where.config_path), where, _progress())
    write_report(where)
    _show(read_json(where.scorecard_path), as_json)


def _show(card: dict[str, Any], as_json: bool) -> None:
    from posology.cli.summary import scorecard_tables

    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False))
        return
    if "candidate" in card:
        candidate_lines(card, console())
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
    where = taught_run(run, runs)
    from posology.report.page import write_report

    print(write_report(where))
