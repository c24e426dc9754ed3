"""Intervals as dots with whiskers: every stage on every measure, and the reward model by kind of error."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from posology.report.figures import STEPS, WIDTH, Chart, Line, new_axes
from posology.report.svg import RC, STAND_INS, draw
from posology.report.text import interval, is_share, percent, value_text, words
from posology.report.view import HEADLINE, Card, Measure, RewardView


def corruption_chart(reward: RewardView) -> Chart | None:
    """How often the ensemble sees through each kind of error."""
    rows = sorted((m for m in reward.by_corruption if m.value is not None and is_share(m)), key=lambda m: m.value or 0)
    if not rows:
        return None
    drawing, (axes,) = _rows("pairs ranked right, by kind of error", len(rows), left=150)
    _forest(axes, rows, [words(m.name) for m in rows], ["reward"] * len(rows))
    _percent_axis(axes, min([0.45, *(m.low if m.low is not None else m.value or 0 for m in rows)]))
    with matplotlib.rc_context(RC):
        axes.axvline(0.5, color=STAND_INS["ink"], linewidth=1.1, linestyle=(0, (2, 2)))
    title = "reward model: accuracy by kind of error"
    described = "; ".join(f"{words(m.name)} {value_text(m)}" for m in rows)
    note = "Dashed: a coin toss. The widest intervals have the fewest pairs."
    lines = (Line("share ranked right, with its 95 % interval where the file gives one", "reward", "dots"),)
    return Chart(title, draw(drawing, "reward-corruption", title, described), lines, note, tuple((m.file, m.key) for m in rows))


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
    _forest(axes, measures, [stage for stage, _ in rows], tones)
    target = next((measure.target for measure in measures if measure.target is not None), None)
    if name == "usefulness":
        axes.set_xlim(0, 10.2)
    else:
        _percent_axis(axes, 0.0)
    if target is not None:
        with matplotlib.rc_context(RC):
            axes.axvline(target, color=STAND_INS["ink"], linewidth=1.2, linestyle=(0, (2, 2)))
    described = "; ".join(f"{stage} {value_text(m)} {interval(m)}" for stage, m in rows[::-1])
    note = "" if target is None else f"Dashed: the target, {percent(target)}."
    return Chart(name, draw(drawing, f"measure-{name}", name, described), (), note, tuple((m.file, m.key) for m in measures))


def _rows(heading: str, rows: int, left: float) -> tuple[Figure, list[Axes]]:
    """Axes for `rows` lines, with `left` units for their names and room for their values on the right."""
    height = 25.0 * rows + 56
    drawing, axes = new_axes(heading, "", height)
    drawing.subplots_adjust(left=left / WIDTH, right=1 - 62 / WIDTH, top=1 - 28 / height, bottom=24 / height)
    return drawing, axes


def _forest(axes: Axes, rows: Sequence[Measure], names: Sequence[str], tones: Sequence[str]) -> None:
    """A dot with its interval a row, from the bottom up, and the value at the right."""
    with matplotlib.rc_context(RC):
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
            axes.annotate(value_text(row), (1, y), xycoords=("axes fraction", "data"), xytext=(56, 0), ha="right", va="center",
                          textcoords="offset points", fontsize=12, color=STAND_INS["ink"])  # fmt: skip


def _percent_axis(axes: Axes, low: float) -> None:
    axes.set_xlim(max(low, 0) - 0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=STEPS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
