"""Best of n: what PPO must beat. SFT answers n times, and the reward models that PPO trained against choose.

It costs n answers and their scores for every question that is asked; PPO puts the same preference into the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posology.config import RunConfig
from posology.curriculum.records import Case
from posology.models.device import device_of, pick_device
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.recipes.materials import open_parent
from posology.recipes.reward import load_ensemble
from posology.recipes.reward_figures import scores_of_rows
from posology.rollout.companion import with_engine
from posology.rollout.sampler import sample
from posology.runs import Run
from posology.seeds import seed_of
from posology.text.chat import Encoded, encode_prompt
from posology.text.tokenizer import load_tokenizer


def best_of(config: RunConfig, run: Run, cases: Sequence[Case], name: str) -> list[dict[str, Any]]:
    """For each case, of `evaluation.best_of` answers at temperature 1 the one with the highest reward.

    Rows of answers.jsonl, with the reward as their score. An answer without an end token loses PPO's penalty for it.
    """
    parent, judge = open_parent(run, config.ppo.parent or "sft"), open_parent(run, config.ppo.reward)
    tokenizer, device = load_tokenizer(parent.path), pick_device(config.device)
    model = load_language_model(parent.path, tokenizer=tokenizer.fingerprint, device=device)
    precision = pick_precision(config.ppo.fit.precision, device_of(model).type)
    each = config.evaluation.best_of
    prompts = [encode_prompt(tokenizer, case.question) for case in cases]
    rollout = sample(
        model, [prompt for prompt in prompts for _ in range(each)], pad=tokenizer.pad, end=tokenizer.end,
        max_new_tokens=config.evaluation.max_new_tokens, temperature=1.0, seed=seed_of(config.seed, "best of"),
        rows=config.evaluation.rows, precision=precision, companion=with_engine(tokenizer),
    )  # fmt: skip
    first: dict[tuple[int, tuple[int, ...]], int] = {}  # equal answers to one question are scored once
    for i, ids in enumerate(rollout.ids):
        first.setdefault((i // each, tuple(ids)), i)
    answers = [
        Encoded([*prompts[i // each], *rollout.ids[i]], [False] * len(prompts[i // each]) + rollout.own[i])
        for i in first.values()
    ]
    scores = scores_of_rows(load_ensemble(judge.path, tokenizer, precision), answers, tokenizer.pad).tolist()
    reward = {
        i: score - (0.0 if rollout.finished[i] else config.ppo.no_stop_penalty)
        for i, score in zip(first.values(), scores, strict=True)
    }
    rows = []
    for number, case in enumerate(cases):
        best = max((i for i in reward if i // each == number), key=lambda i: reward[i])
        logp = [value for value, mine in zip(rollout.logprobs[best], rollout.own[best], strict=True) if mine]
        rows.append(
            {
                "case_id": case.case_id, "stage": name, "mode": "sample", "sample": 0,
                "text": tokenizer.decode(rollout.ids[best]), "logprob": sum(logp), "tokens": len(logp),
                "finished": rollout.finished[best], "score": reward[best],
            }
        )  # fmt: skip
    return rows
