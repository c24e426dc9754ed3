"""A patient and a drug -> the text of a question, in a wording of the asked group."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from posology.curriculum.chatter import SURNAMES, around, blurred, person
from posology.curriculum.jotting import hasty, in_brackets, joined, joiner, jotted, of_age
from posology.curriculum.mentions import Mention, head, mentions
from posology.curriculum.phrasing import STRUCTURES, Frame, frames_for
from posology.curriculum.splits import Group
from posology.knowledge.patient import Patient

COMBINED = 0.4  # share of questions about a combination that are worded for two drugs
_SPELLED = (
    ("gerd", "GERD"), ("hiv ", "HIV "), ("g6pd", "G6PD"), ("long qt", "long QT"), ("vitamin k ", "vitamin K "),
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    text: str
    wording: str  # frame|structure: shared by no two groups
    names: tuple[str, ...] = ()  # the medicines as the text has them, the asked one first: see `medicines`


@dataclass(frozen=True)
class Slots:
    """What a question is about, before it is worded."""

    drug: str  # as written: a generic name, a brand, a misspelling
    patient: Patient
    extra: tuple[Mention, ...] = ()  # said besides the patient's fields: "kidney disease" without a value


def ask(
    kind: str, slots: Slots, group: Group, rng: random.Random, *,
    classes: Mapping[str, str] | None = None, frame: Frame | None = None,
) -> Question:  # fmt: skip
    """Word a question of this case kind; a given frame is used if the patient fits its slot.

    `classes` labels drug classes ("nsaid" -> "NSAID"). A frame of the group always fits, since noun phrases take all.
    """
    patient = slots.patient
    said = [*mentions(patient, rng, classes=classes), *slots.extra]
    if frame is None or not _fits(frame, patient, said):
        choices = frames_for(kind, group)
        if kind == "interaction" and rng.random() < COMBINED:  # where it fits, name the two drugs alone
            choices = (
                tuple(choice for choice in choices if choice.slot == "comed" and _fits(choice, patient, said))
                or choices
            )
        frame = rng.choice(choices)
        while not _fits(frame, patient, said):
            frame = rng.choice(choices)
    structure = rng.choice(STRUCTURES[frame.slot][group])
    drug = f"{slots.drug} for {spelled(patient.indication)}" if patient.indication else slots.drug
    sex = "female" if patient.pregnant or patient.lactating else patient.sex
    named = person(sex, rng) if group == "train" and rng.random() < SURNAMES else ""
    described = _describe(frame.slot, structure, patient, said, rng, named)
    wording = blurred(frame.text, rng) if group == "train" else frame.text
    text = wording.format(
        drug=drug, Drug=capital(drug), to="in" if patient.indication else "for",
        **{frame.slot: described, capital(frame.slot): capital(described)},
    )  # fmt: skip
    for mark in ("?", ".", ":", ";"):  # a description in commas or dashes at the end
        text = text.replace(f",{mark}", mark).replace(f" -{mark}", mark)
    text = capital(text) if frame.text[0] != "{" else text
    text = around(hasty(of_age(text, rng), rng), rng) if group == "train" else text
    comeds = [comed for comed in patient.comeds if comed not in (classes or {})]
    return Question(text, f"{frame.name}|{structure}", medicines(text, slots.drug, patient.indication, comeds))


def medicines(text: str, drug: str, indication: str | None, comeds: Iterable[str]) -> tuple[str, ...]:
    """The medicines as a question has them: the asked one, with what it is asked for where that follows it, and others."""
    whole = f"{drug} for {spelled(indication)}" if indication else drug
    asked = whole if whole.lower() in text.lower() else drug
    return tuple(as_written(text, name) for name in (asked, *comeds))


def as_written(text: str, name: str) -> str:
    """A name as a question has it, with the space before it: made of the very tokens that stand there."""
    found = _pattern(name).search(text)
    return found[0] if found else f" {name}"


@lru_cache(maxsize=8192)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf" ?(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def spelled(term: str) -> str:
    """A term of the knowledge base as people write it: abbreviations in capitals."""
    for plain, shown in _SPELLED:
        term = term.replace(plain, shown)
    return term


def _fits(frame: Frame, patient: Patient, said: Sequence[Mention]) -> bool:
    aged, sexed = patient.age_years is not None, patient.sex is not None
    if frame.slot == "np":
        return True
    if frame.slot == "comed":
        return len(said) == 1 and said[0].field == "comeds" and not aged and not sexed and not patient.indication
    if frame.slot in ("sentence", "chart"):
        return bool(said) or aged
    return 1 <= len(said) + aged <= 2 and not sexed


def _describe(
    slot: str, structure: str, patient: Patient, said: list[Mention], rng: random.Random, named: str = ""
) -> str:
    """The patient in the shape of a slot; `named` stands for the noun where one is needed."""
    if slot == "np":
        return _noun_phrase(structure, patient, said, rng, named)
    if slot == "sentence":
        return _sentence(structure, patient, said, rng, named)
    if slot == "comed":
        return said[0].when.removeprefix("with ")
    everything = [*_age_and_sex(patient, rng), *said]
    if structure == "jotted":
        rng.shuffle(everything)
        if slot == "chart":
            return spelled(joined([jotted(mention, rng) for mention in everything], rng))
        texts = [mention.when if slot == "when" else mention.given for mention in everything]
        return spelled(joined(texts, rng))
    if slot == "chart":
        if structure == "shuffled":
            rng.shuffle(everything)
        elif structure == "backward":
            everything.reverse()
        return _listed(everything, structure)
    if slot == "when":
        return " ".join(spelled(mention.when) for mention in reversed(everything))
    return " and ".join(spelled(mention.given) for mention in everything)


_MARKS = {"slashes": " / ", "semicolons": "; ", "plus": " + ", "spaces": " ", "minus": " - "}


def _listed(everything: Sequence[Mention], structure: str = "") -> str:
    """ "62 y, male, eGFR 28", or with "and" before the last, or with slashes."""
    texts = [spelled(mention.chart) for mention in everything]
    if mark := _MARKS.get(structure):
        return mark.join(texts)
    if structure == "and" and len(texts) > 1:
        return f"{', '.join(texts[:-1])} and {texts[-1]}"
    return ", ".join(texts)


def _age_and_sex(patient: Patient, rng: random.Random) -> list[Mention]:
    bare = Patient(age_years=patient.age_years, sex=patient.sex)
    return mentions(bare, rng, age_too=True)


def _noun(patient: Patient, rng: random.Random, named: str) -> str:
    """The patient's noun, or a name before it: "Mrs Brandt, a 62-year-old woman"; the name alone where it says all."""
    noun = head(patient, rng)
    says_nothing = noun.startswith(("my ", "a patient", "someone", "a woman", "a man"))
    return noun if not named else named if says_nothing else f"{named}, {noun}"


