"""A user's own model in two processes: the commands leave what they leave in one, whatever the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import posology
from posology.files import read_json
from posology.models.quiet import quiet
from posology.models.source import load_model, open_source

from ..family_models import save_family
from .own_files import DRUGS


def write_files(folder: Path) -> None:
    """A tiny model; rows and pairs from one line to several; one row that cannot be used."""
    save_family(folder / "base", "llama")
    for name, count, start in (("", 13, 0), ("held", 5, 50)):
        rows, pairs = [], []
        for i in range(start, start + count):
            drug, much = DRUGS[i % 4], " and is well" * (i * 5 % 7)
            prompt = f"Patient takes {drug} {10 + i} mg{much}."
            answer = f"{drug.title()} {10 + i} mg" + ", reviewed" * (i * 3 % 5)
            rows.append({"prompt": prompt, "completion": answer})
            pairs.append({"prompt": prompt, "chosen": answer, "rejected": answer.replace("mg", "grams, perhaps")})
        if not name:
            rows.insert(4, {"prompt": "", "completion": "nothing was asked"})
        write(folder / f"{name or 'rows'}.jsonl", rows)
        write(folder / f"{name}-pairs.jsonl" if name else folder / "pairs.jsonl", pairs)


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What own_ranks.py leaves behind; `codes.json` are the commands' exit codes."""
    folder = tmp_path_factory.mktemp("own")
    write_files(folder)
    environment = {**os.environ, "PYTHONPATH": str(Path(posology.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.recipes.own_ranks", str(folder)], cwd=Path(__file__).parents[2],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    codes = json.loads(done.stdout)
    killed = codes.pop("killed"), codes.pop("left")
    assert all(status for both in killed for status in both) and codes.pop("refused-ppo") == [2, 2]
    said = {name: (folder / "said" / f"{name}.err").read_text()[-2000:] for name, both in codes.items() if any(both)}
    assert not said
    return folder


def stage(root: Path, run: str) -> Path:
    (folder,) = (path.parent for path in (root / "runs" / run).glob("*/manifest.json"))
    return folder


def weights(final: Path) -> dict[str, torch.Tensor]:
    """By file and name. Not a reward head's bias: its gradient is 0 but for rounding, which Adam makes steps of."""
    return {
        f"{path.relative_to(final)}: {name}": value
        for path in sorted(final.rglob("*.safetensors"))
        for name, value in load_file(path).items()
        if (path.name, name) != ("head.safetensors", "bias")
    }


def apart(mine: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest |difference| / |value| of any tensor."""
    assert mine.keys() == other.keys()
    return max(float((mine[key] - other[key]).norm() / other[key].norm()) for key in other)


TRAINED = [("ddp", case) for case in ("sft", "fresh", "reward", "ppo")]
TRAINED += [("fsdp2", case) for case in ("sft", "full", "fresh", "further", "reward")]


@pytest.mark.parametrize(("engine", "case"), TRAINED)
def test_two_processes_train_what_one_trains(trained: Path, engine: str, case: str) -> None:
    """Three to twelve updates on ragged rows in fp32, LoRA from the base and further, and with all weights trained.

    A gradient that is nearly 0 is held against all of them; weights are apart by what Adam makes of rounding.
    """
    names = [f"{name}-{case}" for name in ("single", engine)]
    one, two = (load_file(trained / "said" / "gradients" / f"{name}.safetensors") for name in names)
    size = torch.cat([value.flatten() for value in one.values()]).norm()
    assert one.keys() == two.keys() and len({name.partition(".")[0] for name in one}) >= 3
    assert all((two[key] - one[key]).norm() < 1e-5 * max(one[key].norm(), 1e-2 * size) for key in one)
    one, two = (stage(trained, name) for name in names)
    assert apart(weights(two / "final"), weights(one / "final")) < 1e-3
    assert figures(two) == figures(one)


def figures(folder: Path) -> list[Any]:
    """Every line of the log, the held-out ones too; and the step that was kept by them."""
    path = folder / "metrics.jsonl"
    log = (path if path.exists() else folder / "member-0" / "metrics.jsonl").read_text().splitlines()
    rows = [{key: value for key, value in json.loads(line).items() if key != "time_s"} for line in log]
    manifest = read_json(folder / "manifest.json")
    return [
        manifest.get("kept_step"), manifest.get("steps"),
        *({key: pytest.approx(x, rel=1e-3, abs=1e-4) if isinstance(x, float) else x for key, x in row.items()} for row in rows),
    ]  # fmt: skip


def test_they_did_train(trained: Path) -> None:
    """Otherwise the test above would compare what was there before."""
    for case, start in (("fresh", "base"), ("further", "single-sft"), ("ppo", "base")):
        adapters = weights(stage(trained, f"single-{case}") / "final")
        if start == "base":
            assert all(value.norm() > 0 for name, value in adapters.items() if "lora_B" in name)
        else:
            assert apart(adapters, weights(stage(trained, start) / "final")) > 1e-3
    assert apart(weights(stage(trained, "single-full") / "final"), weights(trained / "base")) > 1e-4


@pytest.mark.parametrize(("engine", "case"), TRAINED)
def test_they_leave_the_files_of_one_and_speak_once(trained: Path, engine: str, case: str) -> None:
    one, two = (trained / "runs" / f"{name}-{case}" for name in ("single", engine))
    names = [sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()) for run in (one, two)]
    assert names[0] == names[1]
    out, err = ((trained / "said" / f"{two.name}.{name}").read_text() for name in ("out", "err"))
    assert out.count("Not for care of patients") == 1 and err.count("memory: about") == 1
    assert err.count("in each of 2 processes") == 1 and ("gathered layers" in err) == (engine == "fsdp2")
    found = read_json(next(two.glob("*/member-0/manifest.json"), stage(trained, two.name) / "manifest.json"))["engine"]
    assert (found["kind"], found["world"], found["sharded_tensors"] > 0) == (engine, 2, engine == "fsdp2")
    assert f"engine: {engine}" in (two / "config.yaml").read_text()
    for path in one.rglob("rejects*.jsonl"):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()


def test_a_resumed_run_is_the_same_bit_for_bit(trained: Path) -> None:
    """Both processes killed after step 3; dropout on, adapters and moments sharded."""
    assert "going on from step 2" in (trained / "said" / "parts.err").read_text()
    whole, parts = (weights(stage(trained, name) / "final") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)


def test_one_process_goes_on_where_two_stopped(trained: Path) -> None:
    """`--engine` and the number of processes are no part of what a stage is made of."""
    assert "that was written by fsdp2 x 2, this is single x 1" in (trained / "said" / "moved.err").read_text()
    moved, one = (weights(stage(trained, name) / "final") for name in ("moved", "single-sft"))
    assert apart(moved, one) < 1e-3


def test_sharded_adapters_load_without_us(trained: Path) -> None:
    final = stage(trained, "fsdp2-sft") / "final"
    ids = torch.arange(12)[None]
    with quiet(), torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(trained / "base")
        plain = PeftModel.from_pretrained(base, str(final)).eval()(ids).logits
        ours = load_model(open_source(final), torch.device("cpu"))(ids).logits
    torch.testing.assert_close(plain, ours)


def test_what_two_processes_cannot_do_is_said_once(trained: Path) -> None:
    said = (trained / "said" / "refused-ppo.err").read_text()
    assert said.count("error: ppo does not run with engine = fsdp2") == 1
    assert not list((trained / "runs" / "refused-ppo").glob("ppo/*"))
