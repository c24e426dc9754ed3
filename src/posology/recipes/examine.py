"""Ask a Hugging Face model the questions of an exam: any causal LM, with the tokenizer that lies beside it.

A model with posology's own tokenizer is asked as a run's stages are, with the calculator. Any other is asked through
transformers' `generate`: by its chat template, or, where it has none, by "Question: ... Answer:". Greedy either way:
sampling settings and penalties that a model's folder asks for are put aside, so that all sit the same exam.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from torch import Tensor
from transformers import AutoTokenizer, GenerationConfig, LogitsProcessorList

from posology.config import RunConfig, UserError
from posology.curriculum.records import Case
from posology.files import append_jsonl, hash_files, read_jsonl, sha256_text, write_jsonl
from posology.models.device import device_of, pick_device
from posology.models.loading import checked_folder, load_language_model
from posology.models.precision import pick_precision
from posology.models.quiet import quiet
from posology.rollout.companion import with_engine
from posology.rollout.sampler import sample
from posology.runs import digest_of_final
from posology.text.chat import encode_prompt
from posology.text.tokenizer import Tokenizer, load_tokenizer
from posology.training.progress import Progress

ROWS = 16  # answered together: a model of some billions of weights keeps a long cache for each
NEW_TOKENS = 192  # the reader reads 120 words, and most tokenizers write three words with four tokens
PLAIN = "Question: {question}\nAnswer:"
NEXT_QUESTION = "\nQuestion:"  # a model without a chat template goes on to ask itself

Row = dict[str, Any]  # case_id, answer, logprob (summed over own tokens), tokens, finished


def answers_file(
    path: Path, folder: Path | str, cases: Sequence[Case], config: RunConfig, *, instructions: str = "",
    rows: int = ROWS, progress: Progress | None = None,
) -> str:  # fmt: skip
    """Write the answers of `examine` to `path`, one line a case; the digest of the model's weights comes back.

    Answers are kept beside it as they come: the same call, given again after a stop, asks only what is left.
    """
    model = checked_folder(path_of(folder))
    digest = digest_of_final(model)
    about = (digest, hash_files(model, "*.json", "*.jinja", "*.model", "*.txt"), instructions, NEW_TOKENS)
    made_of = sha256_text(repr((*about, config.evaluation.max_new_tokens)))
    part = path.with_name(f"{path.name}.part")
    done = _kept(part, made_of)
    left = [case for case in cases if case.case_id not in done]
    progress = progress or Progress()
    if done:
        progress.say(
            f"{len(cases) - len(left):,} of {len(cases):,} questions were answered before the last call stopped"
        )
    if left:
        new = examine(model, left, config, instructions=instructions, rows=rows, progress=progress)
        for number, row in enumerate(new):
            if number == 0:
                write_jsonl(part, [{"made_of": made_of}, *done.values()])
            append_jsonl(part, row)
            done[row["case_id"]] = row
    write_jsonl(path, [done[case.case_id] for case in cases])
    part.unlink(missing_ok=True)
    return digest


def _kept(part: Path, made_of: str) -> dict[str, Row]:
    """What a stopped call of the same model, tokenizer and settings had answered."""
    if not part.is_file():
        return {}
    head, *rows = list(read_jsonl(part, torn_tail=True)) or [{}]
    return {row["case_id"]: row for row in rows} if head.get("made_of") == made_of else {}


def examine(
    folder: Path | str, cases: Sequence[Case], config: RunConfig, *, instructions: str = "", rows: int = ROWS,
    progress: Progress | None = None,
) -> Iterator[Row]:  # fmt: skip
    """Greedy answers to the cases, as rows of an answers file; cases of similar length go together.

    `instructions` (what verdicts there are, say) are put before every question, as a paragraph of their own.
    UserError for a folder without a model or a tokenizer, for two that do not belong together, and for questions
    that do not fit into the model's context.
    """
    path = checked_folder(path_of(folder))
    queue = sorted(cases, key=lambda case: (len(case.question), case.case_id))
    questions = [f"{instructions}\n\n{case.question}" if instructions else case.question for case in queue]
    device = pick_device(config.device)
    own = own_tokenizer(path)
    if own is not None:
        model = load_language_model(path, tokenizer=own.fingerprint, device=device)
        answer, size = _with_calculator(model, own, config), config.evaluation.rows
    else:
        tokenizer = outside_tokenizer(path)
        bf16 = device.type == "cuda" and pick_precision(device=device.type).name == "bf16"
        model = load_language_model(path, dtype=torch.bfloat16 if bf16 else torch.float32, device=device)
        answer, size = _with_generate(model, tokenizer, questions), rows
    progress, began = progress or Progress(), time.monotonic()
    with progress.stage():
        progress.begin("answers", 0, len(queue), shown=())
        for start in range(0, len(queue), size):
            batch = queue[start : start + size]
            for case, row in zip(batch, answer(questions[start : start + size]), strict=True):
                yield {"case_id": case.case_id, **row}
            progress.update(start + len(batch), {})
        progress.finish(time.monotonic() - began)


Answering = Callable[[Sequence[str]], list[Row]]


def path_of(folder: Path | str) -> Path:
    """A stage's folder stands for its `final`; any other stands for itself."""
    path = Path(folder)
    return path / "final" if (path / "final" / "config.json").is_file() else path


