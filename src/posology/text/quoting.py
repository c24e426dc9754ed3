"""What a working compares is the question's: its numbers, each of the kind that it is called, its grades and allergies.

A small model copies 30 kg as 300 now and then, or the age where the weight is asked for. So while it samples a
comparison, each token of the number is held to what the question says, in digits or in words (rollout/companion.py):
to the numbers that stand there as that quantity ("28 kg", "eGFR of 36"), or, where none does, to those that stand there
as nothing else; where there is none of these either, the quantity is not compared. An amount ("400 mg", "5 days") is no
such number, and neither are the figures of a name ("CYP2C9"). Which quantities it compares, and what limits stand
against them, are the model's own choice, and it may be wrong about them. A Child-Pugh grade and an allergy are held in
the same way: to the letter after "Child-Pugh", to the words beside "allergy" or "allergic to" and a reaction that is
told; and neither is written where the question tells none.

The names of a lookup are left to the model: a name that is copied badly is one that the formulary does not know, which
is the safe side. Held to the question's words, it became another medicine of the question (docs/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import accumulate

from posology.text.comparison import ALLERGY, GRADES, LIVER, MONTHS, SIGN, is_count
from posology.text.formulary import START, STOP
from posology.text.references import AGE, WEIGHT

_COMPARED = re.compile(r"(?P<name>[A-Za-z]+) ?(?P<number>[0-9][0-9.]*)(?P<after>.?)", re.DOTALL)
_COPIED = re.compile(rf"(?P<name>{LIVER}|{ALLERGY}) ?(?P<words>[^?]*)(?P<after>.?)", re.DOTALL)
_GRADE = re.compile(
    rf"{START}child-? ?pugh{STOP}[\W_]*(?:(?:class|grade|score|stage|is|of){STOP}[\W_]*)*([{GRADES}]){STOP}",
    re.IGNORECASE,
)
_NAME = r"(?:[a-z]+(?:[/-][a-z]+)* ){0,3}[a-z]+(?:[/-][a-z]+)*"
_ALLERGEN = re.compile(  # the name is the last words before "allergy", or the first ones after "to"
    rf"{START}(?:(?P<before>{_NAME}) allergy{STOP}|(?:allergic|anaphylaxis|reaction|allergy) (?:to|after) (?P<after>{_NAME}))"
)
_REACTIONS = {
    "immediate": r"anaphyla|immediate|hives|urticaria", "severe delayed": r"severe|sjs|dress|stevens|necrolysis", "mild": "mild|rash",
}  # fmt: skip
_REACTED = re.compile("anaphyla|hives|urticaria|rash", re.IGNORECASE)
_PART = re.compile(r"\d{1,2}|\.")  # of a number, as the tokenizer cuts it: 14 does not begin with 1
_NUMBER = re.compile(r"(?<!\d)(?<!\d\.)\d+(?:\.\d+)?")
_NAMED = re.compile(  # figures of a name: CYP2C9, HLA-B*57:01, *2/*3, type 2 diabetes
    r"\bHLA-\S+|\*\d+/\*\d+|\b(?:CYP|UGT|SLCO)\d\w*|\b(?:ABCG2|G6PD|NUDT15|VKORC1|types? [12])\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"[ -]?(?:m?g|mcg|µg|micrograms?|milligrams?|grams?|ml|units?|tablets?|times|hours?|days?|weeks?|%)(?!\w)",
    re.IGNORECASE,
)
_BETWEEN = r"\W*(?:(?:of|is|was|at|about|around|now)\b\W*)*"  # a test's name and its value
_SAID = {  # name in a comparison -> (what stands before such a number, what stands after it); "" where nothing need
    WEIGHT: ("", r"[ -]?(?:kg|kilo)"),
    AGE: (rf"\bage[ds]?\b{_BETWEEN}", r"[ -]?(?:y|years?|yrs?|yo)\b"),
    MONTHS: ("", r"[ -]?months?\b"),
    "eGFR": (rf"gfr\b{_BETWEEN}", ""),
    "CrCl": (rf"(?:cr-?cl|creatinine clearance)\b{_BETWEEN}", ""),
    "creatinine": (rf"creatinine\b(?! clearance){_BETWEEN}", ""),
}
_BEFORE = {name: re.compile(rf"{before}$", re.IGNORECASE) for name, (before, _) in _SAID.items() if before}
_AFTER = {name: re.compile(after, re.IGNORECASE) for name, (_, after) in _SAID.items() if after}
_QUANTITY = re.compile("|".join(_SAID))
_WITHOUT = re.compile(rf"(?:{'|'.join(_SAID)})(?! ?\d| ?\Z)")  # a quantity without a number
_ONES = [
    "newborn", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<one>{'|'.join(_ONES[1:10])}))?|(?P<alone>{'|'.join(_ONES)}))\b",
    re.IGNORECASE,
)


def is_comparable(question: str) -> bool:
    """Whether a question says a number of the patient, in digits or in words, a grade or an allergy: else nothing can be
    compared."""
    return any(_numbers(name, question) for name in _SAID) or bool(_grades(question) or _allergies(question))


def compares(expression: str) -> bool:
    """Whether an expression has begun to compare something that workings know."""
    if is_count(expression) or _COPIED.match(expression):
        return True
    compared = _COMPARED.match(expression)
    return compared is not None and compared["name"] in _SAID


def may_begin(expression: str, question: str) -> bool:
    """Whether an expression of the working on this question can begin so: its number may still become one that is said.
    A count asks for numbers of the working, and has none of its own."""
    if is_count(expression):
        return True
    copied = _COPIED.match(expression)
    if copied is not None:
        name, words, after = copied.groups()
        said = _grades(question) if name == LIVER else _allergies(question)
        return words in said if after else any(one.startswith(words) for one in said)
    compared = _COMPARED.match(expression)
    if compared is None:
        named = _QUANTITY.match(expression)
        return named is None or bool(_numbers(named[0], question) and not _WITHOUT.match(expression))
    name, number, after = compared.groups()
    said = _numbers(name, question)
    if after:
        return number in said and after == SIGN
    return any(number in accumulate(_PART.findall(one)) for one in said)


@lru_cache(maxsize=1024)
def _grades(question: str) -> Collection[str]:
    """The Child-Pugh grades of a question."""
    return {grade.upper() for grade in _GRADE.findall(question)}


@lru_cache(maxsize=1024)
def _allergies(question: str) -> Collection[str]:
    """How the allergies of a question may be written: "penicillin, mild", "mild penicillin", "penicillin"; the model
    says where the name begins or ends."""
    names = set[str]()
    for found in _ALLERGEN.finditer(question.lower()):
        words = (found["before"] or found["after"]).split()
        parts = (
            [words[:n] for n in range(1, len(words) + 1)] if found["after"] else [words[n:] for n in range(len(words))]
        )
        names |= {way for part in parts for way in (" ".join(part), " ".join(part).removesuffix("s"))}
    told = [name for name, cue in _REACTIONS.items() if re.search(cue, question, re.IGNORECASE)]
    if not names and _REACTED.search(question):  # "Penicillin gave him anaphylaxis."
        names = set(re.findall(r"[a-z]{3,}", question.lower()))
    return names | {f"{name}, {reaction}" for name in names for reaction in told}


@lru_cache(maxsize=1024)
def _numbers(name: str, question: str) -> Collection[str]:
    """How the numbers of a question that can be a quantity may be written."""
    digits = _in_figures(question)
    numbers = [match for match in _NUMBER.finditer(digits) if not _AMOUNT.match(digits, match.end())]
    found = [(match[0], _quantities(digits, match)) for match in numbers]
    best = [number for number, called in found if name in called]
    best = best or [number for number, called in found if not called]
    return {way for number in best for way in (number, re.sub(r"\.0+$", "", number))}


def _in_figures(question: str) -> str:
    """The question with its numbers in digits, and without the figures that belong to names."""
    return _WORDS.sub(_in_digits, _NAMED.sub("", question))


def _quantities(text: str, number: re.Match[str]) -> set[str]:
    """What a number of the text stands there as."""
    before, after = text[: number.start()], text[number.end() :]
    found = {name for name, pattern in _BEFORE.items() if pattern.search(before)}
    return found | {name for name, pattern in _AFTER.items() if pattern.match(after)}


def _in_digits(words: re.Match[str]) -> str:
    tens, one, alone = (part and part.lower() for part in words.groups())
    if alone:
        return str(_ONES.index(alone))
    return str(10 * (_TENS.index(tens) + 2) + (_ONES.index(one) if one else 0))
