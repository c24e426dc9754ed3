"""Loading and saving language models in Hugging Face's layout: safetensors, no remote code, local folders."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM

from posology.config import LoraConfig, UserError
from posology.models.lora import apply_lora, is_lora, merge, save_adapter
from posology.models.quiet import quiet

FINGERPRINT = "posology_tokenizer"  # the key in config.json that names the tokenizer a model was trained with


def load_language_model(
    path: Path | str,
    lora: LoraConfig | None = None,
    *,
    tokenizer: str | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Any:
    """The causal LM saved in a local folder, on `device`, with fresh adapters where `lora` asks for them.

    `tokenizer` is a tokenizer's fingerprint: a model trained with another one is refused. UserError for a path that
    is no folder, damaged or missing files, pickled weights, and models that need code of their own.
    """
    folder = checked_folder(path)
    config = read_config(folder)
    require_tokenizer(config, tokenizer, folder)
    model = load_weights(AutoModelForCausalLM, folder, config, dtype).to(device)
    return apply_lora(model, lora, seed) if lora is not None else model


def save_language_model(model: Any, folder: Path, *, tokenizer: str | None = None) -> None:
    """Write config.json and model.safetensors that plain transformers reads.

    A model with LoRA is written merged, with the adapters alone beside it in `adapter/`. `tokenizer` is the
    fingerprint to keep in config.json.
    """
    folder = Path(folder)
    plain = model
    if is_lora(model):
        save_adapter(model, folder / "adapter")
        plain = merge(copy.deepcopy(model))
    if tokenizer is not None:
        setattr(plain.config, FINGERPRINT, tokenizer)
    with quiet():
        plain.save_pretrained(str(folder), safe_serialization=True)


def require_tokenizer(config: Any, tokenizer: str | None, folder: Path) -> None:
    """UserError when the model of `config` says that it was trained with another tokenizer."""
    trained_with = getattr(config, FINGERPRINT, None)
    if tokenizer is not None and trained_with is not None and trained_with != tokenizer:
        raise UserError(
            f"tokenizer and checkpoint do not belong together: {folder} was trained with tokenizer "
            f"{trained_with[:12]}, this one is {tokenizer[:12]}",
            "use the tokenizer that lies in the checkpoint's own folder",
        )


def checked_folder(path: Path | str) -> Path:
    """`path` as a folder with config.json and safetensors weights, otherwise a UserError."""
    folder = Path(path)
    if not folder.is_dir():
        hint = "only local folders are read; fetch a hub model first: `hf download NAME --local-dir FOLDER`"
        raise UserError(f"no model folder {path}", hint)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no model: config.json is missing", "give a stage's final folder")
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        why = "only pickled weights, which can run code when they are read" if pickled else "no *.safetensors"
        raise UserError(f"{folder} has {why}", "convert the weights to safetensors" if pickled else "")
    return folder


def load_weights(auto_class: Any, folder: Path, config: Any, dtype: torch.dtype) -> Any:
    """A model of `auto_class` with every weight from `folder`; UserError for a damaged file or a missing weight."""
    try:
        with quiet():
            model, report = auto_class.from_pretrained(
                str(folder),
                config=config,
                dtype=dtype,
                attn_implementation=attention_of(config),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
            )
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the model in {folder}: {_one_line(error)}", "the files are damaged") from None
    lost = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise UserError(f"the weights in {folder} lack {lost[0]}{more}", "the files are damaged or of another model")
    model.eval()
    return model


def attention_of(config: Any) -> str:
    """torch's own attention, but for families that bend the scores on their way (Gemma 2), which it cannot do."""
    return "eager" if getattr(config.get_text_config(), "attn_logit_softcapping", None) else "sdpa"


def stored_type(config: Any) -> torch.dtype:
    """What the weights are kept in, by the config; fp32 where it does not say."""
    dtype = getattr(torch, str(config.dtype or "float32").removeprefix("torch."), torch.float32)
    return dtype if isinstance(dtype, torch.dtype) else torch.float32


def read_config(folder: Path) -> Any:
    """The config in a model's folder; UserError where it is damaged, or names a model that needs its own code."""
    path = folder / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is damaged: {_one_line(error)}") from None
    if not isinstance(raw, dict) or "model_type" not in raw:
        raise UserError(f"{path} names no model_type", "give a stage's final folder")
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if "auto_map" in raw:
            raise UserError(f"{folder} needs code of its own ({raw['model_type']}), which is never run") from None
        raise UserError(f"{path} cannot be used: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
