"""The sanity list: what an expert would check before believing a run. Green or red, each with its figures.

`machinery()` needs no run: it proves on tiny models that the losses, gradients and seeds do what they say.
`inspect(run)` reads a run's own files.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from posology.config import ModelConfig, load_config
from posology.curriculum.build import Curriculum, read_curriculum
from posology.curriculum.leakage import leaks
from posology.files import read_json, verify_manifest
from posology.models.llama import language_model
from posology.models.precision import pick_precision
from posology.objectives.next_token import NextToken
from posology.runs import PARENT, Run, Stage
from posology.text.chat import Encoded
from posology.training.health import Check

TINY = ModelConfig(width=32, layers=1, heads=2, mlp_width=64, positions=64)
HASH_PROBE = (
    "from posology.seeds import stream; from posology.curriculum.splits import split_of; "
    "print(stream(0, 'a').random(), [split_of(f'fact.{i}') for i in range(50)])"
)


def machinery() -> list[Check]:
    """Checks of the code itself, a few seconds in all."""
    return [_memorises(), _rate_matters(), _finite_differences(), _hash_seed()]


def _tiny(seed: int = 0) -> NextToken:
    model = language_model(TINY, 64, seed)
    rows = [Encoded([(7 * i + j * j) % 50 + 8 for j in range(8)], [False] + [True] * 7) for i in range(8)]
    return NextToken(
        "doctor",
        model,
        rows,
        [],
        tokens=64,
        row=8,
        seed=0,
        precision=pick_precision("fp32"),
        vocabulary=64,
        from_scratch=True,
    )


def _train(objective: NextToken, rate: float, steps: int) -> list[float]:
    optimiser = torch.optim.AdamW(objective.model.parameters(), lr=rate)
    curve = []
    for _ in range(steps):
        (batch,) = objective.batch(0)
        total, metrics = objective.loss(batch)
        torch.autograd.backward(total / batch.weight)
        optimiser.step()
        optimiser.zero_grad()
        curve.append(metrics["loss"])
    return curve


def _memorises() -> Check:
    curve = _train(_tiny(), 1e-2, 80)
    return Check(
        "one batch can be memorised", curve[-1] < 0.1, f"loss {curve[0]:.2f} -> {curve[-1]:.3f} nats in 80 steps"
    )


def _rate_matters() -> Check:
    slow, fast = _train(_tiny(), 1e-5, 20)[-1], _train(_tiny(), 1e-2, 20)[-1]
    return Check(
        "the loss responds to the learning rate",
        slow - fast > 0.5,
        f"after 20 steps {slow:.2f} at 1e-5, {fast:.2f} at 1e-2",
    )


def _finite_differences() -> Check:
    objective = _tiny()
    model: Any = objective.model
    weight = model.double().get_input_embeddings().weight
    (batch,) = objective.batch(0)
    torch.autograd.backward(objective.loss(batch)[0])
    token, step = int(batch.ids_BT[0, 1]), 1e-4
    exact = float(weight.grad[token, 3])
    with torch.no_grad():
        sums = []
        for sign in (1, -1):
            weight[token, 3] += sign * step
            sums.append(float(objective.loss(batch)[0]))
            weight[token, 3] -= sign * step
    measured = (sums[0] - sums[1]) / (2 * step)
    error = abs(measured - exact) / max(abs(exact), 1e-6)
    return Check("gradient = finite difference", error < 1e-2, f"{exact:.5f} against {measured:.5f}")


def _hash_seed() -> Check:
    outputs = set()
    for value in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": value}
        done = subprocess.run(
            [sys.executable, "-c", HASH_PROBE], env=environment, capture_output=True, text=True, check=False
        )
        outputs.add(done.stdout or done.stderr)
    return Check(
        "results do not depend on PYTHONHASHSEED", len(outputs) == 1, "streams and splits under two hash seeds"
    )


def inspect(run: Run, curriculum: Curriculum | None = None) -> list[Check]:
    """Checks of one run's files. `curriculum` saves reading it again."""
    checks = [*_engines(run), *_starts(run), *_moved(run), *_files(run)]
    if run.data_fingerprint():
        found = leaks(curriculum or read_curriculum(run.data_dir))
        checks.append(
            Check("the exam shares nothing forbidden with training", not found, "; ".join(found[:3]) or "no leak found")
        )
    checks += [*_reward(run), *_ppo(run), *_dpo(run)]
    return checks


def _engines(run: Run) -> Iterator[Check]:
    """Which engine trained each stage, and what the loop found when it asked whether that one was running."""
    for stage in [part for whole in run.stages() for part in whole.members() or [whole]]:
        found = stage.manifest().get("engine")
        if found is None:
            continue
        name = f"{stage.name}: the engine asked for ran"
        if found["kind"] == "single":
            yield Check(name, found["world"] == 1, "single, one process")
            continue
        sharded, equal = found["sharded_tensors"], found["equal_tensors"]
        detail = (
            f"{found['kind']}, {found['world']} processes over {found['backend']}; after step {found['checked_at_step']} "
            f"{sharded} tensors were sharded and {equal} equal in all"
        )
        yield Check(name, sharded > 0 if found["kind"] == "fsdp2" else equal > 0 and not sharded, detail)


