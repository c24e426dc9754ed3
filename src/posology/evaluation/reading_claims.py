"""Claims besides the verdict and the dose, as tuples (drug, relation, object, value, unit).

Relations: "value" (the patient's eGFR is 28), "below", "at most", "above", "at least" (that value against a
threshold), "deciding" (what decides, in words), "mechanism", "monitor", "instead" (a drug to use instead; `value` is
empty), "source says" (a verdict that some source gives), "cites".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from posology.evaluation.reading_text import Mention


@dataclass(frozen=True)
class Claim:
    """One statement that gold may support or contradict. `about` says which patient's field a number is of."""

    drug: str
    relation: str
    object: str
    value: float | None = None
    unit: str = ""


RELATIONS = {"below": -1, "at most": -1, "above": 1, "at least": 1}  # the side of the threshold
_FIELD = (
    r"(?P<field>egfr|crcl|creatinine clearance|creatinine|age|weight|trimester|child-?pugh(?: class| score| grade)?"
    r"|gestational age|height)"
)
_NUMBER = r"\d+(?:\.\d+)?|[abc]\b"
_STATED = re.compile(
    rf"\b(?:the |an? |your |his |her |their |this )?(?:patient's )?(?P<months>\w+ )?{_FIELD}(?: \([a-z ]+\))?(?: of"
    rf"| is| at| =|:)? ?(?P<value>{_NUMBER})(?P<tail>[^,;.]*(?:\.\d[^,;.]*)*(?:, (?:below|under|above|over) [^,;.]*)?)"
)
_RULE = re.compile(r"[^\w]*(?:to|-|and) ?\d| (?:or|and) (?:above|below|more|less|over|older|under|younger)")
_BETWEEN = (  # small words between a value and what it is held against
    r"[^\w<>=]*(?:(?:kg|months?|years?|old|mg/dl|ml/min\S*|m2|which|that|it|is|are|was|being|lies|falls|well|just"
    r"|already"
    r"|still|clearly|far|here|i\.e)\b[^\w<>=]*)*"
)
_LIMIT = r"(?:the (?:limit|threshold|cut-?off|bound)(?: of)? )?"
_NOT_DOSE = r"(?! ?(?:mg|g|mcg|units?|ml|%|tablets?)\b)"
_RANGE = re.compile(
    rf"{_BETWEEN}(?:from |between |in the range )?(?P<low>{_NUMBER}) ?(?:to|and|-) ?(?P<high>{_NUMBER}){_NOT_DOSE}"
)
_SIDES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(_BETWEEN + pattern), relation)
    for pattern, relation in (
        (rf"(?:at least|>=|not (?:below|under)|no less than) ?(?P<n>{_NUMBER}){_NOT_DOSE}", "at least"),
        (rf"(?:at most|<=|not (?:above|over)|no more than) ?(?P<n>{_NUMBER}){_NOT_DOSE}", "at most"),
        (rf"(?:below|under|less than|lower than|younger than|<) ?{_LIMIT}(?P<n>{_NUMBER}){_NOT_DOSE}", "below"),
        (rf"(?:above|over|(?:more|greater|higher|older) than|>) ?{_LIMIT}(?P<n>{_NUMBER}){_NOT_DOSE}", "above"),
        (rf"(?P<n>{_NUMBER}) (?:or|and) (?:above|more|over|older|higher|worse)", "at least"),
        (rf"(?P<n>{_NUMBER}) (?:or|and) (?:below|less|under|younger|lower|better)", "at most"),
    )
)
_FIELDS = {
    "creatinine clearance": "crcl", "creatinine": "creatinine_mg_dl", "age": "age_years",
    "gestational age": "age_years", "weight": "weight_kg", "height": "height_cm",
}  # fmt: skip
_CAUSE = re.compile(
    r"\b(?:because|since|due to|given|as the|as her|as his|reason|deciding|so|owing to|on account of)\b"
)
_DECIDING = re.compile(r"^deciding(?: factor| value)?:? (?:is )?(?P<what>.+?)\.?$")
_REASON = re.compile(r"^(?:the )?(?:reason|mechanism)(?: is|:) ?(?P<what>.+?)\.*$")
_BECAUSE = re.compile(
    r"\b(?:because of|due to|owing to|on account of|(?:increase|raise)[sd]? the risk of|risk of|can cause|may cause"
    r"|through|by way of)\b (?:the |a |an )?(?:increased |higher |raised )?(?:risk of )?(?P<what>[^,;.:()]+)"
)
_MONITOR = re.compile(
    r"(?:^|: )(?:please |also )?(?:monitor|monitoring:|check|follow|watch)(?: for)? (?P<what>.+?)\.?$"
    r"|\b(?:with|and|but) (?:close |careful )?(?:monitor(?:ing)?|monitoring of|check(?:ing)?|watch(?:ing)?) (?:of "
    r"|the )?(?P<more>[^,;.:]+)|\bkeep an eye on (?:the )?(?P<eye>[^,;.:]+)"
)
_TRAILING = re.compile(
    r" (?:closely|carefully|regularly|frequently|weekly|daily|often|during treatment|at baseline|throughout)$"
)
_INSTEAD_OF = re.compile(
    r"^(?:use |consider |prefer )?(?:as an? )?(?:alternatives?|instead of (?P<old>[^:,]+)|instead|safer"
    r"|safer choices?|safer options?|options?)(?: to (?P<old2>[^:,]+?))?(?:: ?| is | are |, (?:use |consider |give "
    r"|take |prefer |choose )?)(?P<new>.+?)\.?$"
)
_USE = re.compile(
    r"\b(?:use|consider|prefer|choose|try|switch to|change to|give|replace \S+ (?:with|by)|recommend|prescribe"
    r"|take)\b (?P<new>[^.;:]+?)(?: instead\b(?! of)| instead of (?P<old>[^.,;]+)| rather than (?P<old2>[^.,;]+)"
    r"|\.?$)"
)
_IS_SAFE = re.compile(
    r"\b(?:is|are|would be|remains?) (?:an? |the )?(?:safe|safer|better|good|suitable|reasonable|possible|preferred"
    r"|acceptable)? ?(?:alternatives?|options?|choices?|substitutes?|safe|safer|preferred|acceptable)\b"
    r"|\b(?:may|can|could|should) be (?:considered|used|given|tried) instead\b"
)
_SWAP = re.compile(r"\binstead\b|\brather than\b|\bswitch|\breplace")
_DENIED = re.compile(r"\b(?:not|never|no|nor)\b[^,]{0,20}$")
_CITES = re.compile(
    r"\bet al\b|\b(?:19|20)\d\d[;:]\d|\bdoi\b|\bpmid\b|\b(?:study|trial|paper|review|guideline) (?:of|from|in"
    r"|by) (?:[a-z]+ )?(?:19|20)\d\d\b|\((?:[a-z]+,? )(?:19|20)\d\d\)|\bn engl j\b"
)
_SAYS = re.compile(
    r"\b(?:says?|said|lists?|regards?|considers?|calls?|advises?|recommends?|states?|rates?)\b(?: (?:it|that|this"
    r"|the))*(?: (?:is|as|to))? ?(?P<what>[a-z -]+)"
)
_SOURCES = re.compile(
    r"\bsources (?:differ|disagree|conflict)|\bguidelines (?:differ|disagree|conflict)|\blabels? .{0,30}(?:differ"
    r"|disagree)|\b(?:some|other|another) sources?\b"
)
_SAID_VERDICTS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), verdict)
    for pattern, verdict in (
        (r"contra-?indicat|must not", "CONTRAINDICATED"),
        (r"avoid|not recommended|should not|not acceptable|unsafe", "AVOID"),
        (r"adjust|reduc|lower|dose of|limit|at most", "ADJUST"),
        (r"caution", "CAUTION"),
        (r"accept|safe|allow|permit|\bok\b|fine|no restriction|can be used", "OK"),
    )
)  # fmt: skip
_MAY_CLAIM = re.compile(
    r"egfr|crcl|creatinine|age|weight|trimester|child|deciding|reason|mechanism|because|due to|owing|risk|cause"
    r"|through|monitor|check|watch|follow|instead|alternativ|safe|use|consider|prefer|switch|choose|option|sources?"
    r"|guideline|label|et al|\d{4}|doi|trial|study"
)


