"""What the knowledge base is made of: verdicts, conditions, actions, sources and facts.

A pharmacist reviews facts as TOML (``facts/*.toml``); this module is the type of one entry. Everything is
frozen. A `when` list is written as short typed strings ("egfr < 30", "comed: class nsaid"), parsed here into
`Condition` values, so that a fact reads like a label and still means exactly one thing.

The grammar of one condition::

    age_years >= 65 | age_months < 3 | weight_kg <= 60 | creatinine_mg_dl >= 1.5      numbers, with units in the name
    egfr < 30        eGFR in mL/min/1.73 m2 (CKD-EPI 2021)
    15 <= crcl < 30  creatinine clearance in mL/min (Cockcroft-Gault)
    child_pugh >= B  A < B < C
    pregnant         trimester >= 2        lactating        sex: female
    allergy: penicillin                    any reaction to it
    allergy: penicillin (immediate)        immediate | severe delayed | mild
    genotype: CYP2D6 poor metabolizer      gene, then phenotype or "positive"
    comed: clarithromycin                  a drug, or: comed: class nsaid
    condition: cirrhosis                   a term declared as [[term]] kind = "condition"
    indication: atrial fibrillation        a term declared as [[term]] kind = "indication"
    at least 2 of: age_years >= 80; weight_kg <= 60; creatinine_mg_dl >= 1.5
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from posology.knowledge.units import per_body


class Verdict(StrEnum):
    """How a drug stands for a patient. `rank` orders them from worst (5) to best (1)."""

    CONTRAINDICATED = "CONTRAINDICATED"  # a label's contraindication section or a guideline uses the word
    AVOID = "AVOID"
    ADJUST = "ADJUST"  # usable at a dose that follows from this patient: reduced, capped, or by weight
    CAUTION = "CAUTION"
    OK = "OK"
    INSUFFICIENT = "INSUFFICIENT"  # a deciding value is missing, or the question is not covered

    @property
    def rank(self) -> int:
        return {"CONTRAINDICATED": 5, "AVOID": 4, "ADJUST": 3, "CAUTION": 2, "OK": 1, "INSUFFICIENT": 0}[self.value]

    @property
    def stops(self) -> bool:
        return self in (Verdict.CONTRAINDICATED, Verdict.AVOID)


class FactType(StrEnum):
    CONTRAINDICATION = "contraindication"
    INTERACTION = "interaction"
    RENAL = "renal"
    HEPATIC = "hepatic"
    PREGNANCY = "pregnancy"
    LACTATION = "lactation"
    ALLERGY = "allergy"
    PHARMACOGENOMICS = "pharmacogenomics"
    PAEDIATRIC = "paediatric"
    OLDER_ADULT = "older_adult"
    MONITORING = "monitoring"  # no verdict: feeds what to monitor
    ANTIDOTE = "antidote"  # no verdict: which drug reverses `drug`
    MAXIMUM = "maximum"  # no verdict: the most in a day
    INDICATION = "indication"
    NEGATIVE = "negative"  # cited "no adjustment", "no relevant interaction": verdict OK


NUMERIC_FIELDS = ("age_years", "age_months", "weight_kg", "creatinine_mg_dl", "egfr", "crcl", "trimester")
REACTIONS = ("immediate", "severe delayed", "mild")
_OPS = {"<", "<=", ">", ">=", "=="}


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Condition(Frozen):
    """One typed comparison over a patient. `kind` says which of the other fields hold."""

    kind: Literal[
        "number", "child_pugh", "pregnant", "lactating", "sex", "allergy", "genotype", "comed", "comed_class",
        "condition", "indication", "count",
    ]  # fmt: skip
    field: str = ""  # number: the patient's field; allergy: the allergen; genotype: the gene; others: the name
    low: float | None = None  # number, child_pugh (A=1, B=2, C=3): lower bound
    low_open: bool = False
    high: float | None = None
    high_open: bool = False
    value: str = ""  # allergy: reaction class or ""; genotype: phenotype
    at_least: int = 0  # count: how many of `parts` must hold
    parts: tuple[Condition, ...] = ()
    text: str = ""  # as written

    @property
    def patient_field(self) -> str:
        """The patient's field that decides it: "egfr", "comeds", "genotype:CYP2D6" ..."""
        if self.kind == "number":
            return self.field
        if self.kind in ("comed", "comed_class"):
            return "comeds"
        if self.kind == "genotype":
            return f"genotype:{self.field}"
        return {"allergy": "allergies", "condition": "conditions"}.get(self.kind, self.kind)


def parse_condition(text: str) -> Condition:
    """Parse one condition; raise ValueError that names the text and the grammar it breaks."""
    raw = " ".join(text.split())
    if match := re.fullmatch(r"at least (\d+) of: (.+)", raw):
        parts = tuple(parse_condition(part) for part in match[2].split(";"))
        if not 1 <= int(match[1]) <= len(parts):
            raise ValueError(f"{raw!r}: asks for {match[1]} of {len(parts)} parts")
        return Condition(kind="count", at_least=int(match[1]), parts=parts, text=raw)
    if raw in ("pregnant", "lactating"):
        return Condition(kind=raw, text=raw)
    if ": " in raw:
        return _parse_named(raw)
    return _parse_number(raw)


