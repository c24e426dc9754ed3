"""The first steps of reading: normal form, the words that count, sentences, clauses, and which drugs are named where.

Everything downstream works on lower-case text in which dashes, quotes, comparison signs and contractions have one
spelling each, so that a cue needs one regular expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from posology.knowledge.library import Library
from posology.text.spans import EQUALS, strip_spans

WORDS_READ = 120  # an answer that needs more than this to say its verdict has not said it

_SIGNS = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "‑": "-", "’": "'", "‘": "'", "“": '"', "”": '"', "µ": "u", "μ": "u", "×": "*"}
    | {"\u00a0": " ", "\u202f": " ", "\u2009": " "}
)
_CONTRACTIONS = re.compile(r"\b(ca|wo|sha|ai|[a-z]+)n't\b")
_IRREGULAR = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
_ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|vs|approx|b\.i\.d|t\.i\.d|q\.i\.d|i\.v|p\.o|max|dr|et al)\.")
_FAILED_SPAN = f"{EQUALS}?"  # no value could be worked out
_SPACE = re.compile(r"[ \t\r\f\v]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+|\s*\n+\s*|\s*;\s*")
_CLAUSE_BREAK = re.compile(
    r",?\s+(?=(?:but|however|although|though|whereas|yet|so use|so give|and use|and give|and switch|and consider"
    r"|and (?:is|can|may|should|must|needs))\b)|,\s+(?=so\b)"
    r"|,\s+(?=(?:use|give|prefer|choose|consider|try|switch|take)\b)"
    r"|,?\s+(?=while\s+(?!taking\b|on\b|using\b|receiving\b|pregnant\b|breast))"
)
WORD = re.compile(r"[a-z0-9]+")


def normalise(text: str) -> str:
    """Lower case, one spelling for signs and contractions, calculator spans reduced to their values."""
    if "<|" in text:
        text = strip_spans(text.replace(_FAILED_SPAN, EQUALS))  # "?" would end a sentence as a question
    text = text.translate(_SIGNS).replace("≥", ">=").replace("≤", "<=").lower()
    text = text.replace("cannot", "can not").replace("**", "").replace("__", "")
    if "n't" in text:
        text = _CONTRACTIONS.sub(lambda m: f"{_IRREGULAR.get(m[1], m[1])} not", text)
    if "." in text:
        text = _ABBREVIATIONS.sub(lambda m: m[1].replace(".", ""), text)
    return _SPACE.sub(" ", text).strip()


def first_words(text: str, limit: int = WORDS_READ) -> str:
    """The text up to its `limit`-th white-space separated word."""
    if text.count(" ") + text.count("\n") < limit:
        return text
    at = 0
    for count, match in enumerate(re.finditer(r"\S+", text), start=1):
        at = match.end()
        if count == limit:
            break
    return text[:at]


def sentences(text: str) -> list[str]:
    """Sentences of normalised text, each with its closing mark; a semicolon or a new line ends one too."""
    return [part.strip(" -*#>\"'()") for part in _SENTENCE_END.split(text) if part and part.strip(" -*#>\"'().")]


def clauses(sentence: str) -> list[str]:
    """A sentence cut where a new statement begins ("but ...", ", use ...")."""
    return [part for part in _CLAUSE_BREAK.split(sentence) if part and part.strip()]


@dataclass(frozen=True)
class Mention:
    """A drug named in a piece of text. `by_class`: it was meant through its class ("NSAIDs")."""

    drug: str
    start: int
    end: int
    by_class: bool = False


@dataclass(frozen=True, eq=False)  # equal when the same object: it is a cache key
class Names:
    """What drugs may be called, as tuples of words (a hyphen, a slash and a space are one to a reader)."""

    alias: Mapping[tuple[str, ...], str]  # name, brand or alias -> canonical name
    members: Mapping[tuple[str, ...], frozenset[str]]  # class, singular and plural -> its drugs
    by_first: Mapping[str, tuple[tuple[str, ...], ...]]  # first word -> names and classes that begin so, longest first

    def resolve(self, name: str) -> str | None:
        """The canonical name of a drug, brand or alias; None for a class or an unknown word."""
        return self.alias.get(words_of(name))

    def mentions(self, text: str, asked: str = "") -> tuple[Mention, ...]:
        """Drugs named in normalised text, in order; `asked` counts as a name even when nobody knows it."""
        return _mentions(self, text, asked)


@lru_cache(maxsize=4096)
def words_of(text: str) -> tuple[str, ...]:
    return tuple(WORD.findall(text.lower()))


def make_names(drugs: Iterable[tuple[str, Iterable[str]]], classes: Mapping[str, Iterable[str]] | None = None) -> Names:
    """Names from (canonical name, other names) pairs and from class words -> member drugs; plurals are added."""
    alias: dict[tuple[str, ...], str] = {}
    canonical = {}
    for name, others in drugs:
        canonical[words_of(name)] = name
        for other in others:
            alias.setdefault(words_of(other), name)
    alias |= canonical
    members: dict[tuple[str, ...], frozenset[str]] = {}
    for label, drugs_of in (classes or {}).items():
        for plural in ("", "s"):
            if (key := words_of(label + plural)) not in alias:
                members[key] = frozenset(drugs_of)
    by_first: dict[str, list[tuple[str, ...]]] = {}
    for key in sorted({*alias, *members}, key=lambda k: (-len(k), k)):
        if key:
            by_first.setdefault(key[0], []).append(key)
    return Names(alias, members, {first: tuple(keys) for first, keys in by_first.items()})


def library_names(library: Library) -> Names:
    """The names of a knowledge base."""
    drugs = ((drug.name, (*drug.brands, *drug.aliases)) for drug in library.drugs.values())
    classes: dict[str, tuple[str, ...]] = {}
    for name, item in library.classes.items():
        classes[name] = classes[item.label.lower()] = library.members(name)
    return make_names(drugs, classes)


@lru_cache(maxsize=65536)
def _mentions(names: Names, text: str, asked: str) -> tuple[Mention, ...]:
    words = [(m[0], m.start(), m.end()) for m in WORD.finditer(text)]
    asked_words, found, at = words_of(asked), [], 0
    while at < len(words):
        size, drug, by_class = _name_at(names, words, at, asked, asked_words)
        if size:
            found.append(Mention(drug, words[at][1], words[at + size - 1][2], by_class))
        at += size or 1
    return tuple(found)


def _name_at(
    names: Names, words: list[tuple[str, int, int]], at: int, asked: str, asked_words: tuple[str, ...]
) -> tuple[int, str, bool]:
    """(number of words, drug, by class) of the longest name that begins at word `at`; (0, "", False): none."""
    first = words[at][0]
    options = names.by_first.get(first, ())
    if asked_words and first == asked_words[0] and asked_words not in options:
        options = tuple(sorted((*options, asked_words), key=len, reverse=True))
    for key in options:
        size = len(key)
        if size > 1 and tuple(word for word, _, _ in words[at : at + size]) != key:
            continue
        if key == asked_words:
            return size, asked, False
        if drug := names.alias.get(key):
            return size, drug, False
        return size, asked if asked in names.members[key] else f"class {' '.join(key)}", True
    return 0, "", False
