"""Texts with one wrong sentence, and plain texts: what they become, and what is told of rows that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from posology.errors import UserError
from posology.intake.options import ReadOptions, parse_columns
from posology.intake.read import open_data, read_examples, read_texts
from posology.intake.records import Pair, Text
from posology.intake.survey import survey
from posology.intake.tally import Tally

from .user_files import as_csv, as_jsonl, pairs, write

TEXT = "He has a fever. Cultures show E. coli.\nHe is treated."
WRONG = {
    "id": "t1",
    "text": TEXT,
    "error_sentence": "Cultures show E. coli.",
    "corrected_sentence": "Cultures are sterile.",
}
NAMES = parse_columns(
    ["text=Text", "error_sentence=Error Sentence", "corrected_sentence=Corrected Sentence", "edit=Error Type"]
)


def test_the_rest_of_the_text_is_the_note(tmp_path: Path) -> None:
    row = {"Text": TEXT, "Error Sentence": WRONG["error_sentence"], "Corrected Sentence": WRONG["corrected_sentence"],
           "Error Type": "organism"}  # fmt: skip
    (pair,), _ = pairs(write(tmp_path / "a.csv", as_csv([row])), columns=NAMES)
    assert pair == Pair(
        1, "1", "He has a fever. He is treated.", "Cultures are sterile.", "Cultures show E. coli.", is_note=True,
        edit="organism",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"error_sentence": "NA"}, "it has no error_sentence: nothing in it is wrong"),
        ({"error_sentence": ""}, "it has no error_sentence: nothing in it is wrong"),
        ({"corrected_sentence": ""}, "its corrected_sentence is empty"),
        ({"corrected_sentence": WRONG["error_sentence"]}, "its error_sentence and its corrected_sentence are the same"),
        (
            {"error_sentence": "Cultures."},
            "its error_sentence does not stand in its text, or stands there more than once",
        ),
        ({"text": WRONG["error_sentence"]}, "its text holds nothing but its error_sentence"),
        ({"text": ""}, "its text is empty"),
    ],
)
def test_rows_that_give_no_pair_say_why(tmp_path: Path, change: dict[str, str], reason: str) -> None:
    file = write(tmp_path / "a.jsonl", as_jsonl([WRONG, {**WRONG, "id": "t2", **change}]))
    found, tally = pairs(file)
    assert [pair.id for pair in found] == ["t1"]
    assert tally.bad == {reason: 1}


def test_plain_texts(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", as_csv([{"id": "a", "note": "One."}, {"id": "b", "note": ""}]))
    tally = Tally()
    options = ReadOptions(columns=parse_columns(["text=note"]), on_bad_row="skip")
    assert list(read_texts(file, options, tally)) == [Text(1, "a", "One.")]
    assert tally.bad == {"its note is empty": 1}
    found = survey(file, options)
    assert list(found.lengths) == ["note"] and found.as_json("words")["holds"] == "texts"


def test_texts_are_not_examples(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", as_csv([{"text": "One."}]))
    with pytest.raises(UserError, match="plain texts, not examples") as error:
        list(read_examples(file))
    assert "posology pretrain" in str(error.value.hint)
    assert open_data(write(tmp_path / "b.jsonl", as_jsonl([WRONG]))).shape.holds == "pairs"
