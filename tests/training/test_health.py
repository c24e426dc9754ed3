"""Checks that turn red when they should, are said once, and are written down."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from posology.training.health import Check, Snapshot, Watch, check_moved, check_start, read_checks

from .toys import toy_stage


def watch(folder: Path, parameters: dict[str, Tensor], **changes: object) -> tuple[Watch, list[str]]:
    said: list[str] = []
    values = {"stride": 1, "expected": None, "budget_s": 1000.0, "say": said.append, **changes}
    made = Watch(toy_stage(folder), parameters, **values)  # type: ignore[arg-type]
    made.begin(0)
    return made, said


def parameters(**modules: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.named_parameters()}


@pytest.mark.parametrize(("loss", "passed"), [(8.03, True), (7.0, False), (9.5, False), (float("nan"), False)])
def test_start(loss: float, passed: bool) -> None:
    check = check_start(loss, (7.63, 8.83, "ln V"))
    assert check.passed is passed and check.name == "the loss starts near ln V"


def test_moved_by_module() -> None:
    policy, critic = nn.Linear(3, 3), nn.Linear(3, 1)
    snapshot = Snapshot(parameters(model=policy, critic=critic))
    with torch.no_grad():
        policy.weight[0, 0] += 1e-3
    moved, still = check_moved(snapshot, 5)
    assert moved.passed and "1 of 2 tensors moved in 5 updates; still: bias" in moved.detail
    assert not still.passed and still.name == "critic: parameters move" and "0 of 2" in still.detail


def test_a_large_parameter_is_sampled_all_over() -> None:
    big = nn.Parameter(torch.zeros(100, 1000))
    snapshot = Snapshot({"model.big": big})
    with torch.no_grad():
        big += 1
    assert snapshot.still() == {"model": []} and len(next(iter(snapshot._values.values()))) <= 2048


def test_start_and_movement_are_checked_once_and_written(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    made, said = watch(tmp_path, parameters(model=layer), expected=(0.0, 1.0, "ln 2"))
    for step in range(1, 7):
        made.after(step, 3.0)
    assert said == [
        "health: the loss starts near ln 2: NO (3.0000 nats, expected 0.0000 to 1.0000)",
        "health: model: parameters move: NO (0 of 2 tensors moved in 5 updates; still: weight, bias)",
    ]
    assert [check.passed for check in read_checks(toy_stage(tmp_path))] == [False, False]


def test_what_is_well_is_written_in_silence(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    made, said = watch(tmp_path, parameters(model=layer), expected=(0.0, 1.0, "ln 2"))
    for step in range(1, 41):
        with torch.no_grad():
            layer.weight += 1
            layer.bias += 1
        made.after(step, 0.5)
    made.end(40)
    assert said == []
    assert {check.name: check.passed for check in read_checks(toy_stage(tmp_path))} == {
        "the loss starts near ln 2": True, "model: parameters move": True, "model: still moving": True,
        "within its time budget": True,
    }  # fmt: skip


def test_standing_still_and_moving_again_are_both_said(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    made, said = watch(tmp_path, parameters(model=layer))
    for step in range(1, 61):
        if step <= 15 or step > 45:
            with torch.no_grad():
                layer.weight += 1
                layer.bias += 1
        made.after(step, None)
    assert said == [
        "health: model: still moving: NO (nothing moved for 20 updates, up to step 40)",
        "health: model: still moving: yes again (moving)",
    ]


def test_a_policy_may_rest_while_its_critic_warms_up(tmp_path: Path) -> None:
    """With a stride of 4 a module has 5 rollouts' time to move, not 5 updates."""
    policy, critic = nn.Linear(2, 2), nn.Linear(2, 2)
    made, said = watch(tmp_path, parameters(model=policy, critic=critic), stride=4)
    for step in range(1, 21):
        for module in [critic] + [policy] * (step > 8):
            with torch.no_grad():
                module.weight += 1
                module.bias += 1
        made.after(step, None)
    assert said == []


def test_over_budget_is_said_once(tmp_path: Path) -> None:
    made, said = watch(tmp_path, parameters(model=nn.Linear(2, 2)), budget_s=1e-9)
    made.after(1, None)
    made.after(2, None)
    made.end(2)
    assert len(said) == 1 and said[0].startswith("health: within its time budget: NO")


def test_a_fresh_start_forgets_and_a_resumed_one_remembers(tmp_path: Path) -> None:
    made, _ = watch(tmp_path, parameters(model=nn.Linear(2, 2)))
    made.record(3, Check("old", False, "then"))
    again = Watch(toy_stage(tmp_path), {}, stride=1, expected=None, budget_s=1, say=print)
    again.begin(3)
    assert read_checks(toy_stage(tmp_path)) == [Check("old", False, "then")]
    again.begin(0)
    assert read_checks(toy_stage(tmp_path)) == []
