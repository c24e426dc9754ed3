"""A saved stage in plain transformers, in a process that never imports posology: same ids, same logits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from posology.config import LoraConfig
from posology.models.loading import load_language_model, save_language_model
from posology.models.packed import forward_packed
from posology.text.chat import encode_dialogue
from posology.text.tokenizer import save_tokenizer

PLAIN = """
import json, sys
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, rows, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
texts = [
    tokenizer.apply_chat_template(
        [{"role": "user", "content": q}, {"role": "assistant", "content": a}], tokenize=False
    )
    for q, a in rows
]
batch = tokenizer(texts, return_tensors="pt", padding=True, padding_side="right", add_special_tokens=False)
with torch.no_grad():
    logits = model(**batch).logits
save_file({"ids": batch["input_ids"], "mask": batch["attention_mask"], "logits": logits}, out)
assert "posology" not in sys.modules
"""


def _plain(saved: Any, folder: Path, out: Path) -> dict[str, torch.Tensor]:
    rows = json.dumps([(q, a) for q, a, _ in saved.rows])
    command = [sys.executable, "-I", "-c", PLAIN, str(folder), rows, str(out)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    return load_file(str(out))


def _ours(model: Any, ids: list[int]) -> torch.Tensor:
    length = len(ids)
    with torch.no_grad():
        segments = torch.ones(1, length, dtype=torch.long)
        return forward_packed(model, torch.tensor([ids]), torch.arange(length)[None], segments)[0]


def _same(saved: Any, model: Any, folder: Path, out: Path) -> None:
    """Plain transformers reads `folder` and gives the ids and logits of `model` here."""
    theirs = _plain(saved, folder, out)
    for row, (question, answer, _) in enumerate(saved.rows):
        ids = encode_dialogue(saved.tokenizer, question, answer).ids
        assert theirs["ids"][row, : len(ids)].tolist() == ids
        assert int(theirs["mask"][row].sum()) == len(ids)
        ours = _ours(model, ids)
        assert torch.allclose(ours, theirs["logits"][row, : len(ids)], atol=1e-5)
        assert ours.std() > 0.1


def test_saved_model_gives_the_same_logits_without_posology(saved: Any, tmp_path: Path) -> None:
    model = load_language_model(saved.policy, tokenizer=saved.tokenizer.fingerprint)
    _same(saved, model, saved.policy, tmp_path / "out.safetensors")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_trained_adapters_give_the_same_logits_without_posology(saved: Any, tmp_path: Path) -> None:
    model = load_language_model(saved.policy, LoraConfig(kind="lora", rank=4), seed=3).eval()
    ids = encode_dialogue(saved.tokenizer, *saved.rows[0][:2]).ids
    before = _ours(model, ids)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(0.0, 0.1, generator=generator)
    assert (_ours(model, ids) - before).abs().max() > 1e-3
    save_language_model(model, tmp_path / "final", tokenizer=saved.tokenizer.fingerprint)
    save_tokenizer(saved.tokenizer, tmp_path / "final")
    _same(saved, model, tmp_path / "final", tmp_path / "out.safetensors")
