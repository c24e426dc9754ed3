"""The calculator that answers may use (spans.py): a closed grammar, parsed here and worked in exact fractions.

    sum     = product (("+" | "-") product)*
    product = factor (("*" | "/") factor)*
    factor  = number | "-" factor | "(" sum ")" | ("min" | "max") "(" sum ("," sum)* ")"

``×`` and ``x`` mean ``*``, ``÷`` means ``/``, ``−`` means ``-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction

MAX_LENGTH = 200  # characters of an expression
MAX_DEPTH = 20  # nested parentheses and signs
MAX_DIGITS = 15  # digits of one number: all that a float keeps
LARGEST, SMALLEST = 10**12, Fraction(1, 10**9)
SIGNIFICANT = 4

_TOKEN = re.compile(r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<word>min|max)|(?P<sign>[-+*/(),×÷−x]))")
LETTERS = ("min", "max", "x")  # the words and signs of letters
_SAME = {"×": "*", "x": "*", "÷": "/", "−": "-"}
_SHOWN = {"*": " × ", "/": " ÷ ", "+": " + ", "-": " − ", ",": ", "}


class CalculatorError(ValueError):
    """An expression outside the grammar, a division by zero, or a value no dose can have."""


def evaluate(expression: str) -> float:
    """The value of an expression. CalculatorError for junk, division by zero, and values beyond 1e12 or below 1e-9."""
    value = _Parser(_tokens(expression)).whole()
    if abs(value) > LARGEST:
        raise CalculatorError(f"{expression!r} is larger than 10^12")
    if value and abs(value) < SMALLEST:
        raise CalculatorError(f"{expression!r} is smaller than 10^-9")
    return float(value)


def format_value(value: float) -> str:
    """At most four significant digits (halves away from zero), no exponent, no trailing zeros: 450, 0.3333, 12350."""
    number = Decimal(repr(float(value)))
    if not number.is_finite():
        raise CalculatorError(f"{value!r} is not a number to show")
    rounded = number.normalize(Context(prec=SIGNIFICANT, rounding=ROUND_HALF_UP))
    return f"{rounded:f}" if rounded else "0"


def calculate(expression: str) -> str:
    """What the engine writes after ``<|equals|>``. CalculatorError as in `evaluate`."""
    return format_value(evaluate(expression))


def typeset(expression: str) -> str:
    """Typographic signs with spaces (``20*45/2`` -> ``20 × 45 ÷ 2``); a sign that belongs to a number keeps to it."""
    try:
        tokens = _tokens(expression)
    except CalculatorError:
        return expression.strip()
    out = ""
    for index, token in enumerate(tokens):
        binary = index > 0 and tokens[index - 1] not in ("(", ",", "+", "-", "*", "/")
        out += "−" if token == "-" and not binary else _SHOWN.get(token, token)
    return out


def _tokens(expression: str) -> list[str]:
    if len(expression) > MAX_LENGTH:
        raise CalculatorError(f"an expression of {len(expression)} characters; at most {MAX_LENGTH} are read")
    text, at, out = expression.rstrip(), 0, []
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise CalculatorError(f"{expression!r}: cannot read {text[at : at + 8]!r}")
        token = match[0].strip()
        if match["number"] and sum(c.isdigit() for c in token) > MAX_DIGITS:
            raise CalculatorError(f"{expression!r}: a number of more than {MAX_DIGITS} digits")
        out.append(_SAME.get(token, token))
        at = match.end()
    return out


class _Parser:
    """Recursive descent over the grammar at the head of this file; `at` is the next token."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at, self.depth = tokens, 0, 0

    def whole(self) -> Fraction:
        value = self._sum()
        if self.at < len(self.tokens):
            raise CalculatorError(f"{self.tokens[self.at]!r} is left over")
        return value

    def _next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        """The next token if it is one of `wanted`, otherwise ""."""
        token = self._next()
        if token and token in wanted:
            self.at += 1
            return token
        return ""

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise CalculatorError(f"{wanted!r} is missing")

    def _sum(self) -> Fraction:
        value = self._product()
        while sign := self._take("+", "-"):
            right = self._product()
            value = value + right if sign == "+" else value - right
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while sign := self._take("*", "/"):
            right = self._factor()
            if sign == "/" and not right:
                raise CalculatorError("division by zero")
            value = value * right if sign == "*" else value / right
        return value

    def _factor(self) -> Fraction:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CalculatorError(f"more than {MAX_DEPTH} levels")
        value = self._unit()
        self.depth -= 1
        return value

    def _unit(self) -> Fraction:
        if self._take("-"):
            return -self._factor()
        if self._take("("):
            value = self._sum()
            self._need(")")
            return value
        if name := self._take("min", "max"):
            choose: Callable[[list[Fraction]], Fraction] = min if name == "min" else max
            self._need("(")
            values = [self._sum()]
            while self._take(","):
                values.append(self._sum())
            self._need(")")
            return choose(values)
        token = self._next()
        if token and (token[0].isdigit() or token[0] == "."):
            self.at += 1
            return Fraction(token)
        raise CalculatorError(f"a number is missing before {token!r}" if token else "the expression is not complete")
