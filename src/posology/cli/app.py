"""The app is a value: groups of commands hung on one typer application."""

from __future__ import annotations

import typer

from posology import __version__
from posology.cli import ask, cases, data, evaluate, generate, kb, own, results, score, stages

app = typer.Typer(
    name="posology",
    help="Train, align and prove a medication-safety language model. Not for care of patients.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit()


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Train, align and prove a medication-safety language model. Not for care of patients."""


app.command("run")(stages.run)
for name in ("pretrain", "sft", "reward", "ppo", "dpo"):
    app.command(name)(getattr(own, name))
app.command("score")(score.score)
app.command("generate")(generate.generate)
app.command("merge")(generate.merge)
app.command("doctor")(evaluate.doctor)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(evaluate.report)
app.command("results")(results.results)
app.command("ask")(ask.ask)
app.command("chat")(ask.chat)
app.command("compare")(ask.compare)
app.add_typer(cases.app, name="cases", help="The exam's questions, for other models to answer.")
app.add_typer(data.app, name="data", help="Build and look at the curriculum; check a file of your own.")
app.add_typer(kb.app, name="kb", help="Check, read and question the knowledge base.")
