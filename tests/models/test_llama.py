import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from posology.config import ModelConfig
from posology.models.llama import language_model
from posology.models.loading import save_language_model


def test_the_config_becomes_a_hugging_face_llama() -> None:
    config = ModelConfig(width=64, layers=3, heads=2, mlp_width=96, positions=512, dropout=0.25)
    model = language_model(config, 320, 0, bos=1, eos=4, pad=0)
    said = model.config
    assert (said.hidden_size, said.num_hidden_layers, said.num_attention_heads) == (64, 3, 2)
    assert (said.intermediate_size, said.max_position_embeddings, said.attention_dropout) == (96, 512, 0.25)
    assert (said.bos_token_id, said.eos_token_id, said.pad_token_id) == (1, 4, 0)
    assert said._attn_implementation == "sdpa"
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_a_seed_fixes_the_weights_and_leaves_torchs_own_stream_alone() -> None:
    config = ModelConfig(width=32, layers=1, heads=1, mlp_width=32)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = language_model(config, 64, 7)
    assert torch.equal(torch.rand(3), expected)
    again, other = language_model(config, 64, 7), language_model(config, 64, 8)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


@pytest.mark.parametrize(("width", "layers"), [(32, 1), (128, 4), (384, 2), (512, 3)])
@pytest.mark.parametrize("vocabulary", [320, 3072])
def test_the_first_loss_is_ln_v_within_two_percent(width: int, layers: int, vocabulary: int) -> None:
    config = ModelConfig(width=width, layers=layers, heads=width // 32, mlp_width=width * 2)
    model = language_model(config, vocabulary, 0)
    ids = torch.randint(8, vocabulary, (4, 48), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(ids).logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert abs(float(loss) / math.log(vocabulary) - 1) < 0.02


def test_plain_transformers_reads_the_folder_and_gives_the_same_logits(tiny: Any, tmp_path: Path) -> None:
    model = tiny()
    save_language_model(model, tmp_path, tokenizer="f" * 64)
    said = json.loads((tmp_path / "config.json").read_text())
    assert said["architectures"] == ["LlamaForCausalLM"]
    assert "auto_map" not in said  # nothing of ours is needed to read it
    ids = torch.tensor([[1, 20, 33, 47, 9, 90]])
    assert torch.equal(AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits, model(ids).logits)
