"""The grader graded: the reader of answers against answers that a person has read and labelled.

`labelled_answers.jsonl` holds one label a line: drug, text, verdict, adversarial (negation, two drugs, contradiction,
hedges, units, typos); where they were labelled also claims [relation, object, value], doses [low, high, unit, per,
hours between], missing, not_covered and sources. In a `whole` row every claim is labelled, so that one which is read
and not labelled is an error too. `batch` "blind" marks answers that were labelled before the reader had seen them;
docs/LOG.md has its figures on them as they were then.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from posology.evaluation.reading import Reading, read_answer
from posology.evaluation.reading_text import Names
from posology.evaluation.statistics import Estimate, Undefined, as_json, judge_target, proportion

VERDICT_TARGET, CLAIMS_TARGET = 0.98, 0.95
ERRORS = 20

Row = Mapping[str, Any]
ClaimLabel = tuple[str, str, float | None]  # relation, object, value


@dataclass(frozen=True)
class Mark:
    """One thing that was labelled: whether the reader has it, and where."""

    kind: str  # "verdict", "claim", "dose", "cause", "source"
    right: bool
    row: Row
    told: str  # what was labelled and what was read


@lru_cache(maxsize=1)
def labelled_answers() -> tuple[Row, ...]:
    """The labelled answers that come with the package."""
    text = files("posology.evaluation").joinpath("labelled_answers.jsonl").read_text(encoding="utf-8")
    return tuple(json.loads(line) for line in text.splitlines())


def reader_figures(names: Names, rows: Sequence[Row] | None = None) -> dict[str, Any]:
    """Shares read right, each with its interval (the clusters are drugs): verdicts and claims, in all and by part.

    "claims" counts everything that is labelled besides the verdict: claims, doses, causes of an abstention, sources.
    """
    rows = labelled_answers() if rows is None else rows
    marks = [mark for row in rows for mark in marks_of(row, names)]
    verdicts = [mark for mark in marks if mark.kind == "verdict"]
    claims = [mark for mark in marks if mark.kind != "verdict"]
    out: dict[str, Any] = {"answers": len(rows)}
    for name, kept, target in (("verdict", verdicts, VERDICT_TARGET), ("claims", claims, CLAIMS_TARGET)):
        estimate = _share(kept)
        out[name] = {**as_json(estimate), "target": target, "verdict": judge_target(estimate, target)}
        for part, of in _PARTS.items():
            out[f"{name}_{part}"] = as_json(_share([mark for mark in kept if of(mark.row)]))
    out["doses"] = as_json(_share([mark for mark in marks if mark.kind == "dose"]))
    wrong = [mark for mark in marks if not mark.right]
    out["errors"] = [{"drug": m.row["drug"], "text": m.row["text"], "told": m.told} for m in wrong[:ERRORS]]
    return out


_PARTS: dict[str, Callable[[Row], bool]] = {
    "plain": lambda row: not row["adversarial"],
    "adversarial": lambda row: row["adversarial"],
    "blind": lambda row: row.get("batch") == "blind",
}


def _share(marks: Sequence[Mark]) -> Estimate | Undefined:
    return proportion([mark.right for mark in marks], [str(mark.row["drug"]) for mark in marks])


def marks_of(row: Row, names: Names) -> Iterator[Mark]:
    """The verdict's mark, then one for everything else that is labelled."""
    reading = read_answer(row["text"], row["drug"], names)
    yield Mark("verdict", reading.verdict == row["verdict"], row, f"{row['verdict']}, read as {reading.verdict}")
    if "claims" in row:
        yield from _claims(row, reading)
    if "doses" in row:
        doses = [[d.low, d.high, d.unit, d.per, d.every_h and d.every_h[0]] for d in reading.doses]
        yield Mark("dose", doses == row["doses"], row, f"doses {row['doses']}, read as {doses}")
    if "missing" in row:
        read = sorted(reading.missing)
        yield Mark("cause", read == sorted(row["missing"]), row, f"missing {row['missing']}, read as {read}")
    if "not_covered" in row:
        yield Mark("cause", reading.not_covered == row["not_covered"], row, "whether the drug is covered")
    if "sources" in row:
        same = list(reading.sources) == row["sources"]
        yield Mark("source", same, row, f"sources {row['sources']}, read as {list(reading.sources)}")


def _claims(row: Row, reading: Reading) -> Iterator[Mark]:
    read = [(claim.relation, claim.object, claim.value) for claim in reading.claims if claim.relation != "source says"]
    labels: list[ClaimLabel] = [(relation, thing, value) for relation, thing, value in row["claims"]]
    for label in labels:
        yield Mark("claim", any(_same(label, claim) for claim in read), row, f"claim {label}, read {read}")
    if row.get("whole"):
        for claim in read:
            if not any(_same(label, claim) for label in labels):
                yield Mark("claim", False, row, f"no claim {claim}, and it was read")


def _same(label: ClaimLabel, claim: ClaimLabel) -> bool:
    """Equal, but for the rounding of an age that was told in months."""
    if label[:2] != claim[:2] or label[2] is None or claim[2] is None:
        return label == claim
    return math.isclose(label[2], claim[2], rel_tol=1e-3)
