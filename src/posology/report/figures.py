"""A run's curves as charts, drawn by matplotlib. Sizes are made for a phone; wider pages scale them up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from posology.report.numbers import Rows
from posology.report.svg import STAND_INS, UNIT, draw, styled
from posology.report.text import count, decimal, figure, percent
from posology.report.view import RunView, StageView

WIDTH, HEIGHT = 360.0, 220.0  # of a curve, in user units
MOST_POINTS = 240
STEPS = [1, 2, 2.5, 5, 10]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """What one line of a chart is, for the legend beneath it. `style` is solid, faint, dashed, dotted or dots."""

    label: str
    tone: str
    style: str = "solid"


@dataclass(frozen=True)
class Chart:
    """A drawing with its words. `sources` names file and keys."""

    title: str
    svg: Markup
    lines: tuple[Line, ...]
    note: str
    sources: tuple[tuple[str, str], ...]


def curves(view: RunView, stage: StageView) -> tuple[Chart, ...]:
    """The charts of one stage: () before it has logged anything."""
    if stage.name in ("pretrain", "sft"):
        return _given(loss_chart(view, stage))
    if stage.name == "reward":
        return (*_given(reward_loss_chart(stage)), *_given(reward_accuracy_chart(view, stage)))
    if stage.name == "dpo":
        return (*_given(preference_chart(stage)), *_given(shift_chart(stage)))
    if stage.name == "ppo":
        return ppo_charts(view, stage)
    return ()


def _given(chart: Chart | None) -> tuple[Chart, ...]:
    return (chart,) if chart else ()


# -- parts ------------------------------------------------------------------------------------------------------------


def new_axes(title: str, x: str, height: float = HEIGHT, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """A drawing with `panels` axes one above the other; `title` has a line for each."""
    with styled():
        drawing = Figure(figsize=(WIDTH / UNIT, height / UNIT))
        axes = [drawing.add_subplot(panels, 1, number + 1) for number in range(panels)]
        drawing.subplots_adjust(44 / WIDTH, 42 / height, 1 - 8 / WIDTH, 1 - 28 / height, hspace=0.55)
        for one, heading in zip(axes, title.split("\n"), strict=True):
            one.set_title(heading)
        axes[-1].set_xlabel(x)
        for one in axes:
            one.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=STEPS))
            one.yaxis.set_major_locator(MaxNLocator(5 if panels == 1 else 4, steps=STEPS))
            one.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
            one.margins(x=0.02)
    return drawing, axes


def plot(axes: Axes, points: Points, line: Line) -> None:
    """Draw one line; nothing where it has no points."""
    if not points:
        return
    xs, ys = zip(*thin(points), strict=True)
    colour = STAND_INS[line.tone]
    styles = {"dashed": (0, (5, 3)), "dotted": (0, (1.5, 2.5))}
    with styled():
        if line.style == "faint":
            axes.plot(xs, ys, color=colour, linewidth=1.0, alpha=0.35)
        elif line.style == "dots":
            axes.plot(xs, ys, color=colour, linewidth=1.4, marker="o", markersize=5, markeredgewidth=0)
        else:
            broken = styles.get(line.style)
            axes.plot(xs, ys, color=colour, linestyle=broken or "-", linewidth=1.5 if broken else 2.0)


def _reference(axes: Axes, y: float, label: str) -> None:
    """A dashed line across the chart, named at the end and on the side where the curves leave the most room."""
    curves = [np.asarray(line.get_ydata(), dtype=float) - y for line in axes.get_lines()]
    near = [min((float(curve[end]) for curve in curves), key=abs, default=0.0) for end in (0, -1)]
    span = max(float(curve.max()) for curve in curves) - min(float(curve.min()) for curve in curves) if curves else 0.0
    side = 0 if abs(near[1]) < min(0.12 * span, abs(near[0])) else 1
    above = near[side] <= 0
    with styled():
        axes.axhline(y, color=STAND_INS["ink"], linewidth=1.1, linestyle=(0, (2, 2)))
        axes.annotate(label, (side, y), xycoords=("axes fraction", "data"), xytext=(0, 4 if above else -4),
                      textcoords="offset points", ha="right" if side else "left", va="bottom" if above else "top",
                      fontsize=11.5, color=STAND_INS["ink"])  # fmt: skip


def limits(axes: Axes, *values: float, floor: float | None = None, top: float | None = None) -> None:
    """Room for the lines, the reference values, and their labels."""
    low, high = axes.dataLim.y0, axes.dataLim.y1
    low, high = min([low, *values]) if floor is None else floor, max([high, *values])
    room = (high - low or 1) * 0.12
    axes.set_ylim(floor if floor is not None else low - room, high + room if top is None else top)


def thin(points: Points) -> Points:
    """At most MOST_POINTS of them, evenly, with both ends."""
    if len(points) <= MOST_POINTS:
        return points
    picked = {round(i * (len(points) - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)}
    return [points[i] for i in sorted(picked)]


def smooth(points: Points, width: int) -> list[tuple[float, float]]:
    """The mean of `width` neighbours (fewer at the ends) at each point."""
    half = width // 2
    means = []
    for i, (x, _) in enumerate(points):
        part = points[max(0, i - half) : i + half + 1]
        means.append((x, sum(y for _, y in part) / len(part)))
    return means


def _training(axes: Axes, points: Points, tone: str) -> tuple[Line, ...]:
    """Every step's value, faint, under the mean of its neighbours; the values alone where they are few."""
    width = _width(points)
    each = Line("training, each step", tone, "faint" if width > 1 else "solid")
    plot(axes, points, each)
    if width == 1:
        return (each,)
    mean = Line(f"training, mean of {width} steps", tone)
    plot(axes, smooth(points, width), mean)
    return each, mean


