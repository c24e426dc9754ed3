"""Run by test_kill.py in a process of its own: forks children that train a toy, and really kills them.

Usage: python killed.py FOLDER. The parent never computes, so that its children may (threads do not survive a fork).
"""

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch._dynamo  # an optimiser's first step does so: once in the parent is faster than in each child
from toys import Strided, saver, settings, toy_stage

from posology.runs import digest_of_final
from posology.training.fit import fit
from posology.training.progress import Progress

torch.set_num_threads(1)
STEPS = 8
WRITES = ("fsync", "rename", "replace", "truncate")  # every way in which files come into being
FOREVER = 10**9


def train(folder: Path) -> None:
    objective = Strided()
    fit(
        objective, settings(STEPS, checkpoint_every=4, keep_checkpoints=1), toy_stage(folder), seed=3, fingerprint="x",
        save_final=saver(objective), progress=Progress(io.StringIO()),
    )  # fmt: skip


def die_at(call: int) -> list[int]:
    """SIGKILL on entering the `call`-th write to disk. Returns the running count."""
    count = [0]

    def counted(real: Callable) -> Callable:
        def wrapper(*arguments: object, **named: object) -> object:
            count[0] += 1
            if count[0] == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return wrapper

    for name in WRITES:
        setattr(os, name, counted(getattr(os, name)))
    return count


def child(folder: Path, call: int = FOREVER, kill: str = "") -> int:
    """Train in a child; the status that waitpid gives for it. It leaves the number of its writes in `folder`/writes."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    os.environ["POSOLOGY_TEST_KILL"] = kill
    count = die_at(call)
    try:
        train(folder)
        (folder / "writes").write_text(str(count[0]))
    except BaseException as error:
        print(f"{folder.name}: {error!r}", file=sys.stderr)
        os._exit(1)
    os._exit(0)


def result(folder: Path) -> dict[str, object]:
    rows = [{k: v for k, v in row.items() if k != "time_s"} for row in toy_stage(folder).read_metrics()]
    return {"digest": digest_of_final(toy_stage(folder).final), "log": rows}


def main(root: Path) -> None:
    assert child(root / "whole") == 0
    whole = result(root / "whole")
    writes = int((root / "whole" / "writes").read_text())
    # Every third write is enough to meet each kind of file before, between and after its steps.
    points = [(0, f"sft:{step}") for step in (2, 5, STEPS)] + [(call, "") for call in range(1, writes + 1, 3)]
    failures, folder = [], root / "killed"
    for call, kill in points:
        shutil.rmtree(folder, ignore_errors=True)
        died = child(folder, call or FOREVER, kill)
        ended = child(folder)
        if died != signal.SIGKILL or ended != 0 or result(folder) != whole:
            failures.append([call, kill, died, ended])
        elif leftovers := [path.name for path in folder.rglob(".tmp-*")]:
            failures.append([call, kill, leftovers])
    print(json.dumps({"points": len(points), "writes": writes, "failures": failures}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
