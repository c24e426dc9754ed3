"""A tiny model of each family goes all the way: SFT, DPO, answers, merged, and loaded without posology."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from posology.intake.prompts import Prompt
from posology.intake.records import Example
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.models.quiet import quiet
from posology.models.source import Source, load_model, open_source
from posology.objectives.next_token import NextToken
from posology.recipes.own_dpo import own_dpo
from posology.recipes.own_generate import AnswerSettings, answer_rows, open_answerer
from posology.recipes.own_merge import own_merge
from posology.recipes.own_sft import own_sft
from posology.text.chat import Encoded

from ..family_models import MAKERS, OTHERS, QUICK, save_family
from .own_files import dpo_settings, new_run, notes, quietly, sft_settings, write_notes, write_pairs

FAMILIES = [*QUICK, *(pytest.param(name, marks=pytest.mark.families) for name in OTHERS)]
CPU = torch.device("cpu")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad(), quiet():
        out: torch.Tensor = model(input_ids=torch.arange(40, 80)[None]).logits
    return out


def prompts(count: int) -> list[Prompt]:
    return [Prompt(i, key, Example(i, key, note, "", is_note=True)) for i, (key, note, _) in enumerate(notes(count), 1)]


@pytest.mark.parametrize("family", FAMILIES)
def test_all_the_way(family: str, tmp_path: Path) -> None:
    base = save_family(tmp_path / "base", family)
    run = new_run(tmp_path)
    sft = own_sft(sft_settings(base, write_notes(tmp_path / "train.csv", 8), epochs=1), run, quietly())
    assert not (sft.final / "model.safetensors").exists()  # the adapters alone
    tuned = open_source(sft.final)
    start = logits(load_model(tuned, CPU))
    assert not torch.allclose(start, logits(load_model(open_source(base), CPU)), atol=1e-3)

    dpo = own_dpo(dpo_settings("run", write_pairs(tmp_path / "pairs.jsonl", 8)), run, quietly())
    first = next(row for row in dpo.read_metrics() if row["split"] == "train")
    assert first["preference"] == pytest.approx(math.log(2), abs=1e-6)  # the SFT policy is the reference
    assert first["chosen_shift"] == pytest.approx(0, abs=1e-4)
    aligned = open_source(dpo.final)
    assert aligned.base == base  # one set of adapters, on the same base
    wanted = logits(load_model(aligned, CPU))
    assert not torch.allclose(wanted, start, atol=1e-3)

    own_merge(aligned, tmp_path / "merged")
    with quiet():
        merged = AutoModelForCausalLM.from_pretrained(str(tmp_path / "merged"))
    torch.testing.assert_close(logits(merged.eval()), wanted, atol=2e-3, rtol=1e-3)
    assert_same_answers(aligned, tmp_path / "merged", merged)


def assert_same_answers(source: Source, folder: Path, merged: Any) -> None:
    """Greedy answers do not depend on how many are asked together, and are those of transformers' own generate."""
    answerer = open_answerer(source, AnswerSettings(max_new_tokens=8, temperature=0), device="cpu")
    asked = prompts(3)
    together = answer_rows(answerer, asked)
    assert together == [line for prompt in asked for line in answer_rows(answerer, [prompt])]
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    text = f"Clinical Note: {notes(1)[0][1]}\n\nSummary:"
    ids = tokenizer(text, return_tensors="pt", return_token_type_ids=False)
    with quiet():
        said = merged.generate(**ids, do_sample=False, max_new_tokens=8, pad_token_id=0, eos_token_id=0)
    theirs = tokenizer.decode(said[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert together[0]["answer"] == theirs


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_is_the_model_s_own_packed_or_not(family: str, tmp_path: Path) -> None:
    """Against transformers: each row alone, its answer scored; ours packed into one row, and padded side by side."""
    model = load_language_model(save_family(tmp_path, family))
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, 300, (length,), generator=generator).tolist() for length in (24, 37, 9)]
    theirs = 0.0
    for ids in rows:
        labels = torch.tensor([[-100] * 4 + ids[4:]])
        with torch.no_grad(), quiet():
            loss = model(input_ids=torch.tensor([ids]), labels=labels).loss
        theirs += float(loss) * (len(ids) - 4)
    examples = [Encoded(ids, [False] * 4 + [True] * (len(ids) - 4)) for ids in rows]
    for packing in (True, False):
        objective = NextToken(
            "sft", model.eval(), examples, [], tokens=3 * 80, row=80, seed=0, precision=pick_precision("fp32"),
            vocabulary=320, packing=packing,
        )  # fmt: skip
        with torch.no_grad():
            ours = sum(float(objective.loss(batch)[0]) for batch in objective.batch(0))
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_six_families_are_tried() -> None:
    assert {name.rstrip("0123456789") for name in MAKERS} == {"llama", "qwen", "gpt", "mistral", "gemma", "phi"}
