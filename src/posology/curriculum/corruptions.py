"""Wrong answers with one thing wrong each, by name.

A corruption takes what an expert would say (a `Script`) and returns the script of a wrong answer, or None where it
does not apply. Every one is false by construction against gold: a verdict that is not gold's, a dose more than 5 %
away, a reason or a monitor phrase that shares no word with gold's, an alternative that the judge stops for this very
patient. A test grades each of them: at least one scorer must fail it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from posology.curriculum.answers import NOT_COVERED_DRUG, Script, needed, usual_dose, verdict_sentence
from posology.curriculum.questions import capital
from posology.curriculum.records import GoldDose
from posology.curriculum.situations import Bench, Situation
from posology.curriculum.wrong_doses import day_for_dose, in_another_unit, of_another, scaled, uncapped
from posology.knowledge.fact import Fact, Verdict
from posology.knowledge.patient import Patient
from posology.knowledge.units import number
from posology.text.comparison import NUMBER
from posology.text.references import statement_in

STRICTNESS = ("OK", "CAUTION", "AVOID", "CONTRAINDICATED")  # ADJUST needs a dose, and is never invented
_SMALL = "a an the of in from with by for and or to at on due risk increased raised more blood serum level"
SMALL_WORDS = frozenset(_SMALL.split())
INVENTED_REASONS = ("pregnancy", "dialysis", "heart failure", "breastfeeding", "gout", "asthma", "cirrhosis")
OF_THIS_DRUG = 0.5  # share of wrong mechanisms and monitors that are right in another question about the drug
_SHIFTS = (0.5, 0.75, 1.5, 2.0)  # of a threshold
ASKABLE = ("egfr", "weight_kg", "age_years", "child_pugh", "creatinine_mg_dl", "crcl")


@dataclass(frozen=True)
class Wrong:
    """A wrong answer: a script whose text is the answer, or the whole text where no script says it."""

    script: Script
    said: str = ""  # replaces the verdict sentence
    beside: str = ""  # a sentence too many, after the verdict sentence
    whole: str = ""  # replaces the answer


Given = tuple[GoldDose, float | None]  # with the weight (kg) of the patient it is for


@dataclass(frozen=True)
class Bank:
    """What wrong answers are made from: other facts' words, and the judge to verify with."""

    bench: Bench
    mechanisms: tuple[str, ...]
    monitors: tuple[str, ...]
    bands: dict[str, tuple[tuple[Situation, Script], ...]]  # drug -> its other situations with a number that decides
    doses: tuple[Given, ...]  # of facts
    usual: dict[str, tuple[Given, ...]]  # drug -> its doses where nothing needs adjusting

    @classmethod
    def of(
        cls, bench: Bench, bands: dict[str, tuple[tuple[Situation, Script], ...]], doses: Sequence[Given] = (),
        usual: dict[str, tuple[Given, ...]] | None = None,
    ) -> Bank:  # fmt: skip
        facts = bench.library.facts
        return cls(bench, _phrases(facts, "mechanism"), _phrases(facts, "monitoring"), bands, tuple(doses), usual or {})


def _phrases(facts: Iterable[Fact], name: str) -> tuple[str, ...]:
    """What facts say of their mechanism, or of what to monitor."""
    return tuple(sorted({phrase for fact in facts if (phrase := getattr(fact, name))}))


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


