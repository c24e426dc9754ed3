"""Read a user's question: which drug, for which patient. Deterministic; None where no drug can be found.

What is not stated stays unknown (or absent, for allergies, conditions, co-medications and pregnancy), as the judge
expects. The result lets `posology ask` and `posology compare` show the judge's verdict beside a model's answer. Not for
care of patients.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from posology.evaluation.reading_text import Mention, Names, library_names, normalise
from posology.knowledge.library import Library, load_library
from posology.knowledge.patient import Allergy, Genotype, Patient

_N = r"(?P<n>\d+(?:\.\d+)?)"
_LINK = r"(?: of| is| was| at| about| around| =|=|:| ~| now)* ?(?:about |around |approximately )?"
_AGE = (
    rf"\b{_N}[- ]?(?P<unit>year|yr|month|week)s?[- ]?olds?\b",
    rf"\bage(?:d|s)?{_LINK}{_N}(?: ?(?P<unit>year|yr|month|week)s?)?\b",
    rf"\b{_N} (?P<unit>year|yr|month|week)s? of age\b",
    rf"\b{_N} ?(?P<unit>y)(?:o|/o|rs?)?\b(?! ?/)",
    rf"\b(?:man|woman|boy|girl|child|patient) of {_N}(?!\.?\d| ?-?(?:kg|kilo|lb|pound|cm))(?: (?P<unit>year|month|week)s?)?",
    rf"(?:^|, |\(){_N} (?P<unit>month)s\b",
    rf"(?:^|, |\(){_N} (?P<unit>year)s,? (?=\d|(?:fe)?male\b|(?:wo)?man\b)",  # among a patient's figures: "83 years, 58 kg"
)
_NUMBERS: tuple[tuple[str, str, float], ...] = (  # field, pattern, factor
    ("egfr", rf"\be?gfr{_LINK}{_N}", 1.0),
    ("crcl", rf"\b(?:cr-?cl|creatinine clearance){_LINK}{_N}", 1.0),
    ("creatinine_mg_dl", rf"\b(?:serum )?creatinine(?! clearance){_LINK}{_N}(?! ?(?:umol|micromol))", 1.0),
    ("creatinine_mg_dl", rf"\b(?:serum )?creatinine(?! clearance){_LINK}{_N} ?(?:umol|micromol)", 1 / 88.4),
    ("weight_kg", rf"(?<![/\d.]){_N} ?-?(?:kg|kilos?|kilograms?)\b(?! ?/)", 1.0),
    ("weight_kg", rf"(?<![/\d.]){_N} ?(?:lb|lbs|pounds)\b", 0.45359237),
    ("height_cm", rf"(?<![/\d.]){_N} ?cm\b", 1.0),
)
_A_YEAR = {"y": 1.0, "year": 1.0, "yr": 1.0, "month": 12.0, "week": 365.25 / 7}
_SEX = (
    ("female", r"\b(?:woman|female|girl|lady|mother)\b"), ("male", r"\b(?:man|male|boy|gentleman|father)\b"),
    ("female", r"\b(?:she|her)\b"), ("male", r"\b(?:he|his|him)\b"),
)  # fmt: skip
_CHILD_PUGH = re.compile(r"\bchild-?(?: ?)pugh (?:class |score |grade )?(?:of |is )?([abc])\b")
_PREGNANT = re.compile(r"\b(?:pregnant|pregnancy|trimester)\b|\bexpecting a (?:baby|child)\b")
_NOT_PREGNANT = re.compile(r"\bnot pregnant\b|\bnon-?pregnant\b")
_TRIMESTER = re.compile(r"\b(first|second|third|1st|2nd|3rd) trimester\b|\btrimester (?:of )?([123])\b")
_TRIMESTERS = {"first": 1, "second": 2, "third": 3, "1st": 1, "2nd": 2, "3rd": 3, "1": 1, "2": 2, "3": 3}
_LACTATING = re.compile(r"\b(?:breast-?feed(?:ing|s)?|lactating|lactation|nursing (?:mother|a baby|her))\b")
_GENE = r"(?P<gene>cyp\d[a-z]\d{1,2}|abcg2|dpyd|tpmt|nudt15|slco1b1|vkorc1|g6pd|hla-[ab]\*? ?\d\d:\d\d)"
_PHENOTYPE = (
    r"(?P<phenotype>(?:poor|intermediate|normal|rapid|ultra-?rapid|extensive) metaboli[sz]er|"
    r"(?:poor|decreased|normal|increased) function|positive|negative)"
)
_GENOTYPES = (
    re.compile(rf"\b{_GENE}[ :,]+(?:is |a |an )?{_PHENOTYPE}"),
    re.compile(rf"\b{_PHENOTYPE} (?:of|for) {_GENE}"),
    re.compile(rf"\b(?P<phenotype>carr(?:ier|ies)) (?:of )?{_GENE}"),
)
_RAISED = re.compile(rf"\b{_GENE}(?: result| status)?(?: is)? unknown\b|\bunknown {_GENE.replace('gene', 'gene2')}")
_IMMEDIATE, _DELAYED = "immediate", "severe delayed"
_REACTIONS = (
    (_IMMEDIATE, r"anaphyla|immediate|hives|urticaria|ige"),
    (_DELAYED, r"severe delayed|sjs|stevens|dress\b|\bten\b|necrolysis"),
    ("mild", r"mild|rash"),
)
_ALLERGY = tuple(  # the allergen stands at the end of `name` in the first, at its beginning in the others
    re.compile(pattern)
    for pattern in (
        r"(?P<name>[a-z-]+(?: [a-z-]+){0,4}) allergy(?: ?\([a-z ]+\)|, (?:immediate|mild|severe delayed))?",
        r"\ballergic to (?P<name>[a-z-]+(?: [a-z-]+)?)(?: ?\([a-z ]+\))?",
        r"\b(?:anaphylaxis|(?:immediate|severe delayed|mild|allergic|serious) reaction|rash|hives|sjs|dress|ten) "
        r"(?:to|from|after|with|on) (?P<name>[a-z-]+(?: [a-z-]+)?)",
    )
)
_ON = re.compile(
    r"\b(?:on|taking|takes|receiving|receives|uses|using|prescribed|already has|gets) (?:the |a |an |both |daily )?$"
    r"|\b(?:on|taking|takes) [a-z -]+ and (?:the |a |an )?$"
)
_ASKED = re.compile(
    r"\b(?:take|have|give|given|use|start|add|combine|prescribe|get|receive|dose of|much|about|is|are|can|may|should"
    r"|of|stop|continue|switch to) (?:the |a |an |my |some |both )?$|^$|[.:?!] $"
)
_UNKNOWN = re.compile(
    r"\b(?:take|have|give|use|start|add|combine|prescribe|get|receive|dose of|how much|about) (?P<a>[a-z]{5,})\b"
    r"|\bis (?P<b>[a-z]{5,}) (?:ok|okay|safe|allowed|fine|acceptable|contraindicated)\b"
    r"|^(?P<c>[a-z]{5,}) (?:for|in|with|dose)\b"
)
_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        """about above adult again allowed alright another anyone anything baby better child contraindicated could daily
        doctor dosage doses drugs elderly every first given giving having kidney known liver mother medication medicine
        medicines metabolizer months normal other patient patients people person pills please possible pregnancy
        pregnant problem recommended renal safely should someone something still suitable tablet tablets taking their
        there these think those treatment using weighs weight which woman would years young metabolism function disease
        failure poor dangerous acceptable needed appropriate alcohol herself himself together right""",
    )
)
_ABSENT = re.compile(r"\b(?:no|not|without|denies|never had) (?:a |an |any |known |history of )?$")
_FOR = re.compile(
    r"\b(?:for|treat|treating|against|treatment of|prevent|to prevent) "
    r"(?:the |an? |treatment of |her |his |acute |prophylaxis of )?$"
)
_ALSO_CALLED = {
    "tonsillectomy": "post-tonsillectomy",
    "pregnant at term": "pregnancy at term",
}  # conditions that a question words otherwise
_PLACES = (
    ("UK", r"\b(?:uk|united kingdom|british|britain|england|nhs|mhra|bnf)\b"),
    ("EU", r"\b(?:eu|europe|european|ema)\b"),
)  # fmt: skip


def read_question(text: str, library: Library | None = None) -> tuple[str, Patient] | None:
    """(drug, patient) as a question states them; the drug by its canonical name, or as written if nobody knows it."""
    library = library or load_library()
    words = _words_of(library)
    plain = normalise(text).strip()
    terms, told = _terms(plain, words)
    allergies, allergens = _allergies(plain, library)
    taken = [*told, *allergens]  # "aspirin-exacerbated respiratory disease" names no drug that is asked about
    mentions = [m for m in words.names.mentions(plain) if not any(m.start < b and a < m.end for a, b in taken)]
    found = _asked(plain, mentions, library)
    if found is None:
        return None
    drug, comeds = found
    values: dict[str, Any] = {
        **_numbers(plain), **_age(plain), **_state(_without(plain, told)), **terms,
        "allergies": allergies, "genotypes": _genotypes(plain), "comeds": tuple(c for c in comeds if c != drug),
    }  # fmt: skip
    return drug, Patient(**values)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    """The text with these spans blanked."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


