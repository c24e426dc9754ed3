"""The reader's rules, one by one. How it does on labelled answers is in test_reader_figures.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.evaluation.reading import READINGS, Reading, read_answer
from posology.evaluation.reading_text import first_words, normalise, sentences
from posology.knowledge.library import load_library

from .exams import AMOXICILLIN_ANSWER, METFORMIN_ANSWER, NAMES


def read(text: str, drug: str = "metformin") -> Reading:
    return read_answer(text, drug, NAMES)


# Rules ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Metformin is contraindicated.", "CONTRAINDICATED"),
        ("Avoid metformin.", "AVOID"),
        ("Adjust the dose of metformin: 500 mg once daily.", "ADJUST"),
        ("Use metformin with caution.", "CAUTION"),
        ("Metformin is acceptable.", "OK"),
        ("Not enough information: the eGFR is needed.", "INSUFFICIENT"),
        ("Not covered: no reviewed fact about this combination.", "INSUFFICIENT"),
        ("Monitor kidney function.", "NONE"),
        ("Metformin is acceptable. Avoid metformin.", "INVALID"),
    ],
)
def test_canonical_sentences(text: str, verdict: str) -> None:
    assert read(text).verdict == verdict
    assert read(text.upper()).verdict == verdict
    assert read(f"{text} Consult a pharmacist.").verdict == verdict


def test_sources_that_differ_do_not_make_an_answer_invalid() -> None:
    reading = read(
        "Metformin is contraindicated. Sources differ: FDA label says contraindicated, MHRA says acceptable."
    )
    assert reading.verdict == "CONTRAINDICATED"
    assert reading.sources == ("CONTRAINDICATED", "OK")


def test_other_drugs_verdicts_stay_with_them() -> None:
    reading = read("Avoid ibuprofen. Instead of ibuprofen: acetaminophen. Acetaminophen is acceptable.", "ibuprofen")
    assert reading.verdict == "AVOID"
    assert ("acetaminophen", "OK") in reading.others
    assert [c.object for c in reading.claims if c.relation == "instead"] == ["acetaminophen"]


def test_a_class_speaks_for_its_members_unless_the_member_is_named() -> None:
    assert read("NSAIDs are contraindicated.", "ibuprofen").verdict == "CONTRAINDICATED"
    assert read("NSAIDs are contraindicated. Ibuprofen is acceptable.", "ibuprofen").verdict == "OK"
    assert read("Opioids are contraindicated.", "ibuprofen").verdict == "NONE"


def test_brands_and_long_names() -> None:
    assert read("Glucophage is acceptable.").verdict == "OK"
    assert read("Metformin is acceptable.", "Glucophage").verdict == "OK"
    assert read("Amoxicillin/clavulanate is contraindicated.", "amoxicillin-clavulanate").verdict == "CONTRAINDICATED"
    assert read("Amoxicillin-clavulanate is contraindicated.", "amoxicillin").verdict == "NONE"


def test_unknown_names_are_read_exactly() -> None:
    assert read("Zelquorin is acceptable.", "zelquorin").verdict == "OK"
    assert read("Zelquorine is acceptable.", "zelquorin").verdict == "NONE"


def test_only_the_first_120_words_count() -> None:
    assert read("word " * 118 + "avoid metformin.").verdict == "AVOID"
    assert read("word " * 119 + "please avoid metformin.").verdict == "NONE"
    assert len(first_words("a b " * 100).split()) == 120


def test_calculator_spans_are_read_by_their_value() -> None:
    (dose,) = read(AMOXICILLIN_ANSWER, "amoxicillin").doses
    assert (dose.low, dose.high, dose.unit, dose.every_h) == (450, 450, "mg", (12, 12))


def test_each_gene_of_the_knowledge_base_can_be_missing() -> None:
    conditions = [condition for fact in load_library().facts for condition in fact.when]
    genes = {one.field for whole in conditions for one in (whole, *whole.parts) if one.kind == "genotype"}
    assert len(genes) > 8
    for gene in genes:
        assert read(f"Not enough information: the {gene} result is needed.").missing == {f"genotype:{gene}"}


def test_what_is_missing_is_named() -> None:
    assert read("What is the eGFR?").missing == {"egfr"}
    assert read("Not enough information: the kind of allergic reaction is needed.").missing == {"allergies"}
    assert read("Not enough information: the CYP2C19 result and the age are needed.").missing == {
        "genotype:CYP2C19", "age_years",
    }  # fmt: skip
    assert read("I do not know this drug.").not_covered


def test_numbers_that_decide() -> None:
    claims = {(c.relation, c.object, c.value) for c in read(METFORMIN_ANSWER).claims}
    assert {("value", "egfr", 28), ("below", "egfr", 30)} <= claims
    assert ("monitor", "kidney function", None) in claims
    two = {(c.relation, c.value) for c in read("The CrCl of 22 is from 15 to 30.").claims}
    assert two == {("value", 22), ("at least", 15), ("at most", 30)}
    dosed = read("With an eGFR of 28 give at most 500 mg a day.").claims
    assert all(c.relation not in ("at most", "below") for c in dosed)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Steer clear of metformin.", "AVOID"),
        ("Metformin is not OK here.", "AVOID"),
        ("Metformin is right for this patient.", "OK"),
        ("Probably ok.", "OK"),
        ("Metformin: contraindicated? No, it's acceptable.", "OK"),
        ("Metformin is contraindicated unless no alternative works.", "CONTRAINDICATED"),
        ("Metformin is contraindicated unless the eGFR is above 45.", "NONE"),
    ],
)
def test_ways_of_saying_it_that_a_blind_batch_brought(text: str, verdict: str) -> None:
    assert read(text).verdict == verdict


def test_months_are_held_against_years() -> None:
    claims = {(c.relation, c.object, c.value) for c in read("The age of 20 months is below 18 years.").claims}
    assert claims == {("value", "age_months", 20), ("below", "age_months", 216)}
    claims = {(c.relation, c.object, c.value) for c in read("The age of 7 months is below 12.").claims}
    assert claims == {("value", "age_months", 7), ("below", "age_months", 12)}


def test_normal_form() -> None:
    assert normalise("Don’t  use — it can't be 1\u202f000 mg ≥ 5") == "do not use - it can not be 1 000 mg >= 5"
    text = normalise("Give 2.5 mg. Then stop; e.g. now.\nMore")
    assert sentences(text) == ["give 2.5 mg.", "then stop", "eg now.", "more"]


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_read_the_same_twice(text: str) -> None:
    reading = read(text)
    assert reading.verdict in READINGS
    assert reading == read(text)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["Metformin", "is", "not", "contraindicated", ".", "Avoid", "acceptable", "if", "5 mg"]))
)
def test_broken_answers_are_read(words: list[str]) -> None:
    assert read(" ".join(words)).verdict in READINGS
