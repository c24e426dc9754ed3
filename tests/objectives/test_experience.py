"""A rollout turned into rewards and advantages, against a plain computation token by token."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from posology.models.heads import ScalarModel, from_language_model
from posology.models.precision import pick_precision
from posology.objectives import experience
from posology.objectives.experience import (
    Experience,
    answers_batch,
    distinct,
    gather,
    others_mean,
    repeated,
    token_values,
)
from posology.objectives.policy import score_tokens
from posology.objectives.reward import Ensemble
from posology.rollout.sampler import Rollout
from posology.training.batches import SequenceBatch

FP32 = pick_precision("fp32")
PROMPTS = [[1, 2, 9, 3], [1, 2, 3], [1, 2, 10, 11, 3]]
# Row 0 holds a calculator's 22, 7 after its own 6; row 1 is cut off inside one; row 2 repeats itself.
ANSWERS = [[20, 5, 21, 6, 22, 7, 23, 4], [30, 31, 6, 22], [9, 9, 9, 9, 9, 4]]
OWN = [[True] * 4 + [False] * 2 + [True] * 2, [True] * 3 + [False], [True] * 6]
FINISHED = [True, False, True]
SCORES = ([1.0, 0.5, -1.0], [2.0, 0.1, -1.0])
BETA, PENALTY, GAMMA, LAM, TEMPERATURE = 0.3, 2.0, 0.9, 0.8, 0.7


def rollout() -> Rollout:
    return Rollout(ANSWERS, OWN, [[-0.5 * own for own in row] for row in OWN], FINISHED)


def member(scores: list[float]) -> Any:
    return lambda ids_BT, mask_BT, scored_BT=None: torch.tensor(scores)


def ensemble() -> Ensemble:
    return Ensemble((member(SCORES[0]), member(SCORES[1])), (0.0, 0.0), (1.0, 1.0), "mean_minus_std", 0.5, FP32)


def gathered(policy: Any, reference: Any, critic: ScalarModel) -> tuple[Experience, dict[str, float]]:
    def frozen(rows: SequenceBatch) -> tuple[torch.Tensor, torch.Tensor]:
        scored = score_tokens(reference, rows, FP32, TEMPERATURE)
        return scored.logits_NV, scored.logp_N

    return gather(
        policy, frozen, critic, ensemble(), PROMPTS, rollout(), beta=BETA, no_stop_penalty=PENALTY, gamma=GAMMA,
        lam=LAM, temperature=TEMPERATURE, pad=0, precision=FP32, chunk=2,
    )  # fmt: skip


@pytest.fixture
def parts(tiny: Callable[..., Any]) -> tuple[Any, Any, ScalarModel]:
    """A policy, another reference, and a critic whose head is not zero."""
    critic = from_language_model(tiny(2, spread=8.0))
    torch.nn.init.normal_(critic.head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return tiny(0, spread=8.0), tiny(1, spread=8.0), critic


def tables(model: Any, row: int) -> torch.Tensor:
    """(T, V) log-probabilities of one row alone, by the model's own forward pass."""
    with torch.no_grad():
        logits = model(torch.tensor([PROMPTS[row] + ANSWERS[row]])).logits[0].double()
    return torch.log_softmax(logits / TEMPERATURE, -1)


def by_hand(policy: Any, reference: Any, critic: ScalarModel) -> list[list[dict[str, float]]]:
    """What each own token is worth: one dict a token, own tokens only, written out without tensors."""
    rows = []
    score = [sum(s) / 2 - 0.5 * abs(s[0] - s[1]) / 2 for s in zip(*SCORES, strict=True)]
    for row, (prompt, answer, own) in enumerate(zip(PROMPTS, ANSWERS, OWN, strict=True)):
        mine, theirs = tables(policy, row), tables(reference, row)
        whole = torch.tensor([prompt + answer])
        with torch.no_grad():
            values = critic.values(whole, torch.ones_like(whole).bool())[0]
        tokens = []
        for place, (token, is_own) in enumerate(zip(answer, own, strict=True), len(prompt)):
            if is_own:
                p, q = mine[place - 1], theirs[place - 1]
                logr = float(q[token] - p[token])
                tokens.append({
                    "logp": float(p[token]), "value": float(values[place - 1]), "kl_k1": -logr, "kl_k2": logr**2 / 2,
                    "kl_k3": math.exp(logr) - 1 - logr, "kl": float((p.exp() * (p - q)).sum()),
                    "entropy": float(-(p.exp() * p).sum()), "reward": BETA * logr,
                })  # fmt: skip
        tokens[-1]["reward"] += score[row] - (0.0 if FINISHED[row] else PENALTY)
        after = 0.0
        for n in reversed(range(len(tokens))):
            following = tokens[n + 1]["value"] if n + 1 < len(tokens) else 0.0
            delta = tokens[n]["reward"] + GAMMA * following - tokens[n]["value"]
            after = tokens[n]["advantage"] = delta + GAMMA * LAM * after
            tokens[n]["return"] = after + tokens[n]["value"]
        rows.append(tokens)
    return rows


