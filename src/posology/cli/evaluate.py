"""`posology evaluate`, `doctor` and `report`: grade a run (or another model on its exam), check it, show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from posology.cli.ask import find_run
from posology.cli.candidate import Candidate, candidate_lines, sit
from posology.cli.cases import Splits, split_names
from posology.cli.reading import Column, OnBadRow, read_options
from posology.cli.stages import Runs
from posology.cli.summaries import Notes, Page, Scores, Summaries, evaluate_files
from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import ConfigError, load_config
from posology.files import atomic_write_json, read_json
from posology.runs import Run

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
Choice = Annotated[
    bool, typer.Option("--multiple-choice", help="The run's stages in the exam's multiple-choice form instead.")
]
Human = Annotated[
    Path | None, typer.Option("--human", help="CSV of experts' scores: does the reward rank answers as they do?")
]
RED = 3  # a quality gate failed


def evaluate(
    run: RunArgument = "laptop", runs: Runs = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the scorecard's JSON instead of tables.")] = False,
    answers: Answers = None, model: Model = "", instructions: Instructions = None, name: Name = "",
    splits: Splits = "", limit: Limit = 0, rows: Rows = 16, against: Against = "", multiple_choice: Choice = False,
    human: Human = None, summaries: Summaries = None, notes: Notes = None, column: Column = None,
    on_bad_row: OnBadRow = "stop", page: Page = None, scores: Scores = None,
) -> None:  # fmt: skip
    """Grade every finished stage of a run; another model, with --answers or --model; or --summaries of your notes."""
    if summaries:
        evaluate_files(summaries, notes, read_options(column, on_bad_row=on_bad_row), page, scores, as_json)
        return
    if notes or column or page or scores:
        raise ConfigError("--notes, --column, --page and --scores are for summaries", "give --summaries answers.jsonl")
    where = find_run(run, runs)
    another = answers is not None or bool(model)
    if (multiple_choice or human is not None) and (another or (multiple_choice and human is not None)):
        hint = "one of --multiple-choice, --human, --answers and --model; for other models as multiple choice: lm_eval_tasks"
        raise ConfigError("--multiple-choice and --human are for a run's own stages, each alone", hint)
    if multiple_choice:
        _choose(where, splits, limit, as_json)
        return
    if human is not None:
        _hold_against_people(where, human, as_json)
        return
    asked = Candidate(answers, model, instructions, name, splits, limit, rows, against)
    if another:
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


def _choose(where: Run, splits: str, limit: int, as_json: bool) -> None:
    """Give the stages the exam as multiple choice; print acc and acc_norm."""
    from posology.cli.stages import _progress
    from posology.evaluation.candidate import exam_of, some_of
    from posology.recipes.multiple_choice import multiple_choice

    exam = exam_of(where, split_names(splits))
    card = multiple_choice(load_config(where.config_path), where, some_of(exam, limit) if limit else exam, _progress())
    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False))
        return
    rows = [
        [stage, name, f"{100 * cell['value']:.1f} %", f"[{100 * cell['low']:.1f}, {100 * cell['high']:.1f}]", cell["n"]]
        for stage, block in card["stages"].items()
        for name, cell in block.items()
    ]
    columns = ["stage", "score", "value", "95 % interval", "n"]
    console().print(table("the exam as multiple choice", columns, rows, {2, 3, 4}))
    print(f"{where.multiple_choice_path}\n{NOT_FOR_CARE}")


def _hold_against_people(where: Run, path: Path, as_json: bool) -> None:
    """Rank correlation of reward and experts' scores; the answers that one likes and the other does not."""
    from posology.recipes.human import human
    from posology.report.page import write_report

    found = human(load_config(where.config_path), where, path)
    if where.scorecard_path.is_file():
        write_report(where)
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    sizes = f"{found['answers']} answers to {found['questions']} questions, {found['raters']} raters"
    rows = [[name, *("none" if found[name][part] is None else f"{found[name][part]:+.3f}" for part in ("value", "low", "high"))]
            for name in ("spearman", "kendall")]  # fmt: skip
    console().print(
        table(f"reward against people: {sizes}", ["rank correlation", "value", "low", "high"], rows, {1, 2, 3})
    )
    if found["between_raters"] is not None:
        print(f"raters among themselves (mean Spearman): {found['between_raters']:+.3f}")
    for key, title in (
        ("model_likes", "liked by the model, not by people"),
        ("people_like", "liked by people, not by the model"),
    ):
        for row in found[key]:
            print(
                f"\n{title}: reward {row['reward']:+.2f}, people {row['human']:g}\n  asked  {row['question']}\n  said   {row['answer']}"
            )
    print(f"\n{where.human_path}\n{NOT_FOR_CARE}")


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
    where = find_run(run, runs)
    from posology.report.page import write_report

    print(write_report(where))
