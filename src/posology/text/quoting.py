"""The numbers that a working compares are the question's.

A small model copies 30 kg as 300 now and then. So while it samples a comparison, each token of the number is held to
what the question says, in digits or in words (rollout/companion.py). Which of the question's numbers it is, and what
limits stand against it, are the model's own choice, and it may be wrong about them.

The names of a lookup are left to the model: a name that is copied badly is one that the formulary does not know, which
is the safe side. Held to the question's words, it became another medicine of the question (docs/LOG.md).
"""

from __future__ import annotations

import re

from posology.text.comparison import SIGN

_COMPARED = re.compile(r"[A-Za-z]+ ?(?P<number>[0-9][0-9.]*)(?P<after>.?)", re.DOTALL)
_BEGINS, _ENDS = r"(?<!\d)(?<!\d\.)", r"(?:\.0+)?(?!\d|\.\d)"
_ONES = [
    "newborn", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(_TENS)})(?:[- ](?P<one>{'|'.join(_ONES[1:10])}))?|(?P<alone>{'|'.join(_ONES)}))\b",
    re.IGNORECASE,
)


def may_begin(expression: str, question: str) -> bool:
    """Whether an expression of the working on this question can begin so: its number may still become one that is said."""
    compared = _COMPARED.match(expression)
    if compared is None:
        return True
    ends = _ENDS if compared["after"] else ""
    said = re.search(f"{_BEGINS}{re.escape(compared['number'])}{ends}", _WORDS.sub(_in_digits, question))
    return said is not None and compared["after"] in ("", SIGN)


def _in_digits(words: re.Match[str]) -> str:
    tens, one, alone = (part and part.lower() for part in words.groups())
    if alone:
        return str(_ONES.index(alone))
    return str(10 * (_TENS.index(tens) + 2) + (_ONES.index(one) if one else 0))
