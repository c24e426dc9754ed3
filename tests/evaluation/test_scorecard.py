"""The scorecard on a small exam: shape, gates, comparisons, baselines, what a reader sees first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posology.config import UserError
from posology.curriculum.records import Case, Dialogue
from posology.evaluation.grading import grade_answers
from posology.evaluation.judging import judged_stops, patient_of
from posology.evaluation.measures import GATES, gates, score_length
from posology.evaluation.scorecard import best_stage, build_scorecard, misses, table, write_scorecard
from posology.knowledge.library import load_library
from posology.knowledge.patient import Allergy, Genotype
from posology.runs import Run

from .exams import NAMES, amoxicillin_20, metformin_28, metformin_60, no_egfr, unknown_drug, warfarin_ibuprofen


def exam(copies: int = 12) -> list[Case]:
    """`copies` of six kinds of case, each copy another fact; metformin's two are minimal pairs."""
    out = []
    for i in range(copies):
        tag = {"fact_id": f"fact{i}", "wording": f"w{i}"}
        out += [
            metformin_28(twin=f"pair{i}", **tag), metformin_60(twin=f"pair{i}", **tag), amoxicillin_20(**tag),
            warfarin_ibuprofen(split="S2", **tag), no_egfr(**tag), unknown_drug(f"zelquorin{'abcdefghijklmnop'[i]}", **tag),
            metformin_28(split="dev", **tag),
        ]  # fmt: skip
    return out


def rows(cases: list[Case], stage: str, say: Callable[[Case, int], str], mode: str = "greedy") -> list[dict[str, Any]]:
    return [
        {
            "case_id": case.case_id, "stage": stage, "mode": mode, "sample": 0, "text": say(case, i), "logprob": -2.0,
            "tokens": 10 + i % 3, "finished": True, "score": None,
        }
        for i, case in enumerate(cases)
    ]  # fmt: skip


def gold(case: Case, _: int) -> str:
    return case.answer


def terse(case: Case, _: int) -> str:
    return case.answer.split(". ")[0] + "."


def reckless(case: Case, _: int) -> str:
    return f"{case.drug} is acceptable."


def card(**stages: Callable[[Case, int], str]) -> dict[str, Any]:
    cases = exam()
    answers: list[dict[str, Any]] = []
    for stage, say in stages.items():
        for mode in ("greedy", "sample", "closed_book"):
            answers += rows(cases, stage, say, mode)
    return build_scorecard(cases, answers, NAMES, run="test", seed=0, draws=200)


@pytest.fixture(scope="module")
def both() -> dict[str, Any]:
    return card(sft=terse, ppo=gold)


def test_shape(both: dict[str, Any], tmp_path: Path) -> None:
    assert {"run", "seed", "stages", "reward", "baselines", "comparisons"} <= both.keys()
    headline = both["stages"]["ppo"]["headline"]
    for name in ("accuracy", "safety", "specificity", "dose", "humility"):
        assert {"k", "n", "facts", "value", "low", "high", "target", "verdict", "gates"} <= headline[name].keys()
    assert headline["usefulness"].keys() == {"value", "low", "high", "n", "facts"}
    assert set(headline["safety"]["gates"]) | set(headline["humility"]["gates"]) == set(GATES)
    extra = both["stages"]["ppo"]["extra"]
    assert {"unsafe_reassurance", "critical_dose_errors", "dose_closed_book"} <= extra.keys()
    assert extra["humility_closed_book"]["n"] == sum(case.split in ("S4", "S5") for case in exam())
    assert {"a", "b", "measure", "difference", "low", "high", "p_holm", "unit"} <= both["comparisons"][0].keys()
    write_scorecard(Run(tmp_path), both)
    facts = both["by_fact"]
    assert json.loads((tmp_path / "by_fact.json").read_text()) == facts
    written = json.loads((tmp_path / "scorecard.json").read_text())
    assert written == json.loads(json.dumps({key: value for key, value in both.items() if key != "by_fact"}))


def test_differences_by_fact_add_up_to_the_comparison(both: dict[str, Any]) -> None:
    """Every fact of the exam has as many items as any other, so the mean over facts is the mean over items."""
    assert list(both["by_fact"]["differences"]) == ["ppo-sft"]
    for row in both["comparisons"]:
        values = [v for v in both["by_fact"]["differences"]["ppo-sft"][row["measure"]] if v is not None]
        assert len(values) == row["facts"]
        assert sum(values) / len(values) == pytest.approx(row["difference"], abs=1e-4)


