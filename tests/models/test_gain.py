"""The gain by which every logit scales: found where it does so, refused everywhere else."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForCausalLM

from posology.config import UserError
from posology.models.gain import last_gain
from tests.family_models import MAKERS

REFUSED = {"gemma", "gemma2", "gemma3", "phi", "gpt2"}  # a gain of 1 + w, or a norm with a bias


@pytest.mark.parametrize("family", sorted(MAKERS))
def test_every_logit_is_proportional_to_it(family: str) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(MAKERS[family](48)).eval()
    if family in REFUSED:
        with pytest.raises(UserError, match="no gain of a last norm"):
            last_gain(model)
        return
    ids = torch.randint(48, (2, 9))
    with torch.no_grad():
        before = model(ids).logits
        dict(model.named_parameters())[last_gain(model)].mul_(2)
        assert torch.allclose(model(ids).logits, 2 * before, rtol=1e-4, atol=1e-6)
    assert before.abs().max() > 1e-3
