"""Run directory -> frozen data: the only module of the report that reads files, through runs.py.

A run may have come to any point: what is not there is None or empty, what is damaged is named in `damaged`.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from posology.errors import UserError
from posology.files import read_json
from posology.provenance import PACKAGES
from posology.report.card import finite, measure, number, read_card, read_reward
from posology.report.numbers import Number, Row, Rows
from posology.report.view import (
    ANSWERING,
    Card,
    Check,
    ConfigView,
    Disputed,
    FileView,
    HumanView,
    Leakage,
    Overlap,
    Question,
    RewardView,
    RunView,
    ShownAnswer,
    StageView,
)
from posology.runs import NAIVE, STAGES, Run, Stage
from posology.text.spans import render
from posology.text.tokenizer import Tokenizer

SHOWCASE, DOCTOR = "showcase.json", "doctor.json"
LONGEST = 2000  # characters of a model's text that are shown
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def gather(run: Run) -> RunView:
    """Everything that the report of `run` shows."""
    reader = _Reader(run)
    about = reader.mapping(run.path / "manifest.json")
    stages = {name: _stage(run.stage(name), reader) for name in STAGES}
    naive = {name: _stage(run.stage(name), reader) for name in NAIVE if run.stage(name).path.is_dir()}
    questions = _questions(reader)
    return RunView(
        name=run.name,
        status=str(about.get("status", "")),
        config=_config(run, reader),
        seed=number(about.get("seed"), "manifest.json", "seed"),
        machine=_pairs(about.get("machine")),
        versions=_versions(about.get("versions")),
        seconds=_seconds(about.get("seconds")),
        records=_records(run, reader),
        digests=_digests(about, stages | naive),
        stages=MappingProxyType(stages),
        naive=MappingProxyType(naive),
        reward=_reward(run.stage("reward").final, reader),
        naive_reward=_reward(run.stage("reward-naive").final, reader),
        card=_card(run, reader),
        questions=questions,
        prompt_tokens=_tokens(run, questions, reader),
        leakage=_leakage(run, reader),
        human=_human(run, reader),
        checks=_checks(reader),
        files=tuple(sorted(reader.files.values(), key=lambda file: file.name)),
        damaged=tuple(reader.damaged),
    )


class _Reader:
    """Reads files of one run, and keeps their names, sizes and hashes."""

    def __init__(self, run: Run) -> None:
        self.root = run.path
        self.files: dict[str, FileView] = {}
        self.damaged: list[str] = []

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def present(self, path: Path) -> bool:
        """Whether the file is there; from then on it is one of the report's sources."""
        if not path.is_file():
            return False
        if self.name(path) not in self.files:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            self.files[self.name(path)] = FileView(self.name(path), path.stat().st_size, digest)
        return True

    def json(self, path: Path) -> Any:
        """A parsed file; None where it is absent or damaged."""
        return self.attempt(path, lambda: read_json(path))

    def mapping(self, path: Path) -> Mapping[str, Any]:
        found = self.json(path)
        return found if isinstance(found, dict) else {}

    def attempt(self, path: Path, read: Callable[[], Any]) -> Any:
        try:
            return read() if self.present(path) else None
        except (UserError, OSError, ValueError, yaml.YAMLError) as error:
            why = error.message if isinstance(error, UserError) else str(error)
            self.damaged.append(f"{self.name(path)}: {plain(why.replace(str(path), self.name(path)))}")
            return None


def plain(text: object) -> str:
    """Text as it may be shown: characters that steer a terminal or turn the direction of writing become U+FFFD."""
    shown = str(text)
    cut = shown if len(shown) <= LONGEST else shown[:LONGEST] + " …"
    return "".join("\ufffd" if c in BIDI or (unicodedata.category(c) == "Cc" and c not in "\n\t") else c for c in cut)


# -- stages -----------------------------------------------------------------------------------------------------------


