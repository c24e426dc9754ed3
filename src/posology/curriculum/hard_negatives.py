"""Hard negatives: a factual summary with one thing made wrong, checked to be unsupported by its note.

Each edit changes one medication, side or finding and names itself. The edited text is read again: it is kept only when
the reader now finds something that the note does not support, did not find it before, and the length is nearly the
same, so that neither a longer nor a shorter answer gives the lesson away. Everything follows from the seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

from posology.errors import UserError
from posology.intake.amounts import Found, find_doses, fold, plain, same_dose
from posology.intake.drug_names import Vocabulary, packaged_vocabulary
from posology.intake.findings import FINDINGS, read_findings, read_sides, unsupported_findings, unsupported_sides
from posology.intake.medications import Medication, read_medications
from posology.intake.records import Example, Pair
from posology.intake.support import Fault, unsupported
from posology.seeds import stream

Edit = Literal["dose", "unit", "drug", "route", "frequency", "negation", "laterality", "finding"]
EDITS: tuple[Edit, ...] = get_args(Edit)
TOLERANCE, SLACK = 0.10, 3  # the rejected summary's words: within 10 % of the chosen one's, or within 3 words
LETTERS = 6  # and its characters: within 10 % of the chosen one's, or within so many

_FAULT: dict[Edit, Fault] = {
    "dose": "dose",
    "unit": "dose",
    "drug": "drug",
    "route": "route",
    "frequency": "frequency",
    "negation": "status",
}


@dataclass(frozen=True)
class Refusal:
    """A row from which no negative could be made, and why."""

    row: int
    id: str
    reason: str


@dataclass(frozen=True)
class Negatives:
    pairs: tuple[Pair, ...]
    refused: tuple[Refusal, ...]


@dataclass(frozen=True)
class _Case:
    """A note and its factual summary, both read."""

    note: str
    summary: str
    told: tuple[Medication, ...]  # the note's medications
    said: tuple[Medication, ...]  # the summary's
    vocabulary: Vocabulary


def split_edits(seed: int, share: float) -> tuple[tuple[Edit, ...], tuple[Edit, ...]]:
    """(kinds to train on, kinds held out for evaluation): a share of the kinds, at least one of each where share > 0."""
    if not 0 <= share < 1:
        raise UserError(
            f"a share of {share} of the edits cannot be held out", "give a number from 0 up to 1, such as 0.25"
        )
    shuffled = list(EDITS)
    stream(seed, "held-out edits").shuffle(shuffled)
    count = min(len(EDITS) - 1, max(1, round(share * len(EDITS)))) if share else 0
    held = set(shuffled[:count])
    return tuple(e for e in EDITS if e not in held), tuple(e for e in EDITS if e in held)


def hard_negatives(
    examples: Iterable[Example], seed: int, edits: Sequence[Edit] = EDITS, each: int = 1,
    vocabulary: Vocabulary | None = None,
) -> Negatives:  # fmt: skip
    """Up to `each` pairs an example, each with another kind of edit; the reason for every example that gives none."""
    pairs: list[Pair] = []
    refused: list[Refusal] = []
    for example in examples:
        made = negatives_of(example, seed, edits, each, vocabulary)
        if isinstance(made, str):
            refused.append(Refusal(example.row, example.id, made))
        else:
            pairs += made
    return Negatives(tuple(pairs), tuple(refused))


def negatives_of(
    example: Example, seed: int, edits: Sequence[Edit] = EDITS, each: int = 1, vocabulary: Vocabulary | None = None
) -> list[Pair] | str:
    """The pairs of one example, or why there are none. The reason never quotes the text."""
    vocabulary = vocabulary or packaged_vocabulary()
    case = _Case(
        example.prompt,
        example.completion,
        read_medications(example.prompt, vocabulary),
        read_medications(example.completion, vocabulary),
        vocabulary,
    )
    if not example.completion.strip():
        return "the summary is empty"
    rng = stream(seed, "hard negative", example.row, example.id)
    order = list(edits)
    rng.shuffle(order)
    order.sort(key=lambda edit: edit == "finding")  # one can be made of any summary: the last resort
    pairs: list[Pair] = []
    tried = False
    for edit in order:
        for text in _candidates(edit, case, rng):
            tried = True
            if length_matched(case.summary, text) and flags(case, edit, text):
                pairs.append(_pair(example, text, edit))
                break
        if len(pairs) == each:
            break
    if pairs:
        return pairs
    return "no edit could be shown to be unsupported by the note" if tried else "nothing in the summary to edit"


def _pair(example: Example, rejected: str, edit: Edit) -> Pair:
    return Pair(
        row=example.row, id=example.id, prompt=example.prompt, chosen=example.completion, rejected=rejected,
        is_note=example.is_note, history=example.history, edit=edit,
    )  # fmt: skip


def length_matched(chosen: str, rejected: str) -> bool:
    """Whether the two differ by at most 10 % of the chosen one's words, or 3 words; and of its characters, or 6."""
    words, letters = len(chosen.split()), len(chosen)
    near = abs(len(rejected.split()) - words) <= max(SLACK, TOLERANCE * words)
    return near and abs(len(rejected) - letters) <= max(LETTERS, TOLERANCE * letters)


