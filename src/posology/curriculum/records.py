"""The four kinds of record that facts become. Frozen; identity is a content hash; plain JSON on disk.

Text in an answer may hold calculator spans, ``<|calc|>20*45/2<|equals|>450<|/calc|>``: the model writes the
expression, the engine inserts the value and the closing mark (text/spans.py). `working` holds the comparisons that a
model makes before its answer: it is put in front of any answer to the question that a model learns, writes or scores.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

Split = Literal["train", "dev", "S0", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "hand"]
PairSplit = Literal["train", "heldout_wordings", "heldout_facts", "dev"]
ELEMENTS = ("deciding", "mechanism", "instead", "monitor")  # the optional parts of an answer, in this order


def content_id(record: Any) -> str:
    """The first 16 hex digits of the SHA-256 of a record's canonical JSON."""
    text = json.dumps(asdict(record), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Document:
    """A sentence for pretraining."""

    text: str
    fact_id: str
    wording: str  # id of the template that made it
    split: Literal["train", "heldout"] = "train"  # heldout: reserved wordings, read only to measure the loss


@dataclass(frozen=True)
class Dialogue:
    """A question and one expert's answer. Which optional elements the expert gave is fixed in the curriculum."""

    prompt: str
    answer: str
    kind: str  # the case kind: "renal", "interaction", "dose", "unknown drug" ...
    drug: str
    fact_ids: tuple[str, ...]
    wording: str
    elements: tuple[str, ...] = ()
    split: Split = "train"
    working: str = ""


@dataclass(frozen=True)
class Preference:
    """Two answers to one question, the better one first. `corruption` names what is wrong with the other."""

    prompt: str
    chosen: str
    rejected: str
    corruption: str  # a name in corruptions.CORRUPTIONS or STYLES, or "terse" (right and complete > right and terse)
    kind: str
    drug: str
    fact_ids: tuple[str, ...]
    wording: str
    split: PairSplit = "train"
    working: str = ""  # of both answers
    complete: str = ""  # all that an expert says to it: an answer that says anything else is wrong


@dataclass(frozen=True)
class GoldDose:
    """The dose a right answer states. `low == high` for a single value; "%" counts against the usual dose."""

    low: float
    high: float
    unit: str  # "mg", "g", "mcg", "units", "mL", "%"
    per: Literal["dose", "day"]
    every_h: tuple[float, float] | None  # hours between doses (low, high); None: once, or as a day's ceiling
    ceiling: bool = False  # "at most low": any positive dose up to it is right only if the ceiling is named
    maximum: float | None = None  # the most per dose (or day, as `per`), in `unit`: above it is a critical error
    cap_binding: bool = False  # the cap, not the weight, decided
    expression: str = ""  # calculator expression that gives `high` ("" where nothing is computed)
    expression_low: str = ""  # the one that gives `low`, where the two differ
    steps: tuple[float, ...] = ()  # doses given in steps (acetylcysteine), in `unit`
    step_expressions: tuple[str, ...] = ()  # one a step ("" where nothing is computed)
    text: str = ""  # as an answer says it


@dataclass(frozen=True)
class Gold:
    """What the judge says, in plain values, so that a case can be graded without the knowledge base's types."""

    verdict: str
    facts: tuple[str, ...] = ()
    dose: GoldDose | None = None
    dose_required: bool = False  # ADJUST, or the question asks for the dose
    missing: tuple[str, ...] = ()  # INSUFFICIENT: fields to ask for ("egfr", "weight_kg" ...)
    not_covered: bool = False  # INSUFFICIENT: nothing known about the drug or the combination
    deciding: str = ""  # optional elements: "" where the case has none
    deciding_too: tuple[str, ...] = ()  # of other facts that say the same verdict: true, and not the element asked for
    mechanism: str = ""
    alternatives: tuple[str, ...] = ()  # safe for this patient
    monitoring: str = ""
    monitored: tuple[str, ...] = ()  # what the drug's own facts say to monitor, whoever takes it
    conflict: tuple[str, ...] = ()  # the verdicts of sources that differ


@dataclass(frozen=True)
class Case:
    """One exam question with its gold. `twin` links a minimal pair: one attribute flipped, the verdict flips."""

    question: str
    drug: str
    kind: str
    split: Split
    gold: Gold
    patient: dict[str, Any] = field(default_factory=dict)  # the Patient's set fields, for the report
    fact_id: str = ""  # the cluster: the deciding fact (S4, S5: the name asked about)
    wording: str = ""
    twin: str = ""  # same id on both twins, "" without one
    answer: str = ""  # a complete gold answer
    working: str = ""

    @cached_property
    def case_id(self) -> str:
        return content_id(self)
