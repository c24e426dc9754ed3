"""What every audit of the facts against an outside table shares: findings, and the reviewed list of differences.

``differences.toml`` holds the differences that someone has looked at, each with a reason and a source. An entry that
explains nothing any more is stale and makes the audit fail: a list of excuses must not outlive what it excuses.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from posology.config import UserError
from posology.knowledge.fact import Frozen, SourceRef
from posology.knowledge.library import FOLDER, Library

DIFFERENCES = "differences.toml"
Entry = TypeVar("Entry", bound=Frozen)
Status = Literal["agrees", "explained", "out of scope", "gap", "unexplained"]


@dataclass(frozen=True)
class Finding:
    """One comparison: what the facts say, what the outside table says, and how the two stand."""

    subject: str  # a fact's id, or a drug
    place: str  # where in the outside table: "CYP2C9 1.5, general", or the term that a label names
    ours: str
    theirs: str
    status: Status
    reason: str = ""  # of a difference that has been reviewed, or what is wrong
    source: str = ""


@dataclass(frozen=True)
class Audit:
    """The result. It passes when no finding is unexplained and no reviewed difference is stale."""

    findings: tuple[Finding, ...]
    unmatched: tuple[tuple[str, str], ...]  # subject, why there was nothing to compare it with
    stale: tuple[str, ...]  # reviewed differences that explain nothing: what, and the remedy
    notes: tuple[str, ...] = ()  # what else a reviewer should know

    def count(self, status: Status) -> int:
        return sum(finding.status == status for finding in self.findings)

    @property
    def passes(self) -> bool:
        return not self.stale and not self.count("unexplained")


class CpicDifference(Frozen):
    """A fact that says another class of action than CPIC, on purpose."""

    fact: str
    population: str  # as CPIC's table writes it: "general", "CBZ use >3mos"
    cpic: str  # the class of action read from CPIC's text: "avoid", "standard dose" ...
    reason: str = Field(min_length=1)
    source: SourceRef


class LabelDifference(Frozen):
    """A contraindication of a label that no fact repeats with that verdict.

    "explained": the facts rightly say something else. "out of scope": nothing that the facts are meant to hold.
    "gap": they should hold it and do not yet.
    """

    drug: str
    term: str  # a name of label_terms.toml; "*" sets a whole label aside
    label: str = ""  # with term "*": the product's name, as the label file writes it
    kind: Literal["explained", "out of scope", "gap"]
    reason: str = Field(min_length=1)
    source: SourceRef


@dataclass(frozen=True)
class Differences:
    cpic: tuple[CpicDifference, ...] = ()
    label: tuple[LabelDifference, ...] = ()


def load_differences(library: Library, folder: Path | None = None) -> Differences:
    """The reviewed differences of a knowledge folder (default: the package's; a folder without the file has none).

    UserError when an entry is malformed, repeats another, or names a fact, drug or source that does not exist.
    """
    path = (folder or FOLDER) / DIFFERENCES
    if not path.exists():
        return Differences()
    tables = read_toml(path)
    unknown = sorted(tables.keys() - {"cpic", "label"})
    if unknown:
        raise UserError(f"{path}: unknown table {unknown[0]!r}", "the tables are [[cpic]] and [[label]]")
    cpic = [parsed(path, CpicDifference, row) for row in tables.get("cpic", [])]
    label = [parsed(path, LabelDifference, row) for row in tables.get("label", [])]
    _refuse_unknown(path, "fact", {entry.fact for entry in cpic}, library.by_id, "remove its entry, or mend the id")
    _refuse_unknown(path, "drug", {entry.drug for entry in label}, library.drugs, "use a declared generic name")
    cited = {entry.source.id for entry in cpic} | {entry.source.id for entry in label}
    _refuse_unknown(path, "source", cited, library.sources, "declare it in sources.toml")
    keys: list[tuple[str, ...]] = [("cpic", e.fact, e.population, e.cpic) for e in cpic]
    keys += [("label", e.drug, e.term, e.label) for e in label]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"{path}: {' / '.join(part for part in key if part)} stands twice", "keep one of the two")
    return Differences(tuple(cpic), tuple(label))


def read_toml(path: Path) -> dict[str, Any]:
    """A reviewed TOML file. UserError where it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not TOML: {error}", "mend the syntax at that line") from None


def parsed(path: Path, kind: type[Entry], row: Any) -> Entry:
    """One table of a reviewed file. UserError names the field that does not fit."""
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise UserError(f"{path}: {row!r}: {place}: {detail['msg']}", f"see {kind.__name__}") from None


def _refuse_unknown(path: Path, what: str, named: Iterable[str], known: Collection[str], remedy: str) -> None:
    for name in sorted(set(named) - set(known)):
        raise UserError(f"{path}: no {what} {name!r}", remedy)
