"""Run by test_engine.py in a process of its own: trains every objective in one process and in two that share the work.

Usage: python -m tests.training.ranks FOLDER. The parent never computes, so that its children may (threads do not survive a fork). It
writes FOLDER/gradients/*.safetensors, what was trained in FOLDER/<engine>/<case>, and prints what happened as JSON.
"""

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # an optimiser's first step does so: once in the parent is faster than in each child
import torch.distributed.fsdp  # and so does a sharded model
from safetensors.torch import save_file

from posology.config import FitConfig, LoraConfig, ModelConfig, PpoConfig
from posology.errors import UserError
from posology.models.heads import ScalarModel, from_language_model, save_scalar_model
from posology.models.llama import language_model
from posology.models.loading import save_language_model
from posology.models.lora import apply_lora
from posology.models.precision import pick_precision
from posology.objectives.dpo import DpoObjective
from posology.objectives.next_token import NextToken
from posology.objectives.pairs import Pair
from posology.objectives.ppo import PpoObjective
from posology.objectives.reward import Ensemble, RewardObjective
from posology.text.chat import Encoded
from posology.training import fit as fit_module
from posology.training.engine import Engine, open_engine
from posology.training.fit import fit
from posology.training.progress import Progress

from .processes import recorded, together
from .toys import Regression, settings, toy_stage
from .toys import saver as toy_saver

torch.set_num_threads(1)
WORLD, SEED = 2, 3
FP32 = pick_precision("fp32")
OPTIMISER = {"kind": "adamw", "learning_rate": 0.01, "warmup": 1}
CASES = {
    "ddp": ("sft", "reward", "dpo", "ppo"),
    "fsdp2": ("sft", "sft-lora", "reward", "dpo", "dpo-lora"),
}
RESUMED = {"ddp": ("sft", "ppo"), "fsdp2": ("sft-lora", "dpo")}


class Killed(BaseException):
    """Stands in for SIGKILL of all processes at one step."""


# -- what is trained ------------------------------------------------------------------------------------------------


def dialogue(number: int, length: int) -> Encoded:
    prompt = [1, 2, *((7 * number + j) % 40 + 8 for j in range(1 + number % 3)), 3]
    answer = [(11 * number + 5 * j * j + 3 * j) % 40 + 8 for j in range(length)]
    return Encoded([*prompt, *answer, 4], [*[False] * len(prompt), *[True] * (length + 1)])


def pairs() -> list[Pair]:
    """The prompt of dialogue i before its answer, and before another of another length."""
    made = []
    for i in range(12):
        chosen, other = dialogue(i, 3 + i % 5), dialogue(i + 12, 4 + (3 * i) % 4)
        prompt = chosen.ids[: chosen.scored.index(True)]
        answer = other.ids[other.scored.index(True) :]
        made.append(Pair(chosen, Encoded([*prompt, *answer], [*[False] * len(prompt), *[True] * len(answer)])))
    return made


