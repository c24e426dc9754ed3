"""A row's values -> an Example, a Pair or a Text. BadRow says what is wrong with a value, and never what the value is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from posology.intake.options import ReadOptions
from posology.intake.records import Example, Pair, Text, Turn
from posology.intake.rows import MAX_TEXT, BadRow, Row, text_fault
from posology.intake.shapes import ALIASES, ANSWERS, CORRECTION, Shape

ROLES = ("system", "user", "assistant")
Turns = tuple[Turn, ...]
NO_ERROR = ("", "na", "n/a", "none")  # what files write where no sentence is wrong

# [Evidence: S2,1; Conf: 0.45]: which sentence supports a claim, and how sure its annotator was.
_MARK = re.compile(r"\[[ \t]*evidence[ \t]*:[^\[\]]*\]", re.IGNORECASE)
# With the spaces before it; the look-behind keeps the time linear in a text of spaces.
_SPACED_MARK = re.compile(rf"(?<![ \t])[ \t]*{_MARK.pattern}", re.IGNORECASE)


def label_of(row: Row, options: ReadOptions) -> str:
    """The row's label, trimmed; "" where it has none."""
    name = options.column("label")
    return _scalar(row.values.get(name), name)


def id_of(row: Row, options: ReadOptions) -> str:
    """The row's own id, trimmed; "" where it has none."""
    name = options.column("id")
    return _scalar(row.values.get(name), name)


def has_marks(row: Row, shape: Shape, options: ReadOptions) -> bool:
    """Whether one of the row's answers holds evidence marks."""
    answers = shape.columns[1:] or shape.columns
    return any(_MARK.search(text) for name in answers for text in _texts(row.values.get(options.column(name))))


def to_example(shape: Shape, row: Row, options: ReadOptions) -> Example:
    """BadRow where a value is missing, empty, of another type or unfit."""
    history: Turns = ()
    if shape.columns == ("messages",):
        name = options.column("messages")
        conversation, answer = _conversation(_turns(_value(row, name), name, options), name)
        history, prompt = _asked(conversation, name)
    else:
        history, prompt = _prompt(row, options.column(shape.columns[0]), options)
        name = options.column(shape.columns[1])
        before, answer = _answer(row, name, options)
        if before:
            raise BadRow(f"its {name} is more than one message")
    return Example(
        row.number, id_of(row, options) or str(row.number), prompt, answer,
        is_note=shape.columns[0] == "clinical_note", history=history, label=label_of(row, options),
    )  # fmt: skip


def to_pair(shape: Shape, row: Row, options: ReadOptions) -> Pair:
    """BadRow as above, and where both answers are the same or do not answer the same."""
    if shape.columns == CORRECTION:
        return _corrected(row, options)
    names = [options.column(name) for name in ("chosen", "rejected")]
    (before, chosen), (other, rejected) = (_answer(row, name, options) for name in names)
    apart = BadRow(f"its {names[0]} and its {names[1]} do not answer the same")
    if before != other:
        raise apart
    if len(shape.columns) == 2:
        if not before:
            raise BadRow(f"it has no prompt, neither apart nor within its {names[0]}")
        history, prompt = _asked(before, names[0])
    else:
        history, prompt = _prompt(row, options.column(shape.columns[0]), options)
        if before:
            inner = _asked(before, names[0])
            if inner[1] != prompt or (history and inner[0] != history):
                raise apart
            history = inner[0]
    if chosen == rejected:
        raise BadRow(f"its {names[0]} and its {names[1]} are the same")
    return Pair(
        row.number, id_of(row, options) or str(row.number), prompt, chosen, rejected,
        is_note=shape.columns[0] == "clinical_note", history=history, edit=_edit(row, options),
    )  # fmt: skip


def to_text(row: Row, options: ReadOptions) -> Text:
    """BadRow where there is no text, or where it is unfit."""
    name = options.column("text")
    return Text(row.number, id_of(row, options) or str(row.number), _text(_value(row, name), name))


def _corrected(row: Row, options: ReadOptions) -> Pair:
    """The rest of the text is the note; the sentence that should stand in it is chosen, the one that does is rejected."""
    name, right, wrong = (options.column(column) for column in CORRECTION)
    text = _text(_value(row, name), name)
    rejected = str(row.values.get(wrong) or "").strip()
    if rejected.casefold() in NO_ERROR:
        raise BadRow(f"it has no {wrong}: nothing in it is wrong")
    chosen = _text(_value(row, right), right).strip()
    if chosen == rejected:
        raise BadRow(f"its {wrong} and its {right} are the same")
    if text.count(rejected) != 1:
        raise BadRow(f"its {wrong} does not stand in its {name}, or stands there more than once")
    note = " ".join(part.strip() for part in text.split(rejected) if part.strip())
    if not note:
        raise BadRow(f"its {name} holds nothing but its {wrong}")
    return Pair(
        row.number,
        id_of(row, options) or str(row.number),
        note,
        chosen,
        rejected,
        is_note=True,
        edit=_edit(row, options),
    )


def pair_row(pair: Pair) -> dict[str, Any]:
    """The row that is read back as this pair."""
    if pair.is_note:
        asked: dict[str, Any] = {"clinical_note": pair.prompt}
    elif pair.history:
        turns = [*pair.history, Turn("user", pair.prompt)]
        asked = {"prompt": [{"role": turn.role, "content": turn.content} for turn in turns]}
    else:
        asked = {"prompt": pair.prompt}
    return {"id": pair.id, **asked, "chosen": pair.chosen, "rejected": pair.rejected, "edit": pair.edit}


