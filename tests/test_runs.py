"""Run directories: names that stay inside, parents that are whole, logs that can be cut back."""

import json
import os
import re
from pathlib import Path

import pytest

from posology.errors import UserError
from posology.files import atomic_write_json, publish
from posology.parents import resolve_parent
from posology.provenance import commit, machine
from posology.runs import PARENT, STAGES, Run, Stage, digest_of_final, open_run, runs_folder


def finished(stage: Stage, fingerprint: str = "f", text: str = "w") -> Stage:
    with publish(stage.final) as folder:
        (folder / "model.safetensors").write_text(text)
        (folder / "config.json").write_text("{}")
    stage.mark_finished(fingerprint)
    return stage


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(tmp_path / "runs", "one", create=True)


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "../x", "a/b", "/etc", "A", "ü", "a b", "a\n", "x" * 65, "-x", "a\\b"]
)
def test_names_that_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="bad run name") as caught:
        open_run(tmp_path, name, create=True)
    assert caught.value.code == 2 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "0", "laptop", "a..b", "x" * 64, "2026-11-20_a.b"])
def test_names_that_are_taken(name: str, tmp_path: Path) -> None:
    assert open_run(tmp_path / "runs", name, create=True).path == tmp_path / "runs" / name


def test_a_link_out_of_the_runs_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="leads out of"):
        open_run(tmp_path / "runs", "x")
    (tmp_path / "linked").symlink_to(tmp_path / "runs")
    open_run(tmp_path / "linked", "fine", create=True)


def test_unknown_runs_name_the_nearest(tmp_path: Path) -> None:
    open_run(tmp_path, "laptop", create=True)
    with pytest.raises(UserError, match="no run 'lapdog'") as caught:
        open_run(tmp_path, "lapdog")
    assert caught.value.hint == "did you mean laptop?"
    with pytest.raises(UserError) as caught:
        open_run(tmp_path / "none", "x")
    assert "posology run" in caught.value.hint


def test_a_file_is_no_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(UserError, match="is a file"):
        runs_folder(tmp_path / "f")
    assert runs_folder(tmp_path / "new") == tmp_path / "new"


def test_stages_and_members(run: Run) -> None:
    assert [run.stage(name).name for name in STAGES] == list(STAGES)
    assert set(PARENT) | {"tokenizer", "pretrain"} == set(STAGES) and set(PARENT.values()) <= set(STAGES)
    with pytest.raises(UserError, match="no stage is called 'sftt'"):
        run.stage("sftt")
    reward = run.stage("reward")
    assert run.stages() == [] and reward.members() == []
    for number in (10, 2, 0):
        reward.member(number).note(x=1)
    (reward.path / "member-x").mkdir()
    assert [member.name for member in reward.members()] == ["reward/member-0", "reward/member-2", "reward/member-10"]
    assert reward.member(2).final == run.path / "reward" / "member-2" / "final"
    assert [stage.name for stage in run.stages()] == ["reward"]


def test_log_lines(run: Run) -> None:
    stage = run.stage("sft")
    assert stage.read_metrics() == []
    stage.log(3, "train", {"loss": 0.5, "explained_variance": float("nan"), "worst": float("inf")})
    (row,) = stage.read_metrics()
    assert 0 <= row.pop("time_s") < 5
    assert row == {"step": 3, "split": "train", "loss": 0.5, "explained_variance": None, "worst": None}


def test_the_clock_goes_on_from_an_earlier_sitting(run: Run) -> None:
    stage = run.stage("sft")
    stage.set_clock(100.0)
    stage.log(1, "train", {})
    assert 100 <= stage.read_metrics()[0]["time_s"] < 105


def test_cutting_the_log_back(run: Run) -> None:
    stage = run.stage("sft")
    stage.log(1, "train", {"loss": 1})
    stage.sample(1, "q", "a")
    position = stage.log_position()
    stage.log(1, "heldout", {"loss": 2})  # of the same step, but written later: it will be written again
    stage.log(2, "train", {"loss": 3})
    stage.sample(2, "q", "a")
    with open(stage.metrics_path, "a") as file:
        file.write('{"step": 3, "spl')
    assert len(stage.read_metrics()) == 3, "a line that is still being written is left out"
    stage.truncate_log(position)
    assert [row["loss"] for row in stage.read_metrics()] == [1] and len(stage.read_samples()) == 1
    stage.truncate_log(position)
    assert len(stage.read_metrics()) == 1
    stage.truncate_log({})
    assert stage.read_metrics() == [] and stage.read_samples() == []


def test_finished_means_whole_and_of_the_same_making(run: Run) -> None:
    stage = run.stage("sft")
    assert not stage.is_finished("f")
    finished(stage)
    assert stage.is_finished("f") and stage.is_finished() and not stage.is_finished("g")
    stage.mark_started("f")
    assert not stage.is_finished("f"), "an old result does not count while a new one is made"
    finished(stage)
    (stage.final / "model.safetensors").write_text("v")
    assert not stage.is_finished("f")


