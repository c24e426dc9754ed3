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

from posology.evaluation.reading_text import Mention, Names, clauses

NONE, INVALID = "NONE", "INVALID"
STOPS = frozenset(("CONTRAINDICATED", "AVOID"))
USABLE = ("ADJUST", "CAUTION", "OK")  # the strictest first

_USED = (
    r"(?:be |get |to be )?(?:safely |concurrently |concomitantly |routinely |ever )?"
    r"(?:us(?:e|ed|ing)|giv(?:e|en|ing)|tak(?:e|en|ing)|prescrib(?:e|ed|ing)|start(?:ed|ing)?|initiat(?:e|ed)|"
    r"administer(?:ed)?|combin(?:e|ed)|co-?administer(?:ed)?|co-?prescribed?|continued?|receiv(?:e|ed)|recommend(?:ed)?|"
    r"dispensed?|add(?:ed)?)\b"
)
_MORE = r"(?! (?:more|above|over|doses?|higher|beyond|[a-z-]+ (?:more than|above|at more|in doses|at doses|without|on an)|without))"
_DOSE = r"(?:dos(?:e|es|age|ing))"
_CUT = r"(?:reduc(?:e|ed|es|ing|tion)|lower(?:ed|ing)?|decreas(?:e|ed|ing)|halv(?:e|ed|ing)|adjust(?:ed|ing|ment|ments)?)"
_AMOUNT = r"\d[\d.,]* ?(?:mg|g|mcg|ug|units?|ml|%|percent)"


@dataclass(frozen=True)
class Cue:
    """A way of saying a verdict; `side` is where its drug usually stands; `negated` is what "not ..." makes of it."""

    pattern: re.Pattern[str]
    verdict: str
    negated: str = ""
    side: str = "before"


def _cue(pattern: str, verdict: str, negated: str = "", side: str = "before") -> Cue:
    return Cue(re.compile(pattern), verdict, negated, side)


