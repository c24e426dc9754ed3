"""Whether a note supports a summary's medication."""

import pytest

from posology.intake.findings import read_findings, read_sides, unsupported_findings, unsupported_sides
from posology.intake.medications import read_medications
from posology.intake.support import tuple_of, unsupported


def faults(summary: str, note: str) -> list[str]:
    return [item.fault for item in unsupported(read_medications(summary), read_medications(note))]


@pytest.mark.parametrize(
    ("note", "summary", "wanted"),
    [
        ("Metformin 1000 mg BID.", "She takes metformin 1 g every 12 hours.", []),
        ("Tylenol 500 mg, two tablets daily.", "Acetaminophen 1 g daily.", []),
        ("Lisinopril 20 mg. He takes lisinopril daily.", "On lisinopril 20 mg daily.", []),
        ("Oxycodone 5-10 mg as needed.", "Oxycodone 5 mg as needed.", []),
        ("Start Lipitor 40 mg.", "She is on atorvastatin.", []),
        ("Metformin 500 mg.", "Metformin 500 mcg.", ["dose"]),
        ("Metformin.", "Metformin 500 mg.", ["dose"]),
        ("Metformin 500 mg daily.", "Metformin 500 mg twice daily.", ["frequency"]),
        ("Tramadol daily.", "Tramadol daily as needed.", ["frequency"]),
        ("Oral prednisone.", "IV prednisone.", ["route"]),
        ("Stopped aspirin.", "Takes aspirin.", ["status"]),
        ("Allergic to penicillin.", "Takes penicillin.", ["status"]),
        ("His father takes warfarin.", "Takes warfarin.", ["status"]),
        ("Consider amlodipine.", "Takes amlodipine.", ["status"]),
        ("Takes metformin.", "Takes zolvastatin.", ["drug"]),
        ("Increase Lasix from 20 mg to 40 mg.", "Lasix was increased to 20 mg.", ["dose"]),
    ],
)
def test_by_hand(note: str, summary: str, wanted: list[str]) -> None:
    assert faults(summary, note) == wanted


def test_equal_in_other_words() -> None:
    (one,), (other,) = (
        read_medications("Takes Tylenol 1 g bid."),
        read_medications("On acetaminophen 1000 mg twice daily."),
    )
    assert tuple_of(one) == tuple_of(other)


def test_findings_and_denials() -> None:
    read = {
        finding.name: finding.present for finding in read_findings("Denies fever or dyspnea but reports headaches.")
    }
    assert read == {"fever": False, "shortness of breath": False, "headache": True}
    assert [f.name for f in unsupported_findings("He has dyspnea and fever.", "Short of breath. No fever.")] == [
        "fever"
    ]


def test_sides() -> None:
    assert [(s.side, s.part) for s in read_sides("the left medial knee and both feet")] == [
        ("left", "knee"),
        ("both", "feet"),
    ]
    assert unsupported_sides("Right knee pain.", "Left knee pain.")
    assert not unsupported_sides("Left knee pain.", "Left knee pain. Right hip replaced.")
    assert not unsupported_sides("Right knee pain.", "Pain in both knees.")
    assert not unsupported_sides("Right knee pain.", "Knee pain.")  # nothing to judge by
