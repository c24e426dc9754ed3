"""The numbers that a working compares are the question's, and each is of the kind that it is called.

A small model copies 30 kg as 300 now and then, or the age where the weight is asked for. So while it samples a
comparison, each token of the number is held to what the question says, in digits or in words (rollout/companion.py):
to the numbers that stand there as that quantity ("28 kg", "eGFR of 36"), or, where none does, to those that stand there
as nothing else, or else to any. Which quantities it compares, and what limits stand against them, are the model's own
choice, and it may be wrong about them.

The names of a lookup are left to the model: a name that is copied badly is one that the formulary does not know, which
is the safe side. Held to the question's words, it became another medicine of the question (docs/LOG.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import accumulate

from posology.text.comparison import MONTHS, SIGN
from posology.text.references import AGE, WEIGHT

_COMPARED = re.compile(r"(?P<name>[A-Za-z]+) ?(?P<number>[0-9][0-9.]*)(?P<after>.?)", re.DOTALL)
_PART = re.compile(r"\d{1,2}|\.")  # of a number, as the tokenizer cuts it: 14 does not begin with 1
_NUMBER = re.compile(r"(?<!\d)(?<!\d\.)\d+(?:\.\d+)?")
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
_WITHOUT = re.compile(rf"(?:{'|'.join(_SAID)})(?! ?\d| ?$)")  # a quantity without a number
_ONES = [
    "newborn", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<one>{'|'.join(_ONES[1:10])}))?|(?P<alone>{'|'.join(_ONES)}))\b",
    re.IGNORECASE,
)


def has_number(question: str) -> bool:
    """Whether a question says any number, in digits or in words: without one nothing can be compared."""
    return _NUMBER.search(_WORDS.sub(_in_digits, question)) is not None


def compares(expression: str) -> bool:
    """Whether an expression has begun to compare a quantity that workings know."""
    compared = _COMPARED.match(expression)
    return compared is not None and compared["name"] in _SAID


def may_begin(expression: str, question: str) -> bool:
    """Whether an expression of the working on this question can begin so: its number may still become one that is said."""
    compared = _COMPARED.match(expression)
    if compared is None:
        return _WITHOUT.match(expression) is None
    name, number, after = compared.groups()
    said = _numbers(name, question)
    if after:
        return number in said and after == SIGN
    return any(number in accumulate(_PART.findall(one)) for one in said)


@lru_cache(maxsize=1024)
def _numbers(name: str, question: str) -> Collection[str]:
    """How the numbers of a question that can be a quantity may be written."""
    digits = _WORDS.sub(_in_digits, question)
    found = [(match[0], _quantities(digits, match)) for match in _NUMBER.finditer(digits)]
    best = [number for number, called in found if name in called]
    best = best or [number for number, called in found if not called] or [number for number, _ in found]
    return {way for number in best for way in (number, re.sub(r"\.0+$", "", number))}


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
