"""Any causal LM sits the exam: greedy, padding without effect, answers cut where the model stops answering."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from posology.config import ModelConfig, RunConfig, UserError, load_config
from posology.files import read_jsonl, write_jsonl
from posology.models.llama import language_model
from posology.models.loading import save_language_model
from posology.recipes import examine as page
from posology.recipes.examine import answers_file, examine, path_of
from posology.rollout.assistant import Assistant
from posology.text.tokenizer import save_tokenizer, train_tokenizer

from ..evaluation.exams import exam_cases
from ..outside_models import TEXT, save_gpt2, save_llama

CASES = exam_cases(1)
SMOKE = Path(__file__).resolve().parents[2] / "configs" / "smoke.yaml"


@pytest.fixture(autouse=True)
def few_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "NEW_TOKENS", 24)


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load_config(SMOKE, ["evaluation.max_new_tokens=24"])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("models") / "gpt2")


def answers(folder: Path, config: RunConfig, **more: Any) -> dict[str, dict[str, Any]]:
    return {row["case_id"]: row for row in examine(folder, CASES, config, **more)}


def refused(folder: Path | str, config: RunConfig) -> str:
    with pytest.raises(UserError) as caught:
        list(examine(folder, CASES, config))
    assert "\n" not in caught.value.message
    return f"{caught.value.message} · {caught.value.hint}"


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_case_is_answered_and_padding_changes_nothing(
    family: str, config: RunConfig, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(family)
    together, alone = answers(folder, config, rows=7), answers(folder, config, rows=1)
    assert together.keys() == alone.keys() == {case.case_id for case in CASES}
    assert len({row["answer"] for row in together.values()}) > 1
    for key, row in together.items():
        assert row["answer"] == alone[key]["answer"] and row["tokens"] == alone[key]["tokens"] > 0
        assert row["logprob"] == pytest.approx(alone[key]["logprob"], abs=1e-3) and row["logprob"] < 0


def by_hand(folder: Path, question: str) -> tuple[Any, list[int], float]:
    """The tokenizer, the greedy answer's tokens and their log-probability: no cache, no padding, no `generate`."""
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    prompt = tokenizer(f"<user>{question}<assistant>", add_special_tokens=False)["input_ids"]
    ids, total = list(prompt), 0.0
    with torch.no_grad():
        while len(ids) < len(prompt) + 24 and tokenizer.eos_token_id not in ids[len(prompt) :]:
            logp = torch.log_softmax(model(torch.tensor([ids])).logits[0, -1], -1)
            ids.append(int(logp.argmax()))
            total += float(logp.max())
    return tokenizer, ids[len(prompt) :], total


def test_answers_are_the_greedy_ones_with_their_log_probabilities(llama: Path, config: RunConfig) -> None:
    found = answers(llama, config)
    for case in CASES[:3]:
        tokenizer, ids, total = by_hand(llama, case.question)
        row = found[case.case_id]
        assert row["answer"] == tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert row["tokens"] == len(ids) and row["logprob"] == pytest.approx(total, abs=1e-2)


def test_a_folders_sampling_settings_are_put_aside(llama: Path, config: RunConfig, tmp_path: Path) -> None:
    wild = save_llama(tmp_path / "wild", do_sample=True, temperature=2.0, repetition_penalty=1.5, max_new_tokens=3)
    assert answers(wild, config) == answers(llama, config)


def test_a_second_end_token_ends(llama: Path, config: RunConfig, tmp_path: Path) -> None:
    _, ids, _ = by_hand(llama, CASES[0].question)
    second = ids[5]
    row = answers(save_llama(tmp_path / "two", eos_token_id=[0, second]), config)[CASES[0].case_id]
    assert row["finished"] and row["tokens"] == ids.index(second) + 1 < len(ids)


def test_a_model_that_asks_itself_the_next_question_is_cut_off(config: RunConfig, tmp_path: Path) -> None:
    case = replace(CASES[0], question="Is metformin safe?")
    (row,) = examine(save_gpt2(tmp_path / "gpt2", teach=TEXT * 2), [case], config)
    assert row["answer"] == "Avoid metformin." and row["finished"] and row["tokens"] < 24


