"""A language model's trunk with one number on top: reward models and critics. Legend: B rows, T positions, D width."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from posology.config import LoraConfig, UserError
from posology.models.loading import FINGERPRINT, checked_folder, load_weights, require_tokenizer
from posology.models.lora import apply_lora, is_lora, merge, save_adapter
from posology.models.packed import hidden_at, hidden_states, mask_layout, trunk_of
from posology.models.quiet import quiet


class ScalarModel(nn.Module):
    """A trunk and a linear head, fp32 and zero at the start, so that a first Bradley-Terry loss is exactly ln 2.

    The bias is for critics: a Bradley-Terry loss has zero gradient on it, so a reward model's stays 0.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(int(trunk.config.hidden_size), 1, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def values(self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """(B, T) of fp32: the head at every place; 0 on padding. Positions count real tokens unless given."""
        counted_BT, segments_BT = mask_layout(mask_BT)
        positions_BT = counted_BT if positions_BT is None else positions_BT
        hidden_BTD = hidden_states(self.trunk, ids_BT, positions_BT, segments_BT)
        return self._head(hidden_BTD) * mask_BT

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """(B,) of fp32: the head at each row's last real token, found by `mask_BT`; padding on either side."""
        counted_BT, segments_BT = mask_layout(mask_BT)
        positions_BT = counted_BT if positions_BT is None else positions_BT
        last_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) == last_real(mask_BT)[:, None]
        return self._head(hidden_at(self.trunk, ids_BT, positions_BT, segments_BT, last_BT))

    def _head(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            scores: Tensor = self.head(hidden.float())
        return scores.squeeze(-1)


RewardModel = ScalarModel


def last_real(mask_BT: Tensor) -> Tensor:
    """(B,) index of each row's last True. A row without one is our mistake."""
    assert bool(mask_BT.any(1).all()), "a row without a real token has no last one"
    places = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    return (places * mask_BT.long()).argmax(1)


def from_language_model(
    model: Any, lora: LoraConfig | None = None, *, seed: int = 0, extra_layers: int = 0
) -> ScalarModel:
    """A ScalarModel on a copy of a language model's trunk (adapters merged), with fresh adapters where asked.

    `extra_layers` new ones on top start as the identity. A shallow language model has used up its depth when it knows
    the answer; comparing that with the answer that stands there takes another layer.
    """
    if is_lora(model):
        model = merge(copy.deepcopy(model))
    trunk = copy.deepcopy(trunk_of(model))
    trunk.requires_grad_(True)
    _deepen(trunk, extra_layers, seed)
    return ScalarModel(trunk if lora is None else apply_lora(trunk, lora, seed))


def _deepen(trunk: Any, layers: int, seed: int) -> None:
    """Append decoder layers of the trunk's own kind whose output projections are zero: the function is unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for _ in range(layers):
            layer = type(trunk.layers[0])(trunk.config, layer_idx=len(trunk.layers))
            for name, weight in layer.named_parameters():
                if weight.ndim > 1:
                    closes = name.endswith(("o_proj.weight", "down_proj.weight"))
                    nn.init.normal_(weight, std=0.0 if closes else trunk.config.initializer_range)
            trunk.layers.append(layer)
    trunk.config.num_hidden_layers = len(trunk.layers)


def save_scalar_model(model: ScalarModel, folder: Path, *, tokenizer: str | None = None) -> None:
    """Write `trunk/` (a plain Hugging Face model, adapters merged; the adapters alone too, in `adapter/`),
    head.safetensors and scalar.json."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trunk = model.trunk
    if is_lora(trunk):
        save_adapter(trunk, folder / "adapter")
        trunk = merge(copy.deepcopy(trunk))
    if tokenizer is not None:
        setattr(trunk.config, FINGERPRINT, tokenizer)
    with quiet():
        trunk.save_pretrained(str(folder / "trunk"), safe_serialization=True)
    head = {name: value.detach().float().contiguous() for name, value in model.head.state_dict().items()}
    save_file(head, str(folder / "head.safetensors"))
    about = {"kind": "scalar", "width": model.head.in_features, "read_at": "last real token"}
    (folder / "scalar.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_scalar_model(path: Path | str, *, tokenizer: str | None = None) -> ScalarModel:
    """The ScalarModel saved in a folder; UserError for missing or damaged files, or another tokenizer's."""
    folder = Path(path)
    if not (folder / "scalar.json").is_file():
        raise UserError(f"no reward model in {folder}: scalar.json is missing", "make one with `posology reward`")
    trunk_folder = checked_folder(folder / "trunk")
    try:
        config = AutoConfig.from_pretrained(str(trunk_folder), local_files_only=True, trust_remote_code=False)
        head = load_file(str(folder / "head.safetensors"))
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(f"cannot read the reward model in {folder}: {' '.join(str(error).split())[:300]}") from None
    require_tokenizer(config, tokenizer, trunk_folder)
    model = ScalarModel(load_weights(AutoModel, trunk_folder, config, torch.float32))
    try:
        model.head.load_state_dict(head)
    except RuntimeError as error:
        raise UserError(f"{folder}: head and trunk do not fit: {' '.join(str(error).split())[:300]}") from None
    return model.eval()
