"""The judge's rules on invented medicines, each worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posology.knowledge import coverage
from posology.knowledge.fact import Verdict
from posology.knowledge.judge import Judgement, judge
from posology.knowledge.library import Library, load_library
from posology.knowledge.patient import Allergy, Genotype, Patient

STOP, AVOID, ADJUST, CAUTION, OK, UNSURE = (
    Verdict.CONTRAINDICATED, Verdict.AVOID, Verdict.ADJUST, Verdict.CAUTION, Verdict.OK, Verdict.INSUFFICIENT,
)  # fmt: skip
POOR = Genotype("CYP2D6", "poor metabolizer")


@pytest.fixture()
def ask(small: Library) -> Callable[..., Judgement]:
    return lambda drug, **patient: judge(Patient(**patient), drug, small)


Ask = Callable[..., Judgement]


@pytest.mark.parametrize(
    ("drug", "patient", "verdict"),
    [
        ("renalol", {"egfr": 29}, STOP),
        ("renalol", {"egfr": 30}, ADJUST),
        ("renalol", {"egfr": 45}, OK),
        ("renalol", {}, UNSURE),
        ("renalol", {"age_years": 40, "sex": "male", "creatinine_mg_dl": 6.0}, STOP),  # eGFR worked out: 11
        ("thinol", {"comeds": ("calmol",)}, AVOID),  # class with class
        ("calmol", {"comeds": ("thinol",)}, AVOID),  # from the other side
        ("thinol", {"comeds": ("renalol",)}, ADJUST),
        ("thinol", {"child_pugh": "B"}, AVOID),
        ("thinol", {"child_pugh": "A"}, OK),  # below the cited threshold
        ("thinol", {"age_years": 70}, CAUTION),
        ("thinol", {"age_years": 50}, OK),
        ("thinol", {"age_years": 9}, UNSURE),  # the far side of 65 says nothing about a child
        ("thinol", {"genotypes": (POOR,)}, AVOID),
        ("calmol", {}, OK),  # an unconditional fact
        ("calmol", {"trimester": 3}, AVOID),
        ("calmol", {"trimester": 1}, OK),
        ("soothol", {"allergies": (Allergy("moss", "immediate"),)}, STOP),
    ],
)
def test_verdicts(ask: Ask, drug: str, patient: dict[str, Any], verdict: Verdict) -> None:
    assert ask(drug, **patient).verdict is verdict


def test_the_worst_verdict_wins_and_leads(ask: Ask) -> None:
    got = ask("thinol", indication="clot", age_years=70, child_pugh="C")
    assert got.verdict is AVOID
    assert [fact.id for fact in got.facts] == ["thinol.hepatic.b-c", "thinol.older.65", "thinol.indication.clot"]
    assert got.dose is None


def test_a_missing_required_field_is_named(ask: Ask) -> None:
    assert ask("renalol").missing == ("egfr",)
    assert ask("kidol", age_years=5, indication="ache").missing == ("weight_kg",)
    # an adult needs no child's dose: what lacks is a fact
    assert ask("kidol", age_years=30, indication="ache").not_covered == ("indication: ache",)


def test_a_stop_asks_for_nothing(ask: Ask) -> None:
    got = ask("renalol", egfr=20, comeds=("unheard of",))
    assert (got.verdict, got.missing, got.not_covered) == (STOP, (), ())


def test_a_number_that_is_unknown_does_not_fire_but_is_asked_for(ask: Ask) -> None:
    got = ask("thinol", comeds=("kidol",))
    assert (got.verdict, got.missing) == (UNSURE, ("crcl",))
    assert ask("thinol", comeds=("kidol",), crcl=20).verdict is AVOID
    # the safe side of the threshold on CrCl addresses the co-medication
    safe = ask("thinol", comeds=("kidol",), crcl=50)
    assert safe.verdict is OK
    assert safe.deciding[0].bound_text == "30 or above"


def test_the_wrong_kidney_measure_asks_for_the_right_one(ask: Ask) -> None:
    assert ask("kidol", egfr=40, indication="clot").missing == ("crcl",)
    assert ask("kidol", egfr=90, indication="clot").verdict is OK


def test_what_is_stated_must_be_addressed(ask: Ask) -> None:
    got = ask("thinol", indication="clot", comeds=("unheard of",), conditions=("sore liver",), lactating=True)
    assert got.verdict is UNSURE
    assert got.not_covered == ("comed: unheard of", "condition: sore liver", "lactation")
    assert ask("soothol", indication="ache", pregnant=True).not_covered == ("pregnancy",)
    assert ask("soothol", indication="ache", egfr=50).not_covered == ("egfr",)
    assert ask("soothol", indication="ache", egfr=61).verdict is OK
    assert ask("soothol", indication="ache", allergies=(Allergy("nuts"),)).not_covered == ("allergy: nuts",)


def test_unknown_drugs_and_empty_questions(ask: Ask) -> None:
    assert ask("nothingol", egfr=20).not_covered == ("drug: nothingol",)
    assert ask("soothol").not_covered == (coverage.NOTHING,)
    assert ask("soothol").verdict is UNSURE


def test_a_raised_genotype_needs_its_result(ask: Ask) -> None:
    assert ask("thinol", genotypes=(Genotype("CYP2D6"),), indication="clot").missing == ("genotype:CYP2D6",)
    assert ask("thinol", genotypes=(Genotype("DPYD"),), indication="clot").not_covered == ("genotype: DPYD",)
    normal = Genotype("CYP2D6", "normal metaboliser")
    assert ask("thinol", genotypes=(normal,), indication="clot").verdict is OK
    # a result that no fact mentions is not covered
    rapid = Genotype("CYP2D6", "rapid metabolizer")
    assert ask("thinol", genotypes=(rapid,), indication="clot").not_covered == ("genotype: CYP2D6",)


def test_an_unknown_reaction_is_asked_for(ask: Ask) -> None:
    assert ask("soothol", allergies=(Allergy("moss"),), indication="ache").missing == ("reaction:moss",)


def test_an_unknown_trimester_is_asked_for(ask: Ask) -> None:
    assert ask("calmol", pregnant=True).missing == ("trimester",)


def test_doses(ask: Ask) -> None:
    child = ask("kidol", age_years=5, weight_kg=20, indication="ache")
    assert child.dose is not None
    assert (child.dose.of, child.dose.text, child.dose.expression) == ("kidol", "450 mg every 12 h", "min(20*45/2,875)")
    heavy = ask("kidol", age_years=11, weight_kg=50, indication="ache").dose
    assert heavy is not None and heavy.capped and heavy.high == 875
    usual = ask("thinol", indication="clot").dose
    assert usual is not None
    assert (usual.text, usual.max, usual.max_per) == ("5 mg every 12 h", 20, "day")  # the cited maximum goes with it


def test_an_interaction_may_dose_the_other_drug(ask: Ask) -> None:
    got = ask("renalol", comeds=("thinol",), egfr=80)
    assert got.verdict is ADJUST
    assert got.dose is not None and (got.dose.of, got.dose.text) == ("thinol", "at most 10 mg a day")


def test_two_doses_that_no_source_combines_are_not_covered(
    make_folder: Callable[..., Path], write_fact: Callable[..., str]
) -> None:
    rest = 'action = {dose = 100, unit = "mg", every_h = 24}'
    folder = make_folder(write_fact("kidol.renal.child", "renal", "drug kidol", "ADJUST",
                                    ["crcl < 60", "age_years < 12"], rest))  # fmt: skip
    child = Patient(age_years=5, weight_kg=20, indication="ache", crcl=50)
    got = judge(child, "kidol", load_library(folder))
    assert (got.verdict, got.not_covered) == (UNSURE, ("dose for this combination",))


def test_the_lowest_of_several_ceilings_is_taken(
    make_folder: Callable[..., Path], write_fact: Callable[..., str]
) -> None:
    rest = 'action = {unit = "mg", max = 5, max_per = "day"}'
    folder = make_folder(write_fact("thinol.condition.liver", "hepatic", "drug thinol", "ADJUST",
                                    ["condition: sore liver"], rest))  # fmt: skip
    got = judge(Patient(comeds=("renalol",), conditions=("sore liver",)), "thinol", load_library(folder))
    assert got.dose is not None and got.dose.text == "at most 5 mg a day"
    assert got.facts[0].id == "thinol.condition.liver"


def test_alternatives_are_judged_on_the_same_patient(ask: Ask) -> None:
    assert ask("renalol", egfr=20).alternatives == (
        ("soothol", "renalol"), ("kidol", "renalol"), ("thinol", "renalol"),
    )  # fmt: skip
    # soothol is contraindicated with a sore liver, thinol's `unless` holds
    assert ask("renalol", egfr=20, conditions=("sore liver",)).alternatives == (("kidol", "renalol"),)
    # thinol with soothol is AVOID; kidol is taken already
    assert ask("renalol", egfr=20, comeds=("soothol", "kidol")).alternatives == ()


def test_an_alternative_may_replace_the_comedication(ask: Ask) -> None:
    for drug, comed in (("thinol", "calmol"), ("calmol", "thinol")):
        assert ask(drug, comeds=(comed,)).alternatives == (("renalol", "calmol"),)
    # renalol itself would be contraindicated
    assert ask("thinol", comeds=("calmol",), egfr=20).alternatives == ()


def test_reasons_come_from_the_deciding_fact(ask: Ask) -> None:
    got = ask("renalol", egfr=28)
    assert (got.mechanism, got.monitoring) == ("accumulation", "kidney function")
    assert "eGFR 28 is below 30" in got.why and "renalol.renal.below-30" in got.why
    assert [(value.field, value.value, value.bound_text) for value in got.deciding] == [("egfr", 28, "below 30")]
    # ADJUST: falls back to the drug's monitoring fact; a stop does not
    assert ask("renalol", egfr=40).monitoring == "creatinine"
    assert ask("soothol", conditions=("sore liver",)).monitoring == ""


def test_sources_that_differ_are_named(ask: Ask) -> None:
    assert [fact.id for fact in ask("renalol", egfr=25).conflict] == ["renalol.renal.uk"]
    assert ask("renalol", egfr=19).conflict == ()  # the other view has its own range
    assert ask("renalol", egfr=40).conflict == ()


def test_another_jurisdiction_has_its_own_facts(ask: Ask) -> None:
    got = ask("renalol", egfr=25, jurisdiction="UK")
    assert got.verdict is CAUTION
    assert [fact.id for fact in got.conflict] == ["renalol.renal.below-30"]


def test_a_drugs_own_fact_may_replace_its_classs(
    make_folder: Callable[..., Path], write_fact: Callable[..., str]
) -> None:
    own = write_fact("thinol.interaction.calmol", "interaction", "drug thinol", "CAUTION", ["comed: calmol"])
    library = load_library(make_folder(own))
    assert judge(Patient(comeds=("calmol",)), "thinol", library).verdict is AVOID  # worst wins, unless declared


def test_a_declared_exception_replaces_its_classs(
    make_folder: Callable[..., Path], write_fact: Callable[..., str]
) -> None:
    rest = 'conflicts_with = ["thinner.interaction.soother"]'
    own = write_fact("thinol.interaction.calmol", "interaction", "drug thinol", "CAUTION", ["comed: calmol"], rest)
    library = load_library(make_folder(own))
    assert judge(Patient(comeds=("calmol",)), "thinol", library).verdict is CAUTION
    assert judge(Patient(comeds=("soothol",)), "thinol", library).verdict is AVOID


def test_brands_are_judged_as_the_drug(ask: Ask) -> None:
    assert ask("Kidnex", egfr=20).drug == "renalol"
