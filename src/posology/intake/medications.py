"""Read medications out of a note or a summary: (drug, dose, unit, route, frequency, status), by rules alone.

Deterministic and explainable: a vocabulary finds the names (`drug_names`), patterns find what stands beside them
(`amounts`), and the nearest cue gives the status (`medication_cues`). Its errors are measured on labelled sentences
(`evaluation.reader_grade`), and those figures stand beside every figure that rests on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from posology.intake.amounts import (
    COUNTED,
    Dose,
    Found,
    Frequency,
    find_doses,
    find_frequency,
    find_route,
    fold,
    leading_route,
)
from posology.intake.drug_names import Named, Vocabulary, find_names, packaged_vocabulary
from posology.intake.medication_cues import AFTER, BEFORE, LONG_AGO, SECTIONS, Status
from posology.intake.sentences import sentences


@dataclass(frozen=True)
class Medication:
    """One medicine as a text tells it. Fields that the text does not tell are None or ""."""

    drug: str  # generic name; the word itself where no vocabulary knows it
    dose: Dose | None
    route: str
    frequency: Frequency | None
    status: Status
    known: bool  # the vocabulary knows the name
    start: int  # the name stands at [start, end) of the text
    end: int
    count: Dose | None = None  # how many of the dose at a time, where both are told: "500 mg, two tablets"

    @property
    def unit(self) -> str:
        return self.dose.unit if self.dose else ""

    def fields(self) -> dict[str, str]:
        """The tuple in words; "" where a field is not told."""
        return {
            "drug": self.drug,
            "dose": str(self.dose) if self.dose else "",
            "route": self.route,
            "frequency": str(self.frequency) if self.frequency else "",
            "status": self.status,
        }

    def __str__(self) -> str:
        return ", ".join(value for value in self.fields().values() if value)


def read_medications(text: str, vocabulary: Vocabulary | None = None) -> tuple[Medication, ...]:
    """Every medication that a text tells of, in order. A drug told twice is there twice; one with two doses too."""
    vocabulary = vocabulary or packaged_vocabulary()
    folded = fold(text)
    found: list[Medication] = []
    last: list[Medication] = []  # those of the sentence before, which a "Take one tablet ..." goes on about
    for sentence in sentences(text):
        body, section = folded[sentence.start : sentence.end], _section(sentence.section)
        named = find_names(body, vocabulary, listed=section == "current")
        if named:
            last = _read_sentence(body, named, section, sentence.start)
            found += last
        elif last and _GOES_ON.match(body):
            found[-1] = last[-1] = _completed(found[-1], body)
        else:
            last = []
    return tuple(found)


_GOES_ON = re.compile(
    r"^\W*(?:(?:take|takes|use|uses|give|apply|inject|inhale|place|instill|dispense|sig|one|two|half|\d)\b"
    r"|(?:he|she|the patient|patient|they) (?:is |was |has been )?(?:take|takes|taking|uses|using|took)\b(?: (?:it|this|them|one|two|\d)\b)"
    r"|(?:this|it|the dose) (?:is|was) (?:taken|given|dosed|\d))"
)


# One sentence ---------------------------------------------------------------------------------------------------------

_JOINED = re.compile(r"^(?:[\s,&/+]|\b(?:and|or|nor|plus|also|his|her|the|a|an|as well as|then|with)\b)*$")
_CUT = re.compile(  # the words after a medicine stop being about it here
    r"\b(?:who|because|since|although|but|denies|reports|exercises|walks|however|whereas|as well as|her pain|his pain)\b"
    r"|,? \b(?:and|with)\b(?! (?:\d|at\b|in the\b|as\b|then\b|one\b|two\b|three\b|four\b|half\b|every\b|each\b|a half|meals?\b|food\b|breakfast|dinner|supper|lunch|the evening|then|was|were|prn|increas|decreas|reduc|in a\.?m|her (?:evening )?meal|his (?:evening )?meal))"
)


def _section(heading: str) -> Status | None:
    """The status that a section's heading gives to what is listed under it; None where it says nothing."""
    return next((status for status, pattern in SECTIONS if pattern.match(heading)), None)


def _read_sentence(body: str, named: tuple[Named, ...], section: Status | None, offset: int) -> list[Medication]:
    owned = _regions(body, named)
    found: list[Medication] = []
    firsts: list[int] = []  # where each name's medications begin in `found`
    statuses = _statuses(body, named, owned, section)
    for name, region, status in zip(named, owned, statuses, strict=True):
        firsts.append(len(found))
        found += _regimens(body, name, region, status, offset)
    return _shared(body, named, found, firsts)


