"""A run's configuration: YAML plus ``--set a.b=c`` -> frozen, validated models.

Unknown keys are refused with "did you mean"; every value has a range; the resolved config, with every default,
is saved with the run (``runs/<name>/config.yaml``).
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class UserError(Exception):
    """Something the user can mend: shown as one line and a hint, never as a traceback. `code` is the exit code."""

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class ConfigError(UserError):
    """A bad configuration (exit code 2, as for any usage error)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, code=2)


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Section):
    """What the curriculum makes of the knowledge base. Counts are a fact's, before any limit on tokens."""

    document_wordings: int = Field(6, ge=1, le=12, description="pretraining sentences a fact")
    questions: int = Field(24, ge=1, le=400, description="SFT dialogues a fact, wordings and numbers varied")
    unknown_share: float = Field(0.12, ge=0, le=0.5, description="SFT share: drugs nobody knows (abstain)")
    missing_share: float = Field(0.08, ge=0, le=0.5, description="SFT share: the deciding value left out (ask)")
    pairs: int = Field(8, ge=1, le=100, description="preference pairs a fact")
    items: float = Field(1.0, gt=0, le=10, description="size of the exam, 1 = DOMAIN.md's sizes")
    facts_limit: int = Field(0, ge=0, description="0: all facts; otherwise the first N by salted hash (smoke)")


class TokenizerConfig(Section):
    vocabulary: int = Field(3072, ge=320, le=65536)


class ModelConfig(Section):
    """The small Llama trained from random weights. 64-wide heads; tied embeddings."""

    width: int = Field(384, ge=32, le=4096, multiple_of=32)
    layers: int = Field(2, ge=1, le=64)
    heads: int = Field(6, ge=1, le=64)
    mlp_width: int = Field(1024, ge=32, le=16384)
    positions: int = Field(1024, ge=64, le=32768, description="rotary positions, whatever the training length")
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _divides(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


class OptimiserConfig(Section):
    kind: Literal["muon", "adamw"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0, le=1, description="AdamW's rate (embeddings, norms, heads; all with adamw)")
    muon_learning_rate: float = Field(0.005, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1)
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon's")
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(1e-8, gt=0)
    warmup: int = Field(20, ge=0, description="steps of linear warm-up")
    decay: float = Field(0.4, ge=0, le=1, description="share of the steps, at the end, over which the rate falls to 0")
    clip: float = Field(1.0, gt=0, description="largest gradient norm")


class FitConfig(Section):
    """How the one loop runs a stage."""

    steps: int = Field(ge=1)
    micro_batches: int = Field(1, ge=1)
    evaluate_every: int = Field(100, ge=1)
    checkpoint_every: int = Field(200, ge=1, description="rounded up to a multiple of the objective's stride")
    keep_checkpoints: int = Field(2, ge=1)
    budget_s: float = Field(gt=0, description="seconds this stage is meant to take on 2 cores; told when exceeded")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    optimiser: OptimiserConfig = OptimiserConfig()


class StageConfig(Section):
    """What every stage has."""

    parent: str = ""  # where it starts: a stage of this run, or a path given by --parent
    fit: FitConfig


class LoraConfig(Section):
    kind: Literal["none", "lora", "qlora"] = "none"
    rank: int = Field(16, ge=1, le=512)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "v_proj")


class NextTokenConfig(StageConfig):
    """Pretraining and supervised fine-tuning."""

    tokens: int = Field(4096, ge=64, description="tokens an optimiser step, prompt and answer together")
    row: int = Field(256, ge=32, le=8192, description="length of a packed row")
    packing: bool = True
    replay: float = Field(0.0, ge=0, le=0.9, description="share of pretraining text mixed into SFT")
    lora: LoraConfig = LoraConfig()


class RewardConfig(StageConfig):
    """Bradley-Terry reward models."""

    members: int = Field(3, ge=1, le=9)
    pairs: int = Field(32, ge=1, description="pairs an optimiser step")
    bootstrap: bool = True
    centering: float = Field(0.0, ge=0, description="lambda of lambda * (r_chosen + r_rejected)^2")
    aggregate: Literal["mean", "min", "mean_minus_std"] = "mean_minus_std"
    std_weight: float = Field(0.5, ge=0, description="lambda of mean - lambda * std")
    min_accuracy: float = Field(0.75, ge=0, le=1, description="PPO's gate: the lower end of the held-out interval")
    lora: LoraConfig = LoraConfig()


