"""A run's configuration: YAML plus ``--set a.b=c`` -> frozen, validated models.

Unknown keys are refused with "did you mean"; every value has a range; the resolved config, with every default,
is saved with the run (``runs/<name>/config.yaml``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from posology.config_text import explain, override, read_yaml
from posology.errors import ConfigError as ConfigError
from posology.errors import UserError as UserError


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Share = Annotated[float, Field(ge=0, lt=1)]


class DataConfig(Section):
    """What the curriculum makes of the knowledge base. Counts are a fact's, before any limit on tokens."""

    document_wordings: int = Field(6, ge=1, le=12, description="pretraining sentences a fact")
    questions: int = Field(24, ge=1, le=400, description="SFT dialogues a fact, wordings and numbers varied")
    unknown_share: float = Field(0.10, ge=0, le=0.5, description="SFT share: drugs nobody knows (abstain)")
    missing_share: float = Field(0.15, ge=0, le=0.5, description="SFT share: the deciding value left out (ask)")
    pairs: int = Field(8, ge=1, le=100, description="preference pairs a fact")
    items: float = Field(1.0, gt=0, le=10, description="size of the exam, 1 = DOMAIN.md's sizes")
    drugs: tuple[str, ...] = Field(
        (), description="teach these drugs alone (generic names); empty: the whole knowledge base"
    )
    facts_limit: int = Field(0, ge=0, description="0: all facts; otherwise the first N by salted hash (smoke)")


class TokenizerConfig(Section):
    vocabulary: int = Field(3072, ge=320, le=65536)
    phrases: int = Field(512, ge=0, description="of these, tokens of several words, learnt from the answers alone")

    @model_validator(mode="after")
    def _leaves_words(self) -> TokenizerConfig:
        if self.vocabulary - self.phrases < 264:
            raise ValueError(f"phrases {self.phrases} leaves no room for 256 bytes and 8 marks in {self.vocabulary}")
        return self


class ModelConfig(Section):
    """The small Llama trained from random weights. 64-wide heads; tied embeddings."""

    width: int = Field(384, ge=32, le=16384, multiple_of=32)
    layers: int = Field(2, ge=1, le=128)
    heads: int = Field(6, ge=1, le=128)
    kv_heads: int | None = Field(None, ge=1, le=128, description="keys and values shared by heads / kv_heads queries")
    mlp_width: int = Field(1024, ge=32, le=65536)
    positions: int = Field(1024, ge=64, le=32768, description="rotary positions, whatever the training length")
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _divides(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.width // self.heads % 2:
            raise ValueError(f"width {self.width} / heads {self.heads} is odd: rotary positions turn pairs of numbers")
        return self


class OptimiserConfig(Section):
    kind: Literal["muon", "adamw"] = "adamw"
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="AdamW's rate (embeddings, norms, heads; all with adamw)"
    )
    muon_learning_rate: float = Field(0.005, gt=0, le=1)
    weight_decay: float = Field(0.01, ge=0, le=1)
    scale_learning_rate: float = Field(
        0.0,
        ge=0,
        le=1,
        description="AdamW's rate for the log of one factor on all logits: how sure a policy is; 0: none",
    )
    momentum: float = Field(0.95, ge=0, lt=1, description="Muon's")
    betas: tuple[Share, Share] = (0.9, 0.95)
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
    budget_s: float | None = Field(
        gt=0, description="seconds this stage is meant to take on 2 cores; told when exceeded"
    )
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
    limit: int = Field(0, ge=0, description="train on so many pairs, drawn by the seed; 0: all")
    likelihood: bool = Field(True, description="the head also reads the trunk's mean and largest -log p of the answer")
    centering: float = Field(0.0, ge=0, description="lambda of lambda * (r_chosen + r_rejected)^2")
    aggregate: Literal["mean", "min", "mean_minus_std"] = "mean_minus_std"
    std_weight: float = Field(0.5, ge=0, description="lambda of mean - lambda * std")
    probes: int = Field(20, ge=0, description="pairs of each kind of reward-hacking probe; 0: none")
    min_accuracy: float = Field(0.75, ge=0, le=1, description="PPO's gate: the lower end of the held-out interval")
    lora: LoraConfig = LoraConfig()


