"""`posology evaluate --summaries`: score summaries of a user's own notes. Only --page writes any text of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posology.cli.terminal import NOT_FOR_CARE, console, table
from posology.config import ConfigError, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from posology.evaluation.summaries import Note
    from posology.intake.options import ReadOptions
    from posology.intake.tally import Tally

TRUSTED = ("", "factual", "factual_with_evidence")  # labels whose summaries are references
Summaries = Annotated[
    list[str] | None,
    typer.Option(
        "--summaries",
        help="Score summaries instead: JSONL of id and answer, as FILE or NAME=FILE; several are compared on the same notes.",
    ),
]
Notes = Annotated[
    Path | None,
    typer.Option(
        "--notes",
        help="Their notes, in any file that `posology generate --input` reads; model_summary is the reference, if known.",
    ),
]
Page = Annotated[
    Path | None, typer.Option("--page", help="Write the worst cases to this HTML file. It will hold patients' text.")
]
Scores = Annotated[
    Path | None,
    typer.Option(
        "--scores", help="JSONL of id, chosen_policy, chosen_reference, rejected_policy, rejected_reference, edit."
    ),
]


def evaluate_files(
    summaries: list[str], notes: Path | None, options: ReadOptions, page: Path | None, scores: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Score the files, print the figures, and write the page where it is asked for."""
    if notes is None:
        raise ConfigError("--summaries needs the notes they summarise", "give --notes notes.csv")
    from posology.evaluation.preferences import SCORE_FIELDS, preference_accuracy
    from posology.evaluation.summaries import evaluate_summaries
    from posology.intake.answers import read_answers, read_scores
    from posology.intake.tally import Tally

    tally = Tally()
    known = _notes(notes, options, tally)
    answers = {name: read_answers(path) for name, path in _named(summaries).items()}
    for name, of in answers.items():
        if strangers := sum(key not in known for key in of.texts):
            raise UserError(
                f"{strangers} of {len(of.texts)} answers of {name} have an id that {notes} does not hold",
                "give the notes that these answers were made from",
            )
    card, systems = evaluate_summaries(known, {name: of.texts for name, of in answers.items()})
    card["left_out"] = {"notes": tally.skipped, "answers": {name: of.failed for name, of in answers.items()}}
    if scores is not None:
        card["preference_accuracy"] = preference_accuracy(read_scores(scores, SCORE_FIELDS))
    if page is not None:
        from posology.report.summaries import write_summaries_page

        write_summaries_page(page, card, known, systems)
    if as_json:
        print(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False))
        return
    _show(card, console())
    if page is not None:
        print(f"{page} holds patients' text: keep it where the notes are kept")


def _named(summaries: list[str]) -> dict[str, Path]:
    """ "dpo=answers.jsonl" -> dpo; a bare file is named after itself."""
    named: dict[str, Path] = {}
    for text in summaries:
        name, equals, file = text.partition("=")
        path = Path(file if equals else text)
        name = name if equals else path.stem
        if not name or name in named:
            raise ConfigError(f"--summaries {text}: the name {name!r} is empty or given twice", "give NAME=FILE")
        named[name] = path
    return named


def _notes(path: Path, options: ReadOptions, tally: Tally) -> dict[str, Note]:
    """The notes by id. One that stands in several rows, once a label, keeps the first trusted summary."""
    from posology.evaluation.summaries import Note
    from posology.intake.prompts import read_notes

    notes: dict[str, Note] = {}
    for row in read_notes(path, options, tally):
        text = "\n".join([*(turn.content for turn in row.history), row.prompt])
        reference = row.completion if row.label.casefold() in TRUSTED else ""
        if row.id in notes and notes[row.id].text != text:
            raise UserError(f"{path} row {row.row}: it has the id of another note", "give each note an id of its own")
        if row.id not in notes or not notes[row.id].reference:
            notes[row.id] = Note(row.id, text, reference)
    return notes


# What is printed ------------------------------------------------------------------------------------------------------

_SHOWN = {
    "precision": "precision", "recall": "recall", "hallucination": "unsupported", "summaries_hallucinating": "summaries with one",
    "omission": "left out", "wrong_dose": "wrong dose", "other_unsupported": "other unsupported", "rouge_l": "ROUGE-L",
}  # fmt: skip


def _show(card: dict[str, Any], out: Console) -> None:
    columns = dict(card["systems"])
    if card["reference"]:
        columns["(trusted summaries)"] = card["reference"]
    systems = list(columns.values())
    rows = [[key, *(system[key] for system in systems)] for key in ("notes", "tuples")]
    rows.append(["F1", *(_number(system["f1"]) for system in systems)])
    rows += [[title, *(in_percent(system["measures"][key]) for system in systems)] for key, title in _SHOWN.items()]
    for part in ("precision", "recall", "f1"):
        found = [(system["against_reference"] or {}).get(part) for system in systems]
        if any(value is not None for value in found):
            rows.append([f"as the reference: {part}", *map(_number, found)])
    title = "Medications of summaries, in % with 95 % intervals over notes"
    out.print(table(title, ["", *columns], rows, set(range(1, len(columns) + 1))))
    if bad := card["left_out"]["notes"]:
        out.print(f"{bad:,} bad rows of the notes were passed over")
    for name, count in card["left_out"]["answers"].items():
        if count:
            out.print(f"{name}: {count:,} of its rows tell of an error instead of an answer, and are not counted")
    if card["reference"]:
        out.print(
            "What trusted summaries seem to invent is the reader's error, or their writers': read the others beside it."
        )
    if card["comparisons"]:
        compared = [
            [
                f"{c['first']} - {c['second']}",
                _SHOWN.get(c["measure"], c["measure"].capitalize()),
                c["n"],
                in_percent({**c, "value": c["difference"]}),
                p_of(c["p"]),
                p_of(c["p_holm"]),
            ]
            for c in card["comparisons"]
        ]
        out.print(
            table("\nPaired, note by note", ["", "measure", "notes", "difference", "p", "Holm"], compared, {2, 3, 4, 5})
        )
    for name, share in card.get("preference_accuracy", {}).items():
        out.print(f"preference accuracy, {name}: {in_percent(share)} of {share['n']}")
    show_reader(card["reader"], out)
    out.print(NOT_FOR_CARE)


def show_reader(reader: dict[str, Any], out: Console) -> None:
    """The reader's own figures, on both halves of the labelled sentences."""
    halves = ("development", "held_out")
    rows = [
        [name, *(_number(value) for half in halves for value in _three(reader[half], name))]
        for name in ("tuple", *reader["held_out"]["fields"])
    ]
    counts = ", ".join(f"{half.replace('_', ' ')}: {reader[half]['sentences']} sentences" for half in halves)
    title = f"\nThe reader itself, in % ({counts}; labelled by {reader['labelled_by']})"
    columns = ["", *(f"{half.replace('_', ' ')} {part}" for half in halves for part in ("P", "R", "F1"))]
    out.print(table(title, columns, rows, set(range(1, 7))))


def _three(half: dict[str, Any], name: str) -> list[Any]:
    figures = half["tuple"] if name == "tuple" else half["fields"][name]
    return [figures[part] for part in ("precision", "recall", "f1")]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def in_percent(share: dict[str, Any]) -> str:
    """A share with its interval."""
    if share["value"] is None:
        return "–"
    return f"{100 * share['value']:.1f} ({100 * share['low']:.1f} to {100 * share['high']:.1f})"


def p_of(value: float | None) -> str:
    """A p-value; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"
