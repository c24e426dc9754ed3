"""Experts' scores: read, refused in one line, and held against rewards."""

from __future__ import annotations

from pathlib import Path

import pytest

from posology.errors import UserError
from posology.evaluation.human import Rated, agreement, between_raters, read_scores

KNOWN = {("", f"c{i}"): (f"question {i}", f"answer {i}") for i in range(9)}


def scores(tmp_path: Path, text: str) -> list[Rated]:
    path = tmp_path / "scores.csv"
    path.write_text(text, encoding="utf-8")
    return read_scores(path, lambda stage, case: KNOWN.get((stage, case)))


def test_ids_and_texts_are_read_and_raters_averaged(tmp_path: Path) -> None:
    ids = "id,score,rater\n" + "".join(f"c{i},{i},a\nc{i},{i + 2},b\n" for i in range(6))
    rated = scores(tmp_path, ids)
    assert [answer.mean for answer in rated] == [1, 2, 3, 4, 5, 6]
    assert (rated[2].question, rated[2].answer, dict(rated[2].scores)) == ("question 2", "answer 2", {"a": 2, "b": 4})
    texts = "question,answer,score\n" + "".join(f'"q, {i}","says ""no""",{i}.5\n' for i in range(5))
    assert [(a.question, a.answer, a.mean) for a in scores(tmp_path, texts)][1] == ("q, 1", 'says "no"', 1.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks a column"),
        ("id,points\nc1,2\n", "lacks a column: it has id, points"),
        ("question,score\nq,2\n", "lacks a column"),
        ("id,score\nc1,good\n", "scores.csv:2 has score 'good'"),
        ("id,score\nc1,nan\n", "no number"),
        ("id,score\nc99,1\n", "scores.csv:2 scores 'c99'"),
        ("id,score\nc1,1\nc1,2\n", "scores.csv:3 scores an answer a second time"),
        ("id,score\nc1,1\n", "scores 1 answers"),
        ("id,score\nc1\n", "scores.csv:2 has more or fewer fields"),
        ("question,answer,score\n,x,1\n", "names no answer"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UserError) as error:
        scores(tmp_path, text)
    assert told in error.value.message and "\n" not in error.value.message and error.value.hint


def test_a_missing_or_binary_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_scores(tmp_path / "none.csv", lambda stage, case: None)
    (tmp_path / "b.csv").write_bytes(b"id,score\n\xff\xfe,1\n")
    with pytest.raises(UserError, match="not CSV in UTF-8"):
        read_scores(tmp_path / "b.csv", lambda stage, case: None)


def test_rank_correlation_as_published() -> None:
    """IQ and hours of television (Wikipedia, Spearman): rho = -29/165; tau by counting: 20 pairs of 45 agree."""
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    agree = sum((iq[i] - iq[j]) * (hours[i] - hours[j]) > 0 for i in range(10) for j in range(i))
    found = agreement([Rated(f"q{i}", "a", {"": h}) for i, h in enumerate(hours)], iq, draws=300)
    assert found["spearman"]["value"] == pytest.approx(-29 / 165)
    assert found["kendall"]["value"] == pytest.approx((2 * agree - 45) / 45)
    assert found["spearman"]["low"] < -29 / 165 < found["spearman"]["high"]


def test_what_the_model_likes_and_people_do_not_is_named() -> None:
    rated = [Rated(f"q{i}", f"a{i}", {"x": float(i)}) for i in range(10)]
    rewards = [float(i) for i in range(10)]
    rewards[0], rewards[9] = 20.0, -20.0  # loved where people frown, and the reverse
    found = agreement(rated, rewards, draws=100)
    assert [row["answer"] for row in found["model_likes"]] == ["a0"]
    assert [row["answer"] for row in found["people_like"]] == ["a9"]
    assert found["model_likes"][0]["reward"] == 20 and found["model_likes"][0]["human"] == 0


def test_answers_to_one_question_are_drawn_together() -> None:
    """Ten answers to two questions tell less than ten to ten: the interval is wider."""
    values, rewards = [1, 2, 3, 4, 5, 5, 4, 3, 2, 1], list(range(10))
    apart = agreement([Rated(f"q{i}", "a", {"": v}) for i, v in enumerate(values)], rewards, draws=400)
    together = agreement([Rated(f"q{i // 5}", f"{i}", {"": v}) for i, v in enumerate(values)], rewards, draws=400)
    widths = [found["spearman"]["high"] - found["spearman"]["low"] for found in (apart, together)]
    assert widths[1] > widths[0]


def test_constant_scores_have_no_correlation() -> None:
    found = agreement([Rated(f"q{i}", "a", {"": 3.0}) for i in range(6)], list(range(6)), draws=100)
    assert found["spearman"]["value"] is None and found["kendall"]["undefined"] == "one side is constant"
    assert found["between_raters"] is None


def test_raters_among_themselves() -> None:
    rated = [Rated(f"q{i}", "a", {"x": i, "y": 2.0 * i, "z": -i}) for i in range(5)]
    assert between_raters(rated) == pytest.approx((1 - 1 - 1) / 3)
