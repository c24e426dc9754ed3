"""What a question says about a patient, one fact at a time, in the grammatical shapes that wordings need.

A patient with an eGFR of 28 is "with an eGFR of 28" after a noun, "has an eGFR of 28" in a sentence, "eGFR 28" in a
chart line, "with an eGFR of 28" after a drug, and "the eGFR is 28" after "if". `mentions` gives every stated field of
a patient in all five shapes; age and sex also make the noun itself (`head`).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from posology.knowledge.patient import Allergy, Genotype, Patient


@dataclass(frozen=True)
class Mention:
    """One thing said about a patient."""

    field: str
    after: str  # after the noun: "with an eGFR of 28", "on warfarin", "who is pregnant"
    does: str  # a predicate: "has an eGFR of 28", "takes warfarin", "is pregnant"
    chart: str  # in a list: "eGFR 28", "on warfarin", "pregnant"
    when: str  # after the drug: "with an eGFR of 28", "with warfarin", "in pregnancy"
    given: str  # after "if": "the eGFR is 28", "the patient takes warfarin"


_CONDITIONS: dict[str, tuple[str, str, str]] = {  # noun phrase after "with", predicate, chart; others follow one pattern
    "dialysis": ("", "is on dialysis", "on dialysis"),
    "live vaccination": ("", "will have a live vaccination", "live vaccination"),
    "post-tonsillectomy": ("", "had a tonsillectomy", "post-tonsillectomy"),
    "spinal puncture": ("", "will have a spinal puncture", "spinal puncture"),
    "coronary artery bypass surgery": ("", "has coronary artery bypass surgery", "coronary artery bypass surgery"),
    "calcium-containing intravenous fluid": (
        "", "gets calcium-containing intravenous fluid", "calcium-containing intravenous fluid",
    ),
    "pregnancy at term": ("", "is pregnant at term", "pregnancy at term"),
}  # fmt: skip
_COUNTED = {  # these need an article
    "mechanical heart valve", "urea cycle disorder", "recent myocardial infarction", "aortic aneurysm",
    "systemic fungal infection", "peptic ulcer",
}  # fmt: skip
_TRIMESTERS = {1: "first", 2: "second", 3: "third"}


def number(value: float) -> str:
    """As people write it: 28, 1.6, 0.25 is never needed (ages below 2 years are told in months)."""
    return f"{value:g}"


def article(noun: str) -> str:
    """ "a" or "an" before a noun, by its first letter's sound."""
    return (
        "an"
        if noun[0].lower() in "aeio" or noun.startswith(("HLA", "SLCO", "NSAID", "SSRI", "SGLT", "8", "11-", "18-"))
        else "a"
    )


def age_words(age_years: float) -> tuple[str, str]:
    """("62", "year") or ("7", "month"): months below two years where the age is not a whole year."""
    if age_years < 2 and abs(age_years - round(age_years)) > 1e-6:
        return str(round(age_years * 12)), "month"
    return number(age_years), "year"


def head(patient: Patient, rng: random.Random) -> str:
    """The noun for a patient: "a 62-year-old man", "a 3-month-old baby", "my patient"."""
    age, sex = patient.age_years, patient.sex
    if age is None:
        if sex:
            return {"female": "a woman", "male": "a man"}[sex]
        return rng.choice(("my patient", "my patient", "a patient", "someone"))
    if age == 0:
        return "a newborn"
    count, unit = age_words(age)
    if sex:
        noun = {("female", True): "girl", ("male", True): "boy", ("female", False): "woman", ("male", False): "man"}
        who = " " + noun[sex, age < 18]
    elif age < 13:
        who = rng.choice(("", " child", " child")) if unit == "year" else rng.choice(("", " baby"))
    else:
        who = rng.choice(("", "", " patient"))
    return f"{article(f'{count}-')} {count}-{unit}-old{who}"


def mentions(
    patient: Patient, rng: random.Random, *, age_too: bool = False, classes: Mapping[str, str] | None = None
) -> list[Mention]:
    """Every stated field but age, sex and indication, in the order of the fields; age and sex as well with `age_too`.

    `classes`: labels of drug classes, so that a co-medication may be one: {"nsaid": "NSAID"} gives "on an NSAID".
    """
    out: list[Mention] = []
    if age_too and patient.age_years is not None:
        out.append(_age(patient.age_years, rng))
    if age_too and patient.sex:
        out.append(Mention("sex", "", f"is {patient.sex}", patient.sex, "", f"the patient is {patient.sex}"))
    if patient.weight_kg is not None:
        weight = f"{number(patient.weight_kg)} kg"
        after = rng.choice((f"weighing {weight}", f"of {weight}"))
        out.append(Mention("weight_kg", after, f"weighs {weight}", weight, f"at {weight}", f"the weight is {weight}"))
    for field, names in _LABORATORY.items():
        value = getattr(patient, field)
        if value is not None:
            out.append(_laboratory(field, rng.choice(names), number(value), rng))
    if patient.child_pugh:
        out.append(_child_pugh(patient.child_pugh, rng))
    out += _states(patient, rng)
    out += [_allergy(allergy, rng) for allergy in patient.allergies]
    out += [_genotype(genotype) for genotype in patient.genotypes]
    for comed in patient.comeds:
        label = (classes or {}).get(comed)
        out.append(_comed(f"{article(label)} {label}" if label else comed, rng))
    out += [_condition(condition, rng) for condition in patient.conditions]
    return out


_LABORATORY = {
    "egfr": ("eGFR",),
    "crcl": ("CrCl", "CrCl", "CrCl", "creatinine clearance"),
    "creatinine_mg_dl": ("creatinine",),
}


