"""SFT of a user's model: it learns, resumes bit for bit, keeps what it was told, and never writes a patient's text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from posology.config import ConfigError, UserError
from posology.files import sha256_file
from posology.models.source import load_model, open_source
from posology.own_config import OwnSftConfig, own_settings
from posology.recipes.own_sft import own_sft
from posology.runs import Stage
from posology.training import fit as fit_module

from ..family_models import save_family
from .own_files import new_run, notes, quietly, sft_settings, write_notes


class Killed(BaseException):
    """Stands in for SIGKILL inside one process."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("models") / "llama", "llama", chat=True)


def weights(stage: Stage) -> str:
    return sha256_file(stage.final / "adapter_model.safetensors")


def killing(patch: pytest.MonkeyPatch, at: int) -> None:
    def kill(stage: Stage, step: int) -> None:
        if step == at:
            raise Killed

    patch.setattr(fit_module, "_kill_for_test", kill)


def test_it_learns_and_says_what_it_did(llama: Path, tmp_path: Path) -> None:
    data, heldout = write_notes(tmp_path / "train.csv", 12), write_notes(tmp_path / "val.csv", 4)
    run = new_run(tmp_path)
    lora = {"rank": 8, "targets": ("all-linear",), "dropout": 0.0}
    settings = sft_settings(llama, data, validation=heldout, epochs=10, chat_template=True, lora=lora)
    stage = own_sft(settings, run, quietly())
    stats = json.loads((run.path / "training_stats.json").read_text())["sft"]
    losses = [row["loss"] for row in stats["validation"]]
    assert losses[-1] < 0.6 * losses[0]
    assert stats["steps"] == 30 and [row["step"] for row in stats["validation"]] == list(range(0, 31, 3))
    assert stats["kept_step"] == stats["validation"][losses.index(min(losses[1:]))]["step"]
    widths = {"q": 64, "k": 48, "v": 48, "o": 64, "gate": 80, "up": 80, "down": 80}  # in + out of each projection
    assert stats["trained_parameters"] == 2 * 8 * sum(widths.values())  # layers, rank
    about = stage.manifest()
    assert about["data"]["rows"] == 12 and about["data"]["unfit"] == {}
    assert about["model"]["sha256"] == open_source(llama).digest
    assert not stage.samples_path.exists()
    again = own_sft(settings, run, quietly())
    assert again.manifest() == about  # finished: not made again


