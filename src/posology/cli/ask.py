"""`posology ask`, `chat` and `compare`: read a run's model. Every answer stands under "not for care of patients"."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.stages import Runs
from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import UserError
from posology.files import read_json
from posology.own_config import is_own
from posology.runs import Run, open_run, runs_folder

if TYPE_CHECKING:
    from posology.rollout.assistant import Assistant

ANSWERING = ("pretrain", "sft", "dpo", "ppo")  # stages that can answer, from the plainest to the most aligned

RunName = Annotated[str, typer.Option("--run", help="A run's name, or its path (runs/laptop).")]
StageName = Annotated[str, typer.Option("--stage", help="pretrain, sft, dpo or ppo; by default the scorecard's best.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="0 is greedy.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="For sampled answers.")]


def ask(question: str, run: RunName = "laptop", stage: StageName = "", runs: Runs = Path("runs"),
        temperature: Temperature = 0.0, seed: Seed = 0) -> None:  # fmt: skip
    """Answer one question, streaming."""
    where = taught_run(run, runs)
    chosen = stage or best_stage(where)
    assistant = _open(where, chosen)
    print(f"{where.name} · {chosen}", file=sys.stderr)
    _stream(assistant, question, temperature, seed)
    print(NOT_FOR_CARE)


def chat(run: RunName = "laptop", stage: StageName = "", runs: Runs = Path("runs"), temperature: Temperature = 0.0,
         seed: Seed = 0) -> None:  # fmt: skip
    """Ask one question after another; each is answered alone. An empty line or Ctrl-D ends it."""
    where = taught_run(run, runs)
    chosen = stage or best_stage(where)
    assistant = _open(where, chosen)
    print(f"{where.name} · {chosen} · {NOT_FOR_CARE}", file=sys.stderr)
    prompt = "? " if sys.stdin.isatty() else ""
    while True:
        try:
            question = input(prompt).strip()
        except EOFError:
            break
        if not question:
            break
        try:
            _stream(assistant, question, temperature, seed)
        except UserError as error:
            print(f"error: {error.message}", file=sys.stderr)
            print(f"hint: {error.hint}", file=sys.stderr)
    print(NOT_FOR_CARE)


def compare(question: str, run: RunName = "laptop", runs: Runs = Path("runs")) -> None:
    """Every stage's answer side by side with its reward, and the judge's verdict where the question can be read."""
    where = taught_run(run, runs)
    from posology.recipes.answer import compare as compare_stages

    (rows,) = compare_stages(where, [question], [name for name in ANSWERING if where.stage(name).final.is_dir()])
    out = console()
    out.print(
        table(
            "", ["stage", "reward", "answer"], [[r.stage, r.reward_text, r.rendered] for r in rows.answers], right={1}
        )
    )
    out.print(f"judge: {rows.judge}", soft_wrap=True)
    out.print(NOT_FOR_CARE)


def find_run(name: str, runs: Path) -> Run:
    """A run by name, or by a path that ends in it."""
    path = Path(name)
    if len(path.parts) > 1:
        return open_run(runs_folder(path.parent), path.name)
    return open_run(runs_folder(runs), name)


def taught_run(name: str, runs: Path) -> Run:
    """`find_run`; UserError for a run on a user's own data, which no exam and no judge speak of."""
    run = find_run(name, runs)
    if is_own(run.config_path):
        hint = f"ask it with `posology generate --model {name}`, score its answers with `posology evaluate --summaries`"
        raise UserError(f"{run.path} was trained on data of your own: this command is for runs of `posology run`", hint)
    return run


def best_stage(run: Run) -> str:
    """The best stage on the development split, as the scorecard says; without a scorecard the most aligned one there is."""
    if run.scorecard_path.is_file():
        best = read_json(run.scorecard_path).get("best_stage")
        if best and run.stage(str(best)).final.is_dir():
            return str(best)
    for name in reversed(ANSWERING):
        if run.stage(name).final.is_dir():
            return name
    raise UserError(f"run {run.name} has no trained stage", f"posology run --config configs/{run.name}.yaml")


def stage_folder(run: Run, stage: str) -> Path:
    """The final folder of a finished stage that answers; UserError for any other."""
    if stage not in ANSWERING:
        raise UserError(f"no stage {stage!r} answers questions", f"one of: {', '.join(ANSWERING)}", code=2)
    if not run.stage(stage).final.is_dir():
        raise UserError(
            f"run {run.name} has no finished stage {stage}",
            f"posology {stage} --config {run.config_path} --run {run.name}",
        )
    return run.stage(stage).final


def _open(run: Run, stage: str) -> Assistant:
    from posology.recipes.answer import open_assistant

    return open_assistant(stage_folder(run, stage))


def _stream(assistant: Assistant, question: str, temperature: float, seed: int) -> None:
    for piece in assistant.stream(question, temperature=temperature, seed=seed):
        print(piece, end="", flush=True)
    print()
