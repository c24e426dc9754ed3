"""Reward models and PPO on a user's pairs and prompts, with a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from posology.config import UserError
from posology.files import atomic_write_json, read_json, write_manifest
from posology.models.precision import pick_precision
from posology.models.source import load_model, open_source
from posology.own_config import OwnLoraConfig, OwnPpoConfig, OwnRewardConfig
from posology.recipes.own_ppo import own_ppo
from posology.recipes.own_reward import load_own_ensemble, own_reward
from posology.runs import Run

from ..family_models import save_family
from .own_files import PLAIN, new_run, quietly, write_notes, write_pairs

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("models") / "qwen2", "qwen2")


def reward_settings(base: Path, folder: Path, **changes: Any) -> OwnRewardConfig:
    return OwnRewardConfig(
        **{
            **PLAIN, "model": str(base), "data": write_pairs(folder / "pairs.jsonl", 16), "epochs": 4, "learning_rate": 0.01,
            "validation": write_pairs(folder / "held.jsonl", 8), "lora": OwnLoraConfig(rank=4), **changes,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("reward")
    run = new_run(folder, "rm")
    own_reward(reward_settings(base, folder, members=2), run, quietly())
    return run


def test_it_learns_the_pairs_and_keeps_adapters_alone(trained: Run) -> None:
    stage = trained.stage("reward")
    heldout = read_json(stage.final / "heldout.json")
    assert heldout["validation"]["n"] == 8 and heldout["validation"]["value"] > 0.8
    assert not list(stage.final.rglob("trunk")) and len(list(stage.final.glob("member-*/adapter"))) == 2
    first = next(row for row in stage.member(0).read_metrics() if row["split"] == "train")
    assert first["loss"] == pytest.approx(0.693147, abs=1e-5)
    ensemble = load_own_ensemble(stage.final, CPU, pick_precision("fp32"))
    assert len(ensemble.members) == 2


def ppo_settings(base: Path, trained: Run, folder: Path, **changes: Any) -> OwnPpoConfig:
    return OwnPpoConfig(
        **{
            **PLAIN, "model": str(base), "data": write_notes(folder / "prompts.csv", 8), "reward": str(trained.path),
            "rollouts": 4, "batch": 4, "max_new_tokens": 6, "learning_rate": 0.01, "lora": OwnLoraConfig(rank=4), **changes,
        }
    )  # fmt: skip


def test_ppo_moves_the_policy_against_it(base: Path, trained: Run, tmp_path: Path) -> None:
    run = new_run(tmp_path)
    atomic_write_json(trained.stage("reward").final / "heldout.json", {"validation": {**FIGURES, "low": 0.9}})
    write_manifest(trained.stage("reward").final)
    stage = own_ppo(ppo_settings(base, trained, tmp_path), run, quietly())
    rows = [row for row in stage.read_metrics() if row["split"] == "train"]
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5) and rows[-1]["kl"] > 0
    assert "gold" not in [key for row in stage.read_metrics() for key in row]
    ids = torch.arange(9)[None]
    before, after = (load_model(open_source(path), CPU)(ids).logits for path in (base, stage.final))
    assert not torch.allclose(before, after)


FIGURES = {"k": 4, "n": 8, "value": 0.5, "low": 0.2, "high": 0.8}


def test_the_gate_stands(base: Path, trained: Run, tmp_path: Path) -> None:
    atomic_write_json(trained.stage("reward").final / "heldout.json", {"validation": FIGURES})
    write_manifest(trained.stage("reward").final)
    with pytest.raises(UserError, match="prefers the rejected answer on 50% of held-out pairs") as caught:
        own_ppo(ppo_settings(base, trained, tmp_path), new_run(tmp_path), quietly())
    assert caught.value.code == 3


def test_a_reward_model_needs_held_out_pairs(base: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not trained without --validation"):
        own_reward(reward_settings(base, tmp_path, validation=""), new_run(tmp_path), quietly())
    with pytest.raises(UserError, match="qlora is for sft and dpo"):
        own_reward(reward_settings(base, tmp_path, lora=OwnLoraConfig(kind="qlora")), new_run(tmp_path), quietly())
