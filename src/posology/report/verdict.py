"""What a run has shown, in one sentence and a list: the worst failure first.

Both the terminal and the page say it from here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from posology.report.numbers import Number
from posology.report.text import count, gate_text, interval, listed, percent, plural, stage_name, value_text
from posology.report.view import HEADLINE, Gate, Measure, Miss, RunView, StageMarks

NOT_FOR_CARE = "Not for care of patients: no clinician has reviewed these facts or answers."
# Counts that must be 0, the most dangerous first, and what went wrong.
MUST_BE_ZERO = {
    "unsafe_reassurance": "answers called a medicine acceptable that this patient must not have",
    "critical_dose_errors": "doses were at least twice or at most half the right one, or above the maximum",
}
DANGERS = (("unsafe", "reassur"), ("critical",), ("a stop was missed",))  # words of a miss, the worst first
QUOTED = (12, 4)  # misses of the judged stage, and of each other
RANK = {"dangerous": 0, "failed": 1, "gate": 2, "open": 3, "check": 4, "note": 5}


@dataclass(frozen=True)
class Finding:
    """One thing that stands against the run. `rank` 0 is the worst."""

    rank: int
    text: str
    source: Number | None = None


def judged_stage(view: RunView) -> StageMarks | None:
    """The stage that the verdict is about: the best on the development split, else the most aligned that was graded."""
    if view.card is None or not view.card.stages:
        return None
    return view.card.stage(view.card.best_stage) or view.card.stages[-1]


def findings(view: RunView) -> tuple[Finding, ...]:
    """Everything that stands against the run, worst first."""
    marks = judged_stage(view)
    found = [*(_of_marks(marks) if marks else ()), *_of_run(view)]
    return tuple(sorted(found, key=lambda finding: finding.rank))


def sentence(view: RunView) -> str:
    """The verdict on the run."""
    marks = judged_stage(view)
    if marks is None:
        done = [name for name, stage in view.stages.items() if stage.status == "finished"]
        reached = f"it has finished {', '.join(done)}" if done else "no stage has finished"
        return f"This run has not been graded, so it shows nothing about its answers; {reached}."
    measures = [m for name in HEADLINE if (m := marks.measure(name))]
    met = [m for m in measures if m.verdict == "PASS" and all(gate.passed for gate in m.gates)]
    against = findings(view)
    name = stage_name(marks.name)
    who = f"The best stage on the development split, {name}," if marks.name == _best(view) else f"Stage {name}"
    told = f"{who} meets {len(met)} of {len(measures)} targets"
    if against and against[0].rank <= RANK["open"]:
        return f"{told}. Worst: {against[0].text}."
    return f"{told}, with every gate that goes with them, on this exam and one training seed."


def gates(marks: StageMarks) -> tuple[tuple[Gate, tuple[str, ...]], ...]:
    """Every gate of a stage with the measures that hang on it, those that are not met first."""
    found: dict[tuple[str, bool | None, float | None], tuple[Gate, list[str]]] = {}
    for measure in marks.headline:
        for gate in measure.gates:
            value = gate.value.value if gate.value else None
            found.setdefault((gate.name, gate.passed, value), (gate, []))[1].append(measure.name)
    rows = [(gate, tuple(names)) for gate, names in found.values()]
    return tuple(sorted(rows, key=lambda row: {False: 0, None: 1, True: 2}[row[0].passed]))


def worst_miss(view: RunView) -> Miss | None:
    misses = ordered_misses(view)
    return misses[0] if misses else None


def ordered_misses(view: RunView) -> tuple[Miss, ...]:
    """The scorecard's misses: those of the judged stage first, dangerous ones before others."""
    if view.card is None:
        return ()
    marks = judged_stage(view)
    name = marks.name if marks else ""
    return tuple(sorted(view.card.misses, key=lambda miss: (miss.stage != name, danger(miss))))


def quoted_misses(view: RunView) -> tuple[Miss, ...]:
    """Those that the page has room for: more of the judged stage, some of every other."""
    marks = judged_stage(view)
    left = {stage.name: QUOTED[stage is not marks] for stage in (view.card.stages if view.card else ())}
    quoted = []
    for miss in ordered_misses(view):
        left[miss.stage] = left.get(miss.stage, QUOTED[1]) - 1
        if left[miss.stage] >= 0:
            quoted.append(miss)
    return tuple(quoted)


def danger(miss: Miss) -> int:
    """0: unsafe reassurance; 1: a critical dose; 2: a missed stop; 3: the rest."""
    said = f"{miss.kind} {miss.why}".lower().replace("_", " ")
    return next((rank for rank, words in enumerate(DANGERS) if any(word in said for word in words)), len(DANGERS))


def _best(view: RunView) -> str:
    return view.card.best_stage if view.card else ""


def _of_marks(marks: StageMarks) -> Iterator[Finding]:
    for name, what in MUST_BE_ZERO.items():
        measure = marks.measure(name)
        if measure and (measure.k or (measure.k is None and measure.value)):
            counted = measure.n is not None and measure.k is not None
            often = f"{count(measure.k or 0)} of {count(measure.n or 0)}" if counted else "some"
            yield Finding(RANK["dangerous"], f"{often} {what} (must be 0)", measure.number)
    failed = [m for m in marks.headline if m.verdict == "FAIL"]
    for measure in sorted(failed, key=lambda m: (m.value or 0) - (m.target or 0)):
        yield Finding(RANK["failed"], _short_of(measure), measure.number)
    for gate, names in gates(marks):
        if gate.passed is False:
            do = "does" if len(names) == 1 else "do"
            yield Finding(RANK["gate"], f"{listed(names)} {do} not count: {gate_text(gate)}", gate.value)
    for measure in marks.headline:
        if measure.verdict == "NOT DEMONSTRATED":
            yield Finding(RANK["open"], f"{_short_of(measure)}: not demonstrated", measure.number)


def _short_of(measure: Measure) -> str:
    target = "" if measure.target is None else f" against a target of {percent(measure.target)}"
    size = "" if measure.n is None else f", n = {count(measure.n)}"
    return f"{measure.name} {value_text(measure)} {interval(measure)}{target}{size}".replace("  ", " ")


def _of_run(view: RunView) -> Iterator[Finding]:
    for name, stage in view.stages.items():
        if stage.forced:
            yield Finding(
                RANK["check"], f"{stage_name(name)} was started with --force although the reward model failed its gate"
            )
        if reason := stage.text("stopped"):
            yield Finding(RANK["check"], f"{stage_name(name)} stopped early: {reason}")
    red = [check for check in view.checks or () if not check.passed]
    if red:
        yield Finding(RANK["check"], f"{plural(len(red), 'check')} of the sanity list red: {red[0].name}")
    if view.checks is None:
        yield Finding(RANK["note"], "the sanity list has not been made: posology doctor")
    if view.missing:
        yield Finding(RANK["note"], f"not finished: {', '.join(view.missing)}")
    for problem in view.damaged:
        yield Finding(RANK["check"], f"could not be read: {problem}")