def _stage(stage: Stage, reader: _Reader) -> StageView:
    manifest_path = stage.path / "manifest.json"
    manifest = reader.mapping(manifest_path)
    lines = reader.attempt(stage.metrics_path, stage.read_metrics) or []
    metrics_file = reader.name(stage.metrics_path)
    members = tuple(_stage(member, reader) for member in stage.members())
    status = str(manifest.get("status", "training" if lines or members else "missing"))
    return StageView(
        name=stage.name,
        status=status,
        train=Rows(metrics_file, "train", tuple(_row(line) for line in lines if line.get("split") == "train")),
        heldout=Rows(metrics_file, "heldout", tuple(_row(line) for line in lines if line.get("split") == "heldout")),
        manifest_file=reader.name(manifest_path),
        manifest=MappingProxyType(dict(manifest)),
        checks=_check_rows(reader.mapping(stage.health_path).get("checks")),
        members=members,
    )


def _row(line: Mapping[str, Any]) -> Row:
    values = ((key, finite(value)) for key, value in line.items())
    return MappingProxyType({key: value for key, value in values if value is not None})


def _check_rows(rows: object) -> tuple[Check, ...]:
    found = rows if isinstance(rows, list) else []
    return tuple(
        Check(plain(row.get("name", "")), row.get("passed") is True, plain(row.get("detail", "")))
        for row in found
        if isinstance(row, dict)
    )


def _checks(reader: _Reader) -> tuple[Check, ...] | None:
    rows = reader.json(reader.root / DOCTOR)
    return None if rows is None else _check_rows(rows)


def _human(run: Run, reader: _Reader) -> HumanView | None:
    raw = reader.json(run.human_path)
    if not isinstance(raw, dict):
        return None
    file = reader.name(run.human_path)
    names = ("spearman", "kendall", "between_raters", "answers", "questions", "raters")
    found = [measure(name, raw.get(name), file, name) for name in names]
    model, people = (_disputed(raw, key, file) for key in ("model_likes", "people_like"))
    return HumanView(tuple(one for one in found if one), model, people, file)


def _disputed(raw: Mapping[str, Any], key: str, file: str) -> tuple[Disputed, ...]:
    out = []
    for i, row in enumerate(raw.get(key) or ()):
        reward, people = (number(row.get(part), file, f"{key}[{i}].{part}") for part in ("reward", "human"))
        if reward and people:
            question, answer = (plain(render(str(row.get(part, "")))) for part in ("question", "answer"))
            out.append(Disputed(question, answer, reward, people))
    return tuple(out)


def _leakage(run: Run, reader: _Reader) -> Leakage | None:
    raw = reader.json(run.leakage_path)
    if not isinstance(raw, dict):
        return None
    file, overlaps = reader.name(run.leakage_path), []
    for i, row in enumerate(raw.get("overlaps") or ()):
        keys = ("questions", "shared", "close")
        counted = [number(row.get(key), file, f"overlaps[{i}].{key}") for key in keys]
        if counted[0] and counted[1] and counted[2]:
            overlaps.append(Overlap(plain(row.get("split", "")), counted[0], counted[1], counted[2]))
    leaks, checks = (tuple(plain(line) for line in raw.get(key) or ()) for key in ("leaks", "checks"))
    return Leakage(raw.get("clean") is True, leaks, checks, tuple(overlaps), file)


# -- the run ----------------------------------------------------------------------------------------------------------


def _pairs(found: object) -> tuple[tuple[str, str], ...]:
    return tuple((plain(k), plain(v)) for k, v in found.items()) if isinstance(found, dict) else ()


def _versions(found: object) -> tuple[tuple[str, str], ...]:
    return tuple((k, v) for k, v in _pairs(found) if k in PACKAGES)


def _seconds(found: object) -> tuple[tuple[str, Number], ...]:
    spent = found if isinstance(found, dict) else {}
    rows = [(plain(step), number(value, "manifest.json", f"seconds.{step}")) for step, value in spent.items()]
    return tuple((step, spent) for step, spent in rows if spent is not None)


