"""The sanity list that needs no run: every check of the machinery is green, and its gradient check is exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from posology.recipes.doctor import inspect, machinery
from posology.runs import Run


def test_the_machinery_is_sound() -> None:
    checks = machinery()
    assert len(checks) == 4 and [check.detail for check in checks if not check.passed] == []


def test_the_gradient_check_runs_in_double_precision() -> None:
    detail = next(check.detail for check in machinery() if check.name == "gradient = finite difference")
    exact, measured = (float(text) for text in detail.split(" against "))
    assert abs(exact - measured) < 1e-3 * abs(exact)  # in single precision rounding alone is 50 times that


@pytest.mark.parametrize(("kind", "sharded", "passed"), [("ddp", 0, True), ("fsdp2", 12, True), ("fsdp2", 0, False)])
def test_it_says_which_engine_trained_a_stage(kind: str, sharded: int, passed: bool, tmp_path: Path) -> None:
    stage = Run(tmp_path).stage("sft")
    stage.path.mkdir()
    found = {"world": 4, "backend": "nccl", "sharded_tensors": sharded, "equal_tensors": 3, "checked_at_step": 1}
    stage.note(engine={"kind": kind, **found})
    (check,) = inspect(Run(tmp_path))
    assert check.passed is passed and f"{kind}, 4 processes over nccl" in check.detail
