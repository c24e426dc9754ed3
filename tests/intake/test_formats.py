"""The same rows from every format, in every shape; what is told from a file's columns and a folder's names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.errors import ConfigError, UserError
from posology.intake.convert import pair_row
from posology.intake.options import ReadOptions, parse_columns, parse_labels
from posology.intake.read import read_examples, read_pairs
from posology.intake.records import Example, Pair, Turn

from .user_files import NOTES, as_csv, as_jsonl, examples, pairs, write

EXPECTED = [
    Example(1, "n1", "Takes 500 mg of metformin.", "Metformin 500 mg.", is_note=True, label="factual"),
    Example(2, "n2", 'She said "no",\ntwice.', "Refused.", is_note=True, label="factual"),
]
ASK = {"role": "user", "content": "And with warfarin?"}
BEFORE = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Is ibuprofen safe?"},
          {"role": "assistant", "content": "For whom?"}]  # fmt: skip
BEFORE_TURNS = (Turn("system", "Be brief."), Turn("user", "Is ibuprofen safe?"), Turn("assistant", "For whom?"))


def saying(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def arrow_stream(path: Path, rows: list[dict[str, Any]]) -> Path:
    table = pa.Table.from_pylist(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def make(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows in the format of the path's extension."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".arrow":
        arrow_stream(path, rows)
    else:
        write(path, as_csv(rows) if path.suffix == ".csv" else as_jsonl(rows))
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.arrow"])
def test_every_format_gives_the_same_examples(tmp_path: Path, name: str) -> None:
    found, tally = examples(make(tmp_path / name, NOTES), on_bad_row="stop")
    assert found == EXPECTED
    assert (tally.rows, tally.used, tally.unused, tally.skipped, tally.blank) == (3, 2, 1, 0, 0)
    assert tally.labels() == {"factual": 2, "hallucinated": 1}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("crlf.csv", as_csv(NOTES, lineterminator="\r\n").replace(",\ntwice", ",\r\ntwice")),
        ("bom.csv", "\ufeff" + as_csv(NOTES)),
        ("bom.jsonl", "\ufeff" + as_jsonl(NOTES)),
        ("semicolons.csv", as_csv(NOTES, delimiter=";")),
        ("tabs.tsv", as_csv(NOTES, delimiter="\t")),
        ("blank_lines.csv", as_csv(NOTES).replace("\nn3", "\n\n\nn3") + "\n"),
        ("blank_lines.jsonl", as_jsonl(NOTES).replace("\n", "\n\n")),
        ("no_last_newline.csv", as_csv(NOTES).rstrip("\n")),
        ("more_columns.csv", as_csv([{**row, "age": "77", "": "x"} for row in NOTES])),
        ("lines.json", as_jsonl(NOTES)),
        ("UPPER.CSV", as_csv(NOTES)),
    ],
)
def test_harmless_differences(tmp_path: Path, name: str, content: str) -> None:
    assert examples(write(tmp_path / name, content), on_bad_row="stop")[0] == EXPECTED


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=1)
WRITTEN = st.lists(st.tuples(TEXT, TEXT).filter(lambda row: all(text.strip() for text in row)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(rows=WRITTEN)
def test_what_was_written_is_read(rows: list[tuple[str, str]], folder: Path) -> None:
    """Whatever a text holds, a row of CSV, of JSONL and of Parquet gives it back."""
    dicts: list[dict[str, Any]] = [{"prompt": prompt, "completion": answer} for prompt, answer in rows]
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        found, _ = examples(make(folder / name, dicts), on_bad_row="stop", evidence="keep")
        assert [(one.prompt, one.completion) for one in found] == rows, name


# Shapes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Is it safe?", "completion": " No."}, Example(1, "1", "Is it safe?", " No.")),
        (
            {"id": 7, "prompt": [*BEFORE, ASK], "completion": [saying("No.")]},
            Example(1, "7", "And with warfarin?", "No.", history=BEFORE_TURNS),
        ),
        (
            {"messages": [*BEFORE, ASK, saying("No.")], "label": "factual"},
            Example(1, "1", "And with warfarin?", "No.", history=BEFORE_TURNS, label="factual"),
        ),
        ({"messages": [ASK, saying("No.")]}, Example(1, "1", "And with warfarin?", "No.")),
    ],
)
def test_shapes_of_examples(tmp_path: Path, row: dict[str, Any], expected: Example, suffix: str) -> None:
    assert examples(make(tmp_path / f"a{suffix}", [row]))[0] == [expected]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Q", "chosen": "yes", "rejected": "no"}, Pair(1, "1", "Q", "yes", "no")),
        (
            {"id": "p", "clinical_note": "N", "chosen": "yes", "rejected": "no", "edit": "dose"},
            Pair(1, "p", "N", "yes", "no", is_note=True, edit="dose"),
        ),
        (
            {"prompt": "Q", "chosen": "yes", "rejected": "no", "strategy": "negation"},
            Pair(1, "1", "Q", "yes", "no", edit="negation"),
        ),
        (
            {"prompt": [*BEFORE, ASK], "chosen": [saying("yes")], "rejected": [saying("no")]},
            Pair(1, "1", "And with warfarin?", "yes", "no", history=BEFORE_TURNS),
        ),
        (
            {"chosen": [*BEFORE, ASK, saying("yes")], "rejected": [*BEFORE, ASK, saying("no")]},
            Pair(1, "1", "And with warfarin?", "yes", "no", history=BEFORE_TURNS),
        ),
        (
            {"prompt": ASK["content"], "chosen": [ASK, saying("yes")], "rejected": [ASK, saying("no")]},
            Pair(1, "1", "And with warfarin?", "yes", "no"),
        ),
    ],
)  # fmt: skip
def test_shapes_of_pairs(tmp_path: Path, row: dict[str, Any], expected: Pair, suffix: str) -> None:
    assert pairs(make(tmp_path / f"a{suffix}", [row]))[0] == [expected]
    assert pairs(make(tmp_path / f"b{suffix}", [{**pair_row(expected), "id": row.get("id", "1")}]))[0] == [expected]


def test_columns_are_mapped(tmp_path: Path) -> None:
    rows = [{"key": row["id"], "note_text": row["clinical_note"], "sum": row["model_summary"]} for row in NOTES[:2]]
    columns = parse_columns(["id=key", "clinical_note = note_text", "model_summary=sum"])
    found, _ = examples(make(tmp_path / "a.csv", rows), columns=columns)
    assert [(one.id, one.prompt, one.completion) for one in found] == [
        (one.id, one.prompt, one.completion) for one in EXPECTED
    ]


def test_a_mapped_column_decides_between_shapes(tmp_path: Path) -> None:
    path = make(tmp_path / "a.csv", [{"prompt": "p", "completion": "c", "note": "n", "model_summary": "s"}])
    assert examples(path)[0][0].prompt == "p"
    assert examples(path, columns={"clinical_note": "note"})[0][0].prompt == "n"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["clinical_nota=x"], "did you mean 'clinical_note'"),
        (["clinical_note"], "for example --column clinical_note=note_text"),
        (["label=a", "label=b"], "one column of the file for each of ours"),
    ],
)
def test_bad_mappings(columns: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as stop:
        parse_columns(columns)
    assert words in stop.value.hint


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        ({"clinical_note": "note_txt"}, "has no column 'note_txt'", "did you mean 'note_text'?"),
        ({"clinical_note": "note_text"}, "has no column 'model_summary'", "did you mean 'summary'?"),
        ({"prompt": "summary", "completion": "id", "clinical_note": "note_text"}, "clinical_note=note_text is of no use", ""),
        ({}, "has none of the known columns", "the file has: id, note_text, summary"),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit(tmp_path: Path, columns: dict[str, str], message: str, hint: str) -> None:
    path = write(tmp_path / "a.csv", "id,note_text,summary\n1,n,s\n")
    with pytest.raises(UserError) as stop:
        read_examples(path, ReadOptions(columns=columns))
    assert message in stop.value.message and hint in stop.value.hint


def test_pairs_and_examples_are_not_confused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "prompt,chosen,rejected\nq,a,b\n")
    with pytest.raises(UserError, match=r"holds preferences: .*, not examples"):
        read_examples(path)
    with pytest.raises(UserError, match=r"holds clinical notes with their summaries, not pairs"):
        read_pairs(make(tmp_path / "b.csv", NOTES))


# Labels and evidence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "ids"),
    [("factual", ["n1", "n2"]), ("hallucinated", ["n3"]), ("Factual,hallucinated", ["n1", "n2", "n3"]), ("all", ["n1", "n2", "n3"])],
)  # fmt: skip
def test_labels_choose_rows(tmp_path: Path, labels: str, ids: list[str]) -> None:
    found, tally = examples(make(tmp_path / "a.csv", NOTES), labels=parse_labels(labels))
    assert [one.id for one in found] == ids
    assert tally.unused == 3 - len(ids)


def test_a_row_of_another_label_is_not_judged(tmp_path: Path) -> None:
    """The hallucinated summary of a note may bear the id of the factual one, or say nothing."""
    rows = [*NOTES[:1], {**NOTES[0], "label": "hallucinated"}, {**NOTES[2], "model_summary": ""}]
    assert examples(make(tmp_path / "a.csv", rows), on_bad_row="stop")[1].unused == 2


def test_a_row_without_its_label_does_not_train(tmp_path: Path) -> None:
    rows = [NOTES[0], {name: value for name, value in NOTES[1].items() if name != "label"}, {**NOTES[1], "label": None}]
    found, tally = examples(write(tmp_path / "a.jsonl", as_jsonl(rows)))
    assert [one.id for one in found] == ["n1"]
    assert tally.labels() == {"": 2, "factual": 1}


@pytest.mark.parametrize(
    ("marked", "bare"),
    [
        ("On metformin [Evidence: S2,1; Conf: 0.45].", "On metformin."),
        ("[evidence: S1] On metformin. [Evidence:S3]  Stable.", "On metformin.  Stable."),
        ("BP 120/80 [sic], ADA [ref 3].", "BP 120/80 [sic], ADA [ref 3]."),
        ("On metformin [Evidence: S2", "On metformin [Evidence: S2"),
        ("First.\n[Evidence: S1]\nSecond.", "First.\n\nSecond."),
    ],
)
def test_evidence_marks_are_stripped_or_kept(tmp_path: Path, marked: str, bare: str) -> None:
    path = make(tmp_path / "a.csv", [{**NOTES[0], "model_summary": marked, "clinical_note": marked}])
    (stripped,), tally = examples(path)
    (kept,), _ = examples(path, evidence="keep")
    assert (stripped.completion, kept.completion) == (bare, marked)
    assert stripped.prompt == kept.prompt == marked  # a note is as it was written
    assert tally.marked == (bare != marked)


def test_marks_are_found_in_linear_time(tmp_path: Path) -> None:
    text = " " * 300_000 + "[evidence:" * 30_000 + "x"  # minutes where the time is quadratic
    (found,), _ = examples(make(tmp_path / "a.jsonl", [{**NOTES[0], "model_summary": text}]))
    assert found.completion == text


# Folders --------------------------------------------------------------------------------------------------------------


def saved(folder: Path, rows: list[dict[str, Any]]) -> None:
    """As `datasets` writes a Dataset with save_to_disk, in two shards."""
    arrow_stream(folder / "data-00000-of-00002.arrow", rows[:1])
    arrow_stream(folder / "data-00001-of-00002.arrow", rows[1:])
    names = [{"filename": "data-00000-of-00002.arrow"}, {"filename": "data-00001-of-00002.arrow"}]
    write(folder / "state.json", json.dumps({"_data_files": names, "_split": "train"}))
    write(folder / "dataset_info.json", "{}")


def test_folders_of_save_to_disk(tmp_path: Path) -> None:
    saved(tmp_path / "one", NOTES)
    assert examples(tmp_path / "one")[0] == EXPECTED
    saved(tmp_path / "dict" / "train", NOTES)
    saved(tmp_path / "dict" / "test", NOTES[:2])
    write(tmp_path / "dict" / "dataset_dict.json", '{"splits": ["train", "test"]}')
    assert examples(tmp_path / "dict")[0] == EXPECTED
    assert examples(tmp_path / "dict", split="test")[1].rows == 2
    with pytest.raises(ConfigError, match="has no split 'validation'"):
        read_examples(tmp_path / "dict", ReadOptions(split="validation"))


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        ("train.csv", "validation.csv"),
        ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
        ("train/part-0.jsonl", "dev/part-0.jsonl"),
        ("notes.csv", "val_notes.csv"),
    ],
)
def test_folders_as_on_the_hub(tmp_path: Path, train: str, validation: str) -> None:
    for name, rows in ((train, NOTES), (validation, NOTES[:1])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make(tmp_path / name, rows)
    write(tmp_path / "README.md", "about")
    write(tmp_path / "dataset_infos.json", "{}")
    write(tmp_path / ".cache" / "train.csv", "nothing\n")
    assert examples(tmp_path)[0] == EXPECTED
    assert examples(tmp_path, split="validation")[0] == EXPECTED[:1]


def test_shards_follow_one_another(tmp_path: Path) -> None:
    make(tmp_path / "train-0.csv", NOTES[:1])
    write(tmp_path / "train-1.csv", as_csv([NOTES[1], NOTES[0]]))
    found, tally = examples(tmp_path)
    assert found == EXPECTED
    assert dict(tally.bad) == {"its id is that of an earlier row": 1}
    with pytest.raises(UserError, match=r"train-1.csv row 2 \(line 4\): .* \(row 1 of all files together\)"):
        examples(tmp_path, on_bad_row="stop")
    write(tmp_path / "train-2.csv", "id,clinical_note\n")
    with pytest.raises(UserError, match=r"train-2\.csv has no column 'model_summary', which train-0\.csv has"):
        examples(tmp_path)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ('{"_data_files": []}', "names no data files"),
        ('{"_data_files": [{"filename": "../../elsewhere.arrow"}]}', "names no data files"),
        ('{"_data_files": [{"filename": "absent.arrow"}]}', "no file"),
        ("[", "is damaged"),
    ],
)
def test_damaged_folders(tmp_path: Path, state: str, message: str) -> None:
    write(tmp_path / "state.json", state)
    with pytest.raises(UserError, match=message):
        read_examples(tmp_path)


def test_real_data_are_read_without_a_bad_row(public_data: Path) -> None:
    dialogues = {"clinical_note": "dialogue", "model_summary": "section_text", "id": "ID"}
    notes = {"clinical_note": "dialogue", "model_summary": "note", "id": "encounter_id"}
    for name, columns, rows in (
        ("mts_dialog/train.csv", dialogues, 1201),
        ("mts_dialog/validation.csv", dialogues, 100),
        ("aci_bench/train.csv", notes, 67),
        ("aci_bench/valid.csv", notes, 20),
    ):
        assert examples(public_data / name, columns=columns, on_bad_row="stop")[1].used == rows
