"""Doses, frequencies and routes as notes write them: read from text, compared in one unit, written in one spelling.

Every pattern is for folded text (`fold`), which keeps each character in its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

_SIGNS = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "‑": "-", "’": "'", "‘": "'", "µ": "u", "μ": "u"}
    | {"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\t": " ", "\r": " "}
)


def fold(text: str) -> str:
    """Lower case with one spelling for dashes, quotes and spaces; as long as `text`, so that places stay the same."""
    text = text.translate(_SIGNS)
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


# Doses ----------------------------------------------------------------------------------------------------------------

_MASS = {"g": 1_000_000.0, "mg": 1000.0, "mcg": 1.0}  # micrograms
_UNITS = (  # spelling -> unit; longest spellings first inside each
    ("mg", r"milligrams?|mgs?"),
    ("mcg", r"micrograms?|mcgs?|ug"),
    ("g", r"grams?|gms?|g"),
    ("ml", r"milliliters?|millilitres?|mls?|ccs?"),
    ("units", r"international units?|units?|iu|u"),
    ("meq", r"milliequivalents?|meq"),
    ("mmol", r"millimoles?|mmol"),
    ("%", r"%|percent"),
)
_COUNTED = (
    ("tablet", r"tablets?|tabs?|pills?|caplets?"),
    ("capsule", r"capsules?|caps?|softgels?"),
    ("puff", r"puffs?|inhalations?|actuations?"),
    ("spray", r"sprays?|squirts?"),
    ("drop", r"drops?|gtts?"),
    ("patch", r"patch(?:es)?"),
    ("suppository", r"suppositor(?:y|ies)"),
    ("lozenge", r"lozenges?"),
    ("teaspoon", r"teaspoons?(?:fuls?)?|tsps?"),
    ("tablespoon", r"tablespoons?(?:fuls?)?|tbsps?"),
    ("scoop", r"scoops?|capfuls?"),
    ("packet", r"packets?|sachets?"),
    ("vial", r"vials?|ampules?|amps?|ampoules?"),
)
COUNTED = frozenset(unit for unit, _ in _COUNTED)
_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
          "eleven": 11, "twelve": 12, "half a": 0.5, "half an": 0.5, "half": 0.5, "one-half": 0.5, "a half": 0.5,
          "a": 1, "an": 1, "1/2": 0.5, "1 1/2": 1.5, "½": 0.5, "¼": 0.25, "one and a half": 1.5}  # fmt: skip
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_WORD_NUMBER = "|".join(sorted((re.escape(word) for word in _WORDS), key=len, reverse=True))
_ANY_UNIT = "|".join(f"(?:{pattern})" for _, pattern in _UNITS)
_ANY_COUNTED = "|".join(f"(?:{pattern})" for _, pattern in _COUNTED)
_PER = r"(?P<per>(?: ?(?:/|per) ?(?:kg|kilogram|m2|hours?|hr?|days?|d|minutes?|min|dose|24 ?h(?:ou)?rs?)\b){0,3})"
_NO_LAB = r"(?! ?(?:/|per) ?(?:d?l|ml|mm ?3|mm|cmm|hpf|g|liter|litre|deciliter)\b)"
_STRENGTH = re.compile(
    rf"(?<![\w.,/#])(?P<low>{NUMBER})(?: ?-?(?:{_ANY_UNIT}))?(?: ?(?P<join>-|/|\bto\b) ?(?P<high>{NUMBER}))?"
    rf"(?: ?(?:/) ?(?P<third>{NUMBER}))? ?-?(?P<unit>{_ANY_UNIT})(?<!\d)(?![a-z0-9]){_NO_LAB}{_PER}"
)
_COUNT = re.compile(
    rf"(?<![\w.,/#])(?P<low>{NUMBER}|{_WORD_NUMBER})(?: ?(?:-|\bto\b|\bor\b) ?(?P<high>{NUMBER}|{_WORD_NUMBER}))?"
    rf"(?:[ -](?:full|small|metered|ds|double[ -]strength))?[ -]{{0,2}}(?P<unit>{_ANY_COUNTED})(?![a-z])"
)
_BARE_PAIR = re.compile(rf"(?<![\w.,/#])(?P<low>{NUMBER})[/-](?P<high>{NUMBER})(?![\w/])(?! ?(?:mm|mg|mcg|g|units?)\b)")


@dataclass(frozen=True)
class Dose:
    """An amount as written. `values`: one; the two ends of a range; or, with `combined`, one a part of a combination.

    `unit` may say by what: "mg/kg/day", "mcg/h". Counted forms ("tablet", "puff") are units too.
    """

    values: tuple[float, ...]
    unit: str
    combined: bool = False

    def __str__(self) -> str:
        shown = ("/" if self.combined else "-").join(plain(value) for value in self.values)
        plural = self.unit in COUNTED and self.values != (1.0,)
        unit = self.unit if not plural else {"patch": "patches", "suppository": "suppositories"}.get(
            self.unit, self.unit + "s"
        )
        return f"{shown} {unit}"


def plain(value: float) -> str:
    """1000.0 -> "1000", 0.50 -> "0.5"."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def in_micrograms(dose: Dose) -> Dose:
    """A mass in micrograms, so that 1 g, 1000 mg and 1,000,000 mcg are equal; other units unchanged."""
    base, slash, per = dose.unit.partition("/")
    if base not in _MASS:
        return dose
    values = tuple(round(value * _MASS[base], 6) for value in dose.values)
    return Dose(values, f"mcg{slash}{per}", dose.combined)


