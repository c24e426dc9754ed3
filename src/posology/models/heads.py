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
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel

from posology.config import LoraConfig, UserError
from posology.models.device import device_of
from posology.models.loading import FINGERPRINT, checked_folder, load_weights, require_tokenizer
from posology.models.lora import apply_lora, is_lora, load_adapter, merge, save_adapter
from posology.models.nll import linear_nll
from posology.models.packed import hidden_at, hidden_states, mask_layout, trunk_of
from posology.models.quiet import quiet


class ScalarModel(nn.Module):
    """A trunk and a linear head, fp32 and zero at the start, so that a first Bradley-Terry loss is exactly ln 2.

    The bias is for critics: a Bradley-Terry loss has zero gradient on it, so a reward model's stays 0.

    With `likelihood` the head also reads how surprised the trunk is by the answer's own tokens: their mean and their
    largest -log p, by the trunk's own (tied) embedding. A two-layer model has used up its depth when it knows the
    answer; comparing that with the answer that stands there is what these two numbers do for it (docs/LOG.md).
    """

    def __init__(self, trunk: Any, *, likelihood: bool = False) -> None:
        super().__init__()
        if likelihood and not trunk.config.tie_word_embeddings:
            hint = "set reward.likelihood=false"
            raise UserError(
                "reward.likelihood reads the tied embedding as output head; this model's are not tied", hint
            )
        self.trunk = trunk
        self.likelihood = likelihood
        width = int(trunk.config.hidden_size) + 2 * likelihood
        self.head = nn.Linear(width, 1, dtype=torch.float32, device=device_of(trunk))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def values(self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """(B, T) of fp32: the head at every place; 0 on padding. Positions count real tokens unless given."""
        counted_BT, segments_BT = mask_layout(mask_BT)
        positions_BT = counted_BT if positions_BT is None else positions_BT
        hidden_BTD = hidden_states(self.trunk, ids_BT, positions_BT, segments_BT)
        return self._head(hidden_BTD) * mask_BT

    def forward(
        self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor | None = None, scored_BT: Tensor | None = None
    ) -> Tensor:
        """(B,) of fp32: the head at each row's last real token, found by `mask_BT`; padding on either side.

        `scored_BT` marks the answer's own tokens; only a model with `likelihood` reads it, and needs it.
        """
        counted_BT, segments_BT = mask_layout(mask_BT)
        positions_BT = counted_BT if positions_BT is None else positions_BT
        last_BT = torch.arange(ids_BT.shape[1], device=ids_BT.device) == last_real(mask_BT)[:, None]
        if not self.likelihood:
            return self._head(hidden_at(self.trunk, ids_BT, positions_BT, segments_BT, last_BT))
        assert scored_BT is not None, "a reward model with likelihood must be told which tokens are the answer's own"
        before_BT = F.pad(scored_BT[:, 1:], (0, 1))
        read_BT = last_BT | before_BT
        hidden_ND = hidden_at(self.trunk, ids_BT, positions_BT, segments_BT, read_BT)
        return self._head(
            torch.cat(
                [hidden_ND[last_BT[read_BT]].float(), self._surprise(hidden_ND[before_BT[read_BT]], ids_BT, scored_BT)],
                1,
            )
        )

    def _surprise(self, hidden_ND: Tensor, ids_BT: Tensor, scored_BT: Tensor) -> Tensor:
        """(B, 2): -5 * mean and -1 * largest -log p of each row's scored tokens: of like size, higher is likelier."""
        row_N, place_N = scored_BT.nonzero(as_tuple=True)
        nll_N, _ = linear_nll(hidden_ND, self.trunk.get_input_embeddings().weight, ids_BT[row_N, place_N])
        zero_B = nll_N.new_zeros(ids_BT.shape[0])
        mean_B = zero_B.index_add(0, row_N, nll_N) / scored_BT.sum(1).clamp_min(1)
        most_B = zero_B.scatter_reduce(0, row_N, nll_N, "amax")
        return torch.stack([-5 * mean_B, -most_B], 1)

    def _head(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            scores: Tensor = self.head(hidden.float())
        return scores.squeeze(-1).clone()  # FSDP2 hangs its hooks on what a forward pass returns, and a view loses them


RewardModel = ScalarModel


def last_real(mask_BT: Tensor) -> Tensor:
    """(B,) index of each row's last True. A row without one is our mistake."""
    assert bool(mask_BT.any(1).all()), "a row without a real token has no last one"
    places = torch.arange(mask_BT.shape[1], device=mask_BT.device)
    return (places * mask_BT.long()).argmax(1)


def from_language_model(
    model: Any, lora: LoraConfig | None = None, *, seed: int = 0, likelihood: bool = False
) -> ScalarModel:
    """A ScalarModel on a copy of a language model's trunk (adapters merged), with fresh adapters where asked."""
    if is_lora(model):
        model = merge(copy.deepcopy(model))
    trunk = copy.deepcopy(trunk_of(model))
    trunk.requires_grad_(True)
    return ScalarModel(trunk if lora is None else apply_lora(trunk, lora, seed), likelihood=likelihood)


def save_scalar_model(model: ScalarModel, folder: Path, *, tokenizer: str | None = None, merged: bool = True) -> None:
    """Write `trunk/` (a plain Hugging Face model, adapters merged; the adapters alone too, in `adapter/`),
    head.safetensors and scalar.json. Not `merged`: without `trunk/`, for a model with adapters whose base is kept."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    trunk = model.trunk
    if is_lora(trunk):
        save_adapter(trunk, folder / "adapter")
    if merged:
        trunk = merge(copy.deepcopy(trunk)) if is_lora(trunk) else trunk
        if tokenizer is not None:
            setattr(trunk.config, FINGERPRINT, tokenizer)
        with quiet():
            trunk.save_pretrained(str(folder / "trunk"), safe_serialization=True)
    head = {name: value.detach().float().contiguous() for name, value in model.head.state_dict().items()}
    save_file(head, str(folder / "head.safetensors"))
    about = {
        "kind": "scalar",
        "inputs": model.head.in_features,
        "likelihood": model.likelihood,
        "read_at": "last real token",
    }
    (folder / "scalar.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def load_scalar_model(
    path: Path | str, *, tokenizer: str | None = None, device: str | torch.device = "cpu"
) -> ScalarModel:
    """The ScalarModel saved in a folder, on `device`; UserError for missing or damaged files, or another tokenizer's."""
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
    likelihood = bool(json.loads((folder / "scalar.json").read_text(encoding="utf-8")).get("likelihood", False))
    model = ScalarModel(load_weights(AutoModel, trunk_folder, config, torch.float32), likelihood=likelihood)
    try:
        model.head.load_state_dict(head)
    except RuntimeError as error:
        raise UserError(f"{folder}: head and trunk do not fit: {' '.join(str(error).split())[:300]}") from None
    return model.eval().to(device)


def load_scalar_adapter(path: Path | str, base: ScalarModel) -> ScalarModel:
    """`base`, as it was before training, with the adapters and the head saved in a folder without a trunk."""
    folder = Path(path)
    base.trunk = load_adapter(base.trunk, folder / "adapter")
    try:
        base.head.load_state_dict(load_file(str(folder / "head.safetensors")))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(f"cannot read the reward model in {folder}: {' '.join(str(error).split())[:300]}") from None
    return base.eval().to(next(base.trunk.parameters()).device)
