"""The equations: worked by hand, by brute force, and by their properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posology.objectives import losses


def ragged(rows: int = 5, width: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (rows,), generator=generator)
    return torch.randn(rows, width, generator=generator), torch.arange(width)[None] < lengths[:, None]


def test_whitened_rows_are_centred_with_unit_variance() -> None:
    x_BT, mask_BT = ragged()
    white = losses.whiten(x_BT * 3 + 2, mask_BT)
    assert losses.masked_mean(white, mask_BT).abs() < 1e-6
    assert losses.masked_mean(white**2, mask_BT) == pytest.approx(1, abs=1e-5)
    assert (white[~mask_BT] == 0).all()


@given(st.floats(-30, 30), st.floats(0, 1))
def test_bradley_terry_is_shift_invariant_and_symmetric(margin: float, label: float) -> None:
    loss = losses.bradley_terry(torch.tensor([margin]), torch.tensor([label]))
    mirrored = losses.bradley_terry(torch.tensor([-margin]), torch.tensor([1 - label]))
    assert torch.allclose(loss, mirrored, atol=1e-5)
    assert float(loss) >= 0


def test_bradley_terry_starts_at_ln_two_and_falls_with_the_margin() -> None:
    margins = torch.tensor([-2.0, 0.0, 2.0])
    values = losses.bradley_terry(margins, torch.ones(3))
    assert values[1] == pytest.approx(math.log(2))
    assert values[0] > values[1] > values[2]
    # sigma(9.68) = .99994: the source material prints .9994, which needs a margin of 7.42
    assert float(torch.sigmoid(torch.tensor(9.68))) == pytest.approx(0.99994, abs=5e-6)


def test_bradley_terry_gradient_by_finite_differences() -> None:
    margin = torch.tensor([0.3, -1.2], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([1.0, 0.7], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: losses.bradley_terry(m, label), (margin,))


def test_dpo_variants_by_hand() -> None:
    zero = torch.zeros(1)
    assert losses.dpo_sigmoid(zero, 0.1)[0] == pytest.approx(math.log(2))
    assert losses.dpo_conservative(zero, 0.1, 0.2)[0] == pytest.approx(math.log(2))
    assert losses.dpo_conservative(torch.tensor([3.0]), 0.1, 0.0) == losses.dpo_sigmoid(torch.tensor([3.0]), 0.1)
    assert losses.ipo(torch.tensor([5.0]), 0.1)[0] == pytest.approx(0)  # the optimum is h = 1 / (2 beta)
    assert losses.ipo(zero, 0.1)[0] == pytest.approx(25)


def brute_force_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """The definition: A_t = sum_l (gamma lam)^l delta_{t+l}, each delta written out."""
    count = len(rewards)
    after = [*values[1:], 0.0]
    deltas = [rewards[t] + gamma * after[t] - values[t] for t in range(count)]
    return [sum((gamma * lam) ** (l - t) * deltas[l] for l in range(t, count)) for t in range(count)]  # noqa: E741


@given(st.integers(0, 10_000), st.floats(0.5, 1), st.floats(0, 1))
def test_gae_equals_brute_force_over_own_tokens(seed: int, gamma: float, lam: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(3, 9, generator=generator), torch.randn(3, 9, generator=generator)
    own = torch.rand(3, 9, generator=generator) < 0.6  # holes inside: what the calculator inserted
    own[:, 2] = True
    advantages, returns = losses.gae(rewards, values * own, own, gamma, lam)
    for row in range(3):
        places = own[row].nonzero().flatten().tolist()
        expected = brute_force_gae(
            [float(rewards[row, t]) for t in places], [float(values[row, t]) for t in places], gamma, lam
        )
        assert torch.allclose(advantages[row, places], torch.tensor(expected), atol=1e-4)
        assert torch.allclose(returns[row, places], torch.tensor(expected) + values[row, places], atol=1e-4)
    assert (advantages[~own] == 0).all() and (returns[~own] == 0).all()


def test_ppo_clip_by_hand() -> None:
    logp, old = torch.log(torch.tensor([1.5, 1.5, 0.5, 1.0])), torch.zeros(4)
    advantage = torch.tensor([1.0, -1.0, 1.0, 2.0])
    # gain clipped at 1.2; a loss is never clipped away; below the range with A > 0 is not clipped; ratio 1 passes A
    assert torch.allclose(losses.ppo_clip(logp, old, advantage, 0.2), torch.tensor([-1.2, 1.5, -0.5, -2.0]))


def test_value_loss_is_pessimistic() -> None:
    value, old, target = torch.tensor([2.0]), torch.tensor([0.0]), torch.tensor([2.0])
    assert losses.value_loss(value, old, target, 0.0)[0] == 0
    assert losses.value_loss(value, old, target, 0.5)[0] == pytest.approx(0.5 * 1.5**2)


def test_entropy_and_explained_variance() -> None:
    assert losses.entropy(torch.zeros(2, 16))[0] == pytest.approx(math.log(16))
    actual = torch.tensor([1.0, 2.0, 3.0])
    assert losses.explained_variance(actual, actual) == 1
    assert losses.explained_variance(torch.zeros(3), actual) == pytest.approx(0)
    assert losses.explained_variance(torch.zeros(3), torch.ones(3)) == 0
