"""Doses and routes as notes write them: read from text, compared in one unit, written in one spelling.

Every pattern is for folded text (`fold`), which keeps each character in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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
NUMBER_WORDS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
          "eleven": 11, "twelve": 12, "half a": 0.5, "half an": 0.5, "half": 0.5, "one-half": 0.5, "a half": 0.5,
          "a": 1, "an": 1, "1/2": 0.5, "1 1/2": 1.5, "½": 0.5, "¼": 0.25, "one and a half": 1.5}  # fmt: skip
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_WORD_NUMBER = "|".join(sorted((re.escape(word) for word in NUMBER_WORDS), key=len, reverse=True))
_SPOKEN = {"zero": 0, "oh": 0, "eleven": 11, "twelve": 12, "thirteen": 13, "fifteen": 15, "sixteen": 16, "eighteen": 18, "twenty": 20,
           "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
           **{word: value for word, value in NUMBER_WORDS.items() if word.isalpha() and len(word) > 2 and value >= 1}}  # fmt: skip
_SPOKEN_WORD = "(?:" + "|".join([*_SPOKEN, "hundred", "thousand", "point"]) + ")"
_AMOUNT = (
    rf"(?:{NUMBER}|{_SPOKEN_WORD}(?:[ -](?:and )?{_SPOKEN_WORD})*)"  # dialogues spell: "two point five milligrams"
)
_ANY_UNIT = "|".join(f"(?:{pattern})" for _, pattern in _UNITS)
_ANY_COUNTED = "|".join(f"(?:{pattern})" for _, pattern in _COUNTED)
_PER = r"(?P<per>(?: ?(?:/|per) ?(?:kg|kilogram|m2|hours?|hr?|days?|d|minutes?|min|dose|24 ?h(?:ou)?rs?)\b){0,3})"
_NO_LAB = r"(?! ?(?:/|per) ?(?:d?l|ml|mm ?3|mm|cmm|hpf|g|liter|litre|deciliter)\b)"
_STRENGTH = re.compile(
    rf"(?<![\w.,/#])(?P<low>{_AMOUNT})(?:(?: ?-?(?:{_ANY_UNIT}))? ?(?P<join>-|/|\bto\b) ?(?P<high>{_AMOUNT}))?"
    rf"(?: ?(?:/) ?(?P<third>{NUMBER}))? ?-?(?P<unit>{_ANY_UNIT})(?<!\d)(?![a-z0-9]){_NO_LAB}{_PER}"
)
_COUNT = re.compile(
    rf"(?<![\w.,/#])(?P<low>{NUMBER}|{_WORD_NUMBER})(?: ?(?:-|\bto\b|\bor\b) ?(?P<high>{NUMBER}|{_WORD_NUMBER}))?"
    rf"(?:[ -](?:full|small|metered|ds|double[ -]strength))?[ -]{{0,2}}(?P<unit>{_ANY_COUNTED})(?![a-z])"
)
_BARE_PAIR = re.compile(
    rf"^\W{{0,3}}(?:[a-z]+ )?(?P<low>{NUMBER})[/-](?P<high>{NUMBER})(?![\w/])(?! ?(?:mm|mg|mcg|g|units?)\b)"
)


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
        unit = (
            self.unit
            if not plural
            else {"patch": "patches", "suppository": "suppositories"}.get(self.unit, self.unit + "s")
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
        bare = _BARE_PAIR.match(text)
        if bare:
            values = (_value(bare["low"]), _value(bare["high"]))
            found.append(Found(Dose(values, "mg", True), bare.start("low"), bare.end()))
    return sorted(found, key=lambda item: item.start)


def read_dose(text: str) -> Dose | None:
    """The first dose in a text, however it is written."""
    found = find_doses(fold(text), combination=False)
    return found[0].dose if found else None


def _value(text: str) -> float:
    if text in NUMBER_WORDS:
        return float(NUMBER_WORDS[text])
    return float(text.replace(",", "")) if text[0].isdigit() or text[0] == "." else _spoken(text)


def _spoken(text: str) -> float:
    """ "two hundred" -> 200, "two point five" -> 2.5, "one twenty five" -> 125 (as prescribers say it)."""
    whole, _, after = text.replace("-", " ").replace(" and ", " ").partition("point")
    total, current = 0.0, 0.0
    for word in whole.split():
        if word == "thousand":
            total, current = total + max(current, 1) * 1000, 0.0
        elif word == "hundred":
            current = max(current, 1) * 100
        else:
            value = _SPOKEN[word]
            current = current * 100 + value if 0 < current < 10 and value >= 10 else current + value
    digits = "".join(str(_SPOKEN.get(word, 0)) for word in after.split())
    return total + current + (float(f"0.{digits}") if digits else 0.0)


def _unit(match: re.Match[str]) -> str:
    unit = next(unit for unit, pattern in _UNITS if re.fullmatch(pattern, match["unit"]))
    per = re.sub(r" ?(?:/|per) ?", "/", match["per"] or "")
    per = re.sub(r"/(?:hours?|hr?)\b", "/h", per)
    per = re.sub(r"/(?:days?|d|24 ?h(?:ou)?rs?)\b", "/day", per)
    per = re.sub(r"/(?:kilogram)\b", "/kg", per)
    per = re.sub(r"/minutes?\b", "/min", per)
    return unit + per.replace("/dose", "")


# Routes ---------------------------------------------------------------------------------------------------------------

_ROUTES = (  # in order: the first that fits
    ("sublingual", r"\bsublingual(?:ly)?\b|\bs\.?l\b\.?|under the tongue"),
    ("ophthalmic", 
        r"\b(?:both|each|left|right|affected|the) eyes?\b|\beye ?drops?\b|\bophthalmic\b|\bo\.?u\.?\b"
        r"|\bto the eyes?\b"),
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
    ("inhaled", 
        r"\binhaled\b|\binhalers?\b|\binhalations?\b|\bpuffs?\b|\bneb(?:s|ulizers?|ulisers?|ulized|ulised)?\b"
        r"|\bmdi\b|\bdiskus\b"),
    ("topical", r"\btopical(?:ly)?\b|\bcream\b|\bointment\b|\blotion\b|\bgel\b|\bshampoo\b|\bapplied to\b|\bapply to\b"),
    ("oral", r"\bp\.?o\b\.?|\bby mouth\b|\boral(?:ly)?\b(?! contraceptive| temperature| intake| cavity)|\bper os\b"),
    ("injection", r"\binject(?:ions?|ed|ing)?\b"),
)  # fmt: skip
_COMPILED_ROUTES = tuple((route, re.compile(pattern)) for route, pattern in _ROUTES)
ROUTES = tuple(route for route, _ in _ROUTES)


def find_route(text: str) -> str:
    """The route that folded text names, or that its form of medicine implies (a cream is topical); "" where none."""
    return next((route for route, pattern in _COMPILED_ROUTES if pattern.search(text)), "")


_BETWEEN = re.compile(
    r"(?:\b(?:a|the|low-dose|high-dose|daily|nightly|doses? of|bolus of|home|his|her|push|bolus)\s+)+$"
)
_LEADS = re.compile(
    r"\b(?:i\.?v\.?|p\.?o\.?|i\.?m\.?|oral|topical|inhaled|nasal|nebulized|intravenous|intramuscular|subcutaneous|sublingual"
    r"|rectal|vaginal|transdermal|intrathecal|epidural|ophthalmic|otic)\s+$"
)


def leading_route(text: str) -> str:
    """The route that stands at the end of folded text, right before a medicine: "IV ", "oral "; "" where none."""
    match = _LEADS.search(_BETWEEN.sub("", text))
    return find_route(match[0]) if match else ""
