"""Wrong answers with one thing wrong each, by name.

A corruption takes what an expert would say (a `Script`) and returns the script of a wrong answer, or None where it
does not apply. Every one is false by construction against gold: a verdict that is not gold's, a dose more than 5 %
away, a reason or a monitor phrase that shares no word with gold's, an alternative that the judge stops for this very
patient. A test grades each of them: at least one scorer must fail it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from posology.curriculum.answers import NOT_COVERED_DRUG, Script, needed, verdict_sentence
from posology.curriculum.questions import capital
from posology.curriculum.records import GoldDose
from posology.curriculum.situations import Bench, Situation
from posology.knowledge.dose import dose_text
from posology.knowledge.fact import Verdict
from posology.knowledge.patient import Patient
from posology.knowledge.units import number
from posology.text.calculator import CalculatorError, evaluate

STRICTNESS = ("OK", "CAUTION", "AVOID", "CONTRAINDICATED")  # ADJUST needs a dose, and is never invented
SMALL_WORDS = frozenset(["a", "an", "the", "of", "in", "from", "with", "by", "for", "and", "or", "to", "at", "on", "due", "risk", "increased", "raised", "more", "blood", "serum", "level"])
INVENTED_REASONS = ("pregnancy", "dialysis", "heart failure", "breastfeeding", "gout", "asthma", "cirrhosis")
ASKABLE = ("egfr", "weight_kg", "age_years", "child_pugh", "creatinine_mg_dl", "crcl")


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: a script whose text is the answer, or the whole text where no script says it."""

    script: Script
    said: str = ""  # replaces the verdict sentence
    whole: str = ""  # replaces the answer


@dataclass(frozen=True)
class Bank:
    """What wrong answers are made from: other facts' words, and the judge to verify with."""

    bench: Bench
    mechanisms: tuple[str, ...]
    monitors: tuple[str, ...]
    bands: dict[str, tuple[tuple[Situation, Script], ...]]  # drug -> its other situations with a number that decides

    @classmethod
    def of(cls, bench: Bench, bands: dict[str, tuple[tuple[Situation, Script], ...]]) -> Bank:
        facts = bench.library.facts
        return cls(
            bench,
            tuple(sorted({fact.mechanism for fact in facts if fact.mechanism})),
            tuple(sorted({fact.monitoring for fact in facts if fact.monitoring})),
            bands,
        )


Corruption = Callable[[Script, Situation, Bank, random.Random], Wrong | None]


def words(text: str) -> set[str]:
    """The words of a phrase that carry meaning."""
    return set(re.findall(r"[a-z0-9]+", text.lower())) - SMALL_WORDS


# Verdicts -------------------------------------------------------------------------------------------------------------


def _with_verdict(script: Script, verdict: str) -> Wrong:
    gold = script.gold
    stops = verdict in ("AVOID", "CONTRAINDICATED")
    dose = None if stops else gold.dose
    changed = replace(gold, verdict=verdict, dose=dose, dose_required=gold.dose_required and dose is not None)
    return Wrong(replace(script, gold=changed))


