"""The commands for a user's own model and data, as a user gives them; and not a word of a note where it does not belong."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from posology.cli import main
from posology.files import read_jsonl

from ..family_models import save_family
from ..recipes.own_files import write_notes

CANARY = "Zyxwvut"  # in the rows of a test: nothing that is said may hold it
SHORT = [
    "--precision",
    "fp32",
    "--device",
    "cpu",
    "--max-tokens",
    "128",
    "--rank",
    "4",
    "--epochs",
    "1",
    "--batch",
    "4",
]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def posology(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_thread: None
) -> Command:
    """posology("sft", ...) -> exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["posology", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return run


def test_from_a_csv_to_a_merged_model(posology: Command, tmp_path: Path) -> None:
    save_family(tmp_path / "base", "llama")
    write_notes(tmp_path / "train.csv", 8)
    write_notes(tmp_path / "val.csv", 4)
    code, out, err = posology(
        "sft", "--model", "base", "--data", "train.csv", "--validation", "val.csv", "--run", "notes", *SHORT
    )
    assert code == 0, err
    assert "runs/notes/sft/final" in out and "memory: about" in err and "trains 896 of" in err
    code, out, err = posology("dpo", "--model", "notes", "--from-factual", "train.csv", "--validation", "val.csv",
                              "--run", "notes", *SHORT)  # fmt: skip
    assert code == 0, err
    manifest = json.loads((tmp_path / "runs/notes/dpo/manifest.json").read_text())
    assert manifest["adapters"]["rank"] == 4 and "are trained further, as they were made: rank 4" in err
    about = manifest["pairs"]
    assert sum(about["by_edit"].values()) > 0 and len(about["held_out_edits"]) == 2
    assert not set(about["held_out_edits"]) & {edit for edit, count in about["by_edit"].items() if count}
    code, out, err = posology("generate", "--model", "notes", "--note", "Takes warfarin.", "--greedy",
                              "--max-new-tokens", "4", "--device", "cpu")  # fmt: skip
    assert code == 0, err
    assert out.strip()
    code, out, err = posology("merge", "notes", "--output", "merged")
    assert code == 0, err
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (tmp_path / "merged").iterdir()
    }
    config = (tmp_path / "runs/notes/config.yaml").read_text()
    assert "kind: own" in config and "sft:" in config and "dpo:" in config


def test_notes_come_from_standard_input_and_the_keyboard(
    posology: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_family(tmp_path / "base", "gpt2")
    asking = ["generate", "--model", "base", "--greedy", "--max-new-tokens", "4", "--device", "cpu"]
    _, expected, _ = posology(*asking, "--note", "Takes warfarin.\nDaily.")
    monkeypatch.setattr(sys, "stdin", io.StringIO("Takes warfarin.\nDaily.\n"))
    code, out, _ = posology(*asking)
    assert (code, out) == (0, expected)

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Keyboard("Takes warfarin.\nDaily.\n.\n.\nTakes warfarin.\nDaily.\n.\n"))
    code, out, err = posology(*asking)
    assert (code, out) == (0, expected * 2)
    assert "error: there is no note" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sft"], 2, "neither --config nor --model"),
        (["sft", "--config", "a.yaml", "--data", "d.csv"], 2, "--config and --data are both given"),
        (["sft", "--model", "base", "--run", "a"], 2, "without rows to learn from"),
        (["sft", "--model", "base", "--data", "train.csv"], 2, "without --run"),
        (["sft", "--model", "base", "--data", "train.csv", "--run", "a", "--lora", "dora"], 2, "--lora = 'dora'"),
        (["sft", "--model", "base", "--data", "train.csv", "--run", "a", "--column", "x"], 2, "--column 'x'"),
        (["sft", "--model", "base", "--data", "none.csv", "--run", "a"], 1, "none.csv"),
        (["sft", "--model", "owner/model", "--data", "train.csv", "--run", "a"], 1, "--allow-download"),
        (["sft", "--model", "base", "--data", "train.csv", "--run", "a", "--chat-template"], 1, "has none"),
        (["dpo", "--model", "base", "--pairs", "p", "--from-factual", "f", "--run", "a"], 2, "both given"),
        (["dpo", "--model", "base", "--pairs", "train.csv", "--run", "a"], 1, "pairs"),
        (["ppo", "--model", "base", "--data", "train.csv", "--run", "a"], 2, "without --reward"),
        (["ppo", "--model", "base", "--data", "train.csv", "--reward", "none", "--run", "a"], 1, "none"),
        (["generate", "--model", "base"], 1, "there is no note"),
        (["generate", "--model", "base", "--input", "train.csv"], 2, "belong together"),
        (["generate", "--model", "nothing/there/at/all", "--note", "x"], 1, "no model"),
        (["merge", "base", "--output", "base"], 1, "is there already"),
    ],
)  # fmt: skip
def test_one_line_with_a_hint(arguments: list[str], code: int, words: str, posology: Command, tmp_path: Path) -> None:
    save_family(tmp_path / "base", "llama")
    write_notes(tmp_path / "train.csv", 4)
    got, _, err = posology(*arguments)
    last = [line for line in err.splitlines() if line.startswith(("error:", "hint:"))]
    assert got == code, err
    assert last and last[0].startswith("error: ") and len(last) <= 2 and "Traceback" not in err
    assert words in " ".join(last)
    assert not list(tmp_path.glob("runs/*/*/final"))


def test_a_taught_run_s_name_is_not_taken(posology: Command, tmp_path: Path) -> None:
    save_family(tmp_path / "base", "llama")
    write_notes(tmp_path / "train.csv", 4)
    (tmp_path / "runs" / "laptop").mkdir(parents=True)
    (tmp_path / "runs" / "laptop" / "config.yaml").write_text("seed: 0\n")
    code, _, err = posology("sft", "--model", "base", "--data", "train.csv", "--run", "laptop")
    assert code == 1 and "another name with --run" in err


