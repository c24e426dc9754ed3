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
    find_doses,
    find_route,
    fold,
    leading_route,
)
from posology.intake.drug_names import Named, Vocabulary, find_names, packaged_vocabulary
from posology.intake.frequencies import Frequency, find_frequency
from posology.intake.medication_cues import SECTIONS, Status
from posology.intake.medication_status import JOINED, statuses
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
    r"|(?:he|she|the patient|patient|they) (?:is |was |has been )?(?:take|takes|taking|uses|using"
    r"|took)\b(?: (?:it|this|them|one|two|\d)\b)"
    r"|(?:this|it|the dose) (?:is|was) (?:taken|given|dosed|\d))"
)


# One sentence ---------------------------------------------------------------------------------------------------------

_CUT = re.compile(  # the words after a medicine stop being about it here
    r"\b(?:who|because|since|although|but|denies|reports|exercises|walks|however|whereas|as well as"
    r"|her pain|his pain)\b"
    r"|,? \b(?:and|with)\b(?! (?:\d|at\b|in the\b|as\b|then\b|one\b|two\b|three\b|four\b|half\b|every\b"
    r"|each\b|a half|meals?\b|food\b|breakfast|dinner|supper|lunch|the evening|then|was|were|prn"
    r"|increas|decreas|reduc|swallow|in a\.?m|her (?:evening )?meal|his (?:evening )?meal))"
)


def _section(heading: str) -> Status | None:
    """The status that a section's heading gives to what is listed under it; None where it says nothing."""
    return next((status for status, pattern in SECTIONS if pattern.match(heading)), None)


def _read_sentence(body: str, named: tuple[Named, ...], section: Status | None, offset: int) -> list[Medication]:
    owned = _regions(body, named)
    found: list[Medication] = []
    firsts: list[int] = []  # where each name's medications begin in `found`
    told = statuses(body, named, [region.lead_start for region in owned], section)
    for name, region, status in zip(named, owned, told, strict=True):
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
    r"^\s*(?:(?:tablets?|tabs?|capsules?|caps?|doses?|bolus|injections?|infusion|pills?|amps?|iv"
    r"|im|po|oral|daily|topical|intravenous|intramuscular"
    r"|subcutaneous|once daily|twice daily|a day|cream|ointment|push) )*(?:of |x )?(?:(?:the|his"
    r"|her|oral|intravenous|iv|po|im|subcutaneous"
    r"|liquid|chewable|generic|extended[- ]release|low[- ]dose|inhaled|enteric[- ]coated|daily|intramuscular"
    r"|topical|sublingual|iv push|nebulized|over-the-counter) )*$"
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
    after, before = body[region.after : region.end], body[region.lead_start : name.start]
    doses = [item for item in find_doses(after, combination="/" in name.drug) if not item.capped]
    doses = [item for item in doses if not _SUPPLY.search(after[: item.start])]
    counts = [item.dose for item in doses if item.dose.unit in COUNTED]
    masses = [item for item in doses if item.dose.unit not in COUNTED]
    lead = region.lead.dose if region.lead else None
    if lead is not None and lead.unit in COUNTED:
        counts, lead = [lead, *counts], None
    taken = _taken(lead, counts, masses, after)
    count = counts[0] if counts and (lead or masses) else None
    route = find_route(after) or _lead_route(body, name, region) or find_route(before)
    for number, (dose, begin, end) in enumerate(taken):
        frequency = find_frequency(_mask_dose(after[begin:end]))
        if frequency is None and number == 0:
            frequency = _lead_frequency(body, name, before)
        now = _regimen_status(status, after, taken, number)
        yield Medication(
            name.drug, dose, route, frequency, now, name.known, offset + name.start, offset + name.end, count
        )


_SUPPLY = re.compile(r"(?:#|\bdispense |\bquantity )\s*$")
_Taken = list[tuple[Dose | None, int, int]]  # a dose, and where the words about it begin and end after the name


def _taken(lead: Dose | None, counts: list[Dose], masses: list[Found], after: str) -> _Taken:
    """The doses in which a medicine is told to be taken; a strength goes before a count of tablets."""
    if lead is not None:
        if masses and re.search(r"\b(?:and|then|to)\s*$", after[: masses[0].start]):
            return [(lead, 0, masses[0].start), *_spans(after, masses)]
        return [(lead, 0, len(after))]
    if masses:
        (dose, _, end), *others = _spans(after, masses)
        return [(dose, 0, end), *others]
    return [(counts[0] if counts else None, 0, len(after))]