@dataclass(frozen=True)
class _Region:
    """What belongs to one name: a dose before it, if any, and the text from `after` to `end`."""

    lead: Found | None
    lead_start: int  # where its words begin
    after: int
    end: int


def _regions(body: str, named: tuple[Named, ...]) -> list[_Region]:
    out: list[_Region] = []
    previous_end, dose_first = 0, False
    starts: list[tuple[Found | None, int]] = []
    for number, name in enumerate(named):
        gap = body[previous_end : name.start]
        lead = _leading_dose(gap, is_first=number == 0, dose_first=dose_first)
        dose_first = dose_first or (number == 0 and lead is not None)
        starts.append((lead, previous_end + lead.start if lead else name.start))
        previous_end = name.end
    for number, name in enumerate(named):
        end = starts[number + 1][1] if number + 1 < len(named) else len(body)
        cut = _CUT.search(body, name.end, end)
        out.append(_Region(*starts[number], name.end, cut.start() if cut else end))
    return out


_TO_NAME = re.compile(
    r"^\s*(?:(?:tablets?|tabs?|capsules?|caps?|doses?|bolus|injections?|infusion|pills?|amps?|iv|im|po|oral|daily|topical|intravenous|intramuscular"
    r"|subcutaneous|once daily|twice daily|a day|cream|ointment|push) )*(?:of |x )?(?:(?:the|his|her|oral|intravenous|iv|po|im|subcutaneous"
    r"|liquid|chewable|generic|extended[- ]release|low[- ]dose|inhaled|enteric[- ]coated|daily|intramuscular|topical|sublingual|iv push|nebulized|over-the-counter) )*$"
)


def _leading_dose(gap: str, is_first: bool, dose_first: bool) -> Found | None:
    """The dose right before a name that is its own: "500 mg of ...", or "500 mg ..." where doses come first."""
    doses = find_doses(gap)
    if not doses:
        return None
    last = doses[-1]
    if not _TO_NAME.match(gap[last.end :] if gap[last.end :].startswith(" ") else " " + gap[last.end :]):
        return None
    of = re.match(r"^\W*(?:\w+ )?of\b", gap[last.end :]) is not None
    unclaimed = is_first or of or dose_first or bool(re.search(r"\b(?:and|plus|then|with)\s*$", gap[: last.start]))
    return last if unclaimed else None


def _regimens(body: str, name: Named, region: _Region, status: Status, offset: int) -> Iterator[Medication]:
    """A name's medications: one, or one for each dose with which it is told."""
    after = body[region.after : region.end]
    doses = [item for item in find_doses(after, combination="/" in name.drug) if not item.capped]
    doses = [item for item in doses if not re.search(r"(?:#|\bdispense |\bquantity )\s*$", after[: item.start])]
    counts = [item for item in doses if item.dose.unit in COUNTED]
    masses = [item for item in doses if item.dose.unit not in COUNTED]
    lead = region.lead
    if lead and lead.dose.unit not in COUNTED:
        taken: list[tuple[Dose | None, int, int]] = [(lead.dose, 0, len(after))]
        if masses and re.search(r"\b(?:and|then|to)\s*$", after[: masses[0].start]):
            taken = [(lead.dose, 0, masses[0].start)]
            taken += _spans(after, masses)
    elif masses:
        taken = _spans(after, masses)
        taken[0] = (taken[0][0], 0, taken[0][2])
    else:
        count = lead or (counts[0] if counts else None)
        taken = [(count.dose if count else None, 0, len(after))]
    count_dose = (lead.dose if lead and lead.dose.unit in COUNTED else counts[0].dose if counts else None) if masses or (
        lead and lead.dose.unit not in COUNTED
    ) else None
    route = find_route(after) or _lead_route(body, name, region)
    if not route and lead is not None:
        route = find_route(body[region.lead_start : name.start])
    for number, (dose, begin, end) in enumerate(taken):
        part = after[begin:end]
        frequency, _ = find_frequency(_mask_dose(part))
        if frequency is None and number == 0:
            frequency = _lead_frequency(body, name, region)
        now = _regimen_status(status, after, taken, number)
        yield Medication(
            name.drug, dose, route, frequency, now, name.known, offset + name.start, offset + name.end, count_dose
        )


