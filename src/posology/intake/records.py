"""What a user's rows become. Frozen; how a prompt is laid out for a model is the recipe's business, not the row's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Turn:
    role: Role
    content: str


@dataclass(frozen=True)
class Example:
    """One row to learn from: what is asked (a note, a prompt, or a conversation) and the answer to learn."""

    row: int  # 1 is the first row of data
    id: str  # the row's own id, or its number as text
    prompt: str  # the clinical note, the prompt, or the last user turn
    completion: str
    is_note: bool = False  # `prompt` is a clinical note, to be laid out as one
    history: tuple[Turn, ...] = ()  # the turns before the last user turn, where the row holds a conversation
    label: str = ""  # as the file has it; "" where the file has none


@dataclass(frozen=True)
class Text:
    """One row of plain text, all of which is read."""

    row: int
    id: str
    text: str


@dataclass(frozen=True)
class Pair:
    """One row of preference: `rejected` is the worse answer. `edit` names what is wrong with it, where that is known."""

    row: int
    id: str
    prompt: str
    chosen: str
    rejected: str
    is_note: bool = False
    history: tuple[Turn, ...] = ()
    edit: str = ""
