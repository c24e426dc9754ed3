"""The whole pipeline on a small configuration: what a run leaves behind, and that strangers can read it."""

import json
import subprocess
import sys

from posology.files import read_jsonl
from posology.text.comparison import limit_lists
from posology.text.tokenizer import load_tokenizer

from .conftest import SMOKE, Finished, posology

STAGES = ("pretrain", "sft", "dpo", "ppo")
MEASURES = ("accuracy", "safety", "specificity", "dose", "humility", "usefulness")


def test_takes_at_most_a_minute(smoke: Finished) -> None:
    assert smoke.seconds <= 60


def test_prints_stages_worst_miss_gates_time_report_and_next_commands(smoke: Finished) -> None:
    for word in (*STAGES, "worst", "report.html", "posology ask", "Not for care of patients"):
        assert word in smoke.stdout, word


def test_scorecard_has_the_documented_shape(smoke: Finished) -> None:
    card = smoke.json("scorecard.json")
    for stage in STAGES:
        headline = card["stages"][stage]["headline"]
        for measure in MEASURES[:5]:
            keys = {"k", "n", "facts", "value", "low", "high", "target", "verdict", "gates"}
            assert keys <= set(headline[measure]), (stage, measure)
            assert headline[measure]["low"] <= headline[measure]["value"] <= headline[measure]["high"]
        assert {"value", "low", "high", "n", "facts"} <= set(headline["usefulness"])
        assert {"unsafe_reassurance", "critical_dose_errors", "dose_closed_book"} <= set(card["stages"][stage]["extra"])
    for name in ("heldout_facts", "heldout_wordings"):
        assert {"k", "n", "value", "low", "high"} <= set(card["reward"][name])
    assert card["baselines"] and card["comparisons"]
    assert {"a", "b", "measure", "difference", "low", "high", "p_holm", "unit"} <= set(card["comparisons"][0])


def test_the_judge_scores_full_marks_and_no_model_here_does(smoke: Finished) -> None:
    """A scorecard that cannot tell a good model from a bad one would pass the other tests."""
    card = smoke.json("scorecard.json")
    assert card["baselines"]["the judge itself"]["headline"]["accuracy"]["value"] == 1
    assert card["stages"]["pretrain"]["headline"]["accuracy"]["value"] < 0.5


def test_a_medicines_limits_are_whole_tokens_of_the_run(smoke: Finished) -> None:
    tokenizer = load_tokenizer(smoke.path / "tokenizer" / "final")
    dialogues = read_jsonl(smoke.path / "data" / "dialogues.jsonl")
    limits = {text for row in dialogues if row["split"] == "train" for text in limit_lists(row["working"])}
    assert len(limits) >= 20  # development's questions may have others: the tokenizer sees training's alone
    assert [text for text in limits if len(tokenizer.encode_text(text)) > 1] == []


def test_final_loads_in_plain_transformers(smoke: Finished) -> None:
    script = (
        "import sys, warnings; from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "t = AutoTokenizer.from_pretrained(sys.argv[1]); m = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
        "ids = t.apply_chat_template([{'role': 'user', 'content': 'Metformin, eGFR 28?'}], "
        "add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "out = m.generate(**ids, max_new_tokens=8, do_sample=False)\n"
        "assert 'posology' not in sys.modules; print(out.shape[1])"
    )
    for stage in STAGES:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script, str(smoke.path / stage / "final")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]


def test_second_call_skips_what_is_finished(smoke: Finished) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke.path.glob("*/final/**/*.safetensors")}
    assert len(before) >= 7
    done = posology("run", "--config", str(SMOKE), cwd=smoke.path.parents[1])
    assert done.returncode == 0, done.stderr[-2000:]
    assert before == {path: path.stat().st_mtime_ns for path in smoke.path.glob("*/final/**/*.safetensors")}


def test_damage_is_seen_by_doctor_and_mended_by_run(smoke: Finished) -> None:
    doctor = posology("doctor", "smoke", cwd=smoke.path.parents[1])
    assert "files are whole" in doctor.stdout
    assert doctor.returncode in (0, 3)


def test_ask_answers_under_the_notice(smoke: Finished) -> None:
    done = posology(
        "ask", "Can my patient take metformin with an eGFR of 28?", "--run", "smoke", cwd=smoke.path.parents[1]
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Not for care of patients: no clinician has reviewed these facts or answers.")


def test_ask_refuses_a_prompt_longer_than_the_context_and_says_by_how_much(smoke: Finished) -> None:
    done = posology("ask", "metformin " * 3000, "--run", "smoke", cwd=smoke.path.parents[1])
    assert done.returncode in (1, 2)
    assert "tokens too long" in done.stderr and "Traceback" not in done.stderr


def test_compare_reads_the_question_or_says_that_it_did_not(smoke: Finished) -> None:
    runs = smoke.path.parents[1]
    read = posology("compare", "Can my patient take metformin with an eGFR of 28?", "--run", "smoke", cwd=runs)
    assert read.returncode == 0, read.stderr
    assert "CONTRAINDICATED" in read.stdout
    unread = posology("compare", "What is the weather like?", "--run", "smoke", cwd=runs)
    assert "question not read" in unread.stdout


def test_every_metric_line_is_finite_json(smoke: Finished) -> None:
    lines = [json.loads(line) for path in smoke.path.glob("**/metrics.jsonl") for line in path.read_text().splitlines()]
    assert len(lines) > 30
    assert all({"step", "split"} <= set(line) for line in lines)
