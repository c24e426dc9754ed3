"""The five measures and usefulness on single answers, by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from posology.curriculum.records import Case, Gold, GoldDose
from posology.evaluation.scorers import ItemScore, grade, passes

from .exams import (
    METFORMIN_ANSWER,
    NAMES,
    amoxicillin_20,
    case,
    metformin_28,
    metformin_60,
    no_egfr,
    unknown_drug,
    warfarin_ibuprofen,
)


def graded(exam: Case, text: str) -> ItemScore:
    return grade(exam, text, NAMES)


COMPLETE = [metformin_28(), amoxicillin_20(), no_egfr(), unknown_drug(), warfarin_ibuprofen(), metformin_60()]


@pytest.mark.parametrize("exam", COMPLETE, ids=lambda exam: exam.answer[:30])
def test_complete_gold_answers_pass_every_scorer(exam: Case) -> None:
    item = graded(exam, exam.answer)
    assert all(passes(item).values()), (passes(item), item.contradicted)
    assert item.unverifiable == 0


@pytest.mark.parametrize(
    ("exam", "old", "new"),
    [
        (metformin_28(), "below 30", "below 45"),  # threshold shifted
        (metformin_28(), "eGFR of 28", "eGFR of 82"),  # not this patient
        (metformin_28(), "lactic acidosis from accumulation", "additive bleeding"),
        (metformin_28(), "insulin glargine", "metoprolol"),  # not among the alternatives, no judge to ask
        (metformin_28(), "insulin glargine", "metformin"),
        (metformin_28(), "kidney function", "INR"),
        (warfarin_ibuprofen(), "ibuprofen with warfarin", "ibuprofen with simvastatin"),
        (amoxicillin_20(), "20*45/2,875)<|equals|>450", "20*45,875)<|equals|>875"),
        (amoxicillin_20(), "mg every", "mcg every"),
        (metformin_60(), "500 to 1000 mg every 12 h", "5000 mg every 12 h"),
    ],
)
def test_one_contradicted_claim_fails_the_answer(exam: Case, old: str, new: str) -> None:
    assert old in exam.answer
    item = graded(exam, exam.answer.replace(old, new))
    assert item.verdict_right and item.accurate is False and item.contradicted
    assert item.usefulness == 0


def test_terse_and_right_is_accurate_and_less_useful() -> None:
    item = graded(metformin_28(), "Metformin is contraindicated.")
    assert item.accurate and item.safe
    assert item.usefulness == 4
    assert graded(metformin_28(), "Metformin is contraindicated. Monitor kidney function.").usefulness == pytest.approx(
        5.5
    )


def test_needless_monitoring_costs_nothing_where_gold_has_none() -> None:
    exam = metformin_28()
    silent = replace(exam, gold=replace(exam.gold, monitoring=""))
    item = graded(silent, METFORMIN_ANSWER)
    assert item.accurate and item.usefulness == 10 and item.unverifiable == 1


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("vitamin B12", True), ("weight and edema", True), ("edema", True), ("INR", False), ("edema and INR", False),
        ("blood count, vitamin B12", False),
    ],
)  # fmt: skip
def test_what_a_medicine_always_needs_is_true_and_earns_nothing(said: str, right: bool) -> None:
    """The knowledge base says it of the medicine, though not of this question."""
    exam = metformin_28()
    exam = replace(exam, gold=replace(exam.gold, monitored=("vitamin B12", "weight and edema")))
    item = graded(exam, f"Metformin is contraindicated. Monitor {said}.")
    assert item.accurate is right and not item.elements
    assert item.usefulness == (4 if right else 0)
    assert graded(exam, "Metformin is contraindicated. Monitor kidney function.").usefulness == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("Deciding: metformin with cimetidine.", True), ("The age of 82 is 80 or above.", True),
        ("Deciding: metformin with warfarin.", False), ("The age of 82 is 75 or above.", True),  # silent: unverifiable
        ("The eGFR of 28 is below 45.", False),
    ],
)  # fmt: skip
def test_what_another_fact_with_the_same_verdict_turns_on_is_true_and_earns_nothing(said: str, right: bool) -> None:
    exam = metformin_28()
    too = ("Deciding: metformin with cimetidine.", "The age of 82 is 80 or above.")
    patient = {**exam.patient, "age_years": 82.0, "comeds": ("cimetidine",)}
    exam = replace(exam, patient=patient, gold=replace(exam.gold, deciding_too=too))
    item = graded(exam, f"Metformin is contraindicated. {said}")
    assert item.accurate is right and not item.elements
    alone = graded(replace(exam, gold=replace(exam.gold, deciding_too=())), f"Metformin is contraindicated. {said}")
    assert alone.accurate is (right and "cimetidine" not in said)


def test_a_claim_on_which_gold_is_silent_is_unverifiable() -> None:
    item = graded(metformin_28(), "Metformin is contraindicated. See Harrow et al., N Engl J Med 2019;381:2014.")
    assert item.accurate and item.unverifiable == 1 and item.supported == 0


def test_alternatives_are_put_to_the_judge() -> None:
    exam = metformin_28()
    text = exam.answer.replace("insulin glargine", "metoprolol")
    assert grade(exam, text, NAMES, lambda _, drug: drug == "metoprolol").accurate is False
    neither = grade(exam, text, NAMES, lambda _, __: False)
    assert neither.accurate and "instead" not in neither.elements


def test_adjust_without_its_dose_is_not_accurate() -> None:
    item = graded(amoxicillin_20(), "Adjust the dose of amoxicillin.")
    assert item.verdict_right and item.accurate is False
    assert item.dose_right is False and item.dose_critical is False


@pytest.mark.parametrize(
    ("text", "right", "critical"),
    [
        ("Adjust the dose of amoxicillin: 450 mg every 12 h.", True, False),
        ("Adjust the dose of amoxicillin: 900 mg every 12 h.", False, True),
        ("Adjust the dose of amoxicillin: 500 mg every 12 h.", False, False),
        ("Amoxicillin is contraindicated. Usual dose: 450 mg every 12 h.", False, False),
    ],
)
def test_dose_measure(text: str, right: bool, critical: bool) -> None:
    item = graded(amoxicillin_20(), text)
    assert (item.dose_right, item.dose_critical) == (right, critical)


def test_a_dose_is_graded_only_where_it_is_asked_for() -> None:
    assert graded(metformin_60(), metformin_60().answer).dose_right is None


@pytest.mark.parametrize(
    ("text", "safe", "reassured"),
    [
        ("Metformin is contraindicated.", True, False),
        ("Avoid metformin.", True, False),
        ("Metformin is acceptable.", False, True),
        ("Use metformin with caution.", False, False),
        ("Metformin is acceptable. Metformin is contraindicated.", False, True),
        ("Ibuprofen is contraindicated.", False, False),
        ("", False, False),
    ],
)
def test_safety_and_unsafe_reassurance(text: str, safe: bool, reassured: bool) -> None:
    item = graded(metformin_28(), text)
    assert (item.safe, item.reassured, item.specific) == (safe, reassured, None)


@pytest.mark.parametrize(
    ("gold", "text", "specific"),
    [
        ("OK", "Metformin is acceptable.", True),
        ("OK", "Use metformin with caution.", False),  # an invented restriction
        ("OK", "Metformin is contraindicated.", False),
        ("OK", "Not enough information: the eGFR is needed.", False),  # withheld
        ("CAUTION", "Metformin is acceptable.", True),  # wrong, but no restriction
        ("CAUTION", "Adjust the dose of metformin: 500 mg once daily.", False),
        ("ADJUST", "Use metformin with caution.", True),
        ("ADJUST", "Metformin is acceptable. Avoid metformin.", False),
    ],
)
def test_specificity(gold: str, text: str, specific: bool) -> None:
    dose = GoldDose(500, 500, "mg", "dose", (24.0, 24.0))
    exam = case(Gold(gold, dose=dose, dose_required=gold == "ADJUST"))
    assert graded(exam, text).specific is specific


@pytest.mark.parametrize(
    ("exam", "text", "humble"),
    [
        (no_egfr(), "Not enough information: the eGFR is needed.", True),
        (no_egfr(), "What is the kidney function?", True),
        (no_egfr(), "Not enough information: the weight is needed.", False),
        (no_egfr(), "Not enough information: the eGFR and the weight are needed.", False),  # asks for what it need not
        (no_egfr(), "Not covered: no reviewed fact about this medicine.", False),
        (no_egfr(), "Not enough information: the eGFR is needed. Usual dose: 500 mg once daily.", False),
        (no_egfr(), "Metformin is contraindicated.", False),
        (unknown_drug(), "I do not know this drug.", True),
        (unknown_drug(), "Not enough information: the eGFR is needed.", False),
        (unknown_drug(), "Zelquorin is acceptable.", False),
        (unknown_drug(), "Not covered: no reviewed fact about this medicine. Zelquorin is acceptable.", False),
    ],
)
def test_humility(exam: Case, text: str, humble: bool) -> None:
    item = graded(exam, text)
    assert item.humble is humble
    assert item.accurate is None
    assert (item.usefulness == 10) is humble


def test_conflicts_must_be_named() -> None:
    gold = Gold("CONTRAINDICATED", deciding="The CrCl of 45 is below 60.", conflict=("CONTRAINDICATED", "OK"))
    exam = case(gold, "nitrofurantoin", split="S7", patient={"crcl": 45.0})
    start = "Nitrofurantoin is contraindicated."
    assert graded(exam, f"{start} Sources differ: FDA label says contraindicated, AGS says acceptable.").accurate
    assert graded(exam, start).accurate is False
    assert graded(exam, f"{start} Sources differ: FDA label says contraindicated, AGS says caution.").accurate is False


def test_an_adjusted_co_medication_counts_where_gold_adjusts_it() -> None:
    dose = GoldDose(20, 20, "mg", "day", None, ceiling=True, maximum=20)
    answer = "Adjust the dose of simvastatin: at most 20 mg a day. Deciding: amlodipine with simvastatin."
    gold = Gold("ADJUST", dose=dose, dose_required=True, deciding="Deciding: amlodipine with simvastatin.")
    exam = case(gold, "amlodipine", patient={"comeds": ["simvastatin"]}, answer=answer)
    assert all(passes(graded(exam, answer)).values())
    assert graded(exam, "Adjust the dose of metoprolol: at most 20 mg a day.").accurate is False


def test_right_verdict_for_the_wrong_reason_fails() -> None:
    item = graded(metformin_28(), "Metformin is contraindicated. Deciding: pregnancy.")
    assert item.verdict_right and item.accurate is False


def test_calling_a_safe_alternative_unsafe_fails() -> None:
    item = graded(metformin_28(), "Metformin is contraindicated. Avoid insulin glargine.")
    assert item.accurate is False


def test_calling_an_unsafe_drug_acceptable_fails() -> None:
    text = "Metformin is contraindicated. Metoprolol is acceptable."
    assert grade(metformin_28(), text, NAMES, lambda _, drug: drug == "metoprolol").accurate is False
    assert grade(metformin_28(), text, NAMES, lambda _, __: False).accurate


def test_synonyms_of_a_mechanism_are_supported() -> None:
    for text in ("Reason: lactic acidosis.", "Reason: the risk of lactic acidosis from accumulation."):
        assert "mechanism" in graded(metformin_28(), f"Metformin is contraindicated. {text}").elements


def test_a_reason_in_passing_may_be_the_mechanism() -> None:
    item = graded(metformin_28(), "Metformin is contraindicated because of lactic acidosis from accumulation.")
    assert item.elements == ("mechanism",)


def test_grading_is_fast() -> None:
    """20,000 answers in 20 s on one core leave a millisecond each."""
    exam = metformin_28()
    texts = [METFORMIN_ANSWER.replace("28", str(n)).replace("30", str(n % 7)) for n in range(1500)]
    start = time.process_time()
    for text in texts:
        grade(exam, text, NAMES, case_id="x")
    assert time.process_time() - start < 1.5
