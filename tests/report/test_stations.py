"""The pipeline map."""

from posology.report.gather import gather
from posology.report.stations import stations
from posology.report.view import RunView
from posology.runs import Run

from .example_run import make_run


def lines(view: RunView) -> dict[str, dict[str, list[str]]]:
    return {s.name: {what: [text for _, text in figures] for what, figures in s.lines} for s in stations(view)}


def test_counts_losses_and_answers_are_the_runs_own(view: RunView) -> None:
    found = lines(view)
    assert found["data"] == {
        "sentences": ["210"], "dialogues": ["1,920"], "preference pairs": ["336"], "exam questions": ["262"],
    }  # fmt: skip
    assert found["pretrain"]["tokens, at most"] == ["614,400"]  # 150 steps of 4,096
    assert found["sft"]["loss"][0] == "3.40"
    assert found["ppo"]["answers written"] == ["2,048"]  # 16 rollouts of 128
    assert found["reward"]["unseen facts"] == ["88.8 %"]
    assert found["dpo"]["training pairs"] == ["5,104"]


def test_the_gold_score_is_that_of_the_weights_that_were_kept(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",), graded=False)
    ppo = run.stage("ppo")
    for step, gold in ((0, 6.7), (20, 7.3), (60, 6.5)):
        ppo.log(step, "heldout", {"gold": gold})
    assert lines(gather(run))["ppo"]["gold score"] == ["6.70", "6.50"]
    ppo.note(kept_step=20)
    assert lines(gather(run))["ppo"]["gold score"] == ["6.70", "7.30"]


def test_what_has_not_begun_has_no_figures(empty: Run) -> None:
    for station in stations(gather(empty)):
        if station.name not in ("data", "tokenizer", "reward"):
            assert (station.lines, station.status, station.seconds) == ((), "missing", ())