def _parse_named(raw: str) -> Condition:
    key, _, rest = raw.partition(": ")
    rest = rest.strip()
    if key == "sex" and rest in ("female", "male"):
        return Condition(kind="sex", field=rest, text=raw)
    if key == "allergy" and (match := re.fullmatch(r"([a-z0-9 /-]+?)(?: \(([a-z ]+)\))?", rest)):
        if match[2] and match[2] not in REACTIONS:
            raise ValueError(f"{raw!r}: reaction {match[2]!r} is not one of {', '.join(REACTIONS)}")
        return Condition(kind="allergy", field=match[1], value=match[2] or "", text=raw)
    if key == "genotype" and (match := re.fullmatch(r"(\S+) (.+)", rest)):
        return Condition(kind="genotype", field=match[1], value=match[2], text=raw)
    if key == "comed":
        if rest.startswith("class "):
            return Condition(kind="comed_class", field=rest.removeprefix("class "), text=raw)
        return Condition(kind="comed", field=rest, text=raw)
    if key == "condition":
        return Condition(kind="condition", field=rest, text=raw)
    if key == "indication":
        return Condition(kind="indication", field=rest, text=raw)
    raise ValueError(f"{raw!r}: not a condition (see the grammar at the head of knowledge/fact.py)")


def _parse_number(raw: str) -> Condition:
    match = re.fullmatch(r"(?:([\d.]+|[ABC]) (<=?) )?([a-z_]+)(?: (<=?|>=?|==) ([\d.]+|[ABC]))?", raw)
    if not match or not (match[1] or match[4]):
        raise ValueError(f"{raw!r}: not a condition (see the grammar at the head of knowledge/fact.py)")
    left, left_op, field, op, right = match.groups()
    if field not in (*NUMERIC_FIELDS, "child_pugh"):
        raise ValueError(f"{raw!r}: {field!r} is not one of {', '.join((*NUMERIC_FIELDS, 'child_pugh'))}")

    def number(token: str) -> float:
        if (token in "ABC") != (field == "child_pugh"):
            raise ValueError(f"{raw!r}: {token!r} does not fit {field}")
        return float("ABC".index(token) + 1) if token in "ABC" else float(token)

    low = high = None
    low_open = high_open = False
    if left:
        low, low_open = number(left), left_op == "<"
    if op in ("<", "<="):
        high, high_open = number(right), op == "<"
    elif op in (">", ">="):
        if left:
            raise ValueError(f"{raw!r}: write a range as 'low <= {field} < high'")
        low, low_open = number(right), op == ">"
    elif op == "==":
        low = high = number(right)
    kind: Literal["number", "child_pugh"] = "child_pugh" if field == "child_pugh" else "number"
    return Condition(kind=kind, field=field, low=low, low_open=low_open, high=high, high_open=high_open, text=raw)


