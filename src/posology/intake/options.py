"""How a user's file is to be read: which of its columns is which, which labels train, what a bad row does."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from posology.errors import ConfigError

COLUMNS = {
    "id": "names the row; no two rows share one",
    "clinical_note": "the note that is summarised",
    "model_summary": "its summary",
    "label": "what the row is: factual, factual_with_evidence, hallucinated",
    "prompt": "what is asked: a text, or a list of messages",
    "completion": "the answer to it",
    "messages": "a whole conversation: [{role, content}, ...]",
    "chosen": "the better answer",
    "rejected": "the worse answer",
    "text": "plain text to read: a note, a section of one; or a text with one wrong sentence",
    "error_sentence": "the wrong sentence of the text, as it stands there; empty or NA where none is wrong",
    "corrected_sentence": "what should stand in its place",
    "edit": "what is wrong with the worse answer; `strategy` is read where a file has no `edit`",
}


@dataclass(frozen=True)
class ReadOptions:
    """`columns`: our name -> the file's, where they differ. `labels`: only these rows are examples, where the file has
    labels; () takes every row. `split`: of a dataset folder; "" is train. `rejects`: the file that lists skipped rows.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ("factual",)
    evidence: Literal["strip", "keep"] = "strip"
    on_bad_row: Literal["stop", "skip"] = "stop"
    rejects: Path | None = None
    split: str = ""

    def column(self, name: str) -> str:
        """What the file calls one of COLUMNS."""
        return self.columns.get(name, name)


def parse_columns(pairs: Iterable[str]) -> dict[str, str]:
    """["clinical_note=note_text"] -> {"clinical_note": "note_text"}; ConfigError, with what was meant, for other names."""
    columns: dict[str, str] = {}
    for pair in pairs:
        name, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (name and equals and theirs):
            raise ConfigError(
                f"--column {pair!r} is not of the form ours=theirs", "for example --column clinical_note=note_text"
            )
        if name not in COLUMNS:
            raise ConfigError(f"--column {pair}: {name!r} is none of our columns", meant(name, list(COLUMNS)))
        if name in columns:
            raise ConfigError(f"--column {name}= is given twice", "one column of the file for each of ours")
        columns[name] = theirs
    return columns


def parse_labels(text: str) -> tuple[str, ...]:
    """ "factual, checked" -> ("factual", "checked"); "all" -> (), which takes every row."""
    labels = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not labels:
        raise ConfigError("--labels names no label", "for example --labels factual,factual_with_evidence, or all")
    return () if labels == ("all",) else labels


def meant(name: str, known: list[str]) -> str:
    """A hint: the nearest known name, or all of them."""
    lower = {other.casefold(): other for other in known}
    if near := difflib.get_close_matches(name.casefold(), lower, n=1, cutoff=0.6):
        return f"did you mean {lower[near[0]]!r}? (there is: {', '.join(known)})"
    return f"there is: {', '.join(known)}"
