"""`posology pretrain`, `sft`, `dpo`, `reward` and `ppo`: with --config a stage of the taught run, with --model the user's own model.

One command each, so that what is learnt for the one serves for the other; options of the other kind are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from posology.cli import stages
from posology.cli.reading import Column, Evidence, Labels, OnBadRow
from posology.cli.stages import Naive, Parent, Runs, Set
from posology.config import ConfigError
from posology.intake.options import parse_columns, parse_labels
from posology.own_config import (
    OwnDpoConfig,
    OwnPpoConfig,
    OwnPretrainConfig,
    OwnRewardConfig,
    OwnSftConfig,
    S,
    load_own_config,
    own_settings,
)
from posology.runs import Stage, open_run, runs_folder

TAUGHT = ("config", "set_", "parent", "naive")  # options of taught runs alone
BOTH = ("name", "runs", "reward", "force")  # and of both kinds; every other is of a user's own model

Config = Annotated[Path | None, typer.Option("--config", help="YAML configuration of a taught run.")]
Model = Annotated[
    str, typer.Option("--model", help="Your model: a folder, a run, a run's stage, or a hub model's name.")
]
Name = Annotated[str, typer.Option("--run", help="The run's name (with --config: by default the file's).")]
Data = Annotated[str, typer.Option("--data", help="Your rows: CSV, JSONL, Parquet, or a dataset's folder.")]
Pairs = Annotated[str, typer.Option("--pairs", help="Preference pairs: prompt (or clinical_note), chosen, rejected.")]
Validation = Annotated[str, typer.Option("--validation", help="Rows that are watched and never trained on.")]
ChatTemplate = Annotated[bool, typer.Option("--chat-template", help="Ask in the form of the model's chat template.")]
Lora = Annotated[str, typer.Option("--lora", help="none, lora or qlora (by bitsandbytes).")]
Bits = Annotated[int, typer.Option("--bits", help="Of quantised weights with --lora qlora: 4 or 8.")]
Rank = Annotated[int, typer.Option("--rank", min=1)]
Alpha = Annotated[float, typer.Option("--alpha", min=0)]
Dropout = Annotated[float, typer.Option("--dropout", min=0, max=0.99, help="Of the adapters.")]
Targets = Annotated[
    str,
    typer.Option(
        "--targets", help="Layers with adapters, with commas, or all-linear; by default the family's q and v."
    ),
]
Epochs = Annotated[int | None, typer.Option("--epochs", min=1)]
Batch = Annotated[int | None, typer.Option("--batch", min=1, help="Rows an optimiser step.")]
MicroBatch = Annotated[
    int, typer.Option("--micro-batch", min=0, help="Rows a process works on at a time; 0: its share of the batch.")
]
LearningRate = Annotated[float | None, typer.Option("--learning-rate", min=0)]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=8, help="Longest row; longer ones are never cut.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, bf16 or fp32.")]
Checkpointing = Annotated[
    bool, typer.Option("--checkpointing/--no-checkpointing", help="Recompute activations to save memory.")
]
CheckpointEvery = Annotated[int, typer.Option("--checkpoint-every", min=0, help="Steps; 0: an epoch.")]
Seed = Annotated[int, typer.Option("--seed", min=0)]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Engine = Annotated[str, typer.Option("--engine", help="single, or under torchrun ddp or fsdp2 (docs/many-gpus.md).")]
AllowDownload = Annotated[bool, typer.Option("--allow-download", help="Fetch a hub model that is not on this machine.")]


def pretrain(
    context: typer.Context, config: Config = None, set_: Set = None, name: Name = "", runs: Runs = Path("runs"),
    model: Model = "", data: Data = "",
    validation: Validation = "", column: Column = None, on_bad_row: OnBadRow = "stop", lora: Lora = "lora", bits: Bits = 4,
    rank: Rank = 16, alpha: Alpha = 32, dropout: Dropout = 0.05, targets: Targets = "", epochs: Epochs = None,
    batch: Batch = None, micro_batch: MicroBatch = 0, learning_rate: LearningRate = None, max_tokens: MaxTokens = 512,
    split_sections: Annotated[bool, typer.Option("--split-sections", help="Read each section of a text by itself.")] = False,
    packing: Annotated[bool, typer.Option("--packing/--no-packing", help="Several short texts in one row.")] = True,
    precision: Precision = "auto", checkpointing: Checkpointing = True, checkpoint_every: CheckpointEvery = 0,
    seed: Seed = 0, device: Device = "auto", engine: Engine = "single", allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Train a language model from random weights on the knowledge base's sentences; with --model and --data, yours goes on
    with plain texts (the column text).
    """
    if _taught(context, config, model):
        stages.pretrain(_given(config), set_, name, runs)
        return
    values = {
        **_shared(model, data, validation, column, "all", "keep", on_bad_row, False, epochs, batch, micro_batch,
                  learning_rate, max_tokens, precision, checkpointing, checkpoint_every, seed, device, engine),
        "lora": _lora(lora, bits, rank, alpha, dropout, targets), "packing": packing, "split_sections": split_sections,
    }  # fmt: skip
    from posology.recipes.own_pretrain import own_pretrain

    _train(own_pretrain, OwnPretrainConfig, "pretrain", values, name, runs, allow_download=allow_download)


