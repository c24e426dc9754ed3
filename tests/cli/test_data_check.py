"""`posology data check`: what it tells of a file, in words and as JSON, and how it ends."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers
from typer.testing import CliRunner

from posology.cli.data import app
from posology.config import ConfigError, UserError

ROWS = [
    ("n1", "one two three", "a b", "factual"),
    ("n2", "one two three", "a [Evidence: S1]", "factual"),
    ("n3", "one two three", "a b", "factual"),
    ("n4", "one two three four five", "the dose is 5 Âµg", "factual"),
    ("n5", "", "a", "factual"),
    ("n1", "again", "a", "factual"),
    ("n6", "one", "a", "hallucinated"),
    ("", "", "", ""),
]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    with open(tmp_path / "notes.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("key", "clinical_note", "model_summary", "label", "age"), *((*row, "") for row in ROWS)]
        )
    return tmp_path / "notes.csv"


def check(path: Path, *options: str) -> str:
    result = CliRunner().invoke(app, ["check", str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def checked(path: Path, *options: str) -> Any:
    return json.loads(check(path, "--json", *options))


def test_the_report_in_words(notes: Path) -> None:
    told = " ".join(check(notes, "--column", "id=key").split())
    for words in (
        "notes.csv: CSV, 8 rows", "taken for clinical notes with their summaries", "clinical_note, model_summary, key as id, label",
        "columns not read: age", "used 4 to learn from", "another label 1 only factual is used", "blank 1",
        "its clinical_note is empty 1 5", "its key is that of an earlier row 1 6", "factual 6", "hallucinated 1",
        "clinical_note 3 5 5 row 4", "the note of an earlier row again: 2 of the used rows (2, 3)",
        "the note and the answer of an earlier row again: 1 of the used rows (3)",
        "garbled characters, lost before the file came here: 1 of the used rows (4)",
        "evidence marks are taken out of the answers: 1 of the used rows",
    ):  # fmt: skip
        assert words in told, words


def test_the_report_as_json(notes: Path) -> None:
    found = checked(notes, "--column", "id=key", "--labels", "all", "--evidence", "keep")
    fates = {name: found[name] for name in ("rows", "used", "other_label", "bad", "blank", "with_evidence_marks")}
    assert fates == {"rows": 8, "used": 5, "other_label": 0, "bad": 2, "blank": 1, "with_evidence_marks": 1}
    assert found["first_bad_rows"] == {"its clinical_note is empty": [5], "its key is that of an earlier row": [6]}
    assert found["lengths"]["model_summary"] == {"median": 2, "p95": 5, "longest": 5, "longest_row": 4}
    assert found["lengths"]["together"]["longest"] == 10
    assert found["repeated_prompts"] == {"rows": 2, "first": [2, 3]}


def test_quantiles_are_by_nearest_rank(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prompt": "w " * n, "completion": "x"} for n in range(1, 41)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert checked(path)["lengths"]["prompt"] == {"median": 20, "p95": 38, "longest": 40, "longest_row": 40}


def test_lengths_in_tokens(notes: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no tokenizer\.json in"):
        check(notes, "--tokenizer", str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="is no tokenizer, or is damaged"):
        check(notes, "--tokenizer", str(tmp_path))
    letters = tokenizers.Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    letters.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    found = checked(notes, "--tokenizer", str(tmp_path))
    assert found["length_unit"] == "tokens"
    assert found["lengths"]["clinical_note"]["longest"] == len("one two three four five")


def test_pairs_are_measured_too(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"prompt": "p q", "chosen": "a b c", "rejected": "d"}) + "\n")
    found = checked(path)
    assert found["holds"] == "pairs" and found["lengths"]["together"]["median"] == 5
    messages = [{"role": "user", "content": "p q"}, {"role": "assistant", "content": "a b c"}]
    path.write_text(json.dumps({"messages": messages}) + "\n")
    assert checked(path)["lengths"]["the answer"]["median"] == 3


def test_stop_names_the_first_bad_row(notes: Path) -> None:
    with pytest.raises(UserError, match=r"notes.csv row 5 \(line 6\): its clinical_note is empty") as stop:
        check(notes, "--on-bad-row", "stop")
    assert stop.value.code == 1


def test_rejects_are_listed(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "rejects.jsonl"
    assert f"each bad row is listed in {out}" in check(notes, "--column", "id=key", "--rejects", str(out))
    listed = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["row"], row["line"], row["detail"]) for row in listed] == [(5, 6, ""), (6, 7, "row 1")]


def test_a_file_of_which_nothing_is_used_fails_after_its_report(notes: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", str(notes), "--labels", "factuel"])
    assert result.exit_code == 1 and "no row has the label factuel" in result.output
    assert isinstance(result.exception, UserError) and "factual 6" in result.exception.hint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--evidence", "drop"], "--evidence 'drop' is none of strip, keep"),
        (["--on-bad-row", "fix"], "--on-bad-row 'fix' is none of stop, skip"),
        (["--labels", ","], "--labels names no label"),
        (["--column", "note=x"], "'note' is none of our columns"),
        (["--column", "id=kei"], "has no column 'kei'"),
        (["--split", "train"], "it has no split 'train'"),
    ],
)
def test_bad_options_are_named(notes: Path, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as stop:
        check(notes, *options)
    assert stop.value.code == 2


def test_public_files_are_reported(public_data: Path) -> None:
    mapped = ["--column", "clinical_note=Text", "--column", "chosen=Corrected Sentence"]
    mapped += ["--column", "rejected=Error Sentence", "--column", "id=Text ID", "--column", "edit=Error Type"]
    found = checked(public_data / "medec" / "validation.csv", *mapped)
    assert (found["rows"], found["used"]) == (574, 319)
    assert found["bad_by_reason"] == {"its Corrected Sentence and its Error Sentence are the same": 255}
    assert found["garbled"]["rows"] > 50  # the file's characters were lost before it was published
    asked = ["--column", "prompt=Question", "--column", "completion=Free_form_answer"]
    assert checked(public_data / "kqa" / "questions_w_answers.jsonl", *asked)["used"] == 141
