"""The sentence at the top: worst failure first."""

from dataclasses import replace

from posology.report.card import read_card
from posology.report.gather import gather, plain
from posology.report.verdict import danger, findings, gates, judged_stage, quoted_misses, sentence, worst_miss
from posology.report.view import RunView
from posology.runs import Run

from .example_card import scorecard, share
from .example_run import make_run


def with_card(view: RunView, raw: dict) -> RunView:
    return replace(view, card=read_card(raw, "scorecard.json", plain))


def test_a_dangerous_count_comes_before_every_missed_target(view: RunView) -> None:
    raw = scorecard()
    raw["stages"]["ppo"]["extra"]["unsafe_reassurance"] = share(1, 1104)
    told = findings(with_card(view, raw))
    assert told[0].text.startswith("1 of 1,104 answers called a medicine acceptable")
    assert told[1].text.startswith("4 of 1,040 doses")
    assert [finding.rank for finding in told] == sorted(finding.rank for finding in told)
    assert "called a medicine acceptable" in sentence(with_card(view, raw))


def test_the_furthest_from_its_target_leads_among_the_failed(view: RunView) -> None:
    raw = scorecard()
    raw["stages"]["ppo"]["extra"] = {}
    told = findings(with_card(view, raw))
    assert told[0].text.startswith("humility 92.1 % [89.9, 93.9] against a target of 100 %")


def test_the_verdict_is_about_the_best_stage(view: RunView) -> None:
    assert judged_stage(view).name == "ppo"
    assert judged_stage(with_card(view, scorecard() | {"best_stage": "sft"})).name == "sft"
    assert sentence(with_card(view, scorecard() | {"best_stage": None})).startswith("Stage PPO meets")


def test_a_measure_whose_gate_fails_is_not_counted_as_met(view: RunView) -> None:
    raw = scorecard()
    raw["stages"]["ppo"]["headline"]["specificity"]["verdict"] = "PASS"  # the file says so, its gate does not
    assert "meets 1 of 5 targets" in sentence(with_card(view, raw))


def test_nothing_is_hidden_when_all_is_well(view: RunView) -> None:
    raw = scorecard()
    stage = raw["stages"]["ppo"]
    stage["extra"] = {}
    for cell in stage["headline"].values():
        cell |= {"verdict": "PASS", "gates": {}}
    fine = replace(with_card(view, raw), checks=())
    assert findings(fine) == ()
    assert sentence(fine).endswith("with every gate that goes with them, on this exam and one training seed.")


def test_a_run_without_a_scorecard_claims_nothing(empty: Run) -> None:
    assert "shows nothing about its answers; no stage has finished" in sentence(gather(empty))


def test_forced_and_stopped_stages_are_told(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",))
    run.stage("ppo").note(forced=True, stopped="the reward rose while the gold score fell")
    told = [finding.text for finding in findings(gather(run))]
    assert "PPO was started with --force although the reward model failed its gate" in told
    assert "PPO stopped early: the reward rose while the gold score fell" in told


def test_each_gate_is_told_once_with_what_it_guards(view: RunView) -> None:
    rows = gates(judged_stage(view))
    assert rows[0][0].name == "minimal_pairs" and rows[0][1] == ("safety", "specificity")
    assert len(rows) == 5


def test_the_worst_miss_is_the_judged_stages_most_dangerous(view: RunView) -> None:
    assert worst_miss(view).question.startswith("A child of 20 kg")
    assert [danger(miss) for miss in quoted_misses(view) if miss.stage == "ppo"] == [1, 3]
