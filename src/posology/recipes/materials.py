"""What recipes share: a run's curriculum, its parents and encoded records.

A stage is finished when its `final` folder is whole and was made from the same fingerprint: settings, seed, parents'
digests, facts and our version. Anything else is made again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from torch import nn

from posology import __version__
from posology.config import LoraConfig, NaiveConfig, RunConfig, UserError
from posology.curriculum.build import Curriculum, build_curriculum, read_curriculum, write_curriculum
from posology.curriculum.records import Dialogue, Preference
from posology.files import hash_files, sha256_text
from posology.knowledge.library import FOLDER, Library, load_library
from posology.knowledge.subset import subset
from posology.models.device import device_of
from posology.models.loading import save_language_model
from posology.models.precision import pick_precision
from posology.objectives.pairs import Pair
from posology.parents import resolve_parent
from posology.rollout.companion import with_engine
from posology.rollout.sampler import sample
from posology.runs import Run, Stage
from posology.text.chat import Encoded, encode_dialogue, encode_prompt
from posology.text.spans import render, with_working
from posology.text.tokenizer import Tokenizer, save_tokenizer
from posology.training.fit import Answers, Saver

FIXED_QUESTIONS = (
    "Can my patient take metformin with an eGFR of 28?",
    "Can I give ibuprofen to a patient who takes warfarin?",
)


@dataclass(frozen=True)
class Parent:
    """A finished stage that another starts from. `digest` is over its weights."""

    name: str
    path: Path
    digest: str


def open_parent(run: Run, spec: str) -> Parent:
    """A stage of this run, or of another by its path; UserError that names the command which makes it."""
    path = resolve_parent(spec, run)
    return Parent(spec, path, hash_files(path, "**/*.safetensors", "**/*.json"))


def naive_arm(config: RunConfig) -> NaiveConfig:
    """The config's second arm; UserError where it has none."""
    if config.naive is None:
        raise UserError("the config has no section naive", "start from configs/overoptimise.yaml")
    return config.naive


def library_of(config: RunConfig) -> Library:
    """The knowledge base that the run teaches: all of it, or the drugs that `data.drugs` names."""
    return subset(load_library(), config.data.drugs)


def curriculum_of(config: RunConfig, run: Run) -> Curriculum:
    """The run's records: read if they were made from this data section, seed and facts; built and written otherwise."""
    asked = data_fingerprint(config)
    if run.data_fingerprint() != asked:
        write_curriculum(build_curriculum(config.data, config.seed, library_of(config)), run.data_dir)
        run.mark_data(asked)
    return _read(run.data_dir.resolve(), asked)


@lru_cache(maxsize=1)
def _read(folder: Path, _fingerprint: str) -> Curriculum:
    """Records are frozen: the stages of one process share them."""
    return read_curriculum(folder)


def data_fingerprint(config: RunConfig) -> str:
    parts = {
        "data": _plain(config.data),
        "seed": config.seed,
        "facts": hash_files(FOLDER, "facts/*.toml", "sources*.toml"),  # what load_library reads
        "version": __version__,
    }
    return sha256_text(json.dumps(parts, sort_keys=True))


def stage_fingerprint(stage: Stage, config: RunConfig, sections: Any, parents: Sequence[Parent]) -> str:
    """SHA-256 of everything that a stage's weights depend on."""
    parts = {
        "stage": stage.name,
        "settings": _plain(sections),
        "data": data_fingerprint(config),
        "parents": [parent.digest for parent in parents],
    }
    return sha256_text(json.dumps(parts, sort_keys=True))


def _plain(value: Any) -> Any:
    """Settings as JSON values, without those that cannot change a weight."""
    if isinstance(value, BaseModel):
        idle = ("budget_s", "keep_checkpoints", "min_accuracy", "parent")
        given = {key: getattr(value, key) for key in type(value).model_fields if key not in idle}
        return {key: _plain(part) for key, part in given.items() if part is not None}  # None: not asked for
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def encode_dialogues(tokenizer: Tokenizer, dialogues: Iterable[Dialogue]) -> list[Encoded]:
    return [
        encode_dialogue(tokenizer, dialogue.prompt, with_working(dialogue.working, dialogue.answer))
        for dialogue in dialogues
    ]


def encode_pairs(
    tokenizer: Tokenizer,
    preferences: Iterable[Preference],
    positions: int,
    instead: Mapping[int, Encoded] | None = None,
) -> tuple[list[Pair], int]:
    """Pairs whose two sides both fit, and how many did not: a pair is never cut in half. `instead`: other rejected
    answers, by the preference's number."""
    pairs, dropped = [], 0
    for number, preference in enumerate(preferences):
        chosen, rejected = (
            encode_dialogue(tokenizer, preference.prompt, with_working(preference.working, answer))
            for answer in (preference.chosen, preference.rejected)
        )
        rejected = (instead or {}).get(number, rejected)
        if max(len(chosen), len(rejected)) > positions:
            dropped += 1
        else:
            pairs.append(Pair(chosen, rejected))
    return pairs, dropped


def adapter_settings(lora: LoraConfig) -> LoraConfig | None:
    return None if lora.kind == "none" else lora


def language_model_saver(tokenizer: Tokenizer) -> Saver:
    """Write a stage's final folder: weights and tokenizer side by side, so that plain transformers loads it."""

    def save(folder: Path, modules: Mapping[str, nn.Module]) -> None:
        save_language_model(modules["model"], folder, tokenizer=tokenizer.fingerprint)
        save_tokenizer(tokenizer, folder)

    return save


def fixed_answers(model: Any, tokenizer: Tokenizer) -> Answers:
    """The same questions, answered greedily whenever the loop evaluates: samples.jsonl shows a model as it learns."""

    def ask() -> list[tuple[str, str]]:
        rollout = sample(
            model, [encode_prompt(tokenizer, question) for question in FIXED_QUESTIONS], pad=tokenizer.pad,
            end=tokenizer.end, max_new_tokens=96, temperature=0, companion=with_engine(tokenizer),
            precision=pick_precision(device=device_of(model).type),
        )  # fmt: skip
        return [
            (question, render(tokenizer.decode(ids)))
            for question, ids in zip(FIXED_QUESTIONS, rollout.ids, strict=True)
        ]

    return ask


def sample_answers(
    model: Any, tokenizer: Tokenizer, prompts: Sequence[str], max_new_tokens: int, seed: int
) -> list[Encoded]:
    """One sampled answer (temperature 1, with the calculator) to each prompt, as prompt and answer tokens."""
    asked = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    rollout = sample(
        model, asked, pad=tokenizer.pad, end=tokenizer.end, max_new_tokens=max_new_tokens, temperature=1.0, seed=seed,
        companion=with_engine(tokenizer),
        precision=pick_precision(device=device_of(model).type),
    )  # fmt: skip
    return [
        Encoded([*prompt, *ids], [*[False] * len(prompt), *own])
        for prompt, ids, own in zip(asked, rollout.ids, rollout.own, strict=True)
    ]
