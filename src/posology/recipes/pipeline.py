"""All stages in order: what is finished and valid is skipped, what is not is resumed, and each stage's time is kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from posology.config import ConfigError, RunConfig, StageConfig, dump_config
from posology.files import atomic_write_text
from posology.models.estimate import GIB, taught_estimates
from posology.models.memory import keep_few_kernels, keep_freed_memory, release_memory
from posology.provenance import commit, machine
from posology.recipes.dpo import dpo
from posology.recipes.grade import grade
from posology.recipes.materials import curriculum_of
from posology.recipes.ppo import ppo
from posology.recipes.pretrain import pretrain
from posology.recipes.reward import reward
from posology.recipes.sft import sft
from posology.recipes.tokenizer import tokenizer
from posology.runs import Run, is_leader
from posology.training.engine import Engine, open_engine
from posology.training.progress import Progress


@dataclass(frozen=True)
class Step:
    """One entry of the pipeline. `budget_s` is what the config means it to take."""

    name: str
    make: Callable[[], object]
    budget_s: float | None = None


def prepare(config: RunConfig, run: Run) -> Engine:
    """Write the resolved config, set the threads that results depend on, and join the other processes if there are any."""
    torch.set_num_threads(config.threads)
    keep_few_kernels()
    keep_freed_memory()
    engine = open_engine(config.engine, config.device)
    require_cluster(config, engine)
    if is_leader():
        atomic_write_text(run.config_path, dump_config(config))
    if engine.world > 1:
        engine.alone(lambda: curriculum_of(config, run))  # from here on everyone finds the records on disk
    return engine


def require_cluster(config: RunConfig, engine: Engine) -> None:
    """ConfigError where the config was made for other processes than these, or cannot fit their GPUs."""
    made_for = config.cluster
    if made_for is None:
        return
    if engine.world != made_for.processes:
        raise ConfigError(
            f"the config is made for {made_for.processes} processes, and there are {engine.world}",
            f"torchrun --nproc-per-node {made_for.processes} -m -- posology ..., or --set cluster.processes={engine.world}",
        )
    for name, needed in taught_estimates(config).items():
        if needed.total > made_for.gpu_gib * GIB:
            raise ConfigError(
                f"{name} takes about {needed.total / GIB:.0f} GiB a GPU, and each has {made_for.gpu_gib:g}",
                f"more processes, or more {name}.fit.micro_batches",
            )


def steps(
    config: RunConfig, run: Run, engine: Engine, progress: Progress | None = None, *, force: bool = False
) -> list[Step]:
    """What the config asks for. Stages that start elsewhere (`posology run --parent`) need no SFT of this run."""
    naive = config.naive
    after_sft: list[StageConfig | None] = [config.reward, config.ppo, config.dpo]
    after_sft += [naive.reward, naive.ppo] if naive else []
    found = [
        Step("data", lambda: curriculum_of(config, run)),
        Step("tokenizer", lambda: engine.alone(lambda: tokenizer(config, run))),
    ]
    if any(section is not None and section.parent in ("", "sft") for section in after_sft):
        found += [
            Step("pretrain", lambda: pretrain(config, run, progress), config.pretrain.fit.budget_s),
            Step("sft", lambda: sft(config, run, progress), config.sft.fit.budget_s),
        ]
    if naive:
        found += [
            Step("reward-naive", lambda: reward(config, run, progress, naive=True), naive.reward.fit.budget_s),
            Step("ppo-naive", lambda: ppo(config, run, progress, force=force, naive=True), naive.ppo.fit.budget_s),
        ]
    found += [
        Step("reward", lambda: reward(config, run, progress), config.reward.fit.budget_s),
        Step("ppo", lambda: ppo(config, run, progress, force=force), config.ppo.fit.budget_s),
    ]
    if config.dpo:
        found.append(Step("dpo", lambda: dpo(config, run, progress), config.dpo.fit.budget_s))
    return [
        *found,
        Step("grade", lambda: engine.alone(lambda: grade(config, run, progress)), config.evaluation.budget_s),
    ]


def pipeline(config: RunConfig, run: Run, progress: Progress | None = None, *, force: bool = False) -> None:
    """Run every step; the seconds of steps that did work, stopped ones too, are added to the run's manifest."""
    engine = prepare(config, run)
    run.update_manifest(status="running", seed=config.seed, machine=machine(), commit=commit())
    for step in steps(config, run, engine, progress, force=force):
        started = time.monotonic()
        try:
            step.make()
        finally:
            run.add_seconds(step.name, time.monotonic() - started)
        release_memory()
    run.update_manifest(status="finished")