def _spans(after: str, masses: list[Found]) -> _Taken:
    ends = [item.start for item in masses[1:]] + [len(after)]
    return [(item.dose, item.start, end) for item, end in zip(masses, ends, strict=True)]


def _mask_dose(part: str) -> str:
    """Without "mg/kg/day", whose "day" is no frequency."""
    return re.sub(r"(?:/kg|/m2)/day|mg/day|mcg/day|mg per day(?= divided)", lambda match: " " * len(match[0]), part)


_CHANGE_TO = re.compile(
    r"\b(?:increas|decreas|reduc|cut|lower|titrat|chang|rais|doubl|taper)\w*\b[^.;]{0,40}?\bto\s*$|\bto\s*$"
)


def _regimen_status(status: Status, after: str, taken: _Taken, number: int) -> Status:
    """Of a changed dose, what stands before "to" is the past."""
    if status != "changed" or len(taken) < 2 or number == len(taken) - 1:
        return status
    return "past" if _CHANGE_TO.search(after[: taken[number + 1][1]]) else status


def _lead_route(body: str, name: Named, region: _Region) -> str:
    """ "IV 5 mg of ...", "IV push ...", "injected with 40 mg of ... and 4 mL of ..."."""
    route = leading_route(body[: name.start]) or leading_route(body[: region.lead_start])
    return route or ("injection" if _INJECTED.search(body[: region.lead_start]) else "")


_INJECTED = re.compile(r"\binject(?:ed|ing)? with [^.;]{0,60}$")


_LEAD_FREQUENCY = re.compile(r"\b(daily|nightly|weekly|prn|monthly)\s+(?:\w+ )?$")


def _lead_frequency(body: str, name: Named, before: str) -> Frequency | None:
    """ "a daily multivitamin", "81 mg daily of aspirin"."""
    frequency = find_frequency(_mask_dose(before)) if before else None
    match = _LEAD_FREQUENCY.search(body[: name.start])
    return frequency or (find_frequency(match[1]) if match else None)


_SAID_OF_ALL = ("oral", "intravenous", "intramuscular", "subcutaneous")  # no form of one medicine, as "inhaler" is


def _shared(body: str, named: tuple[Named, ...], found: list[Medication], firsts: list[int]) -> list[Medication]:
    """What is told once for several: "aspirin and Plavix daily", "IV vancomycin and cefepime", "..., all once a day"."""
    if not found or len(named) < 2:
        return found
    everyone = re.search(
        r"\b(?:all|both|each) (?=once|twice|three|four|\d|q|b\.?i\.?d|t\.?i\.?d|daily)", body[named[-1].end :]
    )
    out = list(found)
    for number in range(len(named) - 2, -1, -1):
        here, after = _own(out, firsts, number), _own(out, firsts, number + 1)
        if len(here) != 1 or len(after) != 1:
            continue
        one, other = out[here[0]], out[after[0]]
        joined = JOINED.match(body[named[number].end : named[number + 1].start]) is not None
        bare = one.dose is None and one.frequency is None and other.dose is None and joined
        if one.frequency is None and other.frequency is not None and (bare or everyone):
            out[here[0]] = one = replace(one, frequency=other.frequency)
        if bare and not one.route and other.route in _SAID_OF_ALL:
            out[here[0]] = replace(one, route=other.route)
    for number in range(len(named) - 1):
        here, after = _own(out, firsts, number), _own(out, firsts, number + 1)
        if len(here) != 1 or len(after) != 1:
            continue
        one, other = out[here[0]], out[after[0]]
        joined = JOINED.match(body[named[number].end : named[number + 1].start]) is not None
        if joined and one.route and not other.route and leading_route(body[: named[number].start]):
            out[after[0]] = replace(other, route=one.route)
    return out


def _own(found: list[Medication], firsts: list[int], number: int) -> range:
    return range(firsts[number], firsts[number + 1] if number + 1 < len(firsts) else len(found))


def _completed(medication: Medication, body: str) -> Medication:
    """The medication with what the next sentence adds: "Take one tablet every 8 hours with food"."""
    doses = [item.dose for item in find_doses(body) if not item.capped]
    masses = [dose for dose in doses if dose.unit not in COUNTED]
    dose = medication.dose or next(iter(masses or doses), None)
    counts = [item for item in doses if item.unit in COUNTED and item != dose]
    return replace(
        medication,
        dose=dose,
        count=medication.count or (counts[0] if counts else None),
        route=medication.route or find_route(body),
        frequency=medication.frequency or find_frequency(_mask_dose(body)),
    )
