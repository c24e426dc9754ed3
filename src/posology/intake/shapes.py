"""Which of the known kinds of rows a file holds, told from its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from posology.errors import ConfigError, UserError
from posology.intake.options import ReadOptions, meant


@dataclass(frozen=True)
class Shape:
    """`columns` must be there; a row holds an example, a pair of answers to prefer among, a text to read, or a prompt."""

    holds: Literal["examples", "pairs", "texts", "prompts"]
    columns: tuple[str, ...]
    words: str

    @property
    def optional(self) -> tuple[str, ...]:
        if self.holds in ("pairs", "texts"):
            return ("id", "edit") if self.holds == "pairs" else ("id",)
        answer = ANSWERS.get(self.columns[0], ()) if self.holds == "prompts" else ()
        return ("id", "label", *answer)


CORRECTION = ("text", "corrected_sentence", "error_sentence")  # as of all pairs: what is asked, chosen, rejected
USED_BY = {"examples": "posology sft", "pairs": "posology dpo", "texts": "posology pretrain"}
# In this order: a file with the columns of several is taken for the first, unless --column names another's.
SHAPES = (
    Shape("pairs", ("prompt", "chosen", "rejected"), "preferences: a better and a worse answer to a prompt"),
    Shape("pairs", ("clinical_note", "chosen", "rejected"), "preferences: a better and a worse summary of a note"),
    Shape("pairs", ("chosen", "rejected"), "preferences: a better and a worse conversation"),
    Shape("examples", ("clinical_note", "model_summary"), "clinical notes with their summaries"),
    Shape("examples", ("prompt", "completion"), "prompts with their completions"),
    Shape("examples", ("messages",), "conversations"),
    Shape("pairs", CORRECTION, "texts with one wrong sentence and its correction"),
    Shape("texts", ("text",), "plain texts"),
)
# What is asked, whether or not an answer stands beside it.
PROMPTS = (
    Shape("prompts", ("clinical_note",), "clinical notes"),
    Shape("prompts", ("prompt",), "prompts"),
    Shape("prompts", ("messages",), "conversations"),
)
ANSWERS = {"clinical_note": ("model_summary",), "prompt": ("completion",)}
ALIASES = {"edit": "strategy"}  # what a file may call a column without being told
_NAME = re.compile(r"(?=.{1,40}$)[^\W\d][\w.()/#%:+-]*( [\w.()/#%:+-]+){0,2}")  # one to three words


def shape_of(where: str, there: Sequence[str], options: ReadOptions, holds: str = "") -> Shape:
    """The shape of a file with the columns `there`; `holds` asks for examples, pairs, texts or prompts.

    ConfigError for a --column that the file does not have, or that its shape does not use; UserError for a file of no
    known shape, one that holds the other kind, or one that has a column twice.
    """
    for name, theirs in options.columns.items():
        if theirs not in there:
            raise ConfigError(f"--column {name}={theirs}: {where} has no column {theirs!r}", _hint(theirs, there))
    shapes = PROMPTS if holds == "prompts" else SHAPES
    having = [shape for shape in shapes if all(options.column(name) in there for name in shape.columns)]
    if not having:
        raise _no_shape(where, there, options, holds)
    wanted = [shape for shape in having if holds in ("", shape.holds)]
    if not wanted:
        raise UserError(f"{where} holds {having[0].words}, not {holds}", f"they are for {USED_BY[having[0].holds]}")
    shape = max(wanted, key=lambda shape: sum(name in options.columns for name in shape.columns))
    if unused := [name for name in options.columns if name not in (*shape.columns, *shape.optional)]:
        theirs = options.columns[unused[0]]
        raise ConfigError(f"--column {unused[0]}={theirs} is of no use: {where} is taken for {shape.words}")
    for name in (*shape.columns, *shape.optional):
        if list(there).count(options.column(name)) > 1:
            raise UserError(f"{where} has the column {options.column(name)!r} twice", "rename one of them")
    return shape


def names_to_show(there: Sequence[str]) -> list[str]:
    """A file's column names, or none of them where one does not look like a name: a file without a header has
    a patient's text in that place.
    """
    named = [name for name in there if name]
    return named if all(_NAME.fullmatch(name) for name in named) else []


def _hint(name: str, there: Sequence[str]) -> str:
    if shown := names_to_show(there):
        return meant(name, shown)
    return "its columns are not listed here, since they may be text of a row: is the header missing?"


def _no_shape(where: str, there: Sequence[str], options: ReadOptions, holds: str) -> UserError:
    """The columns that lack for the shape that comes nearest, and what may have been meant."""
    wanted = [shape for shape in (*SHAPES, *PROMPTS) if shape.holds == holds or (not holds and shape in SHAPES)]
    near = max(wanted, key=lambda shape: _share(shape, there, options))
    shown = names_to_show(there)
    if there and not shown:
        return UserError(f"{where} has none of the known columns", _hint("", there))
    if not _share(near, there, options):
        forms = "; ".join(", ".join(shape.columns) for shape in wanted)
        columns = f"; the file has: {', '.join(shown)}" if shown else ""
        return UserError(
            f"{where} has none of the known columns ({forms})", f"name them with --column ours=theirs{columns}"
        )
    lacking = [options.column(name) for name in near.columns if options.column(name) not in there]
    return UserError(
        f"{where} has no column {' and no '.join(map(repr, lacking))}",
        f"name it with --column {lacking[0]}=theirs; {meant(lacking[0], shown)}",
    )


def _share(shape: Shape, there: Sequence[str], options: ReadOptions) -> float:
    return sum(options.column(name) in there for name in shape.columns) / len(shape.columns)
