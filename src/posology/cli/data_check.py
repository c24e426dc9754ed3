"""`posology data check`: what a user's file holds, what of it will be used and what not, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.reading import Column, Evidence, Labels, read_options
from posology.cli.terminal import console, table
from posology.config import UserError

if TYPE_CHECKING:
    from posology.intake.options import ReadOptions
    from posology.intake.survey import Survey


def check(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL, Parquet, or a Hugging Face dataset folder on this disk.")],
    column: Column = None,
    labels: Labels = "factual",
    evidence: Evidence = "strip",
    on_bad_row: Annotated[
        str, typer.Option("--on-bad-row", help="skip: list them all; stop: at the first, as training does by default.")
    ] = "skip",
    rejects: Annotated[
        Path | None,
        typer.Option("--rejects", help="Write each bad row's number and reason there, and none of its text."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Of a dataset folder; by default train.")] = "",
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", help="A model's folder: lengths in its tokens instead of words.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Report rows, lengths, labels, duplicates, and what will be used and what not, and why. No text of a row is shown."""
    from posology.intake.read import nothing_used
    from posology.intake.survey import survey, words

    options = read_options(column, labels, evidence, on_bad_row, rejects, split)
    found = survey(file, options, words if tokenizer is None else token_count(tokenizer))
    unit = "words" if tokenizer is None else "tokens"
    if as_json:
        print(json.dumps(found.as_json(unit), indent=2, ensure_ascii=False))
    else:
        _show(found, options, unit)
    if not found.tally.used:
        raise nothing_used(file, found.tally)


def token_count(folder: Path) -> Callable[[str], int]:
    """How many tokens a text has, special ones apart, by the tokenizer.json of a model's folder."""
    import tokenizers

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"no tokenizer.json in {folder}", "save one there with AutoTokenizer.save_pretrained")
    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception:  # the library raises bare Exception
        raise UserError(f"{path} is no tokenizer, or is damaged") from None
    backend.no_truncation()
    backend.no_padding()
    return lambda text: len(backend.encode(text, add_special_tokens=False).ids)


def _show(found: Survey, options: ReadOptions, unit: str) -> None:
    from rich.markup import escape

    screen = console()
    for line in _about(found):
        screen.print(line, markup=False, soft_wrap=True)
    for title, columns, rows in _tables(found, options, unit):
        screen.print()
        numbers = {n for n, cell in enumerate(rows[0]) if cell.replace(",", "").isdigit()}
        screen.print(table(title, columns, [[escape(cell) for cell in row] for row in rows], numbers))
    screen.print()
    for line in _remarks(found, options):
        screen.print(line, markup=False, soft_wrap=True)


def _about(found: Survey) -> list[str]:
    opened, source = found.opened, found.opened.source
    size = sum(file.stat().st_size for file in source.files)
    files = f" in {len(source.files)} files" if len(source.files) > 1 else ""
    split = f", split {source.split}" if source.split else ""
    lines = [
        f"{source.path}: {source.format}{split}, {found.tally.rows:,} rows{files}, {_size(size)}",
        f"taken for {opened.shape.words}",
        "columns read: " + ", ".join(f"{theirs} as {name}" if name != theirs else name for name, theirs in opened.read.items()),
    ]  # fmt: skip
    count, names = found.unread()
    if count:
        lines.append(f"columns not read: {', '.join(names) or f'{count}, without names to show'}")
    return lines


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count:,} bytes"


def _tables(found: Survey, options: ReadOptions, unit: str) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and rows of each table that has any."""
    tally = found.tally
    fates = [
        ("used", tally.used, "as pairs" if found.opened.shape.holds == "pairs" else "to learn from"),
        ("another label", tally.unused, f"only {', '.join(options.labels)} {'is' if len(options.labels) == 1 else 'are'} used"),
        ("bad", tally.skipped, "passed over; the reasons are below"),
        ("blank", tally.blank, "nothing in any column"),
    ]  # fmt: skip
    bad = [[reason, f"{count:,}", _first(tally.first[reason], count)] for reason, count in tally.bad.most_common()]
    labels = [[label or "(none)", f"{count:,}"] for label, count in tally.labels().items()]
    lengths = [
        [name, *(f"{n:,}" for n in (of.median, of.p95, of.longest)), f"row {of.longest_row:,}"]
        for name, of in found.lengths.items()
    ]
    tables = [
        ("Rows", ["", "rows", ""], [[what, f"{count:,}", why] for what, count, why in fates if count or what == "used"]),
        ("Bad rows", ["reason", "rows", "which"], bad),
        ("Labels", ["label", "rows"], labels),
        (f"Lengths in {unit}, of used rows", ["", "median", "95th percentile", "longest", ""], lengths),
    ]  # fmt: skip
    return [(title, columns, rows) for title, columns, rows in tables if rows]


def _first(rows: list[int], count: int) -> str:
    return ", ".join(f"{row:,}" for row in rows) + (", ..." if count > len(rows) else "")


def _remarks(found: Survey, options: ReadOptions) -> list[str]:
    """What else is worth knowing, in a line each."""
    from posology.intake.tally import OTHER

    tally, prompt = found.tally, "note" if found.opened.read.get("clinical_note") else "prompt"
    remarks = []
    if "id" not in found.opened.read:
        remarks.append("no ids: rows are named by their number (--column id=theirs names the column that holds them)")
    for what, rows in (
        (f"the {prompt} of an earlier row again", found.repeated_prompts),
        (f"the {prompt} and the answer of an earlier row again", found.repeated),
        ("garbled characters, lost before the file came here", found.garbled),
    ):
        if rows.rows:
            remarks.append(f"{what}: {rows.rows:,} of the used rows ({_first(rows.first, rows.rows)})")
    if tally.used and not found.repeated_prompts.rows:
        remarks.append(f"no {prompt} stands twice among the used rows")
    if tally.marked:
        done = "taken out of" if options.evidence == "strip" else "left in"
        remarks.append(f"evidence marks are {done} the answers: {tally.marked:,} of the used rows")
    if absent := [label for label in options.labels if tally.labels() and not _has(tally.labels(), label)]:
        remarks.append(f"no row has the label {', '.join(absent)}")
    if OTHER in tally.labels():
        remarks.append(
            f"labels that one row alone has, or that are no single word, may be text and are summed as {OTHER}"
        )
    if options.rejects is not None:
        remarks.append(f"each bad row is listed in {options.rejects}")
    return remarks


def _has(labels: dict[str, int], label: str) -> bool:
    return label.casefold() in {name.casefold() for name in labels}
