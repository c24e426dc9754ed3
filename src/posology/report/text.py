"""How figures are written, in the report and on the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from posology.report.numbers import Number
from posology.report.view import Gate, Measure

Shown = tuple[Number, str]  # a number, and how it is written

GATE_WORDS = {
    "minimal_pairs": "both twins of a minimal pair right",
    "youden_j": "Youden's J of safety and specificity",
    "over_abstention": "abstentions on answerable questions",
    "total_variation": "distance between predicted and gold verdicts",
    "unreadable": "answers without a readable verdict",
}
STAGE_NAMES = {
    "data": "curriculum",
    "reward": "reward models",
    "sft": "SFT",
    "ppo": "PPO",
    "reward-naive": "naive reward model",
    "ppo-naive": "PPO without KL control",
    "dpo": "DPO",
    "grade": "exam",
}
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
WORDS = re.compile(r"\s+|\w+|[^\w\s]")


def stage_name(name: str) -> str:
    """A stage as a reader calls it."""
    return STAGE_NAMES.get(name, name)


def percent(share: float) -> str:
    """One decimal; 100 % and 0 % only where that is exact."""
    text = f"{100 * share:.1f}"
    if text == "100.0" and share < 1:
        text = f"{100 * share:.3f}" if share < 0.99999 else "> 99.999"
    if text == "0.0" and share > 0:
        text = f"{100 * share:.2g}"
    return f"{text.removesuffix('.0') if share in (0, 1) else text} %"


def decimal(value: float, places: int = 2) -> str:
    """A number with a true minus sign, and none before a zero."""
    text = f"{value:.{places}f}"
    return (text.lstrip("-") if not text.strip("-0.") else text).replace("-", "−")


def signed(value: float, places: int = 2) -> str:
    return f"{value:+.{places}f}".replace("-", "−")


def figure(value: float) -> str:
    """Three significant digits; whole numbers whole; powers of ten below 0.0001."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa} × 10{str(int(exponent)).translate(RAISED)}".replace("-", "−")
    if abs(value) >= 1000 or float(value).is_integer():
        return count(value)
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return decimal(value, min(places, 6))


def shown(number: Number | None, write: Callable[[float], str] = figure) -> tuple[Shown, ...]:
    """The number as `write` writes it; () where it is missing."""
    return ((number, write(number.value)),) if number else ()


def count(value: float) -> str:
    """A whole number with thousands separated."""
    return f"{round(value):,}".replace("-", "−")


def clock(seconds: float) -> str:
    """Seconds in words: 8.4 s, 58 s, 3 min 20 s, 1 h 2 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: "a, b and c"."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def words(name: str) -> str:
    """A key as words: "critical_dose_errors" -> "critical dose errors"."""
    return name.replace("_", " ").replace(".", ": ")


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def is_share(measure: Measure) -> bool:
    """Whether to write it in per cent: counted over n items, and not usefulness, which is 0 to 10."""
    return measure.n is not None and not measure.name.startswith("usefulness")


def value_text(measure: Measure) -> str:
    if measure.value is None:
        return f"undefined: {measure.undefined}" if measure.undefined else "undefined"
    if is_share(measure):
        return percent(measure.value)
    return decimal(measure.value) if measure.n is not None else figure(measure.value)


def interval(measure: Measure) -> str:
    """The 95 % interval, in the unit of the measure: "[83.9, 86.6]"; "" without one."""
    if measure.low is None or measure.high is None:
        return ""
    scale = 100 if is_share(measure) else 1
    low, high = (decimal(scale * end, 1 if scale == 100 else 2) for end in (measure.low, measure.high))
    return f"[{low}, {high}]"


def gate_limit(gate: Gate) -> str:
    """What a gate asks for: "at least 0.9"."""
    return "" if gate.limit is None else f"{'at most' if gate.at_most else 'at least'} {gate.limit:g}"


def gate_words(gate: Gate) -> str:
    return GATE_WORDS.get(gate.name, words(gate.name))


def gate_text(gate: Gate) -> str:
    """A gate in words, with its value and limit."""
    value = "" if gate.value is None else f" {decimal(gate.value.value, 3)}"
    limit = f", must be {gate_limit(gate)}" if gate.limit is not None else ""
    return f"{gate_words(gate)}{value}{limit}"


def word_diff(old: str, new: str) -> tuple[tuple[str, str], ...]:
    """("same" | "removed" | "added", text) pieces that lead from `old` to `new`, word by word."""
    a, b = WORDS.findall(old), WORDS.findall(new)
    pieces: list[tuple[str, list[str]]] = []
    for tag, i, j, k, m in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        found = [("same", a[i:j])] if tag == "equal" else [("removed", a[i:j]), ("added", b[k:m])]
        pieces += [(kind, part) for kind, part in found if part]
    _whole_sentences(pieces)
    return tuple((kind, "".join(part)) for kind, part in pieces if part)


def _whole_sentences(pieces: list[tuple[str, list[str]]]) -> None:
    """Where ". New words" came before ".", let it be "New words." after it: the same change, read as one sentence."""
    for (before, left), (kind, moved), (after, right) in zip(pieces, pieces[1:], pieces[2:], strict=False):
        if before == after == "same" != kind:
            while right and moved[0] == right[0]:
                left.append(right.pop(0))
                moved.append(moved.pop(0))
