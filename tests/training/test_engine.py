"""Several processes: what they learn in a step is what one would, and what ends one of them ends all in order."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import posology
from posology.errors import ConfigError
from posology.files import read_json
from posology.training.engine import Engine, Meter, open_engine

from .toys import Rows

CASES = [("ddp", case) for case in ("sft", "reward", "dpo", "ppo")]
CASES += [("fsdp2", case) for case in ("sft", "sft-lora", "reward", "dpo", "dpo-lora")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ranks.py leaves behind: two gloo processes against one."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = {**os.environ, "PYTHONPATH": str(Path(posology.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("ranks.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), str(folder)], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    statuses = json.loads(done.stdout)
    assert statuses.pop("failures") == [0, 9], done.stderr[-3000:]  # process 1 dies at the end of it
    assert not [status for both in statuses.values() for status in both if status], done.stderr[-3000:]
    return folder


def apart(mine: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest |difference| / |value| of any tensor. One that is nearly 0 is held against all of them together."""
    whole = torch.cat([value.flatten() for value in other.values()]).norm()
    assert mine.keys() == other.keys() and whole > 0
    return max(float((mine[key] - other[key]).norm() / max(other[key].norm(), 1e-3 * whole)) for key in other)


@pytest.mark.parametrize(("engine", "case"), CASES)
def test_a_step_of_two_processes_is_a_step_of_one(trained: Path, engine: str, case: str) -> None:
    one, two = (load_file(trained / "gradients" / f"{name}.{case}.safetensors") for name in ("single", engine))
    assert apart(two, one) < 1e-5


@pytest.mark.parametrize(("engine", "case"), CASES)
def test_and_so_are_its_figures(trained: Path, engine: str, case: str) -> None:
    one, two = (figures(trained / name / case) for name in ("single", engine))
    assert two == {name: pytest.approx(value, rel=1e-4, abs=1e-5) for name, value in one.items()}


def figures(folder: Path) -> dict[str, float]:
    """Of the first update: later ones are apart by what Adam makes of a rounding error."""
    (stage,) = folder.iterdir()
    rows = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    return next({k: v for k, v in row.items() if k not in ("time_s", "split")} for row in rows if row["step"] == 1)


@pytest.mark.parametrize(("engine", "case"), [("ddp", "sft"), ("ddp", "ppo"), ("fsdp2", "sft-lora"), ("fsdp2", "dpo")])
def test_resumed_equals_uninterrupted_bit_for_bit(trained: Path, engine: str, case: str) -> None:
    unbroken, resumed = read_json(trained / f"resumed-{engine}.json")[case]
    assert resumed == unbroken


def test_one_process_goes_on_from_a_checkpoint_of_two(trained: Path) -> None:
    left = trained / "single" / "left" / "dpo" / "dpo"
    alone, together = (
        load_file(folder / "final" / "model.safetensors")
        for folder in (left, trained / "fsdp2" / "unbroken" / "dpo" / "dpo")
    )
    assert apart(alone, together) < 1e-3  # two updates later: DPO has no dropout, and Adam enlarges rounding
    steps = [json.loads(line)["step"] for line in (left / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 4, "it went on, and did not begin again"


@pytest.mark.parametrize("case", ["sft-lora", "dpo-lora"])
def test_adapters_are_gathered_and_saved_once(trained: Path, case: str) -> None:
    final, alone = (trained / name / case / case.partition("-")[0] / "final" for name in ("fsdp2", "single"))
    assert sorted(path.relative_to(final) for path in final.rglob("*")) == sorted(
        path.relative_to(alone) for path in alone.rglob("*")
    )
    for name in ("adapter/adapter_model.safetensors", "model.safetensors"):
        shapes = [{key: value.shape for key, value in load_file(folder / name).items()} for folder in (final, alone)]
        assert shapes[0] == shapes[1], "tied, merged and named as by one process"
    assert list(trained.rglob("adapter_model.safetensors")).count(final / "adapter/adapter_model.safetensors") == 1


@pytest.mark.parametrize(("engine", "sharded"), [("ddp", False), ("fsdp2", True)])
def test_the_manifest_says_what_ran(trained: Path, engine: str, sharded: bool) -> None:
    found = read_json(trained / engine / "sft" / "sft" / "manifest.json")["engine"]
    assert (found["kind"], found["world"], found["backend"], found["checked_at_step"]) == (engine, 2, "gloo", 1)
    assert (found["sharded_tensors"] > 0) is sharded and (found["equal_tensors"] > 0) is not sharded


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stopped", "143 stopped at step 3 of 6"),
        ("poisoned", "1 the loss is nan at step 2"),
        ("apart", "1 the processes have drifted apart: model.0.weight"),
        ("muon", "2 engine = fsdp2 keeps parts of each matrix"),
        ("ppo", "2 ppo does not run with engine = fsdp2"),
        ("single", "2 torchrun started 2 processes"),
        ("unsharded", "1 engine = fsdp2 was asked for and is not running"),
    ],
)
def test_what_one_process_finds_all_of_them_say(trained: Path, name: str, said: str) -> None:
    """ "stopped" is told to process 1 alone, and "apart" has its weights alone changed."""
    texts = [(trained / f"{name}-{rank}.txt").read_text() for rank in (0, 1)]
    assert texts[0] == texts[1] and texts[0].startswith(said)


