from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel

from posology.config import UserError
from posology.models.precision import pick_precision
from posology.rollout.sampler import choose, sample

PAD, END = 0, 4


def run(model: Any, prompts: list[list[int]], **changes: Any) -> Any:
    return sample(model, prompts, **{"pad": PAD, "end": END, "max_new_tokens": 20, "seed": 3, **changes})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chosen=st.lists(st.integers(0, 8), min_size=1, max_size=9, unique=True), rows=st.integers(1, 9))
def test_a_row_does_not_depend_on_its_company(
    tiny: Any, prompts: list[list[int]], chosen: list[int], rows: int
) -> None:
    """Row i with the same prompt gives the same answer, whatever the other prompts are and however many go at once."""
    model = tiny()
    reference = run(model, prompts)
    others = [prompt if i in chosen else [1, 9, 9, 3] for i, prompt in enumerate(prompts)]
    mixed = run(model, others, rows=rows)
    for i in chosen:
        assert mixed.ids[i] == reference.ids[i]
        assert mixed.logprobs[i] == pytest.approx(reference.logprobs[i], abs=1e-4)
        assert mixed.finished[i] == reference.finished[i]


def test_seeds_and_row_numbers_matter(tiny: Any) -> None:
    model = tiny(spread=3.0)
    same = [[1, 9, 10, 3]] * 8
    first, again, other = run(model, same), run(model, same), run(model, same, seed=4)
    assert first == again
    assert first.ids != other.ids
    assert len({tuple(ids) for ids in first.ids}) > 4


def test_greedy_is_hugging_faces_greedy(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny(seed=2, spread=14.0)
    free = run(model, prompts, temperature=0, end=-1)
    end = free.ids[0][6]  # a token that some answers reach, not all
    ours = run(model, prompts, temperature=0, end=end)
    assert 0 < sum(ours.finished) < len(prompts)
    assert len({tuple(ids) for ids in ours.ids}) == len(prompts)
    for prompt, ids, finished in zip(prompts, ours.ids, ours.finished, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt)),
            max_new_tokens=20,
            do_sample=False,
            eos_token_id=end,
        )[0, len(prompt) :].tolist()
        assert ids == theirs
        assert finished == (theirs[-1] == end)


def test_logprobs_are_those_of_the_model_at_the_temperature(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny()
    for temperature in (1.0, 0.7, 0.0):
        rollout = run(model, prompts, temperature=temperature)
        for prompt, ids, logp in zip(prompts, rollout.ids, rollout.logprobs, strict=True):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] / (temperature or 1)
            expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
            assert logp == pytest.approx(expected.tolist(), abs=1e-4)


def test_an_answer_ends_with_its_end_token_or_at_the_limit(tiny: Any, prompts: list[list[int]]) -> None:
    rollout = run(tiny(), prompts * 4)
    assert 0 < sum(rollout.finished) < len(rollout.finished)
    for ids, finished in zip(rollout.ids, rollout.finished, strict=True):
        assert ids.count(END) == int(finished)
        assert (ids[-1] == END) if finished else len(ids) == 20
    assert all(len(a) == len(b) == len(c) for a, b, c in zip(rollout.ids, rollout.own, rollout.logprobs, strict=True))
    assert rollout.tokens == sum(map(len, rollout.ids))


class Script:
    """A companion by rule: what follows a token, and which tokens it turns away; it remembers what it was given."""

    def __init__(self, after: Callable[[list[int]], list[int]], refused: frozenset[int] = frozenset()) -> None:
        self.after, self.refused = after, refused
        self.answer: list[int] = []

    def admits(self, token: int) -> bool:
        return token not in self.refused

    def take(self, token: int) -> list[int]:
        self.answer.append(token)
        return self.after(self.answer)


def test_a_companion_puts_tokens_into_its_own_row_only(tiny: Any, prompts: list[list[int]]) -> None:
    """After token 20 the next three are put in. Every row's log-probs are the model's, and 0 for those three."""
    model = tiny(spread=4.0)
    turns: list[tuple[list[int], Script]] = []

    def companion(prompt: list[int]) -> Script:
        turn = Script(lambda answer: [30, 31 + len(prompt) % 3, 32] if answer[-1] == 20 else [])
        turns.append((prompt, turn))
        return turn

    together = run(model, prompts * 5, companion=companion, rows=64)
    assert sorted((prompt, turn.answer) for prompt, turn in turns) == sorted(
        zip(prompts * 5, together.ids, strict=True)
    )
    inserted = 0
    for prompt, ids, own, logp in zip(prompts * 5, together.ids, together.own, together.logprobs, strict=True):
        forced = [False] * len(ids)
        for i, token in enumerate(ids):
            if token == 20 and not forced[i]:
                for j, expected in enumerate([30, 31 + len(prompt) % 3, 32], i + 1):
                    if j < len(ids):
                        assert ids[j] == expected
                        forced[j] = True
        assert own == [not f for f in forced]
        inserted += sum(forced)
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        expected_logp = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        expected_logp[torch.tensor(forced)] = 0.0
        assert logp == pytest.approx(expected_logp.tolist(), abs=1e-4)
    assert inserted > 10


