"""Every bad row is named with its reason; stop stops there, skip passes over it alone, and nothing is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from posology.errors import ConfigError, UserError
from posology.intake.options import ReadOptions
from posology.intake.prompts import read_notes, read_prompts
from posology.intake.read import read_examples
from posology.intake.rows import MAX_ROW, MAX_TEXT
from posology.intake.tally import OTHER, Tally

from .user_files import HEADER, NOTES, as_csv, as_jsonl, examples, pairs, write

FIRST = b"n1,note one,summary one,factual\n"
LAST = b"n9,note nine,summary nine,factual\n"
NESTED = b'{"a":' * 100_000

# A damaged row, put between two good ones; what is wrong with it.
CSV = [
    (b"n2,,s,factual\n", "its clinical_note is empty"),
    (b"n2, \t ,s,factual\n", "its clinical_note is empty"),
    (b"n2,n,,factual\n", "its model_summary is empty"),
    (b"n2,n,[Evidence: S2],factual\n", "its model_summary holds evidence marks and nothing else"),
    (b"n2,n,s\n", "it has fewer fields than the header"),
    (b"n2,n,s,factual,5 mg\n", "it has more fields than the header"),
    (b"n2,n\xff\xfe,s,factual\n", "it is not UTF-8 text"),
    (b"n2,caf\xe9,s,factual\n", "it is not UTF-8 text"),
    (b"n2,n\x00,s,factual\n", "it holds a NUL character"),
    (b"n2,\xef\xbb\xbfn,s,factual\n", "it holds a byte order mark, which belongs at a file's start only"),
    (b"n2,n,s\rn3,factual\n", "it holds a carriage return without a line feed"),
    (b"n1,n,s,factual\n", "its id is that of an earlier row"),
    (b" ,n,s,factual\n", "it has no id"),
    (b'n2,"never closed,s,factual\n', "a quote opens in it that never closes"),
    (b'n2,"closed "early" on,s,factual\n', "a quote closes in the middle of a field, or never closes"),
    (b"n2," + b"x" * (MAX_TEXT + 1) + b",s,factual\n", "its clinical_note is longer than 1,000,000 characters"),
    (b"n2," + b"x" * MAX_ROW + b",s,factual\n", "it is longer than 8,000,000 bytes"),
]
JSONL = [
    (b'{"id": "n2", "clinical_note": "n"}\n', "it has no model_summary"),
    (b'{"id": "n2", "clinical_note": "n", "model_summary": null}\n', "it has no model_summary"),
    (b'{"id": "n2", "clinical_note": 7, "model_summary": "s"}\n', "its clinical_note is not text"),
    (b'{"id": "n2", "clinical_note": "n", "model_summary": {"text": "s"}}\n', "its model_summary is not text"),
    (b'{"id": ["n2"], "clinical_note": "n", "model_summary": "s"}\n', "its id is neither text nor a whole number"),
    (b'{"id": 0.5, "clinical_note": "n", "model_summary": "s"}\n', "its id is neither text nor a whole number"),
    (b'{"clinical_note": "n", "model_summary": "s"}\n', "it has no id"),
    (b'{"id": "n1", "clinical_note": "n", "model_summary": "s"}\n', "its id is that of an earlier row"),
    (b'{"id": "n2", "clinical_note": "n", "model_summary": "s", "age": NaN}\n', "it holds NaN or Infinity, which are not JSON"),
    (b'{"id": "n2", "clinical_note": "n", "model_summary": "s", "age": -Infinity}\n', "it holds NaN or Infinity, which are not JSON"),
    (b'{"id": "n2", "clinical_note": "n", "clinical_note": "m", "model_summary": "s"}\n', "a key stands twice in one of its JSON objects"),
    (b'{"id": "n2", "clinical_note": "n", "model_summ\n', "it is not JSON"),
    (b'{"id": ' + b"9" * 5000 + b"}\n", "it is not JSON"),
    (b"{}\n", "it has no clinical_note"),
    (b'["n2", "n", "s"]\n', "it is not a JSON object, {...}"),
    (NESTED + b"\n", "its JSON is nested too deeply"),
    (b'{"id": "n2", "clinical_note": "\xe9", "model_summary": "s"}\n', "it is not UTF-8 text"),
    (b'{"id": "n2", "clinical_note": "\x00", "model_summary": "s"}\n', "it holds a NUL character"),
    (b'{"id": "n2", "clinical_note": "\\u0000n", "model_summary": "s"}\n', "it holds a NUL character in its clinical_note"),
    (b'{"id": "n2", "clinical_note": "\\ud800n", "model_summary": "s"}\n', "it holds half of a surrogate pair, which is no"),
    (b'\xef\xbb\xbf{"id": "n2", "clinical_note": "n", "model_summary": "s"}\n', "it holds a byte order mark, which"),
    (b'{"id": "n2", "clinical_note": "' + b"x" * MAX_ROW + b'", "model_summary": "s"}\n', "it is longer than 8,000,000 bytes"),
]  # fmt: skip


def between(tmp_path: Path, suffix: str, bad: bytes) -> Path:
    if suffix == "csv":
        return write(tmp_path / "a.csv", HEADER.encode() + FIRST + bad + LAST)
    rows = [{"id": f"n{n}", "clinical_note": "n", "model_summary": "s"} for n in (1, 9)]
    first, last = as_jsonl(rows).encode().splitlines(keepends=True)
    return write(tmp_path / "a.jsonl", first + bad + last)


CASES = [("csv", *case) for case in CSV] + [("jsonl", *case) for case in JSONL]


@pytest.mark.parametrize(("suffix", "bad", "reason"), CASES, ids=[f"{s}-{n}" for n, (s, _, _) in enumerate(CASES)])
def test_a_bad_row_is_named_and_passed_over_alone(tmp_path: Path, suffix: str, bad: bytes, reason: str) -> None:
    path = between(tmp_path, suffix, bad)
    found, tally = examples(path, rejects=tmp_path / "rejects.jsonl")
    assert [one.id for one in found] == ["n1", "n9"]
    assert (tally.rows, tally.used, tally.skipped) == (3, 2, 1)
    ((told, count),) = tally.bad.items()
    assert told.startswith(reason) and count == 1 and tally.first == {told: [2]}
    (reject,) = map(json.loads, (tmp_path / "rejects.jsonl").read_text().splitlines())
    assert reject["row"] == 2 and reject["reason"] == told and reject["file"] == path.name
    with pytest.raises(UserError, match=f"{path.name} row 2") as stop:
        examples(path, on_bad_row="stop")
    assert told in stop.value.message and "--on-bad-row skip" in stop.value.hint


def said(*turns: str) -> list[dict[str, str]]:
    """ "user: x" -> {"role": "user", "content": "x"}."""
    return [dict(zip(("role", "content"), turn.split(": "), strict=True)) for turn in turns]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "its messages is empty"),
        ("Q A", "its messages is not a list of messages"),
        ([{"role": "user"}], "a message in its messages lacks role or content"),
        (["hello"], "a message in its messages lacks role or content"),
        (said("nurse: x"), "a role in its messages is none of system, user, assistant"),
        (said("user: x"), "the last message of its messages is not the assistant's"),
        (said("assistant: x"), "no message of the user's comes before the answer in its messages"),
        (said("user: ", "assistant: x"), "its messages[].content is empty"),
        (said("user: x", "user: x", "assistant: x"), "the user and the assistant do not take turns in its messages"),
        (said("user: x", "system: x"), "a message of the system's in its messages is not the first"),
    ],
)
def test_bad_conversations(tmp_path: Path, messages: Any, reason: str) -> None:
    rows = [{"messages": said("user: x", "assistant: y")}, {"messages": messages}]
    _, tally = examples(write(tmp_path / "a.jsonl", as_jsonl(rows)))
    assert dict(tally.bad) == {reason: 1}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "a"}, "its chosen and its rejected are the same"),
        ({"prompt": "q", "chosen": "a", "rejected": ""}, "its rejected is empty"),
        ({"prompt": "q", "chosen": said("user: q", "assistant: a"), "rejected": "b"},
         "its chosen and its rejected do not answer the same"),
        ({"prompt": "p", "chosen": said("user: q", "assistant: a"), "rejected": said("user: q", "assistant: b")},
         "its chosen and its rejected do not answer the same"),
    ],
)  # fmt: skip
def test_bad_pairs(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"prompt": "q", "chosen": "a", "rejected": "b"}
    _, tally = pairs(write(tmp_path / "a.jsonl", as_jsonl([good, row])))
    assert dict(tally.bad) == {reason: 1}


# Quotes that do not close ---------------------------------------------------------------------------------------------

BROKEN = [
    b'n2,"opens and never closes,s,factual\n',
    b'n2,"Meds: a, b, c\nd, e, f, g\nh,s,factual\n',  # its second line reads as a row of four fields
    b'n2,"He said "stop" and\nleft, then, came, back\nagain",s,factual\n',
    b'n2,"n",s","factual\n',
]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(broken=st.sampled_from(BROKEN), at=st.integers(1, 6), quoted=st.lists(st.booleans(), min_size=7, max_size=7))
@example(broken=BROKEN[1], at=6, quoted=[False] * 7)
def test_rows_around_broken_quotes_are_read_as_they_are(
    broken: bytes, at: int, quoted: list[bool], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = [
        f'k{n},"note, {n}\nmore",sum,factual\n' if q else f"k{n},note {n},sum,factual\n" for n, q in enumerate(quoted)
    ]
    content = [row.encode() for row in rows]
    path = tmp_path_factory.getbasetemp() / "quotes.csv"
    expected, _ = examples(write(path, HEADER.encode() + b"".join(content)))
    found, tally = examples(write(path, HEADER.encode() + b"".join([*content[:at], broken, *content[at:]])))
    assert [(one.id, one.prompt) for one in found] == [(one.id, one.prompt) for one in expected]
    assert tally.skipped == 1


def test_without_ids_or_labels_the_rest_is_left_unread(tmp_path: Path) -> None:
    """A line of a note with one comma in it reads as a row of two fields: it must not be trained on."""
    path = write(tmp_path / "a.csv", 'prompt,completion\nq,a\nq,"Meds:\naspirin, statin\nq,a\n')
    found, tally = examples(path)
    assert [one.prompt for one in found] == ["q"]
    assert sorted(tally.bad.values()) == [1, 1] and any("unread" in reason for reason in tally.bad)


# Whole files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", HEADER.encode(), "holds no rows"),
        ("a.csv", b"\n\n", "its first row cannot be read: it names no column"),
        ("a.csv", b"\xef\xbb\xbf", "its first row cannot be read"),
        ("a.csv", b'"id,clinical_note', "its first row cannot be read: a quote opens"),
        ("a.csv", b"id,clinical_note,model_summary\r1,n,s\r", "a carriage return without a line feed"),
        ("a.csv", b"id,clinical_note,clinical_note,model_summary\n1,n,n,s\n", "has the column 'clinical_note' twice"),
        ("a.csv", HEADER.encode("utf-16"), "is UTF-16, not UTF-8"),
        ("a.csv", HEADER.encode() + b"1,n,s,hallucinated\n", "none of 1 rows can be used: 1 of another label"),
        ("a.csv", HEADER.encode() + b",,,\n", "none of 1 rows can be used: 1 blank"),
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"\n", "has none of the known columns"),
        ("a.jsonl", b'[{"prompt": "p", "completion": "c"}]', "holds a JSON array"),
        ("a.parquet", b"PAR1 and then nothing", "is damaged, or is no Parquet file"),
        ("a.parquet", b"", "is damaged, or is no Parquet file"),
        ("a.arrow", b"\xff\xff\xff\xff", "is damaged, or is no Arrow file"),
        ("a.xlsx", b"PK", "is a .xlsx file"),
        ("notes", b"x", "has no extension"),
    ],
)
def test_files_that_hold_nothing_to_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(UserError) as stop:
        list(read_examples(path, ReadOptions(on_bad_row="skip")))
    assert message in stop.value.message and str(path) in stop.value.message
    assert stop.value.__cause__ is None


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file or folder"):
        read_examples(tmp_path / "absent.csv")
    with pytest.raises(UserError, match="holds no data files"):
        read_examples(tmp_path)
    with pytest.raises(ConfigError, match="is a file: it has no split"):
        read_examples(write(tmp_path / "a.csv", HEADER), ReadOptions(split="train"))


def test_a_parquet_file_that_is_cut_or_changed(tmp_path: Path) -> None:
    rows = [{"id": str(n), "clinical_note": f"note {n} " * 50, "model_summary": "s"} for n in range(2000)]
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, compression="zstd", use_dictionary=False)
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:2000] + bytes(4000) + whole[6000:]):
        write(path, damaged)
        with pytest.raises(UserError, match="is damaged, or is no Parquet file"):
            examples(path)


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    notes = pa.array([b"one", b"tw\xff", b"three"]).view(pa.string())  # pyarrow does not check
    table = pa.table({"clinical_note": notes, "model_summary": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "a.parquet")
    found, tally = examples(tmp_path / "a.parquet")
    assert [one.row for one in found] == [1, 3]
    assert dict(tally.bad) == {"it is not UTF-8 text": 1}


def test_parquet_values_that_python_does_not_have(tmp_path: Path) -> None:
    dates = pa.array([0, 2**40], pa.timestamp("s"))
    table = pa.table({"id": dates, "clinical_note": ["n", "n"], "model_summary": ["a", "b"]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(UserError, match="2 bad"):
        examples(tmp_path / "a.parquet", rejects=tmp_path / "rejects.jsonl")
    with pytest.raises(UserError, match="row 1: its id is neither text nor a whole number"):
        examples(tmp_path / "a.parquet", on_bad_row="stop")


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    junk=st.binary(max_size=200) | st.text(',";\n\r0a', max_size=60).map(str.encode),
    suffix=st.sampled_from(["csv", "jsonl"]),
)
def test_whatever_the_bytes_each_row_has_one_fate(
    junk: bytes, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "junk"
    folder.mkdir(exist_ok=True)
    found, tally = examples(between(folder, suffix, junk))
    assert found[0].id == "n1" and tally.used == len(found)
    assert tally.rows == tally.used + tally.unused + tally.blank + tally.skipped


# Tallies and rejects --------------------------------------------------------------------------------------------------


def test_blank_rows_are_counted_and_are_no_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER.encode() + FIRST + b",,,\n , ,,\n" + LAST)
    found, tally = examples(path, on_bad_row="stop")
    assert [one.row for one in found] == [1, 4] and tally.blank == 2


def test_the_manifest_counts_everything(tmp_path: Path) -> None:
    rows = [*NOTES, {**NOTES[0], "id": "n4", "model_summary": "On X [Evidence: S1]."}, {**NOTES[0], "id": ""}, NOTES[0]]
    _, tally = examples(write(tmp_path / "a.csv", as_csv(rows)))
    assert tally.manifest() == {
        "rows": 6, "used": 3, "other_label": 1, "blank": 0, "bad": 2, "with_evidence_marks": 1,
        "bad_by_reason": {"it has no id": 1, "its id is that of an earlier row": 1},
        "labels": {"factual": 5, "hallucinated": 1},
    }  # fmt: skip


def test_labels_that_may_be_text_are_not_named() -> None:
    tally = Tally(wanted=("mine",))
    for label in ["checked", "checked", "once", "mine", "John Smith has pain", "John Smith has pain", "", "factual"]:
        tally.add_label(label)
    assert tally.labels() == {"checked": 2, OTHER: 3, "mine": 1, "": 1, "factual": 1}
    for number in range(100):  # a column of something else
        tally.add_label(f"word{number % 50}")
    assert tally.labels() == {OTHER: 105, "mine": 1, "": 1, "factual": 1}


def test_rejects_are_whole_or_absent(tmp_path: Path) -> None:
    path, rejects = between(tmp_path, "csv", b"n2,,s,factual\n"), tmp_path / "new" / "rejects.jsonl"
    reader = read_examples(path, ReadOptions(on_bad_row="skip", rejects=rejects))
    assert next(reader).id == "n1" and next(reader).id == "n9"
    assert not rejects.exists()
    assert list(reader) == [] and len(rejects.read_text().splitlines()) == 1
    examples(write(tmp_path / "good.csv", HEADER.encode() + FIRST), rejects=rejects)
    assert rejects.read_text() == ""  # not those of another file
    assert [file.name for file in rejects.parent.iterdir()] == ["rejects.jsonl"]


def test_rejects_never_overwrite_what_is_read(tmp_path: Path) -> None:
    path = between(tmp_path, "csv", b"n2,,s,factual\n")
    with pytest.raises(ConfigError, match="the rejects would overwrite"):
        read_examples(path, ReadOptions(on_bad_row="skip", rejects=path))


def test_asking_does_not_judge_the_answers_that_are_there(tmp_path: Path) -> None:
    """A summary that cannot be read spoils the row for whoever compares with it, and for nobody else."""
    rows = [
        {"id": n, "clinical_note": "Note.", "model_summary": summary}
        for n, summary in enumerate(["Fine.", 7, " ", None])
    ]
    path = write(tmp_path / "a.jsonl", as_jsonl(rows))
    assert [prompt.error for prompt in read_prompts(path, ReadOptions(labels=()))] == [""] * 4
    tally = Tally()
    found = list(read_notes(path, ReadOptions(labels=(), on_bad_row="skip"), tally))
    assert [(note.id, note.completion) for note in found] == [("0", "Fine."), ("2", ""), ("3", "")]
    assert dict(tally.bad) == {"its model_summary is not text": 1}
