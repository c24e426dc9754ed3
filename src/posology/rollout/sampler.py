"""Sampling answers, many rows at once. Legend: B rows of a chunk, A rows still going, V vocabulary.

Pure sampling: logits divided by the temperature, the whole vocabulary; `walk` can keep to the likeliest tokens. Row i
draws from its own stream, seeded by (seed, i): what it samples does not depend on the rows beside it, on how many go
at once, or on which process answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from posology.config import UserError
from posology.rollout.decoder import make_decoder
from posology.rollout.nucleus import keep_likely
from posology.seeds import seed_of

SHRINK = 0.85  # finished rows are dropped when no more than this share of the batch is still going
CHOICES = 4096  # of the likeliest tokens the first that is admitted stands in for one that is not


class Turn(Protocol):
    """What stands beside the model during one answer."""

    def admits(self, token: int) -> bool:
        """Whether a token that the model chose may come next."""
        ...

    def take(self, token: int) -> list[int]:
        """The answer goes on with `token`; the tokens that must come after it."""
        ...


Companion = Callable[[list[int]], Turn]  # from the tokens of a prompt


@dataclass(frozen=True)
class Rollout:
    """One answer a prompt. `ids` holds the model's and its companion's tokens, and the end token where one came."""

    ids: list[list[int]]
    own: list[list[bool]]  # sampled by the model (True), or put there by its companion
    logprobs: list[list[float]]  # of own tokens at the sampling temperature (greedy: at 1); 0 for the others
    finished: list[bool]  # the end token came within max_new_tokens

    @property
    def tokens(self) -> int:
        return sum(len(ids) for ids in self.ids)


@dataclass(frozen=True)
class Step:
    """One token of each row still going."""

    row_A: Tensor
    ids_A: Tensor
    own_A: Tensor
    logp_A: Tensor


@torch.no_grad()
def sample(
    model: Any,
    prompts: Sequence[list[int]],
    *,
    pad: int,
    end: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
    companion: Companion | None = None,
    rows: int = 256,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    first: int = 0,
) -> Rollout:
    """Answer every prompt, `rows` at once; temperature 0 is greedy. Dropout is off while it runs.

    `prompts` may be a part of more: its rows are then numbered from `first` on.

    UserError if a prompt is empty, or too long for the model's positions together with its answer.
    """
    ids = torch.full((len(prompts), max_new_tokens), pad)
    own = torch.zeros(ids.shape, dtype=torch.bool)
    logp = torch.zeros(ids.shape)
    length = [0] * len(prompts)
    finished = [False] * len(prompts)
    by_length = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # less padding in a chunk
    for start in range(0, len(prompts), rows):
        chunk = by_length[start : start + rows]
        steps = walk(
            model, {first + i: prompts[i] for i in chunk}, pad=pad, end=end, max_new_tokens=max_new_tokens,
            temperature=temperature, seed=seed, companion=companion, precision=precision,
        )  # fmt: skip
        for column, step in enumerate(steps):
            row_A = step.row_A - first
            ids[row_A, column] = step.ids_A
            own[row_A, column] = step.own_A
            logp[row_A, column] = step.logp_A
            for row, token in zip(row_A.tolist(), step.ids_A.tolist(), strict=True):
                length[row] = column + 1
                finished[row] = token == end
    cut = [(i, n) for i, n in enumerate(length)]
    return Rollout(
        [ids[i, :n].tolist() for i, n in cut],
        [own[i, :n].tolist() for i, n in cut],
        [logp[i, :n].tolist() for i, n in cut],
        finished,
    )


@torch.no_grad()
def walk(
    model: Any,
    prompts: dict[int, list[int]],
    *,
    pad: int,
    end: int | frozenset[int],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    top_k: int = 0,
    top_p: float = 1.0,
    companion: Companion | None = None,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[Step]:
    """Answer the prompts {row: ids} together, a token of each at a time, until every row has ended.

    A row ends with `end`, or with any of its tokens. Sampling keeps to the `top_k` likeliest and the `top_p` nucleus.
    """
    ends = torch.tensor(sorted(end)) if isinstance(end, frozenset) else torch.tensor([end])
    _check(model, prompts, max_new_tokens)
    training = bool(model.training)
    model.eval()
    try:
        with precision():
            decoder = make_decoder(model, pad)
            logits_BV = decoder.prefill(list(prompts.values()))
        row_B = torch.tensor(list(prompts))
        uniform_BT = _uniform(seed, list(prompts), max_new_tokens)
        going_B = torch.ones(len(prompts), dtype=torch.bool)
        turns = {row: companion(prompt) for row, prompt in prompts.items()} if companion else {}
        waiting: dict[int, list[int]] = {row: [] for row in turns}  # tokens that a companion has put next
        for column in range(max_new_tokens):
            if temperature and (top_k or top_p < 1):
                logits_BV = keep_likely(logits_BV.float() / temperature, top_k, top_p) * temperature
            ids_B, logp_B = choose(logits_BV, uniform_BT[:, column], temperature)
            own_B = torch.ones_like(going_B)
            for slot, row in enumerate(row_B.tolist()) if turns else ():
                if going_B[slot]:
                    token, own = _next_token(turns[row], waiting[row], int(ids_B[slot]), logits_BV[slot])
                    if not own:
                        ids_B[slot], logp_B[slot], own_B[slot] = token, 0.0, False
            yield Step(row_B[going_B], ids_B[going_B], own_B[going_B], logp_B[going_B])

            going_B = going_B & ~torch.isin(ids_B, ends)
            left = int(going_B.sum())
            if not left or column + 1 == max_new_tokens:
                return
            if left <= SHRINK * len(going_B):
                index = going_B.nonzero().squeeze(1)
                decoder.keep(index.to(logits_BV.device))
                row_B, uniform_BT, ids_B, going_B = row_B[index], uniform_BT[index], ids_B[index], going_B[index]
            with precision():
                logits_BV = decoder.step(ids_B.to(logits_BV.device))
    finally:
        model.train(training)


def choose(logits_BV: Tensor, uniform_B: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """A token of each row and its log-probability: the inverse of the cumulative distribution at `uniform_B`.

    (torch.multinomial draws the same distribution forty times slower on a CPU.) Temperature 0 takes the most likely
    token, and gives its log-probability at temperature 1. Results lie on the CPU.
    """
    scaled_BV = logits_BV.float() if temperature in (0, 1) else logits_BV.float() / temperature
    top_B, best_B = scaled_BV.max(-1)
    weights_BV = torch.exp(scaled_BV - top_B[:, None])
    if temperature == 0:
        total_B = weights_BV.sum(-1)
        ids_B = best_B
    else:
        cumulative_BV = weights_BV.cumsum(-1)
        total_B = cumulative_BV[:, -1]
        # below the total, so that the first place above it exists and has a weight of its own
        drawn_B = torch.minimum(
            uniform_B.to(total_B.device) * total_B, torch.nextafter(total_B, torch.full_like(total_B, -1))
        )
        ids_B = torch.searchsorted(cumulative_BV, drawn_B[:, None], right=True).squeeze(1)
    logp_B = scaled_BV.gather(1, ids_B[:, None]).squeeze(1) - top_B - total_B.log()
    return ids_B.cpu(), logp_B.cpu()


def _next_token(turn: Turn, waiting: list[int], chosen: int, logits_V: Tensor) -> tuple[int, bool]:
    """The token that a row goes on with, and whether it is the model's own: one that its companion has put next, the
    `chosen` one, or the likeliest that is admitted; `chosen` after all where none of the likeliest is."""
    own = False
    if waiting:
        token = waiting.pop(0)
    elif turn.admits(chosen):
        token, own = chosen, True
    else:
        likeliest = logits_V.float().topk(min(CHOICES, len(logits_V))).indices.tolist()
        token = next((one for one in likeliest if turn.admits(one)), chosen)
        own = token == chosen
    waiting += turn.take(token)
    return token, own


def _uniform(seed: int, rows: Sequence[int], steps: int) -> Tensor:
    """(B, steps) of numbers in [0, 1); a row of them depends on its own index alone."""
    generator = torch.Generator()
    return torch.stack(
        [torch.rand(steps, generator=generator.manual_seed(seed_of(seed, "sample", row))) for row in rows]
    )


def _check(model: Any, prompts: dict[int, list[int]], max_new_tokens: int) -> None:
    positions = getattr(model.config, "max_position_embeddings", None)
    for prompt in prompts.values():
        if not prompt:
            raise UserError("an empty prompt has nothing to continue")
        over = len(prompt) + max_new_tokens - positions if positions else 0
        if over > 0:
            sizes = f"{len(prompt)} and {max_new_tokens} for the answer, where the model reads {positions}"
            raise UserError(f"the question is {over} tokens too long: {sizes}", "shorten the question")
