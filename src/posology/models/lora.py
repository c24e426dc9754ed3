"""LoRA (Hu et al. 2021, eq. 3: h = W x + (alpha / r) B A x) through peft; B starts at zero: step 0 is the base."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors import SafetensorError
from torch import nn

from posology.config import LoraConfig, UserError
from posology.models.families import is_transposed, resolve_targets
from posology.models.quiet import quiet

REFERENCE = "reference"  # the name of a frozen second set of adapters


def apply_lora(model: Any, config: LoraConfig, seed: int = 0) -> Any:
    """`model` with adapters as its only trainable weights; with kind "none", `model` itself.

    Raises ConfigError where a target names no layer, UserError where QLoRA is asked for and cannot run.
    """
    if config.kind == "none":
        return model
    if config.kind == "qlora":
        require_qlora()
    targets = resolve_targets(model, config.targets)
    task = peft.TaskType.CAUSAL_LM if model.get_output_embeddings() is not None else peft.TaskType.FEATURE_EXTRACTION
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # declared int; peft divides it by r, and any number will do
        lora_dropout=config.dropout,
        target_modules=list(targets),
        fan_in_fan_out=is_transposed(model, targets),
        bias="none",
        task_type=task,
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return peft.get_peft_model(model, settings)


def is_lora(model: Any) -> bool:
    return isinstance(model, peft.PeftModel)


def merge(model: Any) -> Any:
    """The plain model with the adapters added into its weights; gives the same logits. A model without adapters is
    returned as it is. The adapters are gone afterwards: save them before."""
    if not is_lora(model):
        return model
    with quiet():
        return model.merge_and_unload()


def save_adapter(model: Any, folder: Path) -> None:
    """The adapters alone, in peft's layout (adapter_config.json, adapter_model.safetensors)."""
    if not is_lora(model):
        raise TypeError("save_adapter wants a model made by apply_lora")
    with quiet():
        model.save_pretrained(
            str(folder), safe_serialization=True, save_embedding_layers=False, selected_adapters=["default"]
        )


def load_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """`model` with the adapters saved in `folder`. UserError where they are missing, damaged, or of another model."""
    if not (Path(folder) / "adapter_model.safetensors").is_file():
        raise UserError(f"no adapters in {folder}", "adapters are adapter_config.json and adapter_model.safetensors")
    try:
        with quiet():
            return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"cannot read the adapters in {folder}: {why}", "damaged, or made for another model") from None


def add_reference(model: Any, folder: Path) -> Any:
    """`model`, whose adapters are trained further, with those in `folder` as a frozen second set: its reference."""
    with quiet():
        model.load_adapter(str(folder), REFERENCE, is_trainable=False)
    model.set_adapter("default")
    return model


@contextmanager
def reference_policy(model: Any) -> Iterator[None]:
    """Inside, `model` is its own reference: with its second set of adapters where it has one, otherwise with none.

    For passes without gradient, between others. Which weights require gradients stays as it is, though peft freezes what
    it switches off: FSDP2 settles the type of gradients at its first pass, by what is trained then.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with _second_set(model) if REFERENCE in model.peft_config else model.disable_adapter():
        for parameter in trained:
            parameter.requires_grad_(True)
        yield


@contextmanager
def _second_set(model: Any) -> Iterator[None]:
    model.set_adapter(REFERENCE, inference_mode=True)
    try:
        yield
    finally:
        model.set_adapter("default")


def trainable_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def require_qlora() -> None:
    """UserError unless bitsandbytes is there."""
    if find_spec("bitsandbytes") is None:
        raise UserError(
            "lora.kind = qlora needs bitsandbytes, which is not installed",
            "pip install 'posology[quantisation]', or use lora.kind=lora (--lora lora)",
        )
