from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import TopKLogitsWarper, TopPLogitsWarper

from posology.rollout.nucleus import keep_likely

LOG_P = torch.tensor([[0.5, 0.1, 0.3, 0.1]]).log()


def kept(logits_BV: Tensor) -> list[int]:
    return (logits_BV[0] > float("-inf")).nonzero().squeeze(1).tolist()


def test_by_hand() -> None:
    assert kept(keep_likely(LOG_P, 1, 1.0)) == [0]
    assert kept(keep_likely(LOG_P, 2, 1.0)) == [0, 2]
    assert kept(keep_likely(LOG_P, 0, 0.5)) == [0]
    assert kept(keep_likely(LOG_P, 0, 0.6)) == [0, 2]
    assert kept(keep_likely(LOG_P, 0, 1e-9)) == [0]  # the likeliest always stays
    assert torch.equal(keep_likely(LOG_P, 0, 1.0), LOG_P)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 50), st.integers(1, 12), st.floats(0.05, 0.99))
def test_as_transformers_does(seed: int, top_k: int, top_p: float) -> None:
    logits_BV = torch.randn(3, 10, generator=torch.Generator().manual_seed(seed))
    ids = torch.zeros(3, 1, dtype=torch.long)
    theirs = TopPLogitsWarper(top_p)(ids, TopKLogitsWarper(min(top_k, 10))(ids, logits_BV))
    assert torch.equal(keep_likely(logits_BV, top_k, top_p), theirs)
