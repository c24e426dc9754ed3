from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from posology.cli.kb import app
from posology.config import UserError
from posology.knowledge.library import FOLDER, load_library

Run = Callable[..., Any]


@pytest.fixture()
def run() -> Run:
    runner = CliRunner()
    return lambda *args: runner.invoke(app, [str(arg) for arg in args])


@pytest.fixture()
def copy(tmp_path: Path) -> Path:
    """The shipped facts in a folder of their own."""
    folder = tmp_path / "kb"
    shutil.copytree(FOLDER / "facts", folder / "facts")
    shutil.copy(FOLDER / "sources.toml", folder)
    return folder


def test_export_to_stdout_and_to_a_file(run: Run, tmp_path: Path) -> None:
    result = run("export", "--csv")
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == len(load_library().facts)
    written = run("export", "--csv", tmp_path / "facts.csv")
    assert written.exit_code == 0 and written.stdout == ""
    assert (tmp_path / "facts.csv").read_text(encoding="utf-8") == result.stdout
    assert "Not for care of patients" in result.stderr


def test_export_asks_for_a_form(run: Run) -> None:
    assert run("export").exit_code == 2


def test_diff_of_an_export_and_a_changed_folder(run: Run, tmp_path: Path, copy: Path) -> None:
    run("export", "--csv", tmp_path / "old.csv")
    same = run("diff", tmp_path / "old.csv", copy)
    assert same.exit_code == 0
    assert same.stdout == "0 added, 0 removed, 0 changed\n"
    later = Path(shutil.copytree(copy, tmp_path / "later"))
    file = later / "facts" / "metabolic.toml"
    text = file.read_text(encoding="utf-8")
    assert 'id = "metformin.renal.below-30"' in text
    start = text.index('id = "metformin.renal.below-30"')
    text = text[:start] + text[start:].replace("egfr < 30", "egfr < 25", 1)
    file.write_text(text, encoding="utf-8")
    changed = run("diff", tmp_path / "old.csv", later)
    assert changed.exit_code == 0
    assert changed.stdout.splitlines() == [
        "~ metformin.renal.below-30",
        "    conditions:",
        "      - eGFR below 30",
        "      + eGFR below 25",
        "0 added, 0 removed, 1 changed",
    ]


def test_diff_shows_what_a_new_fact_says(run: Run, tmp_path: Path) -> None:
    run("export", "--csv", tmp_path / "new.csv")
    lines = (tmp_path / "new.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "old.csv").write_text("".join([lines[0], *lines[2:]]), encoding="utf-8")
    added = run("diff", tmp_path / "old.csv", tmp_path / "new.csv").stdout
    assert added.startswith("+ abacavir.contraindication.hypersensitivity\n    type: contraindication\n")
    assert added.endswith("1 added, 0 removed, 0 changed\n")
    assert "0 added, 1 removed, 0 changed" in run("diff", tmp_path / "new.csv", tmp_path / "old.csv").stdout


def test_diff_of_nothing(run: Run, tmp_path: Path) -> None:
    assert isinstance(run("diff", tmp_path / "none", tmp_path / "none").exception, UserError)


def test_status(run: Run) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert f"of {len(load_library().facts)} facts verified" in result.stdout
    found = json.loads(run("status", "--json").stdout)
    assert set(found) == {"name", "facts", "verified", "by", "types", "drugs"}
    assert set(found["by"]) == {"cpic", "label", "second_source", "none"}
    for groups in (found["types"], found["drugs"]):
        shares = [group["verified"] / group["facts"] for group in groups]
        assert shares == sorted(shares)
        assert sum(group["facts"] for group in groups) == found["facts"]
