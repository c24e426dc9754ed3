"""Amounts with their units: conversion between g, mg and mcg, and how a number is written."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal

MASS_MG = {"g": 1000.0, "mg": 1.0, "mcg": 0.001}
PER_BODY = ("/kg", "/m2")  # doses by weight or by body surface area


@dataclass(frozen=True)
class Quantity:
    """An amount of a medicine. Masses compare and convert; other units (units, mL, %) only with themselves."""

    amount: float
    unit: str

    def to(self, unit: str) -> Quantity:
        """The same quantity in another unit; ValueError where there is no way."""
        if unit == self.unit:
            return self
        if unit in MASS_MG and self.unit in MASS_MG:
            return Quantity(self.amount * MASS_MG[self.unit] / MASS_MG[unit], unit)
        raise ValueError(f"{self}: cannot be given in {unit}")

    def __str__(self) -> str:
        return f"{number(self.amount)} {self.unit}"


def comparable(unit: str, other: str) -> bool:
    return unit == other or (unit in MASS_MG and other in MASS_MG)


def per_body(unit: str) -> tuple[str, str]:
    """("mg", "/kg") for "mg/kg"; ("mg", "") for "mg"."""
    for suffix in PER_BODY:
        if unit.endswith(suffix):
            return unit.removesuffix(suffix), suffix
    return unit, ""


def number(value: float) -> str:
    """At most four significant digits (halves away from zero), no exponent, no trailing zeros: 450, 382.5, 0.035."""
    rounded = Decimal(repr(float(value))).normalize(Context(prec=4, rounding=ROUND_HALF_UP))
    return f"{rounded:f}" if rounded else "0"
