"""One self-contained HTML file from a run: no script, no network, everything that a model wrote escaped.

The page carries a content security policy that allows its own stylesheet, by hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from posology.errors import UserError
from posology.files import atomic_write_text
from posology.report import figures, forest, glossary, overoptimise, splits, stations, stories, text, verdict
from posology.report.gather import gather
from posology.report.marks import Sources
from posology.report.view import ANSWERING, RunView
from posology.runs import Run

TEMPLATES = Path(__file__).with_name("templates")
FILTERS = (
    "percent", "decimal", "signed", "figure", "count", "clock", "words", "interval", "value_text", "gate_text",
    "gate_limit", "gate_words", "p_value", "stage_name", "word_diff", "plural",
)  # fmt: skip
LARGEST = 2 * 1024 * 1024  # bytes of the finished page


def write_report(run: Run) -> Path:
    """Write runs/<name>/report.html from the run's files, whatever stages they hold. Returns its path."""
    page = render(gather(run))
    size = len(page.encode("utf-8"))
    if size > LARGEST:
        raise UserError(f"the report of {run.name} would take {size:,} bytes, more than {LARGEST:,}")
    atomic_write_text(run.report_path, page)
    return run.report_path


def render(view: RunView) -> str:
    """The page. The same run gives the same bytes."""
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    misses = verdict.quoted_misses(view)
    return (
        environment()
        .get_template("page.html")
        .render(
            view=view,
            style=Markup(style),
            policy=policy(style),
            cite=Sources(),
            not_for_care=verdict.NOT_FOR_CARE,
            sentence=verdict.sentence(view),
            findings=verdict.findings(view),
            marks=verdict.judged_stage(view),
            gates=verdict.gates,
            misses=misses,
            misses_left=(len(view.card.misses) if view.card else 0) - len(misses),
            stations=stations.stations(view),
            stories=[stories.STORIES[name] for name in stories.TRAINED],
            signs=stories.signs,
            curves=figures.curves,
            measure_charts=forest.measure_charts(view.card) if view.card else (),
            corruption_chart=forest.corruption_chart(view.reward) if view.reward else None,
            reliability_chart=forest.reliability_chart(view.reward) if view.reward else None,
            overoptimisation=overoptimise.overoptimisation(view),
            glossary=glossary,
            measures_of=splits.measures_of,
            main_of=splits.main_of,
            cells_of=splits.cells_of,
            answering=ANSWERING,
        )
    )


def policy(style: str) -> str:
    """The content security policy of a page whose only resource is this stylesheet."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def environment() -> Environment:
    """The templates, everything that is filled in escaped."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in FILTERS:
        made.filters[name] = getattr(text, name)
    return made
