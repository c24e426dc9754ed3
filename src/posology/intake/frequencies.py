"""How often a medicine is taken, as notes write it: "bid", "every 12 hours" and "twice daily" are one frequency.

Patterns are for folded text (`amounts.fold`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from posology.intake.amounts import NUMBER_WORDS, fold, plain

_HOURS = {"h": 1.0, "d": 24.0, "w": 168.0, "m": 720.0}  # a month is 30 days here
_TIMES = {"once": 1, "twice": 2, "thrice": 3, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_N = r"\d+(?:\.\d+)?|one|two|three|four|five|six|seven|eight|ten|twelve"


@dataclass(frozen=True)
class Frequency:
    """How often: the interval in hours (two ends of a range), the times of day, as needed, or once only."""

    hours: tuple[float, float] | None = None
    timing: tuple[str, ...] = ()  # of TIMINGS, in its order
    as_needed: bool = False
    once: bool = False

    def __str__(self) -> str:
        words = []
        if self.once:
            words.append("once")
        if self.hours and not (self.hours == (24.0, 24.0) and _of_day(self.timing)):
            words.append(_interval(*self.hours))
        words += self.timing
        if self.as_needed:
            words.append("as needed")
        return " ".join(words)


TIMINGS = ("in the morning", "at noon", "in the evening", "at bedtime", "with meals", "before meals", "after meals")


def _of_day(timing: tuple[str, ...]) -> bool:
    return any(word in TIMINGS[:4] for word in timing)


def _interval(low: float, high: float) -> str:
    if low != high:
        unit, size = ("days", 24.0) if low % 24 == 0 and low >= 48 else ("hours", 1.0)
        return f"every {plain(low / size)}-{plain(high / size)} {unit}"
    named = {24.0: "once daily", 12.0: "twice daily", 8.0: "three times daily", 6.0: "four times daily",
             4.8: "five times daily", 48.0: "every other day", 168.0: "once weekly", 84.0: "twice weekly",
             56.0: "three times weekly", 336.0: "every 2 weeks", 720.0: "once monthly", 2160.0: "every 3 months"}  # fmt: skip
    if low in named:
        return named[low]
    if low % 720 == 0:
        return f"every {plain(low / 720)} months"
    if low % 168 == 0:
        return f"every {plain(low / 168)} weeks"
    return f"every {plain(low / 24)} days" if low % 24 == 0 and low > 72 else f"every {plain(low)} hours"


def _every(match: re.Match[str]) -> Frequency:
    size = _HOURS["m" if match["unit"].startswith("mo") else match["unit"][0]]
    low = _count(match["low"])
    high = _count(match["high"]) if match["high"] else low
    return Frequency((low * size, high * size))


def _count(text: str) -> float:
    return float(_TIMES.get(text) or NUMBER_WORDS.get(text) or float(text))


def _hours(hours: float) -> Callable[[re.Match[str]], Frequency]:
    return lambda match: Frequency((hours, hours))


def _timing(*words: str) -> Callable[[re.Match[str]], Frequency]:
    return lambda match: Frequency(timing=words)


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Frequency]], ...] = tuple(
    (re.compile(pattern), made)
    for pattern, made in (
        (
            r"\b(?:p\.?r\.?n\b\.?|(?:only )?(?:as|if|when|whenever) (?:it is |he |she )?(?:needed|required"
            r"|necessary|needs)"
         r"|on an as[- ]needed basis|as[- ]needed)", lambda match: Frequency(as_needed=True)),
        (rf"\b(?:every|each|q\.?) ?(?P<low>{_N})(?: ?(?:-|to) ?(?P<high>{_N}))?[ -]?"
         r"(?P<unit>hours?|hrs?|h\b|days?|d\b|weeks?|wks?|w\b|months?|mos?\b)\.?", _every),
        (r"\b(?:every|each|q\.?) ?(?:other|second|alternate) (?:day|night|morning|evening)\b|\bq\.?o\.?d\b\.?"
         r"|\b(?:on )?alternate days\b|\bevery 48 hours\b", _hours(48)),
        (r"\b(?:every|each) (?:other|second) week\b|\bfortnightly\b|\bbi-?weekly\b", _hours(336)),
        (rf"\b(?P<n>once|twice|thrice|(?:{_N})(?: ?x| times?)) ?(?:-|a|an|per|each|every|in a)? ?"
         r"(?P<unit>day|daily|week|weekly|month|monthly|night|24 hours)\b",
         lambda match: _times_of(match)),
        (r"\b(?:divided|in) (?:(?:in|into) )?(?P<n>two|three|four) (?:equally )?divided doses\b|"
         r"\bdivided (?:in|into) (?P<m>two|three|four)\b", lambda match: Frequency((24 / _count(match["n"] or match["m"]),) * 2)),
        (r"\b(?:b\.?i\.?d|bd)\b\.?", _hours(12)),
        (r"\b(?:t\.?i\.?d|tds)\b\.?", _hours(8)),
        (r"\b(?:q\.?i\.?d|qds)\b\.?", _hours(6)),
        (
            r"\b(?:q\.? ?h\.?s|h\.s|qhs|hs|nocte|nightly|at (?:night|night[- ]?time|bedtime)|before (?:bed"
            r"|bedtime|sleep)"
         
             r"|(?:every|each) night|q\.? ?night|bedtime)\b\.?|(?<=\dmg )on(?=\s*(?:[.,;]|$))|(?<=\d mg )on(?=\s*(?:[.,;]"
             r"|$))",
         _timing("at bedtime")),
        (r"\b(?:before|prior to) breakfast\b", _timing("in the morning", "before meals")),
        (r"\bwith breakfast\b", _timing("in the morning", "with meals")),
        (r"\b(?:with|at|before|after) (?:the |his |her )?(?:dinner|supper|evening meal)\b", _timing("in the evening")),
        (r"\b(?:in the morning|(?:every|each) morning|mornings|q\.?a\.?m|in (?:the )?a\.?m|a\.m|mane|qam|am)\b\.?",
         _timing("in the morning")),
        (r"\b(?:at noon|at lunch(?:time)?|midday|with lunch|in the afternoon)\b", _timing("at noon")),
        (r"\b(?:in the evening|(?:every|each) evening|evenings|q\.?p\.?m|in (?:the )?p\.?m|p\.m|pm)\b\.?",
         _timing("in the evening")),
        (r"\b(?:before|prior to) (?:each |every |all )?meals?\b|\ba\.?c\.?\b", _timing("before meals")),
        (r"\bafter (?:each |every )?meals?\b", _timing("after meals")),
        (r"\bwith (?:each |every |his |her )?(?:meals?|food)\b", _timing("with meals")),
        (
            r"\b(?:q\.?d|q\.? ?day|o\.?d|once daily|every day|each day|everyday|daily(?! living)|per day"
            r"|(?<!in )(?<!about )a day(?! (?:before|ago|later|prior|after|or))|/day|day(?=\.?$))\b\.?"
         r"|\bevery 24 hours\b", _hours(24)),
        (r"\b(?:weekly|every week|each week|per week|q\.?week)\b", _hours(168)),
        (r"\b(?:monthly|every month|each month)\b", _hours(720)),
        (
            r"\b(?:times (?:one|1)|x ?1|single dose|one[- ]time(?: dose)?|one dose|once)\b(?! (?:the|he|she"
            r"|a|it|they|we)\b)",
         lambda match: Frequency(once=True)),
    )
)  # fmt: skip
_DURATION = re.compile(
    rf"\b(?:for|x|times|over|within|in|past|last|next|another)\s?(?:the )?(?:last |past |next |another "
    rf"|about )?(?:{_N})"
    r"(?:[- ]?(?:to|or)?[- ]?(?:\d+|[a-z]+))??[- ]?(?:days?|weeks?|wks?|months?|years?|hours? (?:on|off))\b"
    rf"|\b(?:{_N})[- ](?:day|week|month)s? (?:course|supply|taper|history)\b|\b\d+ (?:hours|years"
    rf"|weeks|months|days) (?:on|off|ago)\b"
    r"|\bday \d+ of \d+\b|\bdays? \d+\b"
)


def _times_of(match: re.Match[str]) -> Frequency:
    number = re.sub(r" ?(?:x|times?)$", "", match["n"])
    unit = match["unit"]
    if unit == "night":
        return Frequency(timing=("at bedtime",))
    size = 720.0 if "month" in unit else 168.0 if unit.startswith("w") else 24.0
    hours = round(size / _count(number), 3)
    return Frequency((hours, hours))


def find_frequency(text: str) -> Frequency | None:
    """What folded text says about how often, all parts together; None where it says nothing."""
    text = _DURATION.sub(lambda match: " " * len(match[0]), text)
    found = Frequency()
    for pattern, made in _RULES:
        for match in pattern.finditer(text):
            found = _joined(found, made(match))
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    of_day = [word for word in found.timing if word in TIMINGS[:4]]
    if found.hours is None and len(of_day) == 1 and len(found.timing) <= 2 and not found.once:
        found = replace(found, hours=(24.0, 24.0))
    return None if found == Frequency() else found


def _joined(one: Frequency, other: Frequency) -> Frequency:
    timing = {*one.timing, *other.timing}
    return Frequency(
        one.hours or other.hours,
        tuple(word for word in TIMINGS if word in timing),
        one.as_needed or other.as_needed,
        one.once or other.once,
    )


def read_frequency(text: str) -> Frequency | None:
    """How often, in any of the usual spellings: "bid", "every 12 hours", "q6h prn", "at bedtime"."""
    return find_frequency(fold(text))
