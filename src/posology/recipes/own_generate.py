"""Answer a user's notes with any causal LM: one, or a file of them that can be stopped and gone on with.

Row n draws from a stream of its own, seeded by (seed, n): what is sampled does not depend on the rows beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from posology import __version__
from posology.errors import Interrupted, UserError
from posology.files import append_jsonl, atomic_write_json, read_json, read_jsonl, sha256_file, sha256_text, write_jsonl
from posology.intake.options import ReadOptions
from posology.intake.prompts import Prompt, read_prompts
from posology.intake.records import Example
from posology.models.device import pick_device
from posology.models.families import positions_of
from posology.models.precision import Precision, pick_precision
from posology.models.source import Source, load_model, weights_type
from posology.provenance import versions
from posology.recipes.examine import end_tokens, outside_tokenizer
from posology.recipes.own_materials import digest_of_data
from posology.rollout.sampler import walk
from posology.text.layout import PromptLayout, UnfitRow, encode_asked, prompt_layout
from posology.training.progress import Progress

INTERRUPTED = 130  # exit code after Ctrl-C
Line = dict[str, Any]  # row, id, answer, stopped ("end" or "length"), tokens; or row, id, answer "", error


@dataclass(frozen=True)
class AnswerSettings:
    """How answers are drawn. Temperature 0 is greedy. `truncate`: a note that is too long is cut at its end."""

    max_new_tokens: int = 150
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 50
    seed: int = 0
    truncate: bool = False


@dataclass(frozen=True)
class Answerer:
    """A model that is ready to be asked."""

    source: Source
    model: Any
    layout: PromptLayout
    ends: frozenset[int]
    settings: AnswerSettings
    precision: Precision

    def made_by(self) -> dict[str, Any]:
        """What made the answers: the model with its hash, the settings, the versions."""
        return {
            "model": self.source.described(), "chat_template": self.layout.chat, "precision": self.precision.name,
            "settings": asdict(self.settings), "posology": __version__, "versions": versions(),
        }  # fmt: skip


def open_answerer(
    source: Source, settings: AnswerSettings, *, chat: bool = False, device: str = "auto", precision: str = "auto"
) -> Answerer:
    """Load a model for answering. A model that was trained here is asked as it was trained, whatever `chat` says.

    "auto" computes in fp32 on a CPU, where bf16 rounds differently for every number of rows, and in bf16 on a GPU.
    """
    where = pick_device(device)
    picked = pick_precision("fp32" if precision == "auto" and where.type == "cpu" else precision, where.type)
    layout = prompt_layout(outside_tokenizer(source.folder), chat=bool(source.about.get("chat_template", chat)))
    kept = weights_type(where, lora=True) if picked.name == "bf16" else weights_type(where, lora=False)
    model = load_model(source, where, dtype=kept)
    ends = end_tokens(model, layout.tokenizer) | {layout.end}
    return Answerer(source, model, layout, ends, settings, picked)


def answer_rows(answerer: Answerer, prompts: Sequence[Prompt]) -> list[Line]:
    """Answers to some rows, decoded together; what cannot be answered gets its reason instead."""
    lines: dict[int, Line] = {}
    asked: dict[int, list[int]] = {}
    for prompt in prompts:
        line: Line = {"row": prompt.row, "id": prompt.id, "answer": ""}
        lines[prompt.row] = line
        try:
            if prompt.asked is None:
                raise UnfitRow(prompt.error)
            asked[prompt.row], cut = _fitted(answerer, prompt.asked)
        except UnfitRow as why:
            line["error"] = str(why)
            continue
        if cut:
            line["cut_characters"] = cut
    for row, ids in _decoded(answerer, asked).items():
        ended = bool(ids) and ids[-1] in answerer.ends
        own = ids[:-1] if ended else ids
        text = answerer.layout.tokenizer.decode(own, skip_special_tokens=True).strip()
        lines[row] |= {"answer": text, "stopped": "end" if ended else "length", "tokens": len(own)}
    return list(lines.values())


def answer_file(
    answerer: Answerer, notes: Path, output: Path, options: ReadOptions, *, rows: int = 8, progress: Progress | None = None
) -> dict[str, Any]:  # fmt: skip
    """Answer every row of a file into `output`, in order, a line each; beside it OUTPUT.about.json says what made it.

    Lines are kept in OUTPUT.part as they come: the same call, given again after a stop, answers only what is left.
    Returns what OUTPUT.about.json holds. UserError where `output` was made by something else.
    """
    progress = progress or Progress()
    made = {**answerer.made_by(), "input_sha256": digest_of_data(notes), "columns": dict(options.columns),
            "labels": options.labels}  # fmt: skip
    made_of, about = sha256_text(repr(sorted(made.items()))), output.with_name(f"{output.name}.about.json")
    if (before := _finished(output, about, made_of)) is not None:
        return before
    part = output.with_name(f"{output.name}.part")
    done = _kept(part, made_of)
    write_jsonl(part, [{"made_of": made_of}, *done])
    if done:
        progress.say(f"{len(done):,} rows were answered before the last call stopped")
    began = time.monotonic()
    with progress.stage():
        total = sum(1 for _ in read_prompts(notes, options))
        progress.begin("answers", len(done), total, shown=())
        try:
            for batch in batched_rows(islice(read_prompts(notes, options), len(done), None), rows):
                for line in answer_rows(answerer, batch):
                    append_jsonl(part, line)
                    done.append(line)
                progress.update(len(done), {})
        except KeyboardInterrupt:
            told = f"stopped after {len(done):,} of {total:,} rows, which are kept in {part}"
            raise Interrupted(told, "the same command goes on from there", INTERRUPTED) from None
        progress.finish(time.monotonic() - began)
    write_jsonl(output, done)
    errors = sum("error" in line for line in done)
    written: dict[str, Any] = {
        **made, "made_of": made_of, "output_sha256": sha256_file(output), "rows": len(done), "errors": errors,
        "cut": sum("cut_characters" in line for line in done),
    }  # fmt: skip
    atomic_write_json(about, written)
    part.unlink(missing_ok=True)
    return written


def batched_rows(prompts: Iterable[Prompt], rows: int) -> Iterator[list[Prompt]]:
    """Lists of up to `rows`, in order."""
    rest = iter(prompts)
    while batch := list(islice(rest, rows)):
        yield batch


def _finished(output: Path, about: Path, made_of: str) -> dict[str, Any] | None:
    """What made an output that is there and whole; None where there is none. UserError where another call made it."""
    if not output.exists():
        return None
    known: dict[str, Any] = read_json(about) if about.is_file() else {}
    if known.get("made_of") == made_of and known.get("output_sha256") == sha256_file(output):
        return known
    raise UserError(
        f"{output} is there already, made by another model, other settings or another input",
        "give another --output, or delete it",
    )


def _kept(part: Path, made_of: str) -> list[Line]:
    """What a stopped call of the same model, settings and input had answered."""
    if not part.is_file():
        return []
    head, *rows = list(read_jsonl(part, torn_tail=True)) or [{}]
    return rows if head.get("made_of") == made_of else []


def _fitted(answerer: Answerer, asked: Example) -> tuple[list[int], int]:
    """The prompt's tokens, and how many characters of the note were cut to make it fit. UnfitRow where it does not."""
    ids = encode_asked(answerer.layout, asked)
    positions = positions_of(answerer.model)
    room = None if positions is None else positions - answerer.settings.max_new_tokens
    if room is None or len(ids) <= room:
        return ids, 0
    if not answerer.settings.truncate:
        raise UnfitRow(
            f"it is {len(ids)} tokens long; the model reads {positions}, {answerer.settings.max_new_tokens} of them its answer"
        )
    low, high = 0, len(asked.prompt)  # the longest beginning that fits
    while low < high:
        middle = (low + high + 1) // 2
        if len(encode_asked(answerer.layout, replace(asked, prompt=asked.prompt[:middle]))) <= room:
            low = middle
        else:
            high = middle - 1
    if not low:
        raise UnfitRow("its answer leaves no room for it")
    return encode_asked(answerer.layout, replace(asked, prompt=asked.prompt[:low])), len(asked.prompt) - low


def _decoded(answerer: Answerer, asked: dict[int, list[int]]) -> dict[int, list[int]]:
    """Row -> answer tokens, the end token included where it came."""
    answers: dict[int, list[int]] = {row: [] for row in asked}
    if not asked:
        return answers
    settings = answerer.settings
    for step in walk(
        answerer.model, asked, pad=answerer.layout.pad, end=answerer.ends, max_new_tokens=settings.max_new_tokens,
        temperature=settings.temperature, seed=settings.seed, top_k=settings.top_k, top_p=settings.top_p,
        precision=answerer.precision,
    ):  # fmt: skip
        for row, token in zip(step.row_A.tolist(), step.ids_A.tolist(), strict=True):
            answers[row].append(token)
    return answers
