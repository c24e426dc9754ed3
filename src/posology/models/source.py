"""Where a user's model comes from: a folder with a whole model, adapters on one, or a model of the hub.

A run that trained adapters keeps them alone: `final/` holds adapter_config.json, adapter_model.safetensors, the
tokenizer, and posology.json, which says what they belong to. The base stays where it was.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from posology.config import LoraConfig, UserError
from posology.files import atomic_write_json, hash_files, read_json, sha256_text
from posology.models import hub
from posology.models.loading import attention_of, checked_folder, load_language_model, read_config, stored_type
from posology.models.lora import add_reference, apply_lora, is_lora, load_adapter, merge, require_qlora, save_adapter
from posology.models.quiet import quiet

ABOUT = "posology.json"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja", "chat_template.json",
)  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A model that can be opened. `digest` is over its weights, adapters included."""

    folder: Path  # with the tokenizer
    base: Path  # config.json and the whole weights
    name: str  # the base, as the user or the hub calls it
    revision: str  # commit of a hub model; "" for a folder
    base_digest: str
    digest: str
    about: dict[str, Any]  # what posology.json says; {} for a model from elsewhere

    @property
    def adapter(self) -> Path | None:
        """The folder of the adapters; None for a whole model."""
        return None if self.folder == self.base else self.folder

    @property
    def bits(self) -> int:
        """4 or 8 where the adapters were trained on quantised weights, otherwise 0."""
        return int(self.about.get("bits", 0))

    def described(self) -> dict[str, str]:
        """For manifests."""
        return {"name": self.name, "revision": self.revision, "sha256": self.digest}


def open_source(folder: Path, *, allow_download: bool = False) -> Source:
    """The model in a local folder. UserError for one that is no model, and for adapters whose base is gone or changed."""
    about = read_json(folder / ABOUT) if (folder / ABOUT).is_file() else {}
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        return _adapter_source(folder, about, allow_download)
    digest = hash_files(checked_folder(folder), "*.safetensors", "config.json")
    return Source(folder, folder, str(about.get("name", folder)), str(about.get("revision", "")), digest, digest, about)


def hub_source(name: str, revision: str = "", *, allow_download: bool = False) -> Source:
    """A model of the hub, in this machine's cache."""
    folder, commit = hub.find(name, revision, allow_download=allow_download)
    digest = hash_files(checked_folder(folder), "*.safetensors", "config.json")
    return Source(folder, folder, name.partition("@")[0], commit, digest, digest, {})


def _adapter_source(folder: Path, about: dict[str, Any], allow_download: bool) -> Source:
    settings = read_json(folder / "adapter_config.json")
    name, revision = str(settings.get("base_model_name_or_path") or ""), str(settings.get("revision") or "")
    if not (folder / "adapter_model.safetensors").is_file():
        raise UserError(f"no adapters in {folder}: adapter_model.safetensors is missing", "make them again")
    if Path(name).is_dir():
        base, revision = checked_folder(name), ""
    elif hub.is_hub_name(name):
        base, revision = hub.find(name, revision, allow_download=allow_download)
    else:
        raise UserError(
            f"the base model of the adapters in {folder} is gone: {name or 'none is named'}",
            "put it back, or correct base_model_name_or_path in adapter_config.json",
        )
    base_digest = hash_files(checked_folder(base), "*.safetensors", "config.json")
    if about and about.get("base_sha256") != base_digest:
        raise UserError(
            f"{base} is not the model that the adapters in {folder} were trained on: its weights have changed",
            "put the old one back, or train again",
        )
    digest = sha256_text(f"{base_digest} {hash_files(folder, 'adapter_model.safetensors')}")
    return Source(folder, base, name, revision, base_digest, digest, about)


# Opening --------------------------------------------------------------------------------------------------------------


def weights_type(device: torch.device, lora: bool) -> torch.dtype:
    """What the weights are kept in: bf16 where they are frozen and the GPU computes in it; what is trained stays fp32."""
    frozen_on_gpu = lora and device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if frozen_on_gpu else torch.float32


def load_model(source: Source, device: torch.device, *, bits: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    """The model for answering and scoring, with its adapters in place."""
    base = _load_base(source, device, bits or source.bits, dtype)
    return base if source.adapter is None else load_adapter(base, source.adapter).eval()


def load_trainable(
    source: Source, lora: LoraConfig | None, device: torch.device, *, seed: int, bits: int = 0, reference: bool = False,
    dtype: torch.dtype | None = None,
) -> Any:  # fmt: skip
    """The model to train: all of its weights (`lora` None), fresh adapters, or on with the adapters that it has.

    `dtype` is what the base's weights are kept in: by default what suits `device`, where they are read to.
    Where adapters are trained further, `reference` keeps a frozen second set as they are now: what the policy was
    before training is then that set, not the base. The weights of the base are in memory once.
    """
    base = _load_base(source, device, bits, dtype or weights_type(device, lora is not None))
    if source.adapter is None:
        return base if lora is None else apply_lora(base, lora, seed)
    model = load_adapter(base, source.adapter, trainable=lora is not None)
    if lora is None:
        return merge(model).requires_grad_(True)
    return add_reference(model, source.adapter) if reference else model


def _load_base(source: Source, device: torch.device, bits: int, dtype: torch.dtype) -> Any:
    if not bits:
        return load_language_model(source.base, dtype=dtype, device=device)
    require_qlora()
    from transformers import BitsAndBytesConfig

    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32  # of what is computed with the weights
    how = BitsAndBytesConfig(  # type: ignore[no-untyped-call]  # transformers gives it no types
        load_in_4bit=bits == 4, load_in_8bit=bits == 8, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )  # fmt: skip  # Dettmers et al. 2023, "QLoRA", sec. 3
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(
            str(checked_folder(source.base)), quantization_config=how, dtype=dtype, device_map={"": device},
            attn_implementation=attention_of(read_config(source.base)), local_files_only=True, trust_remote_code=False,
            use_safetensors=True,
        )  # fmt: skip
    for module in model.modules():
        # On CPUs bitsandbytes packs 4-bit weights anew at the first pass in eval mode, and has no gradient through them.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]  # torch calls any attribute a tensor
    model.requires_grad_(False)
    return model


# Saving ---------------------------------------------------------------------------------------------------------------


def save_trained(model: Any, source: Source, folder: Path, about: dict[str, Any]) -> None:
    """Write what was trained, with the tokenizer: the adapters alone, or the whole model where all weights were."""
    if is_lora(model):
        settings = model.peft_config["default"]
        settings.base_model_name_or_path = source.name if source.revision else str(source.base.resolve())
        settings.revision = source.revision or None
        save_adapter(model, folder)
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty model card
        about = {**about, "base_sha256": source.base_digest}
    else:
        with quiet():
            model.save_pretrained(str(folder), safe_serialization=True)
    copy_tokenizer(source.folder, folder)
    atomic_write_json(folder / ABOUT, {"name": source.name, "revision": source.revision, **about})


def save_merged(source: Source, folder: Path) -> None:
    """Write a plain Hugging Face model with the adapters added into its weights, in the type that the base is kept in."""
    model = load_language_model(source.base, dtype=stored_type(read_config(source.base)))
    if source.adapter is not None:
        model = merge(load_adapter(model, source.adapter))
    with quiet():
        model.save_pretrained(str(folder), safe_serialization=True)
    copy_tokenizer(source.folder, folder)
    atomic_write_json(folder / ABOUT, {**source.about, "bits": 0, "merged_from": source.described()})


def copy_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer's files as they are."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