def flags(case: _Case, edit: Edit, text: str) -> bool:
    """Whether the edited summary says something of the edit's kind that the note does not support, and did not before."""
    if text == case.summary:
        return False
    if edit == "laterality":
        return len(unsupported_sides(text, case.note)) > len(unsupported_sides(case.summary, case.note))
    if edit == "finding":
        return len(unsupported_findings(text, case.note)) > len(unsupported_findings(case.summary, case.note))
    before = [item.fault for item in unsupported(case.said, case.told)]
    after = [item.fault for item in unsupported(read_medications(text, case.vocabulary), case.told)]
    return after.count(_FAULT[edit]) > before.count(_FAULT[edit])


# The edits ------------------------------------------------------------------------------------------------------------


def _candidates(edit: Edit, case: _Case, rng: random.Random) -> Iterator[str]:
    """Edited summaries, in an order that the seed decides."""
    if edit == "laterality":
        yield from _other_side(case, rng)
        return
    if edit == "finding":
        yield from _finding(case, rng)
        return
    medications = [item for item in case.said if item.known]
    rng.shuffle(medications)
    for medication in medications:
        yield from _MEDICATION_EDITS[edit](case, medication, rng)


def _replaced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _dose_place(case: _Case, medication: Medication) -> Found | None:
    """Where the summary writes a medication's dose: the nearest that is equal to it."""
    if medication.dose is None:
        return None
    same = [
        item for item in find_doses(fold(case.summary), "/" in medication.drug) if same_dose(item.dose, medication.dose)
    ]
    return min(same, key=lambda item: abs(item.start - medication.end), default=None)


_FACTORS = (10.0, 0.1, 2.0, 0.5, 5.0)
_DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")


def _multiplied(written: str, factor: float) -> str:
    """A dose with each of its numbers times a factor: "10 to 20 mg" -> "100 to 200 mg"."""
    return _DIGITS.sub(lambda match: plain(float(match[0].replace(",", "")) * factor), written)


def _dose(case: _Case, medication: Medication, rng: random.Random) -> Iterator[str]:
    place = _dose_place(case, medication)
    if place is None:
        return
    written = case.summary[place.start : place.end]
    for factor in rng.sample(_FACTORS, len(_FACTORS)):
        yield _replaced(case.summary, place.start, place.end, _multiplied(written, factor))


_OTHER_UNITS = {
    "mg": ("mcg", "g"), "mcg": ("mg",), "g": ("mg",), "milligrams": ("micrograms", "grams"), "grams": ("milligrams",),
    "gram": ("milligram",), "micrograms": ("milligrams",), "units": ("mL",), "ml": ("mg",), "meq": ("mg",),
}  # fmt: skip
_UNIT_WORD = re.compile(r"(?<![a-z])(?:milligrams|micrograms|grams?|mcg|mg|g|units|ml|meq)\b", re.IGNORECASE)


def _unit(case: _Case, medication: Medication, rng: random.Random) -> Iterator[str]:
    place = _dose_place(case, medication)
    match = _UNIT_WORD.search(case.summary, place.start, place.end) if place else None
    if match:
        for new in rng.sample(_OTHER_UNITS[match[0].lower()], len(_OTHER_UNITS[match[0].lower()])):
            yield _replaced(case.summary, match.start(), match.end(), new)


def _drug(case: _Case, medication: Medication, rng: random.Random) -> Iterator[str]:
    """Another medicine of its class that the note does not name."""
    named = {item.drug for item in case.told}
    written = case.summary[medication.start : medication.end]
    size = len(written.split())
    others = [n for n in case.vocabulary.siblings(medication.drug) if n not in named and "/" not in n]
    rng.shuffle(others)
    for other in sorted(others, key=lambda name: abs(len(name.split()) - size)):
        yield _replaced(case.summary, medication.start, medication.end, _cased(other, written))


