"""Whether each medicine of a sentence is taken: the nearest cue decides, one after the name before one in front of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from posology.intake.drug_names import Named
from posology.intake.medication_cues import AFTER, BEFORE, LONG_AGO, Status

JOINED = re.compile(  # between two names that share what is said of either
    r"^(?:[\s,&/+]|\b(?:and|or|nor|plus|also|his|her|the|a|an|as well as|then|with)\b)*$"
)


@dataclass(frozen=True)
class _Cued:
    status: Status
    start: int
    end: int
    adjacent: bool


def statuses(body: str, named: tuple[Named, ...], starts: Sequence[int], section: Status | None) -> list[Status]:
    """Each name's status. `starts`: where what belongs to each name begins, its leading dose included."""
    cues = _cues_before(body, named)
    out: list[Status] = []
    after: list[_Cued | None] = []
    for number, name in enumerate(named):
        end = starts[number + 1] if number + 1 < len(named) else len(body)
        after.append(_cue_after(body, name.end, end))
    for number, name in enumerate(named):
        ahead = _nearest(cues, body, name, starts[number])
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
            inside = any(start <= match.start() < end for start, end in taken)
            end = min((start for start, _ in taken if match.start() < start < match.end()), default=match.end())
            if not inside and end > match.start():
                found.append(_Cued(cue.status, match.start(), end, cue.adjacent))
    found.sort(key=lambda cue: (cue.start - cue.end, cue.start))
    kept: list[_Cued] = []
    for one in found:
        if not any(one.start < other.end and other.start < one.end for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda cue: cue.start)


_SLIGHT = re.compile(
    r"^[\s,]*(?:(?:his|her|the|a|an|current|home|dose|dosage|of|down|up|on|back|daily|\d\S*|mg|mcg|g)\b[\s,]*)*$"
)


_SWITCHED = re.compile(
    r"\b(?:switch|chang|transition|convert)\w*\b.*\bfrom\b.*\bto (?:his |her |oral |iv |\d\S* \w+ (?:of )?)*$"
    r"|\breplac\w+ .*\b(?:with|by) $"
)


def _nearest(cues: list[_Cued], body: str, name: Named, start: int) -> _Cued | None:
    for cue in reversed(cues):
        if cue.end > name.start:
            continue
        between = body[cue.end : min(start, name.start)]
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
        if not JOINED.match(body[named[later - 1].end : named[later].start]):
            return None
        cue = after[later]
        if cue is not None:
            return cue if re.match(r"^\W*(?:were|are|have been|both)\b", body[named[later].end :]) else None
    return None


def _decided(body: str, name: Named, ahead: _Cued | None, follower: _Cued | None, section: Status | None) -> Status:
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
