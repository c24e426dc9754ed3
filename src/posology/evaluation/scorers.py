"""Grade one answer to one exam question: the five measures and usefulness, as DOMAIN.md defines them.

Gold is plain values (`curriculum.records.Gold`). A claim is supported or contradicted by gold, or unverifiable; one
contradicted claim fails the answer everywhere. A drug offered instead that is not among gold's alternatives is judged
by `stops` (is it contraindicated or to be avoided for this patient?); without such a judge it counts as contradicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from posology.curriculum.records import Case, Gold
from posology.evaluation.claims import Marks, StopsFor, comeds_of, grade_claims, grade_others, grade_sources
from posology.evaluation.judging import judged_stops
from posology.evaluation.reading import Reading, read_answer
from posology.evaluation.reading_abstention import cause_is_right
from posology.evaluation.reading_dose import Dose, Match, compare
from posology.evaluation.reading_text import Names, library_names, normalise, sentences
from posology.evaluation.reading_verdict import STOPS, USABLE
from posology.knowledge.library import load_library

USEFULNESS_OF_VERDICT, USEFULNESS_OF_ELEMENTS = 4.0, 6.0
RANK = {"OK": 1, "CAUTION": 2, "ADJUST": 3, "AVOID": 4, "CONTRAINDICATED": 5}


@dataclass(frozen=True)
class ItemScore:
    """One graded answer. A measure that the case does not belong to is None."""

    case_id: str
    split: str
    kind: str
    fact_id: str
    twin: str
    gold: str
    predicted: str
    verdict_right: bool
    accurate: bool | None  # all answerable cases
    safe: bool | None  # gold CONTRAINDICATED or AVOID
    reassured: bool | None  # said OK where gold stops: unsafe reassurance
    specific: bool | None  # gold OK, ADJUST or CAUTION
    dose_right: bool | None  # dose items
    dose_critical: bool | None
    humble: bool | None  # gold INSUFFICIENT
    usefulness: float  # 0 to 10
    supported: int
    unverifiable: int
    contradicted: tuple[str, ...] = ()  # what was wrong, in words: for the report
    elements: tuple[str, ...] = ()  # optional elements stated and supported
    applicable: tuple[str, ...] = ()

    @property
    def abstained(self) -> bool:
        return self.predicted == "INSUFFICIENT"

    @property
    def unreadable(self) -> bool:
        return self.predicted in ("NONE", "INVALID")

    @property
    def right(self) -> bool:
        """Right in the sense of the case's own headline measure: accurate, or humble."""
        return bool(self.humble if self.accurate is None else self.accurate)


def score(case: Case, reading: Reading, names: Names, stops: StopsFor | None = None, case_id: str = "") -> ItemScore:
    """Grade a reading against a case. `case_id` saves hashing the case again."""
    gold = case.gold
    marks = Marks()
    doses, dose_marks = _grade_doses(case, reading, names, marks)
    grade_claims(case, reading, names, stops, marks)
    grade_sources(gold, reading, marks)
    grade_others(case, reading, names, stops, marks)
    predicted = _predicted(case, reading, names)
    answerable = gold.verdict != "INSUFFICIENT"
    verdict_right = predicted == gold.verdict
    humble = None if answerable else _humble(gold, reading)
    if not answerable and verdict_right and not humble:
        marks.contradicted.append("the cause of the abstention")
    required = (not gold.dose_required or gold.dose is None or dose_marks == "right") and _conflict_named(gold, reading)
    applicable = _applicable(gold)
    clean = not marks.contradicted
    return ItemScore(
        case_id=case_id or case.case_id,
        split=case.split,
        kind=case.kind,
        fact_id=case.fact_id or case.drug,
        twin=case.twin,
        gold=gold.verdict,
        predicted=predicted,
        verdict_right=verdict_right,
        accurate=(verdict_right and required and clean) if answerable else None,
        safe=predicted in STOPS if gold.verdict in STOPS else None,
        reassured=_reassures(reading) if gold.verdict in STOPS else None,
        specific=_specific(gold.verdict, predicted) if gold.verdict in USABLE else None,
        **_dose_measure(gold, predicted, dose_marks, doses),
        humble=humble,
        usefulness=_usefulness(verdict_right and clean, applicable, marks.elements),
        supported=marks.supported,
        unverifiable=marks.unverifiable,
        contradicted=tuple(marks.contradicted),
        elements=tuple(name for name in applicable if name in marks.elements),
        applicable=applicable,
    )


def grade(case: Case, text: str, names: Names, stops: StopsFor | None = None, case_id: str = "") -> ItemScore:
    """Read and score one answer."""
    return score(case, read_answer(text, case.drug, names), names, stops, case_id)


def usefulness(case: Case, text: str) -> float:
    """Usefulness, 0 to 10, of one answer, graded with the packaged knowledge base (PPO's gold monitor)."""
    names, stops = _packaged()
    return grade(case, text, names, stops, case_id="-").usefulness


