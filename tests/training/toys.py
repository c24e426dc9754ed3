"""Objectives small enough to train in a test: a regression with dropout, and one with strides and adaptive state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from posology.config import FitConfig, OptimiserConfig
from posology.runs import Stage
from posology.seeds import seed_of
from posology.training.objective import Metrics

OPTIMISER = OptimiserConfig(kind="muon", learning_rate=0.02, muon_learning_rate=0.02, warmup=3, decay=0.3)


@dataclass(frozen=True)
class Rows:
    inputs: Tensor
    targets: Tensor

    @property
    def weight(self) -> float:
        return float(len(self.inputs))

    @property
    def rows_in(self) -> int:
        return len(self.inputs)

    def rows(self, index: slice) -> Rows:
        return Rows(self.inputs[index], self.targets[index])


def generator(*names: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(0, *names))


def network(name: str = "net", dropout: float = 0.2) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(0, name))
        return nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 12), nn.Linear(12, 1))


class Regression:
    """y = x . w by a small network with dropout; `parts` ragged micro-batches a step."""

    stride = 1
    expected_start = (0.0, 100.0, "what a test says")

    def __init__(self, parts: Sequence[int] = (3, 5), dropout: float = 0.2, poison: int = -1) -> None:
        self.name, self.parts, self.poison = "regression", parts, poison
        self.modules: Mapping[str, nn.Module] = {"model": network(dropout=dropout)}
        self.truth = torch.randn(5, 1, generator=generator("truth"))
        self.asked: list[int] = []

    def batch(self, step: int) -> Sequence[Rows]:
        if not self.asked:
            torch.rand(5)  # making a cache may draw, once a sitting: dropout must not notice
        self.asked.append(step)
        x = torch.randn(sum(self.parts), 5, generator=generator("rows", step))
        y = x @ self.truth
        if step == self.poison:
            y[-1] = float("nan")
        return [Rows(a, b) for a, b in zip(x.split(list(self.parts)), y.split(list(self.parts)), strict=True)]

    def loss(self, batch: Rows) -> tuple[Tensor, Metrics]:
        error = (self.modules["model"](batch.inputs) - batch.targets) ** 2
        return error.sum(), {"loss": float(error.detach().mean())}

    @torch.no_grad()
    def evaluate(self) -> Metrics:
        self.modules["model"].eval()
        torch.rand(3)  # an evaluation may draw: training must not notice
        (batch,) = self._heldout()
        return {"loss": float(self.loss(batch)[0]) / batch.weight}

    def _heldout(self) -> list[Rows]:
        x = torch.randn(64, 5, generator=generator("held out"))
        return [Rows(x, x @ self.truth)]


class Adaptive(nn.Module):
    """A coefficient that training changes, kept as PPO keeps beta; and what the monitor remembers."""

    value: Tensor
    best: Tensor
    checks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(0.1, dtype=torch.float64))
        self.register_buffer("best", torch.tensor([float("inf"), 0.0], dtype=torch.float64))  # figure, step
        self.register_buffer("checks", torch.tensor(0))


class Strided(Regression):
    """Gathers "experience" from the network itself every 4 steps, as PPO does; one step in four is sat out."""

    stride = 4

    def __init__(self, stop_after: int = 0) -> None:
        super().__init__()
        self.name, self.stop_after = "strided", stop_after
        self.adaptive, self.critic = Adaptive(), network("critic")
        self.modules = {"model": self.modules["model"], "critic": self.critic, "adaptive": self.adaptive}
        self.learning_rates = {"critic": 0.001}
        self._gathered: tuple[int, Tensor, Tensor] | None = None

    def batch(self, step: int) -> Sequence[Rows]:
        self.asked.append(step)
        turn, within = divmod(step, self.stride)
        if self._gathered is None or self._gathered[0] != turn:
            x = torch.randn(12, 5, generator=generator("turn", turn))
            with torch.no_grad():
                y = x @ self.truth + self.adaptive.value.float() * self.modules["model"].eval()(x)
            self.adaptive.value.mul_(1 + 0.1 * float(y.mean()))
            self._gathered = (turn, x, y)
        if within == 3:
            return []
        rows = slice(4 * within, 4 * within + 4)
        return [Rows(self._gathered[1][rows], self._gathered[2][rows])]

    def loss(self, batch: Rows) -> tuple[Tensor, Metrics]:
        total, metrics = super().loss(batch)
        return total + ((self.critic(batch.inputs) - batch.targets) ** 2).sum(), metrics

    def evaluate(self) -> Metrics:
        return {**super().evaluate(), "coefficient": float(self.adaptive.value)}

    def observe(self, step: int, figures: Metrics) -> None:
        self.adaptive.checks += 1
        figure = figures["loss"] if self.adaptive.checks <= 3 else 1e9  # after the third check it only gets worse
        if figure < float(self.adaptive.best[0]):
            self.adaptive.best.copy_(torch.tensor([figure, step], dtype=torch.float64))

    def stop_reason(self) -> str | None:
        return "it got worse" if self.stop_after and int(self.adaptive.checks) >= self.stop_after else None

    @property
    def best_step(self) -> int | None:
        return int(self.adaptive.best[1]) if self.stop_after else None


def settings(steps: int = 12, **changes: object) -> FitConfig:
    values = {"steps": steps, "evaluate_every": 4, "checkpoint_every": 4, "budget_s": 1000, "optimiser": OPTIMISER}
    return FitConfig.model_validate({**values, **changes})


def saver(objective: Regression):
    def save(folder: Path, modules: Mapping[str, nn.Module]) -> None:
        for name in objective.modules:
            save_file(dict(modules[name].state_dict()), str(folder / f"{name}.safetensors"))

    return save


def toy_stage(folder: Path, name: str = "sft") -> Stage:
    return Stage(folder / name, name)
