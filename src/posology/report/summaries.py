"""One self-contained page of the worst summaries, with the notes that they summarise. It holds patients' text.

It is written only where the user says, and it says on its top what it holds; no script, no network, all text escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from posology.evaluation.summaries import Note, SummaryScore, worst_cases
from posology.files import atomic_write_text
from posology.report.page import TEMPLATES, environment, policy

WORST = 20  # cases a system


@dataclass(frozen=True)
class Piece:
    """A stretch of a text; `why` tells what is wrong with it, "" where nothing is."""

    text: str
    why: str = ""


@dataclass(frozen=True)
class CaseView:
    id: str
    note: str
    reference: str
    answer: tuple[Piece, ...]
    wrong: tuple[tuple[str, str], ...]  # (the tuple in words, the field at fault)
    omitted: tuple[str, ...]


def write_summaries_page(
    path: Path, card: Mapping[str, Any], notes: Mapping[str, Note], systems: Mapping[str, Sequence[SummaryScore]]
) -> None:
    """Write the page of every system's worst cases to `path` (atomic)."""
    atomic_write_text(path, render_summaries(card, notes, systems))


def render_summaries(
    card: Mapping[str, Any], notes: Mapping[str, Note], systems: Mapping[str, Sequence[SummaryScore]]
) -> str:
    """The page. The same input gives the same bytes."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8") + (TEMPLATES / "summaries.css").read_text(
        encoding="utf-8"
    )
    cases = {
        name: [case_view(notes[score.id], score) for score in worst_cases(scores, WORST)]
        for name, scores in systems.items()
    }
    return (
        environment()
        .get_template("summaries.html")
        .render(style=Markup(style), policy=policy(style), card=card, cases=cases, worst=WORST)
    )


def case_view(note: Note, score: SummaryScore) -> CaseView:
    """A summary cut into pieces, those that its note does not support marked with why."""
    spans = [(w.medication.start, w.medication.end, f"{w.fault} not in the note") for w in score.wrong]
    spans += [(f.start, f.end, "finding not in the note") for f in score.findings]
    spans += [(s.start, s.end, "side not in the note") for s in score.sides]
    pieces, at = [], 0
    for start, end, why in sorted(spans):
        if start < at:
            continue
        pieces += [Piece(score.answer[at:start]), Piece(score.answer[start:end], why)]
        at = end
    pieces.append(Piece(score.answer[at:]))
    return CaseView(
        note.id,
        note.text,
        note.reference,
        tuple(piece for piece in pieces if piece.text),
        tuple((str(w.medication), w.fault) for w in score.wrong),
        score.omitted,
    )