def _cased(new: str, written: str) -> str:
    return new.upper() if written.isupper() and len(written) > 3 else new.capitalize() if written[0].isupper() else new


_ROUTE_WORDS = (
    (r"p\.o\.", ("IV", "IM")), (r"\bpo\b", ("IV", "IM")), (r"\bby mouth\b", ("by injection", "by inhaler")),
    (r"\borally\b", ("intravenously", "subcutaneously")), (r"\boral\b", ("intravenous", "topical")),
    (r"\bintravenously\b", ("orally",)), (r"\bintravenous\b", ("oral", "topical")), (r"\biv\b", ("PO", "IM")),
    (r"\bintramuscularly\b", ("orally",)), (r"\bintramuscular\b", ("oral",)), (r"\bim\b", ("PO", "IV")),
    (r"\bsubcutaneously\b", ("intravenously",)), (r"\bsubcutaneous\b", ("intravenous",)), (r"\bsq\b", ("IV",)),
    (r"\binhaled\b", ("oral",)), (r"\btopical\b", ("oral",)), (r"\bsublingual(?:ly)?\b", ("rectal",)),
    (r"\bnasal\b", ("rectal",)), (r"\binhaler\b", ("suppository",)), (r"\bcream\b", ("suppository",)),
    (r"\bointment\b", ("inhaler",)), (r"\bgel\b", ("inhaler",)), (r"\bpatch\b", ("inhaler",)),
    (r"\bpuffs\b", ("drops",)),
)  # fmt: skip
_FREQUENCY_WORDS = (
    (r"\bevery (\d+)(?= hours)", ("every 2", "every 12", "every 24")),
    (r"\bq\.?(\d+)(?= ?h)", ("q2", "q24")), (r"\btwice\b", ("once", "three times")),
    (r"\bonce(?= (?:a|daily|per|every|weekly))", ("twice", "three times")),
    (r"\bthree times\b", ("six times", "two times")), (r"\bfour times\b", ("two times", "one time")),
    (r"\bb\.i\.d\.", ("q.i.d.",)), (r"\bbid\b", ("QID", "daily")), (r"\bt\.i\.d\.", ("b.i.d.",)),
    (r"\btid\b", ("BID", "daily")), (r"\bqid\b", ("BID",)), (r"\bdaily\b", ("weekly", "monthly")),
    (r"\bweekly\b", ("daily",)), (r"\bnightly\b", ("weekly",)), (r"\bevery morning\b", ("every evening",)),
    (r"\bin the morning\b", ("at bedtime",)), (r"\bat bedtime\b", ("every morning",)),
    (r"\bevery other day\b", ("every single day",)), (r"\ba day\b", ("a week",)), (r"\ba week\b", ("a day",)),
    (r"\bbd\b", ("qds",)), (r"\bod\b", ("tds",)), (r"\bevery day\b", ("every week",)),
    (r"\bas needed\b", ("twice daily",)),
)  # fmt: skip
_NEGATION_WORDS = (
    (r"\bdenies (?:taking|using)\b", ("reports taking",)), (r"\bdenies\b", ("takes",)),
    (r"\bis not (?:taking|on)\b", ("is still taking",)), (r"\bnot (?:currently )?taking\b", ("still taking",)),
    (r"\bis currently (?:on|taking)\b", ("is not taking",)), (r"\bis taking\b", ("is not taking",)),
    (r"\bis on\b", ("is not on",)), (r"\btakes\b", ("denies",)), (r"\btaking\b", ("not taking",)),
    (r"\b(?:was|were) started\b", ("was stopped",)), (r"\bstarted on\b", ("taken off",)),
    (r"\bstarted\b", ("stopped",)), (r"\bstart\b", ("stop",)), (r"\bbegin\b", ("stop",)),
    (r"\bcontinues?(?: to take| on| with)?\b", ("stop",)), (r"\bdiscontinued\b", ("continued",)),
    (r"\bstopped\b", ("started",)), (r"\bstop\b", ("start",)), (r"\b(?:was|were) held\b", ("was started",)),
    (r"\bhold\b", ("start",)), (r"\ballergic to\b", ("taking",)), (r"\breceived\b", ("declined",)),
    (r"\b(?:was|were) given\b", ("was declined",)), (r"\bprescribed\b", ("denies",)), (r"\busing\b", ("not using",)),
    (r"\buses\b", ("denies",)), (r"\bwas added\b", ("was stopped",)), (r"\bincrease\b", ("stop",)),
    (r"\badd\b", ("stop",)), (r"\bgiven\b", ("declined",)), (r"\bon\b", ("not on",)),
)  # fmt: skip


