"""Patient: what a question says about one person. Every field may be unknown (None or empty)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

Reaction = Literal["immediate", "severe delayed", "mild", "unknown"]
ALL_REACTIONS: tuple[Reaction, ...] = get_args(Reaction)


@dataclass(frozen=True)
class Allergy:
    allergen: str  # a drug, a class or a declared allergen: "penicillin"
    reaction: Reaction = "unknown"


@dataclass(frozen=True)
class Genotype:
    gene: str  # "CYP2D6", "HLA-B*57:01"
    phenotype: str = ""  # "poor metabolizer", "positive", "negative"; "" when raised and not known


@dataclass(frozen=True)
class Patient:
    """Units are in the names. `egfr` is mL/min/1.73 m2 (CKD-EPI 2021); `crcl` is mL/min (Cockcroft-Gault).

    Allergies, conditions, comeds, pregnancy and lactation that are not stated count as absent.
    """

    age_years: float | None = None
    weight_kg: float | None = None
    height_cm: float | None = None
    sex: Literal["female", "male"] | None = None
    creatinine_mg_dl: float | None = None
    egfr: float | None = None
    crcl: float | None = None
    child_pugh: Literal["A", "B", "C"] | None = None
    pregnant: bool = False
    trimester: int | None = None
    lactating: bool = False
    indication: str = ""
    jurisdiction: Literal["US", "UK", "EU", "intl"] = "US"
    allergies: tuple[Allergy, ...] = field(default=())
    genotypes: tuple[Genotype, ...] = field(default=())
    comeds: tuple[str, ...] = field(default=())
    conditions: tuple[str, ...] = field(default=())

    def without(self, *names: str) -> Patient:
        """The same patient with these fields back at their defaults (abstention twins)."""
        blank = Patient()
        return replace(self, **{name: getattr(blank, name) for name in names})