def _parse_when(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(parse_condition(item) if isinstance(item, str) else item for item in value)
    return value


class Phase(Frozen):
    """One step of a dose given in steps (acetylcysteine: 150 mg/kg over 1 h, then ...)."""

    dose: float = Field(gt=0)
    unit: Literal["mg/kg", "mg", "units/kg", "g"]
    over_h: float = Field(gt=0)


class Action(Frozen):
    """A dose, a ceiling or a share of the usual dose.

    Exactly one of: `dose` (one number, or [low, high]); `phases`; `percent`; a bare `max` (a ceiling).
    `per` says whether `dose` is one dose or a whole day's; a day's dose is split into `divided` doses.
    """

    of: str = ""  # the drug that is dosed; "" is the fact's own drug (interactions may dose either)
    dose: float | tuple[float, float] | None = None
    unit: Literal["mg", "mg/kg", "g", "mcg", "mcg/kg", "units", "units/kg", "mg/m2", "mL", ""] = ""
    per: Literal["dose", "day"] = "dose"
    divided: int = Field(1, ge=1, le=8)  # per = "day": into how many doses
    every_h: float | tuple[float, float] | None = None  # per = "dose": hours between doses; None: a single dose
    max: float | None = Field(None, gt=0)  # cap in the unit without "/kg"
    max_per: Literal["dose", "day"] = "dose"
    percent: float | None = Field(None, gt=0, le=100)  # of the usual dose
    phases: tuple[Phase, ...] = ()
    max_weight_kg: float | None = None  # phases: weight is counted up to this
    route: str = ""  # "oral", "IV", "subcutaneous" ...; "" where it does not matter
    note: str = ""  # at most six words, e.g. "after dialysis"

    @property
    def scales_with(self) -> frozenset[str]:
        """What the dose goes by: "/kg" (weight), "/m2" (body surface), neither."""
        return frozenset(per_body(unit)[1] for unit in (self.unit, *(phase.unit for phase in self.phases))) - {""}

    @model_validator(mode="after")
    def _one_form(self) -> Action:
        forms = [self.dose is not None, bool(self.phases), self.percent is not None]
        if sum(forms) > 1 or (not any(forms) and self.max is None):
            raise ValueError("an action is one of: dose, phases, percent, or a bare max")
        if (self.dose is not None or self.max is not None) and not self.unit:
            raise ValueError("a dose or a max needs a unit")
        if isinstance(self.dose, tuple) and self.dose[0] >= self.dose[1]:
            raise ValueError(f"dose range {self.dose}: the low end must come first")
        return self


class Risk(Frozen):
    """A measured effect size: odds ratio, incidence in percent ..."""

    measure: str
    value: float
    ci: tuple[float, float] | None = None
    outcome: str
    population: str = ""


class Alternative(Frozen):
    """A drug to use instead. It is judged on the same patient before anyone sees it."""

    drug: str
    instead_of: str = ""  # interactions: the drug or class that it replaces; "" is the fact's own drug
    unless: str = ""  # a condition, same grammar as `when`


class SourceRef(Frozen):
    id: str  # a key of sources.toml
    locator: str  # "section 4", "table 2", "recommendation 3"


class Verified(Frozen):
    """What someone held a fact against: its drug, condition and action, read beside the text that supports all three.

    cpic: a row of CPIC's own table. label: a section of a US label. second_source: another published text, at an
    address. A text that is silent on a number of the fact, or says something else, verifies nothing.
    """

    by: Literal["cpic", "label", "second_source", "none"]
    date: str = ""  # ISO date of the check; empty only with by = "none"
    at: str = ""  # what was read: "Norvasc 2014, drug interactions", or an address


class Fact(Frozen):
    """One atomic statement about one drug or class."""

    id: str = Field(pattern=r"^[a-z0-9]+(?:[.-][a-z0-9]+)*$")
    type: FactType
    drug: str = ""
    drug_class: str = Field("", alias="class")
    when: Annotated[tuple[Condition, ...], BeforeValidator(_parse_when)] = ()
    verdict: Verdict | None = None  # None for monitoring, antidote and maximum
    requires: tuple[str, ...] = ()  # patient fields that must be known before OK may be said: "egfr", "weight_kg" ...
    action: Action | None = None
    mechanism: str = ""  # at most 7 words, reads after "because of": "lactic acidosis from accumulation"
    effect: str = ""
    risk: Risk | None = None
    alternatives: tuple[Alternative, ...] = ()
    monitoring: str = ""  # at most 5 words, reads after "monitor": "kidney function", "INR"
    antidote: str = ""  # antidote facts: the drug that reverses
    severity: Literal["major", "moderate", "minor"] = "moderate"
    evidence: Literal["strong", "moderate", "weak", "conflicting"] = "moderate"
    jurisdiction: Literal["US", "UK", "EU", "intl"] = "US"
    as_of: str = Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")
    sources: tuple[SourceRef, ...] = Field(min_length=1)
    verified: Verified = Verified(by="none")
    exceptions: tuple[str, ...] = ()
    view: Literal["primary", "other"] = "primary"  # "other": another source's verdict; never decides, named as conflict
    conflicts_with: tuple[str, ...] = ()  # ids of facts that overlap this one and say something else, on purpose

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    @model_validator(mode="after")
    def _consistent(self) -> Fact:
        if bool(self.drug) == bool(self.drug_class):
            raise ValueError("a fact names exactly one of drug and class")
        silent = self.type in (FactType.MONITORING, FactType.ANTIDOTE, FactType.MAXIMUM)
        if silent != (self.verdict is None):
            raise ValueError(f"a {self.type.value} fact {'takes no' if silent else 'needs a'} verdict")
        if self.verdict is Verdict.ADJUST and self.action is None:
            raise ValueError("ADJUST needs an action: the dose is what the answer must say")
        if self.verdict is Verdict.INSUFFICIENT:
            raise ValueError("INSUFFICIENT is the judge's word, never a fact's")
        return self


class Drug(Frozen):
    """One medicine. `name` is the lower-case US generic name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9 '-]*$")
    classes: tuple[str, ...] = Field(min_length=1)
    brands: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()  # other generic names: paracetamol, ciclosporin


class DrugClass(Frozen):
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 '-]*$")  # singular, lower case: "nsaid", "ace inhibitor"
    label: str  # as written in a sentence, singular: "NSAID", "ACE inhibitor"


class Term(Frozen):
    """A word that conditions may use: a disease, an indication, an allergen."""

    kind: Literal["condition", "indication", "allergen"]
    name: str
    aliases: tuple[str, ...] = ()


class Source(Frozen):
    id: str
    title: str
    publisher: str
    date: str
    jurisdiction: Literal["US", "UK", "EU", "intl"]
    url: str = ""