@dataclass(frozen=True)
class _Words:
    """What a library's drugs and terms are called, in the order in which they are looked for."""

    library: Library
    names: Names
    terms: tuple[tuple[str, frozenset[str]], ...]  # (words, kinds), longest first


_READ: dict[int, _Words] = {}


def _words_of(library: Library) -> _Words:
    """Made once for each library object."""
    known = _READ.get(id(library))
    if known is None or known.library is not library:
        kinds: dict[str, set[str]] = {}
        for term in library.terms.values():
            for name in (term.name, *term.aliases):
                if term.kind != "allergen":
                    kinds.setdefault(name.lower(), set()).add(term.kind)
        kinds |= {said: {"condition"} for said, name in _ALSO_CALLED.items() if ("condition", name) in library.terms}
        ordered = sorted(kinds, key=lambda name: (-len(name), name))
        known = _Words(library, library_names(library), tuple((name, frozenset(kinds[name])) for name in ordered))
        _READ[id(library)] = known
    return known


# Drugs ----------------------------------------------------------------------------------------------------------------


def _asked(text: str, mentions: list[Mention], library: Library) -> tuple[str, list[str]] | None:
    """(asked drug, co-medications): what is "on" or "taking" is a co-medication, the first of the rest is asked."""
    comeds: list[str] = []
    candidates: list[Mention] = []
    for mention in mentions:
        if mention.by_class:
            if _ON.search(text[: mention.start]) or _joined(text, mention):
                comeds += _class_name(text[mention.start : mention.end], library)
            continue
        if _ON.search(text[: mention.start]):
            comeds.append(mention.drug)
        else:
            candidates.append(mention)
    unknown = _unknown(text, mentions)
    strong = [m for m in candidates if _ASKED.search(text[: m.start])]
    if strong or (candidates and not unknown):
        asked = (strong or candidates)[0]
        comeds += [m.drug for m in candidates if m is not asked]
        return asked.drug, list(dict.fromkeys(comeds))
    if unknown:
        return unknown, list(dict.fromkeys([*comeds, *(m.drug for m in candidates)]))
    if len(comeds) == 1:  # "information on metformin"
        return comeds[0], []
    return None


