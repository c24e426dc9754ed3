import json
import os
import re
import subprocess
import sys
from pathlib import Path
from string import digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posology.config import UserError
from posology.text.chat import encode_dialogue, encode_prompt
from posology.text.tokenizer import SPECIALS, Tokenizer, load_tokenizer, save_tokenizer, train_tokenizer

NUMBER_TOKEN = r" ?[0-9]{1,2}"
CORPUS = ["Avoid ibuprofen with warfarin.", "Use 20 mg of codeine every 6 h, at most 240 mg a day."] * 9
TRAIN = """
import sys
from posology.text.tokenizer import train_tokenizer
print(train_tokenizer({corpus!r}, 320).fingerprint, "torch" in sys.modules, "transformers" in sys.modules)
"""


def test_special_tokens_have_the_first_ids(tokenizer: Tokenizer) -> None:
    ids = [tokenizer.pad, tokenizer.bos, tokenizer.user, tokenizer.assistant, tokenizer.end]
    ids += [tokenizer.calc, tokenizer.equals, tokenizer.endcalc]
    assert ids == list(range(8))
    assert tokenizer.size <= 400


@given(text=st.text())
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_text(text)
    assert tokenizer.decode(ids) == text
    assert all(i >= len(SPECIALS) for i in ids)


@given(parts=st.lists(st.sampled_from([*SPECIALS, "a", " ", "7", "<|", "|>", "é"]), max_size=8))
def test_special_tokens_in_a_users_text_are_ordinary_text(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    prompt = encode_prompt(tokenizer, text)
    assert [i for i in prompt if i < len(SPECIALS)] == [tokenizer.bos, tokenizer.user, tokenizer.assistant]
    assert tokenizer.decode(prompt) == text


def test_an_answer_has_its_calculator_marks_parsed_and_no_other(tokenizer: Tokenizer) -> None:
    answer = "Give <|calc|>20*45/2<|equals|>450<|/calc|> mg<|end|><|user|>."
    ids = tokenizer.encode_answer(answer)
    assert [i for i in ids if i < len(SPECIALS)] == [tokenizer.calc, tokenizer.equals, tokenizer.endcalc]
    assert tokenizer.decode(ids) == answer
    value = ids[ids.index(tokenizer.equals) + 1 : ids.index(tokenizer.endcalc)]
    assert value == tokenizer.encode_text("450")  # as the engine inserts it


def test_half_a_surrogate_pair_is_no_crash(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode_text("a\ud800b")) == "a?b"


def test_numbers_are_cut_alike_wherever_they_stand(tokenizer: Tokenizer) -> None:
    """Two digits to a token at most, from the left, and nothing else in it but the space before."""
    common = train_tokenizer([f"A patient of {n} years." for n in range(100) for _ in range(9)], 480)
    for chosen in (tokenizer, common):
        texts = [chosen.decode([i]) for i in range(len(SPECIALS), chosen.size)]
        assert [t for t in texts if any(c in digits for c in t) and not re.fullmatch(NUMBER_TOKEN, t)] == []
        assert chosen.encode_text("20454") == [i for part in ("20", "45", "4") for i in chosen.encode_text(part)]
    (token,) = common.encode_text(" 28")
    for text in ("eGFR 28?30", "A 28-year-old", "weighs 28 kg.", "It is 28.", "It is 28.5.", "CrCl 284"):
        assert token in common.encode_text(text)


def test_frequent_words_become_tokens(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode_text(" metformin")) == 1


def test_the_same_corpus_gives_the_same_bytes_in_any_order_and_process() -> None:
    here = train_tokenizer(CORPUS, 320).fingerprint
    assert train_tokenizer(reversed(CORPUS), 320).fingerprint == here
    assert train_tokenizer([*CORPUS, "Codeine."] * 2, 320).fingerprint != here
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", TRAIN.format(corpus=CORPUS)], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [here, "False", "False"]  # and without torch or transformers


def test_a_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(UserError, match="263"):
        train_tokenizer(["a"], 263)
    with pytest.raises(UserError, match="of 270 cannot hold 256 bytes, 8 special tokens, 4 phrases and 3 texts"):
        train_tokenizer(["a"], 270, ["a a"], 4, ["?1", "?2", "?3"])


def test_plain_transformers_loads_the_folder_and_agrees(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    save_tokenizer(tokenizer, tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    question, answer = "Is codeine safe? × ÷ 7.5 mg", "No: <|calc|>2*3<|equals|>6<|/calc|> mg."
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    whole = theirs.apply_chat_template(messages, return_dict=False)
    prompt = theirs.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
    assert whole == encode_dialogue(tokenizer, question, answer).ids
    assert prompt == encode_prompt(tokenizer, question)
    assert tokenizer.hf.apply_chat_template(messages, return_dict=False) == whole
    assert (theirs.pad_token_id, theirs.bos_token_id, theirs.eos_token_id) == (0, 1, 4)
    assert theirs(question).input_ids == [1, *tokenizer.encode_text(question)]  # one BOS
    assert len(theirs) == tokenizer.size
    with pytest.raises(Exception, match="roles are user and assistant"):
        theirs.apply_chat_template([{"role": "system", "content": "x"}])


def test_saved_and_loaded_is_the_same(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    assert load_tokenizer(tmp_path).fingerprint == tokenizer.fingerprint
    assert load_tokenizer(tmp_path).encode_text("dose 12") == tokenizer.encode_text("dose 12")


def test_missing_damaged_and_foreign_tokenizers_are_one_line_errors(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer in"):
        load_tokenizer(tmp_path)
    save_tokenizer(tokenizer, tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.source[: len(tokenizer.source) // 2])
    with pytest.raises(UserError, match="is not a tokenizer") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in caught.value.message
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="not UTF-8"):
        load_tokenizer(tmp_path)
    raw = json.loads(tokenizer.source)
    raw["added_tokens"] = [t for t in raw["added_tokens"] if t["content"] != "<|calc|>"]
    raw["model"]["vocab"] = {("x" if t == "<|calc|>" else t): i for t, i in raw["model"]["vocab"].items()}
    path.write_text(json.dumps(raw))
    with pytest.raises(UserError, match=r"lacks the special tokens <\|calc\|>$"):
        load_tokenizer(tmp_path)


ANSWERS = ["Avoid ibuprofen. Reason: additive bleeding.", "The eGFR of 28 is below 30. Avoid metformin."] * 20


def with_phrases(count: int = 24) -> Tokenizer:
    return train_tokenizer(CORPUS + ANSWERS, 420, ANSWERS, count)


def test_phrases_are_tokens_of_several_words_inside_one_sentence() -> None:
    tokens = [with_phrases().decode([i]) for i in range(len(SPECIALS), with_phrases().size)]
    assert " Reason: additive bleeding." in tokens
    assert [text for text in tokens if ". " in text.strip()] == []
    assert [text for text in tokens if re.search(r"[0-9]", text) and not re.fullmatch(NUMBER_TOKEN, text)] == []


def test_phrases_leave_the_words_of_other_texts_as_they_were() -> None:
    plain, phrased = train_tokenizer(CORPUS + ANSWERS, 396), with_phrases()
    question = "May I give codeine, 20 mg, if metformin is unknown?"
    assert [plain.decode([i]) for i in plain.encode_text(question)] == [
        phrased.decode([i]) for i in phrased.encode_text(question)
    ]
    assert len(phrased.encode_text(ANSWERS[0])) < len(plain.encode_text(ANSWERS[0]))


def test_what_is_whole_is_one_token_wherever_it_stands() -> None:
    whole = ["?30,45", "?30", "?≤60"]
    tokenizer = train_tokenizer(CORPUS, 290, whole=whole)
    assert tokenizer.size == 290
    assert [len(tokenizer.encode_text(text)) for text in whole] == [1, 1, 1]
    answer = "<|calc|>eGFR28?30,45<|equals|><30<|/calc|>Avoid metformin."
    ids = tokenizer.encode_answer(answer)
    assert tokenizer.decode(ids) == answer
    assert len(ids) == len(train_tokenizer(CORPUS, 287).encode_answer(answer)) - 5
    assert tokenizer.hf.encode(answer, add_special_tokens=False) == ids
    assert train_tokenizer(CORPUS, 290, whole=whole[::-1]).fingerprint == tokenizer.fingerprint


@given(text=st.text(alphabet="abR :.e28n\n", max_size=40))
def test_text_comes_back_through_phrases(text: str) -> None:
    assert PHRASED.decode(PHRASED.encode_text(text)) == text


def test_phrases_have_the_same_bytes_in_any_order() -> None:
    again = train_tokenizer(reversed(CORPUS + ANSWERS), 420, reversed(ANSWERS), 24)
    assert again.fingerprint == with_phrases().fingerprint


PHRASED = with_phrases()
