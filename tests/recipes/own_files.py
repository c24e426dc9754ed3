"""A user's files, small: notes with summaries, pairs, and settings that suit a tiny model on a CPU."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from posology.own_config import OwnDpoConfig, OwnLoraConfig, OwnSftConfig
from posology.runs import Run, open_run
from posology.training.progress import Progress

DRUGS = ("metformin", "lisinopril", "warfarin", "atorvastatin")


def notes(count: int = 12) -> list[tuple[str, str, str]]:
    """(id, note, summary)"""
    return [
        (f"n{i}", f"Patient takes {DRUGS[i % 4]} {10 + i} mg twice daily.", f"{DRUGS[i % 4].title()} {10 + i} mg twice daily.")
        for i in range(count)
    ]  # fmt: skip


def write_notes(path: Path, count: int = 12) -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "clinical_note", "model_summary", "label"])
        rows.writerows((*row, "factual") for row in notes(count))
    return str(path)


def write_pairs(path: Path, count: int = 12) -> str:
    rows = [
        {"id": key, "clinical_note": note, "chosen": summary, "rejected": summary.replace("mg", "g")}
        for key, note, summary in notes(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def quietly() -> Progress:
    return Progress(io.StringIO(), interval_s=1000)


def new_run(folder: Path, name: str = "run") -> Run:
    run = open_run(folder / "runs", name, create=True)
    run.update_manifest(status="running")
    return run


PLAIN: dict[str, Any] = {"precision": "fp32", "device": "cpu", "batch": 4, "max_tokens": 128}


def sft_settings(model: Path | str, data: str, **changes: Any) -> OwnSftConfig:
    lora = OwnLoraConfig(**{"rank": 4, **changes.pop("lora", {})})
    return OwnSftConfig(**{**PLAIN, "model": str(model), "data": data, "lora": lora, "learning_rate": 0.01, **changes})


def dpo_settings(model: Path | str, data: str, **changes: Any) -> OwnDpoConfig:
    lora = OwnLoraConfig(**{"rank": 4, **changes.pop("lora", {})})
    return OwnDpoConfig(**{**PLAIN, "model": str(model), "data": data, "lora": lora, "learning_rate": 0.01, **changes})
