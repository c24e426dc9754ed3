"""What PPO learns from: one rollout of answers with rewards, values and advantages.

Legend: B rows, T positions, N own tokens (sampled by the policy; what the calculator inserted is context), V
vocabulary, M ensemble members. Scored position t holds a token; the state before it is read at t - 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posology.models.device import device_of
from posology.models.heads import ScalarModel
from posology.objectives.kl import exact_kl, k1, k2, k3
from posology.objectives.losses import entropy, explained_variance, gae, whiten
from posology.objectives.pairs import sequence_batch
from posology.objectives.policy import Precision, score_tokens
from posology.objectives.reward import Ensemble
from posology.rollout.sampler import Rollout
from posology.text.chat import Encoded
from posology.training.batches import SequenceBatch
from posology.training.engine import Engine
from posology.training.objective import Metrics

METRICS = {
    "score": "mean aggregated reward-model score, in sd of the reference answers",
    "reward": "mean total reward of an answer: score - penalty for no end token - beta * k1",
    "kl": "nats an answer, exact over the vocabulary at each sampled prefix, KL(policy || reference); never negative",
    "kl_k1": "nats an answer, log pi - log pi_ref of the sampled tokens (unbiased, noisy)",
    "kl_k2": "nats an answer, half the squared log-ratio (biased, low variance)",
    "kl_k3": "nats an answer, e^logr - 1 - logr (unbiased, never negative)",
    "beta": "KL coefficient used for this rollout",
    "entropy": "nats a token, mean entropy of the policy at sampled prefixes",
    "length": "own tokens an answer",
    "end_rate": "share of answers that reached the end token",
    "distinct_2": "distinct token pairs / token pairs over the rollout's answers",
    "repeated_4": "share of 4-grams that repeat one inside the same answer",
    "disagreement": "mean standard deviation between ensemble members, in sd of the reference answers",
    "explained_variance": "1 - Var(return - value) / Var(return) on own tokens, before this rollout's updates",
    "sampler_mismatch": "mean |log pi (trainer) - log pi (sampler)| a token, nats",
}


@dataclass(frozen=True)
class Experience:
    """One rollout (or some rows of it). Per-token tensors are (B, T), 0 where no own token stands."""

    sequences: SequenceBatch
    old_logp_BT: Tensor
    advantages_BT: Tensor
    returns_BT: Tensor
    values_BT: Tensor

    @property
    def weight(self) -> float:
        return float(self.sequences.scored_BT.sum())

    @property
    def rows_in(self) -> int:
        return self.sequences.ids_BT.shape[0]

    def rows(self, index: Tensor | slice) -> Experience:
        return Experience(
            self.sequences.rows(index), self.old_logp_BT[index], self.advantages_BT[index], self.returns_BT[index],
            self.values_BT[index],
        )  # fmt: skip


def answers_batch(prompts: Sequence[list[int]], rollout: Rollout, pad: int) -> SequenceBatch:
    """Sampled ids exactly as sampled (token in, token out), right-padded behind their prompts."""
    rows = [
        Encoded([*prompt, *ids], [*[False] * len(prompt), *own])
        for prompt, ids, own in zip(prompts, rollout.ids, rollout.own, strict=True)
    ]
    return sequence_batch(rows, pad)


def token_values(critic: ScalarModel, sequences: SequenceBatch, precision: Precision) -> Tensor:
    """(B, T): at t, the critic's value of the state before token t (0 at t = 0)."""
    with precision():
        values_BT = critic.values(sequences.ids_BT, sequences.mask_BT).float()
    return torch.nn.functional.pad(values_BT[:, :-1], (1, 0))


