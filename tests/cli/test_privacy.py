"""A user's text stays where the user put it, whatever goes wrong: a marked word in every field, and a search for it.

Three kinds of file are there to hold text, and are passed over: `data/` (the user's own files and pairs made of them),
answers with what was kept of them on the way (`answers*.jsonl`, `.part`), and `--page` (`*.html`).
"""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from posology.cli import main
from posology.objectives.dpo import DpoObjective
from posology.objectives.next_token import NextToken
from posology.recipes import own_generate, own_sft
from posology.training import checkpoint, fit

from ..family_models import save_family
from ..intake.user_files import as_csv, as_jsonl

CANARY = "quokka"
SHORT = [
    "--precision",
    "fp32",
    "--device",
    "cpu",
    "--max-tokens",
    "192",
    "--rank",
    "4",
    "--epochs",
    "2",
    "--batch",
    "4",
]
SFT = ["sft", "--model", "base", "--data", "data/train.csv", "--run", "new", *SHORT]
PAIRS = ["dpo", "--model", "base", "--pairs", "data/pairs.jsonl", "--run", "new", *SHORT]
FACTUAL = ["dpo", "--model", "base", "--from-factual", "data/train.csv", "--run", "new", *SHORT]
REWARD = ["reward", "--model", "base", "--pairs", "data/pairs.jsonl", "--run", "new", *SHORT]
ASK = ["generate", "--model", "base", "--device", "cpu", "--greedy", "--max-new-tokens", "4"]
FILE = [*ASK, "--input", "data/train.csv", "--output", "answers.jsonl"]
MADE = ["data", "pairs", "--from-factual", "data/train.csv", "--output", "data/made.jsonl"]
SCORE = ["evaluate", "--summaries", "answers.jsonl", "--notes", "data/train.csv"]
SKIP = ["--on-bad-row", "skip"]
Patch = Callable[[pytest.MonkeyPatch], None]


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A note whose every field holds the word."""
    return {
        "id": f"quokka-{number}", "clinical_note": f"Mrs Quokka takes warfarin {number} mg daily; her left knee hurts.",
        "model_summary": f"Quokka: warfarin {number} mg daily, left knee pain.", "label": "factual", "ward": "Quokka ward",
        **changes,
    }  # fmt: skip


def pair(number: int, **changes: Any) -> dict[str, Any]:
    note = row(number)
    return {
        "id": note["id"], "clinical_note": note["clinical_note"], "chosen": note["model_summary"],
        "rejected": note["model_summary"].replace("mg", "g"), "edit": "what Quokka had", **changes,
    }  # fmt: skip


def answer(number: int, **changes: Any) -> dict[str, Any]:
    return {"row": number, "id": f"quokka-{number}", "answer": "Quokka takes insulin.", **changes}


ROWS, TWO = [row(n) for n in range(1, 9)], [row(n) for n in (1, 2)]
GOOD = {
    "data/train.csv": as_csv([*ROWS, row(9, label="as Mrs Quokka said")]), "data/val.csv": as_csv([row(20), row(21)]),
    "data/pairs.jsonl": as_jsonl(pair(n) for n in range(1, 9)), "data/held.jsonl": as_jsonl([pair(20), pair(21)]),
}  # fmt: skip
TAIL = as_csv([row(2)]).partition("\n")[2]
LONG = row(2, clinical_note="Quokka " * 400)


def training(*rows: dict[str, Any]) -> dict[str, str | bytes]:
    return {"data/train.csv": as_csv(rows)}


def text(content: str | bytes) -> dict[str, str | bytes]:
    return {"data/train.csv": content}


# What goes wrong inside -----------------------------------------------------------------------------------------------


def failing(owner: Any, name: str, error: BaseException, after: int = 0) -> Patch:
    """`owner.name` raises from its call number `after` + 1 on."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        real, calls = getattr(owner, name), []

        def call(*arguments: Any, **more: Any) -> Any:
            calls.append(1)
            if len(calls) > after:
                raise error
            return real(*arguments, **more)

        monkeypatch.setattr(owner, name, call)

    return patch


def infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    real = NextToken.loss
    monkeypatch.setattr(NextToken, "loss", lambda *given: (real(*given)[0] * float("inf"), real(*given)[1]))
    monkeypatch.setattr(own_sft, "_check_forward", lambda *given: None)


def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    real = NextToken.loss

    def loss(self: NextToken, batch: Any) -> Any:
        if len(batch.ids_BT) > 2:
            raise torch.OutOfMemoryError("Quokka")
        return real(self, batch)

    monkeypatch.setattr(NextToken, "loss", loss)


class Killed(BaseException):
    """Stands in for SIGKILL."""