def threshold_shifted(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
    """The deciding number against another threshold, on the same side of it."""
    own = statement_in(script.gold.deciding)
    if own is None or not own.limits:
        return None
    for factor in rng.sample(_SHIFTS, len(_SHIFTS)):
        new = own.against(_shifted(limit, factor) for limit in own.limits)
        if new != own.text and re.sub(NUMBER, "", new) == re.sub(NUMBER, "", own.text):
            deciding = script.gold.deciding.replace(own.text, new, 1)
            return Wrong(replace(script, gold=replace(script.gold, deciding=deciding)))
    return None


def _shifted(limit: str, factor: float) -> str:
    moved = float(limit) * factor
    return number(max(1.0, round(moved)) if float(limit) >= 2 else round(moved, 1))


def band_swapped(script: Script, situation: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """What holds in another band of the same drug, with this patient's number against that band's limits."""
    own = statement_in(script.gold.deciding)
    if own is None:
        return None
    for _ in range(4):
        other, said = rng.choice(bank.bands.get(situation.drug, ()) or ((situation, script),))
        theirs = statement_in(said.gold.deciding)
        if theirs is None or said.gold.verdict == script.gold.verdict or theirs.name != own.name or not theirs.limits:
            continue
        if other.patient.indication != situation.patient.indication or said.gold.conflict:
            continue
        return Wrong(replace(said, gold=replace(said.gold, deciding=own.against(theirs.limits))))
    return None


def wrong_mechanism(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """Another mechanism, which shares no word with gold's."""
    return _other_phrase(script, "mechanism", bank.mechanisms, bank, rng)


def monitoring_invented(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """Something else to monitor in the place of gold's."""
    return _other_phrase(script, "monitoring", bank.monitors, bank, rng)


def _other_phrase(script: Script, name: str, every: Sequence[str], bank: Bank, rng: random.Random) -> Wrong | None:
    """Half of the time what other facts say of this very drug: what a policy is most likely to say wrongly."""
    own = str(getattr(script.gold, name))
    if not own:
        return None
    right = script.gold.monitored if name == "monitoring" else ()
    near, far = (
        [phrase for phrase in phrases if _another(phrase, own) and not any(words(phrase) & words(one) for one in right)]
        for phrases in (
            _phrases(bank.bench.library.facts_for(script.drug), name),
            rng.sample(every, min(len(every), 8)),
        )
    )
    among = near if near and rng.random() < OF_THIS_DRUG else far
    if not among:
        return None
    gold, phrase = script.gold, rng.choice(among)
    gold = replace(gold, mechanism=phrase) if name == "mechanism" else replace(gold, monitoring=phrase)
    return Wrong(replace(script, gold=gold))


def _another(phrase: str, own: str) -> bool:
    """Whether a phrase shares no word with gold's, and is as long."""
    return not words(phrase) & words(own) and len(phrase.split()) - len(own.split()) in (-1, 0, 1)


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


def _dosed(change: Callable[[GoldDose, random.Random], GoldDose | None]) -> Corruption:
    """A corruption from a change of the dose (see wrong_doses.py)."""

    def corrupt(script: Script, _: Situation, __: Bank, rng: random.Random) -> Wrong | None:
        dose = script.gold.dose and change(script.gold.dose, rng)
        return Wrong(replace(script, gold=replace(script.gold, dose=dose))) if dose else None

    return corrupt


def dose_of_another(script: Script, situation: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """A dose that is right for another fact: none of its parts looks odd."""
    dose = script.gold.dose and of_another(script.gold.dose, bank.doses, situation.patient.weight_kg, rng)
    return Wrong(replace(script, gold=replace(script.gold, dose=dose))) if dose else None


def usual_dose_beside(script: Script, _: Situation, bank: Bank, rng: random.Random) -> Wrong | None:
    """An adjusted dose, and then the drug's usual one as well: two doses, and nobody knows which to give."""
    gold = script.gold
    if gold.verdict != "ADJUST" or gold.dose is None:
        return None
    usual = [dose for dose, _ in bank.usual.get(script.of or script.drug, ()) if not (dose.expression or dose.steps)]
    others = [dose for dose in usual if dose.text != gold.dose.text]
    return Wrong(script, beside=usual_dose(rng.choice(others))) if others else None


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
    "dose_x10": _dosed(lambda dose, _: scaled(dose, 10.0)),
    "dose_div10": _dosed(lambda dose, _: scaled(dose, 0.1)),
    "unit_swapped": _dosed(in_another_unit),
    "day_for_dose": _dosed(lambda dose, _: day_for_dose(dose)),
    "cap_dropped": _dosed(lambda dose, _: uncapped(dose)),
    "dose_of_another": dose_of_another,
    "usual_dose_beside": usual_dose_beside,
    "needless_abstention": needless_abstention,
    "wrong_missing": confident,
    "confident_missing": confident,
    "confident_unknown": confident,
}  # fmt: skip
_HEARD = {
    "threshold_shifted": "deciding", "wrong_mechanism": "mechanism", "wrong_reason": "deciding",
    "unsafe_alternative": "instead", "monitoring_invented": "monitor",
}  # fmt: skip
_DOSES = ("dose_x10", "dose_div10", "unit_swapped", "day_for_dose", "cap_dropped", "dose_of_another")


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
    verdict = verdict_sentence(wrong.script)
    after = wrong.script.text(elements)[len(verdict) :]
    return " ".join(filter(None, (wrong.said or verdict, wrong.beside))) + after


# Style: right in every word, and worse all the same ----------------------------------------------------------------------

_SENTENCE = re.compile(r"(?<=\.)\s")  # a full stop inside a number ends nothing


def sentence_repeated(answer: str, rng: random.Random) -> str:
    """One sentence said again, at once or at the end: as right as before, and longer for nothing."""
    sentences = _SENTENCE.split(answer)
    place = rng.randrange(len(sentences))
    sentences.insert(rng.choice((place + 1, len(sentences))), sentences[place])
    return " ".join(sentences)


STYLES: dict[str, Callable[[str, random.Random], str]] = {"sentence_repeated": sentence_repeated}
