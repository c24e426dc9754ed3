"""`posology results`: keep what runs have shown, and write the page of results from what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posology.cli.ask import find_run
from posology.cli.stages import Runs
from posology.config import ConfigError
from posology.files import atomic_write_text

RunNames = Annotated[
    list[str] | None,
    typer.Argument(help="Runs to report: names, or paths. Without any, the page is only written again."),
]
Output = Annotated[
    Path, typer.Option("--output", help="The page. What is kept of each run goes to results/ beside it.")
]

Notice = Annotated[str, typer.Option("--notice", help="Whose the data are, and under which licence, where not ours.")]


def results(
    run: RunNames = None, output: Output = Path("docs/RESULTS.md"), runs: Runs = Path("runs"), notice: Notice = ""
) -> None:  # fmt: skip
    """Keep each run's figures in results/RUN.json beside the page, and write the page from every run that is kept."""
    if output.is_dir():
        raise ConfigError(f"--output {output} is a folder", "name the page: docs/RESULTS.md")
    from posology.report.results import artifact, read_artifacts, write_artifact
    from posology.report.results_page import page

    found = [find_run(name, runs) for name in run or []]
    if twice := {one.name for one in found if sum(other.name == one.name for other in found) > 1}:
        raise ConfigError(f"two runs are called {sorted(twice)[0]}", "each is kept under its name: give each run once")
    folder = output.parent / "results"
    for one in found:
        artifact(one, notice)  # all are looked at before the first is kept
    for one in found:
        print(write_artifact(folder, one, notice))
    atomic_write_text(output, page(read_artifacts(folder)))
    print(output)