def own_tokenizer(folder: Path) -> Tokenizer | None:
    """Posology's own tokenizer; None where another one lies there, or none."""
    try:
        return load_tokenizer(folder)
    except UserError:
        return None


def outside_tokenizer(folder: Path) -> Any:
    """Whatever tokenizer transformers finds in a folder; UserError where it finds none that runs without its own code."""
    hint = "copy the model's tokenizer files (tokenizer.json, tokenizer_config.json) beside its config.json"
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, padding_side="left"
            )
    except Exception as error:  # tokenizers' library raises bare Exception for a damaged file
        why = " ".join(str(error).split())[:200]
        raise UserError(f"no usable tokenizer in {folder}: {why}", hint) from None
    read = set(tokenizer(PLAIN, add_special_tokens=False)["input_ids"])
    if not read - {tokenizer.unk_token_id}:  # without its files some families get a tokenizer without words
        raise UserError(f"no usable tokenizer in {folder}: it knows no words", hint)
    if tokenizer.pad_token_id is None:  # GPT-2, Llama: padding is masked, any token will do
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def _with_calculator(model: Any, tokenizer: Tokenizer, config: RunConfig) -> Answering:
    """As `posology evaluate` asks a run's own stages."""

    def answer(questions: Sequence[str]) -> list[Row]:
        rollout = sample(
            model, [encode_prompt(tokenizer, question) for question in questions], pad=tokenizer.pad, end=tokenizer.end,
            max_new_tokens=config.evaluation.max_new_tokens, temperature=0.0, rows=len(questions),
            precision=pick_precision(device=device_of(model).type), companion=with_engine(tokenizer),
        )  # fmt: skip
        return [
            {
                "answer": tokenizer.decode(ids), "logprob": sum(v for v, mine in zip(logp, own, strict=True) if mine),
                "tokens": sum(own), "finished": finished,
            }
            for ids, own, logp, finished in zip(
                rollout.ids, rollout.own, rollout.logprobs, rollout.finished, strict=True
            )
        ]  # fmt: skip

    return answer