def _records(run: Run, reader: _Reader) -> tuple[tuple[str, Number], ...]:
    """How many lines the files of the curriculum and of the answers have. They are large: counted, not parsed."""
    counts = []
    for path in [*(sorted(run.data_dir.glob("*.jsonl")) if run.data_dir.is_dir() else []), run.answers_path]:
        if reader.present(path):
            with open(path, "rb") as file:
                lines = sum(1 for line in file if line.strip())
            counts.append((path.stem, Number(lines, reader.name(path), "lines")))
    return tuple(counts)


def _config(run: Run, reader: _Reader) -> ConfigView | None:
    text = reader.attempt(run.config_path, lambda: run.config_path.read_text(encoding="utf-8"))
    if text is None:
        return None
    tree = reader.attempt(run.config_path, lambda: yaml.safe_load(text))
    return ConfigView(reader.name(run.config_path), text, MappingProxyType(dict(_flat(tree, ""))))


def _flat(tree: object, prefix: str) -> list[tuple[str, object]]:
    if not isinstance(tree, dict):
        return [(prefix, tree)] if prefix else []
    return [pair for key, value in tree.items() for pair in _flat(value, f"{prefix}.{key}" if prefix else str(key))]


def _digests(about: Mapping[str, Any], stages: Mapping[str, StageView]) -> tuple[tuple[str, str, str], ...]:
    data = about.get("data")
    found = [("data", "records", data["sha256"])] if isinstance(data, dict) and "sha256" in data else []
    for name, stage in stages.items():
        found += [(name, what, stage.text(key)) for what, key in (("weights", "digest"), ("made of", "fingerprint"))]
    return tuple((name, what, plain(value)) for name, what, value in found if value)


# -- what was measured ------------------------------------------------------------------------------------------------


def _card(run: Run, reader: _Reader) -> Card | None:
    raw = reader.json(run.scorecard_path)
    return read_card(raw, reader.name(run.scorecard_path), plain) if isinstance(raw, dict) else None


def _reward(final: Path, reader: _Reader) -> RewardView | None:
    heldout, ensemble = reader.json(final / "heldout.json"), reader.json(final / "ensemble.json")
    if not isinstance(heldout, dict) and not isinstance(ensemble, dict):
        return None
    return read_reward(
        heldout if isinstance(heldout, dict) else {}, reader.name(final / "heldout.json"),
        ensemble if isinstance(ensemble, dict) else {}, reader.name(final / "ensemble.json"),
    )  # fmt: skip


def _questions(reader: _Reader) -> tuple[Question, ...]:
    raw = reader.json(reader.root / SHOWCASE)
    rows = raw.get("questions", []) if isinstance(raw, dict) else []
    return tuple(_question(row, i) for i, row in enumerate(rows) if isinstance(row, dict))


def _question(row: Mapping[str, Any], place: int) -> Question:
    judge = row.get("judge") if isinstance(row.get("judge"), dict) else {}
    found = row.get("answers") if isinstance(row.get("answers"), dict) else {}
    assert isinstance(judge, dict) and isinstance(found, dict)
    known = [name for name in ANSWERING if name in found]
    answers = [
        ShownAnswer(
            name, plain(render(str(found[name].get("text", "")))),
            number(found[name].get("reward"), SHOWCASE, f"questions[{place}].answers.{name}.reward"),
        )
        for name in [*known, *(name for name in found if name not in known)]
        if isinstance(found[name], dict)
    ]  # fmt: skip
    return Question(
        plain(row.get("question", "")), plain(judge.get("verdict", "")), plain(judge.get("why", "")), tuple(answers),
        SHOWCASE, f"questions[{place}]",
    )  # fmt: skip


def _tokens(run: Run, questions: tuple[Question, ...], reader: _Reader) -> tuple[str, ...]:
    """The first question as the run's own tokenizer cuts it; () without a question or a tokenizer."""
    path = run.stage("tokenizer").final / "tokenizer.json"
    if not questions:
        return ()

    def cut() -> tuple[str, ...]:
        tokenizer = Tokenizer.from_json(path.read_text(encoding="utf-8"), reader.name(path))
        return tuple(plain(tokenizer.decode([number])) for number in tokenizer.encode_text(questions[0].text))

    return reader.attempt(path, cut) or ()
