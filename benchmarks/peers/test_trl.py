"""Losses and gradients of SFT, reward model and DPO against TRL's trainers: same weights, same rows, fp32.

TRL reads the rows as text through the saved chat template and tokenizer, so that the token ids are compared as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from posology.models.heads import ScalarModel, from_language_model, save_scalar_model
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.dpo import DpoObjective
from posology.objectives.next_token import NextToken
from posology.objectives.pairs import Pair
from posology.objectives.reward import RewardObjective
from posology.text.chat import encode_dialogue

pytestmark = pytest.mark.filterwarnings("ignore")  # TRL's and datasets' own

FP32 = pick_precision("fp32")
TOLERANCE = 1e-5


def _arguments(saved: Any, folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder), "report_to": "none", "use_cpu": True, "bf16": False, "fp16": False,
        "per_device_train_batch_size": len(saved.rows), "max_length": None, "disable_tqdm": True,
    }  # fmt: skip


def _said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def _preferences(saved: Any) -> Any:
    from datasets import Dataset

    return Dataset.from_list(
        [
            {"prompt": _said("user", q), "chosen": _said("assistant", a), "rejected": _said("assistant", b)}
            for q, a, b in saved.rows
        ]
    )


def _tokenizer(saved: Any) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(saved.policy))


def _pairs(saved: Any) -> list[Pair]:
    return [
        Pair(encode_dialogue(saved.tokenizer, q, a), encode_dialogue(saved.tokenizer, q, b)) for q, a, b in saved.rows
    ]


def _theirs(trainer: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """TRL's loss on all rows in one batch, its gradient taken; and the batch."""
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(trainer.train_dataset))])
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return loss.detach(), batch


def _ours(objective: Any) -> torch.Tensor:
    """Our loss on the same rows, as the loop takes it: sums over micro-batches / weight of the whole step."""
    parts = objective.batch(0)
    weight = sum(part.weight for part in parts)
    total = torch.zeros(())
    for part in parts:
        loss = objective.loss(part)[0] / weight
        loss.backward()
        total += loss.detach()
    return total


def _same_gradients(ours: Any, theirs: Any) -> None:
    gradients = dict(theirs.named_parameters())
    for name, weight in ours.named_parameters():
        assert weight.grad.abs().max() > 0
        assert torch.allclose(weight.grad, gradients[name].grad, atol=TOLERANCE, rtol=1e-4), name


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_sft_loss_equals_trl(saved: Any, tmp_path: Path, micro_batches: int) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": _said("user", q), "completion": _said("assistant", a)} for q, a, _ in saved.rows]
    trainer = SFTTrainer(
        model=load_language_model(saved.policy), args=SFTConfig(**_arguments(saved, tmp_path)),
        train_dataset=Dataset.from_list(rows), processing_class=_tokenizer(saved),
    )  # fmt: skip
    theirs, batch = _theirs(trainer)
    examples = [encode_dialogue(saved.tokenizer, q, a) for q, a, _ in saved.rows]
    for row, example in enumerate(examples):
        assert batch["input_ids"][row, : len(example)].tolist() == example.ids
        scored = [token if own else -100 for token, own in zip(example.ids, example.scored, strict=True)]
        assert batch["labels"][row, : len(example)].tolist() == scored
    model = load_language_model(saved.policy)
    objective = NextToken(
        "sft", model, examples, [], tokens=1024, row=128, seed=0, precision=FP32, vocabulary=saved.tokenizer.size,
        micro_batches=micro_batches,
    )  # fmt: skip
    assert float(_ours(objective)) == pytest.approx(float(theirs), abs=TOLERANCE)
    _same_gradients(model, trainer.model)


@pytest.mark.parametrize("centering", [0.0, 0.01])
def test_reward_loss_equals_trl(saved: Any, tmp_path: Path, centering: float) -> None:
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    model = from_language_model(load_language_model(saved.policy))
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    save_scalar_model(model, tmp_path / "ours")
    peer = AutoModelForSequenceClassification.from_pretrained(
        str(tmp_path / "ours" / "trunk"), num_labels=1, pad_token_id=saved.tokenizer.pad
    )
    with torch.no_grad():
        peer.score.weight.copy_(model.head.weight)
    trainer = RewardTrainer(
        model=peer, train_dataset=_preferences(saved), processing_class=_tokenizer(saved),
        args=RewardConfig(**_arguments(saved, tmp_path), center_rewards_coefficient=centering or None),
    )  # fmt: skip
    theirs, _ = _theirs(trainer)
    objective = RewardObjective(
        "reward", model, _pairs(saved), {}, pairs=len(saved.rows), seed=0, pad=saved.tokenizer.pad, precision=FP32,
        centering_weight=centering,
    )  # fmt: skip
    assert float(_ours(objective)) == pytest.approx(float(theirs), abs=TOLERANCE)
    assert abs(float(theirs) - 0.693) > 0.01  # not the ln 2 that any two equal scores would give
    _same_reward_gradients(model, peer)


def _same_reward_gradients(model: ScalarModel, peer: Any) -> None:
    _same_gradients(model.trunk, peer.model)
    assert model.head.weight.grad is not None
    assert torch.allclose(model.head.weight.grad, peer.score.weight.grad, atol=TOLERANCE)


@pytest.mark.parametrize("variant", ["sigmoid", "ipo"])
def test_dpo_loss_equals_trl(saved: Any, tmp_path: Path, variant: Literal["sigmoid", "ipo"]) -> None:
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(
        model=load_language_model(saved.policy), ref_model=load_language_model(saved.reference),
        args=DPOConfig(**_arguments(saved, tmp_path), beta=0.5, loss_type=[variant]), train_dataset=_preferences(saved),
        processing_class=_tokenizer(saved),
    )  # fmt: skip
    theirs, batch = _theirs(trainer)
    pairs = _pairs(saved)
    for row, example in enumerate([pair.chosen for pair in pairs] + [pair.rejected for pair in pairs]):
        assert batch["input_ids"][row, : len(example)].tolist() == example.ids
        assert batch["completion_mask"][row, : len(example)].bool().tolist() == example.scored
    model = load_language_model(saved.policy)
    objective = DpoObjective(
        "dpo", model, load_language_model(saved.reference), pairs, {}, pairs=len(saved.rows), beta=0.5, variant=variant,
        label_smoothing=0.0, anchor=0.0, seed=0, pad=saved.tokenizer.pad, precision=FP32,
    )  # fmt: skip
    assert float(_ours(objective)) == pytest.approx(float(theirs), rel=TOLERANCE, abs=TOLERANCE)
    assert abs(float(theirs) - (0.693 if variant == "sigmoid" else 1)) > 0.01
    _same_gradients(model, trainer.model)