def _joined(text: str, mention: Mention) -> bool:
    return bool(re.search(r"\b(?:with|and|plus|to) (?:an? |the )?$", text[: mention.start]))


def _class_name(word: str, library: Library) -> list[str]:
    """A class that a patient takes, as the judge knows it."""
    name = library.resolve_class(word) or library.resolve_class(word.removesuffix("s"))
    return [name] if name else []


def _unknown(text: str, mentions: tuple[Mention, ...] | list[Mention]) -> str:
    """A word in the place of a drug that no library knows: "can my patient take zorbatrix"; "" for none."""
    for match in _UNKNOWN.finditer(text):
        group = next(key for key in "abc" if match[key])
        name, start = match[group], match.start(group)
        if name not in _WORDS and not any(m.start <= start < m.end for m in mentions):
            return name
    return ""


# The patient ----------------------------------------------------------------------------------------------------------


def _numbers(text: str) -> dict[str, float]:
    out: dict[str, float] = {}
    for field, pattern, factor in _NUMBERS:
        if field not in out and (match := re.search(pattern, text)):
            value = float(match["n"]) * factor
            out[field] = value if factor == 1.0 else round(value, 2)
    return out


def _age(text: str) -> dict[str, float]:
    for pattern in _AGE:
        if match := re.search(pattern, text):
            return {"age_years": float(match["n"]) / _A_YEAR[match["unit"] or "year"]}
    return {"age_years": 0.0} if re.search(r"\b(?:newborn|neonate)\b", text) else {}


