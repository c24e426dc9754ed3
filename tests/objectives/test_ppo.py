"""PPO against oracles: a bandit whose optimum is known in closed form, first ratios, masks, early stop, resume."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from posology.config import FitConfig, LoraConfig, PpoConfig
from posology.models.heads import from_language_model
from posology.models.lora import apply_lora
from posology.models.precision import pick_precision
from posology.objectives import ppo
from posology.objectives.losses import entropy, ppo_clip, value_loss
from posology.objectives.policy import score_tokens
from posology.objectives.ppo import Monitor, PpoObjective
from posology.objectives.reward import Ensemble

FP32 = pick_precision("fp32")
BEST, WORST = 9, 12
PROMPTS = [[1, 2, 10, 3], [1, 2, 11, 12, 3], [1, 2, 13, 3]]
CALC, MARK = 6, 7  # after each 6 that is sampled, a calculator inserts 22 and 7


class Calculator:
    def __init__(self, prompt: list[int]) -> None:
        assert prompt in PROMPTS

    def admits(self, token: int) -> bool:
        return True

    def take(self, token: int) -> list[int]:
        return [22, MARK] if token == CALC else []


def objective(model: Any, score: Callable[..., torch.Tensor], **settings: Any) -> PpoObjective:
    """PPO on `model` and a frozen copy of it, with one stub reward model."""
    reference = settings.pop("reference", copy.deepcopy(model) if not hasattr(model, "peft_config") else None)
    config = PpoConfig(
        **{
            "rows": 24, "epochs": 2, "minibatches": 2, "max_new_tokens": 12, "value_warmup": 0, "kl_control": False,
            "value_learning_rate": 0.01, "fit": FitConfig(steps=1, budget_s=1), **settings,
        }
    )  # fmt: skip
    companion = Calculator if config.max_new_tokens > 1 else None
    return PpoObjective(
        "ppo", model, reference, from_language_model(model), Ensemble((score,), (0.0,), (1.0,), "mean", 0.0, FP32),  # type: ignore[arg-type]
        PROMPTS, PROMPTS[:2], lambda number, ids: float(len(ids)), config, seed=0, pad=0, end=4, companion=companion,
        precision=FP32,
    )  # fmt: skip


def constant(ids_BT: torch.Tensor, mask_BT: torch.Tensor, scored_BT: torch.Tensor | None = None) -> torch.Tensor:
    return torch.arange(len(ids_BT)).float() % 3


def optimiser(task: PpoObjective, rate: float = 0.01) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in m.parameters() if p.requires_grad], "lr": rate} for m in (task.policy, task.critic)
    ]
    return torch.optim.AdamW(groups, weight_decay=0.0, eps=1e-5)


def train(
    task: PpoObjective, steps: range, steepest: torch.optim.Optimizer, decay: bool = False
) -> list[dict[str, float]]:
    """As the loop does it: train mode, batch, sums / weight, one update; nothing where the batch is empty."""
    curve = []
    for step in steps:
        for module in task.modules.values():
            module.train()
        if decay:
            for group in steepest.param_groups:
                group["lr"] = 0.01 * min(1.0, 2 * (steps.stop - step) / len(steps))
        steepest.zero_grad()
        batches = task.batch(step)
        for batch in batches:
            total, metrics = task.loss(batch)
            (total / batch.weight).backward()
            curve.append(metrics)
        if batches:
            steepest.step()
    return curve


# -- a bandit: one-token answers, arm 9 pays 1, arm 12 costs 1 -------------------------------------------------------


def bandit(
    tiny: Callable[..., Any], sign: float, rollouts: int, **settings: Any
) -> tuple[torch.Tensor, torch.Tensor, float]:
    """(policy, reference) over the arms after training, and the last rollout's exact KL."""
    pay_V = torch.zeros(16)
    pay_V[BEST], pay_V[WORST] = sign, -sign

    def score(ids_BT: torch.Tensor, mask_BT: torch.Tensor, scored_BT: torch.Tensor | None = None) -> torch.Tensor:
        return pay_V[ids_BT[torch.arange(len(ids_BT)), mask_BT.sum(1) - 1]]

    model = tiny(vocabulary=16)
    task = objective(model, score, rows=128, max_new_tokens=1, no_stop_penalty=0.0, kl_stop=100.0, **settings)
    curve = train(task, range(rollouts * task.stride), optimiser(task), decay=True)
    assert task.reference is not None
    arms = []
    for policy in (task.policy, task.reference):
        with torch.no_grad():
            arms.append(torch.softmax(policy(torch.tensor(PROMPTS[:1])).logits[0, -1], -1))  # type: ignore[operator]
    return arms[0], arms[1], curve[-1]["kl"]


