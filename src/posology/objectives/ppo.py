"""Proximal policy optimisation from human preferences, with exact-KL control and a gold monitor.

Ziegler et al. 2019 and Ouyang et al. 2022 for the set-up, Schulman et al. 2017 for the update, Huang et al. 2022
("The 37 implementation details of PPO") and 2024 ("The N+ implementation details of RLHF with PPO") for the details.
The loop knows nothing of rollouts: `batch` gathers a fresh one at each multiple of `stride` and slices it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from posology.config import ConfigError, PpoConfig
from posology.models.device import device_of
from posology.models.heads import ScalarModel
from posology.models.memory import dropout_off
from posology.objectives import experience
from posology.objectives.experience import (
    Experience,
    answers_batch,
    distinct,
    gather,
    repeated,
    sampled_by_all,
    token_values,
)
from posology.objectives.kl import KlController, exact_kl, k3
from posology.objectives.losses import entropy, ppo_clip, value_loss
from posology.objectives.pairs import Order
from posology.objectives.policy import Precision, frozen, score_tokens
from posology.objectives.reward import Ensemble
from posology.rollout.sampler import Companion, Rollout, sample
from posology.seeds import numpy_stream, seed_of
from posology.training.batches import SequenceBatch
from posology.training.engine import Engine
from posology.training.objective import Metrics

METRICS = {
    "loss": "policy loss + value_weight * value loss - entropy_weight * entropy, a token; its sign says nothing",
    "policy_loss": "mean of -min(ratio * A, clipped ratio * A) over own tokens; not followed beyond kl_stop",
    "value_loss": "half the squared error of the critic, a token",
    "clipped": "share of own tokens whose ratio left [1 - clip, 1 + clip]",
    "ratio_deviation": "mean |ratio - 1| over own tokens; 0 in a rollout's first minibatch",
    "ratio_variance": "variance of the ratio over own tokens",
    "approximate_kl": "nats a token between the policy now and the policy that sampled (k3)",
    **experience.METRICS,
}
EVALUATION = {
    "reward": "mean aggregated reward-model score on held-out prompts, in sd of the reference answers",
    "gold": "mean usefulness (0-10) by the judge on the same answers",
    "kl": "nats an answer, exact",
    "length": "own tokens an answer",
    "end_rate": "share of answers that reached the end token",
    "distinct_2": "distinct token pairs / token pairs",
    "repeated_4": "share of 4-grams that repeat one inside the same answer",
}

CLEARLY_LESS = 0.5  # points of 10 of gold: about two standard errors between two checks of 128 answers

Gold = Callable[[int, Sequence[int]], float]  # (monitor prompt number, answer ids) -> usefulness by the judge


class Monitor(nn.Module):
    """Remembers the held-out check with the best gold score. After two checks in a row with a higher reward and clearly
    less gold than that one it asks to stop. A check is not held against the one before it: a reward that pauses once on
    its way up would hide the fall.
    """

    best: Tensor
    strikes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("best", torch.tensor([float("-inf"), 0.0, 0.0], dtype=torch.float64))  # gold, step, reward
        self.register_buffer("strikes", torch.tensor(0.0, dtype=torch.float64))

    def see(self, step: int, reward: float, gold: float) -> None:
        best, _, its_reward = self.best.tolist()
        apart = reward > its_reward and gold < best - CLEARLY_LESS
        self.strikes.copy_(self.strikes + 1 if apart else torch.zeros_like(self.strikes))
        if gold > best:
            self.best.copy_(torch.tensor([gold, step, reward], dtype=torch.float64))


class PpoObjective:
    """The policy, its critic and the controller, trained on rollouts scored by a reward ensemble.

    `prompts` are token ids that end with the assistant mark; `monitor_prompts` are held out. `companion`
    may put tokens into an answer (the engine's); they are context, not the policy's. `reference` is a frozen model, or
    None for a policy with an adapter, which is then switched off. Without a judge (`gold` None) reward and KL alone
    are watched, and the last step is kept.
    """

    shown = ("score", "kl")  # on the terminal: the loss says nothing

    def __init__(
        self, name: str, policy: nn.Module, reference: nn.Module | None, critic: ScalarModel, ensemble: Ensemble,
        prompts: Sequence[list[int]], monitor_prompts: Sequence[list[int]], gold: Gold | None, config: PpoConfig, *,
        seed: int, pad: int, end: int, companion: Companion | None, precision: Precision,
        engine: Engine | None = None,
    ) -> None:  # fmt: skip
        self.engine = engine or Engine()
        require_shareable(config, self.engine)
        horizon = config.kl_horizon or 4 * config.rows
        self.name, self.config, self.seed, self.pad, self.end = name, config, seed, pad, end
        self.stride = config.epochs * config.minibatches
        self.policy, self.reference, self.critic, self.ensemble = policy, reference, critic, ensemble
        self.controller = KlController(
            config.kl_coefficient, config.kl_target, horizon, config.kl_floor, config.kl_ceiling,
            adaptive=config.kl_control,
        )  # fmt: skip
        self.monitor = Monitor()
        self.modules: Mapping[str, nn.Module] = {
            "model": policy, "critic": critic, "controller": self.controller, "monitor": self.monitor,
        }  # fmt: skip
        self.learning_rates = {"critic": config.value_learning_rate}
        self.prompts, self.monitor_prompts, self.gold = prompts, monitor_prompts, gold
        self.companion, self.precision = companion, precision
        self.order = Order(seed, f"{name}.prompts", len(prompts), config.rows // config.answers_each)
        self._rollout: tuple[int, Experience, Metrics] | None = None
        self._stopped = -1  # the rollout whose remaining minibatches are skipped
        if reference is not None:
            reference.requires_grad_(False).eval()

    # -- rollouts ---------------------------------------------------------------------------------------------------

    def batch(self, step: int) -> Sequence[Experience]:
        """One minibatch; none where approximate KL has ended this rollout's updates."""
        rollout, within = divmod(step, self.stride)
        if self._rollout is None or self._rollout[0] != rollout:
            self._rollout = (rollout, *self._gather(rollout))
        if self._stopped == rollout:
            return []
        epoch, minibatch = divmod(within, self.config.minibatches)
        order = numpy_stream(self.seed, self.name, "minibatch", rollout, epoch).permutation(self.config.rows)
        chosen = torch.from_numpy(order[minibatch :: self.config.minibatches])
        return [self._rollout[1].rows(chosen.to(device_of(self.policy)))]

    def _gather(self, rollout: int) -> tuple[Experience, Metrics]:
        config = self.config
        self._dropout_off()
        prompts = [self.prompts[i] for i in self.order(rollout) for _ in range(config.answers_each)]
        answers = self._sample(prompts, seed_of(self.seed, self.name, "rollout", rollout))
        gathered, metrics = gather(
            self.policy, self._reference, self.critic, self.ensemble, prompts, answers,
            beta=float(self.controller.beta), no_stop_penalty=config.no_stop_penalty, gamma=config.gamma,
            lam=config.lam, temperature=config.temperature, pad=self.pad, precision=self.precision,
            answers_each=config.answers_each, engine=self.engine,
        )  # fmt: skip
        if rollout > config.value_warmup:  # until then the policy has not moved, and a KL of 0 says nothing of beta
            self.controller.update(metrics["kl"], config.rows)
        return gathered, metrics

    def _dropout_off(self) -> None:
        """Old and new log-probs, old and new values must be of one function."""
        dropout_off(self.policy)
        dropout_off(self.critic)

    def _sample(self, prompts: Sequence[list[int]], seed: int) -> Rollout:
        mine = self.engine.block(len(prompts))
        rollout = sample(
            self.policy, prompts[mine], pad=self.pad, end=self.end, max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature, seed=seed, companion=self.companion,
            precision=self.precision, first=mine.start,
        )  # fmt: skip
        return sampled_by_all(rollout, len(prompts), self.config.max_new_tokens, self.engine)

    @torch.no_grad()
    def _reference(self, rows: SequenceBatch) -> tuple[Tensor, Tensor]:
        with frozen(self.policy, self.reference) as reference:
            scored = score_tokens(reference, rows, self.precision, self.config.temperature)
        return scored.logits_NV, scored.logp_N

    # -- one minibatch ----------------------------------------------------------------------------------------------

    def loss(self, batch: Experience) -> tuple[Tensor, Metrics]:
        assert self._rollout is not None
        config, rollout = self.config, self._rollout[0]
        self._dropout_off()
        row_N, position_N = batch.sequences.scored_BT.nonzero(as_tuple=True)
        value_N = token_values(self.critic, batch.sequences, self.precision)[row_N, position_N]
        old_value_N, return_N = batch.values_BT[row_N, position_N], batch.returns_BT[row_N, position_N]
        count = self.engine.total(len(row_N))  # of all processes: what one of them decides, all of them do
        value_N = value_loss(value_N, old_value_N, return_N, config.value_clip)
        total = config.value_weight * value_N.sum()
        policy_N, ratio_N, approximate_kl = torch.zeros_like(return_N), torch.ones_like(return_N), 0.0
        if rollout >= config.value_warmup:
            scored = score_tokens(self.policy, batch.sequences, self.precision, config.temperature)
            old_N, advantage_N = batch.old_logp_BT[row_N, position_N], batch.advantages_BT[row_N, position_N]
            logp_N = scored.logp_N.detach()
            ratio_N, approximate_kl = (logp_N - old_N).exp(), self._mean(k3(old_N, logp_N), count)
            policy_N = ppo_clip(scored.logp_N, old_N, advantage_N, config.clip)
            if approximate_kl > config.kl_stop:
                self._stopped = rollout  # this minibatch trains the critic alone, and it is the rollout's last
            else:
                total = total + policy_N.sum()
                if config.entropy_weight:
                    total = total - config.entropy_weight * entropy(scored.logits_NV).sum()
        spread_N = (ratio_N - self._mean(ratio_N, count)) ** 2
        return total, {
            "loss": float(total.detach()) / len(row_N),
            "policy_loss": float(policy_N.detach().mean()),
            "value_loss": float(value_N.detach().mean()),
            "clipped": float(((ratio_N - 1).abs() > config.clip).float().mean()),
            "ratio_deviation": float((ratio_N - 1).abs().mean()),
            "ratio_variance": float(spread_N.mean()),
            "approximate_kl": approximate_kl,
            **self._rollout[2],
        }

    def _mean(self, value_N: Tensor, count: float) -> float:
        """Over the own tokens of all processes' rows."""
        return self.engine.total(float(value_N.sum())) / count

    # -- the gold monitor -------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        """Sample on held-out prompts, always with the same seed; let the monitor see reward and gold."""
        self.policy.eval()
        answers = self._sample(self.monitor_prompts, seed_of(self.seed, self.name, "monitor"))
        rows = answers_batch(self.monitor_prompts, answers, self.pad).to(device_of(self.policy))
        scored = score_tokens(self.policy, rows, self.precision, self.config.temperature)
        reference_NV, _ = self._reference(rows)
        kl_B = scored.per_row(exact_kl(scored.logits_NV, reference_NV), len(rows.ids_BT))
        reward = float(self.ensemble.combine(self.ensemble.normalised(rows)).mean())
        figures: Metrics = {"reward": reward}
        if self.gold is not None:
            figures["gold"] = sum(self.gold(i, ids) for i, ids in enumerate(answers.ids)) / max(len(answers.ids), 1)
        return {
            **figures,
            "kl": float(kl_B.mean()),
            "length": float(rows.scored_BT.sum(1).float().mean()),
            "end_rate": sum(answers.finished) / max(len(answers.finished), 1),
            "distinct_2": distinct(answers.ids, 2),
            "repeated_4": repeated(answers.ids, 4),
        }

    def observe(self, step: int, figures: Metrics) -> None:
        """Called by the loop with each evaluation, so that the monitor's memory is saved with the checkpoint."""
        if "gold" in figures:
            self.monitor.see(step, figures["reward"], figures["gold"])

    def stop_reason(self) -> str | None:
        if self.config.stop_on_divergence and float(self.monitor.strikes) >= 2:
            return "the reward rose while the gold score fell, on two checks: the policy is exploiting the reward model"
        return None

    @property
    def best_step(self) -> int | None:
        return int(self.monitor.best[1]) if self.gold is not None else None


def require_shareable(config: PpoConfig, engine: Engine) -> None:
    """ConfigError for what several processes cannot share."""
    if engine.kind == "fsdp2":
        raise ConfigError(
            "ppo does not run with engine = fsdp2: processes that sample answers of unequal length cannot gather "
            "weights in step",
            "--set engine=ddp (with --model: --engine ddp)",
        )
    if config.rows // config.minibatches < engine.world:
        raise ConfigError(
            f"ppo.rows = {config.rows} in {config.minibatches} minibatches leaves some of {engine.world} processes "
            "without a row",
            f"at least ppo.rows={config.minibatches * engine.world} (with --model: --batch)",
        )