# In order: an earlier cue takes its words away from the later ones. Weak verdicts begin with a lower-case letter.
CUES: tuple[Cue, ...] = (
    _cue(r"\brelative(?:ly)? contra-?indicat(?:ed|ion)\b", "AVOID", "not contraindicated"),
    _cue(r"\bcontra-?indications?\b", "CONTRAINDICATED", "not contraindicated", "either"),
    _cue(r"\bcontra-?indicated\b|\bcontra-?indicates?\b", "CONTRAINDICATED", "not contraindicated"),
    _cue(r"\b(?:forbidden|prohibited)\b", "CONTRAINDICATED", "not contraindicated"),
    _cue(rf"\b(?:must not|must never|may not|may never|never) {_USED}{_MORE}", "CONTRAINDICATED", side="either"),
    _cue(
        rf"\b(?:should not|should never|ought not to|can not|could not|shall not|do not|does not|would not|not to) {_USED}{_MORE}"
        r"(?! (?:any )?(?:reduction|adjust\w*|dose|caution|special))",
        "AVOID", side="either",
    ),
    _cue(r"\b(?:reason|need|necessary|required) to (?:avoid|stop|discontinue|withhold)\b", "AVOID", "not avoid", "after"),
    _cue(r"\bavoid(?:ance|ed|ing)?\b", "AVOID", "not avoid", "after"),
    _cue(r"\b(?:stop|discontinue|withhold)\b(?! (?:and|if|when))", "AVOID", "not avoid", "after"),
    _cue(r"\b(?:stopped|discontinued|withheld)\b", "AVOID", "not avoid"),
    _cue(r"\b(?:un(?:safe|suitable|acceptable|advisable|wise)|in(?:advisable|appropriate)|dangerous|hazardous)\b", "AVOID", "not avoid"),
    _cue(rf"\b{_CUT}(?: (?:is|are))? not (?:needed|required|necessary|indicated|warranted)\b", "no adjustment"),
    _cue(rf"\b{_DOSE} (?:does|need|do|should|must) not (?:have to |need to |need )?(?:be )?{_CUT}\b", "no adjustment"),
    _cue(rf"\b{_CUT}\b[^.:,]{{0,40}}?\b{_DOSE}\b(?: of\b)?", "ADJUST", "no adjustment", "after"),
    _cue(rf"\b{_DOSE}\b[^.:,]{{0,40}}?\b(?:{_CUT}|limited|capped|increased)\b", "ADJUST", "no adjustment"),
    _cue(rf"\b(?:{_CUT}|limit|restrict|cap)\b[^.:]{{0,40}}?\b(?:to|by|at) (?:at most |no more than |a maximum of )?{_AMOUNT}", "ADJUST", "no adjustment", "after"),
    _cue(rf"\b(?:limit|restrict|cap)\b[^.:,]{{0,30}}?\b{_DOSE}\b", "ADJUST", "no adjustment", "after"),
    _cue(rf"\b(?:lower|reduced|smaller|half|adjusted|halved|weight-based) (?:of )?(?:the |its )?(?:usual |normal |standard |starting |initial |daily )?{_DOSE}\b", "ADJUST", "no adjustment"),
    _cue(r"\d ?(?:%|percent) of the (?:usual|normal|standard|full)\b", "ADJUST", "no adjustment", "either"),
    _cue(r"\b(?:dose|dosage|dosing) (?:is |as )?(?:by|on|according to|per) (?:the |body )?weight\b", "ADJUST", side="either"),
    _cue(r"\b(?:extra |special |with |use |great |particular )*(?:caution|cautiously|precautions?)\b", "CAUTION", "no caution", "either"),
    _cue(rf"\bno (?:{_DOSE} )?(?:change|changes|restrictions?)\b|\bnot? (?:need|require)[a-z]* (?:any |a )?(?:{_DOSE} )?{_CUT}\b", "no adjustment"),
    _cue(r"\b(?:the )?(?:usual|normal|standard|full) (?:adult )?dos(?:e|es|age|ing)\b(?= (?:can|may|applies|is (?:fine|ok|okay|safe|acceptable|appropriate)))", "OK", "AVOID"),
    _cue(r"\bno (?:[a-z-]+ ){0,3}(?:interactions?|problems?|concerns?|objections?|issues?)\b", "no interaction", side="either"),
    _cue(r"\b(?:acceptable|safe|safely|permitted|allowed|permissible|suitable|appropriate|advisable|tolerated)\b", "OK", "AVOID", "either"),
    _cue(r"\b(?:recommended|advised|reasonable|compatible)\b", "OK", "AVOID"),
    _cue(r"\bis (?:fine|ok|okay|all right|alright)\b|\b(?:fine|ok|okay) to\b|\ban option\b|\bgo ahead\b", "OK", "AVOID", "either"),
    _cue(rf"\b(?:can|may|could) (?:be )?(?:still |also |safely |therefore |normally )?{_USED}", "OK", "AVOID", "either"),
    _cue(r"^(?:yes,? )?(?:use|give|prescribe|take|start|continue)\b(?! (?:caution|care|the lowest))", "directive", side="after"),
    _cue(r"\b(?:at most|no more than|not (?:to )?exceed|never exceed|maximum(?: dose)? (?:of|is)|up to)\b", "ceiling"),
)  # fmt: skip
_ANY = re.compile(
    r"contra-?indicat|forbid|prohibit|must n|may n|never|should n|ought|not |avoid|stop|discontinu|with(?:hold|held)|unsafe|"
    r"unsuit|unaccept|unadvis|unwise|inadvis|inappropr|danger|hazard|dos(?:e|age|ing)|reduc|lower|decreas|halv|adjust|limit|restrict|"
    r"cap|%|percent|caution|no |accept|safe|permi|allow|suitab|approp|advis|tolerat|recommend|reasonab|compatib|fine|ok|option|"
    r"right|go ahead|can |may |could |use|give|prescribe|take|start|continue|at most|maximum|up to"
)
_GLUE = (
    r"(?:be|been|being|a|an|the|any|is|are|was|it|that|this|considered|regarded|seen|listed|known|as|strictly|absolutely|"
    r"formally|really|necessarily|generally|usually|currently|at|all|specifically|clear|labelled|labeled|absolute|reason|need|"
    r"needed|require|requires|required|dose|dosage|dosing|further|special|extra|particular|evidence|of|for|true|say|saying|to|"
    r"have|has|think|so|called|correct|right|medicine|drug|automatically|itself|actually|there|you|or|use|given|used|with|"
    r"think|mean|strict|firm|contraindicated|relevant)"
)
_NEGATOR = re.compile(
    r"(?:\bnot|\bno|\bnever|\bwithout|\bneither|\bnor|\bno longer|\brather than|\binstead of|\bfar from|\bfree of|\bmyth|\b(?:wrong|"
    r"incorrect|false|untrue|mistaken|mistake) (?:to|that)|\bno (?:need|reason)(?: to| for)?)(?:,? " + _GLUE + r"){0,6},? $"
)
_DENIED = re.compile(  # whatever follows is denied: "it is a myth that ..."
    r"\b(?:it is|it would be|that is|is) (?:a )?(?:not true|untrue|false|wrong|incorrect|a myth|myth|mistaken|mistake)(?: (?:to (?:say|claim|think|state)|that))+"
    r"|\bdoes not mean that\b|\bnot the case that\b|\bmyth that\b"
)
_POSSIBLE = re.compile(r",? ?\bif (?:at all )?(?:possible|you can|feasible|needed|necessary|required|tolerated|not contraindicated)\b|\bas if\b")
_HYPOTHETICAL = re.compile(
    r"(?:^|,? |\()(?:only )?(?:if|unless|until|provided|should the|in case|were the)\b"
    r"|\b(?:when|where|once|whenever) (?:the |an )?(?:egfr|crcl|creatinine clearance|creatinine|clearance|age|weight|kidney function|renal function)\b"
    r"(?! of \d)"
)
_SKIP = re.compile(
    r"^(?:deciding\b|monitor\b|monitoring:|instead of\b|alternatives?:|usual dose:|reason: |(?:the )?mechanism: )"
    r"|\bsources (?:differ|disagree|conflict)|\bguidelines (?:differ|disagree)|\blabels? .{0,30}(?:differ|disagree)"
    r"|\bsome sources\b|\bother sources\b|\banother source\b|\bconsult (?:a|your|the) (?:pharmacist|doctor|physician)"
)
_REASONED = re.compile(r"^(?:reason|(?:the )?mechanism): .*\b(?:contra-?indicated|avoid(?:ed)?)\b")
_BACKGROUND = re.compile(
    r"(?:\binstead of|\brather than|\bunlike|\bin place of|\breplac(?:e|es|ed|ing)|\bsafer than|\bthan|\bswitch(?:ed|ing)? from|\bcompared (?:with|to)|"
    r"\b(?:on|taking|receiving|using|takes|uses|given) (?:the )?|\ballerg(?:y|ic) to|\bhistory of|\bin contrast to|\bincreases? the effect of|"
    r"\blevels? of|\beffects? of|\bclearance of|\bmetabolism of|\brisk of|\bnot) $"
)
_JOIN = re.compile(
    r"^[ ,]*(?:(?:and|or|with|plus|nor|as well as|together with|combined with|along with|alongside|in combination with|co-?administered with|"
    r"concurrently with|concomitantly with|/|\+|&|-) ?(?:the |both )?)+$|^ ?[/+&-] ?$"
)
_GENERIC = frozenset(
    """it its this that these they them both together drug drugs medicine medicines medication medications combination
    combining combined combo use using usage treatment therapy therapies agent agents which taking take takes prescribing prescribe
    giving give starting start continuing continue co-administration coadministration concurrent concomitant patient
    patients he she you we yes no pair one two option choice here so therefore thus hence as and or be is are was a an the
    of for in on to with at all case situation such patient's your my his her their i product tablet generally strongly strictly absolutely usually always
    definitely clearly probably likely normally currently still also however overall answer verdict recommendation conclusion
    short summary simply just only very completely entirely totally must should would could can may might will do does not never
    best better considered regarded been being has have had if when given because since due who whom person person's adult child woman man
    safe today now at-all either each every any whole regimen course administration ingestion intake avoided please must
    needs need needed reason there considered""".split()
)  # fmt: skip
_TOKENS = re.compile(r"[a-z][a-z'-]*")