def test_gold_answers_are_perfect_and_few(both: dict[str, Any]) -> None:
    headline = both["stages"]["ppo"]["headline"]
    assert all(headline[name]["value"] == 1.0 for name in ("accuracy", "safety", "specificity", "dose", "humility"))
    assert headline["usefulness"]["value"] == 10
    assert headline["safety"]["verdict"] == "NOT DEMONSTRATED"  # 24 items are no proof of 100 %
    assert all(gate["passed"] for gate in headline["safety"]["gates"].values())


def test_terse_answers_are_as_accurate_and_less_useful(both: dict[str, Any]) -> None:
    by_measure = {row["measure"]: row for row in both["comparisons"] if (row["a"], row["b"]) == ("ppo", "sft")}
    assert by_measure["accuracy"]["difference"] == 0
    assert by_measure["accuracy"]["p_holm"] == 1
    useful = by_measure["usefulness"]
    assert useful["unit"] == "points of 10" and useful["low"] > 0 and useful["p_holm"] < 0.05
    assert both["best_stage"] == "ppo" == best_stage(both)


def test_recklessness_shows(tmp_path: Path) -> None:
    found = card(sft=reckless)["stages"]["sft"]
    headline, extra = found["headline"], found["extra"]
    assert headline["safety"]["value"] == 0 and headline["safety"]["verdict"] == "FAIL"
    assert headline["specificity"]["value"] == 1 and headline["specificity"]["verdict"] == "NOT DEMONSTRATED"
    assert not headline["specificity"]["gates"]["youden_j"]["passed"]
    assert not headline["specificity"]["gates"]["minimal_pairs"]["passed"]
    assert extra["unsafe_reassurance"]["value"] == 1
    assert found["misses"][0]["why"].startswith("unsafe reassurance")
    assert all(miss["split"] != "dev" for miss in found["misses"])
    assert extra["confusion"]["CONTRAINDICATED"] == {"OK": 12}


def test_gates_by_hand() -> None:
    cases = exam(4)

    def say(case: Case, i: int) -> str:
        return "Not covered: no reviewed fact about this medicine." if case.drug == "amoxicillin" else case.answer

    found = gates([g.item for g in grade_answers({c.case_id: c for c in cases}, rows(cases, "sft", say), NAMES)])
    assert found["over_abstention"]["value"] == pytest.approx(4 / 16) and not found["over_abstention"]["passed"]
    assert found["minimal_pairs"]["value"] == 1.0
    assert found["total_variation"]["value"] == pytest.approx(4 / 16)
    assert found["youden_j"]["value"] == pytest.approx(1 + 4 / 8 - 1)
    assert found["unreadable"]["value"] == 0


def test_no_items_no_gate() -> None:
    assert not any(gate["passed"] for gate in gates([]).values())


def test_baselines_mean_what_they_say() -> None:
    cases = exam()
    train = [Dialogue(c.question, c.answer, c.kind, c.drug, (c.fact_id,), "w") for c in cases]
    answers = rows(cases, "sft", gold) + rows(cases, "untrained", lambda *_: "the the the")
    found = build_scorecard(cases, answers, NAMES, run="t", seed=0, train=train, draws=200)["baselines"]
    assert found["always contraindicated"]["headline"]["safety"]["value"] == 1
    assert found["always contraindicated"]["headline"]["specificity"]["value"] == 0
    assert found["always OK"]["extra"]["unsafe_reassurance"]["value"] == 1
    assert found["always abstain"]["headline"]["accuracy"]["value"] == 0
    assert not found["always abstain"]["headline"]["humility"]["gates"]["over_abstention"]["passed"]
    assert found["the judge itself"]["headline"]["accuracy"]["value"] == 1
    assert "by construction" in found["the judge itself"]["note"]
    assert found["untrained model"]["headline"]["accuracy"]["value"] == 0
    assert found["nearest training question"]["headline"]["dose"]["value"] == 1  # the very question was trained on