@pytest.mark.parametrize(("sign", "arm"), [(1.0, BEST), (-1.0, WORST)])
def test_the_arm_that_pays_is_learned_and_the_sign_of_the_reward_decides_which(
    tiny: Callable[..., Any], sign: float, arm: int
) -> None:
    policy_V, reference_V, _ = bandit(tiny, sign, 14, kl_coefficient=0.0)
    assert reference_V.max() < 0.15
    assert policy_V[arm] > 0.95


def test_with_a_penalty_the_optimum_is_the_tilted_reference(tiny: Callable[..., Any]) -> None:
    """argmax of E[r] - beta KL(pi || ref) is ref * exp(r / beta) / Z (Rafailov et al. 2023, eq. 4)."""
    policy_V, reference_V, kl = bandit(tiny, 1.0, 24, kl_coefficient=0.3)
    tilted_V = reference_V.clone()
    tilted_V[BEST] *= math.exp(1 / 0.3)
    tilted_V[WORST] *= math.exp(-1 / 0.3)
    tilted_V /= tilted_V.sum()
    assert (policy_V * (policy_V / tilted_V).log()).sum() < 0.02
    assert abs(float(policy_V[BEST] - tilted_V[BEST])) < 0.06
    exact = float((policy_V * (policy_V / reference_V).log()).sum())
    assert kl == pytest.approx(exact, abs=0.15) and exact > 0.8


def test_with_an_endless_penalty_the_policy_stays_at_the_reference(tiny: Callable[..., Any]) -> None:
    """A free policy ends 2.7 nats away; what is left here is one step's noise around the reference."""
    policy_V, reference_V, _ = bandit(tiny, 1.0, 8, kl_coefficient=1e4)
    assert (policy_V * (policy_V / reference_V).log()).sum() < 0.02
    assert abs(float(policy_V[BEST] - policy_V[WORST])) < 0.05


# -- the update ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["full", "adapter", "dropout"])
def test_ratios_are_one_in_each_rollouts_first_minibatch(tiny: Callable[..., Any], kind: str) -> None:
    model = tiny(spread=8.0, dropout=0.5 if kind == "dropout" else 0.0)
    if kind == "adapter":
        model = apply_lora(model, LoraConfig(kind="lora", rank=4, dropout=0.5), 0)
    task = objective(model, constant, temperature=0.8, kl_stop=100.0)
    curve = train(task, range(3 * task.stride), optimiser(task))
    assert len(curve) == 3 * task.stride
    for number in range(0, len(curve), task.stride):
        assert curve[number]["ratio_deviation"] < 1e-5
        assert curve[number]["clipped"] == 0 and curve[number]["ratio_variance"] < 1e-9
        assert curve[number + 1]["ratio_deviation"] > 1e-3
        assert curve[number]["sampler_mismatch"] < 1e-4  # temperature on both sides
    assert curve[0]["kl"] == curve[0]["kl_k1"] == 0 and curve[-1]["kl"] > 0.01
    assert curve[0].keys() == ppo.METRICS.keys()


def test_first_ratios_are_near_one_under_bf16(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(spread=8.0), constant)
    task.precision = pick_precision("bf16")
    metrics = task.loss(task.batch(0)[0])[1]
    assert metrics["ratio_deviation"] < 0.01 and metrics["sampler_mismatch"] < 0.05
    assert metrics["kl"] < 1e-6