@dataclass(frozen=True)
class Statement:
    """One verdict, strong or weak, given to some drugs."""

    verdict: str
    drugs: tuple[str, ...]
    by_class: bool = False


def statements(sentence: str, names: Names, asked: str, focus: str) -> tuple[list[Statement], str]:
    """The verdicts of one sentence and the drug in focus after it. `focus` is whom "it" means at its start."""
    if sentence.endswith("?") or (_SKIP.search(sentence) and not _REASONED.search(sentence)):
        return [], focus
    out: list[Statement] = []
    for clause in clauses(_POSSIBLE.sub("", sentence)):
        mentions = names.mentions(clause, asked)
        if _ANY.search(clause):
            hypothetical = _HYPOTHETICAL.search(clause)
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
    denied = bool(_DENIED.search(before))
    flipped = bool(_NEGATOR.search(before)) != denied or denied
    if flipped:
        return cue.negated
    return cue.verdict


def _is_background(clause: str, mention: Mention) -> bool:
    return bool(_BACKGROUND.search(clause[: mention.start]))


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
    index = mentions.index(nearest)
    first = last = index
    while first > 0 and _JOIN.search(clause[mentions[first - 1].end : mentions[first].start]):
        first -= 1
    while last + 1 < len(mentions) and _JOIN.search(clause[mentions[last].end : mentions[last + 1].start]):
        last += 1
    if nearest.start < start:  # "X is acceptable with Y": the group may end before the cue and the partner stand after
        last = min(last, max(i for i, m in enumerate(mentions) if m.end <= start))
    return mentions[first : last + 1]


