"""The closed loop: every gold answer passes every scorer, every corruption fails at least one."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from posology.curriculum.answers import Script
from posology.curriculum.build import Curriculum
from posology.curriculum.corruptions import CORRUPTIONS, STYLES, corrupted, heard, wrong_text
from posology.curriculum.exam import patient_fields
from posology.curriculum.preferences import bank_of, make_preferences
from posology.curriculum.records import ELEMENTS, Case, Preference
from posology.curriculum.situations import Situation
from posology.curriculum.supply import Supply
from posology.evaluation.judging import judged_stops
from posology.evaluation.reading_text import Names, library_names
from posology.evaluation.scorers import StopsFor, grade, passes, repeats
from posology.knowledge.library import Library
from posology.text.references import statement_in
from posology.text.spans import CALC, render, split_working, strip_spans, with_working

from .conftest import SMALL

Grader = tuple[Names, StopsFor]


@pytest.fixture(scope="module")
def grader(library: Library) -> Grader:
    return library_names(library), judged_stops(library)


def asked(situation: Situation, script: Script) -> Case:
    """The situation as a case, without its question."""
    return Case(
        "", situation.drug, situation.kind, "train", script.gold, patient_fields(situation.patient), situation.fact_id,
        answer=script.text(),
    )  # fmt: skip


def test_every_gold_answer_passes_every_scorer(curriculum: Curriculum, grader: Grader) -> None:
    for case in curriculum.cases:
        verdicts = passes(grade(case, case.answer, *grader))
        assert all(verdicts.values()), (case.question, case.answer, verdicts)
        assert repeats(case.answer) == 0, case.answer


def test_every_demonstration_passes_all_but_usefulness(supply: Supply, grader: Grader) -> None:
    for target in supply.targets:
        situation = supply.pools[target][-1]
        script = supply.script(situation)
        case = asked(situation, script)
        for elements in ((), ("deciding",), ("mechanism", "instead"), ELEMENTS):
            verdicts = passes(grade(case, script.text(elements), *grader))
            assert all(passed for name, passed in verdicts.items() if name != "usefulness"), (
                script.text(elements),
                verdicts,
            )
        assert verdicts["usefulness"]


def test_answers_read_the_same_when_they_refer_to_their_working(curriculum: Curriculum) -> None:
    """What is learnt from and what stands in the files differ in the writing alone, on both sides of a pair."""
    right = [(pair.working, pair.chosen) for pair in curriculum.preferences]
    right += [(dialogue.working, dialogue.answer) for dialogue in curriculum.dialogues]
    wrong = [(pair.working, pair.rejected) for pair in curriculum.preferences]
    referred = 0
    for number, (working, answer) in enumerate([*right, *wrong]):
        written = with_working(working, answer)
        assert render(written) == render(answer) and strip_spans(written) == strip_spans(answer)
        assert split_working(written)[0] == working
        if number < len(right) and working.count(CALC) > 1 and statement_in(answer):
            assert not statement_in(split_working(written)[1]), written  # a wrong answer may tell of another patient
            referred += 1
    assert referred > 50


def test_every_corruption_fails_a_scorer(supply: Supply, grader: Grader) -> None:
    rng, tried = random.Random(0), Counter[str]()
    bank = bank_of(supply)
    for target in supply.targets:
        situation = supply.pools[target][0]
        script = supply.script(situation, asks_dose=situation.judgement.dose is not None)
        case = asked(situation, script)
        for name in CORRUPTIONS:
            wrong = corrupted(name, script, situation, bank, rng)
            if wrong is None or name in ("confident_missing", "confident_unknown", "wrong_missing"):
                continue
            text = wrong_text(wrong, ELEMENTS if name == "monitoring_dropped" else [heard(name, script)])
            verdicts = passes(grade(case, text, *grader))
            if name != "monitoring_dropped":  # that one is right, and not complete: only usefulness sees it
                verdicts.pop("usefulness")
            assert not all(verdicts.values()), (name, case.drug, situation.patient, script.text(), text)
            tried[name] += 1
    assert len(tried) >= 15, tried


def test_every_worse_style_is_as_right_and_fails_the_scorer_of_style(supply: Supply, grader: Grader) -> None:
    rng = random.Random(0)
    for target in supply.targets:
        situation = supply.pools[target][0]
        script = supply.script(situation)
        for name, change in STYLES.items():
            text = change(script.text(), rng)
            assert all(passes(grade(asked(situation, script), text, *grader)).values()), (name, text)
            assert repeats(text) == 1, (name, text)


def test_pairs_about_abstention_are_right_and_wrong(supply: Supply, grader: Grader) -> None:
    """Confident answers and wrong questions fail humility; their right partners pass."""
    seen = Counter[str]()
    for pair in make_preferences(supply, SMALL, 0):
        if pair.kind in ("missing", "unknown drug"):
            gold = _abstaining(pair, supply)
            right, wrong = (passes(grade(gold, text, *grader))["humility"] for text in (pair.chosen, pair.rejected))
            assert right and not wrong, pair
            seen[pair.corruption] += 1
    assert set(seen) == {"confident_missing", "confident_unknown", "wrong_missing"}


def _abstaining(pair: Preference, supply: Supply) -> Case:
    """A case whose gold abstains as the pair's right answer does."""
    from posology.curriculum.records import Gold
    from posology.evaluation.reading import read_answer

    reading = read_answer(pair.chosen, pair.drug, library_names(supply.library))
    assert reading.verdict == "INSUFFICIENT"
    gold = Gold("INSUFFICIENT", missing=tuple(sorted(reading.missing)), not_covered=reading.not_covered)
    return Case(pair.prompt, pair.drug, pair.kind, "train", gold)
