"""Both arms in one figure, with the monitor's stop; nothing of it in a run with one arm."""

from pathlib import Path

import pytest

from posology.config import dump_config, validate
from posology.files import atomic_write_json, atomic_write_text
from posology.report.gather import gather
from posology.report.overoptimise import overoptimisation
from posology.report.page import render
from posology.report.view import RunView
from posology.runs import Run

from .example_run import CONFIG, FIT, make_run, share

NAIVE = ((0, -0.1, 6.5), (12, 0.1, 7.0), (24, 0.4, 6.8), (36, 0.9, 5.25))  # step, reward, gold
REASON = "the reward rose while the gold score fell on two checks: the policy is exploiting the reward model"


def two_arms(root: Path, *, stopped: bool = True) -> Run:
    run = make_run(root)
    naive = {
        "reward": {"members": 1, "limit": 256, "fit": FIT},
        "ppo": {"kl_control": False, "kl_coefficient": 0, "fit": FIT},
    }
    atomic_write_text(run.config_path, dump_config(validate(CONFIG | {"naive": naive})))
    judge, policy = run.stage("reward-naive"), run.stage("ppo-naive")
    judge.note(status="finished", pairs={"train": 256})
    atomic_write_json(judge.final / "heldout.json", {"heldout_facts": share(248, 448)})
    atomic_write_json(judge.final / "ensemble.json", {"correlation": [[1.0]], "aggregate": "mean_minus_std"})
    for step, reward, gold in NAIVE:
        policy.log(step, "heldout", {"reward": reward, "gold": gold, "kl": step / 4})
    policy.note(status="finished", steps=36, kept_step=12 if stopped else 36, stopped=REASON if stopped else None)
    return run


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return gather(two_arms(tmp_path_factory.mktemp("runs")))


def test_both_arms_stand_in_one_figure_with_the_stop_marked(view: RunView) -> None:
    found = overoptimisation(view)
    assert found is not None
    assert "the monitor stops it" in found.chart.svg and ">kept</text>" in found.chart.svg
    assert {file for file, _ in found.chart.sources} == {"ppo-naive/metrics.jsonl", "ppo/metrics.jsonl"}


def test_each_arm_tells_where_it_began_and_ended(view: RunView) -> None:
    found = overoptimisation(view)
    assert found is not None
    naive, held = found.arms
    assert [number.value for number, _ in naive.gold] == [6.5, 7.0, 5.25]
    assert [number.value for number, _ in naive.reward] == [-0.1, 0.9]
    assert [number.key for number, _ in naive.gold] == [f"heldout: gold at step {step}" for step in (0, 12, 36)]
    assert naive.kept[0][0].value == 12 and naive.stopped == REASON
    assert held.stopped == "" and held.stopped_at == ()
    assert [number.value for number, _ in (*naive.members, *naive.pairs)] == [1, 256]


def test_the_page_tells_it_with_sources(view: RunView) -> None:
    page = render(view)
    assert "Reward hacking, shown and stopped" in page and "The monitor stopped it at step" in page
    assert "The monitor let it finish." in page
    assert "<code>ppo-naive/metrics.jsonl</code>" in page and "<code>reward-naive/final/heldout.json</code>" in page


def test_an_arm_that_was_not_stopped_has_no_mark(tmp_path: Path) -> None:
    found = overoptimisation(gather(two_arms(tmp_path, stopped=False)))
    assert found is not None and "the monitor stops it" not in found.chart.svg


def test_a_run_with_one_arm_shows_nothing_of_it(tmp_path: Path) -> None:
    view = gather(make_run(tmp_path))
    assert overoptimisation(view) is None and not view.naive
    assert "Reward hacking, shown and stopped" not in render(view)
