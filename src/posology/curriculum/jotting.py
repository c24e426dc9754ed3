"""How people jot a patient down: marks, brackets and joining words that follow no rule. Only in training.

A model that has seen a list only between commas reads one between slashes badly, and one in brackets hardly at all. So
a share of the training questions joins what is said of a patient with marks and words drawn at random, in any order.
The exam's structures (a list in round brackets, facts told apart, a list backwards) and development's (between commas,
with slashes, after "I see") are not among them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from posology.curriculum.chatter import nonsense
from posology.curriculum.mentions import Mention

LOWER, TELEGRAPHED = 0.06, 0.10  # shares of training questions in small letters, without their small words
AGED = 0.15  # share of those about a 62-year-old man that say it in another way
UNITLESS = 0.3  # share of those that say "is 62 years old" as "is 62"
_MARKS = (
    ", ",
    "; ",
    " - ",
    " + ",
    " | ",
    " & ",
    " > ",
    ". ",
    ": ",
    " * ",
    " .. ",
    " ~ ",
    " -> ",
    "; also ",
    " ",
    " = ",
    ",",
)
_WORDS = (
    " and ",
    " plus ",
    " then ",
    " but ",
    " while ",
    " and also ",
    ", and ",
    " as well as ",
    " or rather ",
    " yet ",
)
_BRACKETS = (
    (" [", "]"), (" {", "}"), (" <", ">"), (' "', '"'), (" *", "*"), (": ", ";"), (" | ", " |"), (" ~", "~"), (" = ", " ="),
    (" _", "_"), (" [[", "]]"), (" ...", "..."), ("; ", ";"), (" :", ":"),
)  # fmt: skip
_VALUES = (" ", " ", ": ", " = ", "=", " is ", " of ", " now ", " about ", " at ", ":")
_LABORATORY = re.compile(r"(eGFR|CrCl|creatinine clearance|creatinine) (?=\d)")
_YEARS = re.compile(r"\b(?P<article>[Aa])n? (?P<age>\d+)-year-old (?P<who>man|woman|boy|girl|child|patient)\b")
_OLD = re.compile(r"(\bis \d+) years old\b")
_SMALL = re.compile(r"\b(?:(?i:an|the|my|is|has|i|do|please)|a|(?<![^.?!] )A) ")  # not the A of "Child-Pugh A"


def joiner(rng: random.Random) -> str:
    """A mark, a joining word or a made-up word that stands between two things said."""
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(_MARKS)
    return rng.choice(_WORDS) if kind < 0.9 else f" {nonsense(rng)} "


def joined(texts: Sequence[str], rng: random.Random) -> str:
    """The texts in one line: mostly with one mark between all of them, at times with another each time."""
    same = joiner(rng) if rng.random() < 0.7 else None
    out = texts[0]
    for text in texts[1:]:
        out += (joiner(rng) if same is None else same) + text
    return out


def jotted(mention: Mention, rng: random.Random) -> str:
    """One thing as a list may hold it: mostly as in a chart, with any mark between a test's name and its value."""
    if mention.given and rng.random() < 0.15:
        return mention.given
    value = rng.choice(_VALUES)
    return _LABORATORY.sub(lambda found: found[1] + value, mention.chart)


def in_brackets(noun: str, text: str, rng: random.Random) -> str:
    """ "a 62-year-old man [eGFR 28]", with any marks for brackets, or between made-up words."""
    if rng.random() < 0.15:
        return f"{noun} {nonsense(rng)} {text}"
    opening, closing = rng.choice(_BRACKETS)
    return f"{noun}{opening}{text}{closing}"


def hasty(question: str, rng: random.Random) -> str:
    """The question, at times in small letters, or without small words, as it is typed in a hurry."""
    if rng.random() < TELEGRAPHED:
        question = _SMALL.sub("", question)
    return question.lower() if rng.random() < LOWER else question


def of_age(question: str, rng: random.Random) -> str:
    """The question, at times with "a man of 62" or "a man aged 62" for "a 62-year-old man", "is 62" for "is 62 years old"."""
    if rng.random() < UNITLESS:
        question = _OLD.sub(r"\1", question)
    if rng.random() >= AGED:
        return question
    form = rng.choice(("{article} {who} of {age}", "{article} {who} aged {age}"))
    return _YEARS.sub(lambda found: form.format(**found.groupdict()), question)
