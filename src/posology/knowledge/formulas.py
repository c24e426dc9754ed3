"""Kidney function, body surface area and doses by weight. Units are in the names. Not for care of patients."""

from __future__ import annotations

import math
from typing import Literal

ADULT_YEARS = 18  # both kidney equations are for adults


def ckd_epi_2021(creatinine_mg_dl: float, age_years: float, sex: Literal["female", "male"]) -> float:
    """eGFR in mL/min/1.73 m2 without a race term.

    Inker et al., N Engl J Med 2021;385:1737, creatinine equation:
    142 * min(Scr/k, 1)^a * max(Scr/k, 1)^-1.200 * 0.9938^age * (1.012 if female),
    k = 0.7 and a = -0.241 for women, k = 0.9 and a = -0.302 for men. ValueError outside its domain.
    """
    _positive(creatinine_mg_dl=creatinine_mg_dl)
    if age_years < ADULT_YEARS:
        raise ValueError(f"age_years = {age_years}: CKD-EPI 2021 is for adults ({ADULT_YEARS} or older)")
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    ratio = creatinine_mg_dl / kappa
    below, above = math.pow(min(ratio, 1.0), alpha), math.pow(max(ratio, 1.0), -1.200)
    return 142.0 * below * above * math.pow(0.9938, age_years) * factor


def cockcroft_gault(
    age_years: float, weight_kg: float, creatinine_mg_dl: float, sex: Literal["female", "male"]
) -> float:
    """Creatinine clearance in mL/min: (140 - age) * weight / (72 * Scr), times 0.85 for women.

    Cockcroft and Gault, Nephron 1976;16:31. ValueError outside its domain.
    """
    _positive(weight_kg=weight_kg, creatinine_mg_dl=creatinine_mg_dl)
    if not ADULT_YEARS <= age_years < 140:
        raise ValueError(f"age_years = {age_years}: Cockcroft-Gault is for adults ({ADULT_YEARS} to 139)")
    factor = 0.85 if sex == "female" else 1.0
    return (140.0 - age_years) * weight_kg / (72.0 * creatinine_mg_dl) * factor


def body_surface_area(height_cm: float, weight_kg: float) -> float:
    """Body surface area in m2: sqrt(height * weight / 3600). Mosteller, N Engl J Med 1987;317:1098."""
    _positive(height_cm=height_cm, weight_kg=weight_kg)
    return math.sqrt(height_cm * weight_kg / 3600.0)


def dose_by_weight(
    weight_kg: float, amount_per_kg: float, *, divided: int = 1, cap: float | None = None
) -> tuple[float, bool]:
    """One dose of `amount_per_kg` per kg, the whole split into `divided` doses, at most `cap` a dose.

    Returns the dose in the unit of `amount_per_kg` without "/kg", and whether the cap decided.
    """
    _positive(weight_kg=weight_kg, amount_per_kg=amount_per_kg)
    amount = weight_kg * amount_per_kg / divided
    return (cap, True) if cap is not None and amount > cap else (amount, False)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value}: must be a number above 0")