class PpoConfig(StageConfig):
    """Proximal policy optimisation with KL control. `fit.steps` counts optimiser steps: rollouts * epochs * minibatches."""

    reward: str = "reward"
    rows: int = Field(128, ge=2, description="answers a rollout")
    epochs: int = Field(2, ge=1, le=16)
    minibatches: int = Field(2, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(80, ge=1)
    clip: float = Field(0.2, ge=0)
    value_clip: float = Field(0.2, ge=0, description="0: off")
    value_weight: float = Field(0.5, ge=0)
    value_learning_rate: float = Field(1e-3, gt=0)
    value_warmup: int = Field(2, ge=0, description="rollouts in which only the critic learns")
    gamma: float = Field(1.0, gt=0, le=1)
    lam: float = Field(0.95, ge=0, le=1)
    entropy_weight: float = Field(0.0, ge=0)
    kl_target: float = Field(3.0, gt=0, le=5, description="nats an answer, exact over the vocabulary")
    kl_coefficient: float = Field(0.05, ge=0, description="beta at the start; 0 with kl_control off: no penalty")
    kl_control: bool = True
    kl_horizon: int = Field(0, ge=0, description="in answers; 0: four rollouts")
    kl_floor: float = Field(1e-3, ge=0)
    kl_ceiling: float = Field(10.0, gt=0)
    kl_stop: float = Field(0.2, gt=0, description="mean approximate KL per token that ends a rollout's updates early")
    no_stop_penalty: float = Field(2.0, ge=0, description="taken from a truncated answer's reward, in units of its sd")
    monitor_every: int = Field(5, ge=1, description="rollouts between gold scores on held-out prompts")
    monitor_prompts: int = Field(96, ge=1)
    stop_on_divergence: bool = True
    lora: LoraConfig = LoraConfig()


class DpoConfig(StageConfig):
    """Direct preference optimisation."""

    pairs: int = Field(32, ge=1)
    beta: float = Field(0.1, gt=0)
    variant: Literal["sigmoid", "conservative", "ipo"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="conservative only")
    anchor: float = Field(0.2, ge=0, description="weight of the mean NLL of the chosen answer")
    lora: LoraConfig = LoraConfig()


class EvaluationConfig(Section):
    rows: int = Field(256, ge=1, description="answers decoded together")
    max_new_tokens: int = Field(96, ge=8)
    samples: int = Field(4, ge=1, le=16, description="answers at temperature 1 a prompt, for usefulness")
    sampled_prompts: int = Field(240, ge=1)
    bootstrap: int = Field(2000, ge=100)


class RunConfig(Section):
    """One run of the whole pipeline."""

    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    pretrain: NextTokenConfig
    sft: NextTokenConfig
    reward: RewardConfig
    ppo: PpoConfig
    dpo: DpoConfig
    evaluation: EvaluationConfig = EvaluationConfig()


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML file, apply ``a.b=c`` overrides (values are YAML), validate. ConfigError says what, where, what is allowed."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(f"no config file {path}", f"there is: {', '.join(near)}" if near else "") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of sections, found {type(raw).__name__}")
    for item in overrides or []:
        _override(raw, item)
    return validate(raw)


def validate(raw: dict[str, Any]) -> RunConfig:
    """Validate a plain mapping; the first problem becomes a ConfigError with its path."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        raise _explain(error.errors()[0]) from None


def dump_config(config: RunConfig) -> str:
    """YAML text with every default, in the order of the schema."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _override(raw: dict[str, Any], item: str) -> None:
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {item!r} is not of the form section.key=value")
    node = raw
    *parents, last = key.split(".")
    for name in parents:
        child = node.setdefault(name, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {item!r}: {name!r} is a value, not a section")
        node = child
    try:
        node[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {item!r}: {value!r} is not a YAML value") from None


def _explain(problem: Any) -> ConfigError:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        *parents, name = problem["loc"]
        known = _keys(parents)
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
        hint = f"did you mean {'.'.join([*map(str, parents), near[0]])}?" if near else f"known keys: {', '.join(known)}"
        return ConfigError(f"unknown config key {path}", hint)
    if problem["type"] == "missing":
        return ConfigError(f"the config lacks {path}", "start from configs/laptop.yaml")
    value = problem.get("input")
    shown = f" = {value!r}" if not isinstance(value, dict) else ""
    return ConfigError(f"bad value {path}{shown}", problem["msg"][0].lower() + problem["msg"][1:])


def _keys(parents: list[Any]) -> list[str]:
    model: Any = RunConfig
    for name in parents:
        field = model.model_fields.get(str(name)) if isinstance(model, type) else None
        if field is None:
            return []
        model = field.annotation
    return list(model.model_fields)
