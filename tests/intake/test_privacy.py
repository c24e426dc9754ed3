"""No text of a row is ever written or printed: a canary in every field, and every way in which reading ends badly."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posology.cli import main

from .user_files import as_csv, as_jsonl, write

CANARY = "quokka"


def secret(what: str) -> str:
    return f"{what} of Mrs Quokka, who takes warfarin"


ROW = {name: secret(name) for name in ("id", "clinical_note", "model_summary", "allergies")} | {"label": "factual"}
HEADER = "id,clinical_note,model_summary,label,allergies\n"
GOOD = as_csv([{**ROW, "id": secret("first id")}])
TAIL = f"{secret('x')},{secret('a note')},{secret('a summary')},factual,{secret('an allergy')}\n"
Q = '"'


def csv_with(row: str) -> str:
    return GOOD.replace("\r\n", "\n") + row + TAIL


def jsonl_with(row: str) -> str:
    return as_jsonl([ROW]) + row + as_jsonl([{**ROW, "id": secret("last id")}])


def turned(**values: object) -> str:
    return jsonl_with(as_jsonl([{**ROW, "id": "2", **values}]))


TEXT = {
    "too few fields": ("a.csv", csv_with(f"{secret('id')},{secret('note')}\n")),
    "too many fields": ("a.csv", csv_with(TAIL.rstrip() + f",{secret('more')}\n")),
    "unclosed quote": ("a.csv", csv_with(f"2,{Q}{secret('note')},{secret('summary')},factual,x\n")),
    "quote closed early": ("a.csv", csv_with(f"2,{Q}{secret('n')}{Q}{secret('n')}{Q},s,factual,x\n")),
    "unclosed to the end": ("a.csv", GOOD + f"2,{Q}{secret('note')}\n{secret('more')}\n"),
    "carriage return": ("a.csv", csv_with(f"{secret('id')}\r{secret('note')},s,factual,x\n")),
    "NUL": ("a.csv", csv_with(f"2,{secret('no')}\0{secret('te')},{secret('s')},factual,x\n")),
    "byte order mark": ("a.csv", csv_with(f"2,\ufeff{secret('note')},{secret('s')},factual,x\n")),
    "empty note": ("a.csv", csv_with(f"{secret('id 2')},,{secret('s')},factual,{secret('x')}\n")),
    "duplicate id": ("a.csv", csv_with(TAIL.replace(secret("x"), secret("first id")))),
    "huge field": ("a.csv", csv_with(f"2,{secret('note') * 30_000},{secret('s')},factual,x\n")),
    "huge row": ("a.csv", csv_with(f"2,{secret('note') * 250_000},{secret('s')},factual,x\n")),
    "no header": ("a.csv", TAIL * 3),
    "no header, tabs": ("a.tsv", TAIL.replace(",", "\t") * 3),
    "a damaged first row": ("a.csv", f"{Q}{secret('note')}"),
    "old line ends": ("a.csv", csv_with("").replace("\n", "\r")),
    "other columns": ("a.csv", f"a,b\n{secret('note')},{secret('x')}\n"),
    "a column twice": ("a.csv", HEADER.replace("allergies", "label") + TAIL),
    "text for labels": ("a.csv", csv_with("").replace("factual", secret("label"))),
    "not JSON": ("a.jsonl", jsonl_with(f"{{{Q}clinical_note{Q}: {Q}{secret('note')}\n")),
    "bare text": ("a.jsonl", jsonl_with(secret("note") + "\n")),
    "NaN": ("a.jsonl", turned(age=float("nan"))),
    "a JSON array": ("a.jsonl", json.dumps([ROW])),
    "a JSON string": ("a.jsonl", jsonl_with(json.dumps(secret("note")) + "\n")),
    "keys that are text": ("a.jsonl", as_jsonl([{secret("key"): secret("value")}])),
    "a key twice": ("a.jsonl", jsonl_with(f"{{{Q}{secret('k')}{Q}: 1, {Q}{secret('k')}{Q}: 2}}\n")),
    "wrong type": ("a.jsonl", turned(clinical_note=[secret("note")])),
    "wrong type of id": ("a.jsonl", turned(id=[secret("id")])),
    "null": ("a.jsonl", turned(model_summary=None)),
    "surrogate": ("a.jsonl", turned(clinical_note=secret("note") + "\ud800")),
    "deep": ("a.jsonl", jsonl_with(f"[{Q}{secret('note')}{Q}," * 50_000 + "\n")),
    "a role": ("a.jsonl", as_jsonl([{"messages": [{"role": secret("role"), "content": secret("text")}]}])),
    "no turns": ("a.jsonl", as_jsonl([{"messages": [{"role": "user", "content": secret("text")}] * 3}])),
    "the same twice": ("a.jsonl", as_jsonl([{"prompt": secret("p"), "chosen": secret("a"), "rejected": secret("a")}])),
    "a file of another kind": ("a.txt", secret("note")),
    "text called Parquet": ("a.parquet", secret("note") * 100),
    "text called Arrow": ("a.arrow", secret("note") * 100),
    "nothing wrong": ("a.csv", csv_with("")),
}  # fmt: skip


def _bytes(path: Path) -> Path:
    return write(path / "a.csv", csv_with("").encode() + secret("café").encode("latin-1") + b",n,s,factual,x\n")


def _utf16(path: Path) -> Path:
    return write(path / "a.csv", csv_with("").encode("utf-16"))


def _damaged_parquet(path: Path) -> Path:
    rows = [{**ROW, "id": secret(str(n))} for n in range(500)]
    pq.write_table(pa.Table.from_pylist(rows), path / "a.parquet", compression="none", use_dictionary=False)
    whole = (path / "a.parquet").read_bytes()
    return write(path / "a.parquet", whole[:900] + b"\xff" * 700 + whole[1600:])


def _parquet_of_bytes(path: Path) -> Path:
    texts = pa.array([secret("note").encode() + b"\xff", secret("note").encode()]).view(pa.string())
    pq.write_table(pa.table({"clinical_note": texts, "model_summary": texts}), path / "a.parquet")
    return path / "a.parquet"


def _folder(path: Path) -> Path:
    write(path / "train-0.csv", csv_with(""))
    write(path / "train-1.csv", TAIL)
    return path


def _writer(name: str, content: str) -> Callable[[Path], Path]:
    return lambda path: write(path / name, content.encode("utf-8", errors="surrogatepass"))


FILES: dict[str, Callable[[Path], Path]] = {
    **{name: _writer(*file) for name, file in TEXT.items()},
    "bad UTF-8": _bytes, "UTF-16": _utf16, "damaged Parquet": _damaged_parquet, "Parquet of bytes": _parquet_of_bytes,
    "a shard without a header": _folder,
}  # fmt: skip
COLUMNS = (
    (),
    ("--column", "label=clinical_note"),
    ("--column", "id=model_summary"),
    ("--column", "clinical_note=alergies"),
    ("--labels", "all", "--evidence", "keep"),
)


@pytest.mark.parametrize("name", FILES)
def test_the_canary_stays_in_its_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "data").mkdir()
    path = FILES[name](tmp_path / "data")
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    written = []
    for columns in COLUMNS:
        for options in (["--on-bad-row", "stop"], ["--rejects", "rejects.jsonl", "--json"], ["--debug"]):
            monkeypatch.setattr(sys, "argv", ["posology", "data", "check", str(path), *columns, *options])
            try:
                main()
            except SystemExit as done:
                written.append(f"exit {done.code}")
            except Exception as error:  # what --debug lets through, as the interpreter prints it
                written.append(repr(error) + "".join(traceback.format_exception(error)))
    out, err = capfd.readouterr()
    files = [file.read_text() for file in tmp_path.rglob("*") if file.is_file() and "data" not in file.parts]
    assert len(written) == len(COLUMNS) * 3 and (out or err)
    for place, text in {
        "out": out,
        "err": err,
        "log": caplog.text,
        "raised": str(written),
        "files": str(files),
    }.items():
        assert CANARY not in text.lower(), place


def test_the_canary_would_be_found(tmp_path: Path) -> None:
    """Every file holds it, and a test that looks for it can fail."""
    for number, make in enumerate(FILES.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = make(folder)
        content = b"".join(file.read_bytes() for file in ([path] if path.is_file() else path.iterdir()))
        assert CANARY.encode() in content.lower().replace(b"\0", b"")
