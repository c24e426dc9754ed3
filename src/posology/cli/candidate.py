"""`posology evaluate RUN --answers` and `--model`: another model sits the run's exam, and leaves its own scorecard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from posology.cli.cases import split_names
from posology.config import ConfigError, RunConfig, load_config
from posology.files import atomic_write_json, sha256_file
from posology.runs import Run

if TYPE_CHECKING:
    from posology.evaluation.candidate import Exam


@dataclass(frozen=True)
class Candidate:
    """The options of `posology evaluate` that speak of another model."""

    answers: Path | None
    model: str
    instructions: Path | None
    name: str
    splits: str
    limit: int
    rows: int
    against: str

    def given(self) -> str:
        """The first option that makes sense only for another model; "" where none is given."""
        options = {"--instructions": self.instructions, "--name": self.name, "--splits": self.splits,
                   "--limit": self.limit, "--against": self.against}  # fmt: skip
        return next((option for option, value in options.items() if value), "")


def sit(run: Run, asked: Candidate) -> dict[str, Any]:
    """Get the answers, grade them, and write scorecard-NAME.json into the run; its own files stay as they are."""
    if asked.answers is not None and asked.model:
        raise ConfigError(
            "--answers and --model are both given", "grade answers that are there, or ask a model for them"
        )
    if asked.answers is not None and asked.limit:
        raise ConfigError("--limit is for --model", "to grade a part of the answers, use --splits")
    if asked.answers is not None and asked.instructions is not None:
        raise ConfigError("--instructions is for --model", "answers that are there were asked for already")
    from posology.evaluation.candidate import checked_name, exam_of, grade_candidate, read_answers, some_of, stage_rows

    name = checked_name(asked.name or default_name(asked))
    config = load_config(run.config_path)
    exam = exam_of(run, split_names(asked.splits))
    if asked.limit:
        exam = some_of(exam, asked.limit)
    rivals = stage_rows(run, asked.against, exam) if asked.against else []
    told = _instructions(asked.instructions)
    model = {}
    if asked.answers is None:
        model = {"name": Path(asked.model).absolute().name, "sha256": _ask(run, asked, told, name, config, exam)}
    path = asked.answers or run.candidate_answers_path(name)
    answers = read_answers(path, exam)
    card = grade_candidate(exam, answers, name, config, rivals=rivals)
    made_of = {"name": path.name, "sha256": sha256_file(path)}
    card["candidate"] |= {"answers": made_of, "model": model or None, "instructions": told}
    atomic_write_json(run.candidate_scorecard_path(name), card)
    return card


def default_name(asked: Candidate) -> str:
    """answers/qwen.jsonl -> qwen; models/qwen -> qwen; runs/a/sft and runs/a/sft/final -> a-sft."""
    if asked.answers is not None:
        return asked.answers.stem
    folder = Path(asked.model).absolute()
    if folder.name == "final":
        folder = folder.parent
    return f"{folder.parent.name}-{folder.name}" if (folder / "final").is_dir() else folder.name


def _instructions(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"--instructions: cannot read {path}: {why}", "a text file, put before every question"
        ) from None
    if not text:
        raise ConfigError(f"--instructions: {path} is empty", "a text file, put before every question")
    return text


def _ask(run: Run, asked: Candidate, told: str, name: str, config: RunConfig, exam: Exam) -> str:
    """The model's answers, in a file of the same form as any other candidate's; the digest of its weights."""
    from posology.cli.stages import progress
    from posology.recipes.examine import answers_file

    path, cases = run.candidate_answers_path(name), list(exam.asked.values())
    return answers_file(
        path, asked.model, cases, config, instructions=told, rows=asked.rows, progress=progress()
    )  # fmt: skip


def candidate_lines(card: Mapping[str, Any], console: Console) -> None:
    """Who sat which exam, and which cases were answered: above the tables."""
    from rich.text import Text

    from posology.evaluation.candidate import coverage_lines

    for line in coverage_lines(card):
        console.print(Text(line), soft_wrap=True)
    console.print()
