"""`posology cases export` and `posology evaluate --answers | --model`: another model sits a run's exam."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posology.cli import main
from posology.curriculum.build import read_curriculum
from posology.files import read_json, read_jsonl, write_jsonl
from posology.runs import Run

from ..evaluation.exams import run_with_exam
from ..outside_models import save_gpt2

SMOKE = str(Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return run_with_exam(tmp_path / "runs")


@pytest.fixture
def call(run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Exit code, stdout and stderr of one command line, given in the folder that holds `runs`."""
    monkeypatch.chdir(run.path.parent.parent)

    def give(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["posology", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return give


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def gold_answers(run: Run, path: Path, left: int = 0) -> Path:
    cases = read_curriculum(run.data_dir).cases
    write_jsonl(path, [{"case_id": case.case_id, "answer": case.answer} for case in cases[left:]])
    return path


# posology cases export ------------------------------------------------------------------------------------------------


def test_export_tells_the_question_and_not_the_answer(call: Call, run: Run) -> None:
    code, out, _ = call("cases", "export", "--run", "small")
    rows = parsed(out)
    assert code == 0 and len(rows) == 21
    assert all(row.keys() == {"case_id", "split", "question"} for row in rows)
    assert {row["case_id"] for row in rows} == {case.case_id for case in read_curriculum(run.data_dir).cases}


def test_export_with_gold_into_a_file(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "exam.jsonl"
    code, said, told = call(
        "cases", "export", "--run", "runs/small", "--gold", "--splits", "S1, S6", "--output", str(out)
    )
    assert (code, said) == (0, "") and "12 cases" in told
    rows = list(read_jsonl(out))
    assert {row["split"] for row in rows} == {"S1", "S6"}
    assert rows[0]["gold"]["verdict"] == "CONTRAINDICATED" and rows[0]["gold_answer"].startswith("Metformin is contra")


def test_export_of_a_config_is_the_exam_that_a_run_of_it_gets(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("cases", "export", "--config", SMOKE, "--splits", "S4")
    assert code == 0
    call("data", "build", "--config", SMOKE, "--out", str(tmp_path / "records"))
    built = read_curriculum(tmp_path / "records").cases
    assert [row["case_id"] for row in parsed(out)] == [case.case_id for case in built if case.split == "S4"] != []


# posology evaluate --answers ------------------------------------------------------------------------------------------


def test_answers_made_elsewhere_get_a_scorecard_of_their_own(call: Call, run: Run, tmp_path: Path) -> None:
    path = gold_answers(run, tmp_path / "Guest-1.jsonl", left=2)
    before = {file.name: file.read_bytes() for file in run.path.iterdir() if file.is_file()}
    code, out, err = call("evaluate", "small", "--answers", str(path))
    assert (code, err) == (0, "")
    assert "Guest-1 answered 19 of 21 cases asked" in out and "2 without an answer count as wrong: S1 2" in out
    for words in (
        "accuracy",
        "95 % interval",
        "facts",
        "gates not met",
        "NOT DEMONSTRATED",
        "Not for care of patients",
    ):
        assert words in out
    card = read_json(run.candidate_scorecard_path("Guest-1"))
    assert list(card["stages"]) == ["Guest-1"] and card["candidate"]["unanswered"] == 2
    assert before == {file.name: file.read_bytes() for file in run.path.iterdir() if file.name in before}
    assert {file.name for file in run.path.iterdir() if file.is_file()} - before.keys() == {"scorecard-Guest-1.json"}


def test_json_is_the_card_and_nothing_else(call: Call, run: Run, tmp_path: Path) -> None:
    path = gold_answers(run, tmp_path / "a.jsonl")
    code, out, _ = call("evaluate", "small", "--answers", str(path), "--name", "b", "--json")
    assert code == 0 and json.loads(out) == read_json(run.candidate_scorecard_path("b"))


def test_an_export_that_is_answered_in_place_is_an_answers_file(call: Call, run: Run, tmp_path: Path) -> None:
    _, out, _ = call("cases", "export", "--run", "small", "--gold")
    write_jsonl(tmp_path / "a.jsonl", [row | {"answer": row["gold_answer"]} for row in parsed(out)])
    _, out, _ = call("evaluate", "small", "--answers", str(tmp_path / "a.jsonl"), "--json")
    headline = json.loads(out)["stages"]["a"]["headline"]
    assert all(cell["value"] == 1 for name, cell in headline.items() if name != "usefulness")


# posology evaluate --model --------------------------------------------------------------------------------------------


def test_a_local_model_sits_the_exam(call: Call, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posology.recipes.examine.NEW_TOKENS", 8)
    save_gpt2(tmp_path / "tiny-gpt2")
    (tmp_path / "told.txt").write_text("Answer in one sentence.\n")
    code, out, _ = call(
        "evaluate", "small", "--model", "tiny-gpt2", "--limit", "5", "--rows", "2", "--instructions", "told.txt"
    )
    assert code == 0 and "tiny-gpt2 answered 5 of 5 cases asked" in out
    assert "--limit 5: a part of the exam, and no result for the whole of it" in out
    rows = list(read_jsonl(run.candidate_answers_path("tiny-gpt2")))
    assert len(rows) == 5 and rows[0].keys() == {"case_id", "answer", "logprob", "tokens", "finished"}
    card = read_json(run.candidate_scorecard_path("tiny-gpt2"))
    assert card["candidate"]["instructions"] == "Answer in one sentence."
    assert card["candidate"]["model"]["name"] == "tiny-gpt2" and len(card["candidate"]["model"]["sha256"]) == 64
    code, out, _ = call(
        "evaluate", "small", "--answers", str(run.candidate_answers_path("tiny-gpt2")), "--name", "again"
    )
    assert code == 0 and "answered 5 of 21 cases asked" in out and "16 without an answer count as wrong" in out


# what goes wrong ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cases", "export", "--run", "absent"], 1, ["no run 'absent'", "small"]),
        (["cases", "export", "--run", "small", "--config", SMOKE], 2, ["--run and --config"]),
        (["cases", "export", "--run", "small", "--splits", "S1,S99"], 2, ["no split 'S99'", "S1, S2"]),
        (["cases", "export", "--config", SMOKE, "--splits", "S99"], 2, ["no split 'S99'"]),
        (["evaluate", "small", "--answers", "absent.jsonl"], 1, ["cannot read absent.jsonl"]),
        (["evaluate", "small", "--answers", "bad.jsonl"], 1, ["bad.jsonl:2 is not JSON", "one JSON object"]),
        (["evaluate", "small", "--answers", "two words.jsonl"], 2, ["bad name 'two words'", "--name"]),
        (["evaluate", "small", "--answers", "bad.jsonl", "--name", "ppo"], 2, ["a stage of the run itself", "other-ppo"]),
        (["evaluate", "small", "--answers", "bad.jsonl", "--model", "x"], 2, ["both given"]),
        (["evaluate", "small", "--answers", "bad.jsonl", "--limit", "3"], 2, ["--limit is for --model", "--splits"]),
        (["evaluate", "small", "--answers", "bad.jsonl", "--against", "sft"], 1, ["no answers of a stage 'sft'"]),
        (["evaluate", "small", "--splits", "S1"], 2, ["--splits is for another model's answers", "--answers"]),
        (["evaluate", "small", "--model", "some/hub-name"], 1, ["no model folder", "hf download"]),
        (["evaluate", "small", "--model", "x", "--instructions", "none.txt"], 2, ["cannot read none.txt"]),
    ],
)  # fmt: skip
def test_one_line_with_a_hint(arguments: list[str], code: int, words: list[str], call: Call, run: Run) -> None:
    first = read_curriculum(run.data_dir).cases[0].case_id
    Path("bad.jsonl").write_text(json.dumps({"case_id": first, "answer": "x"}) + "\n{oh no\n")
    got, _, stderr = call(*arguments)
    assert got == code, stderr
    assert stderr.startswith("error: ") and "Traceback" not in stderr and len(stderr.strip().splitlines()) <= 2
    for word in words:
        assert word in stderr
    assert not list(run.path.glob("scorecard-*")) and not list(run.path.glob("answers-*"))
