"""What the engine works out inside an answer: the model writes an expression, the engine fills in its value.

    <|calc|>20*45/2<|equals|>450<|/calc|>                  a calculation (calculator.py): part of the answer
    <|calc|> Coumadin<|equals|> warfarin<|/calc|>          a lookup (formulary.py): working, shown apart
    <|calc|>eGFR 28?30,45<|equals|><30<|/calc|>            a comparison (comparison.py): working, shown apart
    <|calc|>count2?age≥80,weight≤60<|equals|><2<|/calc|>    whether two of the numbers above hold: working, shown apart
    <|calc|>allergy penicillin, mild?<|/calc|>             words of the question: working, shown apart
    <|calc|>eGFR?30<|/calc|>                               a sentence about a number of the working (references.py)

Working comes before the answer, as the thinking of other models does. It is not part of what is said to the user or
graded: `render` and `strip_spans` leave it out, `worked` lists it for whoever wants to see why. The answer goes by what
the working holds, so all of these read an answer with its working; a sentence that it refers to is spelled out wherever
it is read, after answers without the engine ("closed book") too.
"""

from __future__ import annotations

import re

from posology.text import comparison, formulary, references
from posology.text.calculator import calculate, typeset
from posology.text.comparison import compare, is_comparison
from posology.text.formulary import Formulary, is_lookup
from posology.text.references import is_reference

CALC, EQUALS, END_CALC = "<|calc|>", "<|equals|>", "<|/calc|>"
_SPAN = re.compile(
    rf"{re.escape(CALC)}(?P<expression>.*?)(?:{re.escape(EQUALS)}(?P<value>.*?))?"
    rf"(?:{re.escape(END_CALC)}|(?=<\|)|$)",
    re.DOTALL,
)


def work_out(expression: str, known: Formulary | None = None, before: str = "") -> str:
    """What the engine writes after ``<|equals|>``: names are looked up in `known`, and the numbers of a calculation in
    the answer `before` it. CalculatorError for what no grammar reads."""
    if is_comparison(expression):
        return compare(expression, _numbers(before))
    if is_lookup(expression):
        return (known or Formulary()).look_up(expression)
    return calculate(references.in_numbers(expression, _numbers(before)))


def tellable_in(answer: str) -> set[str]:
    """The names of the numbers of a working that an answer under it can tell of (text/references.py)."""
    return references.tellable(_expressions(answer))


def span(expression: str, value: str) -> str:
    """ "<|calc|>20*45/2<|equals|>450<|/calc|>"."""
    return f"{CALC}{expression}{EQUALS}{value}{END_CALC}"


def with_working(working: str, answer: str) -> str:
    """A working and the answer under it as a model writes them: what the working holds is referred to."""
    numbers = _numbers(working)

    def by_name(found: re.Match[str]) -> str:
        expression, value = references.by_name(found["expression"], numbers), found["value"]
        return span(expression, value) if value else found[0]

    return working + references.refer(_SPAN.sub(by_name, answer), numbers, lambda text: f"{CALC}{text}{END_CALC}")


def render(answer: str) -> str:
    """An answer for people: ``<|calc|>20*45/2<|equals|>450<|/calc|> mg`` -> ``20 × 45 ÷ 2 = 450 mg``."""

    def shown(found: re.Match[str]) -> str:
        expression, value = typeset(found["expression"]), found["value"]
        return f"{expression} = {value}" if value else expression

    return _without_marks(_SPAN.sub(shown, _without_working(_told(answer))))


def strip_spans(answer: str) -> str:
    """An answer with only the values: ``<|calc|>20*45/2<|equals|>450<|/calc|> mg`` -> ``450 mg``."""
    return _without_marks(_SPAN.sub(lambda found: found["value"] or "", _without_working(_told(answer))))


def worked(answer: str) -> list[str]:
    """The working of an answer in words: "metformin is covered", "eGFR 28 is below 30 (limits 30 and 45)"."""
    return [_spelled_out(match) for match in _SPAN.finditer(answer) if _is_working(match)]


def split_working(answer: str) -> tuple[str, str]:
    """(the lookups and comparisons that an answer begins with, the rest), marks and all."""
    at = 0
    while (match := _SPAN.match(answer, at)) and _is_working(match):
        at = match.end()
    return answer[:at], answer[at:]


def calculations(answer: str) -> list[str]:
    """The expressions of an answer that are worked out, and are neither lookups nor comparisons."""
    worked_out = (match["expression"] for match in _SPAN.finditer(answer) if match["value"] is not None)
    return [text for text in worked_out if not is_comparison(text) and not is_lookup(text)]


def explained(answer: str) -> str:
    """An answer for people with its working above it: "Working: eGFR 28 is below 30 (limits 30 and 45).\\n..."."""
    steps = worked(split_working(answer)[0])
    return f"Working: {'; '.join(steps)}.\n{render(answer)}" if steps else render(answer)


def _told(answer: str) -> str:
    """The answer with its references spelled out, each by the numbers that stand before it."""
    numbers: dict[str, str] = {}

    def spelled(found: re.Match[str]) -> str:
        expression = found["expression"]
        if is_reference(expression):
            return references.told(expression, numbers)
        if _is_working(found):
            numbers.update(references.numbers_of([expression]))
            return found[0]
        start, end = (place - found.start() for place in found.span("expression"))
        return found[0][:start] + references.in_numbers(expression, numbers) + found[0][end:]

    return _SPAN.sub(spelled, answer)


def _numbers(answer: str) -> dict[str, str]:
    return references.numbers_of(_expressions(answer))


def _expressions(answer: str) -> list[str]:
    return [found["expression"] for found in _SPAN.finditer(answer)]


def _is_working(match: re.Match[str]) -> bool:
    expression: str = match["expression"]
    return (is_comparison(expression) and not is_reference(expression)) or is_lookup(expression)


def _spelled_out(match: re.Match[str]) -> str:
    if is_comparison(match["expression"]):
        return comparison.spelled_out(match["expression"], match["value"] or "")
    return formulary.spelled_out(match["expression"], match["value"] or "")


def _without_working(answer: str) -> str:
    return _SPAN.sub(lambda found: "" if _is_working(found) else found[0], answer)


def _without_marks(text: str) -> str:
    for mark in (CALC, EQUALS, END_CALC):
        text = text.replace(mark, "")
    return text
