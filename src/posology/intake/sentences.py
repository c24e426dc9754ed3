"""Sentences of a note, each in its place, with the section that its heading names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BREAK = re.compile(r"\s*\n\s*|;\s*|[.!?][\"')]*\s+|\s+(?=[•●]\s)")
_TITLE = re.compile(r"\b(?:[Dd]rs?|[Mm]rs?|[Mm]s|[Ss]t|vs|e\.g|i\.e|approx)$")
_LIST_NUMBER = re.compile(r"^\s*\d{1,2}$")
_SHORT = re.compile(  # abbreviations of prescriptions, which keep their full stop inside a sentence
    r"\b(?:p\.?o|q\.?d|b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|p\.?r\.?n|q\.?h\.?s|h\.?s|[ap]\.?m|q\.? ?\d+ ?h|tabs?|caps?|mg"
    r"|mcg|o\.d|a\.c|i\.v|i\.m|s\.q|q\.[ap]\.m|q|no)$",
    re.IGNORECASE,
)
_NEW = re.compile(r"[A-Z•●]|\d{1,2}[.)]\s")
_HEADING = re.compile(r"^[\s•●*-]*(?:\d{1,2}[.)]\s*)?(?P<name>[A-Za-z][A-Za-z /&-]{1,38}?)\s*(?P<colon>:|$)")


@dataclass(frozen=True)
class Sentence:
    """[start, end) of a text, without its heading; `section` is the last heading above it, in lower case."""

    start: int
    end: int
    section: str


def sentences(text: str) -> Iterator[Sentence]:
    """A text's sentences in order. A new line and a semicolon end one; so does the next item of a numbered list."""
    start, section = 0, ""
    for end in _ends(text):
        heading = _HEADING.match(text[start:end])
        if heading and (heading["colon"] or _stands_alone(heading["name"])):
            section = heading["name"].strip().lower()
            start += heading.end()
        if text[start:end].strip():
            yield Sentence(start, end, section)
        start = end


def _stands_alone(name: str) -> bool:
    """A line of its own that is a heading: capitals ("CURRENT MEDICATIONS"), or every word with one ("Family History")."""
    words = name.split()
    return name.isupper() and len(name) > 3 or (1 < len(words) <= 4 and all(word[0].isupper() for word in words))


def _ends(text: str) -> Iterator[int]:
    start = 0
    for match in _BREAK.finditer(text):
        before = text[start : match.start()]
        if match[0][0] in ".!?":
            if _TITLE.search(before) or _LIST_NUMBER.match(before):
                continue
            if _SHORT.search(before) and not _NEW.match(text, match.end()):
                continue
        yield match.end()
        start = match.end()
    yield len(text)
