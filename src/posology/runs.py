"""The only module that knows what a run directory holds.

runs/<name>/                     config.yaml  manifest.json  data/  answers.jsonl  scorecard.json  by_fact.json  leakage.json  report.html
  training_stats.json  summaries.json  pairs.json   of a run on a user's own model and data
  multiple_choice.json  human.json          where the exam's multiple-choice form or experts' scores were given too
  answers-NAME.jsonl  scorecard-NAME.json   another model's answers to this run's exam, and their grades
                                            (answers-NAME.jsonl.part: while it is being asked)
  tokenizer/ pretrain/ sft/ reward/ ppo/ dpo/   (reward-naive/ ppo-naive/ where the config has a second arm)
    manifest.json                status, fingerprint (what it was made of), digest (what came out), notes
    metrics.jsonl samples.jsonl  events, one a line: the source of truth for every curve
    health.json                  the loop's own checks
    checkpoints/step-000200/     to go on from
    final/                       the result; each file's hash is in its sha256.json
    member-0/ ...                reward only: the files of one member's training, laid out like a stage
"""

from __future__ import annotations

import difflib
import fcntl
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posology.errors import UserError
from posology.files import (
    MANIFEST,
    append_jsonl,
    atomic_write_json,
    cannot_write,
    hash_files,
    read_json,
    read_jsonl,
    verify_manifest,
    write_manifest,
)
from posology.provenance import versions

RUN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
STAGES = ("tokenizer", "pretrain", "sft", "reward", "ppo", "dpo")
NAIVE = ("reward-naive", "ppo-naive")  # the second arm of a run that shows over-optimisation
PARENT = {"sft": "pretrain", "reward": "sft", "ppo": "sft", "dpo": "sft"}
LOGS = ("metrics.jsonl", "samples.jsonl")

Position = dict[str, int]  # log file -> its length in bytes


def is_leader() -> bool:
    """Whether this process writes and speaks: the only one, or the first of those that torchrun started."""
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"


