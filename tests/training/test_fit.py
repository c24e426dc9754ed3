"""The loop: it learns, it resumes bit for bit, it stops in order, and it never leaves half a thing behind."""

import io
import itertools
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from posology.config import FitConfig
from posology.errors import Interrupted, UserError
from posology.files import atomic_write_json, read_json, verify_manifest, write_manifest
from posology.runs import Stage
from posology.training import fit as fit_module
from posology.training.fit import FitResult, fit
from posology.training.progress import Progress

from .toys import Regression, Rows, Strided, saver, settings, toy_stage


class Killed(BaseException):
    """Stands in for SIGKILL inside one process: nothing in the loop may catch it."""


def train(
    objective: Regression, stage: Stage, config: FitConfig | None = None, *, seed: int = 7,
    fingerprint: str = "made of", stream: io.StringIO | None = None,
) -> FitResult:  # fmt: skip
    return fit(
        objective, config or settings(), stage, seed=seed, fingerprint=fingerprint, save_final=saver(objective),
        progress=Progress(stream or io.StringIO(), interval_s=0),
    )  # fmt: skip


def lines(stage: Stage) -> list[dict]:
    """The log without its one value that is allowed to differ."""
    return [{k: v for k, v in row.items() if k != "time_s"} for row in stage.read_metrics()]


