"""Which verdict a text gives for which drug.

A verdict cue ("contraindicated", "should not be used", "with caution" ...) belongs to the nearest drug of its clause,
on the side where grammar puts it; a clause that names no drug speaks of the drug in focus ("it", "this combination").
Negation turns a cue into a weak opposite ("not contraindicated" is not yet "acceptable": "not contraindicated, but
use with caution" is CAUTION). Questions, conditions ("if the eGFR falls below 30 ...") and what other sources say give
no verdict. Two incompatible verdicts for one drug: INVALID; none: NONE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from posology.evaluation.reading_cues import (
    BACKGROUND,
    CUES,
    DENIED,
    GENERIC,
    HINT,
    JOINED,
    NEGATED,
    NOT_SKIPPED,
    PAIR,
    PARTNER,
    POSSIBLE,
    SKIPPED,
    SUPPOSED,
    TOKEN,
    Cue,
)
from posology.evaluation.reading_text import Mention, Names, clauses

NONE, INVALID = "NONE", "INVALID"
STOPS = frozenset(("CONTRAINDICATED", "AVOID"))
USABLE = ("ADJUST", "CAUTION", "OK")  # the strictest first

_END_OF_OBJECT = re.compile(r"[,:.;(]| in | with | because | due | for | as | when | at | during ")


@dataclass(frozen=True)
class Statement:
    """One verdict, strong or weak, given to some drugs."""

    verdict: str
    drugs: tuple[str, ...]
    by_class: bool = False


def statements(sentence: str, names: Names, asked: str, focus: str) -> tuple[list[Statement], str]:
    """The verdicts of one sentence and the drug in focus after it. `focus` is whom "it" means at its start."""
    if sentence.endswith("?") or (SKIPPED.search(sentence) and not NOT_SKIPPED.search(sentence)):
        return [], focus
    out: list[Statement] = []
    for clause in clauses(POSSIBLE.sub("", sentence)):
        mentions = names.mentions(clause, asked)
        if HINT.search(clause):
            hypothetical = SUPPOSED.search(clause)
            found, subject = _in_clause(clause, mentions, focus)
            if hypothetical is None:
                out += found
            if subject:
                focus = subject
        if mentions and not mentions[0].drug.startswith("class ") and not _is_background(clause, mentions[0]):
            focus = mentions[0].drug
    return out, focus


def _in_clause(clause: str, mentions: tuple[Mention, ...], focus: str) -> tuple[list[Statement], str]:
    out: list[Statement] = []
    taken: list[tuple[int, int]] = []
    subject = ""
    for cue in CUES:
        for match in cue.pattern.finditer(clause):
            start, end = match.span()
            if any(start < stop and begin < end for begin, stop in taken):
                continue
            taken.append((start, end))
            verdict = _negate(clause, start, cue)
            if not verdict:
                continue
            inside = tuple(m for m in mentions if start <= m.start < end)
            group = inside or _attached(clause, mentions, start, end, cue.side)
            if group is None:
                drugs: tuple[str, ...] = () if _foreign(clause, start, end, cue) else (focus,)
                by_class = False
            else:
                drugs, by_class = tuple(m.drug for m in group), all(m.by_class for m in group)
            out.append(Statement(verdict, drugs, by_class))
            subject = subject or (drugs[0] if drugs else "")
    return out, subject


def _negate(clause: str, start: int, cue: Cue) -> str:
    before = clause[:start]
    return cue.negated if DENIED.search(before) or NEGATED.search(before) else cue.verdict


def _is_background(clause: str, mention: Mention) -> bool:
    return bool(BACKGROUND.search(clause[: mention.start]))


def _attached(
    clause: str, mentions: tuple[Mention, ...], start: int, end: int, side: str
) -> tuple[Mention, ...] | None:
    """The mentions a cue speaks of: the nearest on its side, with those joined to it by "and" or "with"."""
    usable = [m for m in mentions if not _is_background(clause, m)]
    before = [m for m in usable if m.end <= start]
    after = [m for m in usable if m.start >= end]
    if side == "after":
        nearest = after[0] if after and _direct(clause[end : after[0].start]) else None
        nearest = nearest or (before[-1] if before and not _own_object(clause[end:], mentions) else None)
    elif side == "either" and not before:
        nearest = after[0] if after and (_direct(clause[end : after[0].start]) or not clause[:start].strip()) else None
    else:
        nearest = before[-1] if before else None
        if nearest is None and after and clause[end : after[0].start].strip() in (":", "", "-", "for", "of", "to take"):
            nearest = after[0]
    if nearest is None:
        return None
    if nearest.end <= start and PAIR.search(clause[nearest.end : start]):
        return tuple(usable)
    index = mentions.index(nearest)
    first = last = index
    while first > 0 and JOINED.search(clause[mentions[first - 1].end : mentions[first].start]):
        first -= 1
    while last + 1 < len(mentions) and JOINED.search(clause[mentions[last].end : mentions[last + 1].start]):
        last += 1
    if nearest.start < start:  # "X is acceptable with Y": the group may end before the cue and the partner stand after
        last = min(last, max(i for i, m in enumerate(mentions) if m.end <= start))
        partner = next((m for m in mentions if m.start >= end), None)
        if partner and PARTNER.search(clause[end : partner.start]):  # what a pair must not do, neither must
            return (*mentions[first : last + 1], partner)
    return mentions[first : last + 1]


def _direct(between: str) -> bool:
    """Whether nothing but small words stand between a cue and its object ("adjust the dose of", "safe to use")."""
    small = (*GENERIC, "dose", "dosage")
    return ":" not in between and all(token in small for token in TOKEN.findall(between))


def _own_object(rest: str, mentions: Iterable[Mention]) -> bool:
    """Whether an active cue has an object that is no drug we know: "avoid alcohol", "avoid zorbatrix"."""
    if re.match(r" (?:(?:a|one|single) )*(?:dose of )?\d", rest):
        return False
    words = TOKEN.findall(
        re.split(r"[,:.;(]| in | with | because | due | for | as | when | at | during ", rest, maxsplit=1)[0]
    )
    return any(word not in GENERIC for word in words[:4])


def _foreign(clause: str, start: int, end: int, cue: Cue) -> bool:
    """Whether a clause without a known drug gives its verdict to something else (then it is nobody's verdict)."""
    rest = clause[end:]
    of = clause[start:end].endswith(" of") or rest.startswith(" of ")
    if of and (match := re.match(r"(?: of)? (?:the |a |an |this )?([a-z'-]+)", rest)):
        return match[1] not in GENERIC
    if cue.verdict in ("ADJUST", "no adjustment", "no interaction", "ceiling"):
        return False
    if cue.verdict in ("CAUTION", "no caution"):
        match = re.match(r"(?:please )?(?:use|give|take|prescribe) ([a-z'-]+)", clause[:start])
        return match is not None and match[1] not in GENERIC
    if cue.side == "after":
        return _own_object(rest, ())
    subject = TOKEN.findall(re.split(r"[,:(]", clause[:start])[-1])
    if cue.side == "either" and all(word in GENERIC for word in subject):
        match = re.match(r" (?:to (?:use|give|take|prescribe)|for|of) ([a-z'-]+)", rest)
        return match is not None and match[1] not in GENERIC
    return any(word not in GENERIC for word in subject)


def resolve(found: list[Statement], drug: str) -> tuple[str, frozenset[str]]:
    """(verdict, everything said) for one drug; what is said by its own name outweighs what is said of its class."""
    mine = [s for s in found if drug in s.drugs]
    if any(not s.by_class for s in mine):
        mine = [s for s in mine if not s.by_class]
    said = frozenset(s.verdict for s in mine)
    return combine(said), said


_CLASHES = (
    {"CONTRAINDICATED", "not contraindicated"}, {"AVOID", "not avoid"}, {"CONTRAINDICATED", "not avoid"},
    {"ADJUST", "no adjustment"}, {"CAUTION", "no caution"},
)  # fmt: skip


def combine(said: frozenset[str]) -> str:
    """One verdict out of everything said about a drug."""
    strong = {verdict for verdict in said if verdict.isupper()}
    stops, usable = strong & STOPS, [verdict for verdict in USABLE if verdict in strong]
    if any(clash <= said for clash in _CLASHES) or (stops and (usable or "directive" in said)):
        return INVALID
    if "INSUFFICIENT" in strong:
        return "INSUFFICIENT" if len(strong) == 1 and "directive" not in said else INVALID
    if stops:
        return "CONTRAINDICATED" if "CONTRAINDICATED" in stops else "AVOID"
    if usable:
        return usable[0]
    if "ceiling" in said:
        return "ADJUST"
    if said & {"not contraindicated", "not avoid", "no adjustment", "no caution", "no interaction", "directive"}:
        return "OK"
    return "INSUFFICIENT" if "asks" in said else NONE
