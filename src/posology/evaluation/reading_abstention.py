"""Whether an answer abstains, and why: which value it asks for, or that nothing is known about the medicine.

Field names are those of `knowledge.patient.Patient` ("egfr", "weight_kg", "genotype:CYP2D6" ...). "Kidney function"
is what both eGFR and CrCl measure: it is kept as "kidney" and fits either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

KIDNEY = "kidney"
_FIELDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("egfr", r"\be-?gfr\b|\bgfr\b|\b(?:estimated )?glomerular filtration(?: rate)?\b"),
        ("crcl", r"\bcr-?cl\b|\bcreatinine clearance\b"),
        (KIDNEY, r"\b(?:kidney|renal) (?:function|tests?|values?|status)\b"),
        ("creatinine_mg_dl", r"\b(?:serum )?creatinine\b(?! clearance)"),
        ("weight_kg", r"\b(?:body ?)?weight\b|\bhow (?:heavy|much do(?:es)? \w+(?: \w+)? weigh)"),
        ("height_cm", r"\bheight\b|\bhow tall\b|\bbody surface area\b"),
        ("age_years", r"\bages?\b|\bhow old\b|\bdate of birth\b"),
        ("child_pugh", r"\bchild-?(?: ?)pugh\b"),
        ("trimester", r"\btrimester\b"),
        ("pregnant", r"\bpregnan(?:cy|t)\b"),
        ("sex", r"\bsex\b|\bgender\b"),
        ("indication", r"\bindication\b|\bwhat (?:it|the medicine) is (?:used |given )?for\b|\breason for use\b"),
        ("allergies", r"\b(?:kind|type|nature) of (?:the )?(?:\w+ )?(?:reaction|allergy)\b|\breaction\b"),
        ("comeds", r"\bother (?:medicines|medications|drugs)\b|\bco-?medications?\b"),
        ("drug", r"\b(?:which|what|name of the) (?:drug|medicine|medication)\b"),
    )
)  # fmt: skip
_GENES = re.compile(r"\b(cyp\d[a-z]\d{1,2}|abcg2|dpyd|tpmt|nudt15|slco1b1|g6pd|vkorc1|hla-[ab]\*?\d\d:\d\d|ugt1a1)\b")
_KNOWS_NOT = re.compile(
    r"\bnot covered\b|\bno reviewed facts?\b|\bno (?:reliable |reviewed |known )?(?:facts?|information|data|entry"
    r"|record) (?:about|on|for|available)\b"
    r"|\b(?:do|does|did) not (?:know|recogni[sz]e|have (?:any )?(?:information|facts?|data"
    r"|a reviewed fact))\b(?! (?:the|his|her|their|your) (?!drug|medicine|medication))"
    r"|\b(?:not familiar with|unfamiliar with|never heard of|have not heard of|not aware of (?:a|any) (?:drug"
    r"|medicine))\b"
    r"|\bdoes not appear in (?:the|my)\b|\bnot (?:one|a name|a drug|a medicine) (?:that |which )?i (?:recogni[sz]e"
    r"|know)\b"
    r"|\bno such (?:drug|medicine|medication|name)\b"
    r"|\b(?:unknown|unrecogni[sz]ed|not a known|no known|not a recogni[sz]ed|not a real) (?:drug|medicine|medication"
    r"|name)\b"
    r"|\b(?:is|are) (?:not|un)(?: ?known| ?covered| in (?:my|the) (?:knowledge|sources|facts|database)"
    r"| listed)\b(?= to me\b|\.|$| in my\b)"
    r"|\boutside (?:what i know|my knowledge|the knowledge base|my sources)\b|\bnot in (?:my"
    r"|the) (?:knowledge(?: base)?|sources|database)\b"
)  # fmt: skip
_STRONG = re.compile(
    r"\bnot enough (?:information|data|detail)|\binsufficient (?:information|data)|\b(?:can|could) not (?:say|tell"
    r"|determine|judge|decide|answer|assess|advise|be (?:determined|judged|decided|answered|assessed))\b"
    r"|\bunable to (?:say|tell|determine|judge|decide|answer|assess|advise)\b|\bmore (?:information|data"
    r"|details?) (?:is|are) (?:needed|required)\b"
    r"|\b(?:need(?:ed|s)?|have) to (?:know|see)\b|\b(?:i|we) (?:would )?(?:need|require) (?:the|his|her|their|your"
    r"|an?|to have|more|one)\b|\bplease (?:provide|give|tell|state|send|share)\b|\b(?:tell|give|send) me\b"
    r"|\blet me know\b"
    r"|\b(?:information|value|result) is missing\b|\b(?:do|does) not know (?:the|his|her|their|your)\b"
    r"|\b(?:impossible|hard|difficult) to (?:say|tell|judge|answer)\b"
    r"|\bit is not possible to (?:say|tell|judge|answer|decide)\b|\bmissing:"
)  # fmt: skip
_WEAK = re.compile(
    r"\b(?:depends? on|(?:check|measure|obtain|get|find out|ask for|confirm|determine) (?:the|his|her|their|your)"
    r"|evidence is insufficient|insufficient evidence|i am not sure|not certain)\b"
)
_NEEDED = re.compile(
    r"^[^.]{0,20}?\b(?:is|are|result is|value is|class is|type is)? ?(?:still |first )?(?:needed|required|missing"
    r"|unknown|not (?:given|stated|known|provided|mentioned))\b"
)
_ASKING = re.compile(r"\b(?:what|which|how (?:old|heavy|much|tall|long)|do you know|could you|can you|may i|is the)\b")
_MAYBE = re.compile(
    r"cover|review|inform|data|fact|know|famil|heard|recogni|enough|such|appear|have to|tell|give|send|let|insuffic"
    r"|can not|could not|unable|need|requir|please|missing|depend|check|measure|obtain|find out|ask|confirm|determ"
    r"|sure|certain|possible|unknown|not |what|which|how|hard|difficult|\?"
)


@dataclass(frozen=True)
class Abstention:
    """What one sentence abstains with; `strong` is False for "it depends on ..." and the like."""

    missing: frozenset[str] = frozenset()
    not_covered: bool = False
    strong: bool = True


def fields_named(text: str) -> frozenset[str]:
    """The patient's fields that normalised text names."""
    found = {name for name, pattern in _FIELDS if pattern.search(text)}
    return frozenset(found | {f"genotype:{gene.upper()}" for gene in _GENES.findall(text)})