def test_a_process_that_dies_takes_the_other_along(trained: Path) -> None:
    assert (trained / "dead-0.txt").read_text().startswith("1 another process of this run has ended")
    assert not (trained / "dead-1.txt").exists()


def test_one_process_saves_where_it_was_stopped(trained: Path) -> None:
    assert [path.name for path in (trained / "stopped" / "sft" / "checkpoints").iterdir()] == ["step-000003"]


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 5, 7, 16])
def test_every_row_is_somebodys_and_nobody_is_left_without(rows: int, world: int) -> None:
    x = torch.arange(float(rows))
    shares = [Engine("ddp", rank, world).share(Rows(x, x)) for rank in range(world)]
    assert all(part.rows_in for part, _ in shares), "a sharded layer waits for all"
    assert sorted(torch.cat([part.inputs for part, counts in shares if counts]).tolist()) == x.tolist()
    blocks = [x[Engine("ddp", rank, world).block(rows)] for rank in range(world)]
    assert torch.cat(blocks).tolist() == x.tolist()


def test_alone_it_is_the_identity() -> None:
    engine = Engine()
    meter = Meter()
    meter.add({"loss": 2.0}, 1.0)
    meter.add({"loss": 5.0}, 3.0)
    assert meter.means(engine) == {"loss": 4.25}
    layer = nn.Linear(2, 2)
    assert engine.place([layer], bf16=False) == {} and engine.whole({"a": layer}, {}) == {"a": layer}
    assert engine.leader and engine.check({}, {}) == {"kind": "single", "world": 1}


@pytest.mark.parametrize("asked", ["ddp", "fsdp2"])
def test_several_processes_need_torchrun(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="torchrun") as found:
        open_engine(asked)
    assert "torchrun --nproc-per-node" in found.value.hint


def test_the_same_command_under_torchrun(tmp_path: Path) -> None:
    """The whole command line, data and tokenizer included, by two processes; its files are one process's files."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    }
    environment |= {"PYTHONPATH": str(Path(posology.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    config = Path(__file__).parents[2] / "configs" / "smoke.yaml"
    asked = [
        *("pretrain", "--config", str(config), "--runs", str(tmp_path), "--run", "two"), *("--set", "engine=ddp"),
        *("--set", "pretrain.fit.steps=2"), *("--set", "pretrain.fit.evaluate_every=2"), *("--set", "threads=1"),
        *("--set", "pretrain.fit.precision=fp32"),
    ]  # fmt: skip
    torchrun = "-m torch.distributed.run --standalone --nproc-per-node 2 -m -- posology"
    launcher = [sys.executable, *torchrun.split()]
    done = subprocess.run([*launcher, *asked], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("Not for care of patients") == 1 and done.stdout.startswith(str(tmp_path))
    stage = tmp_path / "two" / "pretrain"
    assert read_json(stage / "manifest.json")["engine"]["world"] == 2
    assert [json.loads(line)["step"] for line in (stage / "metrics.jsonl").read_text().splitlines()] == [0, 1, 2, 2]

    wrong = subprocess.run(
        [*launcher, *asked, "--set", "pretrain.tokens=1"], env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode != 0 and wrong.stderr.count("error: bad value pretrain.tokens = 1") == 1
