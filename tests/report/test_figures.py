"""Curves and intervals."""

import math

import pytest

from posology.report.figures import MOST_POINTS, Chart, by_rollout, curves, smooth, stride, thin
from posology.report.forest import corruption_chart, measure_charts, reliability_chart
from posology.report.gather import gather
from posology.report.numbers import Rows
from posology.report.stories import TRAINED, signs
from posology.report.view import RunView
from posology.runs import Run

Drawn = dict[str, tuple[Chart, ...]]


@pytest.fixture(scope="module")
def drawn(view: RunView) -> Drawn:
    return {name: curves(view, view.stages[name]) for name in TRAINED}


def test_thinning_keeps_both_ends_and_never_grows() -> None:
    points = [(float(i), float(i)) for i in range(1000)]
    kept = thin(points)
    assert len(kept) == MOST_POINTS and kept[0] == points[0] and kept[-1] == points[-1]
    assert thin(points[:10]) == points[:10]


def test_smoothing_keeps_a_straight_line_inside_and_a_constant_everywhere() -> None:
    line = [(float(i), 2.0 * i) for i in range(20)]
    assert smooth(line, 5)[2:-2] == line[2:-2]
    assert smooth([(float(i), 7.0) for i in range(9)], 5) == [(float(i), 7.0) for i in range(9)]


def test_a_rollout_is_the_mean_of_its_steps(view: RunView) -> None:
    assert stride(view) == 4
    rows = by_rollout(view.stages["ppo"].train, 4)
    assert len(rows) == 16
    assert rows.series("clipped")[0] == (1.0, pytest.approx((0 + 0.03 + 0.04 + 0.05) / 4))


def test_a_step_that_was_skipped_leaves_its_rollout_whole() -> None:
    rows = Rows("f", "train", ({"step": 1.0, "kl": 1.0}, {"step": 2.0}, {"step": 3.0, "kl": 5.0}))
    assert by_rollout(rows, 2).series("kl") == ((1.0, 1.0), (2.0, 5.0))


@pytest.mark.parametrize(
    ("stage", "label"),
    [
        ("pretrain", "ln V = 8.03"),
        ("sft", "ln V = 8.03"),
        ("reward", "ln 2 = 0.693"),
        ("dpo", "ln 2 = 0.693"),
        ("ppo", "target 3"),
    ],
)
def test_each_stages_curves_carry_their_reference_line(drawn: Drawn, stage: str, label: str) -> None:
    assert any(label in chart.svg for chart in drawn[stage])
    assert all(chart.sources for chart in drawn[stage])


def test_ppo_shows_reward_gold_kl_beta_clip_entropy_and_critic(drawn: Drawn) -> None:
    titles = ["reward against gold", "KL, four ways", "beta", "clip share", "entropy", "the critic"]
    assert [chart.title for chart in drawn["ppo"]] == [f"ppo: {title}" for title in titles]
    assert len(drawn["ppo"][1].lines) == 4


def test_nothing_logged_is_no_chart(empty: Run) -> None:
    view = gather(empty)
    assert all(curves(view, view.stages[name]) == () for name in TRAINED)


def test_every_stage_and_measure_is_drawn(view: RunView) -> None:
    charts = measure_charts(view.card)
    assert [chart.title for chart in charts] == ["accuracy", "safety", "specificity", "dose", "humility", "usefulness"]
    assert all(f">{name}</text>" in charts[0].svg for name in ("pretrain", "SFT", "DPO", "PPO"))
    assert "87.4 %" in charts[0].svg
    assert "An arrow" in charts[0].note  # pretraining's 3 % lies off the scale, and is said to


def test_the_reward_models_by_kind_of_error_and_reliability(view: RunView) -> None:
    assert "verdict up" in corruption_chart(view.reward).svg
    assert "Expected calibration error 0.0430" in reliability_chart(view.reward).note


def test_signs_put_healthy_beside_yours(view: RunView) -> None:
    start = signs(view, view.stages["pretrain"])[0]
    assert start.healthy == f"near ln V = {math.log(3072):.2f}"
    assert start.yours[0][0].key == "train: loss at step 1"
    beta = next(sign for sign in signs(view, view.stages["ppo"]) if sign.path)
    assert beta.yours[0][1] == "0.0500"


def test_signs_of_a_stage_that_has_not_begun_are_missing_not_zero(empty: Run) -> None:
    view = gather(empty)
    for name in TRAINED:
        assert all(sign.yours == () for sign in signs(view, view.stages[name]) if "gate" not in sign.healthy)
