"""Best of n on the smoke run: more answers to choose from, a higher reward; and what is chosen is what was said."""

from typing import Any

import pytest

from posology.config import load_config
from posology.curriculum.build import read_curriculum
from posology.recipes.answer import rewards_of
from posology.recipes.best_of import best_of
from posology.recipes.grade import sampled_cases
from posology.rollout.sampler import Rollout, sample
from posology.runs import Run
from posology.text.chat import own_tokens
from posology.text.tokenizer import load_tokenizer

from .conftest import Finished


def test_more_answers_give_a_higher_reward(smoke: Finished) -> None:
    run = Run(smoke.path)
    config = load_config(run.config_path)
    cases = sampled_cases(read_curriculum(run.data_dir).cases, config)
    means = []
    for answers in (1, 6):
        asked = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"best_of": answers})})
        rows = best_of(asked, run, cases, "chosen")
        assert [row["case_id"] for row in rows] == [case.case_id for case in cases]
        means.append(sum(row["score"] for row in rows) / len(rows))
    assert means[1] > means[0] + 0.1


def test_the_score_is_the_ensembles_less_the_penalty(smoke: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(smoke.path)
    config = load_config(run.config_path)
    one = config.model_copy(update={"evaluation": config.evaluation.model_copy(update={"best_of": 1})})
    cases = [case for case in read_curriculum(run.data_dir).cases if case.split == "S1"][:24]
    rollouts = []

    def recorded(*given: Any, **named: Any) -> Rollout:
        rollouts.append(sample(*given, **named))
        return rollouts[-1]

    monkeypatch.setattr("posology.recipes.best_of.sample", recorded)
    rows = best_of(one, run, cases, "only")
    (rollout,) = rollouts
    assert len(rows) == len(rollout.ids) == 24
    tokenizer = load_tokenizer(run.stage("sft").final)
    as_chosen = 0
    for case, row, ids, own in zip(cases, rows, rollout.ids, rollout.own, strict=True):
        assert row["text"] == tokenizer.decode(ids) and row["tokens"] == sum(own)
        may_be_own = own_tokens(tokenizer, ids)
        assert not any(mine and not may_be for mine, may_be in zip(own, may_be_own, strict=True))
        if own != may_be_own:  # the engine kept a number to the question: `rewards_of` cannot see that in the text
            continue
        as_chosen += 1
        (score,) = rewards_of(run, [(case.question, ids)])
        penalty = 0.0 if row["finished"] else config.ppo.no_stop_penalty
        assert row["score"] == pytest.approx(score - penalty, abs=0.05)  # bf16, in other company
    assert as_chosen >= 12


def test_the_card_sets_ppo_against_it(smoke: Finished) -> None:
    card = smoke.json("scorecard.json")
    assert card["baselines"]["best_of_4"]["headline"]["usefulness"]["n"] == 8
    assert {c["a"] for c in card["comparisons"] if c["b"] == "best_of_4"} == {"sft", "dpo", "ppo"}
    assert card["reader"]["verdict"]["value"] >= 0.98
