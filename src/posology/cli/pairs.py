"""`posology data pairs`: make pairs of factual summaries (hard negatives) or of corrected sentences, and look at them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.reading import Column, Evidence, Labels, OnBadRow, read_options
from posology.cli.terminal import console, table
from posology.config import ConfigError, UserError

if TYPE_CHECKING:
    from posology.intake.options import ReadOptions
    from posology.intake.records import Pair


def pairs(
    output: Annotated[Path, typer.Option("--output", help="The JSONL of pairs to write. It will hold patients' text.")],
    from_factual: Annotated[Path | None, typer.Option("--from-factual",
        help="Notes with summaries, in a file that `posology data check` reads; factual rows are used.")] = None,
    from_corrections: Annotated[Path | None, typer.Option("--from-corrections",
        help="Texts with one wrong sentence each: text, error_sentence, corrected_sentence, and edit for the kind of error.")] = None,
    held_out_to: Annotated[Path | None, typer.Option("--held-out", help="Of corrections: a share of the texts goes there.")] = None,
    held_out_share: Annotated[float, typer.Option("--held-out-share", min=0.01, max=0.9, help="By a salted hash of each text's id.")] = 0.3,
    each: Annotated[int, typer.Option("--each", min=1, max=8, help="Pairs a summary, each by another kind of edit.")] = 1,
    held_out: Annotated[float, typer.Option("--held-out-edits", min=0, max=0.9,
        help="Share of edit kinds kept for evaluation.")] = 0.0,
    part: Annotated[str, typer.Option("--part", help="training, or evaluation: the held-out kinds alone.")] = "training",
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    column: Column = None, labels: Labels = "factual", evidence: Evidence = "strip", on_bad_row: OnBadRow = "stop",
    show: Annotated[int, typer.Option("--show", min=0, help="Print so many pairs on the screen.")] = 0,
) -> None:  # fmt: skip
    """Write a rejected summary for each factual one: one edit, shown to be unsupported by its note. Or, of corrected texts,
    a pair for each: the sentence as it should be and as it stands, behind the rest of its text.
    """
    if (from_factual is None) == (from_corrections is None):
        raise ConfigError("give --from-factual or --from-corrections", "one of them")
    if from_corrections is not None:
        made = _corrected(
            from_corrections, read_options(column, on_bad_row="skip"), output, held_out_to, held_out_share, seed
        )
    elif from_factual is not None:
        options = read_options(column, labels, evidence, on_bad_row)
        made = _edited(from_factual, options, output, seed, held_out, part, each)
    for pair in made[:show]:
        print(_shown(pair), end="\n\n")


def _edited(
    file: Path, options: ReadOptions, output: Path, seed: int, held_out: float, part: str, each: int
) -> Sequence[Pair]:
    from posology.curriculum.hard_negatives import EDITS, hard_negatives, split_edits
    from posology.files import write_jsonl
    from posology.intake.convert import pair_row
    from posology.intake.read import read_examples
    from posology.intake.tally import Tally

    kept, held = split_edits(seed, held_out)
    if part not in ("training", "evaluation") or (part == "evaluation" and not held):
        raise ConfigError(f"--part {part} is none here", "training, or evaluation with --held-out-edits above 0")
    tally = Tally()
    made = hard_negatives(read_examples(file, options, tally), seed, kept if part == "training" else held, each)
    if not made.pairs:
        reasons = Counter(refusal.reason for refusal in made.refused)
        raise UserError(
            f"no pair could be made of {file}: " + "; ".join(f"{n} rows: {why}" for why, n in reasons.items()),
            "it needs rows labelled factual whose summaries tell of medications, sides or findings",
        )
    named = (replace(pair, id=f"{pair.id}-{pair.edit}") if each > 1 else pair for pair in made.pairs)
    write_jsonl(output, (pair_row(pair) for pair in named))
    counts = Counter(pair.edit for pair in made.pairs)
    console().print(table("Pairs by edit", ["edit", "pairs", ""], [
        [edit, counts[edit], "held out" if edit in held else ""] for edit in EDITS
    ], {1}))  # fmt: skip
    if tally.skipped:
        print(f"{tally.skipped} bad rows were passed over: `posology data check {file}` lists them")
    _tell_reasons(Counter(refusal.reason for refusal in made.refused))
    print(f"{len(made.pairs)} pairs: {output} (synthetic negatives; it holds the notes' text)")
    return made.pairs


def _corrected(
    file: Path, options: ReadOptions, output: Path, held_out: Path | None, share: float, seed: int
) -> Sequence[Pair]:
    """Bad rows and garbled ones are set aside and counted; a text's id alone says which part it falls into.

    OUTPUT.about.json holds the counts, and no text.
    """
    from posology.files import atomic_write_json, sha256_file, write_jsonl
    from posology.intake.convert import pair_row
    from posology.intake.read import read_pairs
    from posology.intake.survey import is_garbled
    from posology.intake.tally import Tally
    from posology.seeds import seed_of

    tally = Tally()
    read = list(read_pairs(file, options, tally))
    sound = [pair for pair in read if not any(map(is_garbled, (pair.prompt, pair.chosen, pair.rejected)))]
    kept = sound
    if held_out is not None:
        apart = [seed_of(seed, "held-out texts", pair.id) < share * 2**63 for pair in sound]
        kept, held = ([pair for pair, out in zip(sound, apart, strict=True) if out is side] for side in (False, True))
        if not kept or not held:
            raise UserError(f"{file}: {len(sound)} pairs cannot be parted", "change --held-out-share")
        write_jsonl(held_out, map(pair_row, held))
    write_jsonl(output, map(pair_row, kept))
    counts, apart_counts = Counter(pair.edit for pair in kept), Counter(pair.edit for pair in sound)
    console().print(table("Pairs by kind of error", ["error", "pairs", "held out"], [
        [edit or "(none named)", counts[edit], n - counts[edit]] for edit, n in apart_counts.most_common()
    ], {1, 2}))  # fmt: skip
    aside = dict(tally.bad + Counter({"garbled characters": len(read) - len(sound)}))
    atomic_write_json(output.with_name(f"{output.name}.about.json"), {
        "rows": tally.rows, "set_aside": aside, "pairs": dict(counts), "held_out": dict(apart_counts - counts), "seed": seed,
        "held_out_share": share if held_out is not None else 0.0, "input_sha256": sha256_file(file) if file.is_file() else "",
    })  # fmt: skip
    _tell_reasons(aside)
    print(f"{len(kept)} pairs: {output} (it holds the texts)")
    if held_out is not None:
        print(f"{len(sound) - len(kept)} pairs held out, by a hash of the text's id and seed {seed}: {held_out}")
    return kept


def _tell_reasons(reasons: Mapping[str, int]) -> None:
    for reason, count in reasons.items():
        print(f"{count} rows gave none: {reason}")


def _shown(pair: Pair) -> str:
    return f"[{pair.edit}] note {pair.id}\n+  {pair.chosen}\n-  {pair.rejected}"