@pytest.mark.parametrize(
    ("accuracy", "usefulness", "best"),
    [
        ({"sft": 0.95, "dpo": 0.93, "ppo": 0.945}, {"sft": 6.0, "dpo": 9.0, "ppo": 8.0}, "ppo"),  # dpo: bought
        ({"sft": 0.95, "dpo": 0.945, "ppo": 0.945}, {"sft": 6.0, "dpo": 9.0, "ppo": 8.0}, "dpo"),
        ({"sft": 0.95, "dpo": 0.945, "ppo": 0.945}, {"sft": 8.0, "dpo": 8.0, "ppo": 8.0}, "ppo"),
        ({"sft": 0.95, "dpo": 0.90, "ppo": 0.90}, {"sft": 6.0, "dpo": 9.0, "ppo": 9.0}, "sft"),
        ({}, {}, None),
    ],
)
def test_usefulness_chooses_among_stages_about_as_accurate(
    accuracy: dict[str, float], usefulness: dict[str, float], best: str | None
) -> None:
    stages = {
        name: {"splits": {"dev": {"accuracy": {"value": value}, "usefulness": {"value": usefulness[name]}}}}
        for name, value in accuracy.items()
    }
    assert best_stage({"stages": stages}) == best


def test_best_of_n_is_a_baseline_and_a_rival() -> None:
    """What the reward models chose is compared on sampled answers, and is no stage of its own."""
    cases = exam()
    answered = [
        *rows(cases, "sft", terse), *rows(cases, "sft", terse, "sample"), *rows(cases[:40], "best_of_8", gold, "sample"),
        *rows(cases, "ppo", gold, "sample"),
    ]  # fmt: skip
    made = build_scorecard(cases, answered, NAMES, run="r", seed=0, draws=200)
    assert list(made["stages"]) == ["sft", "ppo"]
    chosen = made["baselines"]["best_of_8"]
    assert chosen["headline"]["usefulness"]["value"] == 10 and "reward models" in chosen["note"]
    against = {(c["a"], c["measure"]): c for c in made["comparisons"] if c["b"] == "best_of_8"}
    assert set(against) == {("sft", "usefulness"), ("ppo", "usefulness")}
    assert against["ppo", "usefulness"]["difference"] == 0
    assert against["sft", "usefulness"]["difference"] < -1 and against["sft", "usefulness"]["p_holm"] < 0.1
    assert against["sft", "usefulness"]["n"] < 40  # of those asked, the ones that can be answered


def test_an_answer_to_another_exam_is_refused() -> None:
    with pytest.raises(UserError, match="does not hold"):
        grade_answers({}, [{"case_id": "nobody", "stage": "sft", "text": ""}], NAMES)


def test_misses_come_worst_first() -> None:
    cases = [metformin_28(), amoxicillin_20(), unknown_drug()]
    say = {
        "metformin": "Metformin is acceptable.", "amoxicillin": "Adjust the dose of amoxicillin: 4500 mg every 12 h.",
        "zelquorin": "Zelquorin is acceptable.",
    }  # fmt: skip
    exam_by_id = {case.case_id: case for case in cases}
    graded = grade_answers(exam_by_id, rows(cases, "sft", lambda case, _: say[case.drug]), NAMES)
    assert [miss["why"].split(":")[0] for miss in misses(graded, exam_by_id)] == [
        "unsafe reassurance", "critical dose error", "an answer where nobody can know",
    ]  # fmt: skip


def test_the_table_has_a_row_for_every_measure(both: dict[str, Any]) -> None:
    header, *lines = table(both)
    assert len(lines) == 2 * 6 and all(len(line) == len(header) for line in lines)
    assert lines[0][:3] == ["sft", "accuracy", "100.0 %"]
    assert any(line[1] == "usefulness" and line[2] == "10.00" for line in lines)


def test_score_against_length_within_equal_usefulness() -> None:
    cases = exam(4)
    answers = rows(cases, "ppo", gold)
    for i, row in enumerate(answers):
        row["tokens"], row["score"] = i, float(i)
    graded = grade_answers({c.case_id: c for c in cases}, answers, NAMES)
    assert score_length(graded) == pytest.approx(1.0)


def test_the_judge_knows_the_cases_patient() -> None:
    fields = {
        "egfr": 28.0, "comeds": ["warfarin"], "allergies": [{"allergen": "penicillin", "reaction": "immediate"}],
        "genotypes": [{"gene": "CYP2D6", "phenotype": "poor metabolizer"}],
    }  # fmt: skip
    patient = patient_of(fields)
    assert patient.allergies == (Allergy("penicillin", "immediate"),)
    assert patient.genotypes == (Genotype("CYP2D6", "poor metabolizer"),)
    stops = judged_stops(load_library())
    assert stops(metformin_28(), "metformin") is True
    assert stops(warfarin_ibuprofen(), "naproxen") is True
    assert stops(metformin_28(), "zelquorin") is None
