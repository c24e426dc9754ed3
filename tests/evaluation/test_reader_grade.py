"""The labelled sentences: sound labels, and what the reader reaches on both halves."""

from typing import get_args

import pytest

from posology.evaluation.reader_grade import (
    FIELDS,
    HALVES,
    LABELLED,
    Agreement,
    agreement,
    grade_reader,
    labelled,
    reader_figures,
)  # fmt: skip
from posology.files import read_jsonl
from posology.intake.amounts import ROUTES, read_dose
from posology.intake.drug_names import make_vocabulary
from posology.intake.frequencies import read_frequency
from posology.intake.medication_cues import Status


def test_there_are_enough_and_none_twice() -> None:
    texts = [row.text for half in HALVES for row in labelled(half)]
    assert len(texts) == len(set(texts)) >= 200
    assert sum(not row.tuples for half in HALVES for row in labelled(half)) >= 15  # sentences that tell of no medicine


@pytest.mark.parametrize("half", HALVES)
def test_every_label_is_a_label(half: str) -> None:
    for row in read_jsonl(LABELLED / f"{half}.jsonl"):
        for label in row["medications"]:
            assert set(label) <= {"drug", "dose", "route", "frequency", "status"} and label["status"] in get_args(
                Status
            )
            assert label.get("route", ROUTES[0]) in ROUTES
            for field, read in (("dose", read_dose), ("frequency", read_frequency)):
                if field in label:  # an unreadable label would agree with a reader that found nothing
                    value = read(label[field])
                    assert value is not None and read(str(value)) == value, label


def test_agreement_by_hand() -> None:
    assert agreement([("a",), ("a",), ("b",)], [("a",), ("c",)]) == Agreement(1, 3, 2)
    assert Agreement(1, 3, 2).f1 == pytest.approx(0.4)
    assert Agreement(0, 0, 0).precision is Agreement(0, 0, 0).f1 is None


def test_the_reader_is_worth_having() -> None:
    """Floors below what was measured, so that a change that harms the reader is seen."""
    figures = reader_figures()
    assert figures["development"]["tuple"]["f1"] >= 0.95
    assert figures["held_out"]["tuple"]["f1"] >= 0.85
    assert figures["held_out"]["fields"]["drug"]["f1"] >= 0.95
    assert set(figures["held_out"]["fields"]) == set(FIELDS)


def test_the_grade_can_fail() -> None:
    ignorant = make_vocabulary({"x": {"zolvaxin": []}})
    assert grade_reader("held_out", ignorant)["fields"]["drug"]["f1"] < 0.6  # brands and most names are lost on it
