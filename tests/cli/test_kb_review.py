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


def cpic(path: Path, phenotype: str, text: str) -> Path:
    """A CPIC table of one row about amitriptyline and CYP2D6."""
    rows = [
        ("drug", "gene_lookup", "population", "classification", "recommendation"),
        ("amitriptyline", json.dumps({"CYP2D6": phenotype}), "general", "Strong", text),
    ]
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def label(path: Path, text: str) -> Path:
    row = {"label_drug": "Aldactone", "generic": "spironolactone", "section": "CONTRAINDICATIONS", "text": text}
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return path


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


def test_audit_agrees_explains_or_fails(run: Run, tmp_path: Path) -> None:
    agrees = run("audit", "--cpic", cpic(tmp_path / "a.csv", "0.0", "Avoid it"))
    assert agrees.exit_code == 0, agrees.output
    assert "1 comparisons: 1 agree" in agrees.stdout
    fails = run("audit", "--cpic", cpic(tmp_path / "b.csv", "0.0", "Use the standard dose"))
    assert fails.exit_code == 1
    assert "amitriptyline.genotype.cyp2d6-poor [general: CYP2D6 0.0]: ours AVOID; theirs standard dose" in fails.stdout
    assert "this table has no codeine" in fails.stdout
    found = json.loads(run("audit", "--cpic", tmp_path / "b.csv", "--json").stdout)
    assert [finding["status"] for finding in found["cpic"]["findings"]] == ["unexplained"]


def test_audit_of_labels(run: Run, tmp_path: Path) -> None:
    text = "Aldactone is contraindicated in patients with hyperkalemia, anuria and renal impairment."
    known = run("audit", "--labels", label(tmp_path / "a.jsonl", text))
    assert known.exit_code == 0, known.output
    assert "1 agree" in known.stdout and "2 explained, 0 missing from the facts, 0 unexplained" in known.stdout
    more = run("audit", "--labels", label(tmp_path / "b.jsonl", text + " Also in asthma, and in flat feet."))
    assert more.exit_code == 1
    assert "theirs asthma" in more.stdout and "nothing reads 'flat feet'" in more.stdout


def test_a_stale_difference_is_an_error(run: Run, tmp_path: Path) -> None:
    result = run("audit", "--labels", label(tmp_path / "a.jsonl", "Aldactone is contraindicated in hyperkalemia."))
    assert result.exit_code == 1
    assert isinstance(result.exception, UserError)
    assert "spironolactone / anuria" in result.exception.message


def test_a_folder_of_ones_own_has_its_own_differences(run: Run, tmp_path: Path, copy: Path) -> None:
    text = "Aldactone is contraindicated in anuria."
    result = run("audit", "--labels", label(tmp_path / "a.jsonl", text), "--folder", copy)
    assert result.exit_code == 1
    assert "1 unexplained" in result.stdout


def test_audit_needs_a_file(run: Run, tmp_path: Path) -> None:
    assert run("audit").exit_code == 2
    assert isinstance(run("audit", "--cpic", tmp_path / "none.csv").exception, UserError)
    assert isinstance(run("audit", "--labels", tmp_path / "none.jsonl").exception, UserError)
