"""The review sheet: one row per fact, in words, for a pharmacist's spreadsheet; written and read as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from posology.config import UserError
from posology.knowledge.fact import Action, Condition, Fact, Risk
from posology.knowledge.library import Library, load_library
from posology.knowledge.match import bound_text
from posology.knowledge.units import number
from posology.knowledge.words import LABELS

COLUMNS = (
    "id", "type", "drug", "class", "conditions", "verdict", "action", "mechanism", "effect", "risk", "alternatives",
    "monitoring", "antidote", "severity", "evidence", "jurisdiction", "as_of", "sources", "verified_by",
    "verified_date", "verified_at", "exceptions", "requires", "view", "conflicts_with",
)  # fmt: skip
Row = dict[str, str]


def review_rows(library: Library) -> list[Row]:
    """Every fact of a library with the COLUMNS filled in, sorted by id. Nothing in it depends on the file order."""
    rows = (_row(fact, library) for fact in sorted(library.facts, key=lambda fact: fact.id))
    return [{column: " ".join(cell.split()) for column, cell in row.items()} for row in rows]


def as_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV text with a header line; lines end in a newline on every system."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_review(path: Path) -> list[Row]:
    """The rows of a knowledge folder or of an exported CSV. UserError names what is wrong, where, and the remedy."""
    if path.is_dir():
        return review_rows(load_library(path))
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark before the header
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}", "name a knowledge folder or a CSV of `posology kb export`"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}", "save it again as CSV UTF-8") from None
    return list(_read_rows(path, text))


def _read_rows(path: Path, text: str) -> Iterable[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    header = reader.fieldnames or []
    if "id" not in header:
        raise UserError(f"{path} has no column 'id'", "use a CSV that `posology kb export` wrote")
    first: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if "" in row:
            raise UserError(f"{path}:{line} has more cells than the header", "quote the cells that hold commas")
        name = row["id"].strip()
        if not any(cell.strip() for cell in row.values()):
            continue
        if not name or name in first:
            said = f"id {name!r} stands also in line {first[name]}" if name else "a row without an id"
            raise UserError(f"{path}:{line}: {said}", "each fact has one row and one id")
        first[name] = line
        yield {column: " ".join(cell.split()) for column, cell in row.items() if column in COLUMNS}


def _row(fact: Fact, library: Library) -> Row:
    known = library.sources
    return {
        "id": fact.id,
        "type": fact.type.value,
        "drug": fact.drug,
        "class": fact.drug_class,
        "conditions": "; ".join(condition_words(condition, library) for condition in fact.when),
        "verdict": fact.verdict.value if fact.verdict else "",
        "action": action_words(fact.action) if fact.action else "",
        "mechanism": fact.mechanism,
        "effect": fact.effect,
        "risk": _risk_words(fact.risk) if fact.risk else "",
        "alternatives": "; ".join(
            item.drug
            + (f" instead of {item.instead_of}" if item.instead_of else "")
            + (f", unless {item.unless}" if item.unless else "")
            for item in fact.alternatives
        ),
        "monitoring": fact.monitoring,
        "antidote": fact.antidote,
        "severity": fact.severity,
        "evidence": fact.evidence,
        "jurisdiction": fact.jurisdiction,
        "as_of": fact.as_of,
        "sources": "; ".join(
            f"{known[ref.id].title} ({known[ref.id].publisher} {known[ref.id].date}), {ref.locator} [{ref.id}]"
            if ref.id in known
            else f"{ref.locator} [{ref.id}]"
            for ref in fact.sources
        ),
        "verified_by": fact.verified.by,
        "verified_date": fact.verified.date,
        "verified_at": fact.verified.at,
        "exceptions": "; ".join(fact.exceptions),
        "requires": "; ".join(fact.requires),
        "view": fact.view,
        "conflicts_with": "; ".join(fact.conflicts_with),
    }


def condition_words(condition: Condition, library: Library) -> str:
    """A condition as a reviewer reads it: "CrCl 15 or above and below 30", "taken with any NSAID"."""
    kind, name = condition.kind, condition.field
    if kind == "count":
        parts = "; ".join(condition_words(part, library) for part in condition.parts)
        return f"at least {condition.at_least} of ({parts})"
    if kind in ("number", "child_pugh"):
        return f"{LABELS.get(name, name)} {_range_words(condition)}"
    if kind == "comed_class":
        label = library.classes[name].label if name in library.classes else name
        return f"taken with any {label}"
    if kind == "allergy":
        reaction = f", {condition.value} reaction" if condition.value else ", any reaction"
        return f"allergy to {name}{reaction}"
    named = {
        "pregnant": "pregnant",
        "lactating": "breastfeeding",
        "sex": f"sex {name}",
        "genotype": f"{name} {condition.value}",
        "comed": f"taken with {name}",
        "condition": f"condition {name}",
        "indication": f"used for {name}",
    }
    return named[kind]


def _range_words(condition: Condition) -> str:
    """Both ends, each saying whether it belongs: a review must tell 30 from just below 30."""
    if condition.low is None or condition.high is None or condition.low == condition.high:
        return bound_text(condition)
    low = bound_text(condition.model_copy(update={"high": None}))
    high = bound_text(condition.model_copy(update={"low": None}))
    return f"{low} and {high}"


def action_words(action: Action) -> str:
    """A dose, a ceiling or a share, with everything that bounds it: "0.6 to 2.4 mg/kg a day, oral"."""
    subject = f"{action.of} " if action.of else ""
    cap = f"at most {number(action.max)} {action.unit.split('/')[0]} a {action.max_per}" if action.max else ""
    weight = f"weight counted up to {number(action.max_weight_kg)} kg" if action.max_weight_kg else ""
    rest = [part for part in (cap, action.route, weight, action.note) if part]
    if action.percent is not None:
        text = f"{number(action.percent)} % of the usual dose"
    elif action.phases:
        text = ", then ".join(f"{number(p.dose)} {p.unit} over {number(p.over_h)} h" for p in action.phases)
    elif action.dose is None:
        text, rest = rest[0], rest[1:]  # the schema: a bare maximum
    else:
        text = f"{_span(action.dose)} {action.unit}"
        if action.per == "day":
            text += f" a day in {action.divided} doses" if action.divided > 1 else " a day"
        elif action.every_h is not None:
            text += f" every {_span(action.every_h)} h"
    return subject + ", ".join([text, *rest])


def _span(value: float | tuple[float, float]) -> str:
    return " to ".join(number(end) for end in (value if isinstance(value, tuple) else (value,)))


def _risk_words(risk: Risk) -> str:
    interval = f" ({number(risk.ci[0])} to {number(risk.ci[1])})" if risk.ci else ""
    people = f" in {risk.population}" if risk.population else ""
    return f"{risk.outcome}: {risk.measure} {number(risk.value)}{interval}{people}"
