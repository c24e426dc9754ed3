"""Continued pretraining, and pairs scored by the models that were trained on them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from posology.config import UserError
from posology.intake.options import ReadOptions, parse_columns
from posology.models.source import load_model, open_source
from posology.own_config import OwnLoraConfig, OwnPretrainConfig, OwnRewardConfig
from posology.recipes.examine import outside_tokenizer
from posology.recipes.own_dpo import own_dpo
from posology.recipes.own_pretrain import own_pretrain
from posology.recipes.own_reward import own_reward
from posology.recipes.own_score import score_pairs

from ..family_models import save_family
from .own_files import PLAIN, dpo_settings, new_run, notes, quietly, write_pairs


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family(tmp_path_factory.mktemp("models") / "llama", "llama", chat=True)


def write_texts(path: Path, count: int) -> str:
    rows = [
        {"id": key, "text": f"MEDICATIONS\n\n{note}\n\nASSESSMENT\n\n{summary}"} for key, note, summary in notes(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def settings(model: Path, data: str, **changes: object) -> OwnPretrainConfig:
    lora = OwnLoraConfig(kind="none")
    return OwnPretrainConfig(
        **{**PLAIN, "model": str(model), "data": data, "lora": lora, "learning_rate": 0.003, **changes}
    )


def test_it_learns_from_sections_and_counts_what_does_not_fit(llama: Path, tmp_path: Path) -> None:
    data, heldout = write_texts(tmp_path / "train.jsonl", 12), write_texts(tmp_path / "val.jsonl", 4)
    run = new_run(tmp_path)
    asked = settings(llama, data, validation=heldout, epochs=6, split_sections=True, max_tokens=40,
                     reading={"on_bad_row": "skip"})  # fmt: skip
    stage = own_pretrain(asked, run, quietly())
    stats = json.loads((run.path / "training_stats.json").read_text())["pretrain"]
    unfit = sum(stage.manifest()["data"]["unfit"].values())
    assert stats["examples"] + unfit == 24  # two sections a text
    losses = [row["loss"] for row in stats["validation"]]
    assert losses[-1] < 0.7 * losses[0]
    assert "chat_template" not in json.loads((stage.final / "posology.json").read_text())  # either form may follow


def test_every_token_but_the_first_is_scored(llama: Path, tmp_path: Path) -> None:
    data = write_texts(tmp_path / "train.jsonl", 2)
    run = new_run(tmp_path)
    own_pretrain(settings(llama, data, validation=data, epochs=1, packing=False), run, quietly())
    first = json.loads((run.path / "training_stats.json").read_text())["pretrain"]["validation"][0]["loss"]
    source = open_source(llama)
    model, tokenizer = load_model(source, torch.device("cpu")).eval(), outside_tokenizer(llama)
    total = count = 0.0
    for line in Path(data).read_text().splitlines():
        ids = torch.tensor([[*tokenizer(json.loads(line)["text"])["input_ids"], tokenizer.eos_token_id]])
        with torch.no_grad():
            total += float(model(ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    assert first == pytest.approx(total / count, rel=1e-4)


def test_pairs_are_scored_by_all_judges(llama: Path, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "pairs.jsonl", 8)
    run = new_run(tmp_path)
    own_dpo(dpo_settings(llama, data, validation=data, epochs=3), run, quietly())
    reward = OwnRewardConfig(**{**PLAIN, "model": str(llama), "data": data, "validation": data, "epochs": 2,
                                "learning_rate": 0.01, "lora": OwnLoraConfig(rank=4)})  # fmt: skip
    own_reward(reward, run, quietly())
    policy, start = open_source(run.stage("dpo").final), open_source(llama)
    lines, rows = score_pairs(
        Path(data), ReadOptions(), policy, start, run.stage("reward").final, max_tokens=128, device="cpu",
        progress=quietly(),
    )  # fmt: skip
    assert len(lines) == len(rows.rows) == 8
    assert all(
        ("note" not in key and not isinstance(value, str)) or key in ("id", "edit")
        for line in lines
        for key, value in line.items()
    )
    margins = [
        (line["chosen_policy"] - line["chosen_reference"]) - (line["rejected_policy"] - line["rejected_reference"])
        for line in lines
    ]
    stats = json.loads((run.path / "training_stats.json").read_text())["dpo"]
    last = next(row for row in stats["validation"] if row["step"] == stats["kept_step"])
    assert sum(margin > 0 for margin in margins) / 8 == pytest.approx(last["accuracy/validation"])
    kept = json.loads((run.stage("reward").final / "heldout.json").read_text())["validation"]
    assert sum(line["chosen_reward"] > line["rejected_reward"] for line in lines) == kept["k"]
    assert all(math.isfinite(line["chosen_reward"]) for line in lines)


def test_models_of_other_tokenizers_are_not_compared(llama: Path, tmp_path: Path) -> None:
    other = save_family(tmp_path / "gpt2", "gpt2")
    data = write_pairs(tmp_path / "pairs.jsonl", 2)
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + " ")
    with pytest.raises(UserError, match="another tokenizer"):
        score_pairs(
            Path(data), ReadOptions(columns=parse_columns([])), open_source(llama), open_source(other), device="cpu"
        )
