"""Runs on other people's data in docs/results/ and on the page: counts, losses and judgements, and no path and no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from posology.files import atomic_write_json
from posology.report.results import artifact, read_artifacts, write_artifact
from posology.report.results_page import page
from posology.runs import Run, open_run

SHARE = {"k": 3, "n": 4, "facts": 4, "value": 0.75, "low": 0.3, "high": 0.95}
COMPARED = {
    "first": "sft",
    "second": "base",
    "n": 4,
    "difference": 0.25,
    "low": 0.0,
    "high": 0.5,
    "p": 0.02,
    "p_holm": 0.04,
}


def own_run(root: Path) -> Run:
    """A finished run of one stage, whose summaries and pairs were judged."""
    run = open_run(root, "real-notes", create=True)
    run.config_path.write_text(yaml.safe_dump({"kind": "own", "sft": {"data": "/home/someone/notes.csv"}}))
    run.update_manifest(status="finished", seed=3, machine={"cores": 2, "processor": "x86_64"}, versions={"torch": "2"})
    settings = {
        "lora.kind": "none",
        "lora.rank": 16,
        "epochs": 2,
        "batch": 4,
        "learning_rate": 0.001,
        "max_tokens": 512,
    }
    rows = {"rows": 12, "used": 10, "bad": 2, "blank": 0, "bad_by_reason": {"its note is empty": 2},
            "unfit": {"longer than 512 tokens": 3}, "unfit_rows": {"longer than 512 tokens": [1, 2, 3]}, "sha256": "0"}  # fmt: skip
    run.stage("sft").note(made_of={"settings": settings, "inputs": {}}, data=rows, validation=None)
    seen = [{"step": 0, "loss": 9.5, "accuracy": 0.02}, {"step": 4, "loss": 3.25, "accuracy": 0.5}]
    stats = {"examples": 7, "seconds": 61.0, "validation": seen, "kept_step": 4}
    atomic_write_json(run.path / "training_stats.json", {"sft": stats})
    system = {"notes": 4, "tuples": 6, "f1": 0.5, "measures": {"precision": SHARE}}
    card = {"systems": {"base": system, "sft": system}, "reference": None, "reader": {"long": 1},
            "comparisons": [{**COMPARED, "measure": "omission"}]}  # fmt: skip
    atomic_write_json(run.summaries_path, card)
    judged = {"accuracy": {"reward": {"all": SHARE, "dose": SHARE}}, "meaning": {"reward": "its score"}, "pairs": 4,
              "same_length": 1, "comparisons": [COMPARED], "models": {"policy": {"name": "/home/someone/model"}}}  # fmt: skip
    atomic_write_json(run.pairs_path, judged)
    made = {"rows": 9, "set_aside": {"garbled characters": 2}, "pairs": {"dose": 4}, "held_out": {"dose": 3}, "seed": 3}
    atomic_write_json(run.path / "data" / "train.jsonl.about.json", made)
    return run


def test_what_is_kept_names_no_place_on_the_machine(tmp_path: Path) -> None:
    kept: dict[str, Any] = artifact(own_run(tmp_path), "From Anna and Boris, CC BY 4.0.")
    assert "someone" not in json.dumps(kept)
    assert kept["stages"]["sft"]["rows"]["data"]["unfit"] == {"longer than 512 tokens": 3}
    assert kept["kind"] == "own" and "reader" not in kept["summaries"]


def test_the_page_tells_each_stage_and_its_judges(tmp_path: Path) -> None:
    write_artifact(tmp_path / "kept", own_run(tmp_path), "From Anna and Boris, CC BY 4.0.")
    text = page(read_artifacts(tmp_path / "kept"))
    assert "From Anna and Boris, CC BY 4.0." in text
    assert "Of 9 rows 4 train and 3 are held out" in text and "Set aside: 2 garbled characters." in text
    assert (
        "| SFT | 12 | 7 | 2 its note is empty; 3 longer than 512 tokens | all weights, 2 epochs of 4 rows at 0.001"
        in text
    )
    assert "| SFT | loss | 9.500 nats | 3.250 nats | step 4 of 4 |" in text
    assert "| sft − base | drugs left out | 4 | +25.0 points | [+0.0, +50.0] | 0.040 |" in text
    assert "| dose | 3 / 4 = 75.0 % [30.0, 95.0] |" in text and "No run is reported yet" not in text
