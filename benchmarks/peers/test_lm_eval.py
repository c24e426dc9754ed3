"""The exam as multiple choice in EleutherAI's lm-evaluation-harness: the same log-likelihoods and scores as ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posology.evaluation.choices import BEGINNINGS, choice_figures
from posology.recipes.multiple_choice import log_likelihoods
from posology.text.spans import span

pytestmark = pytest.mark.filterwarnings("ignore")  # lm-eval's and datasets' own

TASKS = Path(__file__).resolve().parents[2] / "lm_eval_tasks"


def _rows(saved: Any) -> list[dict[str, Any]]:
    """As `posology cases export --multiple-choice --stage sft` writes them: some choices begin with working."""
    working = span("eGFR28?30,45", "<30")
    drugs = ("metformin", "ibuprofen", "apixaban", "zorbamol", "codeine", "amoxicillin")
    return [
        {
            "case_id": f"{i}", "fact": drug, "question": question, "gold": i % len(BEGINNINGS),
            "choices": [working * (i % 2) + text.format(drug=drug, Drug=drug.capitalize()) for text in BEGINNINGS],
        }
        for i, ((question, _, _), drug) in enumerate(zip(saved.rows * 2, drugs * 2, strict=True))
    ]  # fmt: skip


def test_lm_eval_scores_the_exam_as_we_do(saved: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    rows = _rows(saved)
    (tmp_path / "posology_mc.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    limit = 10
    found = simple_evaluate(
        model="hf", model_args={"pretrained": str(saved.policy), "dtype": "float32"}, device="cpu", batch_size=4,
        tasks=["posology_mc"], task_manager=TaskManager(include_path=str(TASKS), include_defaults=False),
        apply_chat_template=True, limit=limit, bootstrap_iters=0, log_samples=True,
    )  # fmt: skip
    samples = sorted(found["samples"]["posology_mc"], key=lambda sample: sample["doc_id"])
    theirs = [[float(answer[0][0]) for answer in sample["resps"]] for sample in samples]
    ours = log_likelihoods(saved.policy, rows[:limit])
    assert len(theirs) == limit
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    figures, scores = choice_figures(rows[:limit], ours), found["results"]["posology_mc"]
    assert scores["acc,none"] == pytest.approx(figures["acc"]["value"])
    assert scores["acc_norm,none"] == pytest.approx(figures["acc_norm"]["value"])
    assert 0 < figures["acc"]["value"] < 1
    assert all(max(row) - min(row) > 1 for row in ours)