def _spans(after: str, masses: list[Found]) -> list[tuple[Dose | None, int, int]]:
    ends = [item.start for item in masses[1:]] + [len(after)]
    return [(item.dose, item.start, end) for item, end in zip(masses, ends, strict=True)]


def _mask_dose(part: str) -> str:
    """Without "mg/kg/day", whose "day" is no frequency."""
    return re.sub(r"(?:/kg|/m2)/day|mg/day|mcg/day|mg per day(?= divided)", lambda match: " " * len(match[0]), part)


_CHANGE_TO = re.compile(r"\b(?:increas|decreas|reduc|cut|lower|titrat|chang|rais|doubl|taper)\w*\b[^.;]{0,40}?\bto\s*$|\bto\s*$")


def _regimen_status(status: Status, after: str, taken: list[tuple[Dose | None, int, int]], number: int) -> Status:
    """Of a changed dose, what stands before "to" is the past."""
    if status != "changed" or len(taken) < 2 or number == len(taken) - 1:
        return status
    return "past" if _CHANGE_TO.search(after[: taken[number + 1][1]]) else status


def _lead_route(body: str, name: Named, region: _Region) -> str:
    return leading_route(body[: name.start]) or leading_route(body[: region.lead_start])


_LEAD_FREQUENCY = re.compile(r"\b(daily|nightly|weekly|prn|monthly)\s+(?:\w+ )?$")


def _lead_frequency(body: str, name: Named, region: _Region) -> Frequency | None:
    """ "a daily multivitamin", "81 mg daily of aspirin"."""
    before = body[region.lead_start : name.start] if region.lead else ""
    frequency = find_frequency(_mask_dose(before))[0] if before else None
    match = _LEAD_FREQUENCY.search(body[: name.start])
    return frequency or (find_frequency(match[1])[0] if match else None)


def _shared(body: str, named: tuple[Named, ...], found: list[Medication], firsts: list[int]) -> list[Medication]:
    """What is told once for several: "aspirin and Plavix daily", "IV vancomycin and cefepime", "..., all once a day"."""
    if not found or len(named) < 2:
        return found
    everyone = re.search(r"\b(?:all|both|each) (?=once|twice|three|four|\d|q|b\.?i\.?d|t\.?i\.?d|daily)", body[named[-1].end :])
    out = list(found)
    for number in range(len(named) - 2, -1, -1):
        here, after = _own(out, firsts, number), _own(out, firsts, number + 1)
        if len(here) != 1 or len(after) != 1:
            continue
        one, other = out[here[0]], out[after[0]]
        joined = _JOINED.match(body[named[number].end : named[number + 1].start]) is not None
        bare = one.dose is None and one.frequency is None and other.dose is None and joined
        if one.frequency is None and other.frequency is not None and (bare or everyone):
            out[here[0]] = one = replace(one, frequency=other.frequency)
        if bare and not one.route and other.route:
            out[here[0]] = replace(one, route=other.route)
    for number in range(len(named) - 1):
        here, after = _own(out, firsts, number), _own(out, firsts, number + 1)
        if len(here) != 1 or len(after) != 1:
            continue
        one, other = out[here[0]], out[after[0]]
        joined = _JOINED.match(body[named[number].end : named[number + 1].start]) is not None
        if joined and one.route and not other.route and leading_route(body[: named[number].start]):
            out[after[0]] = replace(other, route=one.route)
    return out


def _own(found: list[Medication], firsts: list[int], number: int) -> range:
    return range(firsts[number], firsts[number + 1] if number + 1 < len(firsts) else len(found))


def _completed(medication: Medication, body: str) -> Medication:
    """The medication with what the next sentence adds: "Take one tablet every 8 hours with food"."""
    doses = [item.dose for item in find_doses(body) if not item.capped]
    masses = [dose for dose in doses if dose.unit not in COUNTED]
    dose = medication.dose or (masses or doses or [None])[0]
    counts = [item for item in doses if item.unit in COUNTED and item != dose]
    return replace(
        medication,
        dose=dose,
        count=medication.count or (counts[0] if counts else None),
        route=medication.route or find_route(body),
        frequency=medication.frequency or find_frequency(_mask_dose(body))[0],
    )


# Status ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cued:
    status: Status
    start: int
    end: int
    adjacent: bool