def same_dose(one: Dose, other: Dose) -> bool:
    return in_micrograms(one) == in_micrograms(other)


@dataclass(frozen=True)
class Found:
    """A dose at [start, end) of a text."""

    dose: Dose
    start: int
    end: int
    capped: bool = False  # "maximum 4 g": a limit, not a dose that is taken


_LIMIT = re.compile(r"\b(?:max(?:imum)?|not (?:to )?exceed(?:ing)?|no more than|up to a total of|total of)[^.;]{0,25}$")


def find_doses(text: str, combination: bool = False) -> list[Found]:
    """Doses in folded text, in order. `combination`: a bare "250/50" counts, as the strength of a combination."""
    found: list[Found] = []
    for match in _STRENGTH.finditer(text):
        if match["join"] == "to" and re.search(r"\bfrom $", text[: match.start()]):  # "from 20 to 40 mg": two doses
            unit = _unit(match)
            found.append(Found(Dose((_value(match["low"]),), unit), match.start("low"), match.end("low")))
            found.append(Found(Dose((_value(match["high"]),), unit), match.start("high"), match.end()))
            continue
        values = tuple(_value(match[part]) for part in ("low", "high", "third") if match[part])
        combined = match["join"] == "/" or bool(match["third"])
        limit = bool(_LIMIT.search(text[: match.start()]))
        found.append(Found(Dose(values, _unit(match), combined), match.start(), match.end(), limit))
    for match in _COUNT.finditer(text):
        values = tuple(_value(match[part]) for part in ("low", "high") if match[part])
        unit = next(unit for unit, pattern in _COUNTED if re.fullmatch(pattern, match["unit"]))
        found.append(Found(Dose(values, unit), match.start(), match.end()))
    if combination and not any(item.dose.unit not in COUNTED for item in found):
        for match in _BARE_PAIR.finditer(text):
            found.append(
                Found(Dose((_value(match["low"]), _value(match["high"])), "mg", True), match.start(), match.end())
            )
            break
    return sorted(found, key=lambda item: item.start)


def read_dose(text: str) -> Dose | None:
    """The first dose in a text, however it is written."""
    found = find_doses(fold(text), combination=False)
    return found[0].dose if found else None


