"""The scorecard's splits as a table: which measures stand on which split, and each stage's cell."""

from __future__ import annotations

from posology.report.view import HEADLINE, Card, Measure

ABSTAIN = ("S4", "S5", "S6")  # nobody can answer these: humility is their measure


def measures_of(card: Card, split: str) -> list[str]:
    """Every measure that any stage has on a split, the headline's first."""
    found = dict.fromkeys(
        measure.name for stage in card.stages for name, row in stage.splits if name == split for measure in row
    )
    return [*(name for name in HEADLINE if name in found), *(name for name in found if name not in HEADLINE)]


def main_of(card: Card, split: str) -> list[str]:
    """The one measure that a split is there for."""
    names = measures_of(card, split)
    wanted = "humility" if split in ABSTAIN else "accuracy"
    return [wanted] if wanted in names else names[:1]


def cells_of(card: Card, split: str, measure: str) -> list[Measure | None]:
    """One cell a stage."""
    rows = [dict(stage.splits).get(split, ()) for stage in card.stages]
    return [next((cell for cell in row if cell.name == measure), None) for row in rows]
