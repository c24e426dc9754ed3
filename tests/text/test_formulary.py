from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.errors import UserError
from posology.text.calculator import CalculatorError
from posology.text.formulary import FILE, Formulary, is_lookup, lookup, one_slip, spelled_out

KNOWN = Formulary({"warfarin": "warfarin", "coumadin": "warfarin", "metformin": "metformin", "trimethoprim sulfamethoxazole":
                   "trimethoprim-sulfamethoxazole", "asa": "aspirin", "clonidine": "clonidine", "clonodine": "other"})  # fmt: skip


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("warfarin", "warfarin"), (" Coumadin", "warfarin"), ("ASA", "aspirin"),
        ("Trimethoprim/Sulfamethoxazole", "trimethoprim-sulfamethoxazole"),
        ("wafrarin", "warfarin"), ("warfrin", "warfarin"), ("warfarrin", "warfarin"), ("warfasin", "warfarin"),
        ("arfarin", "warfarin"), ("warfari", "warfarin"), ("warfarins", "warfarin"),
        ("warfriin", None),  # two slips
        ("asq", None),  # too short for slips
        ("clonadine", None),  # a slip of two medicines is of neither
        ("zorbamol", None), ("", None),
    ],
)  # fmt: skip
def test_a_name_is_found_as_written_or_with_one_slip(written: str, known: str | None) -> None:
    assert KNOWN.find(written) == known


def slips(name: str) -> set[str]:
    """All names one slip away, by brute force."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    cut = {name[:i] + name[i + 1 :] for i in range(len(name))}
    swapped = {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(len(name) - 1)}
    put = {name[:i] + letter + name[i:] for i in range(len(name) + 1) for letter in letters}
    wrong = {name[:i] + letter + name[i + 1 :] for i in range(len(name)) for letter in letters}
    return cut | swapped | put | wrong | {name}


@given(st.text("abc", min_size=1, max_size=5), st.text("abc", min_size=1, max_size=5))
def test_one_slip_is_the_distance_of_damerau_and_levenshtein(one: str, other: str) -> None:
    assert one_slip(one, other) == one_slip(other, one) == (other in slips(one))


def test_names_are_looked_up_in_one_go() -> None:
    assert KNOWN.look_up(" Coumadin, zorbamol,ASA") == " warfarin, unknown, aspirin"
    for nothing in ("", ",", " 12", " vitamin K1", "x" * 300):
        with pytest.raises(CalculatorError):
            KNOWN.look_up(nothing)
    with pytest.raises(CalculatorError):
        Formulary().look_up(" warfarin")  # a model that was taught no medicines
    assert is_lookup(" warfarin") and not is_lookup("20*45") and not is_lookup("eGFR28?30") and not is_lookup("")


def test_what_was_looked_up_is_told() -> None:
    said = "Coumadin is warfarin; zorbamol is not covered; aspirin is covered"
    assert spelled_out(" Coumadin, zorbamol,Aspirin", " warfarin, unknown, aspirin") == said
    assert spelled_out(" Coumadin, aspirin", "") == "Coumadin; aspirin"


def test_what_a_medicine_is_asked_for_is_not_looked_up() -> None:
    known = Formulary({"glucotrol": "glipizide"})
    asked = " Glucotrol for type 2 diabetes, zorbamol"
    assert is_lookup(asked) and not is_lookup("20 mg for 3 days") and not is_lookup(" for pain")
    assert known.look_up(asked) == " glipizide, unknown"
    assert spelled_out(asked, " glipizide, unknown") == (
        "Glucotrol is glipizide, asked for type 2 diabetes; zorbamol is not covered"
    )
    assert spelled_out(asked, "") == "Glucotrol for type 2 diabetes; zorbamol"


def test_that_the_dose_is_asked_is_written_before_the_names() -> None:
    asked = lookup([" Coumadin for stroke", " ASA"], dose=True)
    assert asked == "# Coumadin for stroke, ASA" and is_lookup(asked) and not is_lookup("#")
    assert KNOWN.look_up(asked) == " warfarin, aspirin"
    assert (
        spelled_out(asked, " warfarin, aspirin")
        == "the dose is asked; Coumadin is warfarin, asked for stroke; ASA is aspirin"
    )


@pytest.mark.parametrize(
    ("question", "left_out"),
    [
        ("Can I add metformin to Coumadin?", ["metformin"]),
        ("Warfarin and trimethoprim/sulfamethoxazole, then METFORMIN?", ["trimethoprim-sulfamethoxazole", "metformin"]),
        ("Coumadin for somebody who is allergic to metformin?", []),
        ("Coumadin with an immediate metformin allergy, or ASA-exacerbated asthma?", []),
        ("Coumadin after anaphylaxis to metformin, a mild reaction to clonidine?", []),
        ("Coumadin and metforminol, wafrarin, premetformin?", []),  # no names, and a slip is the model's to copy
    ],
)
def test_a_known_medicine_that_a_lookup_leaves_out_is_found(question: str, left_out: list[str]) -> None:
    assert KNOWN.left_out(" warfarin, unknown", question) == left_out


def test_how_often_a_known_medicine_stands_in_a_question() -> None:
    said = "Coumadin, _metformin_ and ASA-exacerbated asthma; allergic to clonidine: metfornin, clonidine or zorbamol?"
    assert KNOWN.named(said) == {"warfarin": 1, "metformin": 2, "aspirin": 0, "clonidine": 1}
    assert Formulary().named(said) == {}


@pytest.mark.parametrize(
    ("written", "may"),
    [
        ("", True), (" ", True), ("#", True), (" war", True), (" warfarin", True), ("# Coumadin for stroke", True),
        (" warfarin, metfor", True), (" zorbamol for type 2 diabetes, warfarin", True), (" warfarinol", True),
        (" warfarin, warfarin", False), (" warfarin, Coumadin", False),  # it stands there once
        (" metformin", False),  # it does not stand there
        (" ASA", False),  # somebody is allergic to it
        (" zorbamol. Reason", False), (" zorbamol?", False), (" zorba 30", False), (" z<|user|>", False),
        (" 57", False), ("0202", False), ("  ", False), (" warfarin,,", False), (" warfarin,", True),  # names begin with a letter
        (f" {'mo' * 30}", False), (f" zorbamol for {'mo' * 30}", False), (" a, b, c, d, e, f, g, h, i", False),
    ],
)  # fmt: skip
def test_a_medicine_is_named_no_more_often_than_it_stands_in_the_question(written: str, may: bool) -> None:
    assert KNOWN.may_begin(written, KNOWN.named("Zorbamol with Coumadin and an ASA allergy?")) is may
    assert Formulary().may_begin(written, {})  # a model that was taught no medicines


def test_what_was_added_is_told() -> None:
    assert spelled_out(" Coumadin", " warfarin, aspirin") == "Coumadin is warfarin; aspirin is in the question too"


def test_saved_beside_the_tokenizer(tmp_path: Path) -> None:
    KNOWN.save(tmp_path)
    assert Formulary.load(tmp_path) == KNOWN
    (tmp_path / FILE).write_text('{"a": 1}')
    with pytest.raises(UserError, match="damaged"):
        Formulary.load(tmp_path)
    (tmp_path / FILE).unlink()
    Formulary().save(tmp_path)
    assert not list(tmp_path.iterdir()) and Formulary.load(tmp_path) == Formulary()
