"""`posology cases`: the exam's questions, for other models to answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posology.cli.ask import stage_folder, taught_run
from posology.cli.stages import Runs
from posology.config import ConfigError

if TYPE_CHECKING:
    from posology.curriculum.records import Case

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

Splits = Annotated[str, typer.Option("--splits", help="Only these splits: S1,S2,...; by default all.")]


@app.callback()
def root() -> None:
    """The exam's questions, for other models to answer."""


@app.command()
def export(
    run: Annotated[str, typer.Option("--run", help="The run whose exam it is: a name, or a path.")] = "",
    config: Annotated[Path | None, typer.Option("--config", help="Instead of a run: build the exam of this YAML.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="The file to write; by default stdout.")] = None,
    splits: Splits = "",
    gold: Annotated[bool, typer.Option("--gold", help="Also the right answers: not for the model that is examined.")] = False,
    multiple_choice: Annotated[
        bool, typer.Option("--multiple-choice", help="As lm_eval_tasks/ reads it: question, choices, the right one.")
    ] = False,
    stage: Annotated[
        str, typer.Option("--stage", help="With --multiple-choice: put what this stage works out before each choice.")
    ] = "",
    runs: Runs = Path("runs"),
) -> None:  # fmt: skip
    """Write one JSON object a case: case_id, split, question. Answer them, then: posology evaluate RUN --answers FILE."""
    if config is not None and run:
        raise ConfigError("--run and --config are both given", "the exam of a run, or one built from a config")
    wanted = split_names(splits)
    if gold and multiple_choice:
        raise ConfigError(
            "--gold and --multiple-choice are both given", "the second tells the right choice in any case"
        )
    if stage and not multiple_choice:
        raise ConfigError(
            "--stage is given without --multiple-choice", "the exam's questions are the same for all stages"
        )
    cases = _cases(run or "laptop", config, wanted, runs)
    if multiple_choice:
        from posology.evaluation.choices import choice_rows

        rows: Iterable[dict[str, Any]] = choice_rows(cases)
        if stage:
            from posology.recipes.multiple_choice import working_of

            rows = choice_rows(cases, working_of(stage_folder(taught_run(run or "laptop", runs), stage), list(rows)))
    else:
        rows = exported(cases, gold)
    if output is None:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    from posology.files import write_jsonl

    kept = list(rows)
    write_jsonl(output, kept)
    print(f"{len(kept):,} cases: {output}", file=sys.stderr)


def split_names(text: str) -> list[str]:
    """ "S1, S2" -> ["S1", "S2"]."""
    return [name.strip() for name in text.split(",") if name.strip()]


def exported(cases: Sequence[Case], gold: bool) -> Iterator[dict[str, Any]]:
    """What an examinee may see of each case; with `gold` also what is right."""
    for case in cases:
        row: dict[str, Any] = {"case_id": case.case_id, "split": case.split, "question": case.question}
        yield row | ({"drug": case.drug, "gold_answer": case.answer, "gold": asdict(case.gold)} if gold else {})


def _cases(run: str, config: Path | None, splits: Sequence[str], runs: Path) -> list[Case]:
    from posology.evaluation.candidate import exam_of, of_splits

    if config is None:
        return list(exam_of(taught_run(run, runs), splits).asked.values())
    from posology.cli.data import _build

    of_splits([], splits)  # a misspelt split is told before ten seconds of building
    return of_splits(_build(config, None, None).cases, splits)