def test_loss_is_over_own_tokens_alone(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(spread=4.0), constant, entropy_weight=0.1)
    train(task, range(2), optimiser(task))
    (batch,) = task.batch(2)
    inserted_BT = batch.sequences.mask_BT & ~batch.sequences.scored_BT
    inserted_BT[:, :4] = False
    assert (inserted_BT & (batch.sequences.ids_BT == 22)).any()  # the calculator was used
    total, metrics = task.loss(batch)
    scored = score_tokens(task.policy, batch.sequences, FP32)
    own_BT = batch.sequences.scored_BT
    old_N, advantage_N = batch.old_logp_BT[own_BT], batch.advantages_BT[own_BT]
    value_BT = task.critic.values(batch.sequences.ids_BT, batch.sequences.mask_BT)
    value_N = torch.stack([value_BT[b, t - 1] for b, t in own_BT.nonzero().tolist()])
    policy = ppo_clip(scored.logp_N, old_N, advantage_N, 0.2)
    value = value_loss(value_N, batch.values_BT[own_BT], batch.returns_BT[own_BT], 0.2)
    expected = policy.sum() + 0.5 * value.sum() - 0.1 * entropy(scored.logits_NV).sum()
    assert batch.weight == len(old_N) == int(own_BT.sum())
    assert total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert metrics["policy_loss"] == pytest.approx(policy.mean().item(), abs=1e-6)
    assert metrics["value_loss"] == pytest.approx(value.mean().item(), abs=1e-6)
    ratio = (scored.logp_N - old_N).exp()
    assert metrics["clipped"] == pytest.approx(((ratio - 1).abs() > 0.2).float().mean().item())
    assert metrics["approximate_kl"] == pytest.approx((ratio - 1 - ratio.log()).mean().item(), abs=1e-6)


def test_an_epoch_of_minibatches_holds_each_answer_once_in_a_fresh_order(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant, minibatches=3)
    orders = []
    for epoch in (0, 1):
        batches = [task.batch(3 * epoch + n)[0] for n in range(3)]
        assert sum(b.weight for b in batches) == task._rollout[1].weight  # type: ignore[index]
        orders.append(torch.cat([b.old_logp_BT.sum(1) for b in batches]))
    assert torch.allclose(orders[0].sort().values, orders[1].sort().values)
    assert not torch.equal(orders[0], orders[1])


def test_truncated_answers_pay_the_stated_penalty(tiny: Callable[..., Any]) -> None:
    model = tiny()
    free, fined = (objective(copy.deepcopy(model), constant, no_stop_penalty=p) for p in (0.0, 2.0))
    first, second = (task.loss(task.batch(0)[0])[1] for task in (free, fined))
    assert 0 < first["end_rate"] == second["end_rate"] < 1
    assert second["reward"] == pytest.approx(first["reward"] - 2 * (1 - first["end_rate"]), abs=1e-5)
    assert second["score"] == first["score"]


def test_only_the_critic_learns_while_it_warms_up(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant, value_warmup=1, value_clip=0.0, epochs=6, minibatches=1)
    before = [p.detach().clone() for p in task.policy.parameters()]
    steepest = optimiser(task)
    curve = train(task, range(task.stride), steepest)
    assert all(torch.equal(a, b) for a, b in zip(before, task.policy.parameters(), strict=True))
    assert float(task.critic.head.weight.detach().abs().max()) > 0
    assert curve[-1]["value_loss"] < curve[0]["value_loss"] and curve[-1]["policy_loss"] == 0
    train(task, range(task.stride, task.stride + 1), steepest)
    assert not all(torch.equal(a, b) for a, b in zip(before, task.policy.parameters(), strict=True))


def test_a_far_step_ends_the_rollouts_updates(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant, kl_stop=1e-4, epochs=3)
    steepest = optimiser(task, 0.05)
    curve = train(task, range(1), steepest)
    moved = [p.detach().clone() for p in task.policy.parameters()]
    curve += train(task, range(1, task.stride), steepest)
    assert curve[0]["approximate_kl"] == pytest.approx(0, abs=1e-9)
    assert curve[-1]["approximate_kl"] > 1e-4 and len(curve) == 2
    # The minibatch that found the policy too far away does not take it further.
    assert all(torch.equal(a, b) for a, b in zip(moved, task.policy.parameters(), strict=True))
    assert task.batch(task.stride - 1) == []
    assert len(task.batch(task.stride)) == 1  # the next rollout starts afresh


# -- state -----------------------------------------------------------------------------------------------------------