def test_a_run_of_one_s_own_is_told_from_a_taught_one(posology: Command, tmp_path: Path) -> None:
    """What is refused leaves a finished run as it was, and commands of the exam say what serves instead."""
    save_family(tmp_path / "base", "llama")
    write_notes(tmp_path / "train.csv", 4)
    training = ["sft", "--model", "base", "--data", "train.csv", "--run", "notes", *SHORT]
    assert posology(*training)[0] == 0
    before = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    code, _, err = posology(*training, "--learning-rate", "0.5")
    assert code == 1 and "was begun with learning_rate" in err
    for arguments in (["evaluate", "notes"], ["report", "runs/notes"], ["ask", "a question", "--run", "notes"]):
        code, _, err = posology(*arguments)
        assert code == 1 and "data of your own" in err and "posology generate --model" in err
    assert {path: path.read_bytes() for path in before} == before
    code, _, err = posology("sft", "--model", "base", "--data", "absent.csv", "--run", "other")
    assert code == 1 and not (tmp_path / "runs" / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["sft", "--config", "laptop.yaml", "--epochs", "3"], "--config and --epochs"),
        (["dpo", "--config", "laptop.yaml", "--model", "base"], "--config and --model"),
        (["sft", "--model", "base", "--data", "train.csv", "--run", "a", "--set", "seed=1"], "--model and --set"),
        (["reward", "--model", "base", "--pairs", "p.jsonl", "--run", "a", "--naive"], "--model and --naive"),
    ],
)
def test_no_option_is_passed_over_in_silence(posology: Command, arguments: list[str], option: str) -> None:
    code, _, err = posology(*arguments)
    assert code == 2 and f"{option} are both given" in err


def test_the_second_arm_has_its_option(posology: Command) -> None:
    smoke = str(Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml")
    for stage in ("reward", "ppo"):
        code, _, err = posology(stage, "--config", smoke, "--run", "arm", "--naive")
        assert code and "no section naive" in err


def test_ctrl_c_before_training_is_one_word(posology: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("posology.cli.own.own_settings", pressed)
    code, _, err = posology("sft", "--model", "base", "--data", "train.csv", "--run", "a")
    assert code == 130 and err.strip() == "interrupted"


def test_from_corrected_texts_to_scored_pairs(posology: Command, tmp_path: Path) -> None:
    save_family(tmp_path / "base", "llama")
    with open(tmp_path / "texts.jsonl", "w", encoding="utf-8") as file:
        for i in range(16):
            wrong = f"{CANARY} takes {10 + i} g." if i else "NA"
            row = {"id": f"t{i}", "text": f"{CANARY} is well. {wrong}", "error_sentence": wrong,
                   "corrected_sentence": f"{CANARY} takes {10 + i} mg." if i else "NA", "edit": "unit"}  # fmt: skip
            file.write(json.dumps(row | ({"text": row["text"] + " â‰¥"} if i == 1 else {})) + "\n")
    code, out, err = posology(
        "data", "pairs", "--from-corrections", "texts.jsonl", "--output", "train.jsonl", "--held-out", "held.jsonl"
    )
    assert code == 0, err
    kept, held = (list(read_jsonl(tmp_path / name)) for name in ("train.jsonl", "held.jsonl"))
    assert len(kept) + len(held) == 14 and held and not {row["id"] for row in kept} & {row["id"] for row in held}
    assert "1 rows gave none: garbled characters" in out and "nothing in it is wrong" in out and CANARY not in out
    pairs = ["--pairs", "train.jsonl", "--validation", "held.jsonl", "--run", "errors", "--model", "base"]
    for stage in ("dpo", "reward"):
        code, _, err = posology(stage, *pairs, *SHORT)
        assert code == 0, err
    code, out, err = posology(
        "score", "--pairs", "held.jsonl", "--model", "runs/errors/dpo", "--reference", "base", "--reward", "runs/errors/reward",
        "--output", "scores.jsonl", "--card", "runs/errors/pairs.json", "--json", "--max-tokens", "128",
    )  # fmt: skip
    assert code == 0, err
    card = json.loads(out)
    assert set(card["accuracy"]) == {"reference", "policy", "adjusted", "reward", "longer", "shorter"}
    assert card["accuracy"]["reward"]["unit"]["n"] == len(held) == card["data"]["used"]
    assert CANARY not in out + err + (tmp_path / "scores.jsonl").read_text()
    assert json.loads((tmp_path / "runs" / "errors" / "pairs.json").read_text()) == card
    code, out, err = posology("results", "errors", "--output", "docs/RESULTS.md", "--notice", "Nobody's data.")
    assert code == 0, err
    page = (tmp_path / "docs" / "RESULTS.md").read_text()
    assert "Nobody's data." in page and "| unit |" in page and str(tmp_path) not in page


def test_pretraining_goes_on_with_texts(posology: Command, tmp_path: Path) -> None:
    save_family(tmp_path / "base", "llama")
    (tmp_path / "texts.csv").write_text("note\n" + "".join(f"{CANARY} takes {i} mg.\n" for i in range(8)))
    code, _, err = posology(
        "pretrain", "--model", "base", "--data", "texts.csv", "--column", "text=note", "--run", "texts", *SHORT
    )
    assert code == 0, err
    code, _, err = posology("sft", "--model", "runs/texts/pretrain", "--data", "texts.csv", "--run", "texts", *SHORT)
    assert code == 1 and "none of the known columns" in err and CANARY not in err
