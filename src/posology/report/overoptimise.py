"""Over-optimisation, shown and stopped: PPO with one careless reward model and no KL control, beside PPO with both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from posology.report.figures import Chart, Line, Points, limits, new_axes, plot
from posology.report.numbers import Number
from posology.report.svg import STAND_INS, draw, styled
from posology.report.text import Shown, count, decimal, figure, percent, shown, signed
from posology.report.view import RunView, StageView

KEYS = ("reward", "gold")


@dataclass(frozen=True)
class Arm:
    """One of the two: what its policy was trained against, and what came of it on held-out prompts."""

    name: str
    title: str
    members: tuple[Shown, ...]
    pairs: tuple[Shown, ...]  # that the reward models learnt from
    unseen: tuple[Shown, ...]  # pairs of unseen facts ranked right
    rate: tuple[Shown, ...]  # learning rate of the policy's hidden weights
    reward: tuple[Shown, ...]  # first and last
    gold: tuple[Shown, ...]  # first, best and last
    kl: tuple[Shown, ...]  # last, nats an answer
    stopped: str  # the monitor's reason; "" where it let the arm finish
    stopped_at: tuple[Shown, ...]
    kept: tuple[Shown, ...]  # the step whose weights stay
    manifest_file: str


@dataclass(frozen=True)
class Overoptimisation:
    chart: Chart
    arms: tuple[Arm, ...]


def overoptimisation(view: RunView) -> Overoptimisation | None:
    """Both arms of a run; None unless both have logged their reward and gold score."""
    naive, held = view.naive.get("ppo-naive"), view.stages["ppo"]
    if naive is None or any(not arm.heldout.series(key) for arm in (naive, held) for key in KEYS):
        return None
    return Overoptimisation(
        _chart(naive, held),
        (
            _arm(view, naive, "One careless reward model, no KL control"),
            _arm(view, held, "The ensemble, with KL control"),
        ),
    )


def _arm(view: RunView, stage: StageView, title: str) -> Arm:
    naive = stage.name == "ppo-naive"
    judges = view.naive.get("reward-naive") if naive else view.stages["reward"]
    measured = view.naive_reward if naive else view.reward
    optimiser = f"{'naive.' if naive else ''}ppo.fit.optimiser"
    muon = view.config is not None and view.config.values.get(f"{optimiser}.kind") == "muon"
    stopped = stage.text("stopped")
    kept = stage.noted("kept_step")
    return Arm(
        stage.name, title,
        members=shown(view.asked("naive.reward.members" if naive else "reward.members"), count),
        pairs=shown(judges.noted("pairs.train") if judges else None, count),
        unseen=shown(measured.heldout_facts.number, percent) if measured and measured.heldout_facts else (),
        rate=shown(view.asked(f"{optimiser}.{'muon_learning_rate' if muon else 'learning_rate'}"), "{:g}".format),
        reward=(*shown(stage.heldout.first("reward"), signed), *shown(stage.heldout.last("reward"), signed)),
        gold=tuple(one for number in _gold(stage) for one in shown(number, decimal)),
        kl=shown(stage.heldout.last("kl")),
        stopped=stopped,
        stopped_at=shown(stage.noted("steps"), count) if stopped else (),
        kept=shown(kept, count),
        manifest_file=stage.manifest_file,
    )  # fmt: skip


def _gold(stage: StageView) -> Iterable[Number | None]:
    """First, best and last."""
    rows = stage.heldout
    step, _ = max(rows.series("gold"), key=lambda point: point[1])
    return rows.first("gold"), rows.at(step, "gold"), rows.last("gold")


def _chart(naive: StageView, held: StageView) -> Chart:
    lines = (
        Line("one careless reward model, no KL control", "bad", "dots"), Line("the ensemble, with KL control", "ppo", "dots"),
    )  # fmt: skip
    headings = "reward, sd of the reference answers\ngold, usefulness from 0 to 10"
    drawing, panels = new_axes(headings, "optimiser step", 320, panels=2)
    for axes, key in zip(panels, KEYS, strict=True):
        for stage, line in zip((naive, held), lines, strict=True):
            plot(axes, stage.heldout.series(key), line)
        limits(axes)
    for stage in (naive, held):
        if stage.text("stopped"):
            _stop_mark(panels, stage.heldout.series("gold"), stage.noted("kept_step"))
    title = "reward against gold, with and without the brakes"
    ends = [
        f"{line.label}: reward from {figure(_ends(stage, 'reward')[0])} to {figure(_ends(stage, 'reward')[1])}, "
        f"gold from {figure(_ends(stage, 'gold')[0])} to {figure(_ends(stage, 'gold')[1])}"
        for stage, line in zip((naive, held), lines, strict=True)
    ]
    note = (
        "The same questions and seeds for both; the sizes of their steps are told below. Each arm's reward is its own "
        "reward models', so that the upper curves share a unit but not a judge; the lower ones share the judge."
    )
    sources = tuple((stage.heldout.file, f"{stage.heldout.split}: {key}") for stage in (naive, held) for key in KEYS)
    return Chart(title, draw(drawing, "overoptimisation", title, "; ".join(ends)), lines, note, sources)


def _ends(stage: StageView, key: str) -> tuple[float, float]:
    points = stage.heldout.series(key)
    return points[0][1], points[-1][1]


def _stop_mark(panels: Sequence[Axes], gold: Points, kept: Number | None) -> None:
    """A dashed line through all panels where the monitor stopped, and a ring in the last at the step that it kept."""
    stopped = gold[-1][0]
    with styled():
        for axes in panels:
            axes.axvline(stopped, color=STAND_INS["ink"], linewidth=1.1, linestyle=(0, (2, 2)))
        left, right = panels[0].get_xlim()
        side, place = ("left", 4) if stopped < (left + right) / 2 else ("right", -4)
        panels[0].annotate("the monitor stops it", (stopped, 0), xycoords=("data", "axes fraction"), xytext=(place, 3),
                           textcoords="offset points", ha=side, va="bottom", fontsize=11.5, color=STAND_INS["ink"])  # fmt: skip
        if kept is None or kept.value not in dict(gold):
            return
        at = (kept.value, dict(gold)[kept.value])
        panels[-1].plot(*at, marker="o", markersize=11, color=STAND_INS["ink"], markerfacecolor="none")
        panels[-1].annotate("kept", at, xytext=(0, -8), textcoords="offset points", ha="center", va="top", fontsize=11.5,
                            color=STAND_INS["ink"])  # fmt: skip
