"""Dialogues: shares, balance, and experts who differ by a coin."""

from __future__ import annotations

from collections import Counter

import pytest

from posology.curriculum.build import Curriculum
from posology.curriculum.dialogues import elements_of, is_dev_name, unknown_names, weight
from posology.curriculum.knowledge_dialogues import knowledge_dialogues
from posology.curriculum.names import EXAM_NAMES, TRAINING_NAMES
from posology.curriculum.records import Dialogue
from posology.curriculum.supply import Supply
from posology.curriculum.targets import all_targets
from posology.knowledge.library import Library
from posology.text.calculator import calculate

from .conftest import SMALL


def trained(curriculum: Curriculum) -> list[Dialogue]:
    return [d for d in curriculum.dialogues if d.split == "train"]


def test_the_number_of_dialogues_is_what_was_asked(curriculum: Curriculum, supply: Supply) -> None:
    facts = {target.fact.id for target in supply.targets}
    assert len(trained(curriculum)) == pytest.approx(SMALL.questions * len(facts), rel=0.06)


def test_abstention_has_its_share(curriculum: Curriculum) -> None:
    dialogues = trained(curriculum)
    counts = Counter(d.kind for d in dialogues)
    unknown = counts["unknown drug"] + counts["unknown combination"]
    assert unknown / len(dialogues) == pytest.approx(SMALL.unknown_share, abs=0.03)
    assert counts["missing"] / len(dialogues) == pytest.approx(SMALL.missing_share, abs=0.03)


def test_unknown_names_are_many_and_none_is_examined(supply: Supply, curriculum: Curriculum) -> None:
    train, dev = unknown_names(supply, 0, 500)
    assert len(set(train)) > 700 and len(dev) >= 60
    assert not (set(train) | set(dev)) & set(EXAM_NAMES)
    assert not set(train) & set(dev) and all(is_dev_name(name) for name in dev)
    asked = {d.drug for d in curriculum.dialogues if d.kind == "unknown drug"}
    assert len(asked) > 0.6 * sum(d.kind == "unknown drug" for d in curriculum.dialogues)
    assert asked & set(TRAINING_NAMES)


def test_each_optional_element_stands_in_half_of_the_answers() -> None:
    drawn = [elements_of(f"question {n}", 0) for n in range(4000)]
    for element in ("deciding", "mechanism", "instead", "monitor"):
        assert sum(element in names for names in drawn) / len(drawn) == pytest.approx(0.5, abs=0.03)
    both = sum({"deciding", "monitor"} <= set(names) for names in drawn) / len(drawn)
    assert both == pytest.approx(0.25, abs=0.03)  # independently
    assert drawn[:50] == [elements_of(f"question {n}", 0) for n in range(50)]


def test_numbers_are_asked_more_often_than_yes_or_no(curriculum: Curriculum, supply: Supply) -> None:
    counts: dict[bool, list[int]] = {True: [], False: []}
    for target in supply.targets:
        own = [d for d in trained(curriculum) if d.drug == target.drug and target.fact.id in d.fact_ids]
        counts[bool(target.number_field)].append(len(own))
    assert sum(counts[True]) / len(counts[True]) > 1.5 * sum(counts[False]) / len(counts[False])


def test_what_must_not_be_missed_is_asked_more_often(library: Library) -> None:
    """And most of all where several things decide together: each alone says something else."""
    every = {(target.fact.id, target.drug): target for target in all_targets(library)}
    joined = every["dabigatran.interaction.amiodarone-crcl-15-30", "dabigatran"]  # at a CrCl of 15 to 30
    other = every["tizanidine.interaction.ciprofloxacin", "tizanidine"]
    alone = every["metformin.renal.below-30", "metformin"]
    condition = every["methotrexate.contraindication.marrow", "methotrexate"]
    harmless = every["rosuvastatin.negative.slco1b1-decreased", "rosuvastatin"]
    assert joined.joined and not any(target.joined for target in (alone, other, condition, harmless))
    assert weight(joined) > weight(other) > weight(alone) > weight(condition) > weight(harmless)


def test_every_calculator_span_gives_its_value(curriculum: Curriculum) -> None:
    spans = [part for d in curriculum.dialogues for part in d.answer.split("<|calc|>")[1:]]
    assert len(spans) > 20
    for part in spans:
        expression, rest = part.split("<|equals|>")
        assert calculate(expression) == rest.split("<|/calc|>")[0], part


def test_questions_and_answers_are_short(curriculum: Curriculum) -> None:
    dialogues = trained(curriculum)
    assert sum(len(d.prompt.split()) for d in dialogues) / len(dialogues) < 16
    assert sum(len(d.answer.split()) for d in dialogues) / len(dialogues) < 16
    assert max(len(d.prompt.split()) for d in dialogues) < 60


def test_knowledge_dialogues_go_forward_and_back(library: Library) -> None:
    dialogues = knowledge_dialogues(library, 10_000, 0)
    assert {d.kind for d in dialogues} == {"monitoring", "antidote", "maximum"}
    assert any(d.prompt == "What is the antidote of warfarin?" and "phytonadione" in d.answer for d in dialogues)
    assert any(d.prompt == "Which drug does phytonadione reverse?" and "warfarin" in d.answer for d in dialogues)
    assert knowledge_dialogues(library, 10, 0) == dialogues[:10]
