"""Files as users have them, and what is read from them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from posology.intake.options import ReadOptions
from posology.intake.read import read_examples, read_pairs
from posology.intake.records import Example, Pair
from posology.intake.tally import Tally

HEADER = "id,clinical_note,model_summary,label\n"
NOTES = [
    {"id": "n1", "clinical_note": "Takes 500 mg of metformin.", "model_summary": "Metformin 500 mg.", "label": "factual"},
    {"id": "n2", "clinical_note": 'She said "no",\ntwice.', "model_summary": "Refused.", "label": "factual"},
    {"id": "n3", "clinical_note": "BP 120/80, no drugs.", "model_summary": "On aspirin.", "label": "hallucinated"},
]  # fmt: skip


def as_csv(rows: Sequence[dict[str, Any]], **form: Any) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), **{"lineterminator": "\n", **form})
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def examples(path: Path, **options: Any) -> tuple[list[Example], Tally]:
    """All examples of a file; bad rows are passed over unless told otherwise."""
    tally = Tally()
    return list(read_examples(path, ReadOptions(**{"on_bad_row": "skip", **options}), tally)), tally


def pairs(path: Path, **options: Any) -> tuple[list[Pair], Tally]:
    tally = Tally()
    return list(read_pairs(path, ReadOptions(**{"on_bad_row": "skip", **options}), tally)), tally
