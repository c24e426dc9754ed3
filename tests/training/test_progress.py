"""What is shown: one plain line now and then off a terminal, one live line on it, never a control character."""

import io

import pytest

from posology.training import progress as module
from posology.training.progress import Progress, clock, figure, printable


def test_plain_lines_come_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress(stream)
    with progress.stage():
        progress.begin("sft", 0, 20, expected=(7.63, 8.83, "ln V"))
        progress.held_out({"loss": 8.1, "accuracy": 0.001})
        for step in range(1, 21):
            now[0] += 1.0
            progress.update(step, {"loss": 8.0 / step, "rate": 1.0}, start=8.0)
        progress.finish(20.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 5
    assert lines[0] == "sft 5/20 · loss 1.6 · started at 8 (ln V: 7.63 to 8.83) · held-out loss 8.1 · 0:15 left"
    assert lines[-1].endswith("held-out loss 8.1 · done in 0:20")


def test_time_left_counts_this_sitting_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress(stream, interval_s=0)
    progress.begin("sft", 90, 100)
    now[0] += 2.0
    progress.update(91, {"loss": 1.0})
    assert "0:18 left" in stream.getvalue()


def test_a_sat_out_step_keeps_the_last_figures() -> None:
    stream = io.StringIO()
    progress = Progress(stream, interval_s=0)
    progress.begin("ppo", 0, 8, shown=("score", "kl"))
    progress.update(1, {"score": 1.25, "kl": 0.5, "loss": -3.0})
    progress.update(2, {})
    assert stream.getvalue().splitlines()[1].startswith("ppo 2/8 · score 1.25 · kl 0.5 ·")
    assert "loss" not in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    progress = Progress(stream)
    progress.interval_s = 0
    with progress.stage():
        progress.begin("sft", 0, 3)
        for step in range(1, 4):
            progress.update(step, {"loss": 1.0 / step})
        progress.say("health: all is well [bold]not markup[/bold]")
        progress.finish(1.0)
    text = stream.getvalue()
    assert progress.live and "\x1b[2K" in text, "the line is erased and drawn again"
    assert "[bold]not markup[/bold]" in text
    assert text.count("done in 0:01") >= 1


@pytest.mark.parametrize("variable", [("TERM", "dumb")])
def test_a_dumb_terminal_gets_plain_lines(variable: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*variable)
    stream = Terminal()
    progress = Progress(stream, interval_s=0)
    progress.begin("sft", 0, 3)
    progress.update(1, {"loss": 1.0})
    assert "\x1b" not in stream.getvalue() and stream.getvalue().count("\n") == 1


def test_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert Progress(Terminal()).console.no_color


def test_stdout_stays_clean(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(interval_s=0)
    progress.begin("sft", 0, 2)
    progress.update(1, {"loss": 1.0})
    progress.say("hello")
    progress.sample("q", "a")
    out, err = capsys.readouterr()
    assert out == "" and "hello" in err and "sft 1/2" in err


def test_figures_and_clocks() -> None:
    assert [figure(x) for x in (8.0523, 0.04121, 312.4, -0.5, 1234.5)] == ["8.052", "0.04121", "312", "-0.5", "1234"]
    assert [clock(x) for x in (5, 65.2, 3600, 3661)] == ["0:05", "1:05", "1:00:00", "1:01:01"]
    assert printable("a\x1b[31m\nb\x07") == "a·[31m b·"
