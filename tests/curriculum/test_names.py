"""Names for abstention: real and invented, for training and for the exam, never mixed."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from posology.curriculum.dialogues import known_words
from posology.curriculum.names import EXAM_NAMES, TRAINING_NAMES, exam_inventions, training_inventions, typo
from posology.curriculum.supply import Supply
from posology.knowledge.library import FOLDER, Library


def test_there_are_enough_real_names_and_no_two_lists_share_one() -> None:
    assert len(EXAM_NAMES) == len(set(EXAM_NAMES)) >= 150
    assert len(TRAINING_NAMES) == len(set(TRAINING_NAMES)) >= 150
    assert not set(EXAM_NAMES) & set(TRAINING_NAMES)


def test_no_listed_name_stands_in_the_knowledge_base(library: Library) -> None:
    text = " ".join(path.read_text(encoding="utf-8").lower() for path in sorted(FOLDER.glob("facts/*.toml")))
    words = set(text.replace('"', " ").replace(".", " ").replace(",", " ").replace("-", " ").split())
    assert not words & set(EXAM_NAMES)
    assert all(library.resolve_drug(name) is None for name in (*EXAM_NAMES, *TRAINING_NAMES))


def test_inventions_are_many_and_of_two_families(supply: Supply) -> None:
    known = known_words(supply)
    trained, asked = training_inventions(0, 2000, known), exam_inventions(300, known)
    assert len(set(trained)) == 2000 and len(set(asked)) == 300
    assert not set(trained) & set(asked)
    assert not (set(trained) | set(asked)) & {*EXAM_NAMES, *TRAINING_NAMES, *known}
    assert training_inventions(0, 50, known) == trained[:50] != training_inventions(1, 50, known)


def test_inventions_keep_their_distance_from_known_names() -> None:
    for name in training_inventions(3, 800, ["metformin", "metoprolol", "ketorolac"]):
        assert all(distance(name, known) > 2 for known in ("metformin", "metoprolol", "ketorolac"))


def distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, above = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
    return row[-1]


@given(st.sampled_from(["metformin", "warfarin", "insulin glargine", "amoxicillin-clavulanate"]), st.integers(0, 10**6))
def test_a_slip_is_one_slip_and_its_family_knows_it(name: str, seed: int) -> None:
    for family in ("training", "exam"):
        wrong = typo(name, random.Random(seed), family)
        assert distance(wrong, name) <= 2  # a swap counts two
    assert typo(name, random.Random(seed), "training") != typo(name, random.Random(seed), "exam") or wrong == name


def test_short_names_are_left_alone() -> None:
    assert typo("abc", random.Random(0), "exam") == "abc"