@pytest.mark.parametrize("packing", [False, True])
def test_killed_and_resumed_is_the_same_bit_for_bit(
    packing: bool, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, heldout = write_notes(tmp_path / "train.csv"), write_notes(tmp_path / "val.csv", 3)
    settings = sft_settings(
        llama, data, validation=heldout, packing=packing, batch=2, micro_batch=1, checkpoint_every=2
    )
    whole = own_sft(settings, new_run(tmp_path, "whole"), quietly())
    run = new_run(tmp_path, "parts")
    for at in (1, 3):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killing(patch, at)
            own_sft(settings, run, quietly())
    parts = own_sft(settings, run, quietly())
    assert weights(parts) == weights(whole)


def test_checkpointing_changes_nothing_but_memory(llama: Path, tmp_path: Path) -> None:
    data = write_notes(tmp_path / "train.csv", 6)
    made = []
    for name, on in (("on", True), ("off", False)):
        settings = sft_settings(llama, data, epochs=1, checkpointing=on, lora={"dropout": 0.3})
        made.append(weights(own_sft(settings, new_run(tmp_path, name), quietly())))
    assert made[0] == made[1]


def test_all_weights_may_be_trained(llama: Path, tmp_path: Path) -> None:
    data = write_notes(tmp_path / "train.csv", 6)
    settings = sft_settings(llama, data, epochs=1, lora={"kind": "none"}).model_copy(update={"learning_rate": 1e-3})
    stage = own_sft(settings, new_run(tmp_path), quietly())
    source = open_source(stage.final)
    assert source.adapter is None
    ids = torch.arange(5)[None]
    before, after = (load_model(open_source(path), torch.device("cpu"))(ids).logits for path in (llama, stage.final))
    assert not torch.allclose(before, after)


def test_other_settings_do_not_overwrite_a_run(llama: Path, tmp_path: Path) -> None:
    data = write_notes(tmp_path / "train.csv", 6)
    run = new_run(tmp_path)
    own_sft(sft_settings(llama, data, epochs=1), run, quietly())
    with pytest.raises(UserError, match=r"was begun with lora\.rank = 4, not 8"):
        own_sft(sft_settings(llama, data, epochs=1, lora={"rank": 8}), run, quietly())
    write_notes(tmp_path / "train.csv", 7)
    with pytest.raises(UserError, match="was begun with data = other contents"):
        own_sft(sft_settings(llama, data, epochs=1), run, quietly())


def test_a_row_that_does_not_fit_is_named_and_never_cut(llama: Path, tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    rows = [{"prompt": note, "completion": summary} for _, note, summary in notes(6)]
    rows[2]["prompt"] = "CANARY " * 200
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = sft_settings(llama, str(data), epochs=1)
    with pytest.raises(UserError, match=r"1 of 6 rows cannot be used: longer than 128 tokens \(row 3\)") as caught:
        own_sft(settings, new_run(tmp_path, "stop"), quietly())
    assert "CANARY" not in caught.value.message
    skip = settings.model_copy(update={"reading": settings.reading.model_copy(update={"on_bad_row": "skip"})})
    stage = own_sft(skip, new_run(tmp_path, "skip"), quietly())
    assert stage.manifest()["data"]["unfit_rows"] == {"longer than 128 tokens": [3]}
    assert not any(b"CANARY" in path.read_bytes() for path in tmp_path.glob("runs/**/*") if path.is_file())


def test_adapters_whose_base_changed_are_refused(llama: Path, tmp_path: Path) -> None:
    base = save_family(tmp_path / "base", "llama")
    stage = own_sft(sft_settings(base, write_notes(tmp_path / "train.csv", 4), epochs=1), new_run(tmp_path), quietly())
    assert open_source(stage.final).base == base
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "rope_theta": 5.0}))
    with pytest.raises(UserError, match="its weights have changed"):
        open_source(stage.final)
    (base / "config.json").unlink()
    (base / "model.safetensors").unlink()
    for path in base.iterdir():
        path.unlink()
    base.rmdir()
    with pytest.raises(UserError, match=r"the base model of the adapters in .* is gone|no folder"):
        open_source(stage.final)


def test_what_cannot_be_done_is_said(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_notes(tmp_path / "train.csv", 4)
    monkeypatch.setattr("posology.models.lora.find_spec", lambda name: None)
    with pytest.raises(UserError, match="qlora needs bitsandbytes"):
        own_sft(sft_settings(llama, data, lora={"kind": "qlora"}), new_run(tmp_path, "a"), quietly())
    with pytest.raises(ConfigError, match="--lora qlora does not run with --engine fsdp2"):
        own_sft(sft_settings(llama, data, lora={"kind": "qlora"}, engine="fsdp2"), new_run(tmp_path, "a"), quietly())
    with pytest.raises(ConfigError, match="engine = ddp works under torchrun"):
        own_sft(sft_settings(llama, data, engine="ddp"), new_run(tmp_path, "a"), quietly())
    with pytest.raises(UserError, match="--max-tokens 300 is more than the model reads: 256"):
        own_sft(sft_settings(llama, data, max_tokens=300), new_run(tmp_path, "b"), quietly())
    with pytest.raises(ConfigError, match="no layer is called 'query'"):
        own_sft(sft_settings(llama, data, lora={"targets": ("query",)}), new_run(tmp_path, "c"), quietly())
    with pytest.raises(UserError, match="no model nowhere/at/all"):
        own_sft(sft_settings("nowhere/at/all", data), new_run(tmp_path, "d"), quietly())
    with pytest.raises(ConfigError, match=r"bad value --batch = 0"):
        own_settings(OwnSftConfig, {"model": "m", "data": "d", "batch": 0})
    assert not list(tmp_path.glob("runs/*/sft/final"))


def test_a_form_other_than_taught_is_refused(llama: Path, tmp_path: Path) -> None:
    data: Any = write_notes(tmp_path / "train.csv", 4)
    run = new_run(tmp_path)
    own_sft(sft_settings(llama, data, epochs=1, chat_template=True), run, quietly())
    with pytest.raises(UserError, match="was trained with --chat-template"):
        own_sft(sft_settings(str(run.path), data, epochs=1), new_run(tmp_path, "next"), quietly())
