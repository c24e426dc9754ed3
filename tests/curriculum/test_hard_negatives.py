"""Hard negatives: every one is flagged by the scorer, none of the factual summaries is; all follow from the seed."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from posology.curriculum.hard_negatives import EDITS, hard_negatives, length_matched, negatives_of, split_edits
from posology.evaluation.reader_grade import HALVES, labelled
from posology.evaluation.summaries import Note, score_summary
from posology.intake.records import Example

DATA = Path(os.environ.get("POSOLOGY_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data"))


def examples() -> list[Example]:
    texts = [row.text for half in HALVES for row in labelled(half)]
    return [Example(n, f"n{n}", text, text, is_note=True) for n, text in enumerate(texts, start=1)]


MADE = hard_negatives(examples(), seed=0, each=len(EDITS))


def test_each_negative_is_flagged_and_no_factual_summary_is() -> None:
    assert len(MADE.pairs) > 800 and set(Counter(pair.edit for pair in MADE.pairs)) == set(EDITS)
    for pair in MADE.pairs:
        note = Note(pair.id, pair.prompt)
        assert score_summary(note, pair.rejected).unsupported_statements > 0, pair
        assert score_summary(note, pair.chosen).unsupported_statements == 0, pair


def test_each_differs_in_little_and_by_its_own_edit() -> None:
    for pair in MADE.pairs:
        assert pair.rejected != pair.chosen and length_matched(pair.chosen, pair.rejected)
        score = score_summary(Note(pair.id, pair.prompt), pair.rejected)
        kinds = {wrong.fault for wrong in score.wrong}
        expected = {"unit": "dose", "negation": "status"}.get(pair.edit, pair.edit)
        if pair.edit == "laterality":
            assert score.sides
        elif pair.edit == "finding":
            assert score.findings
        else:
            assert expected in kinds, (pair, kinds)


def test_no_ruler_tells_which_is_wrong() -> None:
    """Neither the longer nor the shorter answer is right on half of the pairs, in letters or in words."""
    made = hard_negatives(examples(), seed=0, edits=("finding",))
    assert len(made.pairs) > 150
    for size in (len, lambda text: len(text.split())):
        differences = [size(pair.rejected) - size(pair.chosen) for pair in made.pairs]
        assert max(sum(sign * d > 0 for d in differences) for sign in (1, -1)) < 0.4 * len(made.pairs)


def test_the_seed_decides() -> None:
    some = examples()[:50]
    made = hard_negatives(some, seed=0, each=2)
    assert hard_negatives(some, seed=0, each=2) == made != hard_negatives(some, seed=1, each=2)
    turned = hard_negatives(reversed(some), seed=0, each=2)
    assert {(p.id, p.edit, p.rejected) for p in turned.pairs} == {(p.id, p.edit, p.rejected) for p in made.pairs}


def test_synonyms_and_converted_units_are_no_negatives() -> None:
    note = "Metformin 500 mg or 0.5 mg or 5000 mg or 50 mg or 1000 mg or 250 mg or 2500 mg."
    example = Example(1, "a", note + " Glucophage 0.5 g.", "Metformin 500 mg.")
    assert negatives_of(example, 0, edits=("dose",)) == "no edit could be shown to be unsupported by the note"


def test_a_refusal_says_why_and_quotes_nothing() -> None:
    made = hard_negatives(
        [Example(1, "a", "CANARY note", "CANARY is well."), Example(2, "b", "x", " ")], 0, edits=("dose", "drug")
    )
    assert not made.pairs
    assert [r.reason for r in made.refused] == ["nothing in the summary to edit", "the summary is empty"]


def test_edits_are_held_out_by_share() -> None:
    for seed in range(5):
        kept, held = split_edits(seed, 0.25)
        assert len(held) == 2 and not set(kept) & set(held) and set(kept) | set(held) == set(EDITS)
    assert split_edits(0, 0) == (EDITS, ())
    kept, held = split_edits(0, 0.25)
    assert {pair.edit for pair in hard_negatives(examples()[:50], 0, kept, each=8).pairs} <= set(kept)


@pytest.mark.skipif(not (DATA / "mts_dialog").is_dir(), reason="the public data lie beside the project")
def test_on_real_notes_each_is_newly_unsupported() -> None:
    with open(DATA / "mts_dialog" / "validation.csv", encoding="utf-8") as file:
        rows = [
            Example(n, r["ID"], r["section_text"], r["section_text"])
            for n, r in enumerate(csv.DictReader(file), start=1)
        ]
    made = hard_negatives(rows, seed=0)
    assert len(made.pairs) >= 60
    for pair in made.pairs:
        assert score_summary(Note(pair.id, pair.prompt), pair.rejected).unsupported_statements > 0