def _age(age_years: float, rng: random.Random) -> Mention:
    if age_years == 0:
        return Mention("age_years", "", "is a newborn", "newborn", "for a newborn", "the patient is a newborn")
    count, unit = age_words(age_years)
    short = {"year": "y", "month": "months"}[unit]
    plural = unit if count == "1" else f"{unit}s"
    return Mention(
        "age_years", "", f"is {count} {plural} old", rng.choice((f"{count} {short}", f"age {count} {plural}")),
        f"at {count} {plural} of age", f"the age is {count} {plural}",
    )  # fmt: skip


def _laboratory(field: str, name: str, value: str, rng: random.Random) -> Mention:
    noun = f"{article(name)} {name} of {value}"
    return Mention(
        field, f"with {noun}", f"has {noun}", f"{name} {value}",
        rng.choice((f"with {noun}", f"at {noun}", f"with {name} {value}")), f"the {name} is {value}",
    )  # fmt: skip


def _child_pugh(grade: str, rng: random.Random) -> Mention:
    noun = rng.choice((f"Child-Pugh {grade} liver disease", f"Child-Pugh class {grade}"))
    return Mention(
        "child_pugh", f"with {noun}", f"has {noun}", f"Child-Pugh {grade}",
        rng.choice((f"with {noun}", f"in Child-Pugh {grade}")), f"the Child-Pugh class is {grade}",
    )  # fmt: skip


def _states(patient: Patient, rng: random.Random) -> list[Mention]:
    """Pregnancy (with its trimester) and breastfeeding."""
    out = []
    if patient.pregnant and patient.trimester:
        time = f"the {_TRIMESTERS[patient.trimester]} trimester"
        chart = rng.choice((f"pregnant, {_TRIMESTERS[patient.trimester]} trimester", f"{time[4:]} of pregnancy"))
        out.append(
            Mention(
                "pregnant", f"in {time}", f"is in {time} of pregnancy", chart, f"in {time}", f"the patient is in {time}"
            )
        )
    elif patient.pregnant:
        when = rng.choice(("in pregnancy", "during pregnancy"))
        out.append(Mention("pregnant", "who is pregnant", "is pregnant", "pregnant", when, "the patient is pregnant"))
    if patient.lactating:
        when = rng.choice(("during breastfeeding", "while breastfeeding"))
        out.append(
            Mention(
                "lactating",
                "who is breastfeeding",
                "is breastfeeding",
                "breastfeeding",
                when,
                "the patient is breastfeeding",
            )
        )
    return out


def _allergy(allergy: Allergy, rng: random.Random) -> Mention:
    name = allergy.allergen
    plain = f"{article(name)} {name} allergy"
    if allergy.reaction == "immediate":
        noun, chart = rng.choice(
            ((f"an immediate {name} allergy", f"{name} allergy (immediate)"), (f"anaphylaxis to {name}",) * 2)
        )
    elif allergy.reaction in ("severe delayed", "mild"):
        noun = rng.choice((f"a {allergy.reaction} {name} allergy", f"a {allergy.reaction} reaction to {name}"))
        chart = f"{name} allergy ({allergy.reaction})"
    else:
        noun, chart = plain, f"{name} allergy"
    does = f"is allergic to {name}" if noun == plain and rng.random() < 0.5 else f"has {noun}"
    return Mention("allergies", f"with {noun}", does, chart, f"with {noun}", f"the patient {does}")


def _genotype(genotype: Genotype) -> Mention:
    text, field = f"{genotype.gene} {genotype.phenotype}".strip(), f"genotype:{genotype.gene}"
    if not genotype.phenotype:
        noun = f"an unknown {genotype.gene} result"
        return Mention(
            field, f"with {noun}", f"has {noun}", f"{genotype.gene} unknown", f"with {noun}",
            f"the {genotype.gene} result is unknown",
        )  # fmt: skip
    if genotype.phenotype.endswith("metabolizer"):
        noun = f"{article(genotype.gene)} {text}"
        return Mention(field, f"who is {noun}", f"is {noun}", text, f"in {noun}", f"the patient is {noun}")
    if genotype.phenotype in ("positive", "negative"):
        return Mention(field, f"who is {text}", f"is {text}", text, f"with {text}", f"the patient is {text}")
    return Mention(field, f"with {text}", f"has {text}", text, f"with {text}", f"the patient has {text}")


def _comed(name: str, rng: random.Random) -> Mention:
    return Mention(
        "comeds", rng.choice((f"on {name}", f"taking {name}", f"who takes {name}")),
        rng.choice((f"takes {name}", f"takes {name}", f"is on {name}")), f"on {name}", f"with {name}",
        f"the patient takes {name}",
    )  # fmt: skip


def _condition(name: str, rng: random.Random) -> Mention:
    if name in _CONDITIONS:
        noun, does, chart = _CONDITIONS[name]
        return Mention("conditions", f"who {does}", does, chart, f"if the patient {does}", f"the patient {does}")
    noun = f"a {name}" if name.startswith("history of") else f"{article(name)} {name}" if name in _COUNTED else name
    when = rng.choice((f"with {noun}", f"with {noun}", f"in {name}"))
    return Mention("conditions", f"with {noun}", f"has {noun}", name, when, f"the patient has {noun}")


# Said instead of a value that decides: true of the patient, and not enough.
VAGUE: dict[str, tuple[Mention, ...]] = {
    "kidney": tuple(
        Mention("vague", f"with {noun}", f"has {noun}", noun, f"with {noun}", f"the patient has {noun}")
        for noun in ("kidney disease", "reduced kidney function", "kidney problems")
    ),
    "liver": tuple(
        Mention("vague", f"with {noun}", f"has {noun}", noun, f"with {noun}", f"the patient has {noun}")
        for noun in ("liver disease", "reduced liver function")
    ),
}