def _with_generate(model: Any, tokenizer: Any, questions: Sequence[str]) -> Answering:
    """Through transformers' `generate`, after a look at every question: it must fit before the first is answered."""
    ends = end_tokens(model, tokenizer)
    chat = tokenizer.chat_template is not None
    _require_fit(model, tokenizer, [_prompt(tokenizer, question) for question in questions])
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers gives it no types
        do_sample=False, num_beams=1, max_new_tokens=NEW_TOKENS, eos_token_id=sorted(ends) or None,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id,
    )  # fmt: skip

    def answer(questions: Sequence[str]) -> list[Row]:
        said = tokenizer(
            [_prompt(tokenizer, question) for question in questions], padding=True, return_tensors="pt",
            add_special_tokens=not chat, return_token_type_ids=False,
        ).to(model.device)  # fmt: skip
        logp_T: list[Tensor] = []

        def listen(ids_BT: Tensor, scores_BV: Tensor) -> Tensor:
            logp_T.append(_log_probability(scores_BV))
            return scores_BV

        with torch.inference_mode(), quiet():
            ids_BT = model.generate(
                **said, logits_processor=LogitsProcessorList([listen]), tokenizer=tokenizer,
                stop_strings=None if chat else [NEXT_QUESTION],
            )  # fmt: skip
        new_BT = ids_BT[:, said["input_ids"].shape[1] :].cpu()
        logp_BT = torch.stack(logp_T, 1)
        return [
            _row(tokenizer, ids, logp, ends, chat)
            for ids, logp in zip(new_BT.tolist(), logp_BT.tolist(), strict=True)
        ]  # fmt: skip

    return answer


def _log_probability(scores_BV: Tensor) -> Tensor:
    """(B,) of each row's most likely token, which greedy decoding takes."""
    logits_BV = scores_BV.float()
    return (logits_BV.amax(-1) - logits_BV.logsumexp(-1)).cpu()


def _row(tokenizer: Any, ids: list[int], logp: list[float], ends: frozenset[int], chat: bool) -> Row:
    """One answer without what padded it, its end token counted as its own."""
    ended = next((place for place, token in enumerate(ids) if token in ends), None)
    own = len(ids) if ended is None else ended + 1
    while own and ended is None and ids[own - 1] == tokenizer.pad_token_id:
        own -= 1
    text = tokenizer.decode(ids[:own], skip_special_tokens=True)
    stopped = not chat and NEXT_QUESTION in text
    answer = text.split(NEXT_QUESTION)[0] if stopped else text
    return {
        "answer": answer.strip(), "logprob": min(0.0, sum(logp[:own])), "tokens": own,
        "finished": ended is not None or stopped,
    }  # fmt: skip


def _prompt(tokenizer: Any, question: str) -> str:
    """What the model continues. Templates that can switch off thinking aloud are asked to: 120 words are read."""
    if tokenizer.chat_template is None:
        return PLAIN.format(question=question)
    try:
        prompt: str = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except (TemplateError, TypeError, ValueError) as error:
        hint = "mend chat_template.jinja, or remove it: the model is then asked in plain text"
        raise UserError(f"the chat template fails: {' '.join(str(error).split())[:200]}", hint) from None
    return prompt


def end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's folder names (Llama 3 has two)."""
    named = getattr(model.generation_config, "eos_token_id", None)
    every = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    return frozenset(int(token) for token in every if token is not None)


def _require_fit(model: Any, tokenizer: Any, prompts: Sequence[str]) -> None:
    """UserError where a prompt and its answer exceed the context, or a token the embedding."""
    encoded = tokenizer(list(prompts), add_special_tokens=tokenizer.chat_template is None)["input_ids"]
    longest = max((len(ids) for ids in encoded), default=0)
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions and longest + NEW_TOKENS > positions:
        sizes = f"{longest} tokens and {NEW_TOKENS} for the answer, where the model reads {positions}"
        raise UserError(f"the exam's longest question does not fit: {sizes}", "the model is too small for this exam")
    largest = max((max(ids) for ids in encoded if ids), default=0)
    known = model.get_input_embeddings().weight.shape[0]
    if largest >= known:
        raise UserError(
            f"tokenizer and model do not belong together: token {largest}, where the model knows {known}",
            "use the tokenizer that was published with the model",
        )
