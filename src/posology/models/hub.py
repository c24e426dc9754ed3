"""Models of the Hugging Face hub: read from this machine's cache, downloaded only where the user allows it.

Safetensors, configs and tokenizers alone; never code, never pickles. A model is pinned by its commit.
"""

from __future__ import annotations

import re
from pathlib import Path

from posology.config import UserError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
COMMIT = re.compile(r"[0-9a-f]{40}")
FILES = (
    "*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "adapter_config.json",
    "tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "*.model", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
ELSEWHERE = ("original/*", "*/*")  # other formats of the same weights lie in folders of their own


def is_hub_name(text: str) -> bool:
    """ "gpt2", "mistralai/Mistral-7B-v0.3" or either with "@REVISION"; not a path with more parts or an extension."""
    return NAME.fullmatch(text) is not None


def find(name: str, revision: str = "", *, allow_download: bool = False) -> tuple[Path, str]:
    """The folder of a hub model on this machine, and its commit. `revision`: a commit, tag or branch; "" is main.

    What lies in the cache is used as it is. UserError for what does not, unless `allow_download`.
    """
    name, _, given = name.partition("@")
    asked = revision or given or None
    try:
        return _snapshot(name, asked, offline=True)
    except (OSError, ValueError):
        if not allow_download:
            hint = "add --allow-download to fetch it from the Hugging Face hub, or give the folder of a model"
            raise UserError(f"no folder {name}, and no hub model of that name on this machine", hint) from None
    try:
        return _snapshot(name, asked, offline=False)
    except Exception as error:  # the hub's client has dozens, of network, login and naming
        why = type(error).__name__
        hint = "check the name, the network, and for gated models that `hf auth login` was done"
        raise UserError(f"cannot download {name}: {why}", hint) from None


def _snapshot(name: str, revision: str | None, *, offline: bool) -> tuple[Path, str]:
    import huggingface_hub
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = offline  # read when its module was imported, so the environment is too late
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                name, revision=revision, allow_patterns=list(FILES), ignore_patterns=list(ELSEWHERE),
                local_files_only=offline,
            )
        )  # fmt: skip
    finally:
        constants.HF_HUB_OFFLINE = before
    if not COMMIT.fullmatch(folder.name):
        raise ValueError(f"{folder.name} is not a commit")
    return folder, folder.name
