"""Reading medications: by hand where each rule shows; the labelled sentences measure the whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.intake.medications import read_medications


def told(text: str) -> list[str]:
    return [str(item) for item in read_medications(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Metformin 500 mg PO BID", ["metformin, 500 mg, oral, twice daily, current"]),
        ("metformin 500 mg and 20 mg of lisinopril", ["metformin, 500 mg, current", "lisinopril, 20 mg, current"]),
        ("IV vancomycin and cefepime", ["vancomycin, intravenous, current", "cefepime, intravenous, current"]),
        ("Klonopin 4 mg in a.m. and 6 mg at h.s.",
         ["clonazepam, 4 mg, in the morning, current", "clonazepam, 6 mg, at bedtime, current"]),
        ("Lasix was increased from 20 mg to 40 mg daily.",
         ["furosemide, 20 mg, past", "furosemide, 40 mg, once daily, changed"]),
        ("We changed her furosemide to torsemide.", ["furosemide, stopped", "torsemide, started"]),
        ("She denies aspirin use but takes Plavix.", ["aspirin, negated", "clopidogrel, current"]),
        ("Insulin, aspirin, and an albuterol inhaler.", ["insulin, current", "aspirin, current", "albuterol, inhaled, current"]),
        ("Ibuprofen 800 mg. Take one tablet every 8 hours.", ["ibuprofen, 800 mg, three times daily, current"]),
        ("No allergies present, so she stopped her Allegra.", ["fexofenadine, stopped"]),
        ("ALLERGIES: Codeine.\nMEDICATIONS: Potassium.", ["codeine, allergy", "potassium chloride, current"]),
    ],
)  # fmt: skip
def test_by_hand(text: str, wanted: list[str]) -> None:
    assert told(text) == wanted


@pytest.mark.parametrize(
    ("text", "status"),
    [("He takes {}.", "current"), ("Start {}.", "started"), ("Stop {}.", "stopped"), ("Hold {}.", "held"),
     ("He is not taking {}.", "negated"), ("Allergic to {}.", "allergy"), ("His father takes {}.", "family"),
     ("He used to take {}.", "past"), ("Consider {}.", "planned"), ("He received {} IV.", "given"),
     ("Increase {}.", "changed"), ("{} was discontinued.", "stopped"), ("No {}.", "negated"), ("{}.", "current")],
)  # fmt: skip
@pytest.mark.parametrize("drug", ["Lipitor", "metformin", "zorvastatin"])
def test_status_follows_its_cue_whatever_the_drug(text: str, status: str, drug: str) -> None:
    (item,) = read_medications(text.format(drug))
    assert item.status == status


def test_a_place_is_where_the_name_stands() -> None:
    text = "ALLERGIES: none.\nPLAN:\n• Start Lipitor 40 mg nightly; hold the Plavix."
    assert [text[item.start : item.end] for item in read_medications(text)] == ["Lipitor", "Plavix"]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.sampled_from(
    ["metformin", "500 mg", "denies", "İ", "stop", "and", ",", ".", "\n", "PO", "bid", "q.", "PLAN:", "½", "to", "was", "of", "2", "%"]
), max_size=25))  # fmt: skip
def test_any_text_can_be_read_and_twice_alike(words: list[str]) -> None:
    text = " ".join(words)
    found = read_medications(text)
    assert found == read_medications(text)
    assert all(text[item.start : item.end].lower() == "metformin" for item in found if item.known)
