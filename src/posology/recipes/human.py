"""Hold the reward models against experts: their scores of answers, and the ensemble's reward for the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posology.config import RunConfig, UserError
from posology.curriculum.build import read_curriculum
from posology.evaluation.human import Known, Rated, agreement, read_scores
from posology.files import atomic_write_json, read_json, read_jsonl
from posology.models.precision import pick_precision
from posology.recipes.materials import open_parent
from posology.recipes.reward import load_ensemble
from posology.recipes.reward_figures import scores_of
from posology.rollout.assistant import Assistant
from posology.runs import Run
from posology.text.spans import split_working, with_working
from posology.text.tokenizer import load_tokenizer


def human(config: RunConfig, run: Run, path: Path) -> dict[str, Any]:
    """Write human.json: rank correlation of reward and human score, and the answers on which they differ most."""
    judge = open_parent(run, config.ppo.reward)
    rated = read_scores(path, _greedy(run))
    tokenizer = load_tokenizer(judge.path)
    ensemble = load_ensemble(judge.path, tokenizer, pick_precision(config.reward.fit.precision))
    rewards = scores_of(ensemble, tokenizer, _with_working(config, run, rated)).tolist()
    found = {"file": path.name, **agreement(rated, rewards, config.evaluation.bootstrap)}
    atomic_write_json(run.human_path, found)
    return found


def _with_working(config: RunConfig, run: Run, rated: Sequence[Rated]) -> list[tuple[str, str]]:
    """(question, answer); an answer without working gets that of the model whose answers the reward models learnt from."""
    bare = sorted({answer.question for answer in rated if not split_working(answer.answer)[0]})
    found = Assistant.open(open_parent(run, config.reward.parent or "sft").path).workings(bare) if bare else []
    working = dict(zip(bare, found, strict=True))
    return [
        (one.question, one.answer if split_working(one.answer)[0] else with_working(working[one.question], one.answer))
        for one in rated
    ]


def _greedy(run: Run) -> Known:
    """The run's greedy answers, read when the first is asked for."""
    kept: dict[tuple[str, str], tuple[str, str]] = {}

    def known(stage: str, case_id: str) -> tuple[str, str] | None:
        if not kept:
            kept.update(_read(run))
        return kept.get((stage, case_id))

    return known


def _read(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """(stage, case id) -> question and greedy answer; the best stage on the development split is also called ""."""
    if not run.answers_path.is_file() or not run.scorecard_path.is_file():
        raise UserError(f"run {run.name} has no graded answers", f"posology evaluate {run.path}")
    best = read_json(run.scorecard_path)["best_stage"]
    questions = {case.case_id: case.question for case in read_curriculum(run.data_dir).cases}
    out = {}
    for row in read_jsonl(run.answers_path):
        if row["mode"] == "greedy" and row["case_id"] in questions:
            for stage in (row["stage"], *([""] if row["stage"] == best else [])):
                out[stage, row["case_id"]] = (questions[row["case_id"]], row["text"])
    return out
