"""The options that say how a user's file is read: the same words in every command that reads one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from posology.config import ConfigError
from posology.intake.options import ReadOptions, parse_columns, parse_labels

Column = Annotated[
    list[str] | None, typer.Option("--column", help="ours=theirs, for example clinical_note=note_text (repeatable).")
]
Labels = Annotated[str, typer.Option("--labels", help="Labels whose rows are used, with commas; all: every row.")]
Evidence = Annotated[str, typer.Option("--evidence", help="strip or keep evidence marks in answers.")]
OnBadRow = Annotated[str, typer.Option("--on-bad-row", help="stop at the first bad row, or skip them all.")]


def read_options(
    column: list[str] | None = None, labels: str = "all", evidence: str = "strip", on_bad_row: str = "stop",
    rejects: Path | None = None, split: str = "",
) -> ReadOptions:  # fmt: skip
    """What the options ask for; ConfigError for a value that none of them takes."""
    return ReadOptions(
        columns=parse_columns(column or []),
        labels=parse_labels(labels),
        evidence=cast(Literal["strip", "keep"], _one_of("--evidence", evidence, ("strip", "keep"))),
        on_bad_row=cast(Literal["stop", "skip"], _one_of("--on-bad-row", on_bad_row, ("stop", "skip"))),
        rejects=rejects,
        split=split,
    )


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigError(f"{option} {value!r} is none of {', '.join(allowed)}")
    return value
