"""Direct preference optimisation from the fine-tuned model, which is also the frozen reference.

With `dpo.own_mistakes` the model first answers each question once, at temperature 1. Where it says anything that an
expert would not, that answer is the rejected one: an edit that it would hardly ever write teaches it little. (Self-play
fine-tuning, Chen et al. 2024, "SPIN", rejects all of the model's own answers; here only what is wrong is.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from posology.config import RunConfig, UserError
from posology.curriculum.records import Preference
from posology.files import read_jsonl, write_jsonl
from posology.models.device import device_of, pick_device
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.dpo import DpoObjective
from posology.recipes.materials import (
    adapter_settings,
    curriculum_of,
    encode_pairs,
    fixed_answers,
    language_model_saver,
    open_parent,
    stage_fingerprint,
)
from posology.rollout.companion import with_engine
from posology.rollout.sampler import sample
from posology.runs import Run, Stage
from posology.seeds import seed_of, stream
from posology.text.chat import Encoded, encode_prompt
from posology.text.spans import strip_spans
from posology.text.tokenizer import Tokenizer, load_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import fit
from posology.training.progress import Progress

MISTAKES = "own_mistakes.jsonl"
WATCHED = 128  # held-out pairs of each split in the held-out figures


def dpo(config: RunConfig, run: Run, progress: Progress | None = None) -> Stage:
    settings = config.dpo
    if settings is None:
        raise UserError("the config has no section dpo", "add it, or start from configs/laptop.yaml")
    stage = run.stage("dpo")
    parent = open_parent(run, settings.parent or "sft")
    made_of = stage_fingerprint(stage, config, settings, [parent])
    if stage.is_finished(made_of):
        return stage
    tokenizer = load_tokenizer(parent.path)
    preferences = list(curriculum_of(config, run).preferences)
    if settings.complete:
        preferences = [with_complete(preference) for preference in preferences]
    lora, device = adapter_settings(settings.lora), pick_device(config.device)
    engine = open_engine(config.engine, config.device)
    home = engine.loads_on(device)
    policy = load_language_model(
        parent.path, lora, tokenizer=tokenizer.fingerprint, seed=seed_of(config.seed, "adapter"), device=home
    )
    reference = None if lora else load_language_model(parent.path, tokenizer=tokenizer.fingerprint, device=home)
    positions = policy.config.max_position_embeddings
    chosen = [preference for preference in preferences if preference.split == "train"]
    mistakes: dict[int, Encoded] = {}
    if settings.own_mistakes:
        chosen = stream(config.seed, "dpo", "pairs").sample(
            chosen, min(settings.fit.steps * settings.pairs, len(chosen))
        )
        engine.alone(lambda: _write_mistakes(stage, policy, tokenizer, chosen, config))
        mistakes = _read_mistakes(stage, tokenizer, chosen)
    train, dropped = encode_pairs(tokenizer, chosen, positions, mistakes)
    heldout = {
        name: encode_pairs(tokenizer, (p for p in preferences if p.split == name), positions)[0][:WATCHED]
        for name in ("heldout_wordings", "heldout_facts")
    }
    objective = DpoObjective(
        "dpo", policy, reference, train, heldout, pairs=settings.pairs, beta=settings.beta, variant=settings.variant,
        label_smoothing=settings.label_smoothing, anchor=settings.anchor, seed=config.seed, pad=tokenizer.pad,
        precision=pick_precision(settings.fit.precision, device.type), micro_batches=settings.fit.micro_batches,
        engine=engine,
    )  # fmt: skip
    stage.note(
        parents={parent.name: parent.digest}, pairs=len(train), dropped_pairs=dropped, own_mistakes=len(mistakes)
    )
    fit(
        objective, settings.fit, stage, seed=config.seed, fingerprint=made_of, progress=progress,
        save_final=language_model_saver(tokenizer), answers=fixed_answers(policy, tokenizer), engine=engine,
    )  # fmt: skip
    return stage


def _write_mistakes(
    stage: Stage, policy: Any, tokenizer: Tokenizer, preferences: Sequence[Preference], config: RunConfig
) -> None:
    """Of one sampled answer to each question those that are wrong: their tokens, and which are the model's own."""
    rows = config.evaluation.rows
    rollout = sample(
        policy, [encode_prompt(tokenizer, preference.prompt) for preference in preferences], pad=tokenizer.pad,
        end=tokenizer.end, max_new_tokens=config.evaluation.max_new_tokens, temperature=1.0,
        seed=seed_of(config.seed, "own mistakes"), rows=rows, precision=pick_precision(device=device_of(policy).type),
        companion=with_engine(tokenizer),
    )  # fmt: skip
    found = [
        {"pair": number, "ids": ids, "own": own}
        for number, (preference, ids, own) in enumerate(zip(preferences, rollout.ids, rollout.own, strict=True))
        if preference.complete and is_mistake(tokenizer.decode(ids), preference.complete)
    ]
    write_jsonl(stage.path / MISTAKES, found)


def with_complete(preference: Preference) -> Preference:
    """The pair with all that an expert says as its chosen answer. Pairs are made so that length tells a reward model
    nothing, and half of their right answers leave something out: a policy that is anchored to those learns to."""
    return replace(preference, chosen=preference.complete or preference.chosen)


def is_mistake(answer: str, complete: str) -> bool:
    """Whether an answer says anything that the complete one does not; what it leaves out is no mistake."""
    return not _sentences(answer) <= _sentences(complete)


def _sentences(answer: str) -> set[str]:
    return set(re.split(r"(?<=\.)\s+", strip_spans(answer).strip()))


def _read_mistakes(stage: Stage, tokenizer: Tokenizer, preferences: Sequence[Preference]) -> dict[int, Encoded]:
    found = {}
    for row in read_jsonl(stage.path / MISTAKES):
        prompt = encode_prompt(tokenizer, preferences[row["pair"]].prompt)
        found[row["pair"]] = Encoded([*prompt, *row["ids"]], [False] * len(prompt) + row["own"])
    return found
