"""All stages in order: what is finished and valid is skipped, what is not is resumed, and each stage's time is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from posology.config import RunConfig, dump_config
from posology.files import atomic_write_text
from posology.models.memory import keep_few_kernels, keep_freed_memory, release_memory
from posology.recipes.dpo import dpo
from posology.recipes.grade import grade
from posology.recipes.materials import curriculum_of
from posology.recipes.ppo import ppo
from posology.recipes.pretrain import pretrain
from posology.recipes.reward import reward
from posology.recipes.sft import sft
from posology.recipes.tokenizer import tokenizer
from posology.runs import Run
from posology.training.progress import Progress


@dataclass(frozen=True)
class Step:
    """One entry of the pipeline. `budget_s` is what the config means it to take."""

    name: str
    make: Callable[[], object]
    budget_s: float | None = None


def prepare(config: RunConfig, run: Run) -> None:
    """Write the resolved config and set the threads that results depend on."""
    torch.set_num_threads(config.threads)
    keep_few_kernels()
    keep_freed_memory()
    atomic_write_text(run.config_path, dump_config(config))


def steps(config: RunConfig, run: Run, progress: Progress | None = None, *, force: bool = False) -> list[Step]:
    return [
        Step("data", lambda: curriculum_of(config, run)),
        Step("tokenizer", lambda: tokenizer(config, run)),
        Step("pretrain", lambda: pretrain(config, run, progress), config.pretrain.fit.budget_s),
        Step("sft", lambda: sft(config, run, progress), config.sft.fit.budget_s),
        Step("reward", lambda: reward(config, run, progress), config.reward.fit.budget_s),
        Step("ppo", lambda: ppo(config, run, progress, force=force), config.ppo.fit.budget_s),
        Step("dpo", lambda: dpo(config, run, progress), config.dpo.fit.budget_s),
        Step("grade", lambda: grade(config, run, progress), config.evaluation.budget_s),
    ]


def pipeline(config: RunConfig, run: Run, progress: Progress | None = None, *, force: bool = False) -> None:
    """Run every step; the seconds of steps that did work are added to the run's manifest."""
    prepare(config, run)
    run.update_manifest(status="running", seed=config.seed, machine=run.machine(), commit=run.commit())
    for step in steps(config, run, progress, force=force):
        started = time.monotonic()
        step.make()
        run.add_seconds(step.name, time.monotonic() - started)
        release_memory()
    run.update_manifest(status="finished")