def _direct(between: str) -> bool:
    """Whether nothing but small words stand between a cue and its object ("adjust the dose of", "safe to use")."""
    return ":" not in between and all(token in _GENERIC or token in ("dose", "dosage") for token in _TOKENS.findall(between))


def _own_object(rest: str, mentions: Iterable[Mention]) -> bool:
    """Whether an active cue has an object that is no drug we know: "avoid alcohol", "avoid zorbatrix"."""
    words = _TOKENS.findall(re.split(r"[,:.;(]| in | with | because | due | for | as | when | at | during ", rest, maxsplit=1)[0])
    return any(word not in _GENERIC for word in words[:4])


def _foreign(clause: str, start: int, end: int, cue: Cue) -> bool:
    """Whether a clause without a known drug gives its verdict to something else (then it is nobody's verdict)."""
    rest = clause[end:]
    of = clause[start:end].endswith(" of") or rest.startswith(" of ")
    if of and (match := re.match(r"(?: of)? (?:the |a |an |this )?([a-z'-]+)", rest)):
        return match[1] not in _GENERIC
    if cue.verdict in ("ADJUST", "no adjustment", "no interaction", "ceiling"):
        return False
    if cue.verdict in ("CAUTION", "no caution"):
        match = re.match(r"(?:please )?(?:use|give|take|prescribe) ([a-z'-]+)", clause[:start])
        return match is not None and match[1] not in _GENERIC
    if cue.side == "after":
        return _own_object(rest, ())
    subject = _TOKENS.findall(re.split(r"[,:(]", clause[:start])[-1])
    if cue.side == "either" and all(word in _GENERIC for word in subject):
        match = re.match(r" (?:to (?:use|give|take|prescribe)|for|of) ([a-z'-]+)", rest)
        return match is not None and match[1] not in _GENERIC
    return any(word not in _GENERIC for word in subject)


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
