"""Packed = unpacked, and our route = Hugging Face's, in outputs and in gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, Qwen2Config, Qwen2ForCausalLM

from posology.config import LoraConfig
from posology.models import packed
from posology.models.layout import WORTH, Block, layout_of
from posology.models.lora import apply_lora
from posology.models.nll import token_nll
from posology.models.packed import forward_packed, head_logits, hidden_at, hidden_states, mask_layout, segment_mask

ROWS = st.lists(st.lists(st.integers(1, 12), min_size=0, max_size=3), min_size=1, max_size=4)


def targets(rows: Any) -> Tensor:
    """The next token inside a segment, -100 elsewhere; every third place is not scored."""
    following = rows.segments_BT.roll(-1, 1)
    inside = (rows.segments_BT == following) & (rows.segments_BT > 0)
    inside[:, -1] = False
    return rows.ids_BT.roll(-1, 1).where(inside & (rows.ids_BT % 3 > 0), -100)


def loss_and_gradients(model: Any, loss: Tensor) -> tuple[float, dict[str, Tensor]]:
    model.zero_grad()
    loss.backward()
    return float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_close(ours: tuple[float, dict[str, Tensor]], theirs: tuple[float, dict[str, Tensor]], within: float) -> None:
    assert ours[1].keys() == theirs[1].keys()
    scale = max(float(gradient.abs().max()) for gradient in theirs[1].values())
    # A sum of terms of both signs may be small: its rounding is that of the terms, not of the sum.
    assert ours[0] == pytest.approx(theirs[0], rel=within, abs=within * max(scale, 1.0))
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(
            ours[1][name], gradient, rtol=within, atol=within * scale, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_who_may_look_at_whom_worked_by_hand() -> None:
    seen = segment_mask(torch.tensor([[1, 1, 2, 0]]))[0, 0].int().tolist()
    assert seen == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, seed=st.integers(0, 99))
def test_packed_is_unpacked_in_loss_and_gradient(tiny: Any, packed_rows: Any, rows: list[list[int]], seed: int) -> None:
    model = tiny(seed)
    batch = packed_rows([row or [2] for row in rows], 40, seed)
    wanted = targets(batch)
    logits = forward_packed(model, *batch.all)
    together = loss_and_gradients(model, cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum"))
    model.zero_grad()
    total = logits.new_zeros(())
    for row, lengths in enumerate(rows):
        at = 0
        for length in lengths or [2]:
            piece = slice(at, at + length)
            alone = model(batch.ids_BT[row, piece][None]).logits[0]
            total = total + cross_entropy(alone, wanted[row, piece], reduction="sum")
            at += length
    assert_close(together, loss_and_gradients(model, total), 1e-5)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, seed=st.integers(0, 99))
def test_the_stream_is_hugging_faces_own_pass(tiny: Any, packed_rows: Any, rows: list[list[int]], seed: int) -> None:
    """hidden_at + token_nll against transformers' forward with a 4-D mask and torch's cross-entropy."""
    model = tiny(seed)
    batch = packed_rows([*rows, [3, 9]], 40, seed)
    wanted = targets(batch)
    read = wanted != -100
    if not read.any():
        return
    nll, hit = token_nll(model, hidden_at(model, *batch.all, read), wanted[read])
    weights = torch.linspace(0.5, 1.5, len(nll))
    ours = loss_and_gradients(model, (nll * weights).sum())
    logits = model(
        input_ids=batch.ids_BT,
        position_ids=batch.positions_BT,
        attention_mask=segment_mask(batch.segments_BT),
        use_cache=False,
    ).logits[read]
    theirs = loss_and_gradients(model, (cross_entropy(logits, wanted[read], reduction="none") * weights).sum())
    assert_close(ours, theirs, 1e-5)
    assert torch.equal(hit, logits.argmax(-1) == wanted[read])


def test_every_place_has_the_hidden_state_of_hugging_face(tiny: Any, packed_rows: Any) -> None:
    model = tiny()
    batch = packed_rows([[7, 3, 20], [30], [1, 1, 2], [25]], 33)
    theirs = model.model(
        input_ids=batch.ids_BT, position_ids=batch.positions_BT, attention_mask=segment_mask(batch.segments_BT)
    ).last_hidden_state
    ours = hidden_states(model, *batch.all)
    real = batch.segments_BT > 0
    torch.testing.assert_close(ours[real], theirs[real], rtol=1e-5, atol=1e-5)
    assert torch.isfinite(ours).all()


def test_no_token_sees_a_later_one_or_another_segment(tiny: Any, packed_rows: Any) -> None:
    model = tiny()
    batch = packed_rows([[6, 8]], 14)
    before = hidden_states(model, *batch.all)
    batch.ids_BT[0, 9] = (batch.ids_BT[0, 9] + 1) % 90
    after = hidden_states(model, *batch.all)
    moved = (before - after).abs().amax(-1)[0] > 1e-6
    assert moved.int().tolist() == [0] * 9 + [1] * 5


def test_under_bf16_the_stream_stays_near_fp32(tiny: Any, packed_rows: Any) -> None:
    model = tiny(spread=2.0)
    batch = packed_rows([[12, 20], [32]], 32)
    exact = hidden_states(model, *batch.all)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = hidden_states(model, *batch.all)
        theirs = model.model(
            input_ids=batch.ids_BT, position_ids=batch.positions_BT, attention_mask=segment_mask(batch.segments_BT)
        ).last_hidden_state
    ours_off, theirs_off = (rough - exact).norm() / exact.norm(), (theirs - exact).norm() / exact.norm()
    assert rough.dtype == torch.float32
    assert ours_off < 1.5 * theirs_off + 1e-4 < 0.05


@pytest.mark.parametrize("family", ["gpt2", "qwen", "lora", "dropout"])
def test_models_that_cannot_stream_take_hugging_faces_pass(tiny: Any, packed_rows: Any, family: str) -> None:
    torch.manual_seed(0)
    if family == "gpt2":
        model: Any = GPT2LMHeadModel(GPT2Config(vocab_size=96, n_embd=32, n_layer=2, n_head=2, n_positions=64))
    elif family == "qwen":
        shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=96, num_attention_heads=4, num_key_value_heads=2, **shape))
    elif family == "lora":
        model = apply_lora(tiny(), LoraConfig(kind="lora", dropout=0.0))
    else:
        model = tiny(dropout=0.5).train()
    batch = packed_rows([[5, 6], [12]], 14)
    assert not packed.can_stream(packed.trunk_of(model), batch.segments_BT)
    model.eval()
    logits = forward_packed(model, *batch.all)
    alone = model(batch.ids_BT[:1, 5:11]).logits
    torch.testing.assert_close(logits[:1, 5:11], alone, rtol=1e-4, atol=1e-5)
    read = batch.segments_BT == 2
    torch.testing.assert_close(head_logits(model, hidden_at(model, *batch.all, read)), logits[read])


def test_dropout_drops_while_training_only(tiny: Any, packed_rows: Any) -> None:
    model = tiny(dropout=0.5)
    batch = packed_rows([[12]], 12)
    model.train()
    assert not torch.equal(hidden_states(model, *batch.all), hidden_states(model, *batch.all))
    model.eval()
    assert torch.equal(hidden_states(model, *batch.all), hidden_states(model, *batch.all))


def test_positions_count_real_tokens_on_either_side_of_the_padding() -> None:
    positions, segments = mask_layout(torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0]]).bool())
    assert positions.tolist() == [[0, 0, 0, 1], [0, 1, 2, 2]]
    assert segments.tolist() == [[0, 0, 1, 1], [1, 1, 1, 0]]


def test_nll_survives_a_target_that_is_all_but_impossible(tiny: Any) -> None:
    model = tiny()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[5] = 100.0
    hidden = torch.ones(2, 32)
    nll, hit = token_nll(model, hidden, torch.tensor([5, 6]))
    assert nll.tolist() == pytest.approx([0.0, 3200.0])
    assert hit.tolist() == [True, False]


def test_a_model_can_memorise_rows_through_the_stream(tiny: Any, packed_rows: Any) -> None:
    model = tiny(spread=1.0)
    batch = packed_rows([[12, 12, 12], [10, 14]], 36)
    wanted = targets(batch)
    read = wanted != -100
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nll, _ = token_nll(model, hidden_at(model, *batch.all, read), wanted[read])
        nll.mean().backward()
        optimiser.step()
    assert float(nll.mean().detach()) < 0.2


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
@example(pairs=[(20, 2, 3), (6, 2, 0)], seed=48)
def test_pairs_that_begin_alike_are_as_if_computed_apart(
    tiny: Any, pairs: list[tuple[int, int, int]], seed: int
) -> None:
    """(common, own of the first, own of the second): outputs and gradients, read at some or at all places."""
    model = tiny(seed)
    generator = torch.Generator().manual_seed(seed)
    rows: list[list[int]] = [[], []]  # chosen rows above rejected rows
    sides: list[list[list[int]]] = [[], []]
    for common, first, second in pairs:
        begin = torch.randint(8, 96, (common + 1,), generator=generator).tolist()
        for side, own in enumerate((first, second)):
            sides[side].append(begin + torch.randint(8, 96, (own,), generator=generator).tolist())
    rows = sides[0] + sides[1]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    positions, segments = mask_layout(torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]))
    layout = layout_of(segments, ids, positions)
    alike = sum(
        max(next((i for i, (a, b) in enumerate(zip(x, y, strict=False)) if a != b), min(len(x), len(y))), 0)
        * (next((i for i, (a, b) in enumerate(zip(x, y, strict=False)) if a != b), min(len(x), len(y))) >= WORTH)
        for x, y in zip(*sides, strict=True)
    )
    assert len(layout.tokens_N) == sum(map(len, rows)) - alike
    theirs = model.model(input_ids=ids, position_ids=positions, attention_mask=segment_mask(segments)).last_hidden_state
    real = segments > 0
    read = real & (torch.rand(real.shape, generator=generator) < 0.5)
    read[0, 0] = True
    weight = torch.rand(*real.shape, 32, generator=generator)
    torch.testing.assert_close(hidden_states(model, ids, positions, segments)[real], theirs[real], rtol=1e-5, atol=1e-5)
    for seen, ours in ((read, lambda: hidden_at(model, ids, positions, segments, read)),
                       (real, lambda: hidden_states(model, ids, positions, segments)[real])):  # fmt: skip
        mine = loss_and_gradients(model, (ours() * weight[seen]).sum())
        expected = loss_and_gradients(model, (theirs[seen] * weight[seen]).sum())
        assert_close(mine, expected, 2e-5)
        theirs = model.model(
            input_ids=ids, position_ids=positions, attention_mask=segment_mask(segments)
        ).last_hidden_state


def test_the_mask_of_a_shared_segment_worked_by_hand(tiny: Any) -> None:
    """Common c c, then a of the first row, then b b of the second: b does not see a."""
    block = Block(0, 5, 1, 5, torch.arange(5), torch.tensor([2]), torch.tensor([3]))
    seen = (block.bias(torch.float32)[0, 0] == 0).int().tolist()
    assert seen == [[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 1, 1]]


def test_rows_that_only_look_alike_are_not_shared() -> None:
    ids = torch.arange(8, 28).expand(2, -1)
    positions, segments = mask_layout(torch.ones(2, 20))
    assert layout_of(segments, ids, positions).shared
    assert not layout_of(segments, ids, positions + torch.tensor([[0], [1]])).shared  # at other positions
    left = segments.clone()
    left[1, :3] = 0
    assert not layout_of(left, ids, positions).shared  # padded on the left
    assert not layout_of(segments + (positions > 10), ids, positions).shared  # several examples in a row
    assert not layout_of(segments[:1], ids[:1], positions[:1]).shared
