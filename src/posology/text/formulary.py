"""The formulary: the names of the medicines that a model was taught, looked up by the engine (spans.py).

    lookup = name (" for " indication)? ("," name)*      no digits in a name: they are for calculations and comparisons

Before its answer a model writes the medicines of the question as they stand there, the asked one first; the engine says
by which names they are known: `` Coumadin, aspirin`` gives `` warfarin, aspirin``, `` zorbamol`` gives `` unknown``. So
a brand, a misspelling or an invented name is no question of memory, and what follows is said of the medicine named.
What a medicine is asked for is copied with it and not looked up: the dose that follows stands next to it.

A name with one slip (two letters exchanged, one too many, too few or wrong) is read as the one name that it can be a
slip of. Look-alike medicines are a known danger: what was read stands in the working above each answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from posology.errors import UserError
from posology.naming import plain
from posology.text.calculator import MAX_LENGTH, CalculatorError

FILE = "formulary.json"
UNKNOWN = "unknown"
FOR = " for "  # between a medicine and its indication
SHORTEST = 6  # letters of a name in which a slip is read


@dataclass(frozen=True)
class Formulary:
    """`names`: every way of writing a medicine, as `plain` makes it -> the name it goes by. Empty: nothing is looked up."""

    names: Mapping[str, str] = field(default_factory=dict)

    def find(self, written: str) -> str | None:
        """The medicine that a name stands for; None for an unknown one, and for a slip that could be of two."""
        name = plain(written)
        if name in self.names:
            return self.names[name]
        near = {known for other, known in self.names.items() if len(other) >= SHORTEST and one_slip(name, other)}
        return near.pop() if len(near) == 1 else None

    def look_up(self, expression: str) -> str:
        """What the engine writes after ``<|equals|>``. CalculatorError where there is nothing to look up, or in."""
        if not self.names or not is_lookup(expression) or len(expression) > MAX_LENGTH:
            raise CalculatorError(f"{expression!r} cannot be looked up")
        return ",".join(f" {self.find(name) or UNKNOWN}" for name, _ in _asked(expression))

    def save(self, folder: Path) -> None:
        """Write formulary.json, unless there is nothing to write."""
        if self.names:
            text = json.dumps(dict(sorted(self.names.items())), indent=0, ensure_ascii=False)
            (folder / FILE).write_bytes(f"{text}\n".encode())

    @classmethod
    def load(cls, folder: Path) -> Formulary:
        """What `save` wrote; an empty one where nothing was saved. UserError if the file is damaged."""
        try:
            names = json.loads((folder / FILE).read_bytes())
        except FileNotFoundError:
            return cls()
        except ValueError:
            names = None
        if not isinstance(names, dict) or not all(isinstance(value, str) for value in names.values()):
            raise UserError(f"{folder / FILE} is damaged", "copy it from another stage's final folder of the same run")
        return cls(names)


def lookup(names: Iterable[str]) -> str:
    """ " Coumadin, aspirin": what a model writes; each name with the space (if any) that stands before it."""
    return ",".join(names)


def is_lookup(text: str) -> bool:
    """Whether an expression is meant as a lookup: letters, and no digit in a name."""
    names = "".join(name for name, _ in _asked(text))
    return any(c.isalpha() for c in names) and not any(c.isdigit() for c in names)


def spelled_out(expression: str, value: str) -> str:
    """For people: "Coumadin is warfarin, asked for stroke; zorbamol is not covered"; without a value what was written."""
    asked = _asked(expression)
    known = [name.strip() for name in value.split(",")] if value else [""] * len(asked)
    return "; ".join(_said(*one, other) for one, other in zip(asked, known, strict=False))


def _asked(expression: str) -> list[tuple[str, str]]:
    """Each (name, indication or "") of a lookup."""
    parts = (part.partition(FOR) for part in expression.split(","))
    return [(name.strip(), indication.strip()) for name, _, indication in parts]


def _said(asked: str, indication: str, known: str) -> str:
    if not known:
        return f"{asked}{FOR}{indication}" if indication else asked
    if known == UNKNOWN:
        told = f"{asked} is not covered"
    else:
        told = f"{known} is covered" if plain(asked) == plain(known) else f"{asked} is {known}"
    return f"{told}, asked for {indication}" if indication else told


def one_slip(one: str, other: str) -> bool:
    """Whether two names differ by one letter wrong, too many or too few, or by two neighbours exchanged."""
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[at:], other[at:]
    swapped = left[1:2] + left[:1] + left[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or swapped == right
