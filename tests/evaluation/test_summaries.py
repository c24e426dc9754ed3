"""Scores of summaries, worked by hand; comparisons."""

import json

import pytest

from posology.evaluation.summaries import (
    MEANING,
    Note,
    compare_systems,
    evaluate_summaries,
    measure_system,
    rouge_l,
    score_summary,
    worst_cases,
)  # fmt: skip

NOTE = Note(
    "1",
    "Takes metformin 500 mg twice daily and lisinopril 20 mg daily. Allergic to penicillin. His mother takes warfarin.",
    "Metformin 500 mg twice daily, lisinopril 20 mg daily.",
)


def test_one_summary_by_hand() -> None:
    score = score_summary(NOTE, "Takes metformin 5000 mg twice daily and Zocor.")
    assert score.told_drugs == ("metformin", "lisinopril")  # neither the allergy nor the mother's
    assert [wrong.fault for wrong in score.wrong] == ["dose", "drug"]
    assert score.omitted == ("lisinopril",) and score.recalled == 0
    assert score.reference is not None and (score.reference.hits, score.reference.found, score.reference.wanted) == (
        0,
        2,
        2,
    )
    assert score.f1 == 0.0


def test_a_faithful_summary_is_perfect() -> None:
    score = score_summary(NOTE, NOTE.reference)
    assert not score.wrong and not score.omitted and score.f1 == 1.0 and score.rouge_l == 1.0
    assert score.reference is not None and score.reference.f1 == 1.0


def test_a_system_by_hand() -> None:
    scores = [
        score_summary(NOTE, "Metformin 5000 mg twice daily."),  # wrong dose, one of two drugs left out
        score_summary(Note("2", "Start Lipitor 40 mg."), "Lipitor 40 mg was started."),
        score_summary(Note("3", "He is well."), "He is well."),
    ]
    out = measure_system(scores)
    value = {name: out["measures"][name]["value"] for name in MEANING}
    assert value["precision"] == value["hallucination"] == value["wrong_dose"] == 0.5
    assert value["recall"] == value["omission"] == pytest.approx(1 / 3)
    assert value["summaries_hallucinating"] == pytest.approx(1 / 3)
    assert out["f1"] == pytest.approx(0.4)
    assert out["measures"]["precision"]["n"] == 2 and out["measures"]["precision"]["facts"] == 2


def test_rouge_l_by_hand() -> None:
    # 3 of 4 words in order on both sides: precision = recall = 0.75
    assert rouge_l("the cat sat down", "the cat lay down") == pytest.approx(0.75)


def test_nothing_to_measure_is_said() -> None:
    out = measure_system([score_summary(Note("3", "He is well."), "He is well.")])
    assert out["measures"]["precision"]["value"] is None and out["f1"] is None and out["against_reference"] is None


def test_systems_are_compared_on_shared_notes() -> None:
    notes = {str(n): Note(str(n), "Takes metformin 500 mg daily.", "Metformin 500 mg daily.") for n in range(12)}
    good = dict.fromkeys(notes, "Metformin 500 mg daily.")
    bad = dict.fromkeys(list(notes)[:10], "Metformin 5000 mg daily.")
    card, systems = evaluate_summaries(notes, {"good": good, "bad": bad})
    (hallucinating, *_) = (row for row in card["comparisons"] if row["measure"] == "summaries_hallucinating")
    assert hallucinating["n"] == 10 and hallucinating["difference"] == -1.0
    assert hallucinating["p"] == pytest.approx(2 / 2**10)  # ten notes, all one way
    assert hallucinating["p_holm"] >= hallucinating["p"]
    same = compare_systems({"a": systems["good"], "b": systems["good"]})
    assert all(row["difference"] == 0 and row["p"] == 1.0 for row in same)
    assert {case.id for case in worst_cases(systems["bad"], 3)} <= set(bad) and not worst_cases(systems["good"], 3)
    assert "held_out" in card["reader"]
    assert card["reference"]["measures"]["precision"]["value"] == 1.0  # the trusted summaries, scored alike


def test_the_card_holds_no_text() -> None:
    note = Note("1", "CANARYNOTE takes canaryvastatin 5 mg.", "CANARYREFERENCE")
    card, _ = evaluate_summaries({"1": note}, {"s": {"1": "CANARYANSWER takes metformin."}})
    assert "canary" not in json.dumps(card).lower()
