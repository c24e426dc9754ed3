"""Scoring summaries and making pairs from the command line; no text of a note where it does not belong."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from posology.cli import main
from posology.intake.read import read_pairs

CANARY = "CANARYTEXT"


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["posology", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr()
    return int(stop.value.code or 0), shown.out, shown.err


def write(folder: Path) -> tuple[Path, Path]:
    """Four notes (one of them labelled hallucinated), and answers to three."""
    notes = folder / "notes.csv"
    with open(notes, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "clinical_note", "model_summary", "label"])
        for n in range(3):
            rows.writerow(
                [
                    n,
                    f"{CANARY} takes metformin {n + 1}00 mg daily.",
                    f"{CANARY}: metformin {n + 1}00 mg daily.",
                    "factual",
                ]
            )
        rows.writerow([3, f"{CANARY} takes Zocor.", "Zocor 900 mg.", "hallucinated"])
    answers = folder / "answers.jsonl"
    lines = [{"row": n + 1, "id": n, "answer": f"{CANARY} takes metformin 100 mg daily."} for n in range(3)]
    answers.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return notes, answers


def test_summaries_are_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, answers = write(tmp_path)
    page, scores = tmp_path / "worst.html", tmp_path / "scores.jsonl"
    scores.write_text(json.dumps({"id": 0, "edit": "dose", "chosen_policy": -1, "chosen_reference": -2,
                                  "rejected_policy": -3, "rejected_reference": -3}))  # fmt: skip
    arguments = ["evaluate", "--summaries", f"dpo={answers}", "--summaries", f"sft={answers}", "--notes", str(notes)]
    code, out, _ = run(monkeypatch, capsys, *arguments, "--page", str(page), "--scores", str(scores), "--json")
    card = json.loads(out)
    assert code == 0 and CANARY not in out and CANARY in page.read_text()
    assert card["systems"]["dpo"]["measures"]["summaries_hallucinating"]["k"] == 2
    assert card["preference_accuracy"]["dose"]["value"] == 1.0
    code, out, _ = run(monkeypatch, capsys, *arguments)
    assert code == 0 and CANARY not in out and "held out" in out and "dpo - sft" in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--summaries", "answers.jsonl"], 2, "--notes"),
        (["--notes", "notes.csv"], 2, "--summaries"),
        (["--summaries", "absent.jsonl", "--notes", "notes.csv"], 1, "absent.jsonl"),
        (["--summaries", "answers.jsonl", "--notes", "absent.csv"], 1, "absent.csv"),
        (["--summaries", "answers.jsonl", "--summaries", "answers.jsonl", "--notes", "notes.csv"], 2, "twice"),
        (["--summaries", "bad.jsonl", "--notes", "notes.csv"], 1, "row 2: it answers an id"),
        (["--summaries", "stranger.jsonl", "--notes", "notes.csv"], 1, "1 of 1 answers"),
        (["--summaries", "nothing.jsonl", "--notes", "notes.csv"], 1, "row 1: it has no text under answer"),
        (["--summaries", "answers.jsonl", "--notes", "open.csv"], 1, "open.csv row 1 (line 2): a quote opens in it"),
        (["--summaries", "answers.jsonl", "--notes", "bytes.csv"], 1, "bytes.csv row 1 (line 2): it is not UTF-8"),
        (["--summaries", "answers.jsonl", "--notes", "answers.jsonl"], 1, "clinical_note"),
        (["--summaries", "errors.jsonl", "--notes", "notes.csv"], 1, "1 of its rows tell of an error"),
        (
            ["--summaries", "answers.jsonl", "--notes", "named.csv", "--column", "clinical_note=none"],
            2,
            "no column 'none'",
        ),
        (["--summaries", "answers.jsonl", "--notes", "clash.csv"], 1, "row 2: it has the id of another note"),
        (["--column", "clinical_note=text"], 2, "--summaries"),
        (["--summaries", "answers.jsonl", "--notes", "notes.csv", "--scores", "bad.jsonl"], 1, "chosen_policy"),
    ],
)
def test_bad_input_is_one_line_without_text(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    line = json.dumps({"id": "0", "answer": CANARY}) + "\n"
    Path("bad.jsonl").write_text(line + line)
    Path("stranger.jsonl").write_text(line.replace('"0"', '"99"'))
    Path("nothing.jsonl").write_text(json.dumps({"id": 0, "summary": CANARY}))
    Path("errors.jsonl").write_text(json.dumps({"id": 0, "answer": "", "error": "its clinical_note is empty"}))
    Path("named.csv").write_text(f"id,text\n1,{CANARY}\n")
    Path("clash.csv").write_text(f"id,clinical_note\n0,{CANARY} a\n0,{CANARY} b\n")
    Path("open.csv").write_text(f'id,clinical_note\n1,"{CANARY} never closes\n')
    Path("bytes.csv").write_bytes(f"id,clinical_note\n1,{CANARY}\xff\n".encode("latin-1"))
    got, out, err = run(monkeypatch, capsys, "evaluate", *arguments)
    assert got == code and words in err, err
    assert CANARY not in out + err and "Traceback" not in err and len(err.strip().splitlines()) <= 2


def test_notes_are_read_as_generate_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other names, other formats, bad rows on request; rows without an answer are left out and counted."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    answers = [{"row": n, "id": str(n), "answer": "Takes metformin 100 mg daily."} for n in (1, 2)]
    lines = [*answers, {"row": 3, "id": "3", "answer": "", "error": "it is too long"}]
    Path("a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path("plain.txt").write_text("Takes metformin 100 mg daily.\n\nTakes metformin 200 mg daily.\n")
    rows = [{"text": "Takes metformin 100 mg daily."}, {"text": "Takes metformin 200 mg daily."}, {"text": 7}]
    Path("named.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = ["--notes", "named.jsonl", "--column", "clinical_note=text"]
    cards = []
    for notes in (["--notes", "plain.txt"], [*named, "--on-bad-row", "skip"]):
        code, out, err = run(monkeypatch, capsys, "evaluate", "--summaries", "a.jsonl", *notes, "--json")
        assert code == 0, err
        cards.append(json.loads(out))
    assert [card.pop("left_out")["notes"] for card in cards] == [0, 1] and cards[0] == cards[1]
    assert cards[0]["systems"]["a"]["measures"]["wrong_dose"]["k"] == 1
    code, out, _ = run(monkeypatch, capsys, "evaluate", "--summaries", "a.jsonl", "--notes", "plain.txt")
    assert code == 0 and "a: 1 of its rows tell of an error instead of an answer" in out
    code, _, err = run(monkeypatch, capsys, "evaluate", "--summaries", "a.jsonl", *named)
    assert code == 1 and "named.jsonl row 3: its text is not text (int)" in err


def test_pairs_are_made_of_factual_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notes, _ = write(tmp_path)
    output = tmp_path / "pairs.jsonl"
    code, out, _ = run(
        monkeypatch, capsys, "data", "pairs", "--from-factual", str(notes), "--output", str(output), "--each", "2"
    )
    pairs = [json.loads(line) for line in output.read_text().splitlines()]
    assert code == 0 and CANARY not in out
    assert len(pairs) == 6 and {pair["id"].partition("-")[0] for pair in pairs} == {"0", "1", "2"}
    read = list(read_pairs(output))  # as training reads them: still notes, and no id twice
    assert [(pair.id, pair.edit, pair.is_note) for pair in read] == [(pair["id"], pair["edit"], True) for pair in pairs]
    code, out, _ = run(
        monkeypatch, capsys, "data", "pairs", "--from-factual", str(notes), "--output", str(output), "--show", "1"
    )
    assert CANARY in out  # asked for
    code, _, err = run(
        monkeypatch, capsys, "data", "pairs", "--from-factual", str(notes), "--output", str(output), "--part", "test"
    )
    assert code == 2 and "held-out-edits" in err