def test_controller_and_monitor_are_saved_like_weights(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant, kl_control=True, kl_coefficient=0.4)
    assert set(task.modules) == {"model", "critic", "controller", "monitor"}
    assert task.modules["controller"].state_dict().keys() == {"beta"}
    assert task.modules["monitor"].state_dict().keys() == {"best", "strikes"}
    curve = train(task, range(2 * task.stride + 1), optimiser(task))
    # The first rollout is the reference's own: its KL of 0 says nothing. Then a KL far below the target of 3: error
    # -0.2, 24 answers of a horizon of 96.
    assert [curve[i]["beta"] for i in (0, task.stride)] == pytest.approx([0.4, 0.4])
    assert curve[-1]["kl"] < 2.4 and curve[-1]["beta"] == pytest.approx(0.4 * (1 - 0.2 / 4))


def test_beta_waits_while_only_the_critic_learns(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant, kl_control=True, kl_coefficient=0.4, value_warmup=2)
    curve = train(task, range(3 * task.stride + 1), optimiser(task))
    assert {row["beta"] for row in curve} == {0.4}


def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tiny: Callable[..., Any]) -> None:
    def start() -> PpoObjective:
        return objective(tiny(), constant, kl_control=True, kl_target=0.1)

    straight = start()
    first = optimiser(straight)
    train(straight, range(straight.stride), first)
    straight.observe(straight.stride, straight.evaluate())
    resumed = start()
    for name, module in resumed.modules.items():
        module.load_state_dict(copy.deepcopy(straight.modules[name].state_dict()))
    second = optimiser(resumed)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    rest = range(straight.stride, 3 * straight.stride)
    assert train(straight, rest, first) == train(resumed, rest, second)
    assert straight.evaluate() == resumed.evaluate()
    for name, module in straight.modules.items():
        other = resumed.modules[name].state_dict()
        assert all(torch.equal(value, other[key]) for key, value in module.state_dict().items() if key != "last")


def test_held_out_figures_have_these_names_and_do_not_disturb_training(tiny: Callable[..., Any]) -> None:
    watched, alone = (objective(tiny(), constant) for _ in range(2))
    figures = watched.evaluate()
    assert figures.keys() == ppo.EVALUATION.keys()
    assert figures == watched.evaluate()
    assert figures["gold"] >= figures["length"] > 1 and figures["kl"] == 0  # gold here: all tokens, inserted ones too
    assert torch.equal(watched.batch(0)[0].sequences.ids_BT, alone.batch(0)[0].sequences.ids_BT)


def checks(monitor: Monitor, figures: Sequence[tuple[float, float]]) -> list[float]:
    strikes = []
    for step, (reward, gold) in enumerate(figures):
        monitor.see(step, reward, gold)
        strikes.append(float(monitor.strikes))
    return strikes


def test_reward_up_and_gold_down_twice_asks_to_stop_and_names_the_best(tiny: Callable[..., Any]) -> None:
    task = objective(tiny(), constant)
    assert task.stop_reason() is None
    assert checks(task.monitor, [(0.0, 5.0), (0.5, 6.0), (0.9, 5.4)]) == [0, 0, 1]
    assert task.stop_reason() is None
    assert checks(task.monitor, [(1.5, 5.0)]) == [2]
    assert "exploiting" in str(task.stop_reason()) and task.best_step == 1
    lenient = objective(tiny(), constant, stop_on_divergence=False)
    checks(lenient.monitor, [(0.0, 5.0), (0.5, 4.0), (0.6, 3.0)])
    assert lenient.stop_reason() is None


@pytest.mark.parametrize(
    ("figures", "strikes"),
    [
        ([(0.0, 5.0), (0.5, 4.0), (0.4, 3.0), (0.6, 2.0)], [0, 1, 2, 3]),  # the reward pauses: it is above the best's
        ([(0.15, 6.30), (0.15, 6.40), (0.21, 6.32), (0.20, 5.84), (0.29, 5.25)], [0, 0, 0, 1, 2]),  # a run that hacked
        ([(0.0, 5.0), (0.5, 4.9), (0.6, 4.6), (0.7, 4.7)], [0, 0, 0, 0]),  # noise about a plateau
        ([(0.5, 5.0), (0.4, 4.0), (0.3, 3.0)], [0, 0, 0]),  # both fall: worse, not hacked
        ([(0.0, 5.0), (0.5, 4.0), (0.6, 4.8), (0.7, 4.0)], [0, 1, 0, 1]),  # two in a row
    ],
)
def test_checks_are_held_against_the_best(figures: list[tuple[float, float]], strikes: list[float]) -> None:
    assert checks(Monitor(), figures) == strikes