def test_inserted_tokens_do_not_shift_what_a_row_draws(tiny: Any) -> None:
    """A forced token equal to what would have been drawn anyway changes nothing."""
    model = tiny()
    plain = run(model, [[1, 9, 10, 3]])
    second = plain.ids[0][1]
    forced = run(
        model, [[1, 9, 10, 3]], companion=lambda prompt: Script(lambda answer: [second] if len(answer) == 1 else [])
    )
    assert forced.ids == plain.ids
    assert forced.own[0][1] is False


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_likeliest_admitted_token_stands_in_for_one_that_is_not(
    tiny: Any, prompts: list[list[int]], temperature: float
) -> None:
    """It is not the model's own; rows that chose nothing else are as without a companion."""
    model, refused = tiny(spread=4.0), frozenset(range(10, 30))
    free = run(model, prompts * 4, temperature=temperature)
    held = run(model, prompts * 4, temperature=temperature, companion=lambda prompt: Script(lambda answer: [], refused))
    put = 0
    for prompt, ids, own, before in zip(prompts * 4, held.ids, held.own, free.ids, strict=True):
        assert not refused & set(ids)
        if not refused & set(before):
            assert ids == before and all(own)
        for i, mine in enumerate(own):
            with torch.no_grad():
                logits = model(torch.tensor([prompt + ids[:i]])).logits[0, -1]
            if not mine:
                logits[list(refused)] = -torch.inf
                assert ids[i] == int(logits.argmax())
                put += 1
    assert put > 10


def test_where_no_likely_token_is_admitted_the_chosen_one_stands(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny()
    free = run(model, prompts)
    held = run(model, prompts, companion=lambda prompt: Script(lambda answer: [], frozenset(range(48))))
    assert held.ids == free.ids
    assert held.own == free.own


def test_any_family_samples_through_its_own_cache(prompts: list[list[int]]) -> None:
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=48, n_embd=32, n_layer=2, n_head=2, n_positions=96, initializer_range=0.3)
    ).eval()
    rollout = run(model, prompts)
    again = run(model, prompts, rows=2)
    assert rollout.ids == again.ids
    for prompt, ids, logp in zip(prompts, rollout.ids, rollout.logprobs, strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        assert logp == pytest.approx(expected.tolist(), abs=1e-4)


def test_samples_follow_the_distribution() -> None:
    """20,000 draws against the probabilities: chi-square with 5 degrees of freedom, 99.9th percentile 20.5."""
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0, -20.0, 0.5, float("-inf")]).expand(20_000, -1)
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0))
    for temperature in (1.0, 2.0):
        ids, logp = choose(logits, uniform, temperature)
        p = torch.softmax(logits[0] / temperature, -1)
        expected = p * 20_000
        counts = torch.bincount(ids, minlength=7).float()
        assert counts[6] == 0
        busy = expected > 5
        assert float(((counts - expected) ** 2 / expected)[busy].sum()) < 20.5
        assert torch.allclose(logp.exp(), p[ids], atol=1e-6)


def test_the_edges_of_the_uniform_draw_hit_real_tokens() -> None:
    logits = torch.tensor([[float("-inf"), 0.0, 0.0, float("-inf")]] * 3)
    ids, logp = choose(logits, torch.tensor([0.0, 1 - 2**-24, 0.5]), 1.0)
    assert ids.tolist() == [1, 2, 2]
    assert logp.tolist() == pytest.approx([-math.log(2)] * 3)


def test_bf16_stays_near_fp32(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny(spread=2.0)
    exact, rough = run(model, prompts), run(model, prompts, precision=pick_precision("bf16"))
    assert rough.logprobs[0][0] == pytest.approx(exact.logprobs[0][0], abs=0.05)
    assert sum(a == b for a, b in zip(exact.ids, rough.ids, strict=True)) >= len(prompts) // 2


def test_dropout_is_off_while_sampling_and_back_afterwards(tiny: Any, prompts: list[list[int]]) -> None:
    model = tiny()
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.9
    model.config.attention_dropout = 0.9
    model.train()
    assert run(model, prompts) == run(model, prompts)
    assert model.training


def test_what_does_not_fit_is_said_before_anything_is_sampled(tiny: Any) -> None:
    with pytest.raises(UserError, match="5 tokens too long"):
        run(tiny(positions=64), [[1, 9], [9] * 49])
    with pytest.raises(UserError, match="empty prompt"):
        run(tiny(), [[1], []])
    assert run(tiny(), []).ids == []
