"""Comparisons: how far a patient's number reaches among a medicine's limits. The engine works them out (spans.py).

    comparison = name value "?" (limit ("," limit)*)?
    value      = number | grade | words (of an allergy, which has no limits)
    limit      = number | "≤" number | grade
    grade      = "A" | "B" | "C" (Child-Pugh: A is the mildest)
    count      = "count" least "?" part ("," part)+
    part       = name ("≥" | "≤") number

A limit of 30 parts what is below 30 from what is 30 or above; ≤30 parts what is 30 or below from what is above 30. The
value is the last limit that the number has passed, or the first one with "<" where it has passed none: ``eGFR 28?30,45``
gives "<30", 30 gives "30", and 50 gives "45". Without limits it is the number itself: the weight that a dose is worked
out from. So short because each token of it is a token less to learn from. A grade of the liver lies among limits as a
number does: ``Child-Pugh C?B`` gives "B". An allergy is only copied: ``allergy penicillin, mild?``. Where two of three
decide, the engine counts those that hold, by the numbers of the comparisons above:
``count2?age≥80,weight≤60,creatinine≥1.5`` gives "2" where two or three hold, and else "<2".

A model that has learnt a medicine's limits need not learn to compare numbers: it writes the patient's number and the
limits, and reads the answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from posology.text.calculator import MAX_LENGTH, CalculatorError

SIGN, AT_MOST, NONE_PASSED = "?", "≤", "<"
MONTHS = "months"  # the name of an infant's age
YEAR, INFANCY = 12, 24  # months; limits of an age are told in months up to the second
NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
LIMIT = rf"{AT_MOST}?{NUMBER}"
LIVER, GRADES = "Child-Pugh", "ABC"
ALLERGY = "allergy"  # "allergy penicillin, mild?": the allergen and the reaction, where it is said
_GRADE = f"[{GRADES}]"
_LIMITS = rf"(?:{LIMIT}(?:,\s?{LIMIT})*|{_GRADE}(?:,\s?{_GRADE})*)"
_COMPARISON = re.compile(
    rf"\s*(?:(?P<name>[A-Za-z]+|{LIVER}) ?(?P<value>{NUMBER}|{_GRADE})\?(?P<limits>{_LIMITS}?)"
    rf"|(?P<copied>{ALLERGY}) (?P<words>[a-z][a-z /-]*(?:, [a-z][a-z ]*)?)\?)\s*"
)
COUNT, AT_LEAST = "count", "≥"
_PART = rf"(?P<name>[A-Za-z]+)(?P<side>[{AT_LEAST}{AT_MOST}])(?P<number>{NUMBER})"
_BARE_PART = re.sub(r"\?P<[a-z]+>", "?:", _PART)
_COUNT = rf"{COUNT}(\d){re.escape(SIGN)}({_BARE_PART}(?:,{_BARE_PART})+)"
_LISTS = re.compile(rf"{_COUNT}|{re.escape(SIGN)}{_LIMITS}")


@dataclass(frozen=True, order=True)
class Limit:
    """A place that parts numbers; `closed`: the number itself lies below it ("30 or below" against "above 30")."""

    at: Fraction
    closed: bool
    text: str  # as written

    @classmethod
    def parse(cls, text: str) -> Limit:
        return cls(_place(text.removeprefix(AT_MOST)), text.startswith(AT_MOST), text)

    @property
    def number(self) -> str:
        return self.text.removeprefix(AT_MOST)

    def passed(self, value: Fraction) -> bool:
        """Whether `value` lies above it."""
        return value > self.at if self.closed else value >= self.at


@dataclass(frozen=True)
class Comparison:
    """A comparison that was read: the limits in order."""

    name: str
    value: str
    limits: tuple[Limit, ...]

    @classmethod
    def parse(cls, text: str) -> Comparison:
        """CalculatorError for what is outside the grammar."""
        match = _COMPARISON.fullmatch(text) if len(text) <= MAX_LENGTH else None
        if match is None:
            raise CalculatorError(f"{text!r} is not a comparison such as 'eGFR 28?30,45'")
        if match["copied"]:
            return cls(match["copied"], match["words"], ())
        limits = [part.strip() for part in match["limits"].split(",") if part]
        if any((limit in GRADES) != (match["value"] in GRADES) for limit in limits):
            raise CalculatorError(f"{text!r} holds a grade against a number")
        return cls.of(match["name"], match["value"], limits)

    @classmethod
    def of(cls, name: str, value: str, limits: Iterable[str]) -> Comparison:
        """From its parts as they are written."""
        return cls(name, value, tuple(sorted(map(Limit.parse, limits))))

    @property
    def _parts(self) -> tuple[list[Limit], list[Limit]]:
        value = _place(self.value)
        return [item for item in self.limits if item.passed(value)], [x for x in self.limits if not x.passed(value)]

    @property
    def result(self) -> str:
        """What the engine writes: "<30", "30", "≤30" (above 30); the number where there is no limit."""
        if not self.limits:
            return self.value
        below, above = self._parts
        return below[-1].text if below else f"{NONE_PASSED}{above[0].number}"

    @property
    def words(self) -> str:
        """ "below 30", "from 30 to 45", "45 or above", "B or worse"; not for a comparison without limits."""
        below, above = self._parts
        if self.value in GRADES:
            return ", ".join([f"{x.text} or worse" for x in below[-1:]] + [f"better than {x.text}" for x in above[:1]])
        if not below:
            return f"{above[0].number} or below" if above[0].closed else f"below {above[0].number}"
        if not above:
            return f"above {below[-1].number}" if below[-1].closed else f"{below[-1].number} or above"
        if below[-1].at == above[0].at:
            return f"exactly {above[0].number}"
        return f"from {below[-1].number} to {above[0].number}"


def _place(value: str) -> Fraction:
    """Where a number or a grade lies."""
    return Fraction(GRADES.index(value)) if value in GRADES else Fraction(value)


def expression(name: str, value: str, limits: Sequence[str]) -> str:
    """ "eGFR 28?30,45": what a model writes."""
    return f"{name} {value}{SIGN}{','.join(limits)}"


def limit_lists(text: str) -> list[str]:
    """ "?30,45" of each comparison in a text, as it is written, and each count: a medicine has the same few, whoever the
    patient is."""
    return [match[0] for match in _LISTS.finditer(text)]


def is_comparison(text: str) -> bool:
    """Whether an expression is meant as a comparison."""
    return SIGN in text


def compare(text: str, numbers: Mapping[str, str] | None = None) -> str:
    """What the engine writes after ``<|equals|>``; `numbers` are those of the comparisons above, by name, for a count.
    CalculatorError for what is outside the grammar, and for a count of numbers that are not there."""
    if not is_count(text):
        return Comparison.parse(text).result
    told, held = numbers or {}, 0
    least, parts = _count(text)
    for name, side, bound in parts:
        if not re.fullmatch(NUMBER, told.get(name, "")):
            raise CalculatorError(f"{text!r} counts the {name}, which no comparison above it holds")
        value, limit = Fraction(told[name]), Fraction(bound)
        held += value >= limit if side == AT_LEAST else value <= limit
    return str(least) if held >= least else f"<{least}"


def count_of(least: int, parts: Iterable[str]) -> str:
    """The expression that asks whether at least so many of the parts ("age≥80") hold."""
    return f"{COUNT}{least}{SIGN}{','.join(parts)}"


def is_count(text: str) -> bool:
    """Whether an expression counts how many of several numbers lie as they should."""
    return re.match(rf"{COUNT}\d{re.escape(SIGN)}", text) is not None


def _count(text: str) -> tuple[int, list[tuple[str, str, str]]]:
    """How many must hold, and the (name, side, number) of each. CalculatorError for what is outside the grammar."""
    match = re.fullmatch(_COUNT, text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise CalculatorError(f"{text!r} is not a count such as 'count2?age≥80,weight≤60'")
    return int(match[1]), re.findall(_PART, match[2])


def spelled_out(text: str, value: str = "") -> str:
    """For people: ``eGFR 28?30,45`` -> "eGFR 28 is below 30 (limits 30 and 45)"; a count with its `value` -> "2 or more of:
    age 80 or above, weight 60 or below"; what cannot be read stays as it is."""
    try:
        if is_count(text):
            least, parts = _count(text)
            sides = {AT_LEAST: "or above", AT_MOST: "or below"}
            listed = ", ".join(f"{name} {bound} {sides[side]}" for name, side, bound in parts)
            return f"{f'fewer than {least}' if value.startswith('<') else f'{least} or more'} of: {listed}"
        found = Comparison.parse(text)
    except CalculatorError:
        return text.strip()
    if not found.limits:
        return f"{found.name} {found.value}"
    numbers = list(dict.fromkeys(limit.number for limit in found.limits))
    listed = " and ".join(part for part in (", ".join(numbers[:-1]), numbers[-1]) if part)
    name, words = f"{found.name} {found.value}", found.words
    if found.name == MONTHS:
        name, words, listed = f"age {found.value} months", in_years(words), in_years(listed)
    return f"{name} is {words} (limit{'s' * (len(numbers) > 1)} {listed})"


def in_years(months: str) -> str:
    """Limits in months as they are told: "below 12", "below 12 years" for 144, "from 6 months to 12 years"."""
    limits = [float(limit) for limit in re.findall(NUMBER, months)]
    if not any(limit > INFANCY and not limit % YEAR for limit in limits):
        return months
    if not any(limit % YEAR for limit in limits):
        return re.sub(NUMBER, lambda found: f"{float(found[0]) / YEAR:g}", months) + " years"

    def with_unit(found: re.Match[str]) -> str:
        limit = float(found[0])
        return f"{limit / YEAR:g} years" if limit > INFANCY and not limit % YEAR else f"{found[0]} months"

    return re.sub(NUMBER, with_unit, months)
