"""Checkpoints hold what is trained, refuse what does not fit, and survive damage."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from posology.errors import UserError
from posology.files import verify_manifest, write_manifest
from posology.training.checkpoint import Checkpoints, State, kept_tensors
from posology.training.optimiser import build

from .toys import OPTIMISER, Adaptive, network


def made(folder: Path, modules: dict[str, nn.Module], keep: int = 2) -> tuple[Checkpoints, list[str]]:
    said: list[str] = []
    return Checkpoints(folder, modules, build(modules, OPTIMISER, 10), keep, said.append), said


def state(step: int, fingerprint: str = "x") -> State:
    return State(step=step, fingerprint=fingerprint, seed=1, seconds=2.5, log={"metrics.jsonl": 10}, start=0.7)


def test_round_trip(tmp_path: Path) -> None:
    modules = {"model": network(), "adaptive": Adaptive()}
    checkpoints, _ = made(tmp_path, modules)
    modules["adaptive"].value.fill_(0.123456789012345)
    path = checkpoints.save(state(3))
    assert sorted(p.name for p in path.iterdir()) == [
        "adaptive.safetensors", "model.safetensors", "optimiser.safetensors", "sha256.json", "state.json",
    ]  # fmt: skip
    before = {name: value.clone() for name, value in modules["model"].state_dict().items()}
    with torch.no_grad():
        for tensor in [*modules["model"].parameters(), modules["adaptive"].value]:
            tensor.add_(1)
    assert checkpoints.resume("x", 1) == state(3)
    assert float(modules["adaptive"].value) == 0.123456789012345
    assert all(torch.equal(value, before[name]) for name, value in modules["model"].state_dict().items())


def test_a_tied_weight_is_saved_once_and_stays_tied(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6, bias=False))
    model[1].weight = model[0].weight
    checkpoints, _ = made(tmp_path, {"model": model})
    path = checkpoints.save(state(1))
    assert list(load_file(path / "model.safetensors")) == ["0.weight"]
    saved = model[0].weight.detach().clone()
    with torch.no_grad():
        model[0].weight.zero_()
    checkpoints.restore(1)
    assert model[1].weight is model[0].weight and torch.equal(model[1].weight, saved)


def test_frozen_parameters_and_fleeting_buffers_are_left_out() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    model.register_buffer("kept", torch.zeros(2))
    model.register_buffer("fleeting", torch.zeros(2), persistent=False)
    names = set(kept_tensors(model))
    assert "kept" in names and "0.bias" in names and not {"0.weight", "fleeting"} & names


def test_only_the_newest_are_kept_and_the_best(tmp_path: Path) -> None:
    checkpoints, _ = made(tmp_path, {"model": network()})
    for step in range(1, 6):
        checkpoints.save(state(step), also_keep=2)
    assert checkpoints.steps() == [5, 4, 2]
    checkpoints.save(state(6), also_keep=5)
    assert checkpoints.steps() == [6, 5]


def test_coming_past_a_damaged_one_removes_it(tmp_path: Path) -> None:
    checkpoints, said = made(tmp_path, {"model": network()})
    for step in (2, 4, 6):
        checkpoints.save(state(step))
    (checkpoints.path(6) / "state.json").write_text("{")
    assert checkpoints.resume("x", 1) == state(4)
    assert "step-000006 is damaged (state.json has 1 bytes" in said[0]
    checkpoints.save(state(5))
    assert checkpoints.steps() == [5, 4]


@pytest.mark.parametrize("harm", ["missing", "short", "flipped", "no manifest", "bad manifest"])
def test_every_kind_of_damage_is_seen(harm: str, tmp_path: Path) -> None:
    checkpoints, said = made(tmp_path, {"model": network()})
    path = checkpoints.save(state(1))
    victim = path / ("sha256.json" if "manifest" in harm else "model.safetensors")
    data = victim.read_bytes()
    if harm in ("missing", "no manifest"):
        victim.unlink()
    else:
        changed = {"short": data[:-1], "flipped": data[:-1] + bytes([data[-1] ^ 1]), "bad manifest": b"[]"}
        victim.write_bytes(changed[harm])
    assert checkpoints.resume("x", 1) is None
    assert "is damaged" in said[0] and "no checkpoint" in said[1]
    with pytest.raises(UserError, match="is damaged"):
        checkpoints.restore(1)


def test_leftovers_of_a_killed_write_are_no_checkpoints(tmp_path: Path) -> None:
    checkpoints, said = made(tmp_path, {"model": network()})
    checkpoints.save(state(1))
    checkpoints.path(1).rename(tmp_path / ".tmp-step-000002")
    assert checkpoints.resume("x", 1) is None and said == []
    assert list(tmp_path.iterdir()) == []


def test_other_seed_or_fingerprint_is_set_aside(tmp_path: Path) -> None:
    for asked in (("y", 1), ("x", 2)):
        checkpoints, said = made(tmp_path / "checkpoints", {"model": network()})
        checkpoints.save(state(1))
        assert checkpoints.resume(*asked) is None
        assert checkpoints.steps() == [] and "moved to checkpoints.previous" in said[0]
    assert (tmp_path / "checkpoints.previous" / "step-000001").is_dir()


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path: Path) -> None:
    checkpoints, _ = made(tmp_path, {"model": network()})
    checkpoints.save(state(1))
    other = {"model": nn.Sequential(nn.Linear(5, 12), nn.Linear(12, 2))}
    before = other["model"][0].weight.detach().clone()
    with pytest.raises(UserError, match=r"does not fit the model: model\.1\."):
        made(tmp_path, other)[0].resume("x", 1)
    assert torch.equal(other["model"][0].weight, before)


def test_a_valid_hash_over_a_torn_file_is_still_an_error(tmp_path: Path) -> None:
    checkpoints, _ = made(tmp_path, {"model": network()})
    path = checkpoints.save(state(1))
    (path / "model.safetensors").write_bytes(b"not safetensors")
    write_manifest(path)
    assert not verify_manifest(path)
    with pytest.raises(UserError, match="cannot read"):
        checkpoints.restore(1)


def test_no_pickle(tmp_path: Path) -> None:
    checkpoints, _ = made(tmp_path, {"model": network()})
    path = checkpoints.save(state(1))
    assert {p.suffix for p in path.iterdir()} == {".safetensors", ".json"}
    assert json.loads((path / "state.json").read_text())["step"] == 1


def test_bytes_needed_covers_what_is_written(tmp_path: Path) -> None:
    checkpoints, _ = made(tmp_path, {"model": network()})
    path = checkpoints.save(state(1))
    assert sum(p.stat().st_size for p in path.iterdir()) <= checkpoints.bytes_needed()
