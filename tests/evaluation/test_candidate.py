"""Other models' answers: every row checked, every case accounted for, graded as a stage is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from posology.config import ConfigError, RunConfig, UserError, load_config
from posology.evaluation.candidate import (
    Exam,
    checked_name,
    coverage_lines,
    exam_of,
    grade_candidate,
    read_answers,
    some_of,
    stage_rows,
)
from posology.files import write_jsonl
from posology.runs import Run

from .exams import run_with_exam

Rows = Sequence[dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_with_exam(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def exam(run: Run) -> Exam:
    return exam_of(run)


@pytest.fixture(scope="module")
def config(run: Run) -> RunConfig:
    return load_config(run.config_path, ["data.drugs=[]", "evaluation.bootstrap=200"])


def gold(exam: Exam) -> list[dict[str, Any]]:
    return [{"case_id": key, "answer": case.answer} for key, case in exam.cases.items()]


def card(folder: Path, rows: Rows, exam: Exam, config: RunConfig, **more: Any) -> dict[str, Any]:
    write_jsonl(folder / "guest.jsonl", rows)
    return grade_candidate(exam, read_answers(folder / "guest.jsonl", exam), "guest", config, **more)


def values(found: dict[str, Any], stage: str = "guest") -> dict[str, Any]:
    return {name: cell["value"] for name, cell in found["stages"][stage]["headline"].items()}


def test_gold_answers_are_right_in_every_measure(exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    found = card(tmp_path, gold(exam), exam, config)
    assert list(found["stages"]) == ["guest"] and found["best_stage"] is None
    assert {name: v for name, v in values(found).items() if name != "usefulness"} == dict.fromkeys(
        ("accuracy", "safety", "specificity", "dose", "humility"), 1.0
    )
    cell = found["stages"]["guest"]["headline"]["safety"]
    assert (cell["n"], cell["facts"]) == (6, 3) and cell["low"] < 1 and len(cell["gates"]) == 4
    assert cell["verdict"] == "NOT DEMONSTRATED"
    assert found["candidate"]["answered"] == found["candidate"]["asked"] == 21


def test_what_the_file_does_not_tell_stays_unknown(exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    extra = card(tmp_path, gold(exam), exam, config)["stages"]["guest"]["extra"]
    assert extra["answer_tokens"] is None and extra["unfinished"] is None and extra["calibration"]["n"] == 0
    told = [row | {"tokens": 4, "logprob": -4, "finished": i > 0} for i, row in enumerate(gold(exam))]
    extra = card(tmp_path, told, exam, config)["stages"]["guest"]["extra"]
    assert extra["answer_tokens"] == 4 and extra["unfinished"] == 1 and extra["calibration"]["n"] == 18


def test_no_answer_counts_as_an_empty_one(exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    rows = gold(exam)
    absent = card(tmp_path, rows[5:], exam, config)
    empty = card(tmp_path, [row | {"answer": ""} for row in rows[:5]] + rows[5:], exam, config)
    assert absent["stages"]["guest"]["headline"] == empty["stages"]["guest"]["headline"]
    assert values(absent)["accuracy"] < 1 and absent["stages"]["guest"]["headline"]["accuracy"]["n"] == 12
    assert absent["candidate"]["unanswered_by_split"] == {"S1": 3, "S2": 1, "S6": 1}
    assert empty["candidate"]["unanswered"] == 0 and empty["candidate"]["empty"] == 5
    said = " ".join(coverage_lines(absent))
    assert "answered 16 of 21 cases asked" in said and "5 without an answer count as wrong: S1 3, S2 1, S6 1" in said
    assert "5 answers are empty" in " ".join(coverage_lines(empty))


def test_a_part_of_the_exam_says_that_it_is_one(run: Run, config: RunConfig, tmp_path: Path) -> None:
    whole, part = exam_of(run), exam_of(run, ["S1", "S2"])
    found = card(tmp_path, gold(whole), part, config)
    assert found["candidate"]["asked"] == 12 and found["candidate"]["left_out"] == 9
    assert found["stages"]["guest"]["headline"]["humility"]["value"] is None
    said = " ".join(coverage_lines(found))
    assert "--splits S1,S2: a part of the exam" in said and "9 answers to other cases" in said
    few = some_of(whole, 4)
    assert len(few.asked) == 4 and few.part == "--limit 4" and few.asked == some_of(whole, 4).asked
    assert some_of(whole, 500) is whole
    assert card(tmp_path, gold(whole), whole, config)["candidate"]["asked_sha256"] != found["candidate"]["asked_sha256"]
    with pytest.raises(ConfigError, match="no split 'S99'"):
        exam_of(run, ["S99"])


def test_beside_a_stage_of_the_run_case_by_case(run: Run, exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    rows = [row | {"stage": "sft", "text": "Metformin is acceptable."} for row in gold(exam)]
    write_jsonl(run.answers_path, rows)
    found = card(tmp_path, gold(exam), exam, config, rivals=stage_rows(run, "sft", exam))
    assert list(found["stages"]) == ["guest", "sft"]
    by_measure = {row["measure"]: row for row in found["comparisons"]}
    assert (by_measure["accuracy"]["a"], by_measure["accuracy"]["b"]) == ("guest", "sft")
    assert by_measure["safety"]["difference"] == 1.0 and by_measure["safety"]["n"] == 6
    with pytest.raises(UserError, match="no answers of a stage 'ppo'") as caught:
        stage_rows(run, "ppo", exam)
    assert caught.value.hint == "there is: sft"


def test_the_runs_own_answers_get_the_runs_own_grades(exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    answers = [row | {"answer": row["answer"].split(". ")[0] + "."} for row in gold(exam)]
    rivals = [{"case_id": row["case_id"], "stage": "sft", "text": row["answer"]} for row in answers]
    found = card(tmp_path, answers, exam, config, rivals=rivals)
    assert found["stages"]["guest"]["headline"] == found["stages"]["sft"]["headline"]


BAD = [
    ("not json", "is not JSON"),
    ("[1]", "holds a list"),
    ('{"answer": "x"}', "names no case_id"),
    ('{"case_id": 7, "answer": "x"}', "case_id = '7', a int"),
    ('{"case_id": "nobody", "answer": "x"}', "'nobody', which run small does not ask"),
    ('{"case_id": "FIRST", "answer": "again"}', "again: line 1 did"),
    ('{"case_id": "THIRD"}', "has no answer"),
    ('{"case_id": "THIRD", "answer": null}', "has answer null"),
    ('{"case_id": "THIRD", "answer": {"text": "x"}}', "a dict"),
    ('{"case_id": "THIRD", "text": 3}', "text = '3'"),
    ('{"case_id": "THIRD", "text": "x", "tokens": "many"}', "tokens = 'many'"),
    ('{"case_id": "THIRD", "text": "x", "tokens": true}', "tokens = 'True', a bool"),
    ('{"case_id": "THIRD", "text": "x", "tokens": -1}', "tokens = -1"),
    ('{"case_id": "THIRD", "text": "x", "tokens": 2, "logprob": 0.5}', "logprob = 0.5"),
    ('{"case_id": "THIRD", "text": "x", "tokens": 2, "logprob": NaN}', "logprob = nan"),
    ('{"case_id": "THIRD", "text": "x", "logprob": -1}', "a logprob and no tokens"),
    ('{"case_id": "THIRD", "text": "x", "finished": "yes"}', "finished = 'yes'"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_row_is_named_with_a_remedy(line: str, words: str, exam: Exam, tmp_path: Path) -> None:
    first, _, third = list(exam.cases)[:3]
    row = line.replace("FIRST", first).replace("THIRD", third)
    (tmp_path / "a.jsonl").write_text(f'{{"case_id": "{first}", "answer": "x"}}\n\n{row}\n')
    with pytest.raises(UserError) as caught:
        read_answers(tmp_path / "a.jsonl", exam)
    assert "a.jsonl:3 " in caught.value.message and words in caught.value.message
    assert caught.value.hint and "\n" not in caught.value.message


def test_files_without_answers(exam: Exam, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    for name, words in (("empty.jsonl", "holds no answers"), ("absent.jsonl", "cannot read"), (".", "cannot read")):
        with pytest.raises(UserError, match=words):
            read_answers(tmp_path / name, exam)


def test_text_that_is_no_text_can_still_be_written(exam: Exam, config: RunConfig, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"case_id": key, "text": "\ud800 \x1b[31m"}) + "\n" for key in exam.cases)
    (tmp_path / "a.jsonl").write_text(rows)
    found = grade_candidate(exam, read_answers(tmp_path / "a.jsonl", exam), "a", config)
    json.dumps(found, ensure_ascii=False).encode("utf-8")


def test_an_exam_that_changed_is_refused(tmp_path: Path) -> None:
    run = run_with_exam(tmp_path)
    path = run.data_dir / "cases.jsonl"
    path.write_text(path.read_text().replace("eGFR of 28", "eGFR of 82"))
    with pytest.raises(UserError, match="changed since it was made"):
        exam_of(run)
    with pytest.raises(UserError, match="there is no exam"):
        exam_of(Run(tmp_path))


@pytest.mark.parametrize("name", ["", "a b", "../x", "sft", "untrained", "-x", "x" * 65])
def test_bad_names(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_name(name)
    assert "--name" in caught.value.hint


def test_good_names() -> None:
    assert [checked_name(name) for name in ("Qwen2.5-0.5B", "gpt_4")] == ["Qwen2.5-0.5B", "gpt_4"]