def _statuses(
    body: str, named: tuple[Named, ...], regions: list[_Region], section: Status | None
) -> list[Status]:
    cues = _cues_before(body, named)
    out: list[Status] = []
    after: list[_Cued | None] = []
    for number, name in enumerate(named):
        end = regions[number + 1].lead_start if number + 1 < len(named) else len(body)
        after.append(_cue_after(body, name.end, end))
    for number, name in enumerate(named):
        ahead = _nearest(cues, body, name, regions[number])
        follower = after[number] or _from_group(body, named, after, number)
        status = _decided(body, name, ahead, follower, section)
        gap = body[name.end : named[number + 1].start] if number + 1 < len(named) else ""
        if status == "changed" and _TO_ANOTHER.match(gap):
            status = "stopped"
        elif out and out[-1] == "stopped" and _TO_ANOTHER.match(body[named[number - 1].end : name.start]):
            status = "started"
        out.append(status)
    return out


_TO_ANOTHER = re.compile(r"^ (?:over )?(?:to|with|for) (?:oral |iv )?$")  # "changed her furosemide to torsemide"


def _cues_before(body: str, named: tuple[Named, ...]) -> list[_Cued]:
    """Cues outside the names, longest first where they overlap, in order."""
    taken = [(name.start, name.end) for name in named]
    found: list[_Cued] = []
    for cue in BEFORE:
        for match in cue.pattern.finditer(body):
            if match.end() > match.start() and not any(s < match.end() and match.start() < e for s, e in taken):
                found.append(_Cued(cue.status, match.start(), match.end(), cue.adjacent))
    found.sort(key=lambda cue: (cue.start - cue.end, cue.start))
    kept: list[_Cued] = []
    for cue in found:
        if not any(cue.start < other.end and other.start < cue.end for other in kept):
            kept.append(cue)
    return sorted(kept, key=lambda cue: cue.start)


_SLIGHT = re.compile(r"^[\s,]*(?:(?:his|her|the|a|an|current|home|dose|dosage|of|down|up|on|back|daily|\d\S*|mg|mcg|g)\b[\s,]*)*$")


_SWITCHED = re.compile(r"\b(?:switch|chang|transition|convert)\w*\b.*\bfrom\b.*\bto (?:his |her |oral |iv |\d\S* \w+ (?:of )?)*$|\breplac\w+ .*\b(?:with|by) $")


def _nearest(cues: list[_Cued], body: str, name: Named, region: _Region) -> _Cued | None:
    for cue in reversed(cues):
        if cue.end > name.start:
            continue
        between = body[cue.end : min(region.lead_start, name.start)]
        if cue.adjacent and not _SLIGHT.match(between):
            continue
        if cue.status == "stopped" and _SWITCHED.search(body, cue.start, name.start):
            return _Cued("started", cue.start, cue.end, False)
        if cue.status == "negated" and re.search(r"\b(?:but|except)\b|;", between):
            continue
        return cue
    return None


def _cue_after(body: str, start: int, end: int) -> _Cued | None:
    text = body[start:end]
    found = [
        _Cued(cue.status, start + match.start(), start + match.end(), False)
        for cue in AFTER
        if (match := cue.pattern.search(text))
    ]
    return min(found, key=lambda cue: cue.start) if found else None


def _from_group(body: str, named: tuple[Named, ...], after: list[_Cued | None], number: int) -> _Cued | None:
    """ "aspirin and Plavix were held": a plural verb speaks of all that are joined before it."""
    for later in range(number + 1, len(named)):
        if not _JOINED.match(body[named[later - 1].end : named[later].start]):
            return None
        cue = after[later]
        if cue is not None:
            return cue if re.match(r"^\W*(?:were|are|have been|both)\b", body[named[later].end :]) else None
    return None


def _decided(
    body: str, name: Named, ahead: _Cued | None, follower: _Cued | None, section: Status | None
) -> Status:
    if ahead and ahead.status in ("family", "allergy") and not (follower and follower.status == "stopped"):
        return ahead.status
    if follower and not (ahead and ahead.status in ("started", "negated") and follower.status in ("given", "started")):
        return follower.status
    if section in ("family", "allergy"):
        return section
    if ahead is None:
        return section or "current"
    if ahead.status == "given" and LONG_AGO.search(body):
        return "past"
    if ahead.status == "current" and (past := LONG_AGO.match(body.lstrip())) and "now" not in body[past.end() :]:
        return "past"
    return ahead.status