def verdict_up(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
    """A stricter verdict than gold's."""
    verdict = script.gold.verdict
    floor = "CAUTION" if verdict == "ADJUST" else verdict
    stricter = STRICTNESS[STRICTNESS.index(floor) + 1 :]
    return _with_verdict(script, rng.choice(stricter)) if stricter else None


def verdict_up_to_contraindicated(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    return None if script.gold.verdict == "CONTRAINDICATED" else _with_verdict(script, "CONTRAINDICATED")


def verdict_down(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
    """A laxer verdict than gold's."""
    verdict = script.gold.verdict
    if verdict == "ADJUST":
        return _with_verdict(script, rng.choice(("OK", "CAUTION")))
    laxer = STRICTNESS[: STRICTNESS.index(verdict)]
    return _with_verdict(script, rng.choice(laxer)) if laxer else None


_NEGATED = {
    "CONTRAINDICATED": "{Drug} is not contraindicated.", "AVOID": "Do not avoid {drug}.",
    "CAUTION": "Use {drug} without caution.", "OK": "{Drug} is not acceptable.",
    "ADJUST": "Do not adjust the dose of {drug}.",
}  # fmt: skip


def negated(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """Gold's verdict with "not"."""
    name = script.of or script.drug if script.gold.verdict == "ADJUST" else script.drug
    return Wrong(script, said=_NEGATED[script.gold.verdict].format(drug=name, Drug=capital(name)))


def sibling_drug(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """The verdict on a class sibling, or on a drug that looks alike, instead of the asked one."""
    library = bank.bench.library
    siblings = {name for group in library.classes_of(script.drug) for name in library.members(group)}
    alike = {name for name in library.drugs if name[:3] == script.drug[:3] or name[-4:] == script.drug[-4:]}
    other = sorted((siblings | alike) - {script.drug, script.of, script.instead_of})
    if not other or (script.of and script.of != script.drug):
        return None
    name = rng.choice(other)
    changed = replace(script, drug=name, of=name if script.of else "")
    return None if name in script.gold.alternatives else Wrong(changed)


# Reasons --------------------------------------------------------------------------------------------------------------

_BOUND = re.compile(r" is (?:from (?P<low>[\d.]+) to (?P<high>[\d.]+)|(?P<below>below) (?P<b>[\d.]+)|(?P<above>above) (?P<a>[\d.]+)|(?P<n>[\d.]+) or (?P<side>above|below))\.")


def threshold_shifted(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
    """The deciding number against another threshold, or on the wrong side of its own."""
    match = _BOUND.search(script.gold.deciding)
    if match is None:
        return None
    factor = rng.choice((0.5, 0.75, 1.5, 2.0))

    def moved(text: str) -> str:
        return number(max(1.0, round(float(text) * factor)) if float(text) >= 2 else round(float(text) * factor, 1))

    if match["low"]:
        choices = [f"from {moved(match['low'])} to {moved(match['high'])}", f"below {match['low']}", f"{match['high']} or above"]
    elif match["below"]:
        choices = [f"below {moved(match['b'])}", f"{match['b']} or above"]
    elif match["above"]:
        choices = [f"above {moved(match['a'])}", f"{match['a']} or below"]
    else:
        other = "below" if match["side"] == "above" else "above"
        choices = [f"{moved(match['n'])} or {match['side']}", f"{other} {match['n']}"]
    new = f" is {rng.choice(choices)}."
    if new == match[0]:
        return None
    return Wrong(replace(script, gold=replace(script.gold, deciding=script.gold.deciding.replace(match[0], new, 1))))


def band_swapped(script: Script, situation: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """What holds in another band of the same drug, with this patient's number."""
    match = _BOUND.search(script.gold.deciding)
    if match is None:
        return None
    stem = script.gold.deciding[: match.start()]
    name = stem.split(" of ")[0]
    for _ in range(4):
        other, said = rng.choice(bank.bands.get(situation.drug, ()) or ((situation, script),))
        bound = _BOUND.search(said.gold.deciding)
        if bound is None or said.gold.verdict == script.gold.verdict or not said.gold.deciding.startswith(name):
            continue
        if other.patient.indication != situation.patient.indication or said.gold.conflict:
            continue
        return Wrong(replace(said, gold=replace(said.gold, deciding=f"{stem}{bound[0]}")))
    return None


def wrong_mechanism(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """Another drug's mechanism, which shares no word with gold's."""
    return _other_phrase(script, "mechanism", bank.mechanisms, rng)


def monitoring_invented(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """Something else to monitor in the place of gold's."""
    return _other_phrase(script, "monitoring", bank.monitors, rng)


def _other_phrase(script: Script, name: str, phrases: Sequence[str], rng: random.Random) -> Wrong | None:
    own = str(getattr(script.gold, name))
    if not own:
        return None
    for _ in range(8):
        phrase = rng.choice(phrases)
        if not words(phrase) & words(own) and len(phrase.split()) - len(own.split()) in (-1, 0, 1):
            return Wrong(replace(script, gold=replace(script.gold, **{name: phrase})))
    return None


def monitoring_dropped(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """Nothing to monitor, where gold names it: right, and not complete."""
    return Wrong(replace(script, gold=replace(script.gold, monitoring=""))) if script.gold.monitoring else None


def wrong_reason(script: Script, situation: Situation, _: Bank, rng: random.Random) -> Wrong | None:
    """The right verdict because of something that this patient does not have."""
    if not script.gold.deciding:
        return None
    own = words(script.gold.deciding) | words(str(situation.patient))
    reasons = [reason for reason in INVENTED_REASONS if not words(reason) & own and not _has(situation.patient, reason)]
    if not reasons:
        return None
    return Wrong(replace(script, gold=replace(script.gold, deciding=f"Deciding: {rng.choice(reasons)}.")))


def _has(patient: Patient, reason: str) -> bool:
    return (reason == "pregnancy" and patient.pregnant) or (reason == "breastfeeding" and patient.lactating)


def unsafe_alternative(script: Script, situation: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """An alternative that this very patient must not have: the judge stops it."""
    gold, library = script.gold, bank.bench.library
    if not gold.alternatives:
        return None
    patient, replaced = situation.patient, script.instead_of or script.drug
    if replaced != script.drug:  # the co-medication is replaced: the asked drug stays
        patient = replace(patient, comeds=(script.drug,), indication="")
    near = [name for group in library.classes_of(replaced) for name in library.members(group)]
    others = sorted({*near, *rng.sample(sorted(library.drugs), 6)} - {replaced, script.drug, *gold.alternatives})
    rng.shuffle(others)
    for name in others[:6]:
        asked = situation.patient if replaced == script.drug else patient
        if bank.bench.judge(asked, name).verdict.stops and bank.bench.judge(situation.patient, name).verdict.stops:
            return Wrong(replace(script, gold=replace(gold, alternatives=(name,))))
    return None


# Doses ----------------------------------------------------------------------------------------------------------------


def dose_x10(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """Ten times gold's dose, in the expression as well."""
    return _scaled(script, 10.0)


def dose_div10(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """A tenth of gold's dose, in the expression as well."""
    return _scaled(script, 0.1)


def _scaled(script: Script, factor: float) -> Wrong | None:
    dose = script.gold.dose
    if dose is None or dose.unit == "%":
        return None
    changed = replace(
        dose, low=dose.low * factor, high=dose.high * factor, steps=tuple(step * factor for step in dose.steps),
        expression=_scaled_expression(dose.expression, factor), expression_low=_scaled_expression(dose.expression_low, factor),
        step_expressions=tuple(_scaled_expression(text, factor) for text in dose.step_expressions),
    )  # fmt: skip
    return _with_dose(script, replace(changed, text=_plain_text(changed)))


_CAPPED = re.compile(r"^min\((?P<body>.+),(?P<cap>[\d.]+)\)(?P<rest>(?:/\d+)?)$")


def _scaled_expression(expression: str, factor: float) -> str:
    """Each dose a kilogram, and the cap, times `factor`: "min(50*45/2,875)" -> "min(50*450/2,8750)"."""
    if match := _CAPPED.match(expression):
        return f"min({_scaled_expression(match['body'], factor)},{number(float(match['cap']) * factor)}){match['rest']}"
    return re.sub(r"\*([\d.]+)", lambda found: f"*{number(float(found[1]) * factor)}", expression)


def _plain_text(dose: GoldDose) -> str:
    shown = number(dose.low) if dose.low == dose.high else f"{number(dose.low)} to {number(dose.high)}"
    if dose.unit == "%":
        return f"{shown} % of the usual dose"
    if dose.ceiling:
        return f"at most {shown} {dose.unit} a {dose.per}"
    return dose_text(shown, dose.unit, dose.per, dose.every_h)


def _with_dose(script: Script, dose: GoldDose) -> Wrong | None:
    if not _consistent(dose):
        return None
    return Wrong(replace(script, gold=replace(script.gold, dose=dose)))


def _consistent(dose: GoldDose) -> bool:
    """Whether the expressions still give the values, so that the calculator does not betray the corruption."""
    pairs = [(dose.expression, dose.high), (dose.expression_low, dose.low), *zip(dose.step_expressions, dose.steps, strict=False)]
    try:
        return all(not text or abs(evaluate(text) - value) <= 1e-3 * max(1.0, abs(value)) for text, value in pairs)
    except CalculatorError:
        return False


_OTHER_UNIT = {"mg": ("g", "mcg"), "g": ("mg",), "mcg": ("mg",), "units": ("mg",), "mL": ("mg",), "%": ("mg",)}


def unit_swapped(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
    """The right number with another unit."""
    dose = script.gold.dose
    if dose is None:
        return None
    changed = replace(dose, unit=rng.choice(_OTHER_UNIT[dose.unit]))
    return _with_dose(script, replace(changed, text=_plain_text(changed)))


def day_for_dose(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """A dose told as a day's amount, or a day's amount as a dose."""
    dose = script.gold.dose
    if dose is None or dose.unit == "%" or dose.steps:
        return None
    if dose.per == "dose" and dose.every_h is not None and dose.every_h[1] <= 12 and not dose.ceiling:
        changed = replace(dose, per="day", every_h=None)
    elif dose.per == "day" and not dose.ceiling:
        changed = replace(dose, per="dose", every_h=(6.0, 6.0))
    elif dose.per == "day":
        return _with_dose(script, replace(dose, text=f"at most {number(dose.high)} {dose.unit} every 6 h"))
    else:
        return None
    return _with_dose(script, replace(changed, text=_plain_text(changed)))


def cap_dropped(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """The dose by weight above its maximum, where the maximum decides."""
    dose = script.gold.dose
    if dose is None or not dose.cap_binding:
        return None
    if dose.steps:
        texts = tuple(re.sub(r"^min\(([\d.]+),[\d.]+\)", r"\1", text) for text in dose.step_expressions)
        steps = tuple(evaluate(text) for text in texts)
        return _with_dose(script, replace(dose, steps=steps, high=steps[0], low=steps[0], step_expressions=texts))
    high_text, low_text = (_uncapped(text) for text in (dose.expression, dose.expression_low))
    if high_text == dose.expression:
        return None
    high = evaluate(high_text)
    low = evaluate(low_text) if low_text else high if dose.low == dose.high else dose.low
    if high <= 1.06 * dose.high:
        return None
    return _with_dose(script, replace(dose, high=high, low=low, expression=high_text, expression_low=low_text))


def _uncapped(expression: str) -> str:
    match = _CAPPED.match(expression)
    return f"{match['body']}{match['rest']}" if match else expression


# Abstention -----------------------------------------------------------------------------------------------------------


def needless_abstention(script: Script, situation: Situation, _: Bank, rng: random.Random) -> Wrong | None:
    """Asking for a value, or declining, where the facts answer."""
    unknown = [name for name in ASKABLE if getattr(situation.patient, name) is None]
    return Wrong(script, whole=needed([rng.choice(unknown)]) if unknown and rng.random() < 0.6 else NOT_COVERED_DRUG)


def confident(script: Script, _: Situation, __: Bank, ___: random.Random) -> Wrong | None:
    """A confident answer where it cannot be given: `script` is what some other patient, or drug, would get."""
    return Wrong(script)


CORRUPTIONS: dict[str, Corruption] = {
    "verdict_up": verdict_up,
    "verdict_down": verdict_down,
    "negated": negated,
    "sibling_drug": sibling_drug,
    "threshold_shifted": threshold_shifted,
    "band_swapped": band_swapped,
    "wrong_mechanism": wrong_mechanism,
    "wrong_reason": wrong_reason,
    "unsafe_alternative": unsafe_alternative,
    "monitoring_dropped": monitoring_dropped,
    "monitoring_invented": monitoring_invented,
    "dose_x10": dose_x10,
    "dose_div10": dose_div10,
    "unit_swapped": unit_swapped,
    "day_for_dose": day_for_dose,
    "cap_dropped": cap_dropped,
    "needless_abstention": needless_abstention,
    "wrong_missing": confident,
    "confident_missing": confident,
    "confident_unknown": confident,
}  # fmt: skip
_HEARD = {
    "threshold_shifted": "deciding", "wrong_mechanism": "mechanism", "wrong_reason": "deciding",
    "unsafe_alternative": "instead", "monitoring_invented": "monitor",
}  # fmt: skip
_DOSES = ("dose_x10", "dose_div10", "unit_swapped", "day_for_dose", "cap_dropped")


def heard(name: str, script: Script) -> str:
    """The optional element that must be said for the corruption to be heard; "" where the verdict sentence tells it."""
    if name in _DOSES and script.gold.verdict != "ADJUST" and not script.tells_usual_dose:
        return "instead"
    return _HEARD.get(name, "")


def corrupted(name: str, script: Script, situation: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """The named wrong answer, or None where it does not apply or turns out no different."""
    if Verdict(script.gold.verdict) is Verdict.INSUFFICIENT:
        return None
    if name in _DOSES and heard(name, script) and script.gold.alternatives:
        return None  # no sentence of the answer would hold the dose
    return CORRUPTIONS[name](script, situation, bank, rng)


def wrong_text(wrong: Wrong, elements: Sequence[str]) -> str:
    """The wrong answer with these optional elements."""
    if wrong.whole:
        return wrong.whole
    text = wrong.script.text(elements)
    return wrong.said + text[len(verdict_sentence(wrong.script)) :] if wrong.said else text
