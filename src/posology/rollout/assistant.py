"""Open a stage's model and ask it questions: strings in, strings out. Nothing it says is for the care of patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posology.models.loading import load_language_model
from posology.models.precision import Precision, pick_precision
from posology.rollout.companion import with_engine
from posology.rollout.sampler import Companion, sample, walk
from posology.text.chat import encode_prompt, require_fits
from posology.text.spans import CALC, END_CALC, explained, render, split_working
from posology.text.tokenizer import Tokenizer, load_tokenizer

MAX_NEW_TOKENS = 112


@dataclass(frozen=True)
class Answer:
    """`text` holds the calculator's marks; `rendered` is for people; `ids` are the tokens, inserted ones and the end
    token included; `finished`: the model ended it; `calls`: how often the calculator was asked."""

    text: str
    rendered: str
    ids: list[int]
    finished: bool
    calls: int

    @property
    def tokens(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Assistant:
    """A model with its tokenizer and calculator. Temperature 0 is greedy; otherwise `seed` says which sample."""

    model: Any
    tokenizer: Tokenizer
    companion: Companion
    precision: Precision
    max_new_tokens: int = MAX_NEW_TOKENS

    @classmethod
    def open(cls, folder: Path | str, companion: Callable[[Tokenizer], Companion] = with_engine) -> Assistant:
        """The model and tokenizer that lie in a stage's final folder; UserError if they are missing or do not match."""
        tokenizer = load_tokenizer(Path(folder))
        model = load_language_model(folder, tokenizer=tokenizer.fingerprint)
        return cls(model, tokenizer, companion(tokenizer), pick_precision())

    def ask(self, question: str, temperature: float = 0, seed: int = 0) -> Answer:
        """One answer. UserError, saying by how much, where question and answer do not fit into the model's context."""
        return self.answer_many([question], temperature, seed)[0]

    def answer_many(self, questions: Sequence[str], temperature: float = 0, seed: int = 0) -> list[Answer]:
        """Answers to all questions, decoded together."""
        if not questions:
            return []
        rollout = sample(
            self.model, [self._prompt(question) for question in questions], pad=self.tokenizer.pad,
            end=self.tokenizer.end, max_new_tokens=self.max_new_tokens, temperature=temperature, seed=seed,
            companion=self.companion, precision=self.precision,
        )  # fmt: skip
        return [self._answer(ids, finished) for ids, finished in zip(rollout.ids, rollout.finished, strict=True)]

    def workings(self, questions: Sequence[str]) -> list[str]:
        """The working that the model puts before its greedy answer to each question, as spans."""
        return [split_working(answer.text)[0] for answer in self.answer_many(questions)]

    def stream(self, question: str, temperature: float = 0, seed: int = 0) -> Iterator[str]:
        """The working on a line of its own, then the answer for people, in pieces; a calculation comes whole."""
        steps = walk(
            self.model, {0: self._prompt(question)}, pad=self.tokenizer.pad, end=self.tokenizer.end,
            max_new_tokens=self.max_new_tokens, temperature=temperature, seed=seed, companion=self.companion,
            precision=self.precision,
        )  # fmt: skip
        ids: list[int] = []
        said = ""
        for step in steps:
            ids += step.ids_A.tolist()
            settled = _settled(self.tokenizer.decode(ids))
            ready = explained(settled) if split_working(settled)[1] else ""  # working is told when it is whole
            if len(ready) > len(said):
                yield ready[len(said) :]
                said = ready
        whole = explained(self.tokenizer.decode(ids))
        if len(whole) > len(said):
            yield whole[len(said) :]

    def _prompt(self, question: str) -> list[int]:
        ids = encode_prompt(self.tokenizer, question)
        require_fits(ids, int(self.model.config.max_position_embeddings), self.max_new_tokens)
        return ids

    def _answer(self, ids: list[int], finished: bool) -> Answer:
        text = self.tokenizer.decode(ids)
        return Answer(text, render(text), ids, finished, ids.count(self.tokenizer.equals))


def _settled(text: str) -> str:
    """The part of an unfinished answer that later tokens cannot change: no open calculation, no half character."""
    opened = text.rfind(CALC)
    if opened >= 0 and END_CALC not in text[opened:]:
        text = text[:opened]
    return text.rstrip("\ufffd")
