"""Read a user's file: rows -> examples or pairs, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posology.intake.options import ReadOptions
from posology.intake.records import Example, Pair
from posology.intake.tally import Tally

DEFAULT = ReadOptions()


def read_examples(path: Path, options: ReadOptions = DEFAULT, tally: Tally | None = None) -> Iterator[Example]:
    """Rows to learn from, streamed: clinical notes with summaries, {prompt, completion}, {messages}.

    The columns are checked at the call; rows as they are asked for. `tally` is filled in as reading goes on.
    UserError names the first bad row (`options.on_bad_row` "stop") or, at the end, a file of which no row is used.
    """
    raise NotImplementedError


def read_pairs(path: Path, options: ReadOptions = DEFAULT, tally: Tally | None = None) -> Iterator[Pair]:
    """Preferences, streamed: {prompt, chosen, rejected}, or {clinical_note, chosen, rejected}. Otherwise as above."""
    raise NotImplementedError
