"""`posology data pairs`: make hard negatives of factual summaries, and look at them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.reading import Column, Evidence, Labels, OnBadRow, read_options
from posology.cli.terminal import console, table
from posology.config import ConfigError, UserError

if TYPE_CHECKING:
    from posology.intake.records import Pair


def pairs(
    from_factual: Annotated[Path, typer.Option("--from-factual",
        help="Notes with summaries, in a file that `posology data check` reads; factual rows are used.")],
    output: Annotated[Path, typer.Option("--output", help="The JSONL of pairs to write. It will hold patients' text.")],
    each: Annotated[int, typer.Option("--each", min=1, max=8, help="Pairs a summary, each by another kind of edit.")] = 1,
    held_out: Annotated[float, typer.Option("--held-out-edits", min=0, max=0.9,
        help="Share of edit kinds kept for evaluation.")] = 0.0,
    part: Annotated[str, typer.Option("--part", help="training, or evaluation: the held-out kinds alone.")] = "training",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    column: Column = None, labels: Labels = "factual", evidence: Evidence = "strip", on_bad_row: OnBadRow = "stop",
    show: Annotated[int, typer.Option("--show", min=0, help="Print so many pairs on the screen.")] = 0,
) -> None:  # fmt: skip
    """Write a rejected summary for each factual one: one edit, shown to be unsupported by its note."""
    from posology.curriculum.hard_negatives import EDITS, hard_negatives, split_edits
    from posology.files import write_jsonl
    from posology.intake.convert import pair_row
    from posology.intake.read import read_examples
    from posology.intake.tally import Tally

    kept, held = split_edits(seed, held_out)
    if part not in ("training", "evaluation") or (part == "evaluation" and not held):
        raise ConfigError(f"--part {part} is none here", "training, or evaluation with --held-out-edits above 0")
    options, tally = read_options(column, labels, evidence, on_bad_row), Tally()
    made = hard_negatives(read_examples(from_factual, options, tally), seed, kept if part == "training" else held, each)
    if not made.pairs:
        reasons = Counter(refusal.reason for refusal in made.refused)
        raise UserError(
            f"no pair could be made of {from_factual}: " + "; ".join(f"{n} rows: {why}" for why, n in reasons.items()),
            "it needs rows labelled factual whose summaries tell of medications, sides or findings",
        )
    named = (replace(pair, id=f"{pair.id}-{pair.edit}") if each > 1 else pair for pair in made.pairs)
    write_jsonl(output, (pair_row(pair) for pair in named))
    counts = Counter(pair.edit for pair in made.pairs)
    console().print(table("Pairs by edit", ["edit", "pairs", ""], [
        [edit, counts[edit], "held out" if edit in held else ""] for edit in EDITS
    ], {1}))  # fmt: skip
    if tally.skipped:
        print(f"{tally.skipped} bad rows were passed over: `posology data check {from_factual}` lists them")
    for reason, count in Counter(refusal.reason for refusal in made.refused).items():
        print(f"{count} rows gave none: {reason}")
    for pair in made.pairs[:show]:
        print(_shown(pair), end="\n\n")
    print(f"{len(made.pairs)} pairs: {output} (synthetic negatives; it holds the notes' text)")


def _shown(pair: Pair) -> str:
    return f"[{pair.edit}] note {pair.id}\n+  {pair.chosen}\n-  {pair.rejected}"
