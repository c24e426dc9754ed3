"""Bad input: one line and a hint, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from posology.cli import main

SMOKE = str(Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of one command line."""
    monkeypatch.setattr(sys, "argv", ["posology", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run", "--config", SMOKE, "--set", "ppo.kl_targt=2"], 2, ["ppo.kl_targt", "did you mean ppo.kl_target"]),
        (["run", "--config", SMOKE, "--set", "ppo.kl_target=9"], 2, ["ppo.kl_target = 9", "at most 5"]),
        (["run", "--config", SMOKE, "--set", "sft.fit.steps=many"], 2, ["sft.fit.steps", "'many'"]),
        (["run", "--config", SMOKE, "--set", "ppo"], 2, ["section.key=value"]),
        (["run", "--config", "nowhere.yaml"], 2, ["no config file nowhere.yaml"]),
        (["run", "--config", SMOKE, "--run", "../elsewhere"], 2, ["bad run name '../elsewhere'"]),
        (["sft", "--config", SMOKE], 1, ["no finished stage pretrain", "posology pretrain --config"]),
        (["ppo", "--config", SMOKE, "--parent", "runs/none/sft"], 1, ["runs/none/sft"]),
        (["ask", "Is metformin safe?", "--run", "absent"], 1, ["no run 'absent'"]),
        (["doctor", "absent"], 1, ["no run 'absent'"]),
        (["run", "--config", SMOKE, "--set", "data.drugs=[metformin, unobtainium]"], 2, ["unobtainium"]),
    ],
)  # fmt: skip
def test_one_line_with_a_hint(
    arguments: list[str], code: int, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    got, stderr = run(monkeypatch, capsys, *arguments)
    assert got == code, stderr
    assert stderr.startswith("error: ")
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) <= 3
    for word in words:
        assert word in stderr
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path.parent / "elsewhere").exists()


def test_debug_shows_the_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["posology", "doctor", "absent", "--debug"])
    with pytest.raises(Exception, match="no run 'absent'"):
        main()