def sft(
    context: typer.Context, config: Config = None, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    model: Model = "", data: Data = "", validation: Validation = "", column: Column = None, labels: Labels = "factual",
    evidence: Evidence = "strip", on_bad_row: OnBadRow = "stop", chat_template: ChatTemplate = False,
    lora: Lora = "lora", bits: Bits = 4, rank: Rank = 16, alpha: Alpha = 32, dropout: Dropout = 0.05, targets: Targets = "",
    epochs: Epochs = None, batch: Batch = None, micro_batch: MicroBatch = 0, learning_rate: LearningRate = None,
    max_tokens: MaxTokens = 512,
    packing: Annotated[bool, typer.Option("--packing/--no-packing", help="Several short rows in one.")] = False,
    precision: Precision = "auto", checkpointing: Checkpointing = True, checkpoint_every: CheckpointEvery = 0,
    seed: Seed = 0, device: Device = "auto", engine: Engine = "single", allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Fine-tune a base model on expert answers; with --model and --data, your model on your rows."""
    if _taught(context, config, model):
        stages.sft(_given(config), set_, name, runs, parent)
        return
    values = {
        **_shared(model, data, validation, column, labels, evidence, on_bad_row, chat_template, epochs, batch, micro_batch,
                  learning_rate, max_tokens, precision, checkpointing, checkpoint_every, seed, device, engine),
        "lora": _lora(lora, bits, rank, alpha, dropout, targets), "packing": packing,
    }  # fmt: skip
    from posology.recipes.own_sft import own_sft

    _train(own_sft, OwnSftConfig, "sft", values, name, runs, allow_download=allow_download)


def dpo(
    context: typer.Context, config: Config = None, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    model: Model = "", pairs: Pairs = "",
    from_factual: Annotated[str, typer.Option("--from-factual", help="Factual examples instead of pairs: hard negatives are made.")] = "",
    validation: Validation = "", column: Column = None, labels: Labels = "factual", evidence: Evidence = "strip",
    on_bad_row: OnBadRow = "stop", chat_template: ChatTemplate = False, lora: Lora = "lora", bits: Bits = 4, rank: Rank = 16,
    alpha: Alpha = 32, dropout: Dropout = 0.05, targets: Targets = "", epochs: Epochs = None, batch: Batch = None,
    micro_batch: MicroBatch = 0, learning_rate: LearningRate = None, max_tokens: MaxTokens = 512,
    beta: Annotated[float, typer.Option("--beta", min=0)] = 0.1,
    variant: Annotated[str, typer.Option("--variant", help="sigmoid, conservative or ipo.")] = "sigmoid",
    label_smoothing: Annotated[float, typer.Option("--label-smoothing", min=0, help="Of the conservative variant.")] = 0.0,
    anchor: Annotated[float, typer.Option("--anchor", min=0, help="Weight of the chosen answer's own loss.")] = 0.2,
    precision: Precision = "auto", checkpointing: Checkpointing = True, checkpoint_every: CheckpointEvery = 0,
    seed: Seed = 0, device: Device = "auto", engine: Engine = "single", allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Optimise a fine-tuned model on preference pairs with DPO; with --model, your model on your pairs."""
    if _taught(context, config, model):
        stages.dpo(_given(config), set_, name, runs, parent)
        return
    if pairs and from_factual:
        raise ConfigError("--pairs and --from-factual are both given", "pairs that are there, or pairs that are made")
    values = {
        **_shared(model, pairs or from_factual, validation, column, labels, evidence, on_bad_row, chat_template, epochs,
                  batch, micro_batch, learning_rate, max_tokens, precision, checkpointing, checkpoint_every, seed, device, engine),
        "lora": _lora(lora, bits, rank, alpha, dropout, targets), "from_factual": bool(from_factual), "beta": beta,
        "variant": variant, "label_smoothing": label_smoothing, "anchor": anchor,
    }  # fmt: skip
    from posology.recipes.own_dpo import own_dpo

    _train(own_dpo, OwnDpoConfig, "dpo", values, name, runs, allow_download=allow_download)


def reward(
    context: typer.Context, config: Config = None, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    naive: Naive = False,
    model: Model = "", pairs: Pairs = "", validation: Validation = "", column: Column = None,
    on_bad_row: OnBadRow = "stop", chat_template: ChatTemplate = False, lora: Lora = "lora", rank: Rank = 16,
    alpha: Alpha = 32, dropout: Dropout = 0.05, targets: Targets = "", epochs: Epochs = None, batch: Batch = None,
    micro_batch: MicroBatch = 0, learning_rate: LearningRate = None, max_tokens: MaxTokens = 512,
    members: Annotated[int, typer.Option("--members", min=1, help="Models of the ensemble.")] = 1,
    min_accuracy: Annotated[float, typer.Option("--min-accuracy", min=0, max=1, help="PPO's gate: the interval's lower end.")] = 0.55,
    precision: Precision = "auto", checkpointing: Checkpointing = True, checkpoint_every: CheckpointEvery = 0,
    seed: Seed = 0, device: Device = "auto", engine: Engine = "single", allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Train Bradley-Terry reward models; with --model, on your pairs."""
    if _taught(context, config, model):
        stages.reward(_given(config), set_, name, runs, parent, naive)
        return
    values = {
        **_shared(model, pairs, validation, column, "factual", "strip", on_bad_row, chat_template, epochs, batch, micro_batch,
                  learning_rate, max_tokens, precision, checkpointing, checkpoint_every, seed, device, engine),
        "lora": _lora(lora, 4, rank, alpha, dropout, targets), "members": members, "min_accuracy": min_accuracy,
    }  # fmt: skip
    from posology.recipes.own_reward import own_reward

    _train(own_reward, OwnRewardConfig, "reward", values, name, runs, allow_download=allow_download)


def ppo(
    context: typer.Context, config: Config = None, set_: Set = None, name: Name = "", runs: Runs = Path("runs"), parent: Parent = "",
    naive: Naive = False,
    reward: Annotated[str, typer.Option("--reward", help="The reward models: a run, a stage, or a path such as runs/x/reward.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Start even when the reward model fails its gate.")] = False,
    model: Model = "", data: Data = "", column: Column = None, labels: Labels = "factual", on_bad_row: OnBadRow = "stop",
    chat_template: ChatTemplate = False, lora: Lora = "lora", rank: Rank = 16, alpha: Alpha = 32, dropout: Dropout = 0.05,
    targets: Targets = "", batch: Batch = None, learning_rate: LearningRate = None, max_tokens: MaxTokens = 512,
    rollouts: Annotated[int, typer.Option("--rollouts", min=1)] = 20,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1, help="Of an answer.")] = 150,
    kl_target: Annotated[float, typer.Option("--kl-target", min=0.001, max=5, help="Nats an answer.")] = 3.0,
    precision: Precision = "auto", checkpointing: Checkpointing = True, checkpoint_every: CheckpointEvery = 0,
    seed: Seed = 0, device: Device = "auto", engine: Engine = "single", allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Optimise a fine-tuned model against the reward models with PPO and KL control; with --model, on your prompts."""
    if _taught(context, config, model):
        stages.ppo(_given(config), set_, name, runs, parent, reward, force, naive)
        return
    if not reward:
        raise ConfigError("--model is given without --reward", "the run that `posology reward --model` made")
    values = {
        **_shared(model, data, "", column, labels, "strip", on_bad_row, chat_template, None, batch, 0, learning_rate,
                  max_tokens, precision, checkpointing, checkpoint_every, seed, device, engine),
        "lora": _lora(lora, 4, rank, alpha, dropout, targets), "reward": reward, "rollouts": rollouts,
        "max_new_tokens": max_new_tokens, "kl_target": kl_target,
    }  # fmt: skip
    from posology.recipes.own_ppo import own_ppo

    _train(own_ppo, OwnPpoConfig, "ppo", values, name, runs, allow_download=allow_download, force=force)


# What the commands share ----------------------------------------------------------------------------------------------


def _taught(context: typer.Context, config: Path | None, model: str) -> bool:
    """Whether the command speaks of a taught run. ConfigError where it speaks of both, or of neither."""
    if config is None and not model:
        raise ConfigError("neither --config nor --model is given", "--config for a taught run, --model for your own")
    given = [option for option in context.command.params if option.name and _was_given(context, option.name)]
    other = [option for option in given if option.name not in BOTH and (option.name in TAUGHT) == (config is None)]
    if other:
        kind = "--model" if config is None else "--config"
        hint = "--config for a taught run, --model for your own"
        raise ConfigError(f"{kind} and {other[0].opts[0]} are both given", hint)
    return config is not None


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _given(config: Path | None) -> Path:
    assert config is not None
    return config


def _shared(
    model: str, data: str, validation: str, column: list[str] | None, labels: str, evidence: str, on_bad_row: str,
    chat_template: bool, epochs: int | None, batch: int | None, micro_batch: int, learning_rate: float | None,
    max_tokens: int, precision: str, checkpointing: bool, checkpoint_every: int, seed: int, device: str,
    engine: str,
) -> dict[str, Any]:  # fmt: skip
    """Options -> settings; what was not given is left to the stage's own default."""
    reading = {
        "columns": parse_columns(column or []), "labels": parse_labels(labels), "evidence": evidence,
        "on_bad_row": on_bad_row,
    }  # fmt: skip
    values = {
        "model": model, "data": data, "validation": validation, "reading": reading, "chat_template": chat_template,
        "epochs": epochs, "batch": batch, "micro_batch": micro_batch, "learning_rate": learning_rate,
        "max_tokens": max_tokens, "precision": precision, "checkpointing": checkpointing,
        "checkpoint_every": checkpoint_every, "seed": seed, "device": device, "engine": engine,
    }  # fmt: skip
    return {key: value for key, value in values.items() if value is not None}


def _lora(kind: str, bits: int, rank: int, alpha: float, dropout: float, targets: str) -> dict[str, Any]:
    names = tuple(part.strip() for part in targets.split(",") if part.strip())
    return {"kind": kind, "bits": bits, "rank": rank, "alpha": alpha, "dropout": dropout, "targets": names}


def _train(
    recipe: Callable[..., Stage], section: type[S], name: str, values: dict[str, Any], run_name: str, runs: Path,
    **more: Any,
) -> None:  # fmt: skip
    """Validate, open the run, train, and say where the result lies."""
    if not values.get("data"):
        raise ConfigError("--model is given without rows to learn from", "add --data FILE (for pairs: --pairs FILE)")
    if not run_name:
        raise ConfigError("--model is given without --run", "name the run, for example --run notes")
    settings = own_settings(section, values)
    run = open_run(runs_folder(runs), run_name, create=True)
    load_own_config(run.config_path)  # refuses the name of a taught run
    try:
        stage = recipe(settings, run, stages.progress(), **more)
    except BaseException:
        with suppress(OSError):  # what was refused at once leaves no empty folder
            run.path.rmdir()
        raise
    run.update_manifest(status="finished")
    stages.done(stage.final)
