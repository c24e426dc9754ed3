"""The exam's multiple-choice form, given to a run's stages: what lm-evaluation-harness measures with `lm_eval_tasks/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from posology.config import RunConfig, UserError
from posology.evaluation.candidate import Exam
from posology.evaluation.choices import choice_figures, choice_rows
from posology.files import atomic_write_json
from posology.models.device import device_of, pick_device
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.pairs import sequence_batch
from posology.objectives.policy import score_tokens
from posology.rollout.assistant import Assistant
from posology.runs import Run
from posology.text.chat import Encoded, encode_prompt
from posology.text.tokenizer import load_tokenizer
from posology.training.progress import Progress

STAGES = ("sft", "dpo", "ppo")
ROWS = 112  # choices scored together


def multiple_choice(config: RunConfig, run: Run, exam: Exam, progress: Progress | None = None) -> dict[str, Any]:
    """Write multiple_choice.json: each finished stage's acc and acc_norm over the asked cases."""
    progress = progress or Progress()
    if not any(run.stage(name).final.is_dir() for name in STAGES):
        raise UserError(f"run {run.name} has no finished stage that answers", f"train one: {', '.join(STAGES)}")
    rows = choice_rows(exam.asked.values())
    if not rows:
        raise UserError("none of these cases can be asked as multiple choice", "their answers have no single beginning")
    stages = {}
    for name in STAGES:
        if run.stage(name).final.is_dir():
            progress.say(f"{name}: {len(rows):,} questions with {len(rows[0]['choices'])} choices")
            asked = choice_rows(exam.asked.values(), working_of(run.stage(name).final, rows))
            stages[name] = choice_figures(asked, log_likelihoods(run.stage(name).final, asked, config.device))
    card = {
        "run": run.name, "part": exam.part, "asked": len(exam.asked), "left_out": len(exam.asked) - len(rows),
        "digests": {name: run.stage(name).manifest().get("digest") for name in stages}, "stages": stages,
    }  # fmt: skip
    atomic_write_json(run.multiple_choice_path, card)
    return card


def working_of(folder: Path, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the model of a final folder works out before it answers each row's question, by question."""
    questions = sorted({str(row["question"]) for row in rows})
    return dict(zip(questions, Assistant.open(folder).workings(questions), strict=True))


@torch.no_grad()
def log_likelihoods(folder: Path, rows: Sequence[Mapping[str, Any]], device: str = "cpu") -> list[list[float]]:
    """Natural log-likelihood of each row's choices after its question, in fp32."""
    tokenizer = load_tokenizer(folder)
    model = load_language_model(folder, tokenizer=tokenizer.fingerprint, device=pick_device(device)).eval()
    precision = pick_precision("fp32", device_of(model).type)
    encoded, place = [], []
    for number, row in enumerate(rows):
        prompt = encode_prompt(tokenizer, row["question"])
        for choice in row["choices"]:
            ids = tokenizer.encode_answer(choice)
            encoded.append(Encoded([*prompt, *ids], [False] * len(prompt) + [True] * len(ids)))
            place.append(number)
    out: list[list[float]] = [[] for _ in rows]
    for start in range(0, len(encoded), ROWS):
        part = encoded[start : start + ROWS]
        scored = score_tokens(model, sequence_batch(part, tokenizer.pad), precision)
        for number, logp in zip(place[start:], scored.per_row(scored.logp_N, len(part)).tolist(), strict=False):
            out[number].append(logp)
    return out