def _width(points: Points) -> int:
    return max(1, len(points) // 25) | 1


def _span(points: Points) -> str:
    return f"from {figure(points[0][1])} to {figure(points[-1][1])}" if points else "no values"


def _keys(rows: Rows, *keys: str) -> tuple[tuple[str, str], ...]:
    return tuple((rows.file, f"{rows.split}: {key}") for key in keys if rows.series(key))


# -- pretrain and sft -------------------------------------------------------------------------------------------------


def loss_chart(view: RunView, stage: StageView) -> Chart | None:
    train, heldout = stage.train.series("loss"), stage.heldout.series("loss")
    if not train:
        return None
    drawing, (axes,) = new_axes("loss, nats a token", "optimiser step")
    lines = (*_training(axes, train, stage.name), Line("held-out", "ink", "dots"))
    plot(axes, heldout, lines[-1])
    references = []
    sources = [*_keys(stage.train, "loss"), *_keys(stage.heldout, "loss")]
    if vocabulary := view.vocabulary:
        references = [math.log(vocabulary.value)]
        _reference(axes, references[0], f"ln V = {decimal(references[0])}: every token equally likely")
        sources.append((vocabulary.file, vocabulary.key))
    limits(axes, *references, floor=0)
    title = f"{stage.name}: loss"
    described = f"Training loss {_span(train)}, held-out loss {_span(heldout)}, over {count(train[-1][0])} steps"
    note = "The dashed line is what a model pays that knows nothing: V tokens, all equally likely."
    return Chart(title, draw(drawing, f"{stage.name}-loss", title, described), lines, note, tuple(sources))


# -- reward -----------------------------------------------------------------------------------------------------------


def reward_loss_chart(stage: StageView) -> Chart | None:
    members = [member for member in stage.members if member.train.rows]
    if not members:
        return None
    lines = (Line("training, one line a member", "reward"), Line("held-out, facts unseen in pairs", "ink", "dots"))
    drawing, (axes,) = new_axes("loss, nats a pair", "optimiser step")
    sources: list[tuple[str, str]] = []
    for member in members:
        points = member.train.series("loss")
        plot(axes, points, Line("", "reward", "faint"))
        plot(axes, smooth(points, _width(points)), lines[0])
        plot(axes, member.heldout.series("loss/heldout_facts"), lines[1])
        sources += [*_keys(member.train, "loss"), *_keys(member.heldout, "loss/heldout_facts")]
    _reference(axes, math.log(2), f"ln 2 = {math.log(2):.3f}: a coin toss")
    limits(axes, math.log(2), floor=0)
    title = "reward model: loss"
    described = f"Training loss {_span(members[0].train.series('loss'))} in the first of {len(members)} members"
    note = "Above the dashed line a model is worse than guessing: it prefers the worse answer."
    return Chart(title, draw(drawing, "reward-loss", title, described), lines, note, tuple(sources))


def reward_accuracy_chart(view: RunView, stage: StageView) -> Chart | None:
    members = [member for member in stage.members if member.heldout.series("accuracy/heldout_facts")]
    if not members:
        return None
    lines = (Line("facts unseen in pairs", "ink", "dots"), Line("new wordings of seen facts", "reward", "dots"))
    drawing, (axes,) = new_axes("held-out pairs ranked right", "optimiser step")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
    sources: list[tuple[str, str]] = []
    for member in members:
        plot(axes, member.heldout.series("accuracy/heldout_wordings"), lines[1])
        plot(axes, member.heldout.series("accuracy/heldout_facts"), lines[0])
        sources += _keys(member.heldout, "accuracy/heldout_facts", "accuracy/heldout_wordings")
    references = [0.5]
    _reference(axes, 0.5, "a coin toss")
    if gate := view.asked("reward.min_accuracy"):
        references.append(gate.value)
        _reference(axes, gate.value, f"gate: interval above {percent(gate.value)}")
        sources.append((gate.file, gate.key))
    limits(axes, *references, top=1.01)
    points = members[0].heldout.series("accuracy/heldout_facts")
    title = "reward model: held-out accuracy"
    described = f"Share of pairs on unseen facts {_span(points)} in the first of {len(members)} members"
    note = "PPO is refused while the interval of the final accuracy reaches below the gate."
    return Chart(title, draw(drawing, "reward-accuracy", title, described), lines, note, tuple(sources))


# -- dpo --------------------------------------------------------------------------------------------------------------


def preference_chart(stage: StageView) -> Chart | None:
    train = stage.train.series("preference")
    if not train:
        return None
    heldout = stage.heldout.series("preference/heldout_facts")
    drawing, (axes,) = new_axes("preference term, nats a pair", "optimiser step")
    lines = (*_training(axes, train, "dpo"), Line("held-out, facts unseen in pairs", "ink", "dots"))
    plot(axes, heldout, lines[-1])
    _reference(axes, math.log(2), f"ln 2 = {math.log(2):.3f}: policy = reference")
    limits(axes, math.log(2), floor=0)
    title = "dpo: preference term"
    described = f"Training {_span(train)}, held-out {_span(heldout)}"
    note = "The anchor is logged apart, so that this curve starts at exactly ln 2."
    sources = (*_keys(stage.train, "preference"), *_keys(stage.heldout, "preference/heldout_facts"))
    return Chart(title, draw(drawing, "dpo-preference", title, described), lines, note, sources)


def shift_chart(stage: StageView) -> Chart | None:
    chosen, rejected = stage.train.series("chosen_shift"), stage.train.series("rejected_shift")
    if not chosen:
        return None
    width = _width(chosen)
    lines = (Line("chosen answers", "dpo"), Line("rejected answers", "bad", "dashed"))
    drawing, (axes,) = new_axes("change of log-probability, nats an answer", "optimiser step")
    for points, line in zip((chosen, rejected), lines, strict=True):
        plot(axes, smooth(points, width), line)
    _reference(axes, 0, "no change")
    limits(axes, 0)
    title = "dpo: what became more and less likely"
    described = f"Chosen answers {_span(chosen)}, rejected answers {_span(rejected)} nats against the reference"
    note = f"Means of {width} steps. Chosen well below 0 is the alarm: the margin grows while both answers die."
    sources = _keys(stage.train, "chosen_shift", "rejected_shift")
    return Chart(title, draw(drawing, "dpo-shift", title, described), lines, note, sources)


# -- ppo --------------------------------------------------------------------------------------------------------------


def ppo_charts(view: RunView, stage: StageView) -> tuple[Chart, ...]:
    """Reward against gold, KL four ways, beta, clip share, entropy, explained variance: what there are rows for."""
    rows = by_rollout(stage.train, stride(view))
    charts = [_reward_and_gold(stage), _kl_chart(view, rows)]
    charts += [_plain_chart(rows, key, *words, share=key == "clipped") for key, words in PLAIN.items()]
    return tuple(chart for chart in charts if chart)


PLAIN = {  # metric -> title, axis, note
    "beta": (
        "ppo: beta",
        "β, the price of a nat",
        "It rises while KL is above its target and falls while it is below; standing still means no control.",
    ),
    "clipped": (
        "ppo: clip share",
        "own tokens clipped",
        "A few per cent is usual. 0 % throughout means that the policy does not move.",
    ),
    "entropy": (
        "ppo: entropy",
        "entropy, nats a token",
        "Falling slowly is learning; falling to 0 is collapse onto one answer.",
    ),
    "explained_variance": (
        "ppo: the critic",
        "explained variance of returns",
        "0 is a critic no better than a constant, 1 a perfect one.",
    ),
}


def stride(view: RunView) -> int:
    """Optimiser steps a rollout."""
    epochs, minibatches = view.asked("ppo.epochs"), view.asked("ppo.minibatches")
    return max(1, round((epochs.value if epochs else 1) * (minibatches.value if minibatches else 1)))


def by_rollout(rows: Rows, steps: int) -> Rows:
    """One row a rollout, numbered from 1: the mean over its steps (a rollout's own figures are equal in all)."""
    groups: dict[int, list[dict[str, float]]] = {}
    for row in rows:
        groups.setdefault((round(row["step"]) - 1) // steps + 1, []).append(dict(row))
    means = []
    for number, group in groups.items():
        keys = dict.fromkeys(key for row in group for key in row)
        values = {key: [row[key] for row in group if key in row] for key in keys}
        means.append({key: sum(found) / len(found) for key, found in values.items()} | {"step": float(number)})
    return Rows(rows.file, rows.split, tuple(means))


def _reward_and_gold(stage: StageView) -> Chart | None:
    reward, gold = stage.heldout.series("reward"), stage.heldout.series("gold")
    if not reward or not gold:
        return None
    lines = (
        Line("reward: what the reward models say", "ppo", "dots"), Line("gold: what the judge says", "ink", "dots"),
    )  # fmt: skip
    headings = "reward, sd of the reference answers\ngold, usefulness from 0 to 10"
    drawing, (upper, lower) = new_axes(headings, "optimiser step", 300, panels=2)
    plot(upper, reward, lines[0])
    plot(lower, gold, lines[1])
    for axes in (upper, lower):
        limits(axes)
    title = "ppo: reward against gold"
    described = f"On held-out prompts the reward goes {_span(reward)}, the gold score {_span(gold)}"
    note = "Both must rise. Reward up and gold down is reward hacking; two such checks in a row stop the stage."
    sources = _keys(stage.heldout, "reward", "gold")
    return Chart(title, draw(drawing, "ppo-gold", title, described), lines, note, sources)


def _kl_chart(view: RunView, rows: Rows) -> Chart | None:
    exact = rows.series("kl")
    if not exact:
        return None
    lines = (
        Line("exact over the vocabulary", "ppo"), Line("k1, unbiased", "muted", "dotted"),
        Line("k2, biased", "sft", "dashed"), Line("k3, never negative", "dpo", "dashed"),
    )  # fmt: skip
    drawing, (axes,) = new_axes("KL(policy ‖ reference), nats an answer", "rollout", 300)
    for key, line in zip(("kl_k1", "kl_k2", "kl_k3", "kl"), (*lines[1:], lines[0]), strict=True):
        plot(axes, rows.series(key), line)
    references = [0.0]
    sources = [*_keys(rows, "kl", "kl_k1", "kl_k2", "kl_k3")]
    if target := view.asked("ppo.kl_target"):
        references.append(target.value)
        _reference(axes, target.value, f"target {figure(target.value)}")
        sources.append((target.file, target.key))
    limits(axes, *references)
    title = "ppo: KL, four ways"
    described = f"The exact KL goes {_span(exact)} nats over {count(exact[-1][0])} rollouts"
    note = "k1 may dip below 0 in a sample; the exact KL never does. A k1 that stays negative is an alarm."
    return Chart(title, draw(drawing, "ppo-kl", title, described), lines, note, tuple(sources))


def _plain_chart(rows: Rows, key: str, title: str, axis: str, note: str, *, share: bool) -> Chart | None:
    points = rows.series(key)
    if not points:
        return None
    drawing, (axes,) = new_axes(axis, "rollout", 190)
    plot(axes, points, Line("", "ppo"))
    limits(axes, *((0.0,) if key in ("clipped", "beta", "explained_variance") else ()))
    if share:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    described = f"{axis} {_span(points)} over {count(points[-1][0])} rollouts"
    return Chart(title, draw(drawing, f"ppo-{key.replace('_', '-')}", title, described), (), note, _keys(rows, key))
