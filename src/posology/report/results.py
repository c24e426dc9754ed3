"""docs/results/*.json: what is kept of the runs that the documentation reports, small enough to stand in a repository.

One file a run: its measures, gates, times, machine and versions as the run wrote them, and each fact's differences
between stages, from which comparisons over several seeds are worked out (`evaluation.over_seeds`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from posology.errors import UserError
from posology.files import atomic_write_text, read_json
from posology.runs import STAGES, Run

Artifact = Mapping[str, Any]
OWN = "own"  # the kind of a run on a user's model and data
ROWS = ("rows", "used", "other_label", "blank", "bad", "bad_by_reason", "unfit")  # of a file's tally

MANIFEST = ("seed", "commit", "machine", "versions", "seconds")
OF_EXTRA = ("unsafe_reassurance", "critical_dose_errors", "dose_closed_book", "humility_closed_book", "verdict_accuracy",
            "usefulness_greedy", "calibration", "answer_tokens", "score_length_spearman")  # fmt: skip
OF_REWARD = ("heldout_facts", "heldout_wordings", "length_ruler", "probes", "score_length_spearman")
SEED = re.compile(r"[-._](?:seed|s)?[-._]?\d+$")


def artifact(run: Run, notice: str = "") -> dict[str, Any]:
    """What is kept of one run. UserError where it was not finished, or not graded as runs are graded now.

    `notice`: whose data these are, and under which licence, where they are not the package's own.
    """
    about = run.manifest()
    if _is_own(run) and about.get("status") == "finished":
        return {**_own(run), "notice": notice}
    if about.get("status") != "finished":
        raise UserError(f"run {run.name} is not finished", f"posology run --config {run.config_path} --run {run.name}")
    if not run.scorecard_path.is_file() or not run.by_fact_path.is_file():
        raise UserError(f"run {run.name} has no scorecard with its facts", f"posology evaluate {run.path}")
    card = read_json(run.scorecard_path)
    digests = {name: run.stage(name).manifest().get("digest") for name in STAGES if run.stage(name).final.is_dir()}
    return {
        "run": run.name,
        "config": SEED.sub("", run.name) or run.name,
        "config_sha256": _config_hash(run),
        **{key: about[key] for key in MANIFEST if key in about},
        "digests": digests,
        "best_stage": card["best_stage"],
        "stages": {name: _stage(block) for name, block in card["stages"].items()},
        "reward": {key: card["reward"][key] for key in OF_REWARD if key in card["reward"]},
        "baselines": {name: _figures(block["headline"]) for name, block in card["baselines"].items()},
        "reader": {key: value for key, value in card.get("reader", {}).items() if key != "errors"},
        **_multiple_choice(run, digests),
        "by_fact": read_json(run.by_fact_path),
    }


def _multiple_choice(run: Run, digests: Mapping[str, Any]) -> dict[str, Any]:
    """The multiple-choice figures, where they are of these weights and not of a few questions for trying out."""
    path = run.multiple_choice_path
    card = read_json(path) if path.is_file() else {}
    same = all(digests.get(stage) == digest for stage, digest in card.get("digests", {}).items())
    return {"multiple_choice": card} if card and same and "--limit" not in card["part"] else {}


def _is_own(run: Run) -> bool:
    text = run.config_path.read_text(encoding="utf-8") if run.config_path.is_file() else ""
    return bool(text) and yaml.safe_load(text).get("kind") == OWN


def _own(run: Run) -> dict[str, Any]:
    """Of a run on a user's model and data: each stage's settings, counts and losses, and how its answers and pairs were
    judged. No path and no text is among them.
    """
    about, stats = run.manifest(), run.training_stats()
    stages = {}
    for name in (name for name in STAGES if name in stats):
        made = run.stage(name).manifest()
        rows = {key: {k: v for k, v in made[key].items() if k in ROWS} for key in ("data", "validation")
                if isinstance(made.get(key), dict) and "rows" in made[key]}  # fmt: skip
        stages[name] = {"settings": made["made_of"]["settings"], "rows": rows, "stats": stats[name],
                        "pairs": made.get("pairs", {}), "digest": made.get("digest")}  # fmt: skip
    judged = {name: read_json(path) for name, path in (("summaries", run.summaries_path), ("pairs", run.pairs_path))
              if path.is_file()}  # fmt: skip
    judged.get("summaries", {}).pop("reader", None)
    judged.get("pairs", {}).pop("models", None)
    if made := run.pairs_about():
        judged["made_pairs"] = made
    return {
        "kind": OWN,
        "run": run.name,
        **{key: about[key] for key in MANIFEST if key in about},
        "stages": stages,
        **judged,
    }


def _stage(block: Mapping[str, Any]) -> dict[str, Any]:
    extra = {key: block["extra"][key] for key in OF_EXTRA if key in block["extra"]}
    calibration = dict(extra.get("calibration") or {})
    if curve := calibration.pop("risk_coverage", None):
        extra["calibration"] = {**calibration, "risk_coverage_area": curve["area"]}
    return {
        "headline": _figures(block["headline"]),
        "splits": {split: _figures(measures) for split, measures in block["splits"].items()},
        "extra": extra,
    }


def _figures(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Measures without the words that every run repeats."""
    out = {}
    for name, cell in measures.items():
        gates = {
            gate: {key: value for key, value in found.items() if key != "meaning"}
            for gate, found in cell.get("gates", {}).items()
        }
        out[name] = {**cell, **({"gates": gates} if gates else {})}
    return out


def _config_hash(run: Run) -> str:
    """Of the configuration without its seed: runs that share it are seeds of one method."""
    settings = yaml.safe_load(run.config_path.read_text(encoding="utf-8"))
    settings.pop("seed", None)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def write_artifact(folder: Path, run: Run, notice: str = "") -> Path:
    """Keep a run; one line a key, so that a change can be read."""
    kept = artifact(run, notice)
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
        for key, value in kept.items()
    ]
    path = folder / f"{run.name}.json"
    atomic_write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path


def read_artifacts(folder: Path) -> list[Artifact]:
    """Every kept run, by configuration and seed."""
    found = [read_json(path) for path in sorted(folder.glob("*.json"))]
    for path, kept in zip(sorted(folder.glob("*.json")), found, strict=True):
        needed = {"run", "stages"} | (
            set() if isinstance(kept, dict) and kept.get("kind") == OWN else {"config", "by_fact"}
        )
        if not isinstance(kept, dict) or not needed <= kept.keys():
            raise UserError(f"{path} is not what `posology results` keeps of a run", "delete it, or make it again")
    return sorted(found, key=lambda kept: (kept.get("config", ""), kept.get("seed", 0), kept["run"]))
