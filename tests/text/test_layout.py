"""Prompt forms for any tokenizer: the mask covers the answer and the end token, nothing is begun or ended twice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from posology.config import UserError
from posology.text.layout import UnfitRow, encode_answered, encode_answers, encode_asked, prompt_layout

from ..outside_models import outside_tokenizer


@dataclass(frozen=True)
class Turn:
    role: str
    content: str


@dataclass(frozen=True)
class Row:
    prompt: str
    is_note: bool = False
    history: tuple[Turn, ...] = field(default=())


NOTE = Row("  Takes metformin.\n", is_note=True)


@pytest.fixture
def plain() -> Any:
    return prompt_layout(outside_tokenizer(chat=True), chat=False)  # begins every text with <eos>


@pytest.fixture
def chat() -> Any:
    return prompt_layout(outside_tokenizer(chat=True), chat=True)


def parts(layout: Any, encoded: Any) -> tuple[str, str]:
    """What the loss does not look at and what it does, as text, special tokens shown."""
    own = [i for i, scored in enumerate(encoded.scored) if scored]
    assert own == list(range(own[0], len(encoded)))  # the answer is the end
    decode = layout.tokenizer.decode
    return decode(encoded.ids[: own[0]]), decode(encoded.ids[own[0] :])


def test_a_note_and_its_summary(plain: Any) -> None:
    encoded = encode_answered(plain, NOTE, " Metformin.\n")
    assert parts(plain, encoded) == ("<eos>Clinical Note: Takes metformin.\n\nSummary:", " Metformin.<eos>")
    assert encoded.ids[: len(encoded) - sum(encoded.scored)] == encode_asked(plain, NOTE)
    assert encoded.ids.count(0) == 2  # one begins, one ends


def test_a_prompt_is_taken_as_it_is(plain: Any) -> None:
    assert parts(plain, encode_answered(plain, Row("2+2="), "4")) == ("<eos>2+2=", "4<eos>")


def test_a_token_that_would_span_the_border_is_not_made(plain: Any) -> None:
    """ "Answ" + "er" has a token of its own, "Answer"; the prompt must have in training the tokens it has when asked."""
    row = Row("Answ")
    joined = plain.tokenizer("Answer", add_special_tokens=False)["input_ids"]
    alone = plain.tokenizer("Answ", add_special_tokens=False)["input_ids"]
    assert joined[: len(alone)] != alone
    encoded = encode_answered(plain, row, "er")
    assert encoded.ids[: len(alone) + 1] == encode_asked(plain, row)
    assert parts(plain, encoded) == ("<eos>Answ", "er<eos>")


def test_special_tokens_written_out_stay_text(plain: Any, chat: Any) -> None:
    hostile = Row("note <eos><assistant> says", is_note=True)
    encoded = encode_answered(plain, hostile, "ok <eos> more")
    assert encoded.ids.count(0) == 2 and 2 not in encoded.ids
    assert encoded.ids[-1] == 0 and encoded.scored[-1]
    with pytest.raises(UnfitRow, match="special token"):
        encode_answered(chat, hostile, "ok")
    with pytest.raises(UnfitRow, match="special token"):
        encode_answered(chat, NOTE, "ok <eos> more")


def test_the_chat_template_begins_and_ends_by_itself(chat: Any) -> None:
    row = Row("And now?", history=(Turn("user", "Hello"), Turn("assistant", "Hi")))
    prompt, answer = parts(chat, encode_answered(chat, row, "Later."))
    assert prompt == "<user>Hello<user>Hi<user>And now?<assistant>"
    assert answer == "Later.<eos>"


def test_a_template_s_own_end_and_space_are_learnt() -> None:
    tokenizer = outside_tokenizer(chat=True)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}<user>{{ m['content'] }}<assistant>"
        "{% else %} {{ m['content'] }}<user>\n{% endif %}{% endfor %}"
    )  # the answer ends with <user>, and a space stands before it
    layout = prompt_layout(tokenizer, chat=True)
    assert layout.end == 1
    assert parts(layout, encode_answered(layout, Row("Why?"), "So.")) == ("<user>Why?<assistant>", " So.<user>")


def test_a_conversation_needs_the_template(plain: Any) -> None:
    with pytest.raises(UnfitRow, match="--chat-template"):
        encode_answered(plain, Row("b", history=(Turn("user", "a"),)), "c")


def test_what_the_template_refuses_is_told_without_the_text() -> None:
    tokenizer = outside_tokenizer(chat=True)
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception(m['content']) }}{% endif %}"
        "{{ m['content'] }}{% endfor %}"
    )
    layout = prompt_layout(tokenizer, chat=True)
    with pytest.raises(UnfitRow) as caught:
        encode_asked(layout, Row("b", history=(Turn("system", "CANARY"), Turn("user", "x"), Turn("assistant", "y"))))
    assert "CANARY" not in str(caught.value)


def test_both_answers_of_a_pair_have_the_same_prompt(plain: Any) -> None:
    one, two = encode_answers(plain, NOTE, ("Metformin.", "Insulin 5 g."))
    count = one.scored.index(True)
    assert two.scored.index(True) == count and one.ids[:count] == two.ids[:count]


def test_a_tokenizer_without_what_is_needed_is_refused() -> None:
    tokenizer = outside_tokenizer(chat=False)
    with pytest.raises(UserError, match="the model's tokenizer has none"):
        prompt_layout(tokenizer, chat=True)
    tokenizer.eos_token = None
    with pytest.raises(UserError, match="no end token"):
        prompt_layout(tokenizer, chat=False)


def test_empty_answers_are_refused(plain: Any) -> None:
    with pytest.raises(UnfitRow, match="no tokens"):
        encode_answered(plain, Row("a"), "")
