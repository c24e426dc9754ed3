"""The exam: quotas, twins, splits; every gold is the judge's."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from posology.config import DataConfig
from posology.curriculum.build import Curriculum
from posology.curriculum.cases import make_cases
from posology.curriculum.hand import HAND, hand_cases
from posology.curriculum.records import Case
from posology.curriculum.splits import is_dev_fact, is_member_held_out, number_group
from posology.curriculum.supply import Supply
from posology.curriculum.targets import NUMBER_FIELDS
from posology.evaluation.judging import patient_of
from posology.knowledge.judge import judge
from posology.knowledge.library import Library


def of(cases: tuple[Case, ...] | list[Case], *splits: str) -> list[Case]:
    return [case for case in cases if case.split in splits]


@pytest.fixture(scope="module")
def full(library: Library) -> list[Case]:
    """The exam at items = 1."""
    return make_cases(Supply.make(library, 0), DataConfig(), 0)


def test_the_full_exam_has_what_the_scorecard_needs(full: list[Case]) -> None:
    headline = of(full, "S1", "S2")
    stops = [case for case in headline if case.gold.verdict in ("CONTRAINDICATED", "AVOID")]
    doses = [case for case in headline if case.gold.dose_required]
    others = [case for case in headline if case.gold.verdict in ("OK", "ADJUST", "CAUTION")]
    assert len(stops) >= 1000 and len({case.fact_id for case in stops}) >= 100
    assert len(doses) >= 1000 and len({case.fact_id for case in doses}) >= 100
    assert len(others) >= 600 and len({case.fact_id for case in others}) >= 100
    capped = [case for case in doses if case.gold.dose is not None and case.gold.dose.cap_binding]
    assert len(capped) >= 0.25 * len(doses)
    sizes = Counter(case.split for case in full)
    assert min(sizes[split] for split in ("S0", "S3", "S4", "S5", "S6", "S8")) >= 200
    assert sizes["S7"] >= 60 and sizes["dev"] >= 500 and sizes["hand"] == 50
    assert len({case.drug for case in of(full, "S4")}) >= 100
    assert 4000 <= len(full) <= 5000


def test_twins_come_in_twos_and_differ_in_verdict(full: list[Case]) -> None:
    twins: dict[str, list[Case]] = defaultdict(list)
    for case in full:
        if case.twin:
            twins[case.twin].append(case)
    assert len(twins) > 300
    for one, other in twins.values():
        assert one.gold.verdict != other.gold.verdict and one.drug == other.drug and one.wording == other.wording
        names = {*one.patient, *other.patient}
        assert sum(one.patient.get(name) != other.patient.get(name) for name in names) == 1


def test_new_numbers_are_new_and_old_ones_old(full: list[Case]) -> None:
    def groups(case: Case) -> set[str]:
        return {number_group(case.drug, name, case.patient[name]) for name in NUMBER_FIELDS if name in case.patient}

    assert all("exam" in groups(case) for case in of(full, "S2"))
    assert all(groups(case) <= {"train"} for case in of(full, "S0", "S1"))
    boundary = [case for case in of(full, "S2") if case.gold.deciding and "of" in case.gold.deciding]
    assert len(boundary) > 400


def test_every_gold_is_the_judges(curriculum: Curriculum, library: Library) -> None:
    for case in curriculum.cases[::2]:
        judgement = judge(patient_of(case.patient), case.drug, library)
        assert judgement.verdict.value == case.gold.verdict, case.question


def test_facts_keep_to_their_split(full: list[Case]) -> None:
    for case in full:
        if case.split in ("S0", "S1", "S2", "S7", "S8"):
            assert not is_dev_fact(case.fact_id), case
        if case.split == "dev" and case.gold.verdict != "INSUFFICIENT":
            assert is_dev_fact(case.fact_id), case


def test_s3_asks_about_members_that_were_kept(full: list[Case], library: Library) -> None:
    for case in of(full, "S3"):
        names = (case.drug, *case.patient.get("comeds", ()))
        assert any(is_member_held_out(fact, name) for fact in case.gold.facts for name in names), case


def test_abstentions_name_their_cause(full: list[Case]) -> None:
    for case in of(full, "S4", "S5"):
        assert case.gold.not_covered and not case.gold.missing and case.fact_id == case.drug
    for case in of(full, "S6"):
        assert case.gold.missing and not case.gold.not_covered
    assert len({name for case in of(full, "S6") for name in case.gold.missing}) >= 5


def test_conflicts_name_more_than_one_verdict(full: list[Case]) -> None:
    assert all(len(case.gold.conflict) >= 2 for case in of(full, "S7"))
    assert not any(case.gold.conflict for case in of(full, "S0", "S1", "S2", "S3", "S8"))


def test_no_question_is_asked_twice(full: list[Case]) -> None:
    assert len({case.question for case in full}) == len(full)


def test_the_hand_written_questions(library: Library) -> None:
    cases = list(hand_cases(library))
    assert len(cases) == len(HAND) == len({case.question for case in cases}) == 50
    assert len({case.gold.verdict for case in cases}) == 6
    answers = {case.question: case.answer for case in cases}
    assert answers["Does warfarin go together with daily naproxen?"].startswith("Avoid warfarin.")
    assert (
        answers["Would metformin be fine for my neighbour with bad kidneys?"]
        == "Not enough information: the eGFR is needed."
    )