def _noun_phrase(structure: str, patient: Patient, said: list[Mention], rng: random.Random, named: str = "") -> str:
    noun = _noun(patient, rng, named)
    if not said:
        return noun
    if structure == "list":
        return f"{noun} ({_listed(said)})"
    if structure == "commas":
        return f"{noun}, {_listed(said)},"
    if structure == "dashes":
        return f"{noun} - {_listed(said)} -"
    if structure == "bare":  # as it is jotted down: "62 y, male, eGFR 28"
        return _listed([*_age_and_sex(patient, rng), *said])
    if structure == "jotted":
        return in_brackets(noun, spelled(joined([jotted(mention, rng) for mention in said], rng)), rng)
    if structure == "who":
        return f"{noun} who {' and '.join(spelled(mention.does) for mention in said)}"
    if patient.pregnant and not patient.trimester and patient.age_years is None and rng.random() < 0.4:
        noun, said = "a pregnant woman", [mention for mention in said if mention.field != "pregnant"]
    text, last = noun, ""
    for mention in said:
        phrase = spelled(mention.after)
        if not last or last == "weight_kg":
            text += f" {phrase}"
        elif phrase.startswith("with ") and " with " in text:
            text += f" and {phrase.removeprefix('with ')}"
        else:
            text += f" and {phrase}"
        last = mention.field
    return text


def _sentence(structure: str, patient: Patient, said: list[Mention], rng: random.Random, named: str = "") -> str:
    everything = [*_age_and_sex(patient, rng), *said]
    if structure == "chart":
        return f"{named or 'My patient'}: {_listed(everything)}."
    if structure == "apart":  # a sentence for each thing that is said
        given = [f"{capital(spelled(mention.given))}." for mention in said]
        return " ".join([f"{capital(_noun(patient, rng, named))}.", *given])
    if structure == "jotted":
        rng.shuffle(everything)
        texts = [spelled(jotted(mention, rng)) for mention in everything]
        return f"{named or rng.choice(('My patient', 'A patient', 'Someone', 'This one'))}{joiner(rng)}{joined(texts, rng)}."
    if structure == "see":
        return f"I see {_noun_phrase('after', patient, said, rng)}."
    if structure == "given":
        return capital(" and ".join(spelled(mention.given) for mention in everything)) + "."
    if said and rng.random() < 0.5:  # age and sex in the noun
        noun, told = capital(head(patient, rng)), said
    else:
        noun, told = named or "My patient", everything
    if structure == "two" and len(told) > 1:
        first, *rest = told
        then = capital(" and ".join(spelled(mention.given) for mention in rest))
        return f"{noun} {spelled(first.does)}. {then}."
    return f"{noun} {' and '.join(spelled(mention.does) for mention in told)}."
