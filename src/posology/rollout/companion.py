"""The engine at the model's side while it answers: what it works out is written in, and the working keeps to the question."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from posology.rollout.sampler import Companion
from posology.text.calculator import CalculatorError
from posology.text.formulary import UNKNOWN, is_lookup
from posology.text.quoting import compares, is_comparable, may_begin
from posology.text.references import may_refer
from posology.text.spans import tellable_in, work_out
from posology.text.tokenizer import Tokenizer


@dataclass
class EngineTurn:
    """One answer with the engine (text/spans.py) at the model's side: what it works out is written into the answer, and
    the working is held to the question: its numbers, grades and allergies (text/quoting.py) and its medicines
    (text/formulary.py). What the answer says of numbers is held to the working (text/references.py).

    After ``<|equals|>`` come the value of the expression and the closing mark; the mark alone for what cannot be worked
    out.
    """

    tokenizer: Tokenizer
    question: str
    answer: list[int] = field(default_factory=list)
    opened: int = -1  # where the expression begins that is being written
    working: bool = True  # nothing has been said to the user yet

    def admits(self, token: int) -> bool:
        if not self.working:
            return self._admits_below(token)
        if self.opened < 0:  # what is opened after the lookup is a comparison
            return token != self.tokenizer.calc or not self.answer or is_comparable(self.question)
        written = self.tokenizer.decode([*self.answer[self.opened :], token])
        if not self.tokenizer.decode([token]) or not may_begin(written, self.question):
            return False  # the marks of a chat, its end too, are no text
        closed = token in (self.tokenizer.equals, self.tokenizer.endcalc)
        if closed or compares(written):
            return True
        return len(written) <= len(self.question) and self.tokenizer.formulary.may_begin(written, self._named)

    def take(self, token: int) -> list[int]:
        after = []
        if token == self.tokenizer.calc:
            self.opened = len(self.answer) + 1
        elif token == self.tokenizer.endcalc:
            self.opened = -1
        elif token == self.tokenizer.equals:
            after = self._worked_out()
        elif self.opened < 0:
            self.working = False
        self.answer.append(token)
        return after

    def _admits_below(self, token: int) -> bool:
        """Whether a token can stand in the answer below the working."""
        if self.opened < 0:
            return True
        whole = token in (self.tokenizer.equals, self.tokenizer.endcalc)
        more = "" if whole else self.tokenizer.decode([token])
        return (whole or bool(more)) and may_refer(self._expression + more, self._tellable, whole=whole)

    @cached_property
    def _tellable(self) -> set[str]:
        return tellable_in(self._before)

    @cached_property
    def _named(self) -> dict[str, int]:
        return self.tokenizer.formulary.named(self.question)

    @property
    def _expression(self) -> str:
        return self.tokenizer.decode(self.answer[self.opened :]) if self.opened >= 0 else ""

    @property
    def _before(self) -> str:
        return self.tokenizer.decode(self.answer[: max(self.opened - 1, 0)])

    def _worked_out(self) -> list[int]:
        known = self.tokenizer.formulary
        try:
            value = work_out(self._expression, known, self._before)
        except CalculatorError:
            return [self.tokenizer.endcalc]
        if is_lookup(self._expression):
            there = (name if self._named.get(name.strip()) else f" {UNKNOWN}" for name in value.split(","))
            value = ",".join(there)  # a slip of the model's own is no medicine of the question
            value += "".join(f", {name}" for name in known.left_out(value, self.question))
        return [*self.tokenizer.encode_text(value), self.tokenizer.endcalc]


def with_engine(tokenizer: Tokenizer) -> Companion:
    """A turn of the engine for each prompt of this tokenizer."""
    return lambda prompt: EngineTurn(tokenizer, tokenizer.decode(prompt))
