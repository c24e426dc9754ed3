"""One smoke run, made by the command line as a user would make it, shared by the tests of this folder."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "smoke.yaml"


@dataclass(frozen=True)
class Finished:
    """A finished smoke run: where it is, how long it took, what it printed."""

    path: Path
    seconds: float
    stdout: str
    stderr: str

    def json(self, name: str) -> dict:
        return json.loads((self.path / name).read_text())


def posology(
    *arguments: str, cwd: Path, kill: str = "", stdin: str = "", timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder of its own; `kill` is "stage:step" for the loop's test hook."""
    environment = {**os.environ, "NO_COLOR": "1", "OMP_NUM_THREADS": "2"}
    environment.pop("POSOLOGY_TEST_KILL", None)
    if kill:
        environment["POSOLOGY_TEST_KILL"] = kill
    return subprocess.run(
        [sys.executable, "-m", "posology", *arguments], cwd=cwd, env=environment, input=stdin, capture_output=True,
        text=True, timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("smoke")
    started = time.monotonic()
    done = posology("run", "--config", str(SMOKE), cwd=folder)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stderr[-3000:]
    return Finished(folder / "runs" / "smoke", seconds, done.stdout, done.stderr)


KILLED = -signal.SIGKILL
