"""Doses in free text, and whether a stated dose is the gold one.

A dose is an amount with a unit and a basis: per dose (with the hours between doses) or per day; a ceiling ("at most");
a share of the usual dose; or steps ("3000 mg, then 1000 mg"). Amounts per kilogram are rules, not doses: they are
passed over. Concentrations and rates of other things (mg/dL, mL/min) are not doses either.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from posology.curriculum.records import GoldDose
from posology.evaluation.reading_text import Mention
from posology.knowledge.units import MASS_MG

TOLERANCE = 0.05  # a dose within 5 % of the gold one is right
ROUNDING = 0.001  # four significant digits
Match = Literal["right", "consistent", "unverifiable", "wrong", "critical"]


@dataclass(frozen=True)
class Dose:
    """One stated dose. `usual`: told of as the usual or former dose, beside the one that is advised."""

    low: float
    high: float
    unit: str  # "mg", "g", "mcg", "units", "mL", "%"
    per: Literal["dose", "day"] = "dose"
    every_h: tuple[float, float] | None = None
    ceiling: bool = False
    steps: tuple[float, ...] = ()
    usual: bool = False
    drug: str = ""


_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_UNIT = (
    "(?:mg|milligrams?|mcg|micrograms?|ug|grams?|g|international units?|iu|units?|ml|millilit(?:er|re)s?"
    "|%|percent|per cent)"
)
_AMOUNT = re.compile(
    rf"(?<![\w.])(?P<low>{_NUMBER})(?: ?(?P<unit1>{_UNIT}))?(?: ?(?:-|to|and) ?(?P<high>{_NUMBER}))?"
    rf"[ -]?(?P<unit>{_UNIT})(?![\w%])"
)
_NOT_A_DOSE = re.compile(r"^ ?/ ?(?:dl|ml|min|l\b|hour|h\b|1\.73)|^ per (?:dl|ml|min|minute|lit)")
_RATE = re.compile(r"^ ?/ ?(?:kg|m2)|^ ?per (?:kg|kilogram|m2|square)|^ ?(?:for )?(?:each|every) (?:kg|kilogram)")
_UNITS = {
    "milligram": "mg", "mg": "mg", "mcg": "mcg", "ug": "mcg", "microgram": "mcg", "g": "g", "gram": "g", "iu": "units",
    "unit": "units", "international unit": "units", "ml": "mL", "milliliter": "mL", "millilitre": "mL", "%": "%",
    "percent": "%", "per cent": "%",
}  # fmt: skip
_WORDS = {"one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "six": 6.0, "eight": 8.0, "twelve": 12.0}
_EVERY = re.compile(
    rf"\b(?:every|each|q) ?(?P<low>{_NUMBER}|one|two|three|four|six|eight|twelve)(?: ?(?:-|to) ?(?P<high>{_NUMBER}))?"
    r" ?-?(?P<unit>h(?:ours?|rs?|ourly)?|days?|weeks?)\b"
)
_NAMED = tuple(
    (re.compile(pattern), hours)
    for pattern, hours in (
        (r"\bevery other day\b|\balternate days\b", 48.0),
        (r"\b(?:once weekly|once a week|once per week|weekly|every week)\b", 168.0),
        (r"\b(?:twice|two times|2 times) (?:daily|a day|per day|each day)|\bbid\b", 12.0),
        (r"\b(?:three times|thrice|3 times) (?:daily|a day|per day|each day)|\btid\b", 8.0),
        (r"\b(?:four times|4 times) (?:daily|a day|per day|each day)|\bqid\b", 6.0),
        (
            r"\b(?:once daily|once a day|once per day|once each day|one time a day|every day|each day|every morning"
            r"|every evening|every night|at night|at bedtime|nightly|qd)\b", 24.0),
    )
)  # fmt: skip
_A_DAY = re.compile(
    r"^ ?(?:/|a|per|in a|each) ?(?:day\b|24 ?h)|^ (?:total )?(?:in total )?(?:a|per|each) day\b|^ ?/ ?d\b"
    r"|^ total daily\b|^ in 24 ?h"
)
_DAILY = re.compile(r"^ daily\b")
_TOTAL_BEFORE = re.compile(r"\b(?:daily dose of|total daily dose(?: of| is|:)?|total of|a day's total of) ?$")
_DIVIDED = re.compile(
    r"\b(?:in|into|as|divided by) (?P<n>\d|two|three|four|six) (?:equal |divided |separate |split )*(?:doses"
    r"|portions)\b"
)
_CEILING = re.compile(
    r"(?:\bat most|\bno more than|\bnot more than|\bexceed(?:ing|s)?|\bmaximum(?: \w+)?(?: dose)?(?: of| is|:)?"
    r"|\bmax(?: dose)?(?: of| is|:)?|\bup to|"
    r"\blimit(?:ed)?(?: \w+){0,5} to|\bcap(?:ped)?(?: \w+){0,3} (?:at|to)|<=?|\bless than|\bbelow|\bunder"
    r"|\bnever (?:above|over)|\bnot (?:above|over))"
    r" ?(?:a total of |a dose of |the |a |an )?$"
)
_CEILING_AFTER = re.compile(r"^ ?,? ?(?:or less|or lower|at most|maximum\b|max\b|as a maximum|ceiling)")
_USUAL = re.compile(
    r"\b(?:usual|normal|standard|original|full|instead of|rather than|down from|reduced from)\b[^.:;]{0,28}$|\bfrom $"
)
_SINGLE = re.compile(r"\b(?:one|a single|single) (?:[a-z]+ )?dose(?: of)? ?$")
_SINGLE_AFTER = re.compile(
    r"^ (?:once\b(?! (?:daily|a|per|each|weekly))|as (?:a|one) single dose|as one dose|in a single dose|single dose"
    r"|stat\b)"
)
_THEN = re.compile(
    r"^(?: (?:iv|po|orally|intravenously))?(?: over [\d.]+ (?:h|hours?|min|minutes))?,? ?(?:and |followed by "
    r"|followed )?(?:then|next|followed by|by)(?: a further)? ?$"
)
_HALF = re.compile(
    r"\bhalf (?:of )?(?:the |its |a )?(?:usual |normal |standard |full )?(?:dose|dosage)\b|\bhalve (?:the )?(?:dose"
    r"|dosage)|\b(?:dose|dosage) (?:should be |is |must be )?halved\b"
    r"|\b(?:dose|dosage)\b[^.]{0,20}\bby (?:a )?half\b"
)
_OF_A_DOSE = re.compile(r"\bdos(?:e|age|ing)\b|\breduc|\busual\b|\bgive\b|\bstart")
_OF_PEOPLE = re.compile(r" (?:risk|chance|of (?:patients|people|cases))")
_CUT_BY = re.compile(r"\b(?:by|a) (?:about )?$")
_PLAIN = re.compile(r"\d|half|halve")


def read_doses(sentence: str, mentions: tuple[Mention, ...], focus: str) -> tuple[Dose, ...]:
    """The doses of one normalised sentence, in order; each of the drug named last before it, or of `focus`."""
    if not _PLAIN.search(sentence) or sentence.startswith(("reason:", "deciding:", "sources ")):
        return ()
    found: list[tuple[int, int, Dose]] = []
    matches = list(_amounts(sentence))
    for index, (start, end, low, high, unit) in enumerate(matches):
        stop = matches[index + 1][0] if index + 1 < len(matches) else len(sentence)
        dose = _one(sentence, start, end, stop, (low, high, unit))
        if dose is not None:
            found.append((start, end, replace(dose, drug=_owner(mentions, start, focus))))
    if not found and (match := _HALF.search(sentence)):
        return (Dose(50.0, 50.0, "%", drug=_owner(mentions, match.start(), focus)),)
    return _joined(sentence, found)


def _amounts(sentence: str) -> list[tuple[int, int, float, float, str]]:
    out = []
    for match in _AMOUNT.finditer(sentence):
        start, end, high_text = match.start(), match.end(), match["high"]
        low, unit = _value(match["low"]), _unit(match["unit"])
        high = _value(high_text) if high_text else low
        if high < low or (high_text and re.search(r"\bfrom $", sentence[:start])):
            low = high  # "from 1000 mg to 500 mg": the second is what is advised
        out.append((start, end, low, high, unit))
    return out


def _one(sentence: str, start: int, end: int, stop: int, amount: tuple[float, float, str]) -> Dose | None:
    low, high, unit = amount
    before, after, near = sentence[:start], sentence[end:], sentence[end:stop]
    if _NOT_A_DOSE.match(after) or _RATE.match(after):
        return None
    if unit == "%":
        return _share(before, after, low, high)
    ceiling = bool(_CEILING.search(before)) or bool(_CEILING_AFTER.match(after))
    usual = bool(_USUAL.search(before))
    every = _interval(near)
    a_day = bool(_A_DAY.match(after)) or bool(_TOTAL_BEFORE.search(before))
    daily = every is None and bool(_DAILY.match(after))
    count = 0.0
    if (a_day or daily) and (parts := _DIVIDED.search(near)) is not None:
        count = _WORDS.get(parts["n"]) or float(parts["n"])
    elif a_day and every is not None and every[0] < 24:
        count = 24 / every[0]
    if count:  # a day's amount in so many doses
        return Dose(low / count, high / count, unit, "dose", (24 / count, 24 / count), ceiling, usual=usual)
    if a_day:
        return Dose(low, high, unit, "day", None, ceiling, usual=usual)
    if daily:
        every = (24.0, 24.0)
    if _SINGLE.search(before) or _SINGLE_AFTER.match(after):
        every = None
    return Dose(low, high, unit, "dose", every, ceiling, usual=usual)


def _share(before: str, after: str, low: float, high: float) -> Dose | None:
    """A percentage of the usual dose; "reduce by 25 %" leaves 75 %."""
    if not _OF_A_DOSE.search(before + after) or _OF_PEOPLE.match(after):
        return None
    if _CUT_BY.search(before) or re.match(r" (?:dose )?(?:reduction|decrease|lower|less)", after):
        low, high = 100 - high, 100 - low
    return Dose(low, high, "%")


def _interval(text: str) -> tuple[float, float] | None:
    if match := _EVERY.search(text):
        factor = {"h": 1.0, "d": 24.0, "w": 168.0}[match["unit"][0]]
        low = _WORDS.get(match["low"]) or _value(match["low"])
        return (low * factor, (_value(match["high"]) if match["high"] else low) * factor)
    for pattern, hours in _NAMED:
        if pattern.search(text):
            return (hours, hours)
    return None


def _joined(sentence: str, found: list[tuple[int, int, Dose]]) -> tuple[Dose, ...]:
    """Amounts joined by "then" become one dose in steps."""
    out: list[tuple[int, Dose]] = []
    for start, end, dose in found:
        if out and out[-1][1].unit == dose.unit and _THEN.match(sentence[out[-1][0] : start]):
            first = out[-1][1]
            steps = (*(first.steps or (first.high,)), dose.high)
            out[-1] = (end, replace(first, steps=steps))
        else:
            out.append((end, dose))
    return tuple(dose for _, dose in out)


def _owner(mentions: tuple[Mention, ...], at: int, focus: str) -> str:
    before = [m.drug for m in mentions if m.end <= at and not m.by_class]
    return before[-1] if before else focus


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _unit(text: str) -> str:
    return _UNITS.get(text) or _UNITS[text.removesuffix("s")]


# Comparison with gold -------------------------------------------------------------------------------------------------


def compare(dose: Dose, gold: GoldDose) -> Match:
    """How a stated dose stands to the gold dose.

    right: within 5 % or the cited range, with unit, basis and interval, at or below the maximum. consistent: true but
    not the whole dose (the day's total, a right maximum). unverifiable: a ceiling that the gold does not speak of.
    critical: at least twice, at most half, or above the maximum.
    """
    factor = _factor(dose.unit, gold.unit)
    if factor is None:
        return "wrong"
    dose = replace(
        dose, low=dose.low * factor, high=dose.high * factor, steps=tuple(step * factor for step in dose.steps)
    )
    if gold.steps or dose.steps:
        return _compare_steps(dose, gold)
    if gold.ceiling:
        return _compare_ceiling(dose, gold)
    if dose.ceiling:
        return _compare_extra_ceiling(dose, gold)
    return _compare_plain(dose, gold)


def _factor(unit: str, gold: str) -> float | None:
    if unit == gold:
        return 1.0
    if unit in MASS_MG and gold in MASS_MG:
        return MASS_MG[unit] / MASS_MG[gold]
    return None


def _near(value: float, gold: float) -> bool:
    return abs(value - gold) <= TOLERANCE * gold + 1e-9


def _off(low: float, high: float, gold_low: float, gold_high: float) -> Match:
    """wrong, or critical where an end is at least twice or at most half of the gold's."""
    return "critical" if high >= 2 * gold_high - 1e-9 or low <= gold_low / 2 + 1e-9 else "wrong"


def _compare_steps(dose: Dose, gold: GoldDose) -> Match:
    if not gold.steps or not dose.steps or len(gold.steps) != len(dose.steps):
        return "wrong"
    if all(_near(a, b) for a, b in zip(dose.steps, gold.steps, strict=True)):
        return "right"
    worst = [_off(a, a, b, b) for a, b in zip(dose.steps, gold.steps, strict=True)]
    return "critical" if "critical" in worst else "wrong"


def _day(amount: float, per: str, every_h: tuple[float, float] | None, *, most: bool) -> float | None:
    """The day's total at the shortest (`most`) or longest interval; None where the interval is not known."""
    if per == "day":
        return amount
    return None if every_h is None else amount * 24 / every_h[0 if most else 1]


def _compare_ceiling(dose: Dose, gold: GoldDose) -> Match:
    amount: float | None = dose.high
    if gold.per == "day":
        amount = _day(dose.high, dose.per, dose.every_h, most=True)
        amount = dose.high if amount is None else amount
    elif dose.per == "day" and dose.ceiling:
        return "wrong"
    assert amount is not None
    if dose.ceiling:
        basis = dose.per == gold.per or (gold.per == "day" and dose.every_h == (24.0, 24.0))
        if _near(amount, gold.high):
            return "right" if basis else "wrong"
        return _off(amount, amount, gold.high, gold.high)
    return "critical" if amount > gold.high * (1 + ROUNDING) else "consistent"


def _compare_extra_ceiling(dose: Dose, gold: GoldDose) -> Match:
    """A maximum told beside (or instead of) a dose that is not a ceiling."""
    if gold.maximum is not None and (dose.per == gold.per or dose.every_h == gold.every_h):
        if _near(dose.high, gold.maximum):
            return "consistent"
        if dose.high > gold.maximum:
            return "critical" if dose.high >= 2 * gold.maximum - 1e-9 else "wrong"
    if dose.per == gold.per and dose.every_h is not None and dose.every_h == gold.every_h:
        return "wrong"  # "at most 450 mg every 12 h" where the dose is 450 mg
    return "unverifiable"


def _compare_plain(dose: Dose, gold: GoldDose) -> Match:
    fits = dose.low >= gold.low * (1 - TOLERANCE) - 1e-9 and dose.high <= gold.high * (1 + TOLERANCE) + 1e-9
    if gold.unit == "%":
        return "right" if fits else _off(dose.low, dose.high, gold.low, gold.high)
    if gold.maximum is not None and dose.per == gold.per and dose.high > gold.maximum * (1 + ROUNDING):
        return "critical"
    if fits and dose.per == gold.per and _same_interval(dose.every_h, gold.every_h):
        return "right"
    totals = (
        _day(dose.low, dose.per, dose.every_h, most=False), _day(dose.high, dose.per, dose.every_h, most=True),
        _day(gold.low, gold.per, gold.every_h, most=False), _day(gold.high, gold.per, gold.every_h, most=True),
    )  # fmt: skip
    low, high, gold_low, gold_high = totals
    if low is None or high is None or gold_low is None or gold_high is None:
        return "wrong" if fits else _off(dose.low, dose.high, gold.low, gold.high)
    if low >= gold_low * (1 - TOLERANCE) - 1e-9 and high <= gold_high * (1 + TOLERANCE) + 1e-9:
        once = gold.every_h == (24.0, 24.0) or gold.per == "day"
        if once and (dose.per == "day" or dose.every_h == (24.0, 24.0)):
            return "right"  # "30 mg a day" and "30 mg once daily"
        return "consistent" if dose.per == "day" else "wrong"
    return _off(low, high, gold_low, gold_high)


def _same_interval(every: tuple[float, float] | None, gold: tuple[float, float] | None) -> bool:
    if every is None or gold is None:
        return every is None and gold is None
    return gold[0] - 1e-9 <= every[0] and every[1] <= gold[1] + 1e-9
