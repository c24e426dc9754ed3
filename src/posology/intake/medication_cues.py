"""The words in which a note says whether a medicine is taken: data for `medications`. Patterns are for folded text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal[
    "current", "started", "changed", "given", "planned", "stopped", "held", "past", "negated", "allergy", "family"
]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Cue:
    """A way of saying a status. `adjacent`: only right beside its medicine (or the medicine's dose)."""

    status: Status
    pattern: re.Pattern[str]
    adjacent: bool = False


def _cue(status: Status, *patterns: str, adjacent: bool = False) -> Cue:
    return Cue(status, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)), adjacent)


_STARTING = r"(?:start(?:ing)?|begin(?:ning)?|add(?:ing)?|initiat(?:e|ing)|try(?:ing)?|us(?:e|ing)|tak(?:e|ing)|giv(?:e|ing)|prescrib(?:e|ing)|switch(?:ing)? to|plac(?:e|ing) (?:him|her|the patient) on|increas(?:e|ing)|chang(?:e|ing) to|a trial of|treatment with|treat(?:ing)? with|therapy with|continu(?:e|ing)|resum(?:e|ing)|receiv(?:e|ing)|be (?:started|placed) on|be given|be on)"
_MODAL = r"(?:\s+(?:her|him|them|the patient|that|to|on|with|also|then|possibly|either|she|he|they|patient|should|we|of|for|over-the-counter))*"
_KIN = r"(?:grand)?(?:mother|father|mom|dad|brother|sister|son|daughter|parents?|aunt|uncle|wife|husband|cousin|niece|nephew|roommate|twin)"
_ADVERBS = r"(?:(?:also|been|currently|now|still|previously|initially|recently|actually|ever|regularly|routinely|being|any|all|maintained|doing well|well|stable|managed|kept|both|only|already) )*"