FULL = OSError(28, "No space left on device")
MEMORY = torch.OutOfMemoryError("Quokka")


@dataclass(frozen=True)
class Case:
    arguments: list[str]
    code: int = 1
    files: dict[str, str | bytes] = field(default_factory=dict)
    says: str = ""  # somewhere in stdout and stderr
    patch: Patch | None = None
    then: list[str] | None = None  # without the patch, to the end
    stdin: str = ""


ANSWERS: dict[str, str | bytes] = {"answers.jsonl": as_jsonl(answer(n) for n in range(1, 9))}
CASES: dict[str, Case] = {
    # training
    "sft": Case([*SFT, "--validation", "data/val.csv"], 0, says="new/sft/final"),
    "empty note": Case(SFT, files=training(*TWO, row(3, clinical_note=" ")), says="row 3"),
    "same id": Case(SFT, files=training(*TWO, row(2)), says="row 3"),
    "unclosed quote": Case(SFT, files=text(as_csv(TWO) + '3,"Quokka,s,factual,x\n' + TAIL), says="never closes"),
    "NUL": Case(SFT, files=text(as_csv(TWO).replace("knee", "kn\0ee")), says="NUL"),
    "not UTF-8": Case(SFT, files=text(as_csv(TWO).replace("knee", "kné").encode("latin-1")), says="not UTF-8"),
    "no header": Case(SFT, files=text(TAIL * 3), says="known columns"),
    "wrong column": Case([*SFT, "--column", "clinical_note=noet"], 2, says="no column 'noet'"),
    "text for labels": Case(SFT, files=training(*(row(n, label=f"Quokka {n}") for n in (1, 2))), says="(other) 2"),
    "bad rows passed over": Case([*SFT, *SKIP], 0, training(*ROWS, row(10, clinical_note=""), LONG | {"id": "Quokka"})),
    "all too long": Case([*SFT, *SKIP, "--max-tokens", "16"], says="no row is left"),
    "too long": Case(SFT, files=training(*ROWS[2:], LONG), says="longer than 192 tokens (row 7)"),
    "messages without a template": Case(
        [*SFT[:4], "data/m.jsonl", *SFT[5:]], says="--chat-template",
        files={"data/m.jsonl": as_jsonl([{"messages": [{"role": "system", "content": "Quokka"},
               {"role": "user", "content": "Quokka"}, {"role": "assistant", "content": "Quokka"}]}])},
    ),
    "loss not finite": Case(SFT, says="the loss is inf", patch=infinite),
    "memory short": Case(SFT, 0, says="2 rows at a time instead of 4", patch=short_of_memory),
    "no memory": Case(SFT, says="out of memory", patch=failing(own_sft, "load_trainable", MEMORY)),
    "no memory, one row": Case(SFT, says="one row at a time", patch=failing(fit, "_train_step", MEMORY)),
    "disk full": Case(SFT, says="is full", patch=failing(checkpoint.os, "replace", FULL, 6), then=SFT),
    "killed": Case(SFT, 99, says="", patch=failing(fit, "_train_step", Killed(), 3), then=SFT),
    "a fault of ours": Case(SFT, says="ValueError in", patch=failing(own_sft, "encode_answered", ValueError("Quokka"))),
    "data for a model": Case(["sft", "--model", "data", *SFT[3:]], says="neither a model nor a run"),
    "half a model": Case(["sft", "--model", "broken", *SFT[3:]], files={"broken/config.json": "{}"}),
    # preferences
    "dpo": Case([*PAIRS, "--validation", "data/held.jsonl"], 0, says="new/dpo/final"),
    "same answers": Case(PAIRS, files={"data/pairs.jsonl": as_jsonl([pair(1), pair(2, rejected=pair(2)["chosen"])])},
                         says="are the same"),
    "pairs not JSON": Case(PAIRS, files={"data/pairs.jsonl": as_jsonl([pair(1)]) + '{"chosen": "Quokka\n'}, says="row 2"),
    "examples for pairs": Case([*PAIRS[:4], "data/train.csv", *PAIRS[5:]], says="not pairs"),
    "dpo killed": Case(PAIRS, 99, says="", patch=failing(DpoObjective, "loss", Killed(), 3), then=PAIRS),
    "dpo of factual rows": Case([*FACTUAL, "--validation", "data/val.csv"], 0, says="new/dpo/final"),
    "empty summaries": Case(FACTUAL, says="row 1", files=training(*(row(n, model_summary="") for n in (1, 2)))),
    "reward": Case([*REWARD, "--validation", "data/held.jsonl"], 0, says="new/reward/final"),
    "reward of bad pairs": Case([*REWARD, "--validation", "data/held.jsonl"], says="row 1",
                                files={"data/held.jsonl": as_jsonl([pair(1, chosen=["Quokka"])])}),
    # answers
    "generate": Case([*FILE, "--labels", "factual"], 0, training(*ROWS, row(10, clinical_note=""), LONG), "2 with errors"),
    "answers of something else": Case(FILE, files=ANSWERS, says="is there already"),
    "interrupted": Case(FILE, 130, says="stopped after 8 of 9",
                        patch=failing(own_generate, "answer_rows", KeyboardInterrupt(), 1), then=FILE),
    "a fault while answering": Case(FILE, says="ValueError in",
                                    patch=failing(own_generate, "answer_rows", ValueError("Quokka"))),
    "a note too long": Case([*ASK, "--note", "Quokka " * 400], says="cannot be answered"),
    "too long from standard input": Case(ASK, stdin="Quokka " * 400, says="cannot be answered"),
    # looking and scoring
    "check": Case(["data", "check", "data/train.csv", "--tokenizer", "base"], 0, says="(other)"),
    "check of bad rows": Case(["data", "check", "data/train.csv", "--rejects", "rejects.jsonl"], 0,
                              training(*ROWS, row(10, clinical_note=""), row(1)), "is empty"),
    "pairs": Case(MADE, 0, says="8 pairs"),
    "pairs of bad rows": Case(MADE, files=training(*TWO, row(1)), says="row 3"),
    "pairs of bare summaries": Case(MADE, files=training(*(row(n, model_summary="Quokka.", clinical_note="Quokka") for n in (1, 2))),
                     code=0, says="pairs"),
    "evaluate": Case([*SCORE, "--page", "worst.html"], 0, ANSWERS, "summaries with one"),
    "answers twice": Case(SCORE, files={"answers.jsonl": as_jsonl([answer(1), answer(1)])}, says="row 2"),
    "answers of other notes": Case(SCORE, files={"answers.jsonl": as_jsonl([answer(77)])}, says="does not hold"),
    "answers not text": Case(SCORE, files={"answers.jsonl": as_jsonl([answer(1, answer=["Quokka"])])}, says="no text"),
    "answers not JSON": Case(SCORE, files={"answers.jsonl": '{"id": "Quokka'}, says="not JSON"),
    "notes with a bad row": Case(SCORE, files=ANSWERS | training(*TWO, row(3, clinical_note="")), says="row 3"),
    "two notes of one id": Case(SCORE, files=ANSWERS | training(row(1), row(1, clinical_note="Quokka")), says="row 2"),
    "scores not numbers": Case([*SCORE, "--scores", "data/s.jsonl"], says="no finite number",
                               files=ANSWERS | {"data/s.jsonl": as_jsonl([answer(1, chosen_policy="Quokka")])}),
}  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("models") / "base", "llama")


