"""docs/RESULTS.md: made from what is kept of the runs, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posology.errors import UserError
from posology.files import atomic_write_json
from posology.report.results import artifact, read_artifacts, write_artifact
from posology.report.results_page import comparisons, page
from posology.runs import Run, open_run

from .example_card import scorecard

DOCS = Path(__file__).resolve().parents[2] / "docs"


def graded(root: Path, name: str, seed: int, gain: float = 2.0) -> Run:
    """A finished run: the example scorecard, and eight facts on which PPO is more useful than SFT by `gain`."""
    run = open_run(root, name, create=True)
    run.config_path.write_text(f"seed: {seed}\ndata: {{questions: 6}}\n")
    run.update_manifest(
        status="finished", seed=seed, machine={"cores": 2, "processor": "x86_64"}, seconds={"sft": 61.0, "grade": 5.0}
    )
    atomic_write_json(run.scorecard_path, scorecard() | {"seed": seed})
    facts = [f"fact{i}" for i in range(8)]
    differences = {"ppo-sft": {"usefulness": [gain] * 8, "accuracy": [0, 0, None, 0, 0, 0, 0, 0.5]}}
    atomic_write_json(run.by_fact_path, {"facts": facts, "differences": differences})
    return run


def test_the_page_in_the_repository_is_what_the_kept_runs_say() -> None:
    assert (DOCS / "RESULTS.md").read_text() == page(read_artifacts(DOCS / "results")), (
        "docs/RESULTS.md is stale: posology results"
    )


def test_three_seeds_make_a_claim(tmp_path: Path) -> None:
    runs = [graded(tmp_path, name, seed) for seed, name in enumerate(("laptop", "laptop-seed1", "laptop-seed2"))]
    for run in runs:
        write_artifact(tmp_path / "kept", run)
    kept = read_artifacts(tmp_path / "kept")
    assert [(one["config"], one["seed"]) for one in kept] == [("laptop", 0), ("laptop", 1), ("laptop", 2)]
    assert len({one["config_sha256"] for one in kept}) == 1  # the seed is no part of the configuration
    text = page(kept)
    assert "## laptop: 3 seeds" in text and "no claim" not in text
    assert "| PPO − SFT | usefulness | +2.00 of 10 | [+2.00, +2.00] | 0.016 | 8 | +2.00 | +2.00 | +2.00 | yes |" in text
    assert (
        "2,108 / 2,412 = 87.4 %" in text
        and "| accuracy | 3.1 % | 86.1 % | 86.8 % | 87.4 % | 87.4 % | 90.0 % | not reached" in text
    )
    assert "minimal pairs | >= 0.9 | 0.871 **not met**" in text
    assert "| SFT | 1 min 1 s | 1 min 1 s | 1 min 1 s |" in text


def test_p_values_are_adjusted_over_the_page(tmp_path: Path) -> None:
    kept = [artifact(graded(tmp_path, "laptop", 0))]
    (_, _, useful, p_useful), (_, _, accurate, p_accurate) = comparisons(kept)
    assert useful.p == pytest.approx(2 / 256) and p_useful == pytest.approx(2 * useful.p)
    assert (accurate.facts, accurate.p, p_accurate) == (7, 1.0, 1.0)  # one fact that differs proves nothing
    assert "no claim about the method" in page(kept)


def test_seeds_that_disagree_and_configurations_that_differ_are_told(tmp_path: Path) -> None:
    kept = [artifact(graded(tmp_path, "laptop", 0)), artifact(graded(tmp_path, "laptop-1", 1, gain=-0.5))]
    text = page(kept)
    assert "| +2.00 | −0.50 | **no** |" in text and "do not share" not in text
    assert "do not share one configuration" in page([kept[0], kept[1] | {"config_sha256": "another"}])


def test_what_is_kept_is_small_and_whole(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "kept", graded(tmp_path, "laptop", 0))
    kept: dict[str, Any] = json.loads(path.read_text())
    assert "misses" not in kept["stages"]["ppo"] and len(path.read_text().splitlines()) == len(kept) + 2
    assert kept["stages"]["ppo"]["headline"]["accuracy"] | {"gates": 0} == scorecard()["stages"]["ppo"]["headline"][
        "accuracy"
    ] | {"gates": 0}


def test_multiple_choice_is_kept_of_these_weights_and_of_the_whole_exam(tmp_path: Path) -> None:
    run = graded(tmp_path, "laptop", 0)
    run.stage("sft").final.mkdir(parents=True)
    run.stage("sft").note(digest="abc")
    share = {"k": 7, "n": 8, "facts": 8, "value": 0.875, "low": 0.5, "high": 0.98}
    card = {"part": "--splits S1,S2", "digests": {"sft": "abc"}, "stages": {"sft": {"acc": share, "acc_norm": share}}}
    atomic_write_json(run.multiple_choice_path, card)
    assert "| SFT, acc | 7 / 8 = 87.5 % [50.0, 98.0] |" in page([artifact(run)])
    for change in ({"part": "--limit 8"}, {"digests": {"sft": "another"}}):
        atomic_write_json(run.multiple_choice_path, card | change)
        assert "multiple_choice" not in artifact(run)


def test_runs_that_are_not_ready_are_refused(tmp_path: Path) -> None:
    run = graded(tmp_path, "laptop", 0)
    run.by_fact_path.unlink()
    with pytest.raises(UserError, match="no scorecard with its facts"):
        artifact(run)
    run.update_manifest(status="running")
    with pytest.raises(UserError, match="not finished"):
        artifact(run)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.json").write_text("{}")
    with pytest.raises(UserError, match="is not what"):
        read_artifacts(tmp_path / "kept")


def test_nothing_to_report(tmp_path: Path) -> None:
    assert page([]).endswith("No run is reported yet.\n")
    assert read_artifacts(tmp_path / "none") == []