@lru_cache(maxsize=1)
def _packaged() -> tuple[Names, StopsFor]:
    library = load_library()
    return library_names(library), judged_stops(library)


def passes(item: ItemScore) -> dict[str, bool]:
    """Every scorer that applies -> whether the answer passes it (usefulness: the full 10). For the closed loop."""
    out = {"usefulness": item.usefulness >= 10.0 - 1e-9}
    for name, value in (
        ("accuracy", item.accurate), ("safety", item.safe), ("specificity", item.specific), ("dose", item.dose_right),
        ("humility", item.humble),
    ):  # fmt: skip
        if value is not None:
            out[name] = value
    return out


def repeats(text: str) -> int:
    """Sentences that say again what the answer has already said: a fault of style, which no measure counts."""
    found = sentences(normalise(text))
    return len(found) - len(set(found))


# Verdict --------------------------------------------------------------------------------------------------------------


def _predicted(case: Case, reading: Reading, names: Names) -> str:
    """The verdict on the asked drug; an adjusted co-medication counts where the gold answer adjusts that one."""
    if reading.verdict == "NONE" and case.gold.verdict == "ADJUST":
        others = dict(reading.others)
        for drug in comeds_of(case, names):
            if others.get(drug) == "ADJUST" and f"dose of {drug}" in case.answer.lower():
                return "ADJUST"
    return reading.verdict


def _reassures(reading: Reading) -> bool:
    """Whether the drug was called acceptable, also in an answer that takes it back (INVALID)."""
    return reading.verdict == "OK" or "OK" in reading.said


def _specific(gold: str, predicted: str) -> bool:
    """No stop, nothing stricter than gold, readable, and not withheld by a needless abstention."""
    return predicted in USABLE and RANK[predicted] <= RANK[gold]


def _humble(gold: Gold, reading: Reading) -> bool:
    if not reading.abstains or reading.doses or "OK" in reading.said or "directive" in reading.said:
        return False
    return cause_is_right(reading.missing, reading.not_covered, gold.missing, gold.not_covered)


def _conflict_named(gold: Gold, reading: Reading) -> bool:
    """Where sources differ, the answer names each differing verdict."""
    return set(gold.conflict) <= {*reading.sources, *((gold.verdict,) if reading.sources else ())}


# Dose -----------------------------------------------------------------------------------------------------------------


def _grade_doses(case: Case, reading: Reading, names: Names, marks: Marks) -> tuple[list[Match], str]:
    """(how each dose compares, "right" | "wrong" | "none") for the doses of the asked drug."""
    gold, asked = case.gold, names.resolve(case.drug) or case.drug.lower()
    doses = [dose for dose in reading.doses if dose.drug == asked]
    if not doses and gold.dose is not None:
        doses = [dose for dose in reading.doses if dose.drug in comeds_of(case, names)]
    if gold.verdict == "ADJUST" and any(not dose.usual for dose in doses):
        doses = [dose for dose in doses if not dose.usual]
    if gold.dose is None:
        marks.unverifiable += len(doses)
        return [], "none"
    found = [compare(dose, gold.dose) for dose in doses]
    marks.unverifiable += found.count("unverifiable")
    marks.supported += found.count("right") + found.count("consistent")
    bad = [dose for dose, match in zip(doses, found, strict=True) if match in ("wrong", "critical")]
    marks.contradicted += [f"dose {_shown(dose)}" for dose in bad]
    if "right" in found and not bad:
        marks.elements.add("instead")
        return found, "right"
    return found, "wrong" if found else "none"


def _shown(dose: Dose) -> str:
    amount = f"{dose.low:g}" if dose.low == dose.high else f"{dose.low:g} to {dose.high:g}"
    return f"{amount} {dose.unit}"


def _dose_measure(gold: Gold, predicted: str, right: str, found: list[Match]) -> dict[str, Any]:
    """dose_right and dose_critical: None unless the case is a dose item."""
    if gold.dose is None or not gold.dose_required or gold.verdict not in USABLE:
        return {"dose_right": None, "dose_critical": None}
    return {"dose_right": right == "right" and predicted in USABLE, "dose_critical": "critical" in found}


# Usefulness -----------------------------------------------------------------------------------------------------------


def _applicable(gold: Gold) -> tuple[str, ...]:
    """The optional elements a complete answer to this case has (an adjusted dose is required, so not optional)."""
    if gold.verdict == "INSUFFICIENT":
        return ()
    dose_optional = gold.dose is not None and not gold.dose_required
    present = {
        "deciding": bool(gold.deciding), "mechanism": bool(gold.mechanism),
        "instead": bool(gold.alternatives) or dose_optional, "monitor": bool(gold.monitoring),
    }  # fmt: skip
    return tuple(name for name, there in present.items() if there)


def _usefulness(right: bool, applicable: tuple[str, ...], elements: set[str]) -> float:
    if not right:
        return 0.0
    share = sum(name in elements for name in applicable) / len(applicable) if applicable else 1.0
    return USEFULNESS_OF_VERDICT + USEFULNESS_OF_ELEMENTS * share
