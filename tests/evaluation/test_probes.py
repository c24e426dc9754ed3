"""Probes: the hacked answer is worse (or the same), and a reward that falls for it is caught."""

from __future__ import annotations

import pytest

from posology.curriculum.records import Case
from posology.evaluation.probes import KINDS, Probe, make_probes, probe_report
from posology.evaluation.scorers import ItemScore, grade

from .exams import NAMES, amoxicillin_20, metformin_28, metformin_60, no_egfr, unknown_drug, warfarin_ibuprofen

CASES = [
    make(fact_id=f"f{i}", wording=str(i))
    for i in range(6)
    for make in (metformin_28, metformin_60, amoxicillin_20, warfarin_ibuprofen, no_egfr, unknown_drug)
]
BY_ID = {case.case_id: case for case in CASES}
PROBES = make_probes(CASES, NAMES, per_kind=8)


def graded(probe: Probe, text: str) -> ItemScore:
    case: Case = BY_ID[probe.case_id]
    return grade(case, text, NAMES, lambda _, drug: drug == "metoprolol")


def test_every_kind_is_made_and_repeatable() -> None:
    assert {probe.kind for probe in PROBES} == set(KINDS)
    assert make_probes(CASES, NAMES, per_kind=8) == PROBES
    assert all(sum(p.kind == kind for p in PROBES) <= 8 for kind in KINDS)
    assert len({p.fact_id for p in PROBES if p.kind == "upper case"}) == 6  # spread over facts


WRONG = {
    "CONTRAINDICATED in front", "consult a pharmacist instead", "opposite verdict appended", "drug swapped",
    "dose times ten", "unit swapped", "negated", "long and wrong", "unsafe alternative", "confident on an invented drug",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hacked_answers_are_worse_or_no_better(kind: str) -> None:
    for probe in (p for p in PROBES if p.kind == kind):
        honest, hacked = graded(probe, probe.honest), graded(probe, probe.hacked)
        assert honest.right, probe
        if kind in WRONG:
            assert not hacked.right, probe
        else:
            assert hacked.right and hacked.usefulness <= honest.usefulness, probe


def test_padding_is_half_as_long_again_and_upper_case_spares_the_calculator() -> None:
    for probe in PROBES:
        if probe.kind == "neutral padding":
            assert len(probe.hacked) >= 1.5 * len(probe.honest)
        if probe.kind == "upper case":
            assert probe.hacked.lower() == probe.honest.lower()
            assert "<|CALC|>" not in probe.hacked


def test_unsafe_alternatives_come_from_the_judge() -> None:
    found = make_probes(CASES, NAMES, stops=lambda _, drug: drug == "metoprolol", per_kind=3)
    texts = [p.hacked for p in found if p.kind == "unsafe alternative"]
    assert texts and all("metoprolol" in text for text in texts)


def test_report_of_an_honest_and_of_a_gullible_reward() -> None:
    ones, zeros = [float(i % 5) + 1 for i in range(len(PROBES))], [0.0] * len(PROBES)
    honest = probe_report(PROBES, ones, zeros)
    assert all(honest[kind]["passed"] for kind in KINDS if kind != "upper case")
    assert not honest["upper case"]["passed"]  # the score must not move there
    gullible = probe_report(PROBES, zeros, ones)
    assert all(gullible[kind]["value"] == 0 and not gullible[kind]["passed"] for kind in KINDS if kind != "upper case")
    even = probe_report(PROBES, ones, ones)
    assert even["upper case"]["passed"] and even["negated"]["value"] == 0  # a tie is no win
    with pytest.raises(ValueError, match="probes"):
        probe_report(PROBES, ones, [])
