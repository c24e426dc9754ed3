"""The page of worst summaries: marks what is unsupported, escapes everything, says what it holds."""

from posology.evaluation.summaries import Note, evaluate_summaries, score_summary
from posology.report.summaries import case_view, render_summaries

NOTE = Note("1", "Takes metformin 500 mg daily. <script>alert(1)</script>", "Metformin <b>.")
ANSWER = "Takes Glucophage 5 g daily & has fever in the arm."


def test_pieces_make_the_answer_again_and_mark_the_faults() -> None:
    view = case_view(NOTE, score_summary(NOTE, ANSWER))
    assert "".join(piece.text for piece in view.answer) == ANSWER
    marked = [(piece.text, piece.why) for piece in view.answer if piece.why]
    assert marked == [("Glucophage", "dose not in the note"), ("fever", "finding not in the note")]


def test_the_page_is_safe_and_says_what_it_holds() -> None:
    card, systems = evaluate_summaries({"1": NOTE}, {"dpo": {"1": ANSWER}})
    page = render_summaries(card, {"1": NOTE}, systems)
    assert "This page holds patients' text." in page.replace("&#39;", "'")
    assert "<script" not in page and "&lt;script&gt;" in page and "http:" not in page and "https:" not in page
    assert "<mark>Glucophage<small>dose not in the note</small></mark>" in page
    assert page == render_summaries(card, {"1": NOTE}, systems)