@torch.no_grad()
def gather(
    policy: nn.Module, reference: Callable[[SequenceBatch], tuple[Tensor, Tensor]], critic: ScalarModel,
    ensemble: Ensemble, prompts: Sequence[list[int]], rollout: Rollout, *, beta: float, no_stop_penalty: float,
    gamma: float, lam: float, temperature: float, pad: int, precision: Precision, answers_each: int = 1, chunk: int = 64,
    engine: Engine | None = None,
) -> tuple[Experience, Metrics]:  # fmt: skip
    """Score a rollout and turn it into advantages.

    Rows come in groups of `answers_each` answers to one prompt. In a group each answer's score is taken relative to the
    mean of the others' (the leave-one-out baseline of Ahmadian et al. 2024, eq. 6): unbiased, and it takes out how
    easy a question is, which varies more than how good an answer is. The metrics report scores and rewards as they are.

    `reference` gives (logits_NV, logp_N) of the frozen policy for a batch of rows. The reward of a token is
    -beta * k1; the answer's score stands on its last own token, which is the end token if there is one.

    Several processes share out the rows that models read; what is compared between rows (baselines, whitening, means)
    is worked out by each from all of them.
    """
    engine = engine or Engine()
    sequences = answers_batch(prompts, rollout, pad).to(device_of(policy))
    rows, device = len(sequences.ids_BT), sequences.ids_BT.device
    shape_BT = torch.zeros(sequences.ids_BT.shape, device=device)
    logp_BT, reference_BT, exact_BT, entropy_BT = (shape_BT.clone() for _ in range(4))
    values_BT, member_BM = shape_BT.clone(), torch.zeros(rows, len(ensemble.members), device=device)
    mine = engine.block(rows)
    for start in range(mine.start, mine.stop, chunk):
        stop = min(start + chunk, mine.stop)
        part = sequences.rows(slice(start, stop))
        scored = score_tokens(policy, part, precision, temperature)
        reference_NV, reference_N = reference(part)
        for out_BT, value_N in (
            (logp_BT, scored.logp_N), (reference_BT, reference_N),
            (exact_BT, exact_kl(scored.logits_NV, reference_NV)), (entropy_BT, entropy(scored.logits_NV)),
        ):  # fmt: skip
            out_BT[start:stop] = scored.spread(value_N, part.ids_BT)
    values_BT[mine] = token_values(critic, sequences.rows(mine), precision)
    member_BM[mine] = ensemble.normalised(sequences.rows(mine)).T
    engine.add_up(logp_BT, reference_BT, exact_BT, entropy_BT, values_BT, member_BM)
    own_BT = sequences.scored_BT.float()
    values_BT, member_MB = values_BT * own_BT, member_BM.T
    score_B = ensemble.combine(member_MB)
    finished_B = torch.tensor(rollout.finished, dtype=torch.float32, device=device)
    answer_B = score_B - no_stop_penalty * (1 - finished_B)
    rewards_BT = -beta * k1(logp_BT, reference_BT) * own_BT
    last_B = (sequences.scored_BT * torch.arange(own_BT.shape[1], device=device)).argmax(1)
    total_B = rewards_BT.sum(1) + answer_B
    rewards_BT[torch.arange(rows, device=device), last_B] += answer_B - others_mean(answer_B, answers_each)
    advantages_BT, returns_BT = gae(rewards_BT, values_BT, sequences.scored_BT, gamma, lam)
    own = sequences.scored_BT
    sampler_logp_N = torch.tensor([lp for lps, flags in zip(rollout.logprobs, rollout.own, strict=True)
                                   for lp, flag in zip(lps, flags, strict=True) if flag], device=device)  # fmt: skip
    metrics = {
        "score": float(score_B.mean()),
        "reward": float(total_B.mean()),
        "kl": float(exact_BT.sum(1).mean()),
        "kl_k1": float((k1(logp_BT, reference_BT) * own_BT).sum(1).mean()),
        "kl_k2": float((k2(logp_BT, reference_BT) * own_BT).sum(1).mean()),
        "kl_k3": float((k3(logp_BT, reference_BT) * own_BT).sum(1).mean()),
        "beta": beta,
        "entropy": float(entropy_BT[own].mean()),
        "length": float(own_BT.sum(1).mean()),
        "end_rate": float(finished_B.mean()),
        "distinct_2": distinct(rollout.ids, 2),
        "repeated_4": repeated(rollout.ids, 4),
        "disagreement": float(member_MB.std(0, unbiased=False).mean()),
        "explained_variance": explained_variance(values_BT[own], returns_BT[own]),
        "sampler_mismatch": float((logp_BT[own] - sampler_logp_N).abs().mean()),
    }
    return Experience(sequences, logp_BT, whiten(advantages_BT, own_BT), returns_BT, values_BT), metrics


def sampled_by_all(rollout: Rollout, rows: int, width: int, engine: Engine) -> Rollout:
    """The rollout of all `rows` answers, of at most `width` tokens, from each process's block of them."""
    if engine.world == 1:
        return rollout
    mine = engine.block(rows)
    ids, own, logp = (torch.zeros(rows, width, dtype=kind) for kind in (torch.long, torch.long, torch.float32))
    length, finished = torch.zeros(rows, dtype=torch.long), torch.zeros(rows, dtype=torch.long)
    for row, answer in enumerate(rollout.ids, mine.start):
        at = row - mine.start
        length[row], finished[row] = len(answer), rollout.finished[at]
        ids[row, : len(answer)] = torch.tensor(answer)
        own[row, : len(answer)] = torch.tensor(rollout.own[at]).long()
        logp[row, : len(answer)] = torch.tensor(rollout.logprobs[at])
    engine.add_up(ids, own, logp, length, finished)
    return Rollout(
        [row[:n].tolist() for row, n in zip(ids, length.tolist(), strict=True)],
        [row[:n].bool().tolist() for row, n in zip(own, length.tolist(), strict=True)],
        [row[:n].tolist() for row, n in zip(logp, length.tolist(), strict=True)],
        finished.bool().tolist(),
    )


def others_mean(score_B: Tensor, group: int) -> Tensor:
    """For each row, the mean score of the other rows of its group of `group` neighbours; 0 for groups of one."""
    if group == 1:
        return torch.zeros_like(score_B)
    sums_G1 = score_B.view(-1, group).sum(1, keepdim=True)
    return ((sums_G1 - score_B.view(-1, group)) / (group - 1)).view(-1)


def _grams(ids: Sequence[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]


def distinct(answers: Sequence[Sequence[int]], n: int) -> float:
    """Distinct n-grams / n-grams over all answers (Li et al. 2016); 1 where there are none."""
    grams = [gram for ids in answers for gram in _grams(ids, n)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repeated(answers: Sequence[Sequence[int]], n: int) -> float:
    """Share of n-grams that repeat an earlier one of the same answer."""
    total = again = 0
    for ids in answers:
        counts = Counter(_grams(ids, n))
        total += sum(counts.values())
        again += sum(counts.values()) - len(counts)
    return again / total if total else 0.0