def test_every_figure_is_over_own_tokens_alone(parts: tuple[Any, Any, ScalarModel]) -> None:
    rows = by_hand(*parts)
    found, metrics = gathered(*parts)
    assert metrics.keys() == experience.METRICS.keys()
    for name in ("reward", "kl", "kl_k1", "kl_k2", "kl_k3"):  # an answer
        assert metrics[name] == pytest.approx(sum(t[name] for row in rows for t in row) / 3, abs=1e-4), name
    tokens = [t for row in rows for t in row]
    assert found.weight == len(tokens) == 15
    assert metrics["entropy"] == pytest.approx(sum(t["entropy"] for t in tokens) / 15, abs=1e-5)
    assert metrics["sampler_mismatch"] == pytest.approx(sum(abs(t["logp"] + 0.5) for t in tokens) / 15, abs=1e-5)
    assert metrics["length"] == 5.0 and metrics["end_rate"] == pytest.approx(2 / 3) and metrics["beta"] == BETA
    assert metrics["score"] == pytest.approx((1.25 + 0.2 - 1.0) / 3)
    assert metrics["disagreement"] == pytest.approx((0.5 + 0.2 + 0.0) / 3)
    errors = [t["return"] - t["value"] for t in tokens]
    ratio = torch.tensor(errors).var(unbiased=False) / torch.tensor([t["return"] for t in tokens]).var(unbiased=False)
    assert metrics["explained_variance"] == pytest.approx(1 - float(ratio), abs=1e-4)


def test_advantages_returns_and_values_stand_on_own_tokens(parts: tuple[Any, Any, ScalarModel]) -> None:
    tokens = [t for row in by_hand(*parts) for t in row]
    found, _ = gathered(*parts)
    own_BT = found.sequences.scored_BT
    advantages = torch.tensor([t["advantage"] for t in tokens])
    white = (advantages - advantages.mean()) / advantages.std(unbiased=False)
    assert torch.allclose(found.advantages_BT[own_BT], white, atol=1e-4)
    for held, name in ((found.old_logp_BT, "logp"), (found.returns_BT, "return"), (found.values_BT, "value")):
        assert held[own_BT].tolist() == pytest.approx([t[name] for t in tokens], abs=1e-4), name
        assert (held[~own_BT] == 0).all()
    assert (found.advantages_BT[~own_BT] == 0).all()


def test_answers_are_trained_on_as_they_were_sampled() -> None:
    rows = answers_batch(PROMPTS, rollout(), 0)
    assert rows.ids_BT[0].tolist() == [1, 2, 9, 3, 20, 5, 21, 6, 22, 7, 23, 4]
    assert rows.scored_BT[0].tolist() == [False] * 4 + [True] * 4 + [False] * 2 + [True] * 2
    assert rows.ids_BT[1].tolist() == [1, 2, 3, 30, 31, 6, 22] + [0] * 5
    assert rows.mask_BT[1].tolist() == [True] * 7 + [False] * 5
    assert rows.scored_BT[1].tolist() == [False] * 3 + [True] * 3 + [False] * 6


def test_a_value_is_of_the_state_before_its_token(parts: tuple[Any, Any, ScalarModel]) -> None:
    rows = answers_batch(PROMPTS, rollout(), 0)
    before = token_values(parts[2], rows, FP32)
    changed = SequenceBatch(rows.ids_BT.clone(), rows.mask_BT, rows.scored_BT)
    changed.ids_BT[0, 7] = 33
    after = token_values(parts[2], changed, FP32)
    assert torch.equal(before[0, :8], after[0, :8]) and before[0, 8] != after[0, 8]


def test_rows_are_the_asked_ones(parts: tuple[Any, Any, ScalarModel]) -> None:
    found, _ = gathered(*parts)
    part = found.rows(torch.tensor([2, 0]))
    assert part.weight == 12
    assert torch.equal(part.sequences.ids_BT, found.sequences.ids_BT[[2, 0]])
    assert torch.equal(part.advantages_BT, found.advantages_BT[[2, 0]])


def test_distinct_and_repeated_by_hand() -> None:
    assert distinct([[1, 2, 3], [1, 2, 4]], 2) == 3 / 4  # 12 23 | 12 24
    assert distinct([[5], []], 2) == 1.0
    assert repeated([[1, 2, 1, 2, 1]], 2) == 2 / 4  # 12 21 12 21: two come again
    assert repeated([[1, 2, 3], [1, 2, 3]], 2) == 0.0  # another answer's pairs do not count
    assert repeated([[1, 2, 3]], 4) == 0.0
    assert repeated([ANSWERS[2]], 4) == 1 / 3  # 9999 9999 9994


def test_each_answer_is_judged_against_the_others_of_its_prompt() -> None:
    scores = torch.tensor([1.0, 3.0, 5.0, 10.0, 10.0, 13.0])
    assert others_mean(scores, 3).tolist() == [4.0, 3.0, 2.0, 11.5, 11.5, 10.0]
    assert others_mean(scores, 1).tolist() == [0.0] * 6
