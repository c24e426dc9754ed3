"""Each kind of mistake in a fact is found, and named with its file, its fact and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from posology.knowledge.check import check_folder, check_library
from posology.knowledge.library import Library, Problem

Write, Make = Callable[..., str], Callable[..., Path]


def test_the_small_base_passes(small: Library) -> None:
    assert check_library(small) == []


@pytest.fixture()
def problems_with(make_folder: Make, write_fact: Write) -> Callable[..., list[Problem]]:
    def check(*facts: tuple[object, ...], extra: str = "") -> list[Problem]:
        _, problems = check_folder(make_folder("".join(write_fact(*fact) for fact in facts) + extra))
        return problems

    return check


@pytest.mark.parametrize(
    ("kind", "subject", "verdict", "when", "rest", "said"),
    [
        ("renal", "drug nobody", "OK", ["egfr > 90"], "", "unknown drug 'nobody'"),
        ("renal", "class nothing", "OK", ["egfr > 90"], "", "unknown class 'nothing'"),
        ("renal", "drug thinol", "OK", ["egfr > 90"], 'sources = [{id = "talk", locator = "p. 1"}]', "unknown source"),
        ("interaction", "drug thinol", "OK", ["comed: nobody"], "", "unknown drug 'nobody'"),
        ("interaction", "drug thinol", "OK", ["comed: class nothing"], "", "unknown class 'nothing'"),
        ("hepatic", "drug thinol", "OK", ["condition: bad mood"], "", "unknown condition 'bad mood'"),
        ("indication", "drug thinol", "OK", ["indication: sore liver"], "", "unknown indication 'sore liver'"),
        ("allergy", "drug thinol", "AVOID", ["allergy: dust"], "", "unknown allergen 'dust'"),
        ("pharmacogenomics", "drug thinol", "AVOID", ["genotype: CYP2D6 slow"], "", "unknown phenotype"),
        ("pharmacogenomics", "drug thinol", "AVOID", ["genotype: cyp2d6 positive"], "", "does not look like a gene"),
        ("renal", "drug thinol", "OK", ["90 <= egfr < 80"], "", "can never hold"),
        ("renal", "drug thinol", "OK", ["egfr < 30", "egfr > 60"], "", "exclude each other"),
        ("renal", "drug thinol", "OK", ["egfr < 30", "egfr < 30"], "", "stands twice"),
        ("indication", "drug thinol", "OK", ["indication: ache", "indication: clot"], "", "two indications"),
        ("renal", "drug thinol", "OK", ["egfr > 90"], 'requires = ["kidneys"]', "requires 'kidneys'"),
        ("renal", "drug thinol", "OK", ["egfr > 90"], 'requires = ["genotype:CYP2D6"]', "requires 'genotype:CYP2D6'"),
        ("paediatric", "drug thinol", "ADJUST", ["age_years < 5"],
         'action = {dose = 10, unit = "mg/kg"}', "does not require the weight"),
        ("renal", "drug thinol", "ADJUST", ["egfr > 90"], 'action = {dose = 10, unit = "mg", max = 5}', "own max"),
        ("renal", "drug thinol", "ADJUST", ["egfr > 90"],
         'action = {dose = 10, unit = "mg", divided = 2}', "divided counts only"),
        ("renal", "drug thinol", "ADJUST", ["egfr > 90"],
         'action = {dose = 50, unit = "mg", every_h = 24}', "above the maximum of 20"),
        ("renal", "drug thinol", "ADJUST", ["egfr > 90"],
         'action = {dose = 5, unit = "mg", note = "one two three four five six seven"}', "note of 7 words"),
        ("renal", "drug thinol", "ADJUST", ["egfr > 90"], 'action = {of = "nobody", percent = 5}', "unknown drug"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'alternatives = [{drug = "nobody"}]', "no declared drug"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'alternatives = [{drug = "thinol"}]', "the drug itself"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"],
         'alternatives = [{drug = "kidol", instead_of = "x"}]', "instead_of 'x'"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"],
         'alternatives = [{drug = "kidol", unless = "if sad"}]', "not a condition"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'mechanism = "a b c d e f g h"', "mechanism of 8 words"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'monitoring = "a b c d e f"', "monitoring of 6 words"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'mechanism = "it stops."', "ends like a sentence"),
        ("monitoring", "drug thinol", "", [], "", "monitors nothing"),
        ("maximum", "drug thinol", "", [], "", "without an amount"),
        ("antidote", "drug thinol", "", [], 'antidote = "nobody"', "unknown antidote"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'verified = {by = "label"}', "without its date"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"],
         'verified = {by = "label", date = "2026-13-01"}', "without its date"),
        ("renal", "drug thinol", "AVOID", ["egfr < 9"], 'conflicts_with = ["no.such"]', "names no fact"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem(
    problems_with: Callable[..., list[Problem]],
    kind: str, subject: str, verdict: str, when: list[str], rest: str, said: str,
) -> None:  # fmt: skip
    problems = problems_with(("wrong.fact", kind, subject, verdict, when, rest))
    assert [(problem.file, problem.fact) for problem in problems] == [("area.toml", "wrong.fact")]
    assert said in problems[0].message
    assert problems[0].remedy


def test_overlapping_bands_are_found(problems_with: Callable[..., list[Problem]]) -> None:
    [problem] = problems_with(("renalol.renal.below-35", "renal", "drug renalol", "AVOID", ["egfr < 30"]))
    assert problem.fact == "renalol.renal.below-35"
    assert "overlaps renalol.renal.below-30 and says AVOID" in problem.message


def test_bands_that_touch_do_not_overlap(problems_with: Callable[..., list[Problem]]) -> None:
    assert (
        problems_with(
            ("thinol.renal.a", "renal", "drug thinol", "AVOID", ["crcl < 15"]),
            ("thinol.renal.b", "renal", "drug thinol", "CAUTION", ["15 <= crcl <= 30"]),
            ("thinol.renal.c", "renal", "drug thinol", "OK", ["crcl > 30"]),
        )
        == []
    )
    assert len(problems_with(
        ("thinol.renal.a", "renal", "drug thinol", "AVOID", ["crcl <= 15"]),
        ("thinol.renal.b", "renal", "drug thinol", "CAUTION", ["15 <= crcl <= 30"]),
    )) == 1  # fmt: skip


def test_a_declared_overlap_is_meant(problems_with: Callable[..., list[Problem]]) -> None:
    rest = 'conflicts_with = ["renalol.renal.below-30"]'
    assert problems_with(("renalol.renal.x", "renal", "drug renalol", "AVOID", ["egfr < 30"], rest)) == []


def test_a_narrower_fact_is_no_contradiction(problems_with: Callable[..., list[Problem]]) -> None:
    assert problems_with(("renalol.renal.old", "renal", "drug renalol", "AVOID", ["egfr < 45", "age_years > 80"])) == []


def test_two_doses_for_one_patient_are_found(problems_with: Callable[..., list[Problem]]) -> None:
    [problem] = problems_with(
        ("thinol.indication.b", "indication", "drug thinol", "OK", ["indication: clot"],
         'action = {dose = 7, unit = "mg", every_h = 24}')
    )  # fmt: skip
    assert "another dose than thinol.indication.clot" in problem.message


def test_names_with_two_meanings_are_found(problems_with: Callable[..., list[Problem]]) -> None:
    extra = '\n[[drug]]\nname = "newol"\nclasses = ["ghost"]\nbrands = ["Kidnex"]\n'
    messages = {problem.message for problem in problems_with(extra=extra)}
    assert messages == {"'kidnex' also names renalol", "a drug without a fact", "unknown class 'ghost'"}