@dataclass
class Stage:
    """One stage's folder, or one reward model's. Its clock counts the seconds of work, over all its sittings.

    Of several processes that train together the first alone writes: for the others, writing does nothing.
    """

    path: Path
    name: str
    writes: bool = field(default_factory=is_leader)
    _started: float = field(default_factory=time.monotonic)

    @property
    def final(self) -> Path:
        return self.path / "final"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def samples_path(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def health_path(self) -> Path:
        return self.path / "health.json"

    def member(self, number: int) -> Stage:
        """The folder in which reward model `number` is trained."""
        return Stage(self.path / f"member-{number}", f"{self.name}/member-{number}")

    def members(self) -> list[Stage]:
        """The reward models that have a folder, in order."""
        numbers = [path.name.removeprefix("member-") for path in self.path.glob("member-*")]
        return [self.member(number) for number in sorted(int(text) for text in numbers if text.isdecimal())]

    # -- events -----------------------------------------------------------------------------------------------------

    def log(self, step: int, split: str, metrics: Mapping[str, float]) -> None:
        """Add a line to metrics.jsonl. `step` counts finished optimiser steps; a figure that is not finite is null.

        `time_s`, the seconds of work since the stage began, is the one value that a repeated run does not reproduce.
        """
        if not self.writes:
            return
        figures = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        row = {"step": step, "split": split, **figures, "time_s": round(self.seconds(), 3)}
        self.path.mkdir(parents=True, exist_ok=True)
        append_jsonl(self.metrics_path, row)

    def sample(self, step: int, prompt: str, answer: str) -> None:
        """Add the answer to a fixed prompt to samples.jsonl."""
        if not self.writes:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        append_jsonl(self.samples_path, {"step": step, "prompt": prompt, "answer": answer})

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every line of metrics.jsonl; [] where there is none. A line that is still being written is left out."""
        return list(read_jsonl(self.metrics_path, torn_tail=True)) if self.metrics_path.exists() else []

    def read_samples(self) -> list[dict[str, Any]]:
        """Every line of samples.jsonl; [] where there is none."""
        return list(read_jsonl(self.samples_path, torn_tail=True)) if self.samples_path.exists() else []

    def log_position(self) -> Position:
        """How long the logs are now: kept in a checkpoint, so that resuming cuts off what came after it."""
        return {name: (self.path / name).stat().st_size for name in LOGS if (self.path / name).exists()}

    def truncate_log(self, position: Position) -> None:
        """Cut the logs back to an earlier position ({}: to nothing), so that after resuming no line stands twice."""
        for name in LOGS if self.writes else ():
            path, length = self.path / name, position.get(name, 0)
            if path.exists() and path.stat().st_size > length:
                os.truncate(path, length)

    def seconds(self) -> float:
        """Seconds of work on this stage so far, earlier sittings included (`set_clock`)."""
        return time.monotonic() - self._started

    def set_clock(self, seconds: float) -> None:
        """Go on counting from `seconds`."""
        self._started = time.monotonic() - seconds

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs' processes off this stage. The lock goes with the process, however that ends."""
        if not self.writes:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                hint = "wait for it, stop it, or give this run another name with --run"
                raise UserError(f"another process is working on {self.path}", hint) from None
            yield

    # -- the manifest -----------------------------------------------------------------------------------------------

    def manifest(self) -> dict[str, Any]:
        """What is known of the stage; {} before it has begun."""
        return _read_manifest(self.path)

    def note(self, **facts: Any) -> None:
        """Add facts to the manifest."""
        if self.writes:
            _update_manifest(self.path, facts)

    def mark_started(self, fingerprint: str) -> None:
        """From now on the stage is not finished; an older result stays in `final` until a new one takes its place."""
        if not self.writes:
            return
        about = {key: value for key, value in self.manifest().items() if key not in ("digest", "seconds")}
        atomic_write_json(self.path / "manifest.json", {**about, "status": "training", "fingerprint": fingerprint})

    def mark_finished(self, fingerprint: str, **facts: Any) -> None:
        """Write down that `final` is whole and was made of what `fingerprint` stands for."""
        if not self.writes:
            return
        if not (self.final / MANIFEST).is_file():
            write_manifest(self.final)
        done = {"status": "finished", "fingerprint": fingerprint, "digest": digest_of_final(self.final)}
        self.note(**done, seconds=round(self.seconds(), 3), **facts)

    def is_finished(self, fingerprint: str | None = None) -> bool:
        """Whether `final` is whole, hash by hash, and made of the same `fingerprint` (None: of whatever)."""
        about = self.manifest()
        same = fingerprint is None or about.get("fingerprint") == fingerprint
        return about.get("status") == "finished" and same and not verify_manifest(self.final)


@dataclass(frozen=True)
class Run:
    """One run's folder. Made by `open_run`."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config_path(self) -> Path:
        return self.path / "config.yaml"

    @property
    def data_dir(self) -> Path:
        return self.path / "data"

    @property
    def answers_path(self) -> Path:
        return self.path / "answers.jsonl"

    @property
    def scorecard_path(self) -> Path:
        return self.path / "scorecard.json"

    @property
    def by_fact_path(self) -> Path:
        """Differences between stages, fact by fact: what comparisons over several seeds are made of."""
        return self.path / "by_fact.json"

    @property
    def leakage_path(self) -> Path:
        """What the exam shares with training."""
        return self.path / "leakage.json"

    @property
    def human_path(self) -> Path:
        """Experts' scores of answers against the reward models'."""
        return self.path / "human.json"

    @property
    def multiple_choice_path(self) -> Path:
        """The exam's multiple-choice form, as the stages did in it."""
        return self.path / "multiple_choice.json"

    @property
    def summaries_path(self) -> Path:
        """What `posology evaluate --summaries --json` says of this run's answers."""
        return self.path / "summaries.json"

    @property
    def pairs_path(self) -> Path:
        """What `posology score --json` says of this run's models."""
        return self.path / "pairs.json"

    def pairs_about(self) -> dict[str, Any]:
        """What `posology data pairs` says of pairs that it wrote to data/train.jsonl; {} where it wrote none."""
        path = self.path / "data" / "train.jsonl.about.json"
        return dict(read_json(path)) if path.is_file() else {}

    def training_stats(self) -> dict[str, Any]:
        """By stage: counts, losses and speeds of a run on a user's model and data; {} where there are none."""
        path = self.path / "training_stats.json"
        return dict(read_json(path)) if path.is_file() else {}

    def candidate_answers_path(self, name: str) -> Path:
        """What another model answered, where posology asked it."""
        return self.path / f"answers-{name}.jsonl"

    def candidate_scorecard_path(self, name: str) -> Path:
        """The scorecard of another model, beside the run's own."""
        return self.path / f"scorecard-{name}.json"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    def stage(self, name: str) -> Stage:
        """The stage of that name, begun or not."""
        if name not in (*STAGES, *NAIVE):
            raise UserError(f"no stage is called {name!r}", f"one of: {', '.join(STAGES)}", code=2)
        return Stage(self.path / name, name)

    def stages(self) -> list[Stage]:
        """The stages that have a folder, in the order of the pipeline."""
        return [self.stage(name) for name in (*STAGES, *NAIVE) if (self.path / name).is_dir()]

    def manifest(self) -> dict[str, Any]:
        """What the run was: status, seed, seconds of each step, versions, machine."""
        return _read_manifest(self.path)

    def update_manifest(self, **facts: Any) -> None:
        """Add facts to the manifest, and the versions of what made them."""
        if is_leader():
            _update_manifest(self.path, {**facts, "versions": versions()})

    def add_seconds(self, step: str, seconds: float) -> None:
        """Add to the time that a step of the pipeline has taken, over all sittings.

        Where the step is a stage whose own clock shows more, a sitting was killed, and the clock is right.
        """
        spent = dict(self.manifest().get("seconds", {}))
        clock = _read_manifest(self.path / step).get("seconds", 0.0)
        spent[step] = round(max(spent.get(step, 0.0) + seconds, clock), 3)
        self.update_manifest(seconds=spent)

    def mark_data(self, fingerprint: str) -> None:
        """Write down what the records in `data_dir` were made of, and their hash."""
        self.update_manifest(data={"fingerprint": fingerprint, "sha256": hash_files(self.data_dir, "**/*")})

    def data_fingerprint(self) -> str | None:
        """What the records in `data_dir` were made of; None where they are absent or changed since."""
        data = self.manifest().get("data", {})
        if not self.data_dir.is_dir() or data.get("sha256") != hash_files(self.data_dir, "**/*"):
            return None
        return str(data["fingerprint"])


def runs_folder(path: Path) -> Path:
    """The folder that holds runs, whether or not it exists yet; UserError where a file stands in its place."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, not a folder of runs", "give another folder with --runs", code=2)
    return path


def open_run(root: Path, name: str, *, create: bool = False) -> Run:
    """The run called `name` inside `root`. UserError for a bad or unknown name, or one that leads out of `root`."""
    path = root / name
    if not RUN_NAME.fullmatch(name):
        hint = "1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        raise UserError(f"bad run name {name!r}", hint, code=2)
    if path.resolve() != root.resolve() / name:
        raise UserError(
            f"run {name!r} leads out of {root}, to {path.resolve()}", "remove the link or take another name"
        )
    if create:
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
    elif not path.is_dir():
        known = sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
        near = difflib.get_close_matches(name, known, n=1)
        hint = (
            f"did you mean {near[0]}?"
            if near
            else f"there is: {', '.join(known)}"
            if known
            else "make one: posology run"
        )
        raise UserError(f"no run {name!r} in {root}", hint)
    return Run(path)


def digest_of_final(folder: Path) -> str:
    """SHA-256 over the names and bytes of every weight file (a tokenizer has none: every file).

    Equal weights have equal digests, whenever they were made.
    """
    return hash_files(folder, "**/*.safetensors" if any(folder.rglob("*.safetensors")) else "**/*")


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        return {}
    about = read_json(path)
    if not isinstance(about, dict):
        raise UserError(f"{path} is damaged: it holds no JSON object", "delete it: the stage is then made again")
    return about


def _update_manifest(folder: Path, facts: dict[str, Any]) -> None:
    atomic_write_json(folder / "manifest.json", {**_read_manifest(folder), **facts})
