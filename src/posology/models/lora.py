"""LoRA (Hu et al. 2021, eq. 3: h = W x + (alpha / r) B A x) through peft; B starts at zero: step 0 is the base."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import peft
import torch
from torch import nn

from posology.config import ConfigError, LoraConfig, UserError
from posology.models.quiet import quiet


def apply_lora(model: Any, config: LoraConfig, seed: int = 0) -> Any:
    """`model` with adapters as its only trainable weights; with kind "none", `model` itself.

    Raises ConfigError where a target names no layer, UserError where QLoRA is asked for and cannot run.
    """
    if config.kind == "none":
        return model
    if config.kind == "qlora":
        require_qlora()
    _require_targets(model, config.targets)
    task = peft.TaskType.CAUSAL_LM if model.get_output_embeddings() is not None else peft.TaskType.FEATURE_EXTRACTION
    settings = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
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
        model.save_pretrained(str(folder), safe_serialization=True, save_embedding_layers=False)


def load_adapter(model: Any, folder: Path, *, trainable: bool = False) -> Any:
    """`model` with the adapters saved in `folder`."""
    if not (Path(folder) / "adapter_model.safetensors").is_file():
        raise UserError(f"no adapters in {folder}", "adapters are adapter_config.json and adapter_model.safetensors")
    with quiet():
        return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)


def trainable_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def require_qlora() -> None:
    """UserError unless bitsandbytes and a GPU are there."""
    if find_spec("bitsandbytes") is None:
        raise UserError("lora.kind = qlora needs bitsandbytes, which is not installed", "use lora.kind=lora")
    if not torch.cuda.is_available():
        raise UserError("lora.kind = qlora needs a CUDA device, and none is there", "use lora.kind=lora")


def _require_targets(model: nn.Module, targets: tuple[str, ...]) -> None:
    names = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    if missing := [target for target in targets if target not in names]:
        known = ", ".join(sorted(names - {"lm_head"}))
        raise ConfigError(f"lora.targets: no layer is called {missing[0]!r}", f"this model has {known}")
