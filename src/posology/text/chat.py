"""Questions and answers as token ids, with the tokens a loss may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posology.config import UserError
from posology.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Encoded:
    """`scored[i]` is True where the loss looks at ids[i] as a target."""

    ids: list[int]
    scored: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


def encode_prompt(tokenizer: Tokenizer, question: str) -> list[int]:
    """<|bos|><|user|>{question}<|assistant|>: what a model continues."""
    return [tokenizer.bos, tokenizer.user, *tokenizer.encode_text(question), tokenizer.assistant]


def encode_dialogue(tokenizer: Tokenizer, question: str, answer: str) -> Encoded:
    """<|bos|><|user|>{question}<|assistant|>{answer}<|end|>; scored: the answer's own tokens and the end token."""
    prompt = encode_prompt(tokenizer, question)
    reply = tokenizer.encode_answer(answer)
    own = own_tokens(tokenizer, reply)
    return Encoded([*prompt, *reply, tokenizer.end], [False] * len(prompt) + own + [True])


def encode_document(tokenizer: Tokenizer, text: str) -> Encoded:
    """<|bos|>{text}<|end|>; scored: all but the first."""
    ids = [tokenizer.bos, *tokenizer.encode_text(text), tokenizer.end]
    return Encoded(ids, [False] + [True] * (len(ids) - 1))


def own_tokens(tokenizer: Tokenizer, answer_ids: Sequence[int]) -> list[bool]:
    """True for each token of an answer that its writer chose; False for a calculator's value and closing mark."""
    own, inserted = [], False
    for token in answer_ids:
        own.append(not inserted)
        if token == tokenizer.equals:
            inserted = True
        elif token == tokenizer.endcalc:
            inserted = False
    return own


def require_fits(ids: Sequence[int], positions: int, new: int) -> None:
    """UserError, saying by how much, when a prompt and `new` tokens of answer do not fit into `positions`."""
    over = len(ids) + new - positions
    if over > 0:
        message = (
            f"the question is {over} tokens too long: {len(ids)} + {new} for the answer, the model reads {positions}"
        )
        raise UserError(message, "shorten the question")