def model(lora: bool = False, dropout: float = 0.0) -> Any:
    shape = ModelConfig(width=32, layers=2, heads=2, mlp_width=48, positions=64, dropout=0.0 if lora else dropout)
    made = language_model(shape, 48, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(4.0 if weight.ndim > 1 else 1.0)
    if lora:
        made = apply_lora(made, LoraConfig(kind="lora", rank=4, dropout=dropout))
        for name, weight in made.named_parameters():
            if "lora_B" in name:  # at 0, as it starts, A has no gradient
                torch.nn.init.normal_(weight, std=0.1, generator=generator)
    return made


def scalar(seed: int, likelihood: bool = True) -> ScalarModel:
    made = from_language_model(model(), likelihood=likelihood)
    with torch.no_grad():
        torch.nn.init.normal_(made.head.weight, std=0.2, generator=torch.Generator().manual_seed(seed))
    return made


def objective(case: str, engine: Engine, dropout: float) -> Any:
    """Ragged on purpose: seven rows or pairs in two micro-batches over two processes."""
    kind, _, lora = case.partition("-")
    trained = model(bool(lora), dropout)
    if kind == "sft":
        examples = [dialogue(i, 3 + (5 * i) % 9) for i in range(14)]
        return NextToken(
            "sft", trained, examples, examples[:3], tokens=140, row=20, seed=SEED, precision=FP32, vocabulary=48,
            micro_batches=2,
        )  # fmt: skip
    if kind == "reward":
        return RewardObjective(
            "reward", scalar(0), pairs(), {"heldout": pairs()[:3]}, pairs=7, seed=SEED, pad=0, precision=FP32,
            micro_batches=2,
        )  # fmt: skip
    if kind == "dpo":
        reference = None if lora else model()
        return DpoObjective(
            "dpo", trained, reference, pairs(), {"heldout": pairs()[:3]}, pairs=7, beta=0.5, variant="sigmoid",
            label_smoothing=0.0, anchor=0.5, seed=SEED, pad=0, precision=FP32, micro_batches=2, engine=engine,
        )  # fmt: skip
    config = PpoConfig(
        rows=10, answers_each=2, epochs=1, minibatches=2, max_new_tokens=8, value_warmup=0, kl_target=1.0,
        fit=FitConfig(steps=4, budget_s=1000),
    )  # fmt: skip
    ensemble = Ensemble((scalar(1).eval(), scalar(2).eval()), (0.0, 0.0), (1.0, 1.0), "mean", 0.0, FP32)
    prompts = [dialogue(i, 1).ids[: 4 + i % 3] for i in range(6)]
    return PpoObjective(
        "ppo", trained, model(), scalar(3, likelihood=False), ensemble, prompts, prompts[:3], lambda number, ids: float(len(ids)), config,
        seed=SEED, pad=0, end=4, companion=None, precision=FP32, engine=engine,
    )  # fmt: skip


def save(folder: Path, modules: Any) -> None:
    made = modules["model"]
    save_scalar_model(made, folder) if isinstance(made, ScalarModel) else save_language_model(made, folder)


def train(case: str, folder: Path, engine: Engine, *, steps: int = 4, dropout: float = 0.0) -> str:
    scaled = {"scale_learning_rate": 0.05 if case in ("dpo", "ppo") else 0.0}
    config = FitConfig(
        steps=steps, evaluate_every=2, checkpoint_every=2, budget_s=1000, optimiser={**OPTIMISER, **scaled}
    )
    made = objective(case, engine, dropout)
    stage = toy_stage(folder / case, case.partition("-")[0])
    return fit(
        made, config, stage, seed=SEED, fingerprint="x", save_final=save, progress=Progress(io.StringIO()),
        engine=engine,
    ).digest  # fmt: skip


def killing(at: int) -> None:
    def kill(stage: object, step: int) -> None:
        if step == at:
            raise Killed

    fit_module._kill_for_test = kill


# -- in children ----------------------------------------------------------------------------------------------------


def gradients(root: Path, kind: str) -> None:
    engine, found = open_engine(kind), recorded(updates=1)
    every = CASES.get(kind) or sorted({case for cases in CASES.values() for case in cases})
    for case in every:
        found.clear()
        train(case, root / kind, engine)
        if engine.leader:
            save_file(found, str(root / "gradients" / f"{kind}.{case}.safetensors"))


def resumed(root: Path, kind: str) -> None:
    """Dropout on; all processes are lost after step 3, and go on from the checkpoint of step 2."""
    engine, digests = open_engine(kind), {}
    for case in RESUMED[kind]:
        expected = train(case, root / kind / "unbroken", engine, dropout=0.2)
        killing(3)
        try:
            train(case, root / kind / "broken", engine, dropout=0.2)
        except Killed:
            killing(-1)
        if engine.leader:  # for another engine to go on from
            shutil.copytree(root / kind / "broken" / case, root / kind / "left" / case)
        digests[case] = [expected, train(case, root / kind / "broken", engine, dropout=0.2)]
    if engine.leader:
        (root / f"resumed-{kind}.json").write_text(json.dumps(digests))


def told(root: Path, name: str, work: Callable[[Engine], object], kind: str = "ddp") -> None:
    """Write down what a process had to say when it failed."""
    engine = open_engine(kind)
    try:
        work(engine)
        said = "nothing"
    except UserError as error:
        said = f"{error.code} {error.message}"
    (root / f"{name}-{engine.rank}.txt").write_text(said)


def toy(root: Path, engine: Engine, toy_objective: Regression, name: str, steps: int = 6) -> None:
    fit(
        toy_objective, settings(steps), toy_stage(root / name), seed=SEED, fingerprint="x",
        save_final=toy_saver(toy_objective), progress=Progress(io.StringIO()), engine=engine,
    )  # fmt: skip


class Stopped(Regression):
    """Process 1, and only that one, is told to stop in the middle of step 3."""

    told = False

    def loss(self, batch: Any) -> Any:
        if self.asked[-1:] == [2] and os.environ["RANK"] == "1" and not self.told:
            self.told = True
            signal.raise_signal(signal.SIGTERM)
        return super().loss(batch)


class Dead(Regression):
    """Process 1 dies in the middle of step 3."""

    def loss(self, batch: Any) -> Any:
        if self.asked[-1:] == [2] and os.environ["RANK"] == "1":
            os._exit(9)
        return super().loss(batch)


class Apart(Regression):
    """Process 1 has learnt something of its own by step 3; it is found before a checkpoint is written."""

    def batch(self, step: int) -> Any:
        if step == 2 and os.environ["RANK"] == "1":
            with torch.no_grad():
                next(self.modules["model"].parameters()).view(-1)[0] += 1e-6
        return super().batch(step)


def failures(root: Path) -> None:
    told(root, "stopped", lambda engine: toy(root, engine, Stopped(), "stopped"))
    told(root, "poisoned", lambda engine: toy(root, engine, Regression(poison=1), "poisoned"))
    told(root, "apart", lambda engine: toy(root, engine, Apart(), "apart"))
    told(root, "muon", lambda engine: toy(root, engine, Regression(), "muon"), "fsdp2")
    told(root, "ppo", lambda engine: objective("ppo", engine, 0.0), "fsdp2")
    told(root, "single", lambda engine: open_engine("single"))
    plain = dict(model().named_parameters())
    told(root, "unsharded", lambda engine: engine.check(plain, plain), "fsdp2")
    told(root, "dead", lambda engine: toy(root, engine, Dead(), "dead"))


# -- the parent -----------------------------------------------------------------------------------------------------


def carried_on(root: Path) -> None:
    """One process goes on from what two with sharded weights left."""
    shutil.copytree(root / "fsdp2" / "left", root / "single" / "left")
    train("dpo", root / "single" / "left", Engine(), dropout=0.2)


def main(root: Path) -> None:
    (root / "gradients").mkdir()
    statuses = {
        "single": together(0, lambda: gradients(root, "single")),
        "ddp": together(WORLD, lambda: (gradients(root, "ddp"), resumed(root, "ddp"))),
        "fsdp2": together(WORLD, lambda: (gradients(root, "fsdp2"), resumed(root, "fsdp2"))),
        "carried on": together(0, lambda: carried_on(root)),
        "failures": together(WORLD, lambda: failures(root)),
    }
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
