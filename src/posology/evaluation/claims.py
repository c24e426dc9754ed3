"""Grade an answer's claims against gold: supported, contradicted or unverifiable.

A claim is contradicted where gold says something else about the same thing: another threshold on the same side, a
number that is not this patient's, another mechanism, something to monitor that neither gold nor the drug's own facts
name, a drug instead that this patient must not have. A claim on which gold is silent is unverifiable: counted, and no
reason to fail an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from posology.curriculum.records import Case, Gold
from posology.evaluation.reading import Reading
from posology.evaluation.reading_claims import RELATIONS, Claim, numeric_claims, phrase_words, same_phrase
from posology.evaluation.reading_text import Names, normalise, sentences
from posology.evaluation.reading_verdict import STOPS, USABLE

_PARTS = re.compile(r",? and |, ")  # between things to monitor
StopsFor = Callable[[Case, str], bool | None]  # (case, drug) -> must this patient not have it; None: not known


@dataclass
class Marks:
    """Claims counted while an answer is graded; `elements`: what it states and gold supports."""

    supported: int = 0
    unverifiable: int = 0
    contradicted: list[str] = field(default_factory=list)
    elements: set[str] = field(default_factory=set)


def grade_claims(case: Case, reading: Reading, names: Names, stops: StopsFor | None, marks: Marks) -> None:
    gold = case.gold
    deciding, too = _gold_numbers(gold.deciding), _gold_numbers(" ".join(gold.deciding_too))
    monitors = [claim.object for claim in reading.claims if claim.relation == "monitor"]
    for claim in reading.claims:
        if claim.relation in RELATIONS or claim.relation in ("value", "mentions"):
            _number_claim(case, claim, deciding, too, marks)
        elif claim.relation == "deciding":
            _deciding_claim(case, claim, names, marks)
        elif claim.relation == "mechanism":
            _phrase_claim(claim.object, gold.mechanism, "mechanism", marks)
        elif claim.relation == "because":
            _because_claim(claim, gold, marks)
        elif claim.relation == "instead":
            _instead_claim(case, claim.object, names, stops, marks)
        elif claim.relation == "cites":
            marks.unverifiable += 1
    if monitors:
        _monitor_claims(monitors, gold, marks)


@lru_cache(maxsize=16384)
def _gold_numbers(deciding: str) -> tuple[Claim, ...]:
    out: list[Claim] = []
    for sentence in sentences(normalise(deciding)):
        out += numeric_claims(sentence, "")
    return tuple(out)


def _number_claim(case: Case, claim: Claim, deciding: tuple[Claim, ...], too: tuple[Claim, ...], marks: Marks) -> None:
    """A number of the patient, or a threshold it is held against. `too`: those of other facts with the same verdict."""
    known = _patient_number(case, claim.object, deciding)
    assert claim.value is not None  # numeric_claims gives every one a value
    if claim.relation in ("value", "mentions"):
        if known is None:
            marks.unverifiable += 1
        elif abs(known - claim.value) > 1e-6 + 0.005 * abs(known):
            marks.contradicted.append(f"{claim.object} of {claim.value:g}")
        else:
            marks.supported += 1
        return
    side = RELATIONS[claim.relation]
    same_side = [g for g in deciding if g.object == claim.object and RELATIONS.get(g.relation) == side]
    if any(g.value == claim.value for g in same_side):
        marks.supported += 1
        marks.elements.add("deciding")
    elif any((g.object, g.relation, g.value) == (claim.object, claim.relation, claim.value) for g in too):
        marks.supported += 1
    elif same_side or (known is not None and not _holds(known, claim)):
        marks.contradicted.append(f"{claim.object} {claim.relation} {claim.value:g}")
    else:
        marks.unverifiable += 1


def _holds(value: float, claim: Claim) -> bool:
    bound = claim.value or 0.0
    return {"below": value < bound, "at most": value <= bound, "above": value > bound, "at least": value >= bound}[
        claim.relation
    ]


def _patient_number(case: Case, name: str, deciding: tuple[Claim, ...]) -> float | None:
    for claim in deciding:
        if claim.relation in ("value", "mentions") and claim.object == name:
            return claim.value
    value: object = case.patient.get(name)
    if name == "age_months" and isinstance(years := case.patient.get("age_years"), (int, float)):
        return round(12.0 * years, 6)
    if name == "child_pugh" and isinstance(value, str) and value in "ABC":
        return float("ABC".index(value) + 1)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _deciding_claim(case: Case, claim: Claim, names: Names, marks: Marks) -> None:
    """ "Deciding: ibuprofen with warfarin." Gold says it in its own words, or it must at least fit the patient."""
    gold, stated = case.gold.deciding, claim.object
    if gold and same_phrase(stated, _without_label(gold)):
        marks.supported += 1
        marks.elements.add("deciding")
        return
    if any(same_phrase(stated, _without_label(other)) for other in case.gold.deciding_too):
        marks.supported += 1  # true of this patient, and not what decides first
        return
    if _gold_numbers(gold) and numeric_claims(stated, ""):
        return  # the numbers are judged as numbers
    if gold and phrase_words(stated) < phrase_words(_without_label(gold)):
        marks.unverifiable += 1  # true, and not the whole of it
        return
    if gold:
        marks.contradicted.append(f"deciding: {stated}")
        return
    known = {names.resolve(case.drug) or case.drug.lower(), *comeds_of(case, names), *_allergens(case)}
    if any(m.drug not in known and not m.by_class for m in names.mentions(stated, case.drug.lower())):
        marks.contradicted.append(f"deciding: {stated}")
    else:
        marks.unverifiable += 1


def _without_label(text: str) -> str:
    return re.sub(r"^\s*deciding:\s*", "", text, flags=re.IGNORECASE).rstrip(". ")


def _phrase_claim(stated: str, gold: str, element: str, marks: Marks) -> None:
    if not gold:
        marks.unverifiable += 1
    elif same_phrase(stated, gold):
        marks.supported += 1
        marks.elements.add(element)
    else:
        marks.contradicted.append(f"{element}: {stated}")


def _because_claim(claim: Claim, gold: Gold, marks: Marks) -> None:
    """A reason in passing ("because of ..."): may be the mechanism or what decides; otherwise nobody can say."""
    if gold.mechanism and same_phrase(claim.object, gold.mechanism):
        marks.supported += 1
        marks.elements.add("mechanism")
    elif gold.deciding and same_phrase(claim.object, _without_label(gold.deciding)):
        marks.supported += 1
        marks.elements.add("deciding")
    else:
        marks.unverifiable += 1


def _monitor_claims(stated: list[str], gold: Gold, marks: Marks) -> None:
    """What to monitor: gold's own words, or a list that holds them. Something else in its place is invented, unless it
    is what this drug always needs ("kidney function" for dabigatran): that is true, and not what was asked for."""
    own = gold.monitoring
    if not own:
        marks.unverifiable += len(stated)
        return
    parts = [part for text in stated for part in _PARTS.split(text) if part]
    if any(same_phrase(text, own) for text in (*stated, *parts, " ".join(stated))):
        marks.supported += 1
        marks.elements.add("monitor")
        marks.unverifiable += sum(not _is_among(part, (own, *_PARTS.split(own))) for part in parts)
        return
    always = [part for text in gold.monitored for part in _PARTS.split(text)]
    for text in stated:
        if all(_is_among(part, always) for part in _PARTS.split(text) if part):
            marks.supported += 1
        else:
            marks.contradicted.append(f"monitor: {text}")


def _is_among(phrase: str, known: Iterable[str]) -> bool:
    return any(same_phrase(phrase, own) for own in known)


def _instead_claim(case: Case, drug: str, names: Names, stops: StopsFor | None, marks: Marks) -> None:
    if drug in case.gold.alternatives:
        marks.supported += 1
        marks.elements.add("instead")
        return
    asked = names.resolve(case.drug) or case.drug.lower()
    known = names.resolve(drug)
    unsafe: bool | None = True
    if drug != asked and stops is not None:
        unsafe = stops(case, known) if known else None
    if drug == asked and case.gold.verdict in USABLE:
        unsafe = None
    if unsafe:
        marks.contradicted.append(f"instead: {drug}")
    else:
        marks.unverifiable += 1


def comeds_of(case: Case, names: Names) -> tuple[str, ...]:
    return tuple(names.resolve(str(name)) or str(name) for name in case.patient.get("comeds", ()))


def _allergens(case: Case) -> Iterable[str]:
    for allergy in case.patient.get("allergies", ()):
        yield str(allergy["allergen"] if isinstance(allergy, dict) else allergy)


def grade_sources(gold: Gold, reading: Reading, marks: Marks) -> None:
    allowed = {*gold.conflict, gold.verdict}
    for verdict in reading.sources:
        if not gold.conflict:
            marks.unverifiable += 1
        elif verdict in allowed:
            marks.supported += 1
        else:
            marks.contradicted.append(f"a source says {verdict}")


def grade_others(case: Case, reading: Reading, names: Names, stops: StopsFor | None, marks: Marks) -> None:
    """Verdicts on other drugs: a safe alternative called unsafe, or an unsafe drug called usable, is contradicted."""
    comeds = comeds_of(case, names)
    for drug, verdict in reading.others:
        if drug in comeds or drug.startswith("class "):
            continue
        if drug in case.gold.alternatives and verdict in STOPS:
            marks.contradicted.append(f"{drug} is called unsafe")
        elif verdict in USABLE and stops is not None and drug not in case.gold.alternatives and stops(case, drug):
            marks.contradicted.append(f"{drug} is called usable")
        else:
            marks.unverifiable += 1
