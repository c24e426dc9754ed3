"""`posology generate` and `posology merge`: ask a trained model, and take it along as a plain Hugging Face model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from posology.cli.own import AllowDownload, ChatTemplate, Device, Precision, Seed
from posology.cli.reading import Column, Labels, read_options
from posology.cli.stages import Runs
from posology.cli.terminal import NOT_FOR_CARE
from posology.config import ConfigError, UserError
from posology.intake.prompts import Prompt
from posology.intake.records import Example
from posology.runs import Run, runs_folder

if TYPE_CHECKING:
    from posology.recipes.own_generate import Answerer

ANSWERING = ("dpo", "ppo", "sft", "pretrain")  # of a run that is given as --model
NOTE_END = "."  # a line that ends a note typed by hand

Model = Annotated[
    str, typer.Option("--model", help="A run, a run's stage (runs/x/sft), a folder, or a hub model's name.")
]


def generate(
    model: Model, runs: Runs = Path("runs"),
    note: Annotated[str, typer.Option("--note", help="One note; by default it is read from standard input.")] = "",
    notes: Annotated[Path | None, typer.Option("--input", help="CSV, JSONL, Parquet, or a text file with one note a line.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="JSONL, one line a row, in order.")] = None,
    column: Column = None, labels: Labels = "all", max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1)] = 150,
    temperature: Annotated[float, typer.Option("--temperature", min=0)] = 0.7,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0001, max=1)] = 0.9,
    top_k: Annotated[int, typer.Option("--top-k", min=0, help="0: all tokens.")] = 50, seed: Seed = 0,
    greedy: Annotated[bool, typer.Option("--greedy", help="The likeliest token each time.")] = False,
    truncate: Annotated[bool, typer.Option("--truncate", help="Cut the end of notes that do not fit, and say so.")] = False,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows answered together.")] = 8,
    chat_template: ChatTemplate = False, precision: Precision = "auto", device: Device = "auto",
    allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Answer one note, a file of them, or one after another from the keyboard."""
    if (notes is None) != (output is None):
        raise ConfigError("--input and --output belong together", "--input notes.csv --output answers.jsonl")
    if notes is not None and note:
        raise ConfigError("--note and --input are both given", "one note, or a file of them")
    from posology.recipes.own_generate import AnswerSettings, answer_file, open_answerer
    from posology.recipes.own_materials import find_model

    source = find_model(model, Run(runs_folder(runs) / "-"), ANSWERING, allow_download=allow_download)
    settings = AnswerSettings(max_new_tokens, 0.0 if greedy else temperature, top_p, top_k, seed, truncate)
    answerer = open_answerer(source, settings, chat=chat_template, device=device, precision=precision)
    if notes is not None and output is not None:
        about = answer_file(answerer, notes, output, read_options(column, labels), rows=rows)
        print(f"{output}: {about['rows']:,} rows, {about['errors']:,} with errors, {about['cut']:,} cut")
    elif note or not sys.stdin.isatty():
        _say(answerer, note or sys.stdin.read())
    else:
        _converse(answerer)
    print(NOT_FOR_CARE, file=sys.stderr)


def merge(
    model: Annotated[str, typer.Argument(help="A run, a run's stage (runs/x/dpo), or a folder with adapters.")],
    output: Annotated[Path, typer.Option("--output", help="The folder to write.")],
    runs: Runs = Path("runs"), allow_download: AllowDownload = False,
) -> None:  # fmt: skip
    """Write a plain Hugging Face model, its adapters added into the weights."""
    from posology.recipes.own_materials import find_model
    from posology.recipes.own_merge import own_merge

    own_merge(find_model(model, Run(runs_folder(runs) / "-"), ANSWERING, allow_download=allow_download), output)
    print(output)


def _say(answerer: Answerer, note: str, row: int = 1) -> None:
    """Print the answer to one note. UserError where it cannot be answered."""
    from posology.recipes.own_generate import answer_rows

    if not note.strip():
        raise UserError("there is no note", "give one with --note, on standard input, or in a file with --input")
    asked = Example(row, str(row), note.strip(), "", is_note=True)
    (line,) = answer_rows(answerer, [Prompt(row, asked.id, asked)])
    if "error" in line:
        raise UserError(f"the note cannot be answered: {line['error']}", "shorten it, or cut it with --truncate")
    if "cut_characters" in line:
        print(f"the last {line['cut_characters']:,} characters of the note were cut", file=sys.stderr)
    print(line["answer"])


def _converse(answerer: Answerer) -> None:
    """Note after note from the keyboard, each answered alone."""
    print(f"A note ends with a line that holds a single {NOTE_END!r}; Ctrl-D leaves.", file=sys.stderr)
    row, lines = 1, list[str]()
    for line in sys.stdin:
        if line.strip() != NOTE_END:
            lines.append(line)
            continue
        try:
            _say(answerer, "".join(lines), row)
        except UserError as error:
            print(f"error: {error.message}", file=sys.stderr)
        row, lines = row + 1, []
