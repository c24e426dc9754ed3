"""Answers to a user's notes: in order, each on its own seed, resumable, and what made them beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posology.config import UserError
from posology.files import read_jsonl
from posology.intake.options import ReadOptions
from posology.intake.prompts import Prompt
from posology.intake.records import Example
from posology.models.source import open_source
from posology.recipes import own_generate as page
from posology.recipes.own_generate import Answerer, AnswerSettings, answer_file, answer_rows, open_answerer

from ..family_models import save_family
from .own_files import notes, quietly, write_notes

SAMPLED = AnswerSettings(max_new_tokens=6, temperature=1.0, top_k=40, top_p=0.95, seed=3)
OPTIONS = ReadOptions()


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Answerer:
    source = open_source(save_family(tmp_path_factory.mktemp("models") / "gpt2", "gpt2"))
    return open_answerer(source, SAMPLED, device="cpu")


def rows(path: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(path))


def test_answers_stand_in_order_and_do_not_depend_on_the_batch(answerer: Answerer, tmp_path: Path) -> None:
    notes_file = Path(write_notes(tmp_path / "notes.csv", 7))
    made = [
        answer_file(answerer, notes_file, tmp_path / f"{size}.jsonl", OPTIONS, rows=size, progress=quietly())
        for size in (1, 3, 8)
    ]
    one, three, eight = (rows(tmp_path / f"{size}.jsonl") for size in (1, 3, 8))
    assert one == three == eight
    assert [row["id"] for row in one] == [key for key, _, _ in notes(7)] and [row["row"] for row in one] == [
        *range(1, 8)
    ]
    assert {row["stopped"] for row in one} <= {"end", "length"} and len({row["answer"] for row in one}) > 1
    assert made[0]["model"]["sha256"] == answerer.source.digest and made[0]["settings"]["seed"] == 3
    other = replace(answerer, settings=replace(SAMPLED, seed=4))
    answer_file(other, notes_file, tmp_path / "seed.jsonl", OPTIONS, progress=quietly())
    assert rows(tmp_path / "seed.jsonl") != one


@pytest.mark.parametrize("torn", ["", '{"row": 3, "id": "n2", "ans'])
def test_a_killed_call_goes_on_without_losing_or_repeating(
    torn: str, answerer: Answerer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes_file, output = Path(write_notes(tmp_path / "notes.csv", 7)), tmp_path / "answers.jsonl"
    answer_file(answerer, notes_file, tmp_path / "whole.jsonl", OPTIONS, rows=2, progress=quietly())
    asked: list[int] = []

    def dying(answerer: Answerer, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.extend(prompt.row for prompt in prompts)
        return answer_rows(answerer, prompts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(page, "answer_rows", dying)
        answer_file(answerer, notes_file, output, OPTIONS, rows=2, progress=quietly())
    assert not output.exists()
    with open(tmp_path / "answers.jsonl.part", "a", encoding="utf-8") as file:
        file.write(torn)

    def counting(answerer: Answerer, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        asked.extend(prompt.row for prompt in prompts)
        return answer_rows(answerer, prompts)

    monkeypatch.setattr(page, "answer_rows", counting)
    answer_file(answerer, notes_file, output, OPTIONS, rows=2, progress=quietly())
    assert asked == [1, 2, 3, 4, 5, 6, 7]
    assert rows(output) == rows(tmp_path / "whole.jsonl")
    assert not (tmp_path / "answers.jsonl.part").exists()
    assert answer_file(answerer, notes_file, output, OPTIONS, progress=quietly())["rows"] == 7  # there already
    assert len(asked) == 7


def test_what_was_kept_of_other_settings_is_not_mixed_in(answerer: Answerer, tmp_path: Path) -> None:
    notes_file, output = Path(write_notes(tmp_path / "notes.csv", 2)), tmp_path / "answers.jsonl"
    stale = [{"made_of": "another"}, {"row": 1, "id": "n0", "answer": "stale"}]
    (tmp_path / "answers.jsonl.part").write_text("".join(json.dumps(row) + "\n" for row in stale))
    answer_file(answerer, notes_file, output, OPTIONS, progress=quietly())
    assert "stale" not in output.read_text()
    other = replace(answerer, settings=replace(SAMPLED, top_k=1))
    with pytest.raises(UserError, match="made by another model, other settings or another input"):
        answer_file(other, notes_file, output, OPTIONS, progress=quietly())


def test_a_note_that_does_not_fit_is_an_error_of_its_row_or_cut(answerer: Answerer, tmp_path: Path) -> None:
    lines = ["short note", "CANARY " * 300, "another"]
    (tmp_path / "notes.txt").write_text("\n".join(lines) + "\n\n")
    about = answer_file(answerer, tmp_path / "notes.txt", tmp_path / "a.jsonl", OPTIONS, progress=quietly())
    first, second, third = rows(tmp_path / "a.jsonl")
    assert "error" not in first and "error" not in third and about["errors"] == 1
    assert second["answer"] == "" and "the model reads 256, 6 of them its answer" in second["error"]
    assert "CANARY" not in (tmp_path / "a.jsonl").read_text() + (tmp_path / "a.jsonl.about.json").read_text()
    cutting = replace(answerer, settings=replace(SAMPLED, truncate=True))
    answer_file(cutting, tmp_path / "notes.txt", tmp_path / "b.jsonl", OPTIONS, progress=quietly())
    cut = rows(tmp_path / "b.jsonl")[1]
    assert 0 < cut["cut_characters"] < 7 * 300 and "error" not in cut


def test_bad_rows_are_errors_of_their_own(answerer: Answerer, tmp_path: Path) -> None:
    lines = [
        {"prompt": "a"},
        {"prompt": ""},
        {"prompt": 3},
        {"messages": []},
        {"prompt": [{"role": "user", "content": "x"}]},
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines) + "{broken\n")
    answer_file(answerer, tmp_path / "p.jsonl", tmp_path / "out.jsonl", OPTIONS, progress=quietly())
    errors = [row.get("error", "") for row in rows(tmp_path / "out.jsonl")]
    assert len(errors) == 6 and not errors[0] and not errors[4]
    assert (
        errors[1] == "its prompt is empty" and errors[2] == "its prompt is not text" and errors[3] == "it has no prompt"
    )
    assert errors[5]


def test_a_folder_of_known_columns_only(answerer: Answerer, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text("id,text\n1,hello\n")
    with pytest.raises(UserError, match="none of the known columns"):
        answer_file(answerer, tmp_path / "n.csv", tmp_path / "out.jsonl", OPTIONS, progress=quietly())
    renamed = ReadOptions(columns={"clinical_note": "text"})
    answer_file(answerer, tmp_path / "n.csv", tmp_path / "out.jsonl", renamed, progress=quietly())
    assert len(rows(tmp_path / "out.jsonl")) == 1


def test_any_of_the_end_tokens_ends_an_answer(answerer: Answerer) -> None:
    prompt = Prompt(1, "1", Example(1, "1", "note", "", is_note=True))
    greedy = replace(answerer, settings=replace(SAMPLED, temperature=0.0))
    (line,) = answer_rows(greedy, [prompt])
    ids = answerer.layout.tokenizer(" " + line["answer"], add_special_tokens=False)["input_ids"]
    ending = replace(greedy, ends=frozenset(range(320)))
    (cut,) = answer_rows(ending, [prompt])
    assert (cut["stopped"], cut["tokens"], cut["answer"]) == ("end", 0, "") and len(ids) > 0
