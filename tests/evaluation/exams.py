"""Small exams made by hand, shared by this folder's tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posology.curriculum.build import Curriculum, write_curriculum
from posology.curriculum.records import Case, Gold, GoldDose
from posology.evaluation.reading_text import Names, make_names
from posology.runs import Run, open_run

NAMES: Names = make_names(
    [
        ("metformin", ("Glucophage",)), ("ibuprofen", ("Advil",)), ("warfarin", ("Coumadin",)), ("naproxen", ()),
        ("acetaminophen", ("paracetamol",)), ("insulin glargine", ("Lantus",)), ("amoxicillin", ()),
        ("amoxicillin-clavulanate", ("Augmentin",)), ("simvastatin", ("Zocor",)), ("amlodipine", ()), ("codeine", ()),
        ("nitrofurantoin", ()), ("metoprolol", ()), ("sitagliptin", ()),
    ],
    {"nsaid": ("ibuprofen", "naproxen"), "opioid": ("codeine",)},
)  # fmt: skip

METFORMIN_28 = Gold(
    "CONTRAINDICATED", deciding="The eGFR of 28 is below 30.", mechanism="lactic acidosis from accumulation",
    alternatives=("insulin glargine", "sitagliptin"), monitoring="kidney function",
)  # fmt: skip
METFORMIN_ANSWER = (
    "Metformin is contraindicated. The eGFR of 28 is below 30. Reason: lactic acidosis from accumulation. "
    "Instead of metformin: insulin glargine. Monitor kidney function."
)
AMOXICILLIN_20 = GoldDose(
    450, 450, "mg", "dose", (12.0, 12.0), maximum=875, expression="min(20*45/2,875)", text="450 mg every 12 h"
)
AMOXICILLIN_ANSWER = (
    "Adjust the dose of amoxicillin: <|calc|>min(20*45/2,875)<|equals|>450<|/calc|> mg every 12 h. "
    "The weight of 20 kg is below 40."
)


def case(gold: Gold, drug: str = "metformin", *, patient: Mapping[str, Any] | None = None, **fields: Any) -> Case:
    """A case with sensible blanks."""
    told = {"question": f"About {drug}?", "kind": "renal", "split": "S1", "fact_id": f"{drug}.fact", **fields}
    return Case(drug=drug, gold=gold, patient=dict(patient or {}), **told)


def metformin_28(**fields: Any) -> Case:
    return case(METFORMIN_28, patient={"egfr": 28.0}, answer=METFORMIN_ANSWER, **fields)


def amoxicillin_20(**fields: Any) -> Case:
    gold = Gold("ADJUST", dose=AMOXICILLIN_20, dose_required=True, deciding="The weight of 20 kg is below 40.")
    told = {"patient": {"weight_kg": 20.0}, "kind": "dose", "answer": AMOXICILLIN_ANSWER, **fields}
    return case(gold, "amoxicillin", **told)


def no_egfr(**fields: Any) -> Case:
    gold = Gold("INSUFFICIENT", missing=("egfr",))
    return case(gold, **{"split": "S6", "answer": "Not enough information: the eGFR is needed.", **fields})


def unknown_drug(name: str = "zelquorin", **fields: Any) -> Case:
    gold = Gold("INSUFFICIENT", not_covered=True)
    return case(gold, name, **{"split": "S5", "answer": "Not covered: no reviewed fact about this medicine.", **fields})


def warfarin_ibuprofen(**fields: Any) -> Case:
    gold = Gold(
        "AVOID", deciding="Deciding: ibuprofen with warfarin.", mechanism="additive bleeding",
        alternatives=("acetaminophen",), monitoring="INR",
    )  # fmt: skip
    answer = (
        "Avoid ibuprofen. Deciding: ibuprofen with warfarin. Reason: additive bleeding. "
        "Instead of ibuprofen: acetaminophen. Monitor INR."
    )
    return case(gold, "ibuprofen", patient={"comeds": ["warfarin"]}, answer=answer, **fields)


def metformin_60(**fields: Any) -> Case:
    dose = GoldDose(500, 1000, "mg", "dose", (12.0, 12.0), text="500 to 1000 mg every 12 h")
    gold = Gold("OK", dose=dose, deciding="The eGFR of 60 is 45 or above.", monitoring="kidney function")
    answer = (
        "Metformin is acceptable. The eGFR of 60 is 45 or above. Usual dose: 500 to 1000 mg every 12 h. "
        "Monitor kidney function."
    )
    return case(gold, patient={"egfr": 60.0}, answer=answer, **fields)


def exam_cases(copies: int = 3) -> list[Case]:
    """Seven cases a copy, each copy about other facts; metformin's two are a minimal pair."""
    out = []
    for i in range(copies):
        tag = {"fact_id": f"fact{i}", "wording": f"w{i}"}
        out += [
            metformin_28(twin=f"pair{i}", **tag), metformin_60(twin=f"pair{i}", **tag), amoxicillin_20(**tag),
            warfarin_ibuprofen(split="S2", **tag), no_egfr(**tag), unknown_drug(f"zelquorin{'abcdefghi'[i]}", **tag),
            metformin_28(split="dev", **tag),
        ]  # fmt: skip
    return out


def run_with_exam(root: Path, name: str = "small") -> Run:
    """A run that holds an exam, a config and a scorecard of its own, and nothing else."""
    run = open_run(root, name, create=True)
    write_curriculum(Curriculum((), (), (), tuple(exam_cases())), run.data_dir)
    run.mark_data("made by hand")
    smoke = Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"
    run.config_path.write_bytes(smoke.read_bytes())
    run.scorecard_path.write_text('{"of": "the run itself"}\n')
    return run
