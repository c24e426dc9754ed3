"""What the engine works out inside an answer: the model writes an expression, the engine fills in its value.

    <|calc|>20*45/2<|equals|>450<|/calc|>                  a calculation (calculator.py): part of the answer
    <|calc|>eGFR28?30,45<|equals|><30<|/calc|>             a comparison (comparison.py): working, shown apart

Comparisons come before the answer, as the thinking of other models does. They are not part of what is said to the
user or graded: `render` and `strip_spans` leave them out, `comparisons` lists them for whoever wants to see why.
"""

from __future__ import annotations

import re

from posology.text.calculator import calculate, typeset
from posology.text.comparison import compare, is_comparison, spelled_out

CALC, EQUALS, END_CALC = "<|calc|>", "<|equals|>", "<|/calc|>"
_SPAN = re.compile(
    rf"{re.escape(CALC)}(?P<expression>.*?)(?:{re.escape(EQUALS)}(?P<value>.*?))?"
    rf"(?:{re.escape(END_CALC)}|(?=<\|)|$)",
    re.DOTALL,
)


def work_out(expression: str) -> str:
    """What the engine writes after ``<|equals|>``. CalculatorError for what neither grammar reads."""
    return compare(expression) if is_comparison(expression) else calculate(expression)


def span(expression: str, value: str) -> str:
    """ "<|calc|>20*45/2<|equals|>450<|/calc|>"."""
    return f"{CALC}{expression}{EQUALS}{value}{END_CALC}"


def render(answer: str) -> str:
    """An answer for people: ``<|calc|>20*45/2<|equals|>450<|/calc|> mg`` -> ``20 × 45 ÷ 2 = 450 mg``."""

    def shown(found: re.Match[str]) -> str:
        expression, value = typeset(found["expression"]), found["value"]
        return f"{expression} = {value}" if value else expression

    return _without_marks(_SPAN.sub(shown, _without_comparisons(answer)))


def strip_spans(answer: str) -> str:
    """An answer with only the values: ``<|calc|>20*45/2<|equals|>450<|/calc|> mg`` -> ``450 mg``."""
    return _without_marks(_SPAN.sub(lambda found: found["value"] or "", _without_comparisons(answer)))


def comparisons(answer: str) -> list[str]:
    """The comparisons of an answer in words: "eGFR 28 is below 30 (limits 30 and 45)"."""
    return [spelled_out(match["expression"]) for match in _SPAN.finditer(answer) if _compares(match)]


def split_working(answer: str) -> tuple[str, str]:
    """(the comparisons that an answer begins with, the rest), marks and all."""
    at = 0
    while (match := _SPAN.match(answer, at)) and _compares(match):
        at = match.end()
    return answer[:at], answer[at:]


def explained(answer: str) -> str:
    """An answer for people with its comparisons above it: "Working: eGFR 28 is below 30 (limits 30 and 45).\\n..."."""
    worked = comparisons(answer)
    return f"Working: {'; '.join(worked)}.\n{render(answer)}" if worked else render(answer)


def _compares(match: re.Match[str]) -> bool:
    return is_comparison(match["expression"])


def _without_comparisons(answer: str) -> str:
    return _SPAN.sub(lambda found: "" if _compares(found) else found[0], answer)


def _without_marks(text: str) -> str:
    for mark in (CALC, EQUALS, END_CALC):
        text = text.replace(mark, "")
    return text
