from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Phi3Config, Phi3ForCausalLM

from posology.config import ConfigError, LoraConfig, UserError
from posology.models.families import attention_masks, require_same_loss, resolve_targets
from posology.models.lora import apply_lora
from posology.models.packed import segment_mask

PHI = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2,
       "pad_token_id": 0}  # fmt: skip


def gpt2() -> Any:
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32))


def test_adapters_go_to_queries_and_values_of_each_family(tiny: Any) -> None:
    assert resolve_targets(tiny(), ()) == ("q_proj", "v_proj")
    assert resolve_targets(gpt2(), ()) == ("c_attn",)
    assert resolve_targets(Phi3ForCausalLM(Phi3Config(**PHI)), ()) == ("qkv_proj",)
    assert resolve_targets(gpt2(), ("all-linear",)) == ("c_attn", "c_fc", "c_proj")
    assert "lm_head" not in resolve_targets(tiny(), ("all-linear",))
    with pytest.raises(ConfigError, match="no layer is called 'q_proj'") as caught:
        resolve_targets(gpt2(), ("q_proj",))
    assert "c_attn" in caught.value.hint


def test_gpt2_with_adapters_starts_as_it_was_and_learns() -> None:
    base = gpt2().eval()
    ids = torch.arange(8)[None]
    before = base(ids).logits.detach().clone()
    model = apply_lora(base, LoraConfig(kind="lora", rank=2, dropout=0.0, targets=()))
    torch.testing.assert_close(model(ids).logits, before)
    model(ids, labels=ids).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        name for name, _ in model.named_parameters() if "lora_" in name
    }


def test_a_forward_that_is_not_the_model_s_own_is_refused(tiny: Any) -> None:
    model, ids = tiny(), [1, 40, 50, 60]
    row = torch.tensor([ids])
    loss = float(model(row, labels=row).loss.detach())
    require_same_loss(model, ids, loss)
    with pytest.raises(UserError, match="models of type llama cannot be trained here"):
        require_same_loss(model, ids, loss * 1.1)


class Trunk:
    """What `attention_masks` asks of a model's trunk."""

    def __init__(self, **config: Any) -> None:
        self.config = type("Config", (), {"_attn_implementation": "sdpa", **config})()

    def get_input_embeddings(self) -> torch.nn.Embedding:
        return torch.nn.Embedding(2, 2)


SEEN = segment_mask(torch.ones(1, 6, dtype=torch.long))
POSITIONS = torch.arange(6)[None]


def test_a_window_hides_what_is_far() -> None:
    mask = attention_masks(Trunk(sliding_window=2), SEEN, POSITIONS)
    assert isinstance(mask, torch.Tensor)
    assert mask[0, 0, 4].tolist() == [False, False, False, True, True, False]
    mixed = attention_masks(
        Trunk(sliding_window=2, layer_types=["sliding_attention", "full_attention"]), SEEN, POSITIONS
    )
    assert isinstance(mixed, dict)
    assert torch.equal(mixed["full_attention"], SEEN) and torch.equal(mixed["sliding_attention"], mask)
    for unwindowed in (Trunk(), Trunk(sliding_window=2, layer_types=["full_attention"]), Trunk(sliding_window=6)):
        assert torch.equal(attention_masks(unwindowed, SEEN, POSITIONS), SEEN)  # type: ignore[arg-type]


def test_eager_attention_adds_its_mask() -> None:
    mask = attention_masks(Trunk(_attn_implementation="eager"), SEEN, POSITIONS)
    assert isinstance(mask, torch.Tensor)
    assert mask[0, 0, 0].tolist() == [0.0, *[torch.finfo(torch.float32).min] * 5]
