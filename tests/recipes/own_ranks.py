"""Run by test_own_engine.py in a process of its own: the commands on a user's own model, in one process and in two.

Usage: python -m tests.recipes.own_ranks FOLDER. The parent never computes, so that its children may. Each command is
given as on the command line; it writes FOLDER/runs/...,
and what it said and the gradients of its updates to FOLDER/said/...; exit codes are printed as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shlex import split

import torch
import torch._dynamo  # an optimiser's first step does so: once in the parent is faster than in each child
import torch.distributed.fsdp  # and so does a sharded model
from safetensors.torch import save_file

from posology.cli import main as posology
from posology.recipes import own_dpo, own_ppo, own_reward, own_sft  # noqa: F401  # imported once, for all children

from ..training.processes import recorded, together

torch.set_num_threads(1)
SHORT = split("--precision fp32 --device cpu --max-tokens 200 --rank 4 --alpha 8 --batch 5 --micro-batch 2")
SFT = [
    *split(
        "sft --model base --data rows.jsonl --validation held.jsonl --checkpoint-every 2 --on-bad-row skip --epochs 2"
    ),
    *SHORT,
]
DPO = [*split("dpo --pairs pairs.jsonl --validation held-pairs.jsonl"), *SHORT]
PLAIN = ["--dropout", "0", "--learning-rate", "1e-3"]
ENGINES = {"single": 0, "ddp": 2, "fsdp2": 2}
CASES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "sft": ([*SFT, *PLAIN], ("single", "ddp", "fsdp2")),
    "full": ([*SFT, *PLAIN, "--lora", "none", "--no-checkpointing"], ("single", "fsdp2")),
    "fresh": ([*DPO, *PLAIN, "--model", "base", "--epochs", "2"], ("single", "ddp", "fsdp2")),
    "further": ([*DPO, *PLAIN, "--model", "runs/single-sft/sft"], ("single", "fsdp2")),
    "reward": (
        [*split("reward --model base --pairs pairs.jsonl --validation held-pairs.jsonl --members 2"), *SHORT, *PLAIN],
        ("single", "ddp", "fsdp2"),
    ),
    "ppo": (
        [
            *split("ppo --model base --reward single-reward --data rows.jsonl --on-bad-row skip --force"),
            *split("--batch 8 --rollouts 3 --max-new-tokens 6 --precision fp32 --device cpu --max-tokens 200"), *PLAIN,
        ],
        ("single", "ddp"),
    ),
}  # fmt: skip
BROKEN = [*SFT, "--dropout", "0.2", "--engine", "fsdp2"]


def command(said: Path, arguments: list[str], **environment: str) -> None:
    """`posology ARGUMENTS` in this child; its output, and that of the others, into one file each."""
    os.environ.update(environment)
    for stream, name in ((1, "out"), (2, "err")):
        file = os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, stream)
    found = recorded(updates=100)
    sys.argv = ["posology", *arguments]
    try:
        posology()
    except SystemExit as stop:
        if found and os.environ.get("RANK", "0") == "0":
            save_file(found, str(said.parent / "gradients" / f"{said.name}.safetensors"))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(stop.code or 0))


def main(root: Path) -> None:
    os.chdir(root)
    said = root / "said"
    (said / "gradients").mkdir(parents=True)
    codes: dict[str, list[int]] = {}

    def give(name: str, world: int, arguments: list[str], **environment: str) -> None:
        work: Callable[[], None] = partial(command, said / name, [*arguments, "--run", name], **environment)
        codes[name] = together(world, work)

    for case, (arguments, engines) in CASES.items():
        for engine in engines:
            give(f"{engine}-{case}", ENGINES[engine], [*arguments, "--engine", engine])
    give("whole", 2, BROKEN)
    give("parts", 2, BROKEN, POSOLOGY_TEST_KILL="sft:3")
    os.rename(said / "parts.err", said / "killed.err")
    codes["killed"] = codes.pop("parts")
    give("parts", 2, BROKEN)
    give("moved", 2, [*CASES["sft"][0], "--engine", "fsdp2"], POSOLOGY_TEST_KILL="sft:3")
    codes["left"] = codes.pop("moved")
    give("moved", 0, CASES["sft"][0])
    give("refused-ppo", 2, [*CASES["ppo"][0], "--engine", "fsdp2"])
    print(json.dumps(codes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