@pytest.mark.parametrize("name", CASES)
def test_text_stays_where_it_was_put(
    name: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, one_thread: None,
) -> None:  # fmt: skip
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    shutil.copytree(base, "base")
    for place, content in {**GOOD, **case.files}.items():
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(case.stdin))
        if case.patch is not None:
            case.patch(patch)
        code = command(case.arguments, patch)
    again = command(case.then, monkeypatch) if case.then else 0
    out, err = capfd.readouterr()
    assert (code, again) == (case.code, 0), out + err
    assert case.says in out + err and "Traceback" not in err, out + err
    assert ("error: " in err) == (case.code not in (0, 99)), err
    for where, said in {"stdout": out, "stderr": err, "log": caplog.text}.items():
        assert CANARY not in said.lower(), where
    for path in written(tmp_path):
        assert CANARY.encode() not in path.read_bytes().lower(), path


def command(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["posology", *arguments])
    with pytest.raises((SystemExit, Killed)) as stop:
        main()
    return int(stop.value.code or 0) if isinstance(stop.value, SystemExit) else 99


def written(folder: Path) -> list[Path]:
    """Every file but those that are there to hold text."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.relative_to(folder).parts[0] != "data"
        and not (
            path.parent == folder and (path.name in ("answers.jsonl", "answers.jsonl.part") or path.suffix == ".html")
        )
    ]


def test_the_word_would_be_found(tmp_path: Path) -> None:
    """Each case's data hold it, and where text belongs there are more than twenty ways to fail."""
    assert all(CANARY in str(content).lower() for case in CASES.values() for content in {**GOOD, **case.files}.values()
               if content != "{}")  # fmt: skip
    assert sum(case.code != 0 for case in CASES.values()) > 20
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "manifest.json").write_text(json.dumps(row(1)))
    assert [path.name for path in written(tmp_path)] == ["manifest.json"]
