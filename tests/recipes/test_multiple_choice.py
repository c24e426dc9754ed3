"""Log-likelihoods of choices: those of the whole row, whatever stands beside it; and the command that asks for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from posology.cli.app import app
from posology.config import ModelConfig
from posology.errors import UserError
from posology.models.llama import language_model
from posology.models.loading import load_language_model, save_language_model
from posology.recipes.multiple_choice import log_likelihoods
from posology.text.chat import encode_prompt
from posology.text.tokenizer import Tokenizer, save_tokenizer, train_tokenizer

from ..evaluation.exams import exam_cases, run_with_exam

TINY = ModelConfig(width=32, layers=1, heads=2, mlp_width=64, positions=512)


def saved(folder: Path) -> Tokenizer:
    texts = [text for case in exam_cases() for text in (case.question, case.answer)]
    tokenizer = train_tokenizer(texts, 320)
    model = language_model(TINY, tokenizer.size, 0, bos=tokenizer.bos, eos=tokenizer.end, pad=tokenizer.pad)
    folder.mkdir(parents=True)
    save_language_model(model, folder, tokenizer=tokenizer.fingerprint)
    save_tokenizer(tokenizer, folder)
    return tokenizer


def test_log_likelihoods_are_sums_over_the_choices_tokens(tmp_path: Path) -> None:
    tokenizer = saved(tmp_path / "final")
    model: Any = load_language_model(tmp_path / "final").eval()
    rows = [
        {"question": "Metformin?", "choices": ["Metformin is acceptable.", "Avoid metformin."]},
        {"question": "Can I give ibuprofen with warfarin?", "choices": ["Avoid ibuprofen.", "Not covered"]},
    ]
    found = log_likelihoods(tmp_path / "final", rows)
    for row, scores in zip(rows, found, strict=True):
        prompt = encode_prompt(tokenizer, str(row["question"]))
        for choice, score in zip(row["choices"], scores, strict=True):
            ids = tokenizer.encode_answer(choice)
            with torch.no_grad():
                logp = torch.log_softmax(model(torch.tensor([[*prompt, *ids]])).logits[0], -1)
            by_hand = sum(float(logp[len(prompt) - 1 + i, token]) for i, token in enumerate(ids))
            assert score == pytest.approx(by_hand, abs=1e-3)


def test_the_command_writes_what_the_results_page_reads(tmp_path: Path) -> None:
    run = run_with_exam(tmp_path / "runs")
    saved(run.stage("sft").final)
    arguments = ["evaluate", "small", "--runs", str(tmp_path / "runs"), "--multiple-choice", "--splits", "S1,S2"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0 and "acc_norm" in done.output
    card = json.loads(run.multiple_choice_path.read_text())
    assert card["part"] == "--splits S1,S2" and list(card["stages"]) == ["sft"]
    assert card["stages"]["sft"]["acc"]["n"] + card["left_out"] == card["asked"]
    exported = ["cases", "export", "--run", "small", "--runs", str(tmp_path / "runs"), "--multiple-choice"]
    done = CliRunner().invoke(app, exported, catch_exceptions=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"question", "choices", "gold"} <= rows[0].keys() and len(rows) >= card["stages"]["sft"]["acc"]["n"]
    with_stage = CliRunner().invoke(app, [*exported, "--stage", "sft"], catch_exceptions=False)
    worked = [json.loads(line) for line in with_stage.stdout.splitlines()]
    assert [row["question"] for row in worked] == [row["question"] for row in rows]
    assert all(row["choices"][0].endswith(plain["choices"][0]) for row, plain in zip(worked, rows, strict=True))


def test_what_cannot_be_asked_is_told(tmp_path: Path) -> None:
    run_with_exam(tmp_path / "runs")
    base = ["evaluate", "small", "--runs", str(tmp_path / "runs"), "--multiple-choice"]
    with pytest.raises(UserError, match="no finished stage"):
        CliRunner().invoke(app, base, catch_exceptions=False)
    with pytest.raises(UserError, match="own stages"):
        CliRunner().invoke(app, [*base, "--model", "x"], catch_exceptions=False)
    with pytest.raises(UserError, match="each alone"):
        CliRunner().invoke(app, [*base, "--human", "scores.csv"], catch_exceptions=False)
    for options, message in (
        (["--multiple-choice", "--stage", "sft"], "no finished stage sft"),
        (["--stage", "sft"], "--stage"),
    ):
        with pytest.raises(UserError, match=message):
            asked = ["cases", "export", "--run", "small", "--runs", str(tmp_path / "runs"), *options]
            CliRunner().invoke(app, asked, catch_exceptions=False)
