"""What `posology run` and `posology evaluate` print at the end: results to stdout, and never a reward to end on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from posology.cli.terminal import NOT_FOR_CARE, table
from posology.report.card import read_card
from posology.report.gather import gather, plain
from posology.report.numbers import Number
from posology.report.page import write_report
from posology.report.text import (
    clock,
    count,
    figure,
    gate_words,
    interval,
    p_value,
    percent,
    stage_name,
    value_text,
    words,
)
from posology.report.verdict import findings, gates, judged_stage, sentence, worst_miss
from posology.report.view import Card, Measure, RunView, StageMarks
from posology.runs import Run

QUESTION = "Can my patient take metformin with an eGFR of 28?"
OTHER_QUESTION = "Can I give ibuprofen to a patient who takes warfarin?"
MOST_FINDINGS = 6


def finish(run: Run, console: Console) -> None:
    """Write the report, then say what came out: stages, worst miss, gates, time, report, and how to go on."""
    path = write_report(run)
    view = gather(run)
    _line(console, "")
    console.print(_stage_table(view))
    _worst(view, console)
    _gates(view, console)
    _line(console, "")
    _line(console, sentence(view), "bold")
    for finding in findings(view)[1:MOST_FINDINGS]:
        _line(console, f"  also: {finding.text}")
    _line(console, "")
    if total := view.total_seconds:
        _line(console, f"time    {clock(total.value)} ({_times(view)})")
    _line(console, f"report  {path}")
    _line(console, f'next    posology ask "{QUESTION}" --run {run.path}')
    _line(console, f'        posology compare "{OTHER_QUESTION}" --run {run.path}')
    _line(console, f"        posology doctor {run.path}")
    _line(console, NOT_FOR_CARE)


def scorecard_tables(card: Mapping[str, Any], console: Console) -> None:
    """The whole scorecard: every stage's measures and gates, then the stages compared."""
    read = read_card(card, "scorecard.json", plain)
    for marks in read.stages:
        best = ", the best on the development split" if marks.name == read.best_stage else ""
        console.print(_measure_table(marks, f"{marks.name}{best}"))
        _line(console, "")
    if read.comparisons:
        console.print(_comparison_table(read))
    if read.reader:
        reader = StageMarks("reader", tuple(m for m in read.reader if m.n is not None), (), (), ())
        _line(console, "")
        console.print(_measure_table(reader, "the grader, graded on answers that a person has labelled"))
    _line(console, NOT_FOR_CARE)


# -- tables -----------------------------------------------------------------------------------------------------------


def _stage_table(view: RunView) -> Any:
    columns = ["stage", "held-out measure", "value", "95 % interval", "n", "time"]
    rows = [[name, *held_out(view, name), _took(view, name)] for name in view.stages]
    return table("", columns, [[escape(cell) for cell in row] for row in rows], right={2, 3, 4, 5})


def held_out(view: RunView, name: str) -> list[str]:
    """What a stage shows on what it did not learn from: measure, value, interval, n."""
    stage = view.stages[name]
    if stage.status != "finished":
        return ["not finished" if stage.status != "missing" else "not begun", "", "", ""]
    if name == "tokenizer":
        return _figure("tokens in its vocabulary", view.vocabulary, count)
    if name == "pretrain":
        return _figure("loss on new sentences, nats a token", stage.heldout.last("loss"), figure)
    if name == "reward":
        return _measured(
            "pairs ranked right, facts unseen in pairs", view.reward.heldout_facts if view.reward else None
        )
    marks = view.card.stage(name) if view.card else None
    if marks is None:
        return _figure("loss on held-out questions, nats a token", stage.heldout.last("loss"), figure)
    return _measured("exam questions right in every required claim", marks.measure("accuracy"))


def _figure(what: str, number: Number | None, write: Any) -> list[str]:
    return [what, write(number.value) if number else "missing", "", ""]


def _measured(what: str, measure: Measure | None) -> list[str]:
    if measure is None:
        return [what, "missing", "", ""]
    return [what, value_text(measure), interval(measure), count(measure.n) if measure.n is not None else ""]


def _took(view: RunView, name: str) -> str:
    seconds = view.took(name)
    return clock(seconds.value) if seconds else ""


def _measure_table(marks: StageMarks, title: str) -> Any:
    rows = []
    for measure in (*marks.headline, *(m for m in marks.extra if m.n is not None)):
        target = "" if measure.target is None else percent(measure.target)
        size, facts = ("" if number is None else count(number) for number in (measure.n, measure.facts))
        missed = ", ".join(words(gate.name) for gate in measure.gates if not gate.passed)
        row = [
            words(measure.name),
            value_text(measure),
            interval(measure),
            size,
            facts,
            target,
            measure.verdict,
            missed,
        ]
        rows.append([escape(cell) for cell in row])
    columns = ["measure", "value", "95 % interval", "n", "facts", "target", "verdict", "gates not met"]
    return table(title, columns, rows, right={1, 2, 3, 4, 5})


def _comparison_table(card: Card) -> Any:
    rows = []
    for c in card.comparisons:
        between = "" if c.low is None or c.high is None else f"[{c.low:+.3f}, {c.high:+.3f}]"
        p = "" if c.p_holm is None else p_value(c.p_holm)
        names = f"{c.a} - {c.b}"
        rows.append([names, words(c.measure), f"{c.difference.value:+.3f}", between, p, c.unit])
    columns = ["stages", "measure", "difference", "95 % interval", "p (Holm)", "unit"]
    return table(
        "stage against stage, on the same items",
        columns,
        [[escape(cell) for cell in row] for row in rows],
        right={2, 3, 4},
    )


# -- the rest ---------------------------------------------------------------------------------------------------------


def _worst(view: RunView, console: Console) -> None:
    miss = worst_miss(view)
    _line(console, "")
    if miss is None:
        _line(
            console, "worst miss: none is on the scorecard" if view.card else "worst miss: the run has not been graded"
        )
        return
    _line(console, f"worst miss ({miss.stage}, {words(miss.kind)}): {miss.why}")
    worked = [("worked", miss.working)] if miss.working else []
    said = [("asked", miss.question), *worked, ("said", miss.answer or "(no text)"), ("right", miss.gold)]
    for label, text in said:
        _line(console, f"  {label:<6} {' '.join(text.split())}")


def _gates(view: RunView, console: Console) -> None:
    marks = judged_stage(view)
    if marks is None:
        return
    _line(console, "")
    console.print(
        _measure_table(StageMarks(marks.name, marks.headline, (), (), ()), f"measures and gates of {marks.name}")
    )
    rows = gates(marks)
    missed = [gate_words(gate) for gate, _ in rows if not gate.passed]
    told = f"; not met: {'; '.join(missed)}" if missed else ""
    _line(console, f"gates: {len(rows) - len(missed)} of {len(rows)} met{told}")


def _times(view: RunView) -> str:
    return ", ".join(f"{stage_name(step)} {clock(number.value)}" for step, number in view.seconds)


def _line(console: Console, text: str, style: str = "") -> None:
    """One line as it is: no markup is read in it, and no width cuts it."""
    console.print(Text(text, style=style), soft_wrap=True)
