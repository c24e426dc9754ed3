from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from posology.config import UserError
from posology.knowledge.fact import Action, parse_condition
from posology.knowledge.library import Library, load_library
from posology.knowledge.sheet import COLUMNS, action_words, as_csv, condition_words, read_review, review_rows


def test_one_row_per_fact_in_order_of_id(real: Library) -> None:
    rows = review_rows(real)
    assert [row["id"] for row in rows] == sorted(fact.id for fact in real.facts)
    assert all(tuple(row) == COLUMNS for row in rows)


def test_a_row_has_what_a_pharmacist_reviews(small: Library) -> None:
    row = next(row for row in review_rows(small) if row["id"] == "renalol.renal.below-30")
    assert row["conditions"] == "eGFR below 30"
    assert (row["type"], row["drug"], row["class"], row["verdict"]) == ("renal", "renalol", "", "CONTRAINDICATED")
    assert row["alternatives"] == "soothol; kidol; thinol, unless condition: sore liver"
    assert row["sources"] == "Label of the test medicines (Test Agency 2020-01-01), section 4 [label-us]"
    assert (row["mechanism"], row["monitoring"], row["requires"]) == ("accumulation", "kidney function", "egfr")
    assert (row["severity"], row["evidence"], row["jurisdiction"]) == ("moderate", "moderate", "US")
    assert (row["as_of"], row["verified_by"], row["verified_date"]) == ("2020", "none", "")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("egfr < 30", "eGFR below 30"),
        ("15 <= crcl < 30", "CrCl 15 or above and below 30"),
        ("15 <= crcl <= 30", "CrCl 15 or above and 30 or below"),
        ("child_pugh >= B", "Child-Pugh class B or worse"),
        ("child_pugh == C", "Child-Pugh class C"),
        ("comed: class soother", "taken with any Soother"),
        ("comed: thinol", "taken with thinol"),
        ("allergy: moss (immediate)", "allergy to moss, immediate reaction"),
        ("allergy: moss", "allergy to moss, any reaction"),
        ("genotype: CYP2D6 poor metabolizer", "CYP2D6 poor metabolizer"),
        ("lactating", "breastfeeding"),
        ("at least 2 of: age_years >= 80; weight_kg <= 60",
         "at least 2 of (age in years 80 or above; weight in kg 60 or below)"),
    ],
)  # fmt: skip
def test_conditions_in_words(small: Library, written: str, words: str) -> None:
    assert condition_words(parse_condition(written), small) == words


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ({"percent": 50, "note": "of the start"}, "50 % of the usual dose, of the start"),
        ({"unit": "mg", "max": 20, "max_per": "day", "note": "start"}, "at most 20 mg a day, start"),
        ({"dose": (0.6, 2.4), "unit": "mg/kg", "per": "day", "divided": 2, "max": 100, "route": "oral"},
         "0.6 to 2.4 mg/kg a day in 2 doses, at most 100 mg a dose, oral"),
        ({"of": "thinol", "dose": 5, "unit": "mg", "every_h": (4, 6)}, "thinol 5 mg every 4 to 6 h"),
        ({"phases": [{"dose": 150, "unit": "mg/kg", "over_h": 1}, {"dose": 50, "unit": "mg/kg", "over_h": 4}],
          "max_weight_kg": 100}, "150 mg/kg over 1 h, then 50 mg/kg over 4 h, weight counted up to 100 kg"),
    ],
)  # fmt: skip
def test_actions_in_words(action: dict[str, object], words: str) -> None:
    assert action_words(Action.model_validate(action)) == words


def test_different_conditions_and_actions_read_differently(real: Library) -> None:
    """Otherwise a change between two versions could hide in the words."""
    conditions = {condition.text: condition for fact in real.facts for condition in fact.when}
    assert len({condition_words(condition, real) for condition in conditions.values()}) == len(conditions)
    actions = {action.model_dump_json(): action for fact in real.facts if (action := fact.action)}
    assert len({action_words(action) for action in actions.values()}) == len(actions)


def test_csv_and_back(real: Library, tmp_path: Path) -> None:
    rows = review_rows(real)
    file = tmp_path / "facts.csv"
    file.write_text(as_csv(rows), encoding="utf-8")
    assert read_review(file) == rows
    assert list(csv.DictReader(io.StringIO(as_csv(rows)))) == rows
    file.write_text(as_csv(rows).replace("\n", "\r\n"), encoding="utf-8-sig")  # saved by a spreadsheet
    assert read_review(file) == rows


def test_a_folder_reads_as_its_export_does(make_folder: Callable[..., Path]) -> None:
    folder = make_folder()
    assert read_review(folder) == review_rows(load_library(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drug,verdict\nx,OK\n", "no column 'id'"),
        ("", "no column 'id'"),
        ("id,drug\na.b,x\na.b,y\n", "csv:3: id 'a.b' stands also in line 2"),
        ("id,drug\n,x\n", "csv:2: a row without an id"),
        ("id,drug\na.b,x,y\n", "csv:2 has more cells"),
    ],
)
def test_what_is_wrong_with_a_csv(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "facts.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_review(file)
    assert message in caught.value.message
    assert caught.value.hint


def test_a_missing_file_and_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_review(tmp_path / "none.csv")
    (tmp_path / "old.csv").write_bytes("id,drug\na.b,café\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        read_review(tmp_path / "old.csv")
