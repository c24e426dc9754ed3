"""Checkpoints: what a stage needs to go on bit for bit, in safetensors and JSON.

    checkpoints/step-000200/
      <module>.safetensors ...   trained parameters and persistent buffers, one file a module
      optimiser.safetensors      momenta and step counts
      state.json                 step, fingerprint, seed, seconds, where the logs stood
      sha256.json                size and hash of each file above

A checkpoint takes its name by rename after fsync, so that one killed half-way is no checkpoint. Frozen parameters are
not in it: they came from the stage's parent, which the fingerprint names.

Of several processes the first writes, and all read. Sharded tensors are gathered before: a checkpoint looks the same
whatever engine made it, and another engine or number of processes can go on from it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from posology.errors import UserError
from posology.files import TEMPORARY, atomic_write_json, publish, read_json, require_free_space, verify_manifest
from posology.models.sharded import like, whole
from posology.training.engine import Engine
from posology.training.optimiser import Optimiser

NAME = re.compile(r"step-(\d{6,})")
OPTIMISER = "optimiser"
NONE = -1  # no step
SPARE = 2**20  # bytes for state.json, the manifest and file headers


@dataclass
class State:
    """Where a stage stands, apart from its tensors. `step` counts finished optimiser steps."""

    step: int = 0
    fingerprint: str = ""
    seed: int = 0
    seconds: float = 0.0  # of work, over all sittings
    log: dict[str, int] = field(default_factory=dict)  # Stage.log_position
    start: float | None = None  # the first step's loss
    engine: str = ""  # kind and number of the processes that wrote it: "ddp x 2"


class Checkpoints:
    """The checkpoints of one stage. `say` is told of every damaged or foreign one."""

    def __init__(
        self,
        folder: Path,
        modules: Mapping[str, nn.Module],
        optimiser: Optimiser,
        keep: int,
        say: Callable[[str], None],
        engine: Engine | None = None,
    ) -> None:
        assert OPTIMISER not in modules and all(name.isidentifier() for name in modules), (
            "module names become file names"
        )
        self.folder, self.optimiser, self.keep, self.say = folder, optimiser, keep, say
        self.engine = engine or Engine()
        self.tensors = {name: kept_tensors(module) for name, module in modules.items()}

    def path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """Steps of the checkpoints there are, valid or not, newest first."""
        matches = (NAME.fullmatch(path.name) for path in self.folder.glob("step-*"))
        return sorted((int(match[1]) for match in matches if match), reverse=True)

    def bytes_needed(self) -> int:
        """What the next checkpoint takes on disk."""
        groups = [*self.tensors.values(), self.optimiser.state()]
        return SPARE + sum(value.numel() * value.element_size() for group in groups for value in group.values())

    def save(self, state: State, also_keep: int | None = None) -> Path:
        """Write a checkpoint; then delete all but the newest `keep` and that of step `also_keep`.

        UserError before anything is written when the disk has no room; the checkpoints there are stay as they were.
        """
        path = self.path(state.step)
        groups = {**self.tensors, OPTIMISER: self.optimiser.state()}
        if not self.engine.leader:
            for tensors in groups.values():
                for tensor in tensors.values():
                    whole(tensor)  # its part of what process 0 writes
            self.engine.wait()
            return path
        require_free_space(path, self.bytes_needed())
        with publish(path) as folder:
            for name, tensors in groups.items():
                _save(tensors, folder / f"{name}.safetensors")
            atomic_write_json(folder / "state.json", asdict(state))
        # What is newer than this one was damaged: we fell back behind it and have now come past it or will replace it.
        older = [step for step in self.steps() if step <= state.step]
        for step in set(self.steps()) - set(older[: self.keep]) - {also_keep}:
            shutil.rmtree(self.path(step), ignore_errors=True)
        self.engine.wait()
        return path

    def resume(self, fingerprint: str, seed: int) -> State | None:
        """Restore the newest valid checkpoint made of `fingerprint` with `seed`; None when there is none.

        Damaged ones are reported and passed over. Those made of something else are set aside together, not deleted.
        """
        found = self._newest(fingerprint, seed) if self.engine.leader else None
        step = self.engine.as_leader(NONE if found is None else found)
        return None if step == NONE else self.restore(step)

    def _newest(self, fingerprint: str, seed: int) -> int | None:
        for leftover in self.folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for step in self.steps():
            if problems := verify_manifest(self.path(step)):
                self.say(f"checkpoint {self.path(step)} is damaged ({problems[0]}): trying the one before it")
                continue
            made_of = read_json(self.path(step) / "state.json")
            if (made_of["fingerprint"], made_of["seed"]) != (fingerprint, seed):
                self._set_aside()
                return None
            return step
        if self.steps():
            self.say(f"no checkpoint in {self.folder} is whole: starting from the beginning")
        return None

    def restore(self, step: int) -> State:
        """Put the tensors of that step's checkpoint back in place. UserError when it is damaged or does not fit."""
        path = self.path(step)
        if problems := verify_manifest(path):
            raise UserError(f"checkpoint {path} is damaged: {problems[0]}")
        saved = {name: _load(path / f"{name}.safetensors") for name in [*self.tensors, OPTIMISER]}
        for name, tensors in self.tensors.items():  # all of them are checked before any is copied
            odd = saved[name].keys() ^ tensors.keys()
            odd |= {key for key in tensors if key not in odd and _kind(saved[name][key]) != _kind(tensors[key])}
            if odd:
                raise UserError(f"checkpoint {path} does not fit the model: {name}.{min(odd)} differs in name or shape")
        self.optimiser.load(saved[OPTIMISER])
        with torch.no_grad():
            for name, tensors in self.tensors.items():
                for key, value in tensors.items():
                    value.copy_(like(saved[name][key], value))
        return State(**read_json(path / "state.json"))

    def _set_aside(self) -> None:
        aside = self.folder.with_name(f"{self.folder.name}.previous")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(self.folder, aside)
        self.say(f"{self.folder} was made with other settings, data or parents: moved to {aside.name}, starting afresh")


def kept_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters that are trained and persistent buffers, by name; a tied weight once. The tensors themselves."""
    every = dict(module.named_parameters(remove_duplicate=False))
    kept: dict[str, Tensor] = {name: p for name, p in module.named_parameters() if p.requires_grad}
    buffers = dict(module.named_buffers())
    return kept | {name: buffers[name] for name in module.state_dict() if name not in every and name in buffers}


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def _save(tensors: Mapping[str, Tensor], path: Path) -> None:
    try:
        save_file({name: whole(value.detach()).cpu().contiguous() for name, value in tensors.items()}, str(path))
    except SafetensorError as error:  # the library's own wrapping of a full or failing disk
        raise UserError(f"cannot write {path}: {error}", "free some space and give the same command again") from None


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
