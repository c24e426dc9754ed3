"""Wordings: enough of them, the reserved ones apart, and made of words that train."""

from __future__ import annotations

import re

import pytest

from posology.curriculum.build import Curriculum
from posology.curriculum.phrasing import FRAMES, STRUCTURES, Slot, frames_for
from posology.knowledge.library import Library

KINDS = (
    "renal",
    "interaction",
    "condition",
    "pregnancy",
    "lactation",
    "allergy",
    "genotype",
    "hepatic",
    "age",
    "dose",
    "indication",
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_twelve_wordings_and_three_reserved(kind: str) -> None:
    assert len(frames_for(kind, "train")) >= 12
    assert len(frames_for(kind, "exam")) >= 3
    assert len(frames_for(kind, "dev")) >= 2


def test_reserved_wordings_differ_by_name_and_by_structure() -> None:
    names, texts = [frame.name for frame in FRAMES], [frame.text for frame in FRAMES]
    assert len(set(names)) == len(names) and len(set(texts)) == len(texts)
    # Each slot of a reserved question that holds several facts has a structure of its own.
    slots: tuple[Slot, ...] = ("np", "sentence", "chart")
    for slot in slots:
        assert set(STRUCTURES[slot]["exam"]) - set(STRUCTURES[slot]["train"])


def test_every_frame_names_the_drug_and_its_slot() -> None:
    for frame in FRAMES:
        assert "{drug}" in frame.text.lower() and f"{{{frame.slot}}}" in frame.text.lower(), frame.name


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_reserved_questions_use_words_that_train(curriculum: Curriculum, library: Library) -> None:
    taught = {word for d in curriculum.dialogues if d.split == "train" for word in words(d.prompt)}
    # A reserved question may hold what a small curriculum did not happen to draw: a wording, drugs, terms, genes.
    taught |= {word for frame in FRAMES if frame.group == "train" for word in words(frame.text)}
    known = {word for term in library.terms.values() for word in words(term.name)}
    known |= {word for drug in library.drugs for word in words(drug)}
    known |= {word for fact in library.facts for condition in fact.when for word in words(condition.text)}
    for case in curriculum.cases:
        if case.split in ("S1", "S2", "S3", "S6", "S7"):
            assert words(case.question) <= taught | known, case.question


def test_frames_alone_use_words_that_train() -> None:
    def own(group: str) -> set[str]:
        return {w for frame in FRAMES if frame.group == group for w in words(re.sub(r"\{\w+\}", " ", frame.text))}

    assert own("exam") <= own("train") | {"to"}
    assert own("dev") - own("train")  # development is the harder split: it also asks in words that nothing taught
