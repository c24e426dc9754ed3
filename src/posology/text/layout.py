"""How a user's rows become the tokens of any Hugging Face model: prompt forms, and which tokens a loss may look at.

    Clinical Note: {note}

    Summary: {summary}<end>

A prompt has the same tokens in training as in answering, one beginning-of-text token where the tokenizer has one, and
one end token behind the answer. Text is data: a special token that is written out in a row never becomes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jinja2 import TemplateError

from posology.config import UserError
from posology.text.chat import Encoded

NOTE = "Clinical Note: {note}\n\nSummary:"
USER, ANSWER = "What is asked?", "What is answered."  # a conversation that shows how a template ends an answer


class Said(Protocol):
    @property
    def role(self) -> Any: ...
    @property
    def content(self) -> str: ...


class Asked(Protocol):
    """What a prompt is made of: a row of intake's, or anything like it."""

    @property
    def prompt(self) -> str: ...
    @property
    def is_note(self) -> bool: ...
    @property
    def history(self) -> Sequence[Said]: ...


class UnfitRow(Exception):  # noqa: N818 (the row does not fit, the program is sound)
    """Why a row cannot be laid out, in words that hold no text of it."""


@dataclass(frozen=True)
class PromptLayout:
    """A tokenizer with a prompt form: plain text, or the tokenizer's own chat template. Made by `prompt_layout`."""

    tokenizer: Any
    chat: bool
    end: int  # learnt behind each answer, and waited for
    lead: str = ""  # white space that the template puts between prompt and answer

    @property
    def pad(self) -> int:
        """What fills short rows: masked, so any token will do, and a tokenizer's own may be one too many for its model."""
        return self.end

    @property
    def special(self) -> tuple[str, ...]:
        """What would be read as a special token in a rendered template."""
        added = self.tokenizer.added_tokens_decoder.values()
        return tuple(str(token) for token in added if token.special)


def prompt_layout(tokenizer: Any, *, chat: bool) -> PromptLayout:
    """UserError for a tokenizer without an end token, and for `chat` without a template."""
    if chat and tokenizer.chat_template is None:
        raise UserError(
            "--chat-template: the model's tokenizer has none",
            "leave the option out, or put the template into the model's folder as chat_template.jinja",
        )
    end = _end_of_turn(tokenizer) if chat else tokenizer.eos_token_id
    if end is None:
        raise UserError("the model's tokenizer has no end token", "name one as eos_token in tokenizer_config.json")
    return PromptLayout(tokenizer, chat, int(end), _lead(tokenizer) if chat else "")


def encode_asked(layout: PromptLayout, asked: Asked) -> list[int]:
    """The tokens that a model continues. UnfitRow where the row cannot be laid out."""
    return _prompt_ids(layout, _prompt_text(layout, asked))


def encode_text(layout: PromptLayout, text: str) -> Encoded:
    """A plain text with its end token; scored: all but the first token, which nothing comes before."""
    ids = [*_prompt_ids(layout, text.strip()), layout.end]
    return Encoded(ids, [False] + [True] * (len(ids) - 1))


def encode_answered(layout: PromptLayout, asked: Asked, answer: str) -> Encoded:
    """Prompt, answer and end token; scored: the answer's own tokens and the end token."""
    return encode_answers(layout, asked, (answer,))[0]


def encode_answers(layout: PromptLayout, asked: Asked, answers: Iterable[str]) -> list[Encoded]:
    """The same for several answers to one prompt, whose tokens they share.

    The answer's tokens are those that prompt and answer have together and the prompt alone has not: a tokenizer may
    read a word differently behind a text than by itself. Where it would join the last of the prompt with the first of
    the answer, the answer is read by itself.
    """
    if not layout.chat and asked.history:
        raise UnfitRow("it is a conversation, which needs --chat-template")
    text = _prompt_text(layout, asked)
    prompt = _prompt_ids(layout, text)
    encoded = []
    for answer in answers:
        spoken = layout.lead + answer.strip() if layout.chat else answer
        _require_plain(layout, spoken)
        if asked.is_note and not layout.chat:
            spoken = f" {spoken.strip()}"
        both = _prompt_ids(layout, text + spoken)
        own = both[len(prompt) :] if both[: len(prompt)] == prompt else _ids(layout, spoken, first=False)
        if not own:
            raise UnfitRow("its answer has no tokens")
        ids = [*prompt, *own, layout.end]
        encoded.append(Encoded(ids, [False] * len(prompt) + [True] * (len(own) + 1)))
    return encoded


def _prompt_text(layout: PromptLayout, asked: Asked) -> str:
    if not layout.chat:
        return NOTE.format(note=asked.prompt.strip()) if asked.is_note else asked.prompt
    turns = [{"role": turn.role, "content": turn.content} for turn in asked.history]
    turns.append({"role": "user", "content": asked.prompt})
    for turn in turns:
        _require_plain(layout, turn["content"])
    try:
        text: str = layout.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except (TemplateError, TypeError, ValueError):  # its words may hold text of the row
        raise UnfitRow("the chat template refuses it (its roles or their order)") from None
    return text


def _prompt_ids(layout: PromptLayout, text: str) -> list[int]:
    ids = _ids(layout, text, first=not layout.chat)  # a template writes its own beginning
    while ids and ids[-1] == layout.tokenizer.eos_token_id and not layout.chat:
        ids = ids[:-1]  # some tokenizers end every text
    if not ids:
        raise UnfitRow("it has no tokens")
    return ids


def _ids(layout: PromptLayout, text: str, *, first: bool) -> list[int]:
    said = layout.tokenizer(text, add_special_tokens=first, split_special_tokens=not layout.chat)
    return list(said["input_ids"])


def _require_plain(layout: PromptLayout, text: str) -> None:
    """In a rendered template special tokens are read as such, so a row must not hold any."""
    if layout.chat and any(token in text for token in layout.special):
        raise UnfitRow("it holds a special token of the model's tokenizer, written out")


def _end_of_turn(tokenizer: Any) -> int | None:
    """The first special token that the template puts behind an answer; the end token where it puts none."""
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    behind = tokenizer(_example(tokenizer).rpartition(ANSWER)[2], add_special_tokens=False)["input_ids"]
    end: int | None = next((token for token in behind if token in special), tokenizer.eos_token_id)
    return end


def _lead(tokenizer: Any) -> str:
    prompt = _example(tokenizer, asked=True)
    before = _example(tokenizer).rpartition(ANSWER)[0]
    lead = before.removeprefix(prompt)
    return lead if before.startswith(prompt) and lead.isspace() else ""


def _example(tokenizer: Any, *, asked: bool = False) -> str:
    """A short conversation as the template renders it, or its beginning up to the answer."""
    turns = [{"role": "user", "content": USER}, {"role": "assistant", "content": ANSWER}]
    try:
        text: str = tokenizer.apply_chat_template(
            turns[:1] if asked else turns, tokenize=False, add_generation_prompt=asked
        )
    except (TemplateError, TypeError, ValueError) as error:
        why = type(error).__name__
        raise UserError(f"the model's chat template fails: {why}", "leave out --chat-template, or mend it") from None
    return text
