"""The grader, graded on answers that people have labelled."""

from __future__ import annotations

import pytest

from posology.evaluation.reader_figures import labelled_answers, marks_of, reader_figures
from posology.evaluation.reading import READINGS
from posology.evaluation.reading_text import Names, library_names
from posology.knowledge.library import load_library


@pytest.fixture(scope="module")
def names() -> Names:
    return library_names(load_library())


def test_enough_answers_are_labelled() -> None:
    rows = labelled_answers()
    assert len(rows) >= 300
    assert sum(row["adversarial"] for row in rows) >= 100
    assert sum(row.get("batch") == "blind" for row in rows) >= 100
    assert len({(row["drug"], row["text"]) for row in rows}) == len(rows)
    assert all(row["verdict"] in READINGS for row in rows)


def test_answers_are_read_as_people_read_them(names: Names) -> None:
    figures = reader_figures(names)
    told = figures["errors"]
    assert figures["answers"] == figures["verdict"]["n"] == len(labelled_answers())
    assert figures["verdict"]["value"] >= figures["verdict"]["target"] == 0.98, told
    assert figures["claims"]["value"] >= figures["claims"]["target"] == 0.95, told
    assert figures["verdict_adversarial"]["value"] >= 0.95, told
    assert figures["verdict_plain"]["n"] + figures["verdict_adversarial"]["n"] == figures["verdict"]["n"]
    assert figures["claims"]["n"] >= 400 and figures["doses"]["n"] >= 100


def test_the_first_batch_is_read_without_error(names: Names) -> None:
    first = [row for row in labelled_answers() if row.get("batch") != "blind"]
    figures = reader_figures(names, first)
    assert figures["errors"] == []
    assert figures["verdict_blind"]["value"] is None


def test_a_wrong_label_is_an_error(names: Names) -> None:
    """Every kind of label is held against what is read: the figures can fall."""
    text = "Avoid metformin. The eGFR of 28 is below 30. Monitor kidney function."
    good = {
        "drug": "metformin", "text": text, "verdict": "AVOID", "adversarial": False, "whole": True, "doses": [],
        "claims": [["value", "egfr", 28], ["below", "egfr", 30], ["monitor", "kidney function", None]],
    }  # fmt: skip
    assert all(mark.right for mark in marks_of(good, names))
    for change, wrong in (
        ({"verdict": "OK"}, 1),
        ({"claims": good["claims"][:2]}, 1),  # in a whole row, what is read besides is an error too
        ({"claims": good["claims"][:2], "whole": False}, 0),
        ({"claims": [*good["claims"], ["deciding", "age", None]]}, 1),
        ({"claims": [["value", "egfr", 29], *good["claims"][1:]]}, 2),
        ({"doses": [[500, 500, "mg", "dose", 12]]}, 1),
        ({"missing": ["egfr"]}, 1),
        ({"not_covered": True}, 1),
        ({"sources": ["AVOID"]}, 1),
    ):
        assert sum(not mark.right for mark in marks_of({**good, **change}, names)) == wrong, change
    figures = reader_figures(names, [good, {**good, "drug": "Glucophage", "verdict": "OK"}])
    assert (figures["verdict"]["k"], figures["verdict"]["n"]) == (1, 2)
    assert "AVOID" in figures["errors"][0]["told"]
