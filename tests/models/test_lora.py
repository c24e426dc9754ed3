from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from posology.config import ConfigError, LoraConfig, UserError
from posology.models.lora import (
    add_reference,
    apply_lora,
    load_adapter,
    merge,
    reference_policy,
    save_adapter,
    trainable_parameters,
)

IDS = torch.tensor([[1, 40, 50, 60, 7]])
LORA = LoraConfig(kind="lora", rank=4, dropout=0.0)


def trained(model: Any) -> Any:
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(3))
    return model


def test_step_0_is_the_base_model(tiny: Any) -> None:
    base = tiny()
    assert torch.equal(apply_lora(copy.deepcopy(base), LORA)(IDS).logits, base(IDS).logits)


def test_only_the_adapters_learn(tiny: Any) -> None:
    model = apply_lora(tiny(), LORA)
    model(IDS, labels=IDS).loss.backward()
    assert {n for n, p in model.named_parameters() if p.grad is not None} == {
        n for n, p in model.named_parameters() if "lora_" in n
    }


def test_merged_is_unmerged(tiny: Any) -> None:
    model = trained(apply_lora(tiny(), LORA))
    logits = model(IDS).logits.detach()
    assert not torch.allclose(logits, tiny()(IDS).logits, atol=1e-2)
    merged = merge(model)
    assert type(merged) is LlamaForCausalLM
    torch.testing.assert_close(merged(IDS).logits, logits, rtol=1e-4, atol=1e-4)
    assert merge(merged) is merged


def test_llama_2_7b_has_8_39_million_adapter_weights() -> None:
    """2 projections x 32 layers x r (4096 + 4096) at r = 16: 0.124 % of 6.74 billion."""
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig())
        whole = sum(p.numel() for p in model.parameters())
        adapted = apply_lora(model, LoraConfig(kind="lora", rank=16))
    assert trainable_parameters(adapted) == 8_388_608
    assert round(100 * trainable_parameters(adapted) / (whole + 8_388_608), 3) == 0.124


def test_adapters_are_saved_alone_and_read_back(tiny: Any, tmp_path: Path) -> None:
    model = trained(apply_lora(tiny(), LORA))
    save_adapter(model, tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.glob("*.safetensors")) < 20_000
    assert not (tmp_path / "model.safetensors").exists()
    torch.testing.assert_close(load_adapter(tiny(), tmp_path)(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("further", [False, True])
def test_the_reference_is_read_while_the_same_weights_are_trained(tiny: Any, tmp_path: Path, further: bool) -> None:
    """Adapters off, or put back as they were: FSDP2 must not find them frozen when it first runs."""
    before = tiny()(IDS).logits.detach()
    model = apply_lora(tiny(), LORA)
    if further:
        save_adapter(trained(model), tmp_path)
        before = model(IDS).logits.detach()
        model = add_reference(load_adapter(tiny(), tmp_path, trainable=True), tmp_path)
    names = {name for name, weight in model.named_parameters() if weight.requires_grad}
    with torch.no_grad():
        for weight in (weight for name, weight in model.named_parameters() if name in names):
            weight.add_(0.1)
    with reference_policy(model), torch.no_grad():
        assert {name for name, weight in model.named_parameters() if weight.requires_grad} == names
        torch.testing.assert_close(model(IDS).logits, before)
    assert {name for name, weight in model.named_parameters() if weight.requires_grad} == names
    assert all("default" in name for name in names) and not torch.allclose(model(IDS).logits, before, atol=1e-2)


def test_a_seed_fixes_the_adapters(tiny: Any) -> None:
    first, again, other = (apply_lora(tiny(), LORA, seed).state_dict() for seed in (1, 1, 2))
    name = next(name for name in first if "lora_A" in name)
    assert torch.equal(first[name], again[name])
    assert not torch.equal(first[name], other[name])


def test_what_cannot_be_done_is_said(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no layer is called 'query'") as caught:
        apply_lora(tiny(), LoraConfig(kind="lora", targets=("query",)))
    assert "q_proj" in caught.value.hint
    with pytest.raises(UserError, match="no adapters in"):
        load_adapter(tiny(), tmp_path)
    with pytest.raises(TypeError):
        save_adapter(tiny(), tmp_path)
    monkeypatch.setattr("posology.models.lora.find_spec", lambda name: None)
    with pytest.raises(UserError, match="bitsandbytes, which is not installed"):
        apply_lora(tiny(), LoraConfig(kind="qlora"))
    assert apply_lora(model := tiny(), LoraConfig()) is model
