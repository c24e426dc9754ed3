"""The reader: graded on hand-labelled answers, then its rules one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.evaluation.reading import READINGS, Reading, read_answer
from posology.evaluation.reading_text import Names, first_words, library_names, normalise, sentences
from posology.knowledge.library import load_library

from .exams import AMOXICILLIN_ANSWER, METFORMIN_ANSWER, NAMES

LABELLED = [
    json.loads(line)
    for line in (Path(__file__).parent / "labelled_answers.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.fixture(scope="module")
def names() -> Names:
    return library_names(load_library())


def read(text: str, drug: str = "metformin") -> Reading:
    return read_answer(text, drug, NAMES)


# Graded on labels -----------------------------------------------------------------------------------------------------


def test_enough_answers_are_labelled() -> None:
    assert len(LABELLED) >= 300
    assert sum(row["adversarial"] for row in LABELLED) >= 100
    assert len({(row["drug"], row["text"]) for row in LABELLED}) == len(LABELLED)


def test_verdicts_are_read_as_people_read_them(names: Names) -> None:
    wrong = [
        (row["text"], row["verdict"], got)
        for row in LABELLED
        if (got := read_answer(row["text"], row["drug"], names).verdict) != row["verdict"]
    ]
    assert len(wrong) <= 0.02 * len(LABELLED), wrong


def test_adversarial_verdicts_are_read_too(names: Names) -> None:
    rows = [row for row in LABELLED if row["adversarial"]]
    right = sum(read_answer(row["text"], row["drug"], names).verdict == row["verdict"] for row in rows)
    assert right >= 0.98 * len(rows)


def test_claims_doses_and_causes_are_read(names: Names) -> None:
    checks: list[tuple[Any, bool]] = []
    for row in LABELLED:
        reading = read_answer(row["text"], row["drug"], names)
        claims = {(c.relation, c.object, c.value) for c in reading.claims}
        checks += [((row["text"], claim), tuple(claim) in claims) for claim in row.get("claims", [])]
        if "doses" in row:
            doses = [[d.low, d.high, d.unit, d.per, d.every_h and d.every_h[0]] for d in reading.doses]
            checks.append(((row["text"], doses), doses == row["doses"]))
        if "missing" in row:
            checks.append(((row["text"], reading.missing), reading.missing == frozenset(row["missing"])))
        if "not_covered" in row:
            checks.append(((row["text"], "not covered"), reading.not_covered == row["not_covered"]))
        if "sources" in row:
            checks.append(((row["text"], reading.sources), list(reading.sources) == row["sources"]))
    wrong = [what for what, right in checks if not right]
    assert len(checks) >= 100
    assert len(wrong) <= 0.05 * len(checks), wrong


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
