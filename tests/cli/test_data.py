"""`posology data`: records built, shown and counted; bad input told in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from posology.cli.data import app
from posology.config import ConfigError, UserError
from posology.files import append_jsonl, read_jsonl

FEW = ["--config", "configs/smoke.yaml", "--set", "data.facts_limit=25", "--set", "data.items=0.03"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "records"
    result = CliRunner().invoke(app, ["build", "--out", str(out), *FEW], catch_exceptions=False)
    assert result.exit_code == 0 and "no leak found" in result.output and "Not for care of patients" in result.output
    return out


def test_build_writes_four_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "cases.jsonl", "dialogues.jsonl", "documents.jsonl", "preferences.jsonl",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["document", "dialogue", "preference", "case"])
def test_show_prints_as_many_as_asked(folder: Path, kind: str) -> None:
    result = CliRunner().invoke(
        app, ["show", "--kind", kind, "--limit", "2", "--from", str(folder)], catch_exceptions=False
    )
    assert result.exit_code == 0 and "2 of " in result.output and "<|calc|>" not in result.output


def test_stats_count_and_report(folder: Path) -> None:
    result = CliRunner().invoke(app, ["stats", "--from", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    for words in ("The exam", "Dialogues by kind", "the longer one wins", "no leak found"):
        assert words in result.output


def test_leakage_is_clean_or_exits_3(folder: Path, tmp_path: Path) -> None:
    clean = CliRunner().invoke(app, ["leakage", "--from", str(folder)], catch_exceptions=False)
    assert clean.exit_code == 0 and "no leak found" in clean.output and "one word" in clean.output
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    case = next(row for row in read_jsonl(folder / "cases.jsonl") if row["split"] == "S1")
    row = next(row for row in read_jsonl(folder / "dialogues.jsonl") if row["split"] == "train")
    append_jsonl(tmp_path / "dialogues.jsonl", {**row, "prompt": case["question"]})
    leaking = CliRunner().invoke(app, ["leakage", "--from", str(tmp_path), "--json"], catch_exceptions=False)
    assert leaking.exit_code == 3 and json.loads(leaking.output)["clean"] is False
    assert case["question"] in leaking.output


def test_bad_input_is_named(folder: Path) -> None:
    run = CliRunner().invoke
    with pytest.raises(ConfigError, match="no kind of record"):
        run(app, ["show", "--kind", "poem", "--from", str(folder)], catch_exceptions=False)
    with pytest.raises(ConfigError, match="no case with"):
        run(app, ["show", "--kind", "case", "--split", "S99", "--from", str(folder)], catch_exceptions=False)
    with pytest.raises(UserError, match="no folder"):
        run(app, ["stats", "--from", str(folder / "absent")], catch_exceptions=False)
    with pytest.raises(ConfigError, match="--set needs --config"):
        run(app, ["stats", "--set", "data.items=1"], catch_exceptions=False)