def read_claims(sentence: str, mentions: tuple[Mention, ...], asked: str) -> tuple[Claim, ...]:
    """The claims of one normalised sentence."""
    if not _MAY_CLAIM.search(sentence) or sentence.endswith("?"):
        return ()
    if _SOURCES.search(sentence):
        return tuple(Claim(asked, "source says", verdict) for verdict in said_by_sources(sentence))
    out: list[Claim] = []
    if match := _DECIDING.match(sentence):
        return (Claim(asked, "deciding", match["what"]), *numeric_claims(sentence, asked))
    if match := _REASON.match(sentence):
        out.append(Claim(asked, "mechanism", match["what"]))
    else:
        out += [Claim(asked, "because", match["what"].strip()) for match in _BECAUSE.finditer(sentence)]
    out += numeric_claims(sentence, asked)
    out += _monitoring(sentence, asked)
    out += _instead(sentence, mentions, asked)
    if _CITES.search(sentence):
        out.append(Claim(asked, "cites", sentence))
    return tuple(out)


def numeric_claims(sentence: str, asked: str) -> list[Claim]:
    """What a sentence says of the patient's numbers: the value, and on which side of which threshold it lies."""
    out = []
    for match in _STATED.finditer(sentence):
        field = _field(match["field"], match["months"] or "", match["tail"])
        value = _number(match["value"])
        tail = match["tail"]
        if _RULE.match(tail):
            continue  # a rule ("eGFR 30 to 45"), not this patient
        relation = "value" if _CAUSE.search(sentence) else "mentions"
        bounds = _bounds(tail, field, asked)
        out.append(Claim(asked, "value" if bounds else relation, field, value))
        out += bounds
    return out