def _rows(stage: Stage, split: str) -> list[dict[str, Any]]:
    return [row for row in stage.read_metrics() if row["split"] == split] if stage.metrics_path.is_file() else []


def _starts(run: Run) -> Iterator[Check]:
    tokenizer = run.stage("tokenizer")
    if (rows := _rows(run.stage("pretrain"), "train")) and tokenizer.final.is_dir():
        expected = math.log(tokenizer.manifest()["vocabulary"])
        yield _near("pretraining starts near ln V", rows[0]["loss"], expected, 0.1 * expected)
    for member in run.stage("reward").members():
        if rows := _rows(member, "train"):
            yield _near(f"{member.name} starts at ln 2", rows[0]["loss"], math.log(2), 1e-3)
    if rows := _rows(run.stage("dpo"), "train"):
        yield _near("DPO's preference term starts at ln 2", rows[0]["preference"], math.log(2), 1e-3)


def _near(name: str, value: float, expected: float, tolerance: float) -> Check:
    return Check(
        name, abs(value - expected) <= tolerance, f"{value:.4f} nats, expected {expected:.4f} ± {tolerance:.2g}"
    )


def _moved(run: Run) -> Iterator[Check]:
    for name, parent in PARENT.items():
        child, start = run.stage(name).final / "model.safetensors", run.stage(parent).final / "model.safetensors"
        if child.is_file() and start.is_file():
            yield Check(
                f"{name} moved its parameters",
                _distance(start, child) > 0,
                f"relative change {_distance(start, child):.2g}",
            )


def _distance(start: Path, end: Path) -> float:
    before, after = load_file(start), load_file(end)
    moved = sum(float((after[key].float() - before[key].float()).pow(2).sum()) for key in before)
    return math.sqrt(moved / sum(float(value.float().pow(2).sum()) for value in before.values()))


def _files(run: Run) -> Iterator[Check]:
    for stage in run.stages():
        if stage.final.is_dir():
            problems = verify_manifest(stage.final)
            yield Check(f"{stage.name}: files are whole", not problems, "; ".join(problems[:2]) or "every hash fits")
        values = [v for row in _rows(stage, "train") for k, v in row.items() if isinstance(v, float)]
        if values:
            yield Check(
                f"{stage.name}: every figure is finite", all(map(math.isfinite, values)), f"{len(values)} figures"
            )


def _reward(run: Run) -> Iterator[Check]:
    path = run.stage("reward").final / "heldout.json"
    if not path.is_file():
        return
    figures, threshold = read_json(path), load_config(run.config_path).reward.min_accuracy
    facts, ruler = figures["heldout_facts"], figures["length_ruler"]
    interval = f"{facts['value']:.3f} [{facts['low']:.3f}, {facts['high']:.3f}], n = {facts['n']}"
    yield Check(f"reward model on facts unseen in pairs is above {threshold}", facts["low"] >= threshold, interval)
    yield Check(
        "length alone does not tell the better answer", 0.45 <= ruler["value"] <= 0.55, f"ruler {ruler['value']:.3f}"
    )


def _ppo(run: Run) -> Iterator[Check]:
    rows, watched = _rows(run.stage("ppo"), "train"), _rows(run.stage("ppo"), "heldout")
    if not rows:
        return
    config = load_config(run.config_path).ppo
    stride = config.epochs * config.minibatches
    first = [row for row in rows if row["step"] % stride == 1 % stride] or rows[:1]
    worst = max(row["ratio_deviation"] for row in first)
    yield Check("first ratio of each rollout is 1", worst <= 0.01, f"largest mean |ratio - 1| {worst:.2g}")
    yield Check(
        "exact KL is never negative",
        min(row["kl"] for row in rows) >= 0,
        f"smallest {min(row['kl'] for row in rows):.4f} nats",
    )
    late = first[-5:]
    k1 = sum(row["kl_k1"] for row in late) / len(late)
    yield Check("sampled KL (k1) is not held negative", k1 > -0.05, f"mean of the last rollouts {k1:.3f} nats")
    kl = sum(row["kl"] for row in late) / len(late)
    if config.kl_control:
        yield Check(
            "KL is held at its target",
            kl <= 1.25 * config.kl_target,
            f"last five rollouts {kl:.2f} nats, target {config.kl_target}",
        )
    still = all(row["clipped"] == 0 for row in rows) and len({round(row["kl"], 6) for row in first}) == 1
    yield Check(
        "the policy moves",
        not still,
        "clip share and KL change" if not still else "clip 0 % and KL unchanged throughout",
    )
    if len(watched) > 1:
        reward, gold = (watched[-1][key] - watched[0][key] for key in ("reward", "gold"))
        yield Check(
            "reward and gold move together", reward * gold >= 0, f"reward {reward:+.2f} sd, gold {gold:+.2f} of 10"
        )


def _dpo(run: Run) -> Iterator[Check]:
    if rows := _rows(run.stage("dpo"), "heldout"):
        shift = rows[-1]["chosen_shift/heldout_wordings"]
        yield Check(
            "DPO does not unlearn the chosen answers",
            shift >= -0.5,
            f"log-probability of chosen answers {shift:+.2f} nats",
        )