def _value(text: str) -> float:
    return float(_WORDS[text]) if text in _WORDS else float(text.replace(",", ""))


def _unit(match: re.Match[str]) -> str:
    unit = next(unit for unit, pattern in _UNITS if re.fullmatch(pattern, match["unit"]))
    per = re.sub(r" ?(?:/|per) ?", "/", match["per"] or "")
    per = re.sub(r"/(?:hours?|hr?)\b", "/h", per)
    per = re.sub(r"/(?:days?|d|24 ?h(?:ou)?rs?)\b", "/day", per)
    per = re.sub(r"/(?:kilogram)\b", "/kg", per)
    per = re.sub(r"/minutes?\b", "/min", per)
    return unit + per.replace("/dose", "")


# Frequencies ----------------------------------------------------------------------------------------------------------

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
    return float(_TIMES.get(text) or _WORDS.get(text) or float(text))


def _hours(hours: float) -> Callable[[re.Match[str]], Frequency]:
    return lambda match: Frequency((hours, hours))


def _timing(*words: str) -> Callable[[re.Match[str]], Frequency]:
    return lambda match: Frequency(timing=words)


_RULES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Frequency]], ...] = tuple(
    (re.compile(pattern), made)
    for pattern, made in (
        (r"\b(?:p\.?r\.?n\b\.?|(?:only )?(?:as|if|when|whenever) (?:it is |he |she )?(?:needed|required|necessary|needs)"
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
        (r"\b(?:q\.? ?h\.?s|h\.s|qhs|hs|nocte|nightly|at (?:night|night[- ]?time|bedtime)|before (?:bed|bedtime|sleep)"
         r"|(?:every|each) night|q\.? ?night|bedtime)\b\.?|(?<=\dmg )on(?=\s*(?:[.,;]|$))|(?<=\d mg )on(?=\s*(?:[.,;]|$))",
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
        (r"\b(?:q\.?d|q\.? ?day|o\.?d|once daily|every day|each day|everyday|daily(?! living)|per day|(?<!in )(?<!about )a day(?! (?:before|ago|later|prior|after|or))|/day|day(?=\.?$))\b\.?"
         r"|\bevery 24 hours\b", _hours(24)),
        (r"\b(?:weekly|every week|each week|per week|q\.?week)\b", _hours(168)),
        (r"\b(?:monthly|every month|each month)\b", _hours(720)),
        (r"\b(?:times (?:one|1)|x ?1|single dose|one[- ]time(?: dose)?|one dose|once)\b(?! (?:the|he|she|a|it|they|we)\b)",
         lambda match: Frequency(once=True)),
    )
)  # fmt: skip
_DURATION = re.compile(
    rf"\b(?:for|x|times|over|within|in|past|last|next|another)\s?(?:the )?(?:last |past |next |another |about )?(?:{_N})"
    r"(?:[- ]?(?:to|or)?[- ]?(?:\d+|[a-z]+))??[- ]?(?:days?|weeks?|wks?|months?|years?|hours? (?:on|off))\b"
    rf"|\b(?:{_N})[- ](?:day|week|month)s? (?:course|supply|taper|history)\b|\b\d+ (?:hours|years|weeks|months|days) (?:on|off|ago)\b"
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


def find_frequency(text: str) -> tuple[Frequency | None, int]:
    """What folded text says about how often, all parts together, and where the first part begins (-1: nothing)."""
    text = _DURATION.sub(lambda match: " " * len(match[0]), text)
    found, start = Frequency(), -1
    for pattern, made in _RULES:
        for match in pattern.finditer(text):
            found = _joined(found, made(match))
            start = match.start() if start < 0 else min(start, match.start())
        text = pattern.sub(lambda match: " " * len(match[0]), text)
    if start < 0:
        return None, -1
    single = [word for word in found.timing if word in TIMINGS[:4]]
    if found.hours is None and len(single) == 1 and len(found.timing) <= 2 and not found.once:
        found = replace(found, hours=(24.0, 24.0))
    return found, start


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
    return find_frequency(fold(text))[0]


# Routes ---------------------------------------------------------------------------------------------------------------

_ROUTES = (  # in order: the first that fits
    ("sublingual", r"\bsublingual(?:ly)?\b|\bs\.?l\b\.?|under the tongue"),
    ("ophthalmic", r"\b(?:both|each|left|right|affected|the) eyes?\b|\beye ?drops?\b|\bophthalmic\b|\bo\.?u\.?\b|\bto the eyes?\b"),
    ("otic", r"\b(?:both|each|left|right|affected|the) ears?\b|\bear ?drops?\b|\botic\b"),
    ("nasal", r"\bnasal(?:ly)?\b|\bintranasal(?:ly)?\b|\bnostrils?\b|\bnasal spray\b"),
    ("intravenous", r"\bi\.?v\b\.?(?! drug)|\bintravenous(?:ly)?\b|\biv(?:pb|p)\b|\bdrip\b"),
    ("intramuscular", r"\bi\.?m\b\.?|\bintramuscular(?:ly)?\b"),
    ("subcutaneous", r"\bsubcutaneous(?:ly)?\b|\bsub-?cut\b|\bsub-?q\b|\bs\.?q\b\.?|\bs\.?c\b\.?"),
    ("intrathecal", r"\bintrathecal(?:ly)?\b"),
    ("epidural", r"\bepidural(?:ly)?\b"),
    ("intra-articular", r"\bintra-?articular(?:ly)?\b"),
    ("rectal", r"\brectal(?:ly)?\b|\bper rectum\b|(?<![\w.])p\.?r\b(?!\.?n)|\bsuppositor(?:y|ies)\b|\benemas?\b"),
    ("vaginal", r"\bvaginal(?:ly)?\b|\bper vagina(?:m)?\b|\bp\.?v\b\.?"),
    ("transdermal", r"\bpatch(?:es)?\b|\btransdermal(?:ly)?\b"),
    ("inhaled", r"\binhaled\b|\binhalers?\b|\binhalations?\b|\bpuffs?\b|\bneb(?:s|ulizers?|ulisers?|ulized|ulised)?\b|\bmdi\b|\bdiskus\b"),
    ("topical", r"\btopical(?:ly)?\b|\bcream\b|\bointment\b|\blotion\b|\bgel\b|\bshampoo\b|\bapplied to\b|\bapply to\b"),
    ("oral", r"\bp\.?o\b\.?|\bby mouth\b|\boral(?:ly)?\b(?! contraceptive| temperature| intake| cavity)|\bper os\b"),
    ("injection", r"\binject(?:ions?|ed|ing)?\b"),
)  # fmt: skip
_COMPILED_ROUTES = tuple((route, re.compile(pattern)) for route, pattern in _ROUTES)
ROUTES = tuple(route for route, _ in _ROUTES)


def find_route(text: str) -> str:
    """The route that folded text names, or that its form of medicine implies (a cream is topical); "" where none."""
    return next((route for route, pattern in _COMPILED_ROUTES if pattern.search(text)), "")


def leading_route(text: str) -> str:
    """The route that stands right before a medicine: "IV ", "oral ", "topical "; "" where none."""
    tail = re.sub(r"(?:\b(?:a|the|low-dose|high-dose|daily|nightly|dose of|doses of|bolus of|home|his|her)\s+)+$", "", text)
    words = re.search(r"(?:\S+\s+){1,2}$", tail)
    return find_route(words[0]) if words and re.search(r"(?:iv|i\.v\.|oral|po|p\.o\.|im|i\.m\.|topical|inhaled|nasal|"
                                                       r"nebulized|intravenous|intramuscular|subcutaneous|sublingual|rectal|vaginal|transdermal|intrathecal|epidural|iv push|ophthalmic|otic)"
                                                       r"(?: push| bolus)?\s+$", words[0]) else ""
