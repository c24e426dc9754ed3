"""docs/your-data.md is checked by doing what it says: every command, in order, on twelve notes and a tiny model."""

from __future__ import annotations

import csv
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from posology.cli import main
from posology.models import estimate
from posology.own_config import OwnLoraConfig

from ..family_models import save_family

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your-data.md").read_text(encoding="utf-8")
DRUGS = ("metformin", "lisinopril", "warfarin", "atorvastatin")
ERROR = re.search(r"```text\n(error: .*?)```", PAGE, re.DOTALL)
CHECK = "\nimport sys\nassert not any(name.partition('.')[0] == 'posology' for name in sys.modules)\n"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def rows(first: int, count: int) -> list[dict[str, str]]:
    return [
        {
            "id": f"n{i}", "clinical_note": f"Patient takes {DRUGS[i % 4]} {10 + i} mg twice daily.\nThe left knee hurts.",
            "model_summary": f"{DRUGS[i % 4].title()} {10 + i} mg twice daily; left knee pain.", "label": "factual",
        }
        for i in range(first, first + count)
    ]  # fmt: skip


def write(path: Path, found: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(found[0]))
        table.writeheader()
        table.writerows(found)


def posology(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def test_from_a_csv_to_a_merged_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    monkeypatch.chdir(tmp_path)
    save_family(tmp_path / "models" / "base-7b", "llama", max_position_embeddings=1024)
    write(
        tmp_path / "train.csv", [*rows(0, 8), {**rows(0, 1)[0], "model_summary": "Insulin.", "label": "hallucinated"}]
    )
    write(tmp_path / "val.csv", rows(8, 4))
    commands = [line for block in blocks("bash") for line in block.splitlines()]
    assert [command.split()[1] for command in commands] == [
        "data", "sft", "data", "dpo", "generate", "generate", "generate", "evaluate", "merge",
    ]  # fmt: skip
    said = ""
    for command in commands:
        code, out, err = posology(command, monkeypatch, capsys)
        assert code == 0, f"{command}\n{err}"
        said += out + err
    assert "together" in said and "memory: about" in said and "(trusted summaries)" in said
    for name in re.findall(r"^\| `([\w/.]+)` \|", PAGE, re.MULTILINE):
        assert (tmp_path / "runs" / "notes" / name).exists(), name
    assert (tmp_path / "answers-dpo.jsonl.about.json").is_file() and (tmp_path / "worst.html").is_file()

    code, out, _ = posology(commands[1], monkeypatch, capsys)  # finished: nothing is done again
    assert code == 0 and "runs/notes/sft/final" in out
    (script,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", script + CHECK], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.strip(), done.stderr


def test_the_error_is_the_one_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = [{**row, "clinical_note": row["clinical_note"].partition("\n")[0]} for row in rows(0, 8)]
    bad[2]["clinical_note"] += "\nA second line."
    bad[6]["clinical_note"] = ""
    write(tmp_path / "train.csv", bad)
    code, _, err = posology("posology data pairs --from-factual train.csv --output p.jsonl", monkeypatch, capsys)
    assert code == 1 and ERROR is not None and err == ERROR[1]


def test_the_memory_table_is_what_the_estimate_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_available", lambda device: None)
    LlamaConfig(vocab_size=32_000, hidden_size=4096, intermediate_size=11_008, num_hidden_layers=32,
                num_attention_heads=32, architectures=["LlamaForCausalLM"]).save_pretrained(tmp_path)  # fmt: skip
    table = PAGE.partition("| on a CUDA GPU |")[2].partition("\n\n")[0]
    shown = [float(number) for number in re.findall(r"([\d.]+) GiB", table)]
    lora, qlora, whole = OwnLoraConfig(kind="lora"), OwnLoraConfig(kind="qlora"), OwnLoraConfig(kind="none")
    asked = [(lora, 8), (lora, 1), (qlora, 8), (qlora, 1), (lora, 16), (lora, 2), (whole, 1)]
    found = [
        estimate.own_estimate(tmp_path, kind, torch.device("cuda"), rows=rows, tokens=512, checkpointing=True).total
        for kind, rows in asked
    ]
    assert shown == [round(size / 2**30, 1) for size in found]
