import pytest

from posology.config import UserError
from posology.text.chat import encode_dialogue, encode_document, encode_prompt, own_tokens, require_fits
from posology.text.tokenizer import Tokenizer


def test_the_tokens_and_mask_of_a_dialogue_worked_by_hand(tokenizer: Tokenizer) -> None:
    row = encode_dialogue(tokenizer, "20 kg?", "<|calc|>20*45/2<|equals|>450<|/calc|> mg.")
    shown = [(tokenizer.backend.id_to_token(i), scored) for i, scored in zip(row.ids, row.scored, strict=True)]
    prompt = ["<|bos|>", "<|user|>", "2", "0", "Ġ", "k", "g", "?", "<|assistant|>"]
    expression = ["<|calc|>", "2", "0", "*", "45", "/", "2", "<|equals|>"]
    inserted = ["45", "0", "<|/calc|>"]
    rest = ["Ġmg", ".", "<|end|>"]
    assert [token for token, _ in shown] == prompt + expression + inserted + rest
    assert [scored for _, scored in shown] == [False] * 9 + [True] * 8 + [False] * 3 + [True] * 3


def test_a_prompt_is_the_head_of_its_dialogue(tokenizer: Tokenizer) -> None:
    prompt = encode_prompt(tokenizer, "Is it safe?")
    assert encode_dialogue(tokenizer, "Is it safe?", "No.").ids[: len(prompt)] == prompt


def test_a_document_is_scored_but_for_its_first_token(tokenizer: Tokenizer) -> None:
    row = encode_document(tokenizer, "Avoid it. <|end|>")
    assert (row.ids[0], row.ids[-1]) == (tokenizer.bos, tokenizer.end)
    assert row.ids.count(tokenizer.end) == 1  # the text's own is text
    assert row.scored == [False] + [True] * (len(row) - 1)


def test_every_calculation_of_an_answer_is_masked(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode_answer("<|calc|>1+1<|equals|>2<|/calc|> to <|calc|>2+2<|equals|>4<|/calc|> mg, <|calc|>9")
    not_own = [i for i, own in zip(ids, own_tokens(tokenizer, ids), strict=True) if not own]
    assert tokenizer.decode(not_own) == "2<|/calc|>4<|/calc|>"


def test_a_prompt_too_long_says_by_how_much() -> None:
    require_fits([5] * 40, 64, 24)
    with pytest.raises(UserError, match="is 7 tokens too long"):
        require_fits([5] * 47, 64, 24)