# Before its medicine, in any order: the nearest before a medicine decides; a cue inside a longer one is part of it.
BEFORE = (
    _cue(
        "allergy",
        r"\b(?<!no known )allerg(?:ic|y|ies) (?:reactions? )?(?:to|are|is|include[sd]?)\b(?: to\b)?",
        r"\ballerg(?:y|ies|ic)(?: list)?:", r"\bintoleran(?:t|ces?) (?:to|of)\b", r"\b(?:anaphyla\w+|hypersensitiv\w+|hives|rash) (?:to|from|with)\b",
        r"\b(?:reaction|reacts?|reacted|sensitivity) to\b", r"\ballerg(?:y|ies)\b(?! (?:symptoms|season|medication|medicine|pill|shot|test))",
    ),
    _cue("family", rf"\b{_KIN}(?:'s)?(?: \w+){{0,6}}? (?:takes?|took|(?:is|was|had been|has been) (?:also )?(?:on|taking|treated with|given)|us(?:es|ed)|on)\b"),
    _cue(
        "negated",
        r"\b(?:den(?:y|ies|ied|ying)|decline[sd]?|declining|refuse[sd]?|refusing|avoid(?:s|ed|ing)?|without|instead of|rather than|in lieu of)\b(?: (?:any|the|use|taking|using|usage|of|having|taken|ever|recent|current|been|on|to|take|being))*",
        rf"\b(?:not|n't|never|cannot|can not|nor)\b (?:{_ADVERBS})?(?:to )?(?:have |be |had )?{_ADVERBS}(?:taking|taken|take|on|using|used?|receiv(?:e|ed|ing)|given|giv(?:e|ing)|prescribed|start(?:ed)?|need(?:ed)?|require[sd]?|tried|want|tolerate|recommend)\b(?: (?:on|to|take|any|be|started|the|of|use))*",
        r"\bno(?: (?:other|recent|prior|current|additional|known|history of|use of|need for|more|further|over-the-counter|prior|indication for|role for))*",
        r"\bnone of (?:his|her|the|their)(?: prescribed)?", r"\b(?:neither|nor)\b", r"\bcontraindicat\w+ (?:to|for)\b",
    ),
    _cue(
        "stopped",
        r"\b(?:stop(?:s|ped|ping)?|discontinu(?:e[sd]?|ing|ation of)|d/?c(?:'?e?d)?|quit(?:ting)?|ceased?)\b(?: (?:taking|using|the use of|use of|of|all|his|her|the|their|having))*",
        r"\b(?:came|com(?:e|ing)|go(?:ne|ing)?|went|taken|taking (?:him|her)|take (?:him|her)|took (?:him|her)|been|is|was|stay(?:ed|ing)?|weaned?(?: \w+)?|weaning) off(?: of)?\b",
        r"\boff(?: of)? (?:his|her|the)?\b", r"\bno longer (?:on|taking|takes?|using|us(?:es?|ed)|receiv\w+|needs?|need(?:ing)?|requir\w+)\b",
        r"\b(?:switch(?:ed|ing)?|chang(?:e|ed|ing)|transition(?:ed|ing)?|convert(?:ed|ing)?)(?: (?:him|her|the patient|them|over))? from\b",
        r"\bwithdr[ae]wa?l? (?:of|from)\b", r"\breplac(?:e|ing)\b", r"\bran out of\b",
    ),
    _cue("held", r"\b(?:hold(?:ing)?|held|withh[eo]ld(?:ing)?)\b"),
    _cue(
        "started",
        r"\b(?:re-?)?start(?:s|ed|ing)?\b(?: (?:him|her|the patient|them|back|taking|empirically))?(?: (?:on|with)\b)?",
        r"\b(?:begin(?:ning|s)?|began|begun|initiat(?:e|ed|ing|ion of)|commenc(?:e|ed|ing)|resum(?:e[sd]?|ing)|prescribe[sd]?|prescribing|prescriptions?(?: given| written)? (?:for|of)|(?:scripts?|rx) for|add(?:ed|ing)?|institut(?:e|ed))\b(?: (?:him|her|the patient|them))?(?: (?:on|taking)\b)?",
        r"\b(?:plac(?:e|ed|ing)|put(?:ting)?|switch(?:ed|ing)?|chang(?:e|ed|ing)|transition(?:ed|ing)?|convert(?:ed|ing)?|loaded)(?: (?:him|her|the patient|them|back|over))? (?:on|to|onto|with)\b",
        r"\breplaced (?:by|with)\b", r"\b(?:discharged?|sent) (?:home )?(?:on|with)\b", r"\b(?:given|gave|wrote|writ(?:e|ten)|provided?)(?: \w+){0,3} (?:prescriptions?|scripts?|samples?)(?: (?:for|of))\b",
    ),
    _cue(
        "changed",
        r"\b(?:(?:up|down)-?)?(?:increas(?:e[sd]?|ing)|decreas(?:e[sd]?|ing)|reduc(?:e[sd]?|ing)|lower(?:ed|ing)?|titrat(?:e[sd]?|ing)|taper(?:ed|ing)?(?: off)?|adjust(?:ed|ing)?|cut(?:ting)?(?: back)?(?: on)?|doubl(?:e|ed|ing)|rais(?:e|ed|ing)|chang(?:e|ed|ing))\b",
        adjacent=True,
    ),
    _cue(
        "planned",
        rf"\b(?:consider(?:ed|ing|ation of)?|may|might|could|would(?: like)?|plan(?:s|ned|ning)?|recommend(?:s|ed|ing|ation)?|suggest(?:s|ed|ing)?|discuss(?:ed|ing)?|offer(?:ed|ing)?|propos(?:e|ed)|advis(?:e|ed)|should|candidate for|option of|encourag(?:e|ed)|need(?:s)? to|want(?:s)? to|wishes to|benefit from|(?:will|can|going to) (?:then )?(?:try|need|require|be given|receive|be placed on|consider))\b{_MODAL}(?: (?:a|the|an|possible|daily))?(?: {_STARTING})?\b(?: (?:him|her|the patient|with|on|on a))*",
    ),
    _cue(
        "given",
        r"\b(?:receiv(?:e|ed|es|ing)|given|gave|giving|administer(?:ed|ing)?|inject(?:ed)?|infus(?:ed|ing)|bolused|loaded)\b(?: (?:him|her|the patient|with|a|dose|doses|of))*",
        r"\b(?:was|were|been|and|being) (?:\w+ )?treated\b(?: \w+){0,8}? with\b", r"\bmedicated with\b",
    ),
    _cue(
        "past",
        r"\b(?:previously|formerly|prior(?:ly)?|past|remotely|earlier|initially)\b(?: (?:been|was|had|to))*(?: (?:on|taking|used?|treated with|tried|took|taken|prescribed|given|received))?",
        r"\b(?:history|courses?|trials?|rounds?|use) of\b", r"\bused to (?:take|be on|use|receive)\b", r"\bhad (?:been |previously |also )*(?:on|taking|taken|tried|used|received|treated with|using)\b",
        r"\b(?:was|were) (?:(?:previously|once|also|already|then|formerly|initially|still|only) )?(?:on|taking|using|treated previously with)\b", r"\b(?:tried|failed|finish(?:ed|ing)|complet(?:ed|ing)|took|used)\b(?: (?:a|the|his|her|\w+-day|full|prior|previous|recent))*(?: (?:courses?|trials?|rounds?) of)?",
    ),
    _cue(
        "current",
        rf"\b(?:tak(?:e|es|en|ing)|us(?:e|es|ing)|continu(?:e|es|ed|ing)|remain(?:s|ed|ing)?|maintain(?:ed|ing)?|refill(?:s|ed|ing)?|renew(?:ed|ing)?|on|meds?|medications?|medicines?|drugs|compliant with|compliance with|(?:managed|treated) with|controlled (?:with|on|by)|helped by|relie(?:f|ved) (?:with|from|by)|uses|utiliz\w+|via|requir(?:es|ing)|has|have|keep|apply)\b(?: {_ADVERBS.rstrip(')*')})*)?(?: (?:on|to take|taking|to use|with|include[sd]?|are|is|home))*",
    ),
)  # fmt: skip
_WAS = r"\b(?:was|were|is|are|be|been|being|get|got)\b(?: (?:then|therefore|later|subsequently|also|now|just|recently|temporarily|eventually|empirically|initially|again|all|both))*"
# After its medicine, up to the next one.
AFTER = (
    _cue("negated", rf"{_WAS} not (?:\w+ )?(?:taken|given|started|used|needed|prescribed|required|recommended|indicated)\b", rf"{_WAS} (?:declined|refused|contraindicated)\b", r"\bshould be avoided\b", r"^ ?(?:: )?(?:none|denied|declined)\b", r"\b(?:not (?:currently )?taking|has not (?:been )?tak)\w*"),
    _cue("planned", rf"{_WAS} (?:recommended|required|indicated|considered|advised|suggested|planned|discussed|offered|needed)\b", r"\b(?:may|might|could) (?:be|help)\b", r"\bshould be (?:started|added|given|considered|initiated)\b"),
    _cue("stopped", rf"(?:{_WAS}|\band (?:then |later )?|\bhas |\bhad |, )\s?(?:stopped|discontinued|d/?c'?d|withdrawn|weaned|tapered off|replaced|switched to|changed to(?! \d))\b", r"\b(?:but|which|and|who) (?:\w+ ){0,3}(?:stopped|discontinued|quit)\b(?: (?:it|this|taking))?", r"^ ?(?:was |and )?(?:discontinued|stopped)\b", r"\bno longer (?:taking|takes|using)\b"),
    _cue("held", rf"{_WAS} (?:held|withheld)\b", r"\bon hold\b", r"^ ?-? ?(?:held|on hold|hold)\b"),
    _cue("changed", rf"{_WAS} (?:up-?|down-?)?(?:increased|decreased|reduced|titrated|cut|adjusted|lowered|doubled|raised|tapered|changed to (?=\d))", r"\b(?:increased|decreased|reduced) (?:from|to)\b"),
    _cue("started", rf"{_WAS} (?:re-?)?(?:started|added|initiated|begun|prescribed|resumed|commenced|instituted|restarted|ordered)\b"),
    _cue("given", rf"{_WAS} (?:given|administered|injected|infused|applied|instilled|used|loaded)\b", r"^ ?(?:\S+ ){0,3}?given\b"),
    _cue("allergy", r"^[ -]?(?:drug )?allerg(?:y|ies|ic)\b", r"\b(?:which |that |has |have )?caus(?:es?|ed|ing) (?:(?:a|an|him|her|severe|some|mild|to|get) )*(?:hives|rash|itching|anaphylaxis|swelling|angioedema|throat)\b", r"^ ?[-:(=]+ ?(?:hives|rash|itching|anaphylaxis|swelling|angioedema|nausea|gi upset|unknown reaction)\b"),
)  # fmt: skip
LONG_AGO = re.compile(
    r"\b(?:in the past|previously|last (?:year|month|week|night|summer|winter|spring|fall)|(?:years?|months?|weeks?) (?:ago|earlier|prior)|as a child"
    r"|during (?:childhood|infancy|the pregnancy|pregnancy)|in (?:19|20)\d\d|years before|without (?:any |much |significant )?(?:relief|benefit|success|improvement))\b"
)
SECTIONS: tuple[tuple[Status, re.Pattern[str]], ...] = (
    ("allergy", re.compile(r"^(?:drug |medication |known )?allerg(?:y|ies)(?: to (?:medications?|drugs))?$|^adverse reactions$|^intolerances$")),
    ("family", re.compile(r"^family (?:medical )?history$|^fh$|^fhx$|^family hx$")),
    ("current", re.compile(
        r"^(?:current |home |discharge |outpatient |active |admission |present |list of |regular |her |his )*(?:medications?|meds|medicines|drugs)"
        r"(?: list| on (?:admission|discharge)| at home)?(?: (?:are|include))?$|^dh$"
    )),
    ("past", re.compile(r"^(?:past|previous|prior|discontinued|former) (?:medications?|meds|treatments?)$")),
)  # fmt: skip
