"""Muon for hidden matrices, AdamW for everything else, under one schedule. Legend: (R, C) rows and columns of a weight.

Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers"; torch.optim.Muon): the momentum of a weight matrix is
replaced by the nearest matrix whose singular values are all 1, so that every direction moves by the same amount.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from posology.config import OptimiserConfig
from posology.errors import UserError
from posology.models.gain import last_gain
from posology.models.precision import cpu_has_bf16
from posology.models.sharded import like, whole

METRICS = {
    "gradient_norm": "norm of the gradient of the mean loss, before clipping, over all modules",
    "rate": "the schedule's factor on every learning rate, 0 to 1",
}

# x <- a x + b x^3 + c x^5 in turn, on singular values. Each triple is the minimax fit to 1 on the interval that the one
# before leaves, from [0.002, 1], with a safety factor of 1.01 on all but the last (Amsel et al. 2025, "The Polar
# Express"). Four steps leave [0.67, 1.33]; the five of Jordan's one triple leave [0.68, 1.20] and cost more: for a
# 384 x 2 Llama on two cores Muon's step takes 85 ms so, torch.optim.Muon's 130 ms, beside 500 ms for the gradient of
# 4,096 tokens. On a small recall task (four seeds, 120 steps) the loss ended .06 lower than with torch.optim.Muon.
POLAR = (
    (8.3434, -24.2028, 17.5950),
    (4.0723, -2.9701, 0.5472),
    (3.6869, -2.7028, 0.5173),
    (2.8062, -2.0943, 0.4657),
)
HEADS = ("lm_head", "head", "score", "value_head", "v_head", "embed_out", "output")  # layers whose output is read


def schedule(step: int, total: int, warmup: int, decay: float) -> float:
    """Factor on the learning rates of update `step` (from 0) of `total`: linear warm-up, constant, linear decay to 0.

    A pure function: the warm-up takes `warmup` updates and reaches 1 with the last of them, the decay takes the last
    `decay` share and would reach 0 with the update after the last.
    """
    rising = (step + 1) / warmup if step < warmup else 1.0
    falling = (total - step) / max(decay * total, 1.0)
    return max(min(rising, falling, 1.0), 0.0)


def orthogonalise(matrix_RC: Tensor) -> Tensor:
    """The matrix with its singular values brought to 1 +- 1/3 (those below 0.002 of its norm: as near as they get).

    Computed in bfloat16 where the processor multiplies it in hardware, in float32 elsewhere; returned in that type.
    """
    fast = matrix_RC.device.type != "cpu" or cpu_has_bf16()
    x: Tensor = matrix_RC.to(torch.bfloat16 if fast else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.mT.contiguous() if tall else x  # the Gram matrix below has the shorter side
    x = x / x.norm().clamp_min(1e-7)
    for a, b, c in POLAR:
        gram = x @ x.mT
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        polynomial.diagonal().add_(a)
        x = polynomial @ x
    return x.mT if tall else x


def hidden_matrices(module: nn.Module) -> Iterator[str]:
    """Names of the 2-D weights between layers: not embeddings (nor what is tied to one), heads or adapters."""
    embeddings = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    for name, parameter in module.named_parameters():
        places = name.split(".")[:-1]
        apart = id(parameter) in embeddings or any(place in HEADS or place.startswith("lora_") for place in places)
        if parameter.ndim == 2 and not apart:
            yield name


class Optimiser:
    """One optimiser over several modules. Only parameters that require a gradient are trained, each of them once.

    `learning_rates` overrides AdamW's rate for a module by name (PPO's critic). Weight decay acts on matrices alone.

    With `config.scale_learning_rate` one more number is trained: the log of a factor on the gain of the module "model"'s
    last norm, and so on all its logits. What is likeliest stays so; how sure the policy is of it changes in a few steps,
    where the weights' own small rates would take hundreds (docs/LOG.md).
    """

    def __init__(
        self,
        modules: Mapping[str, nn.Module],
        config: OptimiserConfig,
        total_steps: int,
        learning_rates: Mapping[str, float] | None = None,
    ) -> None:
        self.config, self.total_steps = config, total_steps
        self.parameters: dict[str, nn.Parameter] = {}
        self._module_of: dict[str, str] = {}
        hidden: set[str] = set()
        seen: set[int] = set()
        for module_name, module in modules.items():
            if config.kind == "muon":
                hidden |= {f"{module_name}.{name}" for name in hidden_matrices(module)}
            for name, parameter in module.named_parameters():
                if parameter.requires_grad and id(parameter) not in seen:  # a weight tied across modules is one weight
                    seen.add(id(parameter))
                    self.parameters[f"{module_name}.{name}"] = parameter
                    self._module_of[f"{module_name}.{name}"] = module_name
        self.muon = {name: p for name, p in self.parameters.items() if name in hidden}
        self._momentum: dict[str, Tensor] = {}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, parameter in self.parameters.items():
            if name not in self.muon:
                rate = (learning_rates or {}).get(self._module_of[name], config.learning_rate)
                decay = config.weight_decay if parameter.ndim >= 2 else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
        stepped = [{"params": group, "base": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]
        self.scales: dict[str, nn.Parameter] = {}  # of a gain by name: the log of its factor in one update
        if config.scale_learning_rate:
            name = f"model.{last_gain(modules['model'])}"
            self.scales[name] = nn.Parameter(torch.zeros((), device=self.parameters[name].device))
            stepped.append({"params": [self.scales[name]], "base": config.scale_learning_rate, "weight_decay": 0.0})
        self.adamw = torch.optim.AdamW(
            stepped or [{"params": [nn.Parameter(torch.zeros(0))], "base": 0.0}],  # AdamW refuses an empty list
            betas=config.betas,
            eps=config.eps,
            fused=True,
        )

    def rate(self, step: int) -> float:
        """The schedule's factor at update `step`, counted from 0."""
        return schedule(step, self.total_steps, self.config.warmup, self.config.decay)

    def zero_grad(self) -> None:
        for parameter in self._stepped.values():
            parameter.grad = None

    def clip(self) -> float:
        """Scale each module's gradient down to `config.clip`, by itself: a critic's must not shrink its policy's.

        Returns the norm over all of them before that; when it is not finite, nothing has been scaled.
        """
        gradients: dict[str, list[Tensor]] = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                gradients.setdefault(self._module_of[name], []).append(parameter.grad)
        norms = {module: float(whole(nn.utils.get_total_norm(group))) for module, group in gradients.items()}
        total = math.hypot(*norms.values())
        if math.isfinite(total):
            for module, group in gradients.items():
                if norms[module] > self.config.clip:
                    torch._foreach_mul_(group, self.config.clip / norms[module])
        return total

    @torch.no_grad()
    def step(self, step: int) -> None:
        """Update `step`, counted from 0, with the gradients that are there; a parameter without one stays."""
        factor = self.rate(step)
        for group in self.adamw.param_groups:
            group["lr"] = group["base"] * factor
        for name, log_factor in self.scales.items():
            gain = self.parameters[name]
            log_factor.zero_()
            log_factor.grad = None if gain.grad is None else whole((gain.grad * gain).sum()).float()
        self.adamw.step()
        for name, log_factor in self.scales.items():
            self.parameters[name].mul_(math.exp(float(log_factor)))
        for name, parameter in self.muon.items():
            if parameter.grad is not None:
                self._muon_step(name, parameter, parameter.grad, self.config.muon_learning_rate * factor)

    def _muon_step(self, name: str, parameter: Tensor, gradient: Tensor, rate: float) -> None:
        """As torch.optim.Muon: Nesterov momentum, decoupled weight decay, rate * sqrt(max(1, rows / columns))."""
        if name not in self._momentum:
            self._momentum[name] = torch.zeros_like(parameter)
        momentum, beta = self._momentum[name], self.config.momentum
        momentum.lerp_(gradient, 1 - beta)
        update = orthogonalise(gradient.lerp(momentum, beta))
        rows, columns = parameter.shape
        parameter.mul_(1 - rate * self.config.weight_decay)
        parameter.add_(update, alpha=-rate * math.sqrt(max(1.0, rows / columns)))

    @property
    def _stepped(self) -> dict[str, nn.Parameter]:
        """Everything that AdamW or Muon steps, by name."""
        return {**self.parameters, **{f"{name}.scale": log_factor for name, log_factor in self.scales.items()}}

    # -- saving -----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Everything it remembers, flat: "model.norm.weight/exp_avg" and so on. The tensors themselves, not copies."""
        tensors = {f"{name}/momentum": buffer for name, buffer in self._momentum.items()}
        for name, parameter in self._stepped.items():
            for slot, value in self.adamw.state.get(parameter, {}).items():
                tensors[f"{name}/{slot}"] = value
        return tensors

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `state` gave, bit for bit. UserError when it belongs to other parameters."""
        self._momentum.clear()
        self.adamw.state.clear()
        for key, value in tensors.items():
            name, _, slot = key.rpartition("/")
            parameter = self._stepped.get(name)
            if parameter is None or (slot != "step" and value.shape != parameter.shape):
                raise UserError(f"the optimiser's state holds {key} {tuple(value.shape)}, which no parameter here fits")
            # Copies: the loaded tensors are views of one file's bytes, and these change in place.
            if slot == "momentum":
                self._momentum[name] = like(value, parameter)
            elif slot == "step":
                self.adamw.state[parameter][slot] = value.to(parameter.device, copy=True)
            else:
                self.adamw.state[parameter][slot] = like(value, parameter)


def build(
    modules: Mapping[str, nn.Module],
    config: OptimiserConfig,
    total_steps: int,
    learning_rates: Mapping[str, float] | None = None,
) -> Optimiser:
    """The optimiser that a config asks for. UserError when no parameter is there to train."""
    optimiser = Optimiser(modules, config, total_steps, learning_rates)
    if not optimiser.parameters:
        raise UserError("nothing to train: no parameter of the model requires a gradient")
    return optimiser
