from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from posology.cli.kb import app
from posology.config import UserError

Judge = Callable[..., dict[str, Any]]


@pytest.fixture()
def run() -> Callable[..., Any]:
    runner = CliRunner()
    return lambda *args: runner.invoke(app, list(args))


@pytest.fixture()
def judged(run: Callable[..., Any]) -> Judge:
    def ask(*args: str) -> dict[str, Any]:
        result = run("judge", *args, "--json")
        assert result.exit_code == 0, result.output
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    return ask


def test_the_shipped_base_passes(run: Callable[..., Any]) -> None:
    result = run("check")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ok: ")


def test_problems_are_listed_and_exit_1(run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "wrong.toml").write_text(
        '[[fact]]\nid = "a.b"\ntype = "renal"\ndrug = "ghost"\nwhen = ["egfr < 30"]\nverdict = "AVOID"\n'
        'as_of = "2020"\nsources = [{id = "rumour", locator = "p. 3"}]\n'
        '[[fact]]\nid = "a.c"\ntype = "renal"\ndrug = "ghost"\nverdict = "AVOID"\nas_of = "2020"\nsources = []\n',
        encoding="utf-8",
    )
    result = run("check", "--folder", str(tmp_path))
    assert result.exit_code == 1
    for words in ("wrong.toml: a.b: unknown drug 'ghost'", "unknown source 'rumour'", "wrong.toml: a.c: sources"):
        assert words in result.stdout
    assert result.stdout.count("remedy:") == 3
    assert "3 problems" in result.stderr


def test_metformin_at_28(judged: Judge) -> None:
    got = judged("--drug", "metformin", "--egfr", "28")
    assert set(got) == {"verdict", "facts", "dose", "missing", "why"}
    assert got["verdict"] == "CONTRAINDICATED"
    assert got["facts"][0] == "metformin.renal.below-30"
    assert (got["dose"], got["missing"]) == (None, [])
    assert "28" in got["why"]


def test_what_is_missing_or_not_covered(judged: Judge) -> None:
    assert judged("--drug", "metformin")["missing"] == ["egfr"]
    got = judged("--drug", "metformin", "--egfr", "80", "--comed", "unheardol")
    assert (got["verdict"], got["missing"]) == ("INSUFFICIENT", ["not covered"])
    assert "unheardol" in got["why"]
    assert judged("--drug", "unheardol")["missing"] == ["not covered"]


@pytest.mark.parametrize("spelling", ["poor metabolizer", "poor metaboliser", "Poor Metaboliser"])
def test_both_spellings(judged: Judge, spelling: str) -> None:
    assert judged("--drug", "codeine", "--genotype", f"CYP2D6={spelling}")["verdict"] == "AVOID"


def test_lists_repeat_and_brands_resolve(judged: Judge) -> None:
    got = judged("--drug", "Coumadin", "--comed", "aspirin", "--comed", "Advil", "--condition", "active bleeding")
    assert got["verdict"] == "CONTRAINDICATED"
    assert len(got["facts"]) >= 3


def test_a_reaction_in_plain_words(judged: Judge) -> None:
    assert judged("--drug", "cephalexin", "--allergy", "penicillin:anaphylaxis")["verdict"] == "AVOID"
    assert judged("--drug", "cephalexin", "--allergy", "penicillin")["missing"] == ["reaction:penicillin"]


def test_every_flag_reaches_the_patient(judged: Judge) -> None:
    dose = judged(
        "--drug", "apixaban", "--age", "85", "--weight", "50", "--creatinine", "1.6", "--sex", "F",
        "--indication", "atrial fibrillation",
    )["dose"]  # fmt: skip
    assert dose["text"] == "2.5 mg every 12 h"
    assert judged("--drug", "warfarin", "--pregnant")["verdict"] in ("CONTRAINDICATED", "AVOID")
    assert judged("--drug", "lisinopril", "--trimester", "2")["verdict"] in ("CONTRAINDICATED", "AVOID")
    assert judged("--drug", "codeine", "--lactating")["verdict"] == "AVOID"
    assert judged("--drug", "metformin", "--egfr", "80", "--child-pugh", "c")["verdict"] == "AVOID"
    assert judged("--drug", "nitrofurantoin", "--crcl", "59")["verdict"] == "CONTRAINDICATED"
    uk = judged("--drug", "simvastatin", "--comed", "diltiazem", "--jurisdiction", "uk")
    assert uk["dose"]["text"] == "at most 20 mg a day"


def test_a_calculated_dose(judged: Judge) -> None:
    got = judged("--drug", "amoxicillin", "--age", "5", "--weight", "20", "--indication", "severe infection")
    assert (got["verdict"], got["dose"]["text"]) == ("ADJUST", "450 mg every 12 h")
    assert got["dose"]["expression"] == "min(20*45/2,875)"


def test_for_people(run: Callable[..., Any]) -> None:
    result = run("judge", "--drug", "nitrofurantoin", "--crcl", "45")
    assert result.exit_code == 0
    assert "nitrofurantoin: CONTRAINDICATED" in result.stdout
    assert "sources differ" in result.stdout
    assert "Not for care of patients" in result.stdout


def test_a_misspelt_name_gets_a_hint(run: Callable[..., Any]) -> None:
    result = run("judge", "--drug", "warfarin", "--comed", "ibuprofin")
    assert "did you mean ibuprofen?" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["--child-pugh", "D"],
        ["--sex", "x"],
        ["--jurisdiction", "Mars"],
        ["--egfr", "low"],
        ["--egfr", "-3"],
        ["--trimester", "4"],
        ["--genotype", "=poor metabolizer"],
        ["--allergy", ":rash"],
    ],
)
def test_bad_values_are_usage_errors(run: Callable[..., Any], args: list[str]) -> None:
    result = run("judge", "--drug", "metformin", *args)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_show(run: Callable[..., Any]) -> None:
    result = run("show", "Glucophage")
    assert result.exit_code == 0
    assert "metformin" in result.stdout
    assert "CONTRAINDICATED when egfr < 30" in result.stdout
    assert "metformin.renal.below-30" in result.stdout
    assert "Not for care of patients" in result.stdout


def test_show_an_unknown_drug(run: Callable[..., Any]) -> None:
    result = run("show", "metforminn")
    assert isinstance(result.exception, UserError)
    assert result.exception.hint == "did you mean metformin?"
