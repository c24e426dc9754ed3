"""Experts' scores on the smoke run: experts who agree with the reward models are found to, and their opposites too."""

import csv
from pathlib import Path

import pytest

from posology.config import load_config
from posology.curriculum.build import read_curriculum
from posology.files import read_jsonl
from posology.models.precision import pick_precision
from posology.recipes.human import human
from posology.recipes.reward import load_ensemble
from posology.recipes.reward_figures import scores_of
from posology.runs import Run
from posology.text.tokenizer import load_tokenizer

from .conftest import Finished


@pytest.mark.parametrize("sign", [1, -1])
def test_the_rank_correlation_with_the_rewards_themselves(smoke: Finished, tmp_path: Path, sign: int) -> None:
    run = Run(smoke.path)
    config = load_config(run.config_path)
    questions = {case.case_id: case.question for case in read_curriculum(run.data_dir).cases}
    rows = [row for row in read_jsonl(run.answers_path) if (row["stage"], row["mode"]) == ("sft", "greedy")][:24]
    final = run.stage("reward").final
    tokenizer = load_tokenizer(final)
    ensemble = load_ensemble(final, tokenizer, pick_precision(config.reward.fit.precision))
    rewards = scores_of(ensemble, tokenizer, [(questions[row["case_id"]], row["text"]) for row in rows]).tolist()
    with open(tmp_path / "scores.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "stage", "score"])
        writer.writerows([row["case_id"], "sft", sign * reward] for row, reward in zip(rows, rewards, strict=True))
    found = human(config, run, tmp_path / "scores.csv")
    assert found["spearman"]["value"] == pytest.approx(sign, abs=0.02)
    assert bool(found["model_likes"]) == bool(found["people_like"]) == (sign < 0)
    run.human_path.unlink()