def _bounds(tail: str, field: str, asked: str) -> list[Claim]:
    for pattern, relation in _SIDES:
        if match := pattern.match(tail):
            return [Claim(asked, relation, field, _scale(field, tail[match.end() :]) * _number(match["n"]))]
    if match := _RANGE.match(tail):
        low, high = (_scale(field, tail[match.end() :]) * _number(match[end]) for end in ("low", "high"))
        return [Claim(asked, "at least", field, low), Claim(asked, "at most", field, high)]
    return []


def _scale(field: str, after: str) -> float:
    """12 where an age in months is held against years: "the age of 10 months is below 18 years"."""
    return 12.0 if field == "age_months" and re.match(r" years?\b", after) else 1.0


def _monitoring(sentence: str, asked: str) -> list[Claim]:
    out = []
    for match in _MONITOR.finditer(sentence):
        what = (match["what"] or match["more"] or match["eye"] or "").removeprefix("the ").strip()
        while cut := _TRAILING.search(what):
            what = what[: cut.start()]
        if what:
            out.append(Claim(asked, "monitor", what))
    return out


def _instead(sentence: str, mentions: tuple[Mention, ...], asked: str) -> list[Claim]:
    """Drugs that the sentence offers instead."""
    listed = _INSTEAD_OF.match(sentence)
    match = listed or (_USE.search(sentence) if _SWAP.search(sentence) else None)
    if match is not None:
        start, end = match.span("new")
        inside = [m for m in mentions if start <= m.start and m.end <= end]
        if inside:
            return [Claim(m.drug, "instead", m.drug) for m in inside]
        text = sentence[start:end].strip()
        return [Claim(text, "instead", text)] if listed else []
    if (praise := _IS_SAFE.search(sentence)) and not _DENIED.search(sentence[: praise.end()]):
        return [Claim(drug, "instead", drug) for drug in _praised(praise, mentions) if drug != asked]
    return []


def _praised(praise: re.Match[str], mentions: tuple[Mention, ...]) -> list[str]:
    """Whom "... is a safe alternative" or "... is safe" praises."""
    named = [m for m in mentions if not m.by_class]
    before = [m.drug for m in named if m.end <= praise.start()]
    if not re.search("alternative|option|choice|substitute", praise[0]):
        return before[-1:]
    return before or [m.drug for m in named if m.start >= praise.end()]


def said_by_sources(sentence: str) -> tuple[str, ...]:
    """The verdicts that a sentence about disagreeing sources reports, in order."""
    out = []
    for match in _SAYS.finditer(sentence):
        for pattern, verdict in _SAID_VERDICTS:
            if pattern.search(match["what"]):
                out.append(verdict)
                break
    return tuple(out)


def _field(name: str, before: str, tail: str) -> str:
    if name.startswith("child"):
        return "child_pugh"
    if name == "age" and (before.strip() in ("month", "months") or re.match(r" ?-?months?\b", tail)):
        return "age_months"
    return _FIELDS.get(name, name)


def _number(text: str) -> float:
    return float("abc".index(text) + 1) if text in ("a", "b", "c") else float(text)


# Comparing phrases ----------------------------------------------------------------------------------------------------

_PHRASE_WORD = re.compile(r"[a-z0-9]+")
_SMALL = frozenset(
    _PHRASE_WORD.findall(
        """a an the of in from with by for and or to at on due risk increased higher raised more its this that is are as
        via through because"""
    )
)
_SYNONYMS = {
    "renal": "kidney", "kidneys": "kidney", "hepatic": "liver", "haemorrhage": "bleeding", "hemorrhage": "bleeding",
    "haemolytic": "hemolytic", "haemolysis": "hemolysis", "hypoglycaemia": "hypoglycemia",
    "hyperkalaemia": "hyperkalemia", "gi": "gastrointestinal", "k": "potassium", "ekg": "ecg", "qtc": "qt",
    "decreased": "reduced", "diminished": "reduced", "lowered": "reduced", "levels": "level",
    "concentrations": "level", "concentration": "level", "elimination": "clearance", "excretion": "clearance",
    "impaired": "reduced", "foetal": "fetal", "sugar": "glucose", "tests": "function", "test": "function",
    "serum": "", "blood": "", "plasma": "", "synergistic": "additive", "international": "inr", "normalised": "",
    "normalized": "", "ratio": "", "effects": "effect", "reactions": "reaction", "metaboliser": "metabolizer",
    "malformations": "defects", "teratogenicity": "birth",
}  # fmt: skip
_CLASS = re.compile(r"\bpugh (?:class |score |grade )?([abc])\b")


@lru_cache(maxsize=16384)
def phrase_words(text: str) -> frozenset[str]:
    """The words of a phrase that carry meaning, in one spelling."""
    text = _CLASS.sub(r"pugh class\1", text.lower())  # "a" is a class here, and a small word elsewhere
    words = (_SYNONYMS.get(word, word) for word in _PHRASE_WORD.findall(text))
    return frozenset(word for word in words if word and word not in _SMALL)


def same_phrase(stated: str, gold: str) -> bool:
    """Whether two phrases mean the same: equal words, gold's words among the stated ones, or most of gold's words."""
    said, meant = phrase_words(stated), phrase_words(gold)
    if not said or not meant:
        return not said and not meant
    return meant <= said or (said <= meant and 2 * len(said) >= len(meant))
