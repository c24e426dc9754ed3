"""What an answer takes from the working above it by name: the numbers that the working was given.

    <|calc|>min(weight*45/2,875)<|equals|>112.5<|/calc|>     in a calculation: the weight of ``weight 5?40``
    <|calc|>CrCl?60<|/calc|>                                 a sentence: "The CrCl of 46 is below 60." under ``CrCl 46?60``

So a number is copied once, from the question into the working, and what is said of it later cannot contradict the
working: the engine writes the number, and on which side of the limits it lies. The model chooses which number decides,
and against which limits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from posology.text.calculator import LETTERS, CalculatorError
from posology.text.comparison import AT_MOST, LIMIT, MONTHS, NUMBER, SIGN, YEAR, Comparison, in_years

Numbers = Mapping[str, str]  # "weight" -> "5", as the working has it

AGE, WEIGHT = "age", "weight"
_REFERENCE = re.compile(rf"\s*(?P<name>[A-Za-z]+)\?(?P<limits>{LIMIT}(?:,{LIMIT})*)\s*")
_NAME = re.compile(r"[A-Za-z]+")
_SENTENCE = re.compile(
    rf"The (?P<what>[A-Za-z]+) of (?P<number>{NUMBER})(?P<unit> kg| months|) is (?P<bound>[^.]*(?:\.\d[^.]*)*)\."
)
_UNIT = {WEIGHT: " kg", MONTHS: " months"}


def numbers_of(expressions: Iterable[str]) -> dict[str, str]:
    """The numbers that comparisons were given, by name; expressions of another kind are passed over."""
    found = {}
    for text in expressions:
        try:
            comparison = Comparison.parse(text)
        except CalculatorError:
            continue
        found[comparison.name] = comparison.value
    return found


def tellable(expressions: Iterable[str]) -> set[str]:
    """The names of the numbers that comparisons hold against limits: what a reference can tell of."""
    found = set()
    for text in expressions:
        try:
            comparison = Comparison.parse(text)
        except CalculatorError:
            continue
        if comparison.limits and re.fullmatch(NUMBER, comparison.value):
            found.add(comparison.name)
    return found


def may_refer(expression: str, names: Collection[str], *, whole: bool) -> bool:
    """Whether an expression of an answer can begin so, or be so where it is `whole`: it takes no number but those that
    the working above it compares (`names`, and the weight). Where that compares none, nothing is held."""
    if not names:
        return True
    known = {*LETTERS, *names, WEIGHT}
    for word in _NAME.finditer(expression):
        begun = word.end() == len(expression) and not whole
        if not (any(name.startswith(word[0]) for name in known) if begun else word[0] in known):
            return False
    return not whole or expression.strip() not in ("", *known)


def in_numbers(text: str, numbers: Numbers) -> str:
    """A calculation with its names replaced: ``weight*45/2`` -> ``5*45/2``. Names that were given no number stay."""
    return _NAME.sub(lambda found: numbers.get(found[0], found[0]), text)


def by_name(text: str, numbers: Numbers) -> str:
    """A calculation that goes by the weight, as an answer writes it: ``5*45/2`` -> ``weight*45/2``."""
    if WEIGHT not in numbers:
        return text
    return re.sub(rf"(?<![\d.*/]){re.escape(numbers[WEIGHT])}(?=\*|,{NUMBER}\)\*)", WEIGHT, text)


def is_reference(text: str) -> bool:
    """Whether an expression tells how a number of the working lies."""
    return _REFERENCE.fullmatch(text) is not None


def sentence(name: str, number: str, bound: str) -> str:
    """ "The weight of 5 kg is below 40."; for months "below 144": "The age of 7 months is below 12 years."."""
    shown = in_years(bound) if name == MONTHS else bound
    return f"The {AGE if name == MONTHS else name} of {number}{_UNIT.get(name, '')} is {shown}."


def told(reference: str, numbers: Numbers) -> str:
    """The sentence of a reference; "The CrCl is not known." where the working was given no such number."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise CalculatorError(f"{reference!r} does not refer to a number, as 'CrCl?60' does")
    name = match["name"]
    if name not in numbers:
        return f"The {name} is not known."
    return sentence(name, numbers[name], Comparison.of(name, numbers[name], match["limits"].split(",")).words)


@dataclass(frozen=True)
class Statement:
    """A sentence on how a number lies, as it stands in a text: "The CrCl of 46 is below 60."."""

    text: str
    name: str
    number: str
    limits: tuple[str, ...]

    @classmethod
    def of(cls, match: re.Match[str]) -> Statement:
        name = MONTHS if match["unit"] == _UNIT[MONTHS] else match["what"]
        bound = match["bound"]
        all_years = bound.endswith(" years") and " months" not in bound  # "from 6 months to 12 years" is in both
        limits = [
            f"{float(limit) * YEAR:g}" if name == MONTHS and (all_years or unit) else limit
            for limit, unit in re.findall(rf"({NUMBER})( years|)", bound)
        ]
        return cls(match[0], name, match["number"], tuple(limits))

    def against(self, limits: Iterable[str]) -> str:
        """The sentence that tells how its number lies among other limits."""
        return told(f"{self.name}{SIGN}{','.join(limits)}", {self.name: self.number})

    def reference(self, numbers: Numbers) -> str:
        """The reference that tells it word for word; "" where none does."""
        if numbers.get(self.name) != self.number or not self.limits:
            return ""
        for closed in ("", AT_MOST):
            limits = [f"{closed}{limit}" for limit in self.limits]
            if self.against(limits) == self.text:
                return f"{self.name}{SIGN}{','.join(limits)}"
        return ""


def statement_in(text: str) -> Statement | None:
    """The first statement of a text."""
    match = _SENTENCE.search(text)
    return Statement.of(match) if match else None


def refer(text: str, numbers: Numbers, mark: Callable[[str], str]) -> str:
    """A text in which each statement that a reference tells is ``mark(reference)`` instead."""

    def written(match: re.Match[str]) -> str:
        reference = Statement.of(match).reference(numbers)
        return mark(reference) if reference else match[0]

    return _SENTENCE.sub(written, text)