class PpoConfig(StageConfig):
    """PPO with KL control. `fit.steps` counts optimiser steps: rollouts * epochs * minibatches."""

    reward: str = "reward"
    rows: int = Field(128, ge=2, description="answers a rollout")
    answers_each: int = Field(1, ge=1, description="answers to each prompt; above 1 each is judged against the others")
    abstaining: float = Field(1.0, ge=0, le=1, description="share of the training questions without an answer it asks")
    epochs: int = Field(2, ge=1, le=16)
    minibatches: int = Field(2, ge=1)
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(96, ge=1)
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

    @model_validator(mode="after")
    def _fits(self) -> PpoConfig:
        if self.minibatches > self.rows:
            raise ValueError(f"minibatches {self.minibatches} is more than rows {self.rows}")
        if self.rows % self.answers_each:
            raise ValueError(f"rows {self.rows} is not a multiple of answers_each {self.answers_each}")
        if self.kl_floor > self.kl_ceiling:
            raise ValueError(f"kl_floor {self.kl_floor} is above kl_ceiling {self.kl_ceiling}")
        return self


class DpoConfig(StageConfig):
    """Direct preference optimisation."""

    pairs: int = Field(32, ge=1)
    beta: float = Field(0.1, gt=0)
    variant: Literal["sigmoid", "conservative", "ipo"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5, description="conservative only")
    anchor: float = Field(0.2, ge=0, description="weight of the mean NLL of the chosen answer")
    complete: bool = Field(
        False,
        description="the chosen answer is all that an expert says, where the pair knows it: more is said, and more can be wrong",
    )
    own_mistakes: bool = Field(
        False, description="where the model's own sampled answer is wrong, it is the rejected one"
    )
    lora: LoraConfig = LoraConfig()


class NaiveConfig(Section):
    """A second arm, to be compared with the first: what careless reward modelling and PPO without KL control do.

    Its stages are reward-naive and ppo-naive; both arms start from the same SFT model and see the same prompts.
    """

    reward: RewardConfig
    ppo: PpoConfig

    @model_validator(mode="after")
    def _is_naive(self) -> NaiveConfig:
        if self.reward.members > 1 or self.ppo.kl_control or self.ppo.kl_coefficient:
            raise ValueError("the naive arm has reward.members 1, ppo.kl_control false and ppo.kl_coefficient 0")
        return self


class EvaluationConfig(Section):
    rows: int = Field(256, ge=1, description="answers decoded together")
    max_new_tokens: int = Field(112, ge=8)
    samples: int = Field(4, ge=1, le=16, description="answers at temperature 1 a prompt, for usefulness")
    sampled_prompts: int = Field(240, ge=1)
    best_of: int = Field(
        8, ge=2, le=64, description="answers of SFT from which the reward models choose: PPO's baseline"
    )
    best_of_prompts: int = Field(120, ge=0, description="of the sampled prompts; 0: no such baseline")
    pretrain_share: float = Field(0.1, gt=0, le=1, description="share of the exam that the base model answers")
    closed_book: int = Field(
        200, ge=1, description="questions for a dose, and as many about unknown names, also answered without the engine"
    )
    bootstrap: int = Field(2000, ge=100)
    budget_s: float = Field(80, gt=0, description="seconds that grading all stages is meant to take")


class ClusterConfig(Section):
    """What a config for many GPUs is made for: checked before anything is loaded."""

    processes: int = Field(ge=1, description="one a GPU, over all machines")
    gpu_gib: float = Field(gt=0, description="memory of each GPU")


class RunConfig(Section):
    """One run of the whole pipeline."""

    seed: int = Field(0, ge=0)
    threads: int = Field(2, ge=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("cpu", description="auto: a GPU where one is there")
    engine: Literal["single", "ddp", "fsdp2"] = Field(
        "single", description="ddp, fsdp2: under torchrun, docs/many-gpus.md"
    )
    cluster: ClusterConfig | None = None
    data: DataConfig = DataConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    pretrain: NextTokenConfig
    sft: NextTokenConfig
    reward: RewardConfig
    ppo: PpoConfig
    dpo: DpoConfig | None = None  # none: a run without DPO
    naive: NaiveConfig | None = None  # none: a run without a second arm
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _arms_differ(self) -> RunConfig:
        if self.naive and (self.reward.members == 1 or not self.ppo.kl_control):
            raise ValueError("beside a naive arm the other one has reward.members 2 or more and ppo.kl_control true")
        return self


def load_config(path: Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a YAML file, apply ``a.b=c`` overrides (values are YAML), validate.

    ConfigError says what is wrong, where, and what is allowed.
    """
    raw = read_yaml(path)
    for item in overrides or []:
        override(raw, item)
    return validate(raw)


def validate(raw: dict[str, Any]) -> RunConfig:
    """Validate a plain mapping; the first problem becomes a ConfigError with its path."""
    try:
        return RunConfig.model_validate(raw)
    except ValidationError as error:
        # An unknown key explains a missing one ("ppoo" and no "ppo"), so it is told first.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
        raise explain(problems[0], RunConfig) from None


def dump_config(config: RunConfig) -> str:
    """YAML text with every default, in the order of the schema."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text
