"""Which facts, numbers and class members the exam keeps for itself: decided by salted hashes before any text exists.

Nothing here reads a seed: the same fact is reserved in every run, on every machine. The salt is part of the package,
so the splits are frozen with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

SALT = "posology-splits-2026"

DEV_FACTS = 0.15  # facts whose wordings and numbers serve the development split, and never S1-S8
PAIR_FACTS = 0.20  # facts that no preference pair is trained on
EXAM_NUMBERS, DEV_NUMBERS = 0.20, 0.06  # values of a drug's numbers that no training text holds
CLASS_MEMBERS = 0.10  # (class fact, member) pairs that only documents join: S3

Group = Literal["train", "exam", "dev"]


def unit(*names: str) -> float:
    """A number in [0, 1) that depends on the names alone."""
    digest = hashlib.sha256("\x1f".join((SALT, *names)).encode("utf-8")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def is_dev_fact(fact_id: str) -> bool:
    """The fact's exam questions belong to the development split; it is trained like the others."""
    return unit("dev", fact_id) < DEV_FACTS


def split_of(fact_id: str) -> Literal["dev", "exam"]:
    """Whose questions a fact serves: development's, or the exam's (S0 to S8)."""
    return "dev" if is_dev_fact(fact_id) else "exam"


def is_pair_fact(fact_id: str) -> bool:
    """False for the facts that preference training never sees (PairSplit "heldout_facts")."""
    return unit("pairs", fact_id) >= PAIR_FACTS


def is_member_held_out(fact_id: str, drug: str) -> bool:
    """A class fact and a member that meet in no dialogue and no pair: the exam asks for the step (S3)."""
    return unit("member", fact_id, drug) < CLASS_MEMBERS


def number_group(drug: str, field: str, value: float) -> Group:
    """Who may use this number with this drug: training (and S0, S1), the exam (S2), or development.

    The number counts as it is written (months below two years), whatever field it is in: one that is reserved stands
    in no training question on the drug.
    """
    if value == 0:
        return "train"  # a newborn: written without a number
    months = field == "age_years" and value < 2 and value % 1 > 1e-9
    share = unit("number", drug, f"{round(12 * value) if months else value:g}")
    if share < EXAM_NUMBERS:
        return "exam"
    return "dev" if share < EXAM_NUMBERS + DEV_NUMBERS else "train"


def first_facts(fact_ids: Iterable[str], limit: int) -> set[str]:
    """The first `limit` facts by salted hash (0: all of them)."""
    ordered = sorted(fact_ids, key=lambda fact_id: (unit("order", fact_id), fact_id))
    return set(ordered[:limit] if limit else ordered)
