"""QLoRA (Dettmers et al. 2023) for real, on a CPU: the base in 4 or 8 bits, adapters that learn, and what becomes of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from posology.models.lora import is_lora
from posology.models.quiet import quiet
from posology.models.source import load_model, load_trainable, open_source
from posology.recipes.own_dpo import own_dpo
from posology.recipes.own_generate import AnswerSettings, answer_rows, open_answerer
from posology.recipes.own_merge import own_merge
from posology.recipes.own_sft import own_sft

from ..family_models import save_family
from .own_files import dpo_settings, new_run, quietly, sft_settings, write_notes, write_pairs
from .test_own_families import logits, prompts

pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")
WIDE = {"hidden_size": 128, "intermediate_size": 256, "head_dim": 32}  # bitsandbytes quantises blocks of 64
KINDS = {4: "Linear4bit", 8: "Linear8bitLt"}


def quantised_layers(model: Any) -> set[str]:
    """What the projections of the base are, beneath adapters."""
    return {
        type(getattr(module, "base_layer", module)).__name__
        for name, module in model.named_modules()
        if name.endswith("q_proj") or name.endswith("down_proj")
    }


@pytest.mark.parametrize("bits", [4, 8])
def test_adapters_on_quantised_weights_go_all_the_way(bits: int, tmp_path: Path) -> None:
    base, run = save_family(tmp_path / "base", "llama", **WIDE), new_run(tmp_path)
    lora = {"kind": "qlora", "bits": bits}
    sft = own_sft(sft_settings(base, write_notes(tmp_path / "train.csv", 8), epochs=6, lora=lora), run, quietly())
    losses = [row["loss"] for row in sft.read_metrics() if row["split"] == "train"]
    assert losses[-1] < 0.8 * losses[0]
    tuned = open_source(sft.final)
    assert tuned.bits == bits
    opened = load_model(tuned, CPU)
    assert is_lora(opened) and quantised_layers(opened) == {KINDS[bits]}

    dpo = own_dpo(dpo_settings("run", write_pairs(tmp_path / "pairs.jsonl", 8), lora=lora), run, quietly())
    first = next(row for row in dpo.read_metrics() if row["split"] == "train")
    assert first["preference"] == pytest.approx(math.log(2), abs=1e-5)  # the quantised SFT policy is the reference
    aligned = open_source(dpo.final)
    answerer = open_answerer(aligned, AnswerSettings(max_new_tokens=8, temperature=0), device="cpu")
    assert len(answer_rows(answerer, prompts(2))) == 2

    own_merge(aligned, tmp_path / "merged")
    with quiet():
        merged = AutoModelForCausalLM.from_pretrained(str(tmp_path / "merged")).eval()
    assert quantised_layers(merged) == {"Linear"}
    whole, packed = (logits(load_model(open_source(base), CPU, bits=kept)) for kept in (0, bits))
    apart = (logits(merged) - logits(load_model(aligned, CPU))).std()
    assert (
        0 < apart < 2 * (whole - packed).std()
    )  # as far as quantising itself: adapters stand on the weights as they were


def test_only_the_adapters_are_trained(tmp_path: Path) -> None:
    source = open_source(save_family(tmp_path / "base", "llama", **WIDE))
    lora = sft_settings(source.base, "none.csv", lora={"kind": "qlora"}).lora
    model = load_trainable(source, lora.adapters, CPU, seed=0, bits=lora.quantised)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained and all("lora_" in name for name in trained)
