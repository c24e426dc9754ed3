"""Scoring summaries and making pairs from the command line; no text of a note where it does not belong."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from posology.cli import main

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
        (["--summaries", "bad.jsonl", "--notes", "notes.csv"], 1, "row 2 answers an id"),
        (["--summaries", "stranger.jsonl", "--notes", "notes.csv"], 1, "1 of 1 answers"),
        (["--summaries", "nothing.jsonl", "--notes", "notes.csv"], 1, "row 1 has no text under answer"),
        (["--summaries", "answers.jsonl", "--notes", "open.csv"], 1, "no readable CSV"),
        (["--summaries", "answers.jsonl", "--notes", "bytes.csv"], 1, "UTF-8"),
        (["--summaries", "answers.jsonl", "--notes", "answers.jsonl"], 1, "clinical_note"),
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
    Path("open.csv").write_text(f'id,clinical_note\n1,"{CANARY} never closes\n')
    Path("bytes.csv").write_bytes(f"id,clinical_note\n1,{CANARY}\xff\n".encode("latin-1"))
    got, out, err = run(monkeypatch, capsys, "evaluate", *arguments)
    assert got == code and words in err, err
    assert CANARY not in out + err and "Traceback" not in err and len(err.strip().splitlines()) <= 2


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
    assert len(pairs) == 6 and {pair["id"] for pair in pairs} == {"0", "1", "2"}
    assert all(pair["edit"] and pair["chosen"] != pair["rejected"] and pair["is_note"] for pair in pairs)
    code, out, _ = run(
        monkeypatch, capsys, "data", "pairs", "--from-factual", str(notes), "--output", str(output), "--show", "1"
    )
    assert CANARY in out  # asked for
    code, _, err = run(
        monkeypatch, capsys, "data", "pairs", "--from-factual", str(notes), "--output", str(output), "--part", "test"
    )
    assert code == 2 and "held-out-edits" in err