def killing(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    def kill(stage: Stage, step: int) -> None:
        if step == at:
            raise Killed

    monkeypatch.setattr(fit_module, "_kill_for_test", kill)


@pytest.mark.parametrize("make", [Regression, Strided])
def test_killed_at_every_step_and_resumed_equals_uninterrupted(
    make: type[Regression], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = toy_stage(tmp_path / "whole")
    result = train(make(), whole)
    for step in range(1, 13):
        stage = toy_stage(tmp_path / f"killed-{step}")
        killing(monkeypatch, step)
        with pytest.raises(Killed):
            train(make(), stage)
        killing(monkeypatch, -1)
        resumed = make()
        assert train(resumed, stage).digest == result.digest, step
        assert resumed.asked[0] == (step - 1) // 4 * 4, "it goes on from the newest checkpoint, not from the start"
        assert lines(stage) == lines(whole), step


def test_killed_again_and_again_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stage = toy_stage(tmp_path / "whole"), toy_stage(tmp_path / "killed")
    result = train(Strided(), whole)
    for step in (2, 6, 5, 7, 11):
        killing(monkeypatch, step)
        with pytest.raises(Killed):
            train(Strided(), stage)
    killing(monkeypatch, -1)
    assert train(Strided(), stage).digest == result.digest
    assert lines(stage) == lines(whole)


def test_the_digest_tells_seeds_apart_and_dropout_is_on(tmp_path: Path) -> None:
    """The tests above would pass for a loop that never drew a random number."""
    digests = [train(Regression(), toy_stage(tmp_path / str(seed)), seed=seed).digest for seed in (1, 2, 1)]
    assert digests[0] == digests[2] != digests[1]


def test_accumulated_equals_whole_on_ragged_rows(tmp_path: Path) -> None:
    models = []
    for number, parts in enumerate([(12,), (1, 7, 4), (5, 5, 2), (1,) * 12]):
        objective = Regression(parts, dropout=0.0)
        train(
            objective,
            toy_stage(tmp_path / str(number)),
            settings(8, optimiser={"kind": "adamw", "learning_rate": 0.01}),
        )
        models.append(torch.cat([p.detach().flatten() for p in objective.modules["model"].parameters()]))
    for other in models[1:]:
        assert (models[0] - other).abs().max() < 1e-6


def test_a_gradient_of_averages_would_be_seen() -> None:
    """What the test above guards against: averaging the parts' averages gives another gradient."""
    objective = Regression((1, 11), dropout=0.0)
    model = objective.modules["model"]
    losses = [objective.loss(batch)[0] for batch in objective.batch(0)]
    right = torch.autograd.grad(sum(losses) / 12, list(model.parameters()), retain_graph=True)
    wrong = torch.autograd.grad((losses[0] / 1 + losses[1] / 11) / 2, list(model.parameters()))
    assert max(float((a - b).abs().max()) for a, b in zip(right, wrong, strict=True)) > 1e-2


def test_it_learns(tmp_path: Path) -> None:
    result = train(
        Regression((8, 8), dropout=0.0), toy_stage(tmp_path), settings(90, evaluate_every=30, checkpoint_every=90)
    )
    stage = toy_stage(tmp_path)
    heldout = [row["loss"] for row in stage.read_metrics() if row["split"] == "heldout"]
    assert [row["step"] for row in stage.read_metrics() if row["split"] == "heldout"] == [0, 30, 60, 90]
    assert result.heldout["loss"] == heldout[-1] < 0.05 * heldout[0]


def test_what_a_finished_stage_holds(tmp_path: Path) -> None:
    stage = toy_stage(tmp_path)
    stage.note(pairs=3)
    result = train(Regression(), stage)
    about = stage.manifest()
    assert stage.is_finished("made of") and not stage.is_finished("something else")
    assert about["digest"] == result.digest and about["kept_step"] == 12 and about["stopped"] is None
    assert about["pairs"] == 3, "what the recipe noted before is kept"
    assert [row["step"] for row in lines(stage) if row["split"] == "train"] == list(range(1, 13))
    assert {"loss", "gradient_norm", "rate"} < set(lines(stage)[1])
    assert sorted(path.name for path in stage.checkpoints.iterdir()) == ["step-000004", "step-000008"]
    assert not list(stage.path.glob(".tmp-*"))
    assert json.loads(stage.health_path.read_text())["checks"]


def test_long_stages_log_every_kth_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_module, "LOG_LINES", 5)
    stage = toy_stage(tmp_path)
    train(Regression(), stage, settings(13))
    assert [row["step"] for row in stage.read_metrics() if row["split"] == "train"] == [3, 6, 9, 12, 13]


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_number_that_is_not_finite_stops_the_run_and_harms_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, objective = toy_stage(tmp_path), Regression(poison=9 if what == "loss" else -1)
    if what == "gradient":
        plain = Regression.loss

        def overflowing(self: Regression, batch: Rows) -> tuple[torch.Tensor, dict[str, float]]:
            total, metrics = plain(self, batch)
            # The root of 0 has an infinite slope: a finite loss with a gradient that is not.
            return total + (torch.sqrt(0 * total) if self.asked[-1:] == [9] else 0), metrics

        monkeypatch.setattr(Regression, "loss", overflowing)
    with pytest.raises(UserError) as caught:
        train(objective, stage)
    assert f"the {what}" in caught.value.message and "step 10 of sft" in caught.value.message
    assert "step-000008" in caught.value.message and "learning_rate" in caught.value.hint
    assert not verify_manifest(stage.checkpoints / "step-000008")
    assert not stage.final.exists() and not list(stage.path.rglob(".tmp-*"))
    assert stage.read_metrics()[-1]["step"] == 9
    assert all(torch.isfinite(p).all() for p in objective.modules["model"].parameters())


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("make", [Regression, Strided])
def test_an_interrupt_saves_at_the_next_boundary_and_goes_on(
    make: type[Regression], sent: signal.Signals, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stage = toy_stage(tmp_path / "whole"), toy_stage(tmp_path / "stopped")
    result = train(make(), whole)
    before = signal.getsignal(sent)
    monkeypatch.setattr(fit_module, "_kill_for_test", lambda _, step: os.kill(os.getpid(), sent) if step == 6 else None)
    with pytest.raises(Interrupted) as caught:
        train(make(), stage)
    monkeypatch.undo()
    at = 6 if make is Regression else 8
    assert caught.value.code == code
    assert f"step {at} of 12 of sft" in caught.value.message and f"step-{at:06d}" in caught.value.message
    assert "same command" in caught.value.hint
    assert signal.getsignal(sent) is before
    stream = io.StringIO()
    assert train(make(), stage, stream=stream).digest == result.digest
    assert f"going on from step {at}" in stream.getvalue()
    assert lines(stage) == lines(whole)


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = toy_stage(tmp_path)
    monkeypatch.setattr(
        fit_module, "_kill_for_test", lambda _, step: os.kill(os.getpid(), signal.SIGINT) if step in (5, 6) else None
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            train(Strided(), stage)
    finally:
        signal.signal(signal.SIGINT, before)
    assert [path.name for path in stage.checkpoints.iterdir()] == ["step-000004"]


def test_an_interrupt_in_the_last_step_finishes_the_stage_and_still_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = toy_stage(tmp_path)
    monkeypatch.setattr(
        fit_module, "_kill_for_test", lambda _, step: os.kill(os.getpid(), signal.SIGTERM) if step == 12 else None
    )
    with pytest.raises(Interrupted):
        train(Regression(), stage)
    assert stage.is_finished("made of")


def test_a_damaged_checkpoint_falls_back_aloud_to_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stage = toy_stage(tmp_path / "whole"), toy_stage(tmp_path / "damaged")
    result = train(Regression(), whole)
    killing(monkeypatch, 10)
    with pytest.raises(Killed):
        train(Regression(), stage)
    monkeypatch.undo()
    path = stage.checkpoints / "step-000008" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    stream, objective = io.StringIO(), Regression()
    assert train(objective, stage, stream=stream).digest == result.digest
    assert objective.asked[0] == 4
    assert "step-000008 is damaged (model.safetensors has changed" in stream.getvalue()
    assert lines(stage) == lines(whole)


def test_no_whole_checkpoint_starts_over_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stage = toy_stage(tmp_path / "whole"), toy_stage(tmp_path / "damaged")
    result = train(Regression(), whole)
    killing(monkeypatch, 10)
    with pytest.raises(Killed):
        train(Regression(), stage)
    monkeypatch.undo()
    for folder in stage.checkpoints.iterdir():
        (folder / "sha256.json").unlink()
    stream, objective = io.StringIO(), Regression()
    assert train(objective, stage, stream=stream).digest == result.digest
    assert objective.asked[0] == 0
    assert "starting from the beginning" in stream.getvalue()
    assert lines(stage) == lines(whole)


def test_another_fingerprint_starts_afresh_and_sets_the_old_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, stream = toy_stage(tmp_path), io.StringIO()
    killing(monkeypatch, 6)
    with pytest.raises(Killed):
        train(Regression(), stage, fingerprint="old")
    monkeypatch.undo()
    objective = Regression()
    train(objective, stage, fingerprint="new", stream=stream)
    assert objective.asked[0] == 0 and "made with other settings" in stream.getvalue()
    assert (stage.path / "checkpoints.previous" / "step-000004").is_dir()


def test_a_stage_in_the_works_again_is_not_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = toy_stage(tmp_path)
    train(Regression(), stage, fingerprint="old")
    killing(monkeypatch, 2)
    with pytest.raises(Killed):
        train(Regression(), stage, fingerprint="new")
    assert not stage.is_finished("old") and not stage.is_finished("new")


def test_a_full_disk_stops_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = toy_stage(tmp_path)
    real, calls = shutil.disk_usage(tmp_path), itertools.count()
    # Room at the start and for the first checkpoint, none for the second.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=10**9 if next(calls) < 2 else 1000))
    with pytest.raises(UserError, match=r"no room for .*step-000008.* nothing was written"):
        train(Regression(), stage)
    assert [path.name for path in stage.checkpoints.iterdir()] == ["step-000004"]
    assert not verify_manifest(stage.checkpoints / "step-000004")
    monkeypatch.undo()
    objective = Regression()
    whole = train(Regression(), toy_stage(tmp_path / "whole")).digest
    assert train(objective, stage).digest == whole and objective.asked[0] == 4


def test_a_full_disk_at_the_start_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=1000))
    objective = Regression()
    with pytest.raises(UserError, match="no room"):
        train(objective, toy_stage(tmp_path))
    assert objective.asked == []


def test_a_reason_that_comes_with_the_last_step_keeps_the_best_as_well(tmp_path: Path) -> None:
    stage, objective = toy_stage(tmp_path), Strided(stop_after=5)
    result = train(objective, stage, settings(16, checkpoint_every=8))  # checks at 0, 4, 8, 12, 16
    assert (result.step, result.kept_step, result.stopped) == (16, 8, "it got worse")


def test_an_early_stop_keeps_the_best_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, seen = toy_stage(tmp_path / "a"), {}
    objective = Strided(stop_after=5)
    real = Strided.observe

    def observe(self: Strided, step: int, figures: dict) -> None:
        seen[step] = [p.detach().clone() for p in self.modules["model"].parameters()]
        real(self, step, figures)

    monkeypatch.setattr(Strided, "observe", observe)
    result = train(objective, stage, settings(40, checkpoint_every=8, keep_checkpoints=1))
    assert result.stopped == "it got worse" and result.step == 16  # checks at 0, 4, 8, 12, 16
    assert result.kept_step == objective.best_step == 8
    assert all(torch.equal(a, b) for a, b in zip(seen[8], objective.modules["model"].parameters(), strict=True))
    assert stage.manifest()["kept_step"] == 8 and stage.manifest()["stopped"] == "it got worse"
    # Killed on the way (once with the best step so far before the first) it stops there too, with the same weights.
    again = toy_stage(tmp_path / "b")
    for step in (2, 14):
        killing(monkeypatch, step)
        with pytest.raises(Killed):
            train(Strided(stop_after=5), again, settings(40, checkpoint_every=8, keep_checkpoints=1))
    killing(monkeypatch, -1)
    resumed = train(Strided(stop_after=5), again, settings(40, checkpoint_every=8, keep_checkpoints=1))
    assert (resumed.digest, resumed.kept_step, resumed.step) == (result.digest, 8, 16)
    assert lines(again) == lines(stage)


def test_checkpoints_fall_on_multiples_of_the_stride(tmp_path: Path) -> None:
    stage = toy_stage(tmp_path)
    train(Strided(), stage, settings(20, checkpoint_every=5, keep_checkpoints=9))
    assert sorted(path.name for path in stage.checkpoints.iterdir()) == ["step-000008", "step-000016"]


def test_fixed_prompts_are_answered_with_each_evaluation(tmp_path: Path) -> None:
    stage, objective, stream = toy_stage(tmp_path), Regression(), io.StringIO()
    fit(
        objective, settings(8), stage, seed=0, fingerprint="x", save_final=saver(objective), progress=Progress(stream),
        answers=lambda: [("How much?", "450 mg\x1b[2J\nevery 12 h")],
    )  # fmt: skip
    assert [row["step"] for row in stage.read_samples()] == [0, 4, 8]
    assert "450 mg·[2J every 12 h" in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_the_clock_counts_all_sittings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = toy_stage(tmp_path)
    killing(monkeypatch, 6)
    with pytest.raises(Killed):
        train(Regression(), stage)
    monkeypatch.undo()
    path = stage.checkpoints / "step-000004"
    atomic_write_json(path / "state.json", {**read_json(path / "state.json"), "seconds": 1000.0})
    write_manifest(path)
    result = train(Regression(), toy_stage(tmp_path))
    assert 1000 < result.seconds < 1060 and stage.read_metrics()[-1]["time_s"] > 1000
    assert any("planned 1000 s" in check["detail"] for check in read_json(stage.health_path)["checks"])


def test_two_processes_do_not_work_on_one_stage(tmp_path: Path) -> None:
    stage = toy_stage(tmp_path)
    with stage.locked(), pytest.raises(UserError, match="another process"):
        train(Regression(), stage)


def test_nothing_to_train_is_said(tmp_path: Path) -> None:
    objective = Regression()
    objective.modules["model"].requires_grad_(False)
    with pytest.raises(UserError, match="nothing to train"):
        train(objective, toy_stage(tmp_path))
