"""Four estimates of one divergence, and the controller's closed loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from posology.objectives import kl


@given(st.integers(0, 10_000))
def test_exact_kl_is_never_negative_and_zero_on_itself(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    p, q = torch.randn(4, 11, generator=generator), torch.randn(4, 11, generator=generator)
    assert (kl.exact_kl(p, q) >= 0).all()
    assert torch.allclose(kl.exact_kl(p, p), torch.zeros(4), atol=1e-6)


def test_estimators_agree_with_the_exact_value_on_average() -> None:
    generator = torch.Generator().manual_seed(1)
    p, q = torch.randn(1, 6, generator=generator), torch.randn(1, 6, generator=generator)
    log_p, log_q = torch.log_softmax(p, -1)[0], torch.log_softmax(q, -1)[0]
    draws = torch.multinomial(log_p.exp(), 200_000, replacement=True, generator=generator)
    exact = float(kl.exact_kl(p, q))
    k1, k3 = kl.k1(log_p[draws], log_q[draws]), kl.k3(log_p[draws], log_q[draws])
    assert float(k1.mean()) == pytest.approx(exact, abs=0.02)
    assert float(k3.mean()) == pytest.approx(exact, abs=0.02)
    assert float(k1.min()) < 0 <= float(k3.min())  # k1 may be negative in a sample; a mean that stays so is an alarm
    assert float(kl.k2(log_p[draws], log_q[draws]).min()) >= 0


def test_controller_closes_the_loop_on_a_simulated_kl() -> None:
    """A policy whose KL falls as beta rises, kl = 2 / beta: the controller must bring it to its target."""
    controller = kl.KlController(0.05, target=4.0, horizon=4 * 64, floor=1e-3, ceiling=10.0)
    for _ in range(400):
        controller.update(2 / float(controller.beta), 64)
    assert 2 / float(controller.beta) == pytest.approx(4.0, rel=0.02)


def test_controller_respects_floor_ceiling_and_off() -> None:
    controller = kl.KlController(1.0, 1.0, 64, floor=0.5, ceiling=2.0)
    for _ in range(50):
        controller.update(100.0, 64)
    assert float(controller.beta) == 2.0
    for _ in range(50):
        controller.update(0.0, 64)
    assert float(controller.beta) == 0.5
    fixed = kl.KlController(0.3, 1.0, 64, 0.0, 1.0, adaptive=False)
    fixed.update(9.0, 64)
    assert float(fixed.beta) == pytest.approx(0.3)
    assert "beta" in fixed.state_dict()
