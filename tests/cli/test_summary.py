"""What `posology run` prints at the end."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from posology.cli.summary import finish, scorecard_tables
from posology.files import atomic_write_json
from posology.runs import Run

from ..report.example_card import HOSTILE, METFORMIN, scorecard
from ..report.example_run import make_run


def printed(run: Run) -> str:
    out = io.StringIO()
    finish(run, Console(file=out, width=120, highlight=False))
    return out.getvalue()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return printed(make_run(tmp_path_factory.mktemp("runs")))


def test_stages_with_measure_n_and_interval(text: str) -> None:
    (sft,) = [line for line in text.splitlines() if line.startswith("sft")]
    assert (
        " ".join(sft.split()) == "sft exam questions right in every required claim 86.1 % [84.7, 87.4] 2,412 3 min 25 s"
    )
    for name in ("tokenizer", "pretrain", "sft", "reward", "ppo", "dpo"):
        assert any(line.startswith(name) for line in text.splitlines())


def test_the_worst_miss_is_quoted(text: str) -> None:
    assert "worst miss (ppo, S2): critical dose error" in text
    assert "said   Adjust the dose of amoxicillin: 20 × 45 = 900 mg every 12 h." in text


def test_gates_time_report_and_the_next_three_commands(text: str) -> None:
    assert "gates: 4 of 5 met; not met: both twins of a minimal pair right" in text
    assert "time    9 min 27 s" in text
    assert "report.html" in text
    for command in (f'posology ask "{METFORMIN}" --run', "posology compare", "posology doctor"):
        assert command in text


def test_it_ends_on_the_notice_not_on_a_reward(text: str) -> None:
    assert text.rstrip().endswith("Not for care of patients: no clinician has reviewed these facts or answers.")
    assert "reward +" not in text


def test_a_run_that_was_not_graded_says_so(tmp_path: Path) -> None:
    text = printed(make_run(tmp_path, ("tokenizer", "pretrain", "sft"), graded=False, doctor=False))
    assert "the run has not been graded" in text
    assert "not begun" in text
    assert (tmp_path / "example" / "report.html").is_file()


def test_model_text_is_printed_as_text(tmp_path: Path) -> None:
    run = make_run(tmp_path, ("tokenizer",))
    card = scorecard() | {"best_stage": "dpo"}
    card["stages"]["dpo"]["misses"][0]["answer"] = HOSTILE + " [bold]x[/bold] [link=file:///etc]y[/link]"
    atomic_write_json(run.scorecard_path, card)
    text = printed(run)
    assert "\x1b" not in text and "\u202e" not in text
    assert "[bold]x[/bold] [link=file:///etc]y[/link]" in text


def test_the_whole_card_in_tables() -> None:
    out = io.StringIO()
    scorecard_tables(scorecard(), Console(file=out, width=140, highlight=False))
    text = out.getvalue()
    assert "ppo, the best on the development split" in text
    assert "dose closed book" in text and "undefined: no items" in text
    assert "ppo - sft" in text and "< 0.001" in text
