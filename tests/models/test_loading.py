from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from posology.config import LoraConfig, UserError
from posology.models.loading import load_language_model, save_language_model
from posology.models.lora import apply_lora, trainable_parameters


@pytest.fixture
def saved(tiny: Any, tmp_path: Path) -> Path:
    save_language_model(tiny(), tmp_path / "model", tokenizer="a" * 64)
    return tmp_path / "model"


def refused(path: Path | str, **kwargs: Any) -> str:
    with pytest.raises(UserError) as caught:
        load_language_model(path, **kwargs)
    assert "\n" not in caught.value.message
    return f"{caught.value.message} · {caught.value.hint}"


def test_saved_and_loaded_gives_the_same_logits(tiny: Any, saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = torch.tensor([[1, 40, 50, 60]])
    model = load_language_model(saved, tokenizer="a" * 64)
    assert torch.equal(model(ids).logits, tiny()(ids).logits)
    assert not model.training
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert "".join(capsys.readouterr()) == ""  # no progress bars
    assert {path.suffix for path in saved.iterdir()} == {".json", ".safetensors"}


def test_another_tokenizer_is_refused(saved: Path) -> None:
    assert "tokenizer and checkpoint do not belong together" in refused(saved, tokenizer="b" * 64)


def test_a_model_that_names_no_tokenizer_takes_any(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    del config["posology_tokenizer"]
    (saved / "config.json").write_text(json.dumps(config))
    load_language_model(saved, tokenizer="b" * 64)


def test_hub_names_and_missing_folders_are_refused_with_the_way_to_go(tmp_path: Path) -> None:
    assert "hf download" in refused("meta-llama/Llama-2-7b-hf")
    assert "config.json is missing" in refused(tmp_path)


def test_pickled_weights_are_refused(saved: Path) -> None:
    (saved / "model.safetensors").rename(saved / "pytorch_model.bin")
    assert "pickled" in refused(saved)
    (saved / "pytorch_model.bin").unlink()
    assert "no *.safetensors" in refused(saved)


@pytest.mark.parametrize("keep", [0, 7, 4000])
def test_a_cut_weights_file_is_damaged(saved: Path, keep: int) -> None:
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert "cannot read the model in" in refused(saved)


def test_a_missing_or_misshapen_weight_is_named(saved: Path) -> None:
    path = saved / "model.safetensors"
    weights = load_file(path)
    name = "model.layers.1.mlp.up_proj.weight"
    save_file({k: v for k, v in weights.items() if k != name}, path, {"format": "pt"})
    assert f"lack {name}" in refused(saved)
    save_file({**weights, name: torch.zeros(3, 3)}, path, {"format": "pt"})
    assert name in refused(saved)


def test_a_damaged_config_is_named(saved: Path) -> None:
    path = saved / "config.json"
    whole = path.read_text()
    path.write_text(whole[:50])
    assert "config.json is damaged" in refused(saved)
    path.write_text("{}")
    assert "names no model_type" in refused(saved)


def test_code_that_comes_with_a_model_is_never_run(saved: Path, tmp_path: Path) -> None:
    path = saved / "config.json"
    config = json.loads(path.read_text())
    names = {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}
    path.write_text(json.dumps({**config, "model_type": "mine", "auto_map": names}))
    (saved / "mine.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass MyConfig: pass\nclass MyModel: pass\n"
    )
    assert "code of its own" in refused(saved)
    assert not (tmp_path / "ran").exists()


def test_a_lora_model_is_saved_merged_with_its_adapters_beside(tiny: Any, saved: Path, tmp_path: Path) -> None:
    model = load_language_model(saved, LoraConfig(kind="lora", rank=4, dropout=0.0))
    assert trainable_parameters(model) == 2 * 2 * 4 * (32 + 32)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    ids = torch.tensor([[1, 40, 50, 60]])
    logits = model(ids).logits
    assert not torch.allclose(logits, tiny()(ids).logits, atol=1e-2)
    save_language_model(model, tmp_path / "final", tokenizer="a" * 64)
    assert torch.allclose(load_language_model(tmp_path / "final", tokenizer="a" * 64)(ids).logits, logits, atol=1e-4)
    assert torch.equal(model(ids).logits, logits)  # saving changes nothing
    assert (tmp_path / "final" / "adapter" / "adapter_model.safetensors").stat().st_size < 20_000


def test_the_model_in_hand_is_not_changed_by_adapters_on_a_copy(tiny: Any, saved: Path) -> None:
    before = shutil.copy(saved / "model.safetensors", saved / "copy.bak")
    apply_lora(load_language_model(saved), LoraConfig(kind="lora"))
    assert Path(before).read_bytes() == (saved / "model.safetensors").read_bytes()
