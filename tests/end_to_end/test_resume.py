"""Killed at any step of any stage, then the same command: the final weights equal an uninterrupted run's bit for bit."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posology.files import sha256_file

from .conftest import KILLED, SMOKE, Finished, posology

KILLS = [
    "pretrain:2", "pretrain:7", "pretrain:12", "sft:1", "sft:11", "sft:18", "reward:3", "reward:6", "reward:8",
    "ppo:3", "ppo:9", "ppo:14", "dpo:2", "dpo:5", "dpo:8",
]  # fmt: skip


def weights(run: Path) -> dict[str, str]:
    return {str(path.relative_to(run)): sha256_file(path) for path in sorted(run.glob("*/final/**/*.safetensors"))}


def test_killed_three_times_in_each_stage_and_resumed(smoke: Finished, tmp_path: Path) -> None:
    for kill in KILLS:
        done = posology("run", "--config", str(SMOKE), cwd=tmp_path, kill=kill)
        assert done.returncode == KILLED, (kill, done.returncode, done.stderr[-1500:])
    done = posology("run", "--config", str(SMOKE), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert weights(tmp_path / "runs" / "smoke") == weights(smoke.path)
    for path in (tmp_path / "runs" / "smoke").glob("**/metrics.jsonl"):
        untouched = smoke.path / path.relative_to(tmp_path / "runs" / "smoke")
        assert len(path.read_text().splitlines()) == len(untouched.read_text().splitlines()), path


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupt_saves_and_says_how_to_go_on(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    arguments = ["run", "--config", str(SMOKE), "--set", "pretrain.fit.steps=3000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "posology", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "runs" / "smoke" / "pretrain" / "metrics.jsonl"
    for _ in range(600):
        if metrics.is_file() and metrics.stat().st_size:
            break
        time.sleep(0.1)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == code, stderr[-2000:]
    assert "Traceback" not in stderr
    assert "same command" in stderr
    assert list((tmp_path / "runs" / "smoke" / "pretrain" / "checkpoints").glob("step-*"))