def _swap(table: Sequence[tuple[str, tuple[str, ...]]], reach: int, back: int) -> Callable[..., Iterator[str]]:
    """An edit that changes one word or phrase near a medication, the longest first in the table's order."""
    rules = [(re.compile(pattern), news) for pattern, news in table]

    def edit(case: _Case, medication: Medication, rng: random.Random) -> Iterator[str]:
        folded = fold(case.summary)
        low, high = max(0, medication.start - back), min(len(folded), medication.end + reach)
        for pattern, news in rules:
            for match in sorted(pattern.finditer(folded, low, high), key=lambda m: abs(m.start() - medication.start)):
                written = case.summary[match.start() : match.end()]
                for new in rng.sample(news, len(news)):
                    fitted = new if not written[0].isupper() or new[0].isupper() else new[0].upper() + new[1:]
                    yield _replaced(case.summary, match.start(), match.end(), fitted)

    return edit


_LISTED = re.compile(r"(?:(?P<opens>^|[.:\n]\s*)|,\s+|;\s+|\band )$")  # where "no" may stand before a name


def _negation(case: _Case, medication: Medication, rng: random.Random) -> Iterator[str]:
    yield from _swap(_NEGATION_WORDS, reach=70, back=40)(case, medication, rng)
    place = _LISTED.search(case.summary[: medication.start])
    if place and medication.status in ("current", "started", "changed", "given"):
        written = case.summary[medication.start : medication.end]
        no = "no" if place["opens"] is None else "No"
        yield _replaced(case.summary, medication.start, medication.end, f"{no} {written}")


_MEDICATION_EDITS: dict[str, Callable[[_Case, Medication, random.Random], Iterator[str]]] = {
    "dose": _dose,
    "unit": _unit,
    "drug": _drug,
    "route": _swap(_ROUTE_WORDS, reach=60, back=25),
    "frequency": _swap(_FREQUENCY_WORDS, reach=70, back=25),
    "negation": _negation,
}


def _other_side(case: _Case, rng: random.Random) -> Iterator[str]:
    sides = [sided for sided in read_sides(case.summary) if sided.side != "both"]
    rng.shuffle(sides)
    for sided in sides:
        end = sided.start + len(sided.side)
        written = case.summary[sided.start : end]
        other = _cased("right" if sided.side == "left" else "left", written)
        yield _replaced(case.summary, sided.start, end, other)


_TOLD = ("reports {}", "notes {}", "has {}", "complains of {}", "positive for {}", "there is {}", "{}", "also has {}")
_CLAUSE = re.compile(r"[^\s.,;:][^.,;:\n]*[^\s.,;:]")


def _finding(case: _Case, rng: random.Random) -> Iterator[str]:
    """A finding of the summary becomes another one; or a clause gives way to a finding told in about as many letters.

    Nothing is added: a rejected summary that is always the longer one would teach its length.
    """
    known = {finding.name for finding in read_findings(case.note)}
    new = [name for name in FINDINGS if name not in known]
    rng.shuffle(new)
    there = [finding for finding in read_findings(case.summary) if finding.present]
    rng.shuffle(there)
    for name, old in zip(new, there, strict=False):
        yield _replaced(case.summary, old.start, old.end, _cased(name, case.summary[old.start : old.end]))
    clauses = list(_CLAUSE.finditer(case.summary))
    names = [*new, *(f"{one} and {other}" for one, other in pairwise(new))]  # two, where the clause is long
    told = [form.format(name) for name in names for form in _TOLD]
    rng.shuffle(told)
    for clause in rng.sample(clauses, len(clauses)):
        for text in sorted(told, key=partial(_unlike, clause[0]))[:3]:
            yield _replaced(case.summary, clause.start(), clause.end(), _cased(text, clause[0]))


def _unlike(one: str, other: str) -> tuple[int, int]:
    """How far two texts are from the same length: in words, then in letters."""
    return abs(len(one.split()) - len(other.split())), abs(len(one) - len(other))