def _state(text: str) -> dict[str, Any]:
    """Sex, Child-Pugh class, pregnancy, breastfeeding, jurisdiction."""
    out: dict[str, Any] = {}
    if sex := next((sex for sex, pattern in _SEX if re.search(pattern, text)), None):
        out["sex"] = sex
    if match := _CHILD_PUGH.search(text):
        out["child_pugh"] = match[1].upper()
    if _PREGNANT.search(text) and not _NOT_PREGNANT.search(text):
        out["pregnant"] = True
        if match := _TRIMESTER.search(text):
            out["trimester"] = _TRIMESTERS[match[1] or match[2]]
        elif match := re.search(r"\b(\d+) weeks?\b", text):
            weeks = int(match[1])
            out["trimester"] = 1 if weeks < 14 else 2 if weeks < 28 else 3
    if _LACTATING.search(text):
        out["lactating"] = True
    if place := next((place for place, pattern in _PLACES if re.search(pattern, text)), None):
        out["jurisdiction"] = place
    return out


def _genotypes(text: str) -> tuple[Genotype, ...]:
    out: dict[str, Genotype] = {}
    for pattern in _GENOTYPES:
        for match in pattern.finditer(text):
            gene = _gene(match["gene"])
            out.setdefault(gene, Genotype(gene, _phenotype(match["phenotype"])))
    for match in _RAISED.finditer(text):
        gene = _gene(match["gene"] or match["gene2"])
        out.setdefault(gene, Genotype(gene))
    return tuple(out.values())


def _gene(text: str) -> str:
    plain = text.upper().replace(" ", "")
    return re.sub(r"^HLA-([AB])\*?(?=\d)", r"HLA-\1*", plain)


def _phenotype(text: str) -> str:
    if text.startswith("carr"):
        return "positive"
    for said, name in (("metaboliser", "metabolizer"), ("ultra-rapid", "ultrarapid"), ("extensive", "normal")):
        text = text.replace(said, name)
    return text


def _allergies(text: str, library: Library) -> tuple[tuple[Allergy, ...], list[tuple[int, int]]]:
    """Stated allergies, and where their allergens stand (they are no co-medications)."""
    out: dict[str, Allergy] = {}
    spans: list[tuple[int, int]] = []
    for pattern in _ALLERGY:
        for match in pattern.finditer(text):
            found = _allergen(match["name"], library)
            if found is None:
                continue
            allergen, start, end = found
            spans.append((match.start("name") + start, match.start("name") + end))
            if _ABSENT.search(text[: match.start()]) or re.search(r"\b(?:no|not|without)\b", match["name"][:start]):
                continue
            reaction: Any = next((name for name, cue in _REACTIONS if re.search(cue, match[0])), "unknown")
            if allergen not in out or out[allergen].reaction == "unknown":
                out[allergen] = Allergy(allergen, reaction)
    return tuple(out.values()), spans


def _allergen(text: str, library: Library) -> tuple[str, int, int] | None:
    """(allergen, drug or class; where it stands) at the end, or else at the beginning, of a few words."""
    words = [(m[0], m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    for size in (3, 2, 1):
        for part in (words[-size:], words[:size]):
            name = " ".join(word for word, _, _ in part)
            found = library.resolve_term("allergen", name) or library.resolve_drug(name)
            if found := found or library.resolve_class(name):
                return found, part[0][1], part[-1][2]
    return None


def _terms(text: str, words: _Words) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Conditions and the indication ("for gout" is what the drug is given for, "with gout" what the patient has), and
    where they stand."""
    conditions: list[str] = []
    indication = ""
    taken: list[tuple[int, int]] = []
    library = words.library
    for name, kinds in words.terms:
        if name not in text:
            continue
        for match in re.finditer(rf"(?<![\w-]){re.escape(name)}(?!\w)", text):
            if any(match.start() < stop and start < match.end() for start, stop in taken):
                continue
            taken.append(match.span())
            before = text[: match.start()]
            if _ABSENT.search(before):
                continue
            if "indication" in kinds and ("condition" not in kinds or _FOR.search(before)):
                indication = indication or (library.resolve_term("indication", name) or "")
            elif condition := library.resolve_term("condition", _ALSO_CALLED.get(name, name)):
                conditions.append(condition)
    return {"conditions": tuple(dict.fromkeys(conditions)), "indication": indication}, taken
