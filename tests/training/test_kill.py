"""SIGKILL itself, after a step and in the middle of writing: the next process ends with the same weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import posology


def test_killed_anywhere_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(posology.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["failures"] == [], done.stderr[-2000:]
    assert report["points"] >= 12
