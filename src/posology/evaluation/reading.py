"""Read an answer: free text -> verdict, doses, claims, abstention. Deterministic, and nothing is guessed.

`read_answer` knows the drug that was asked about and what drugs are called; it does not know the gold answer. Only the
first 120 words count. How verdicts, doses, claims and abstentions are found is in the modules named after them. The
reader itself is graded on hand-labelled answers (reader_figures.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from posology.evaluation.reading_abstention import Abstention, abstention
from posology.evaluation.reading_claims import Claim, read_claims
from posology.evaluation.reading_dose import Dose, read_doses
from posology.evaluation.reading_text import Names, first_words, normalise, sentences
from posology.evaluation.reading_verdict import INVALID, NONE, Statement, resolve, statements

VERDICTS = ("CONTRAINDICATED", "AVOID", "ADJUST", "CAUTION", "OK", "INSUFFICIENT")
READINGS = (*VERDICTS, NONE, INVALID)


@dataclass(frozen=True)
class Reading:
    """What an answer says about the drug that was asked about.

    `said` keeps every verdict, weak ones in lower case; `others` the verdicts on other drugs; `missing` and
    `not_covered` the causes of an abstention; `sources` the verdicts of sources that differ.
    """

    verdict: str
    said: frozenset[str] = frozenset()
    others: tuple[tuple[str, str], ...] = ()
    doses: tuple[Dose, ...] = ()
    claims: tuple[Claim, ...] = ()
    missing: frozenset[str] = frozenset()
    not_covered: bool = False
    sources: tuple[str, ...] = ()

    @property
    def unreadable(self) -> bool:
        return self.verdict in (NONE, INVALID)

    @property
    def abstains(self) -> bool:
        return self.verdict == "INSUFFICIENT"


@dataclass(frozen=True)
class _Sentence:
    verdicts: tuple[Statement, ...]
    focus: str
    abstains: Abstention | None
    doses: tuple[Dose, ...]
    claims: tuple[Claim, ...]


@lru_cache(maxsize=65536)
def _read_sentence(sentence: str, names: Names, asked: str, focus: str) -> _Sentence:
    mentions = names.mentions(sentence, asked)
    verdicts, next_focus = statements(sentence, names, asked, focus)
    return _Sentence(
        tuple(verdicts),
        next_focus,
        abstention(sentence),
        read_doses(sentence, mentions, focus),
        read_claims(sentence, mentions, asked),
    )


def read_answer(text: str, drug: str, names: Names) -> Reading:
    """Read one answer to a question about `drug` (any of its names; "" where the question names none)."""
    asked = names.resolve(drug) or " ".join(drug.lower().split())
    return _read(text, asked, names)


@lru_cache(maxsize=65536)
def _read(text: str, asked: str, names: Names) -> Reading:
    found: list[Statement] = []
    doses: list[Dose] = []
    claims: list[Claim] = []
    missing: frozenset[str] = frozenset()
    not_covered, focus = False, asked
    for sentence in sentences(first_words(normalise(text))):
        read = _read_sentence(sentence, names, asked, focus)
        focus = read.focus
        found += read.verdicts
        doses += read.doses
        claims += read.claims
        if read.abstains is not None:
            found.append(Statement("INSUFFICIENT" if read.abstains.strong else "asks", (asked,)))
            missing |= read.abstains.missing
            not_covered |= read.abstains.not_covered
    verdict, said = resolve(found, asked)
    others = sorted({drug for s in found for drug in s.drugs} - {asked})
    return Reading(
        verdict=verdict,
        said=said,
        others=tuple((drug, resolve(found, drug)[0]) for drug in others),
        doses=tuple(doses),
        claims=tuple(claims),
        missing=missing,
        not_covered=not_covered,
        sources=tuple(claim.object for claim in claims if claim.relation == "source says"),
    )
