"""Intervals as dots with whiskers: every stage on every measure, and the reward model by kind of error."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from posology.report.figures import STEPS, WIDTH, Chart, Line, new_axes
from posology.report.svg import STAND_INS, draw, styled
from posology.report.text import figure, interval, is_share, percent, stage_name, value_text, words
from posology.report.view import HEADLINE, Card, Measure, RewardView


def corruption_chart(reward: RewardView) -> Chart | None:
    """How often the ensemble sees through each kind of error."""
    rows = sorted((m for m in reward.by_corruption if m.value is not None and is_share(m)), key=lambda m: m.value or 0)
    if not rows:
        return None
    drawing, (axes,) = _rows("pairs ranked right, by kind of error", len(rows), left=150)
    _forest(axes, rows, [words(m.name) for m in rows], ["reward"] * len(rows))
    _percent_axis(axes, min([0.45, *(m.low if m.low is not None else m.value or 0 for m in rows)]))
    with styled():
        axes.axvline(0.5, color=STAND_INS["ink"], linewidth=1.1, linestyle=(0, (2, 2)))
    title = "reward model: accuracy by kind of error"
    described = "; ".join(f"{words(m.name)} {value_text(m)}" for m in rows)
    note = "Dashed: a coin toss. The widest intervals have the fewest pairs."
    lines = (Line("share ranked right, with its 95 % interval where the file gives one", "reward", "dots"),)
    sources = tuple((m.file, m.key) for m in rows)
    return Chart(title, draw(drawing, "reward-corruption", title, described), lines, note, sources)


def reliability_chart(reward: RewardView) -> Chart | None:
    """Is sigma(margin) the probability of being right?"""
    points = reward.reliability
    if not points:
        return None
    drawing, (axes,) = new_axes("right, of pairs with that σ(margin)", "σ(margin) of the preferred answer")
    with styled():
        axes.plot([0.5, 1], [0.5, 1], color=STAND_INS["ink"], linewidth=1.1, linestyle=(0, (2, 2)))
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color=STAND_INS["reward"], linewidth=1.4, marker="o", markersize=5, markeredgewidth=0)
    axes.set_xlim(0.49, 1.01)
    axes.set_ylim(min(0.45, *ys) - 0.03, 1.03)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    title = "reward model: reliability"
    described = "; ".join(f"σ {percent(x)}, right {percent(y)}" for x, y in points)
    note = "Dashed: as often right as it claims. Below it the ensemble is too sure of itself."
    if error := reward.reliability_source:
        note += f" Expected calibration error {figure(error.value)}."
    lines = (Line("held-out pairs, facts unseen in pairs", "reward", "dots"),)
    sources = ((reward.file, "calibration.curve"), (reward.file, "calibration.ece"))
    return Chart(title, draw(drawing, "reward-reliability", title, described), lines, note, sources)


def measure_charts(card: Card) -> tuple[Chart, ...]:
    """One chart a measure: every stage with its interval, and the target."""
    charts = (_measure_chart(card, name) for name in (*HEADLINE, "usefulness"))
    return tuple(chart for chart in charts if chart)


def _measure_chart(card: Card, name: str) -> Chart | None:
    found = [(stage.name, stage.measure(name)) for stage in card.stages]
    rows = [(stage, measure) for stage, measure in found if measure and measure.value is not None][::-1]
    if not rows:
        return None
    measures = [measure for _, measure in rows]
    heading = name if name != "usefulness" else "usefulness, 0 to 10, sampled answers"
    drawing, (axes,) = _rows(heading, len(rows), left=66)
    tones = [stage if stage in STAND_INS else "ink" for stage, _ in rows]
    _forest(axes, measures, [stage_name(stage) for stage, _ in rows], tones)
    target = next((measure.target for measure in measures if measure.target is not None), None)
    if name == "usefulness":
        axes.set_xlim(0, 10.2)
    else:
        ends = [measure.low if measure.low is not None else measure.value or 0 for measure in measures]
        tuned = [end for end, (stage, _) in zip(ends, rows, strict=True) if stage != "pretrain"]
        low = math.floor(10 * min(tuned or ends) - 0.2) / 10
        _percent_axis(axes, low)
        _off_the_scale(axes, measures, tones, max(low, 0))
    if target is not None:
        with styled():
            axes.axvline(target, color=STAND_INS["ink"], linewidth=1.2, linestyle=(0, (2, 2)))
    described = "; ".join(f"{stage} {value_text(m)} {interval(m)}" for stage, m in rows[::-1])
    note = f"Dashed: the target, {percent(target)}." if target else "4 is right and terse, 10 right and complete."
    if name != "usefulness" and any((measure.value or 0) < low for measure in measures):
        note += " An arrow: further to the left."
    sources = tuple((m.file, m.key) for m in measures)
    return Chart(name, draw(drawing, f"measure-{name}", name, described), (), note, sources)


def _rows(heading: str, rows: int, left: float) -> tuple[Figure, list[Axes]]:
    """Axes for `rows` lines, with `left` units for their names and room for their values on the right."""
    height = 25.0 * rows + 56
    drawing, axes = new_axes(heading, "", height)
    drawing.subplots_adjust(left=left / WIDTH, right=1 - 62 / WIDTH, top=1 - 28 / height, bottom=24 / height)
    return drawing, axes


def _forest(axes: Axes, rows: Sequence[Measure], names: Sequence[str], tones: Sequence[str]) -> None:
    """A dot with its interval a row, from the bottom up, and the value at the right."""
    with styled():
        for y, (row, tone) in enumerate(zip(rows, tones, strict=True)):
            colour = STAND_INS[tone]
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="butt")
            axes.plot([row.value or 0], [y], color=colour, marker="o", markersize=6.5, markeredgewidth=0)
        axes.set_yticks(range(len(rows)), names)
        axes.tick_params(axis="y", labelcolor=STAND_INS["ink"])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.grid(axis="y", visible=False)
        axes.grid(axis="x", visible=True, color=STAND_INS["rule"], linewidth=0.8)
        for y, row in enumerate(rows):
            axes.annotate(value_text(row), (1, y), xycoords=("axes fraction", "data"), xytext=(56, 0), ha="right",
                          va="center", textcoords="offset points", color=STAND_INS["ink"])  # fmt: skip


def _off_the_scale(axes: Axes, rows: Sequence[Measure], tones: Sequence[str], low: float) -> None:
    """An arrow at the left edge for a value below it: pretraining's share would flatten the rest."""
    with styled():
        for y, (row, tone) in enumerate(zip(rows, tones, strict=True)):
            if (row.value or 0) < low:
                axes.plot([low], [y], color=STAND_INS[tone], marker="<", markersize=6.5, markeredgewidth=0)


def _percent_axis(axes: Axes, low: float) -> None:
    left = max(low, 0)
    axes.set_xlim(left - 0.02 * (1 - left), 1 + 0.02 * (1 - left))
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
