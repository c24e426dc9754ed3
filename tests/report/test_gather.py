"""Reading a run directory: whole, half-made, damaged."""

import json

from posology.files import sha256_file
from posology.report.gather import LONGEST, gather, plain
from posology.report.view import RunView
from posology.runs import STAGES, Run

from .example_run import make_run


def test_a_number_names_the_file_and_key_that_it_stands_under(view: RunView, run: Run) -> None:
    number = view.stages["sft"].heldout.last("loss")
    assert number is not None and number.key == "heldout: loss at step 600"
    rows = [json.loads(line) for line in (run.path / number.file).read_text().splitlines()]
    assert number.value == next(r["loss"] for r in rows if r["step"] == 600 and r["split"] == "heldout")


def test_every_file_is_listed_with_its_hash(view: RunView, run: Run) -> None:
    assert {"config.yaml", "manifest.json", "scorecard.json", "showcase.json", "doctor.json"} <= {
        f.name for f in view.files
    }
    assert all(file.sha256 == sha256_file(run.path / file.name) for file in view.files)


def test_counts_are_lines(view: RunView) -> None:
    assert view.count("dialogues") is not None and view.count("dialogues").value == 1920  # type: ignore[union-attr]
    assert view.count("answers").file == "answers.jsonl"  # type: ignore[union-attr]


def test_time_is_the_sum_of_the_steps(view: RunView) -> None:
    assert view.total_seconds is not None
    assert view.total_seconds.value == sum(number.value for _, number in view.seconds)


def test_reward_members_are_read_from_their_own_folders(view: RunView) -> None:
    members = view.stages["reward"].members
    assert [member.train.file for member in members] == [f"reward/member-{k}/metrics.jsonl" for k in range(3)]
    assert all(len(member.train) == 100 for member in members)


def test_an_empty_run_has_nothing_and_says_so(empty: Run) -> None:
    view = gather(empty)
    assert view.missing == STAGES
    assert (view.card, view.reward, view.questions, view.checks, view.damaged) == (None, None, (), None, ())


def test_a_run_that_is_training_is_read_up_to_its_last_whole_line(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer", "pretrain"), graded=False, doctor=False)
    run.stage("pretrain").note(status="training")
    with open(run.stage("pretrain").metrics_path, "a") as file:
        file.write('{"step": 151, "split": "train", "lo')
    view = gather(run)
    assert view.stages["pretrain"].status == "training"
    assert len(view.stages["pretrain"].train) == 150


def test_damaged_files_are_named_and_the_rest_is_read(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer", "pretrain"))
    run.scorecard_path.write_text('{"stages": ')
    (run.path / "doctor.json").write_text("[]")
    run.stage("pretrain").metrics_path.write_text("not json\n{}\n")
    view = gather(run)
    assert view.card is None
    assert view.checks == ()
    assert sorted(problem.split(":")[0] for problem in view.damaged) == ["pretrain/metrics.jsonl", "scorecard.json"]
    assert not any(str(run.path) in problem for problem in view.damaged)  # no path of this machine


def test_values_that_are_no_numbers_are_left_out(tmp_path) -> None:
    run = make_run(tmp_path, (), graded=False, doctor=False)
    run.stage("pretrain").log(1, "train", {"loss": float("nan"), "accuracy": 0.5})
    view = gather(run)
    assert view.stages["pretrain"].train.series("loss") == ()
    assert view.stages["pretrain"].train.series("accuracy") == ((1.0, 0.5),)


def test_shown_text_cannot_steer_a_terminal_or_turn_the_line_around() -> None:
    assert plain("a\x1b[31mb\u202ec\x00d\n") == "a\ufffd[31mb\ufffdc\ufffdd\n"
    assert len(plain("x" * 10_000)) == LONGEST + 2


def test_the_first_question_is_cut_by_the_runs_own_tokenizer(view: RunView) -> None:
    assert "".join(view.prompt_tokens) == view.questions[0].text
    assert view.prompt_tokens[-3:] == (" of", " 28", "?")


def test_calculator_marks_are_written_out(view: RunView) -> None:
    assert view.card is not None
    miss = next(miss for miss in view.card.misses if "amoxicillin" in miss.question)
    assert "20 × 45 = 900 mg" in miss.answer and "<|calc|>" not in miss.gold


def test_reward_models_in_training_have_begun(tmp_path) -> None:
    run = make_run(tmp_path, ("tokenizer",), graded=False, doctor=False)
    run.stage("reward").member(0).log(1, "train", {"loss": 0.69})
    assert gather(run).stages["reward"].status == "training"
