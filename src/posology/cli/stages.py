"""`posology run` and the single stages: pretrain, sft, reward, ppo, dpo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.terminal import NOT_FOR_CARE, console
from posology.config import ConfigError, RunConfig, load_config
from posology.runs import Run, is_leader, open_run, runs_folder

if TYPE_CHECKING:
    from posology.training.progress import Progress

Config = Annotated[Path, typer.Option("--config", help="YAML configuration.", show_default=False)]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a value: section.key=value (repeatable).")]
Name = Annotated[str, typer.Option("--run", help="The run's name; by default the config's file name.")]
Runs = Annotated[Path, typer.Option("--runs", help="The folder that holds runs.")]
Parent = Annotated[
    str, typer.Option("--parent", help="Where to start: a stage of this run, or a path such as runs/x/sft.")
]


Naive = Annotated[
    bool, typer.Option("--naive", help="The second arm of the config (its section naive), kept beside the first.")
]


def run(config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Annotated[
    str, typer.Option("--parent", help="Start from another run's fine-tuned model, such as runs/x/sft: this run then makes none.")
] = "", force: Annotated[
    bool, typer.Option("--force", help="Start PPO even when the reward model fails its gate (recorded, and shown in the report).")
] = False) -> None:  # fmt: skip
    """Run every stage, skipping what is finished and resuming what is not; end with the scorecard and the report."""
    settings, where = _open(config, set_, name, runs, start=parent)
    from posology.cli.summary import finish
    from posology.recipes.pipeline import pipeline

    pipeline(settings, where, _progress(), force=force)
    if is_leader():
        finish(where, console())
    _leave()


def pretrain(config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs")) -> None:
    """Train a language model from random weights on the knowledge base's sentences."""
    settings, where = _open(config, set_, name, runs)
    from posology.recipes.pipeline import prepare
    from posology.recipes.pretrain import pretrain
    from posology.recipes.tokenizer import tokenizer

    prepare(settings, where).alone(lambda: tokenizer(settings, where))
    _done(pretrain(settings, where, _progress()).final)


def sft(config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "") -> None:
    """Fine-tune a base model on expert answers."""
    settings, where = _open(config, [*(set_ or []), *_parent("sft", parent)], name, runs)
    from posology.recipes.pipeline import prepare
    from posology.recipes.sft import sft

    prepare(settings, where)
    _done(sft(settings, where, _progress()).final)


def reward(
    config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    naive: Naive = False,
) -> None:  # fmt: skip
    """Train the ensemble of Bradley-Terry reward models."""
    section = "naive.reward" if naive else "reward"
    settings, where = _open(config, [*(set_ or []), *_parent(section, parent)], name, runs)
    from posology.recipes.pipeline import prepare
    from posology.recipes.reward import reward

    prepare(settings, where)
    _done(reward(settings, where, _progress(), naive=naive).final)


def ppo(
    config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    reward: Annotated[str, typer.Option("--reward", help="The reward models: a stage, or a path such as runs/x/reward.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Start even when the reward model fails its gate.")] = False,
    naive: Naive = False,
) -> None:  # fmt: skip
    """Optimise a fine-tuned model against the reward models with PPO and KL control."""
    section = "naive.ppo" if naive else "ppo"
    extra = [*_parent(section, parent), *([f"{section}.reward={reward}"] if reward else [])]
    settings, where = _open(config, [*(set_ or []), *extra], name, runs)
    from posology.recipes.pipeline import prepare
    from posology.recipes.ppo import ppo

    prepare(settings, where)
    _done(ppo(settings, where, _progress(), force=force, naive=naive).final)


def dpo(config: Config, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "") -> None:
    """Optimise a fine-tuned model on preference pairs with DPO."""
    settings, where = _open(config, [*(set_ or []), *_parent("dpo", parent)], name, runs)
    from posology.recipes.dpo import dpo
    from posology.recipes.pipeline import prepare

    prepare(settings, where)
    _done(dpo(settings, where, _progress()).final)


def _open(config: Path, overrides: list[str] | None, name: str, runs: Path, start: str = "") -> tuple[RunConfig, Run]:
    """The config and its run; `start` is the parent of every stage that follows SFT."""
    settings = load_config(config, overrides)
    if start:
        sections = ["reward", "ppo", *(["dpo"] if settings.dpo else [])]
        sections += ["naive.reward", "naive.ppo"] if settings.naive else []
        more = [item for section in sections for item in _parent(section, start)]
        settings = load_config(config, [*(overrides or []), *more])
    return settings, open_run(runs_folder(runs), name or config.stem, create=True)


def _parent(stage: str, parent: str) -> list[str]:
    if any(character in parent for character in "\n{}[]"):
        raise ConfigError(f"--parent {parent!r} is not a stage or a path")
    return [f"{stage}.parent={parent}"] if parent else []


def _progress() -> Progress:
    from posology.training.progress import Progress, silent

    return Progress() if is_leader() else silent()


def _done(final: Path) -> None:
    if is_leader():
        print(final)
        print(NOT_FOR_CARE)
    _leave()


def _leave() -> None:
    from posology.training.engine import close_engine

    close_engine()
