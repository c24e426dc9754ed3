"""`posology data`: build the curriculum, look at its records, count them; check a file of one's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posology.cli.data_check import check
from posology.cli.pairs import pairs
from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import ConfigError, DataConfig, UserError, load_config

if TYPE_CHECKING:
    from posology.curriculum.build import Curriculum

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.command()(check)
app.command()(pairs)

LEAK = 3  # the exit code of a gate that failed
KINDS = {"document": "documents", "dialogue": "dialogues", "preference": "preferences", "case": "cases"}
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML configuration; by default the built-in data settings.")
]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a value: data.key=value (repeatable).")]
From = Annotated[Path | None, typer.Option("--from", help="A folder that `posology data build` (or a run) wrote.")]


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="The folder to write the records to.")] = Path("runs/curriculum"),
    config: Config = None, set_: Set = None, seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
) -> None:  # fmt: skip
    """Make documents, dialogues, preferences and cases from the facts, and check that the exam leaks nothing."""
    from posology.curriculum.build import write_curriculum
    from posology.curriculum.leakage import leaks
    from posology.files import require_free_space

    curriculum = _build(config, set_, seed)
    require_free_space(out, 200_000_000)
    write_curriculum(curriculum, out)
    for name in KINDS.values():
        print(f"{len(getattr(curriculum, name)):>7,} {name}: {out / f'{name}.jsonl'}")
    if found := leaks(curriculum):
        raise UserError(f"the exam leaks into training: {found[0]}", "see curriculum/leakage.py", LEAK)
    print("no leak found between training and the exam")
    print(NOT_FOR_CARE)


@app.command()
def show(
    kind: Annotated[str, typer.Option("--kind", help="document, dialogue, preference or case.")] = "dialogue",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many records.")] = 5,
    split: Annotated[str, typer.Option("--split", help="Only this split.")] = "",
    about: Annotated[str, typer.Option("--about", help="Only records of this drug, fact, kind or corruption.")] = "",
    source: From = None, config: Config = None, set_: Set = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
) -> None:  # fmt: skip
    """Print records as people read them, evenly spread over all there are."""
    if kind not in KINDS:
        raise ConfigError(f"--kind {kind!r} is no kind of record", f"one of: {', '.join(KINDS)}")
    records = list(getattr(_read(source, config, set_, seed), KINDS[kind]))
    found = [record for record in records if _wanted(record, split, about)]
    if not found:
        splits = ", ".join(dict.fromkeys(record.split for record in records))
        raise ConfigError(f"no {kind} with --split {split!r} --about {about!r}", f"splits here: {splits}")
    step = max(1, len(found) // limit)
    for record in found[::step][:limit]:
        print(_shown(kind, record), end="\n\n")
    print(f"{min(limit, len(found))} of {len(found):,}. {NOT_FOR_CARE}")


@app.command()
def stats(
    source: From = None, config: Config = None, set_: Set = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
) -> None:  # fmt: skip
    """Count records by split, kind, verdict and corruption; the two rulers; the leakage report."""
    from posology.curriculum.leakage import report
    from posology.curriculum.summary import summarise

    curriculum = _read(source, config, set_, seed)
    screen = console()
    for title, columns, rows in summarise(curriculum):
        screen.print(table(title, columns, rows, right=set(range(1, len(columns)))))
        screen.print()
    _show_leakage(report(curriculum))


@app.command()
def leakage(
    source: From = None, config: Config = None, set_: Set = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:  # fmt: skip
    """What the exam shares with training: leaks (exit 3), and how close its questions come without being one."""
    from posology.curriculum.leakage import report

    found = report(_read(source, config, set_, seed))
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        _show_leakage(found)
    if not found["clean"]:
        raise typer.Exit(LEAK)


def _show_leakage(found: Mapping[str, Any]) -> None:
    screen = console()
    rows = [[o["split"], o["questions"], o["shared"], o["close"]] for o in found["overlaps"]]
    columns = ["split", "questions", "share 13 words in a row", "differ in one word at most"]
    screen.print(table("Questions that come close to training", columns, rows, {1, 2, 3}))
    screen.print(
        "\n" + ("\n".join(found["leaks"]) if found["leaks"] else "no leak found between training and the exam")
    )
    screen.print(NOT_FOR_CARE)


def _build(config: Path | None, set_: list[str] | None, seed: int | None) -> Curriculum:
    from posology.curriculum.build import build_curriculum
    from posology.knowledge.library import load_library
    from posology.knowledge.subset import subset

    if config is None:
        if set_:
            raise ConfigError("--set needs --config", "for example --config configs/laptop.yaml")
        return build_curriculum(DataConfig(), seed or 0)
    settings = load_config(config, set_)
    library = subset(load_library(), settings.data.drugs)
    return build_curriculum(settings.data, settings.seed if seed is None else seed, library)


def _read(source: Path | None, config: Path | None, set_: list[str] | None, seed: int | None) -> Curriculum:
    """The records of a folder, or freshly made ones."""
    if source is None:
        return _build(config, set_, seed)
    from posology.curriculum.build import read_curriculum

    if not source.is_dir():
        raise UserError(f"no folder {source}", "make one: posology data build --out " + str(source))
    return read_curriculum(source)


def _wanted(record: object, split: str, about: str) -> bool:
    if split and getattr(record, "split", "") != split:
        return False
    names = {"drug", "kind", "corruption", "fact_id", "wording"}
    facts = getattr(record, "fact_ids", ())
    return not about or about in facts or any(getattr(record, name, None) == about for name in names)


def _shown(kind: str, record: object) -> str:
    """A record in a few lines."""
    from posology.text.spans import render, worked

    fields = {name: render(value) if isinstance(value, str) else value for name, value in vars(record).items()}
    working = "".join(f"\n   {line}" for line in worked(getattr(record, "working", "")))
    if kind == "document":
        return f"[{fields['fact_id']} · {fields['wording']}] {fields['text']}"
    if kind == "dialogue":
        return f"[{fields['kind']} · {fields['wording']}]\nQ  {fields['prompt']}{working}\nA  {fields['answer']}"
    if kind == "preference":
        head = f"[{fields['corruption']} · {fields['split']} · {fields['kind']}]"
        return f"{head}\nQ  {fields['prompt']}{working}\n+  {fields['chosen']}\n-  {fields['rejected']}"
    head = f"[{fields['split']} · {fields['kind']} · {fields['fact_id']}]" + (
        f" twin {fields['twin']}" if fields["twin"] else ""
    )
    return f"{head}\nQ  {fields['question']}{working}\nA  {fields['answer']}"