def abstention(sentence: str) -> Abstention | None:
    """What a normalised sentence abstains with, or None where it does not."""
    if not _MAYBE.search(sentence):
        return None
    if sentence.startswith(("monitor", "reason:", "deciding", "instead of")):
        return None
    if _KNOWS_NOT.search(sentence):
        return Abstention(not_covered=True)
    strong = bool(_STRONG.search(sentence))
    if sentence.endswith("?") and _ASKING.search(sentence):
        named = fields_named(sentence)
        return Abstention(missing=named, strong=True) if named or strong else None
    if strong:
        return Abstention(missing=fields_named(sentence))
    named = _needed_fields(sentence)
    if named:
        return Abstention(missing=named)
    if _WEAK.search(sentence):
        named = fields_named(sentence)
        return Abstention(missing=named, strong=False) if named else None
    return None


def _needed_fields(sentence: str) -> frozenset[str]:
    """Fields that are said to be needed or missing: "the weight is needed"."""
    out = set()
    for name, pattern in _FIELDS:
        for match in pattern.finditer(sentence):
            if _NEEDED.match(sentence[match.end() :]):
                out.add(name)
    for match in _GENES.finditer(sentence):
        if _NEEDED.match(sentence[match.end() :]):
            out.add(f"genotype:{match[1].upper()}")
    return frozenset(out)


def cause_is_right(
    missing: frozenset[str], not_covered: bool, gold_missing: tuple[str, ...], gold_not_covered: bool
) -> bool:
    """Whether an abstention names the right cause.

    A missing value: at least one of the gold's fields and none besides (asking for everything is no diagnosis).
    Nothing known: it says so and asks for nothing.
    """
    if gold_missing:
        wanted = {_field(name) for name in gold_missing}
        kidney = bool(wanted & {"egfr", "crcl"})
        named = {_field(name) for name in missing if not (name == KIDNEY and kidney)}
        hit = bool(named & wanted) or (kidney and KIDNEY in missing)
        return hit and named <= wanted and not (not_covered and not gold_not_covered)
    return gold_not_covered and not_covered and not missing


def _field(name: str) -> str:
    """One name for fields that people ask for with one word."""
    if name.startswith("genotype:"):
        return name.upper()
    return {"age_months": "age_years", "allergy": "allergies"}.get(name, name)