def to_prompt(shape: Shape, row: Row, options: ReadOptions, *, answers: bool = False) -> Example:
    """What is asked: a note, a prompt, or a conversation. `answers`: with its label and the answer that stands beside it,
    "" where none does; otherwise nothing else of the row is judged.
    """
    name = options.column(shape.columns[0])
    answer = ""
    if shape.columns == ("messages",):
        turns = _turns(_value(row, name), name, options)
        if turns[-1].role == "assistant":
            turns, answer = turns[:-1], turns[-1].content
        history, prompt = _asked(turns, name)
    else:
        history, prompt = _prompt(row, name, options)
        (beside,) = (options.column(column) for column in ANSWERS[shape.columns[0]])
        if answers and str(row.values.get(beside) or "").strip():
            answer = _answer(row, beside, options)[1]
    return Example(
        row.number, id_of(row, options) or str(row.number), prompt, answer,
        is_note=shape.columns[0] == "clinical_note", history=history,
        label=label_of(row, options) if answers else "",
    )  # fmt: skip


# Values ---------------------------------------------------------------------------------------------------------------


def _value(row: Row, name: str) -> Any:
    value = row.values.get(name)
    if value is None:
        raise BadRow(f"it has no {name}")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadRow(f"its {name} is not text", type(value).__name__)
    if not value.strip():
        raise BadRow(f"its {name} is empty")
    if len(value) > MAX_TEXT:
        raise BadRow(f"its {name} is longer than {MAX_TEXT:,} characters", f"{len(value):,}")
    if fault := text_fault(value):
        raise BadRow(f"{fault} in its {name}")
    return value


def _texts(value: Any) -> Iterator[str]:
    """A text, or those of the assistant's messages."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield from (
            str(turn.get("content")) for turn in value if isinstance(turn, dict) and turn.get("role") == "assistant"
        )


def _scalar(value: Any, name: str) -> str:
    """An id or a label as text: JSON and Parquet may hold a whole number or a truth value there."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | str):
        raise BadRow(f"its {name} is neither text nor a whole number", type(value).__name__)
    text = str(value).strip()
    if fault := text_fault(text):
        raise BadRow(f"{fault} in its {name}")
    return text


def _edit(row: Row, options: ReadOptions) -> str:
    name = options.column("edit")
    if name not in row.values:
        name = ALIASES["edit"]
    return _scalar(row.values.get(name), name)


def _prompt(row: Row, name: str, options: ReadOptions) -> tuple[Turns, str]:
    """What came before, and what is asked: a text, or messages of which the last is the user's."""
    value = _value(row, name)
    return _asked(_turns(value, name, options), name) if isinstance(value, list) else ((), _text(value, name))


def _answer(row: Row, name: str, options: ReadOptions) -> tuple[Turns, str]:
    """The messages before an answer, where it comes with them, and the answer: a text, or messages."""
    value = _value(row, name)
    if isinstance(value, list):
        return _conversation(_turns(value, name, options), name)
    return (), _unmarked(_text(value, name), name, options)


def _unmarked(text: str, name: str, options: ReadOptions) -> str:
    """An answer without its evidence marks, or as it is."""
    if options.evidence == "keep" or not _MARK.search(text):
        return text
    if bare := _SPACED_MARK.sub("", text).strip():
        return bare
    raise BadRow(f"its {name} holds evidence marks and nothing else")


# Messages -------------------------------------------------------------------------------------------------------------


def _turns(value: Any, name: str, options: ReadOptions) -> Turns:
    """Checked messages: one of the system's at most, first; then the user's and the assistant's in turn."""
    if not isinstance(value, list):
        raise BadRow(f"its {name} is not a list of messages", type(value).__name__)
    turns = tuple(_turn(message, name, options) for message in value)
    if not turns:
        raise BadRow(f"its {name} is empty")
    roles = [turn.role for turn in turns]
    rest = roles[1:] if roles[0] == "system" else roles
    if "system" in rest:
        raise BadRow(f"a message of the system's in its {name} is not the first")
    if any(one == next_ for one, next_ in pairwise(rest)):
        raise BadRow(f"the user and the assistant do not take turns in its {name}")
    return turns


def _turn(message: Any, name: str, options: ReadOptions) -> Turn:
    if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
        raise BadRow(f"a message in its {name} lacks role or content")
    role = message["role"]
    if role not in ROLES:
        raise BadRow(f"a role in its {name} is none of {', '.join(ROLES)}")
    inner = f"{name}[].content"
    text = _text(message["content"], inner)
    return Turn(role, _unmarked(text, inner, options) if role == "assistant" else text)


def _conversation(turns: Turns, name: str) -> tuple[Turns, str]:
    """What came before the last message, and that message, which is the assistant's."""
    if turns[-1].role != "assistant":
        raise BadRow(f"the last message of its {name} is not the assistant's")
    return turns[:-1], turns[-1].content


def _asked(turns: Turns, name: str) -> tuple[Turns, str]:
    """What came before the last message, and that message, which is the user's."""
    if not turns or turns[-1].role != "user":
        raise BadRow(f"no message of the user's comes before the answer in its {name}")
    return turns[:-1], turns[-1].content
