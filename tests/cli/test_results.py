"""`posology results`: runs in, files and a page out; what is wrong is told in one line before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from posology.cli.app import app
from posology.errors import UserError

from ..report.test_results import graded


def results(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["results", *map(str, arguments)])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_runs_are_kept_and_the_page_is_written_from_all_that_are(tmp_path: Path) -> None:
    graded(tmp_path / "runs", "laptop", 0)
    graded(tmp_path / "runs", "laptop-1", 1)
    page = tmp_path / "docs" / "RESULTS.md"
    told = results("laptop", "--runs", tmp_path / "runs", "--output", page)
    assert told.splitlines() == [str(tmp_path / "docs" / "results" / "laptop.json"), str(page)]
    assert "## laptop: one seed" in page.read_text()
    results(tmp_path / "runs" / "laptop-1", "--output", page)
    two = page.read_text()
    assert "## laptop: 2 seeds" in two
    page.unlink()
    results("--output", page)
    assert page.read_text() == two


def test_nothing_is_kept_where_one_run_is_wrong(tmp_path: Path) -> None:
    graded(tmp_path / "runs", "laptop", 0)
    for wrong in ("lapto", "laptop"):
        with pytest.raises(UserError, match=r"no run|two runs"):
            results("laptop", wrong, "--runs", tmp_path / "runs", "--output", tmp_path / "RESULTS.md")
    with pytest.raises(UserError, match="is a folder"):
        results("laptop", "--runs", tmp_path / "runs", "--output", tmp_path)
    assert not (tmp_path / "results").exists()