def test_instructions_are_read_before_the_question(llama: Path, config: RunConfig) -> None:
    assert answers(llama, config, instructions="Say OK.") != answers(llama, config)


def test_a_model_of_posologys_own_answers_as_its_assistant_does(config: RunConfig, tmp_path: Path) -> None:
    tokenizer = train_tokenizer([case.question for case in CASES], 300, [case.answer for case in CASES])
    size = ModelConfig(width=32, layers=1, heads=2, mlp_width=48)
    model = language_model(size, tokenizer.size, 0, bos=tokenizer.bos, eos=tokenizer.end, pad=tokenizer.pad)
    folder = tmp_path / "sft" / "final"
    save_language_model(model, folder, tokenizer=tokenizer.fingerprint)
    save_tokenizer(tokenizer, folder)
    opened = Assistant.open(folder)
    asked = Assistant(opened.model, opened.tokenizer, opened.companion, opened.precision, 24)
    said = asked.answer_many([case.question for case in CASES])
    assert path_of(tmp_path / "sft") == folder
    rows = answers(tmp_path / "sft", config)
    assert [rows[case.case_id]["answer"] for case in CASES] == [answer.text for answer in said]


def test_what_cannot_be_asked_is_said_in_a_line(gpt2: Path, config: RunConfig, tmp_path: Path) -> None:
    assert "hf download" in refused("gpt2-of-a-hub", config)
    bare = tmp_path / "bare"
    shutil.copytree(gpt2, bare)
    for path in bare.glob("tokenizer*"):
        path.unlink()
    assert "no usable tokenizer" in refused(bare, config) and "copy" in refused(bare, config)
    assert "where the model reads 32" in refused(save_gpt2(tmp_path / "short", positions=32), config)
    assert "do not belong together" in refused(save_gpt2(tmp_path / "small", vocabulary=40), config)


def test_a_broken_chat_template_is_said_in_a_line(llama: Path, config: RunConfig, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(llama, broken)
    (broken / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    assert "the chat template fails: roles must alternate" in refused(broken, config)


def test_a_stopped_exam_goes_on_where_it_was(
    llama: Path, config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halved = tmp_path / "whole.jsonl", tmp_path / "halved.jsonl"
    digest = answers_file(whole, llama, CASES, config, rows=2)
    assert [row["case_id"] for row in read_jsonl(whole)] == [case.case_id for case in CASES] and len(digest) == 64
    asked: list[str] = []

    def stops(*arguments: Any, **more: Any) -> Iterator[dict[str, Any]]:
        for row in examine(*arguments, **more):
            if len(asked) == 3:
                raise KeyboardInterrupt
            asked.append(row["case_id"])
            yield row

    monkeypatch.setattr(page, "examine", stops)
    with pytest.raises(KeyboardInterrupt):
        answers_file(halved, llama, CASES, config, rows=2)
    part = tmp_path / "halved.jsonl.part"
    part.write_bytes(part.read_bytes() + b'{"case_id": "torn')
    monkeypatch.setattr(page, "examine", lambda model, left, *a, **k: asked_again(model, left, *a, **k))

    def asked_again(model: Path, left: list[Any], *arguments: Any, **more: Any) -> Iterator[dict[str, Any]]:
        assert {case.case_id for case in left} == {case.case_id for case in CASES} - set(asked)
        yield from examine(model, left, *arguments, **more)

    assert answers_file(halved, llama, CASES, config, rows=2) == digest
    texts = [[(row["case_id"], row["answer"]) for row in read_jsonl(path)] for path in (whole, halved)]
    assert texts[0] == texts[1] and not part.exists()


def test_answers_of_other_settings_are_not_gone_on_with(llama: Path, config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(
        tmp_path / "a.jsonl.part", [{"made_of": "another model"}, {"case_id": CASES[0].case_id, "answer": "old"}]
    )
    answers_file(path, llama, CASES[:1], config)
    assert [row["answer"] for row in read_jsonl(path)] != ["old"]
