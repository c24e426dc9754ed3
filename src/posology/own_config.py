"""Settings of a run on a user's own model and data: what the options of `posology sft --model` and the like become.

Saved as the run's config.yaml, a section a stage. Apart from RunConfig, which describes the taught knowledge base from
random weights to the exam: here model and data are the user's, and lengths are epochs of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError

from posology.config import ConfigError, LoraConfig, Section, UserError

# Settings that say where things lie or how a machine does the work: they may differ when a run goes on.
FREE = ("device", "engine", "model", "data", "validation", "reward", "checkpoint_every", "on_bad_row")


class ReadingConfig(Section):
    """How the user's files are read (intake/options.py says what each means)."""

    columns: dict[str, str] = Field(default_factory=dict)
    labels: tuple[str, ...] = ("factual",)
    evidence: Literal["strip", "keep"] = "strip"
    on_bad_row: Literal["stop", "skip"] = "stop"


class OwnLoraConfig(Section):
    """Adapters. `targets`: () is the family's query and value projections; ("all-linear",) every linear layer."""

    kind: Literal["none", "lora", "qlora"] = "lora"
    bits: Literal[4, 8] = 4  # of qlora
    rank: int = Field(16, ge=1, le=1024)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = ()

    @property
    def adapters(self) -> LoraConfig | None:
        """For models/lora.py; None where all weights are trained."""
        if self.kind == "none":
            return None
        return LoraConfig(
            kind="lora", rank=self.rank, alpha=self.alpha, dropout=self.dropout, targets=self.targets
        )  # quantised or not, adapters are the same

    @property
    def quantised(self) -> int:
        return self.bits if self.kind == "qlora" else 0


class OwnStageConfig(Section):
    """What the stages share."""

    model: str = Field(min_length=1, description="a folder, a run, or a model of the hub")
    data: str = Field(min_length=1)
    validation: str = ""
    reading: ReadingConfig = ReadingConfig()
    chat_template: bool = False
    lora: OwnLoraConfig = OwnLoraConfig()
    epochs: int = Field(2, ge=1, le=1000)
    batch: int = Field(8, ge=1, le=65536, description="rows (or pairs) an optimiser step")
    micro_batch: int = Field(0, ge=0, description="rows a process works on at a time; 0: its share of the batch")
    learning_rate: float = Field(2e-4, gt=0, le=1)
    warmup: float = Field(0.03, ge=0, lt=1, description="share of the steps in which the rate rises")
    max_tokens: int = Field(512, ge=8, le=1_000_000, description="longest row, prompt and answer together")
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    checkpointing: bool = Field(True, description="recompute activations in the backward pass")
    checkpoint_every: int = Field(0, ge=0, description="steps; 0: an epoch")
    seed: int = Field(0, ge=0)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    engine: Literal["single", "ddp", "fsdp2"] = Field("single", description="of several processes: docs/many-gpus.md")


class OwnPretrainConfig(OwnStageConfig):
    """Continued pretraining on plain texts. `split_sections`: each section of a text is one to read."""

    epochs: int = Field(1, ge=1, le=1000)
    packing: bool = True
    split_sections: bool = False


class OwnSftConfig(OwnStageConfig):
    """Supervised fine-tuning."""

    packing: bool = False


class OwnDpoConfig(OwnStageConfig):
    """Direct preference optimisation. `from_factual`: `data` holds factual examples, of which pairs are made."""

    epochs: int = Field(1, ge=1, le=1000)
    learning_rate: float = Field(5e-5, gt=0, le=1)
    from_factual: bool = False
    beta: float = Field(0.1, gt=0)
    variant: Literal["sigmoid", "conservative", "ipo"] = "sigmoid"
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)
    anchor: float = Field(0.2, ge=0)


class OwnRewardConfig(OwnStageConfig):
    """Bradley-Terry reward models."""

    epochs: int = Field(1, ge=1, le=1000)
    learning_rate: float = Field(1e-4, gt=0, le=1)
    members: int = Field(1, ge=1, le=9)
    min_accuracy: float = Field(0.55, ge=0, le=1, description="PPO's gate: the lower end of the held-out interval")


class OwnPpoConfig(OwnStageConfig):
    """PPO with KL control, on the prompts of examples."""

    reward: str = Field(min_length=1)
    learning_rate: float = Field(1e-5, gt=0, le=1)
    rollouts: int = Field(20, ge=1)
    batch: int = Field(32, ge=2, description="answers a rollout")
    max_new_tokens: int = Field(150, ge=1)
    kl_target: float = Field(3.0, gt=0, le=5)


S = TypeVar("S", bound=OwnStageConfig)


class OwnConfig(Section):
    """The stages of one run; those that were not asked for are absent."""

    kind: Literal["own"] = "own"
    pretrain: OwnPretrainConfig | None = None
    sft: OwnSftConfig | None = None
    dpo: OwnDpoConfig | None = None
    reward: OwnRewardConfig | None = None
    ppo: OwnPpoConfig | None = None


def own_settings(section: type[S], values: dict[str, Any]) -> S:
    """Validated settings; ConfigError that names the option of the command line."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][-1] if problem["loc"] else "model")
        option = "--lora" if name == "kind" else "--" + name.replace("_", "-")
        raise ConfigError(f"bad value {option} = {problem.get('input')!r}", problem["msg"]) from None


def load_own_config(path: Path) -> OwnConfig:
    """A run's config.yaml; an empty one where there is none. UserError where the run is of the other kind."""
    if not path.is_file():
        return OwnConfig()
    raw = _read(path)
    if raw.get("kind") != "own":
        raise UserError(f"{path} belongs to a run of another kind (posology run)", "take another name with --run")
    try:
        return OwnConfig.model_validate(raw)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{path}: bad value {place}: {problem['msg']}", "correct it, or take another run") from None


def is_own(path: Path) -> bool:
    """Whether a config.yaml is that of a run on a user's own model and data."""
    return path.is_file() and _read(path).get("kind") == "own"


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UserError(f"{path} is damaged: it is no YAML", "restore it, or take another name with --run") from None
    return raw if isinstance(raw, dict) else {}


def dump_own_config(config: OwnConfig) -> str:
    """YAML text with every default."""
    text: str = yaml.safe_dump(config.model_dump(mode="json", exclude_none=True), sort_keys=False, allow_unicode=True)
    return text
