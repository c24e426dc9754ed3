"""The formulary: the names of the medicines that a model was taught, looked up by the engine (spans.py).

    lookup = "#"? name (" for " indication)? ("," name)*      no digits in a name: they are for calculations

Before its answer a model writes the medicines of the question as they stand there, the asked one first; the engine says
by which names they are known: `` Coumadin, aspirin`` gives `` warfarin, aspirin``, `` zorbamol`` gives `` unknown``. So
a brand, a misspelling or an invented name is no question of memory, and what follows is said of the medicine named.
What a medicine is asked for is copied with it and not looked up: the dose that follows stands next to it. "#" says that
its dose is what is asked, so that the answer does not leave it out.

A known medicine of the question that the model leaves out is added to the value by the engine (`left_out`,
rollout/companion.py), so that no interaction is missed for it. While the model writes, it is held to name such a
medicine no more often than it stands there (`may_begin`): asked for one that it does not know, it took another one of
the question instead.

A name with one slip (two letters exchanged, one too many, too few or wrong) is read as the one name that it can be a
slip of. Look-alike medicines are a known danger: what was read stands in the working above each answer.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from posology.errors import UserError
from posology.naming import plain
from posology.text.calculator import MAX_LENGTH, CalculatorError
from posology.text.comparison import is_comparison

FILE = "formulary.json"
UNKNOWN = "unknown"
FOR = " for "  # between a medicine and its indication
DOSE = "#"  # before the names: the dose is asked; a word would share tokens with "Usual dose: "
_NOT_AFTER = "".join(rf"(?<!{what} to )" for what in ("allergic", "allergy", "anaphylaxis", "reaction"))
_NOT_BEFORE = r"(?!(?:[ -]allergy|-exacerbated)\b)"
START, STOP = r"(?<![^\W_])", r"(?![^\W_])"  # of a word: people underline, too
SHORTEST = 6  # letters of a name in which a slip is read
_WORD = re.compile(rf"[A-Za-z][A-Za-z-]{{{SHORTEST - 2},}}")
_STRANGE = re.compile(r"[.:;?!<>|]")  # in no name, and in nothing that a medicine is asked for
LONGEST = 48  # characters of a name, or of what a medicine is asked for, that a model may write
MOST = 8  # names that it may write


@dataclass(frozen=True)
class Formulary:
    """`names`: every way of writing a medicine, as `plain` makes it -> the name it goes by. Empty: nothing is looked up."""

    names: Mapping[str, str] = field(default_factory=dict)

    def find(self, written: str) -> str | None:
        """The medicine that a name stands for; None for an unknown one, and for a slip that could be of two."""
        name = plain(written)
        return self.names[name] if name in self.names else self._slip_of(name)

    def look_up(self, expression: str) -> str:
        """What the engine writes after ``<|equals|>``. CalculatorError where there is nothing to look up, or in."""
        if not self.names or not is_lookup(expression) or len(expression) > MAX_LENGTH:
            raise CalculatorError(f"{expression!r} cannot be looked up")
        return ",".join(f" {self.find(name) or UNKNOWN}" for name, _ in _asked(expression))

    def left_out(self, value: str, question: str) -> list[str]:
        """The known medicines that a question names and a lookup's value does not, in the question's order; a medicine
        that is only what somebody is allergic to is none."""
        told = {name.strip() for name in value.split(",")}
        found = (match[0] for match in self._written.finditer(question) if self._to_take.match(question, match.start()))
        return [name for name in dict.fromkeys(self.names[plain(way)] for way in found) if name not in told]

    def named(self, question: str) -> dict[str, int]:
        """How often each known medicine stands in a question, or what may be a slip of it; not counted where it is what
        somebody is allergic to."""
        there = Counter[str]()
        for match in self._written.finditer(question):
            there[self.names[plain(match[0])]] += self._to_take.match(question, match.start()) is not None
        for word in _WORD.findall(question):
            if plain(word) not in self.names and (meant := self._slip_of(plain(word))):
                there[meant] += 1
        return dict(there)

    def may_begin(self, written: str, named: Mapping[str, int]) -> bool:
        """Whether a lookup can begin so on a question that has these medicines (see `named`): none is named more often
        than it stands there, and each name begins with a letter and does not go on without an end, or into a sentence
        or a number."""
        if not self.names:
            return True
        asked = _asked(written)
        if written.endswith("  ") or not all(name for name, _ in asked[:-1]):
            return False
        if _STRANGE.search(written) or len(asked) > MOST or any(len(part) > LONGEST for pair in asked for part in pair):
            return False
        if any(c.isdigit() for name, _ in asked for c in name):
            return False
        times = Counter(known for name, _ in asked if (known := self.names.get(plain(name))))
        return all(most <= named.get(name, 0) for name, most in times.items())

    def _slip_of(self, name: str) -> str | None:
        if name not in self._slips:
            near = {known for other, known in self.names.items() if len(other) >= SHORTEST and one_slip(name, other)}
            self._slips[name] = near.pop() if len(near) == 1 else None
        return self._slips[name]

    @cached_property
    def _slips(self) -> dict[str, str | None]:
        """What was asked of `_slip_of` before: questions share most of their words."""
        return {}

    @cached_property
    def _written(self) -> re.Pattern[str]:
        """Any of the names in a text, the longest first."""
        return re.compile(f"{START}{self._ways}{STOP}", re.IGNORECASE)

    @cached_property
    def _to_take(self) -> re.Pattern[str]:
        return re.compile(f"{_NOT_AFTER}{self._ways}{STOP}{_NOT_BEFORE}", re.IGNORECASE)

    @cached_property
    def _ways(self) -> str:
        ways = (re.escape(name).replace(r"\ ", "[ /-]") for name in sorted(self.names, key=len, reverse=True))
        return f"(?:{'|'.join(ways) or '(?!)'})"

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


def lookup(names: Iterable[str], *, dose: bool = False) -> str:
    """ " Coumadin, aspirin": what a model writes; each name with the space (if any) that stands before it."""
    return f"{DOSE if dose else ''}{','.join(names)}"


def is_lookup(text: str) -> bool:
    """Whether an expression is meant as a lookup: letters, no digit in a name, and nothing compared."""
    if is_comparison(text):
        return False
    names = "".join(name for name, _ in _asked(text))
    return any(c.isalpha() for c in names) and not any(c.isdigit() for c in names)


def spelled_out(expression: str, value: str) -> str:
    """For people: "Coumadin is warfarin, asked for stroke; zorbamol is not covered"; without a value what was written."""
    asked = _asked(expression)
    known = [name.strip() for name in value.split(",")] if value else [""] * len(asked)
    told = [_said(*one, other) for one, other in zip(asked, known, strict=False)]
    told += [f"{name} is in the question too" for name in known[len(asked) :]]
    return "; ".join(["the dose is asked", *told] if expression.startswith(DOSE) else told)


def _asked(expression: str) -> list[tuple[str, str]]:
    """Each (name, indication or "") of a lookup."""
    parts = (part.partition(FOR) for part in expression.removeprefix(DOSE).split(","))
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