def test_notes_are_kept_and_results_of_the_last_making_are_not(run: Run) -> None:
    stage = run.stage("sft")
    stage.note(pairs=7)
    finished(stage)
    assert stage.manifest()["pairs"] == 7 and "digest" in stage.manifest()
    stage.mark_started("g")
    assert stage.manifest() == {"pairs": 7, "status": "training", "fingerprint": "g"}


def test_a_folder_without_a_manifest_gets_one(run: Run) -> None:
    stage = run.stage("tokenizer")
    stage.final.mkdir(parents=True)
    (stage.final / "tokenizer.json").write_text("{}")
    stage.mark_finished("f", vocabulary=99)
    assert stage.is_finished("f") and stage.manifest()["vocabulary"] == 99


def test_digest_is_of_weights_alone(tmp_path: Path) -> None:
    for folder, weights, other in (("a", "1", "x"), ("b", "1", "y"), ("c", "2", "x")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_text(weights)
        (tmp_path / folder / "config.json").write_text(other)
    a, b, c = (digest_of_final(tmp_path / name) for name in "abc")
    assert a == b != c


def test_digest_of_a_tokenizer_is_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("1")
    before = digest_of_final(tmp_path)
    (tmp_path / "tokenizer.json").write_text("2")
    assert digest_of_final(tmp_path) != before


def test_locked_stages_turn_a_second_process_away_and_let_it_in_later(run: Run) -> None:
    stage = run.stage("sft")
    with stage.locked():
        with pytest.raises(UserError, match="another process is working on"), stage.locked():
            pass
        with run.stage("dpo").locked():
            pass
    with stage.locked():
        pass


def test_parents_of_this_run_of_another_and_of_anyone(run: Run, tmp_path: Path) -> None:
    finished(run.stage("sft"))
    other = open_run(tmp_path / "runs", "two", create=True)
    assert resolve_parent("sft", run) == run.path / "sft" / "final"
    assert resolve_parent(str(run.path / "sft"), other) == run.path / "sft" / "final"
    assert resolve_parent(str(run.path / "sft" / "final"), other) == run.path / "sft" / "final"
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama" / "config.json").write_text("{}")
    assert resolve_parent(str(tmp_path / "llama"), run) == tmp_path / "llama"


def test_a_missing_parent_names_the_command_that_makes_it(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run one has no finished stage sft") as caught:
        resolve_parent("sft", run)
    assert "posology sft --config configs/laptop.yaml --run one" in caught.value.hint
    run.config_path.write_text("")
    with pytest.raises(UserError) as caught:
        resolve_parent("tokenizer", run)
    assert f"posology run --config {run.config_path} --run one" in caught.value.hint
    assert "posology tokenizer" not in caught.value.hint, "there is no such command"
    for spec in ("nonsense", str(tmp_path), str(tmp_path / "runs" / "two" / "sft")):
        with pytest.raises(UserError, match="no parent") as caught:
            resolve_parent(spec, run)
        assert "posology sft" in caught.value.hint


def test_an_unfinished_or_damaged_parent_is_refused(run: Run, tmp_path: Path) -> None:
    stage = finished(run.stage("sft"))
    stage.mark_started("g")
    other = open_run(tmp_path / "runs", "two", create=True)
    for spec, asking in (("sft", run), (str(stage.path), other), (str(stage.final), other)):
        with pytest.raises(UserError, match="finished"):
            resolve_parent(spec, asking)
    finished(stage)
    (stage.final / "model.safetensors").unlink()
    for spec, asking in (("sft", run), (str(stage.path), other), (str(stage.final), other)):
        with pytest.raises(UserError, match=r"is damaged: model\.safetensors is missing"):
            resolve_parent(spec, asking)


def test_manifest_of_a_run(run: Run) -> None:
    run.update_manifest(status="running", machine=machine())
    run.add_seconds("sft", 1.5)
    run.add_seconds("sft", 2.0)
    about = run.manifest()
    assert about["status"] == "running" and about["seconds"] == {"sft": 3.5}
    atomic_write_json(run.path / "sft" / "manifest.json", {"seconds": 9.0})  # its own clock, a killed sitting included
    run.add_seconds("sft", 1.0)
    assert run.manifest()["seconds"] == {"sft": 9.0}
    assert {"torch", "numpy"} <= set(about["versions"])
    assert os.uname().nodename not in json.dumps(about["machine"])


def test_data_fingerprint_needs_unchanged_records(run: Run) -> None:
    assert run.data_fingerprint() is None
    run.data_dir.mkdir()
    (run.data_dir / "dialogues.jsonl").write_text("1")
    run.mark_data("made of")
    assert run.data_fingerprint() == "made of"
    (run.data_dir / "dialogues.jsonl").write_text("2")
    assert run.data_fingerprint() is None


def test_a_damaged_manifest_is_an_error_not_a_silence(run: Run) -> None:
    stage = run.stage("sft")
    stage.note(x=1)
    for text in ("{", "[]"):
        (stage.path / "manifest.json").write_text(text)
        with pytest.raises(UserError, match="damaged"):
            stage.manifest()


def test_the_commit_is_told_where_the_source_is_a_checkout() -> None:
    told = commit()
    assert told is None or re.fullmatch(r"[0-9a-f]{7,40}\+?", told)
    assert told is None or (Path(__file__).resolve().parents[1] / ".git").exists()
