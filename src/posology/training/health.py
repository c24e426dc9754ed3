"""The cheap checks at every start and along the way: does the loss begin where it should, does anything move?

A failed check is said aloud once, in plain words, and again when it mends; all stand in the stage's health.json, which
`posology doctor` and the report read. Only a loss or gradient that is not finite stops a run (fit.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from posology.files import atomic_write_json, read_json
from posology.models.sharded import local
from posology.runs import Stage

Expected = tuple[float, float, str]  # lowest, highest, and what the value should be: "ln V"
FIRST_UPDATES = 5  # rollouts or steps after which every module must have moved
STILL_UPDATES = 20  # updates without any movement that are said aloud
ELEMENTS = 1024  # values looked at in each parameter


@dataclass(frozen=True)
class Check:
    """One line of the sanity list."""

    name: str
    passed: bool
    detail: str


def check_start(value: float, expected: Expected) -> Check:
    """The first step's loss against what theory says of untrained weights or a zero head."""
    low, high, what = expected
    return Check(
        f"the loss starts near {what}", low <= value <= high, f"{value:.4f} nats, expected {low:.4f} to {high:.4f}"
    )


class Snapshot:
    """A few values of each trained parameter, by module, to see later whether they moved."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._parameters = parameters
        self._values = {name: _some(p) for name, p in parameters.items()}

    def still(self) -> dict[str, list[str]]:
        """Module -> names of its parameters whose values are what they were (modules where none is still: [])."""
        found: dict[str, list[str]] = {}
        for name, value in self._values.items():
            module, _, parameter = name.partition(".")
            found.setdefault(module, [])
            if bool((_some(self._parameters[name]) == value).all()):
                found[module].append(parameter)
        return found

    def count(self, module: str) -> int:
        return sum(name.partition(".")[0] == module for name in self._values)


def check_moved(snapshot: Snapshot, updates: int) -> list[Check]:
    """One check a module: did at least half of its parameters move? A few may rest (a reward model's bias must)."""
    checks = []
    for module, still in snapshot.still().items():
        total = snapshot.count(module)
        detail = f"{total - len(still)} of {total} tensors moved in {updates} updates"
        if still:
            detail += f"; still: {', '.join(still[:3])}" + (" ..." if len(still) > 3 else "")
        checks.append(Check(f"{module}: parameters move", len(still) <= total / 2, detail))
    return checks


class Watch:
    """Runs the checks of one stage at their time, writes them down, and tells `say` when one changes."""

    def __init__(
        self, stage: Stage, parameters: Mapping[str, Tensor], *, stride: int, expected: Expected | None,
        budget_s: float | None, say: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.stage, self.parameters, self.expected, self.budget_s, self.say = stage, parameters, expected, budget_s, say
        self.first, self.every = FIRST_UPDATES * stride, -(-STILL_UPDATES // stride) * stride
        self._known = {check.name: check for check in read_checks(stage)}
        self._start: Snapshot | None = None
        self._recent = Snapshot(parameters)
        self._since = 0

    def begin(self, step: int) -> None:
        """Call before the first update of a sitting, with the step that it starts from."""
        self._since = step
        if step == 0:
            self._known = {}
            if self.stage.writes:
                self.stage.health_path.unlink(missing_ok=True)
            self._start = self._recent

    def after(self, step: int, start: float | None) -> None:
        """Call after each update with its number, from 1, and the first update's loss."""
        if step == 1 and self.expected and start is not None:
            self.record(step, check_start(start, self.expected))
        if step == self.first and self._start is not None:
            for check in check_moved(self._start, step):
                self.record(step, check)
            self._start = None
        if step > self._since and (step - self._since) % self.every == 0:
            self._check_still(step)
        if self.budget_s is not None and self.stage.seconds() > self.budget_s:
            self._check_budget(step, self.budget_s)

    def end(self, step: int) -> None:
        """Call when the stage is finished."""
        if self.budget_s is not None:
            self._check_budget(step, self.budget_s)

    def _check_budget(self, step: int, budget_s: float) -> None:
        spent = self.stage.seconds()
        detail = f"{spent:.0f} s at step {step}, planned {budget_s:.0f} s"
        self.record(step, Check("within its time budget", spent <= budget_s, detail))

    def _check_still(self, step: int) -> None:
        updates = step - self._since
        for module, still in self._recent.still().items():
            moved = len(still) < self._recent.count(module)
            detail = "moving" if moved else f"nothing moved for {updates} updates, up to step {step}"
            self.record(step, Check(f"{module}: still moving", moved, detail))
        self._recent, self._since = Snapshot(self.parameters), step

    def record(self, step: int, check: Check) -> None:
        """Keep a check. It is written and said only when it is new and red, or has changed colour."""
        before = self._known.get(check.name)
        if before is not None and before.passed == check.passed:
            return
        self._known[check.name] = check
        rows = [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self._known.values()]
        if self.stage.writes:
            atomic_write_json(self.stage.health_path, {"checks": rows, "step": step})
        if not check.passed:
            self.say(f"health: {check.name}: NO ({check.detail})")
        elif before is not None:
            self.say(f"health: {check.name}: yes again ({check.detail})")


def read_checks(stage: Stage) -> list[Check]:
    """The checks that a stage wrote down; [] before it has begun."""
    if not stage.health_path.is_file():
        return []
    rows: list[dict[str, Any]] = read_json(stage.health_path)["checks"]
    return [Check(str(row["name"]), bool(row["passed"]), str(row["detail"])) for row in rows]


def _some(parameter: Tensor) -> Tensor:
    """Up to ELEMENTS values, evenly spread over the parameter (this process's part of it), copied."""
    flat = local(parameter.detach()).reshape(-1)
    return flat[:: max(len(flat) // ELEMENTS, 1)].clone()
