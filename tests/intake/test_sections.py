"""Notes cut at their headings: nothing is lost, and a heading stays with its text."""

from hypothesis import given
from hypothesis import strategies as st

from posology.intake.sections import split_sections

NOTE = """Seen on Monday.

CHIEF COMPLAINT

Cough.

PHYSICAL EXAM
MSK:
No oedema. COPD.

VITALS REVIEWED

RESULTS
"""


def test_by_hand() -> None:
    assert split_sections(NOTE) == [
        "Seen on Monday.",
        "CHIEF COMPLAINT\n\nCough.",
        "PHYSICAL EXAM\nMSK:\nNo oedema. COPD.\n\nVITALS REVIEWED\n\nRESULTS",
    ]
    assert split_sections("No heading here.") == ["No heading here."]


@given(st.lists(st.sampled_from(["PLAN", "ASSESSMENT AND PLAN:", "Rest.", "COPD.", "1. CHF.", "", " ", "two\nlines"])))
def test_no_word_is_lost_or_moved(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert " ".join(split_sections(text)).split() == text.split()
