"""Which steps a config asks for, and in which order."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from posology.cli.stages import _open
from posology.config import load_config
from posology.errors import UserError
from posology.recipes.materials import naive_arm
from posology.recipes.pipeline import Step, pipeline, steps
from posology.runs import open_run
from posology.training.engine import Engine

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
AFTER_SFT = ["reward-naive", "ppo-naive", "reward", "ppo", "grade"]


def test_a_usual_run_has_one_arm(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "smoke.yaml")
    names = [step.name for step in steps(config, open_run(tmp_path, "a", create=True), Engine())]
    assert names == ["data", "tokenizer", "pretrain", "sft", "reward", "ppo", "dpo", "grade"]
    with pytest.raises(UserError, match="naive"):
        naive_arm(config)


def test_overoptimisation_has_two_arms_and_no_dpo(tmp_path: Path) -> None:
    config = load_config(CONFIGS / "overoptimise.yaml")
    names = [step.name for step in steps(config, open_run(tmp_path, "a", create=True), Engine())]
    assert names == ["data", "tokenizer", "pretrain", "sft", *AFTER_SFT]


def test_a_run_that_starts_elsewhere_makes_no_sft(tmp_path: Path) -> None:
    config, run = _open(CONFIGS / "overoptimise.yaml", None, "a", tmp_path, start="runs/laptop/sft")
    assert [step.name for step in steps(config, run, Engine())] == ["data", "tokenizer", *AFTER_SFT]
    arm = naive_arm(config)
    assert {arm.reward.parent, arm.ppo.parent, config.reward.parent, config.ppo.parent} == {"runs/laptop/sft"}
    assert arm.ppo.reward == "reward-naive" and not arm.ppo.kl_control and arm.ppo.kl_coefficient == 0


def test_both_arms_differ_only_in_what_they_show(tmp_path: Path) -> None:
    """The same rollouts, prompts and monitor; and the arm with the brakes is the default's, not one made to look good."""
    config, default = load_config(CONFIGS / "overoptimise.yaml"), load_config(CONFIGS / "laptop.yaml")
    arm = naive_arm(config)
    may_differ = {"fit", "reward", "kl_control", "kl_coefficient", "kl_target", "kl_horizon"}
    assert arm.ppo.model_dump(exclude=may_differ) == config.ppo.model_dump(exclude=may_differ)
    assert (arm.ppo.fit.steps, arm.ppo.monitor_every) == (config.ppo.fit.steps, config.ppo.monitor_every)
    assert config.ppo.model_dump(exclude={"fit", "monitor_every"}) == default.ppo.model_dump(
        exclude={"fit", "monitor_every"}
    )
    assert config.ppo.fit.optimiser == default.ppo.fit.optimiser and config.reward == default.reward


def test_the_time_of_a_step_that_was_stopped_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, config = open_run(tmp_path, "stopped", create=True), load_config(CONFIGS / "smoke.yaml")
    sittings: Iterator[type[BaseException] | None] = iter((KeyboardInterrupt, None))

    def make() -> None:
        time.sleep(0.02)
        if stop := next(sittings):
            raise stop

    monkeypatch.setattr("posology.recipes.pipeline.steps", lambda *_, **__: [Step("sft", make)])
    with pytest.raises(KeyboardInterrupt):
        pipeline(config, run)
    first = run.manifest()["seconds"]["sft"]
    pipeline(config, run)
    assert first >= 0.02 and run.manifest()["seconds"]["sft"] >= first + 0.02
