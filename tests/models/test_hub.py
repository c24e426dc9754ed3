"""Models of the hub: nothing is fetched unless asked, and then pinned, in safetensors, without code."""

from __future__ import annotations

import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from posology.config import UserError
from posology.models import hub
from posology.models.source import hub_source

from ..outside_models import save_gpt2

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Stands in for the hub's client: a cache that is empty until something is downloaded."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model, self.calls = folder / "snapshots" / COMMIT, model, list[dict[str, Any]]()

    def snapshot_download(self, name: str, **options: Any) -> str:
        self.calls.append({"name": name, "offline": constants.HF_HUB_OFFLINE, **options})
        if options["local_files_only"] and not self.folder.is_dir():
            raise LocalEntryNotFoundError("nothing here")
        if not self.folder.is_dir():
            shutil.copytree(self.model, self.folder)
        return str(self.folder)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path, save_gpt2(tmp_path / "elsewhere"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return made


def test_without_leave_only_the_cache_is_read(client: Hub) -> None:
    with pytest.raises(UserError, match="no hub model of that name on this machine") as caught:
        hub_source("owner/notes-7b")
    assert "--allow-download" in caught.value.hint
    assert [call["offline"] for call in client.calls] == [True]


def test_a_download_is_pinned_and_read_from_the_cache_afterwards(client: Hub) -> None:
    source = hub_source("owner/notes-7b", allow_download=True)
    assert (source.name, source.revision) == ("owner/notes-7b", COMMIT)
    assert client.calls[-1]["offline"] is False
    again = hub_source("owner/notes-7b@main")
    assert again.digest == source.digest
    assert client.calls[-1]["offline"] is True and client.calls[-1]["revision"] == "main"


def test_neither_code_nor_pickles_are_asked_for(client: Hub) -> None:
    hub_source("owner/notes-7b", allow_download=True)
    allowed = client.calls[-1]["allow_patterns"]
    for name in ("modeling_notes.py", "pytorch_model.bin", "model.pt", "model.ckpt", "model.gguf", "run.sh"):
        assert not any(fnmatch(name, pattern) for pattern in allowed), name
    assert any(fnmatch("model-00001-of-00002.safetensors", pattern) for pattern in allowed)


def test_a_failing_download_is_one_line(client: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, **options: Any) -> str:
        raise ConnectionError("https://user:secret@proxy")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(UserError, match="cannot download owner/notes-7b: ConnectionError") as caught:
        hub_source("owner/notes-7b", allow_download=True)
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("name", ["gpt2", "mistralai/Mistral-7B-v0.3", "a/b@main", "a/b@" + COMMIT])
def test_names(name: str) -> None:
    assert hub.is_hub_name(name)


@pytest.mark.parametrize("name", ["a/b/c", "../model", "/abs/model", "", "a b", "-x"])
def test_no_names(name: str) -> None:
    assert not hub.is_hub_name(name)
