"""Numbers as they stand on the page: each with its source as a tooltip, and a mark that leads to the list."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from markupsafe import Markup

from posology.report.numbers import Number
from posology.report.text import Shown, interval, value_text
from posology.report.view import Measure


class Sources:
    """The files that figures on this page came from, numbered in the order in which they are first named."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, None]] = {}

    def mark(self, file: str, *keys: str) -> Markup:
        """A small number that leads to the file in the list of sources; the Tab key passes over it: there are many."""
        self.keys.setdefault(file, {}).update(dict.fromkeys(keys))
        number = list(self.keys).index(file) + 1
        told = escape(f"{file} · {'; '.join(keys)}" if keys else file)
        return Markup(
            f'<a class="cite" href="#source-{number}" title="{told}" aria-label="source {number}" tabindex="-1">'
            f"{number}</a>"
        )

    def marks(self, pairs: Iterable[tuple[str, str]]) -> Markup:
        """One mark a file for several (file, key)."""
        files: dict[str, list[str]] = {}
        for file, key in pairs:
            files.setdefault(file, []).append(key)
        return Markup(" ").join(self.mark(file, *keys) for file, keys in files.items())

    def number(self, number: Number, text: str, *, mark: bool = True) -> Markup:
        """A figure with its source."""
        cited = self.mark(number.file, number.key)
        shown = f'<data value="{number.value:.10g}" title="{escape(number.source)}">{escape(text)}</data>'
        return Markup(shown) + (cited if mark else "")

    def shown(self, figures: Iterable[Shown]) -> Markup:
        """Figures of one kind, joined by commas."""
        return Markup(", ").join(self.number(number, text) for number, text in figures)

    def arrow(self, figures: Iterable[Shown]) -> Markup:
        """First and last value, joined by an arrow; one mark, since they come from one file."""
        rows = list(figures)
        last = len(rows) - 1
        return Markup(' <span class="to">→</span> ').join(
            self.number(number, text, mark=i == last) for i, (number, text) in enumerate(rows)
        )

    def measure(self, measure: Measure | None, *, mark: bool = True) -> Markup:
        """A measure and its interval; "missing" for None, and why where the statistic has no answer."""
        if measure is None or measure.number is None:
            told = "missing" if measure is None else value_text(measure)
            return Markup('<span class="missing">{}</span>').format(told)
        between = interval(measure)
        spread = Markup(f' <span class="interval">{escape(between)}</span>') if between else Markup("")
        return (
            self.number(measure.number, value_text(measure), mark=False)
            + spread
            + (self.mark(measure.file, measure.key) if mark else "")
        )

    def listed(self) -> list[tuple[int, str, tuple[str, ...]]]:
        """Every file with the keys that were shown, in the order of their numbers."""
        return [(number, file, tuple(keys)) for number, (file, keys) in enumerate(self.keys.items(), start=1)]
