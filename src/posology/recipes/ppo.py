"""Optimise the fine-tuned model against the reward ensemble, held near its start by KL and watched by the judge."""

from __future__ import annotations

from collections.abc import Sequence

from posology.config import PpoConfig, RunConfig, UserError
from posology.curriculum.build import Curriculum
from posology.curriculum.dialogues import ABSTAINING_KINDS
from posology.curriculum.records import Case
from posology.curriculum.splits import unit
from posology.evaluation.scorers import usefulness
from posology.files import read_json
from posology.models.device import pick_device
from posology.models.heads import from_language_model
from posology.models.loading import load_language_model
from posology.models.precision import pick_precision
from posology.objectives.ppo import Gold, PpoObjective
from posology.recipes.materials import (
    Parent,
    adapter_settings,
    curriculum_of,
    fixed_answers,
    language_model_saver,
    naive_arm,
    open_parent,
    stage_fingerprint,
)
from posology.recipes.reward import load_ensemble
from posology.rollout.companion import with_engine
from posology.runs import Run, Stage
from posology.seeds import seed_of, stream
from posology.text.chat import encode_prompt
from posology.text.tokenizer import Tokenizer, load_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import fit
from posology.training.progress import Progress


def ppo(
    config: RunConfig, run: Run, progress: Progress | None = None, *, force: bool = False, naive: bool = False
) -> Stage:
    """Train the policy; with `naive` that of the config's second arm, as stage ppo-naive.

    Both arms draw prompts, answers and monitor questions by the same seeds, so that their curves compare.
    """
    arm = naive_arm(config) if naive else config
    settings = arm.ppo
    stage = run.stage("ppo-naive" if naive else "ppo")
    parent = open_parent(run, settings.parent or "sft")
    judge = open_parent(run, settings.reward)
    made_of = stage_fingerprint(stage, config, settings, [parent, judge])
    if stage.is_finished(made_of):
        return stage
    forced = check_gate(judge, arm.reward.min_accuracy, force=force)
    tokenizer = load_tokenizer(parent.path)
    curriculum = curriculum_of(config, run)
    lora, device = adapter_settings(settings.lora), pick_device(config.device)
    engine = open_engine(config.engine, config.device)
    policy = load_language_model(
        parent.path, lora, tokenizer=tokenizer.fingerprint, seed=seed_of(config.seed, "adapter"), device=device
    )
    reference = None if lora else load_language_model(parent.path, tokenizer=tokenizer.fingerprint, device=device)
    precision = pick_precision(settings.fit.precision, device.type)
    watched = monitor_cases(curriculum, settings, config.seed)
    objective = PpoObjective(
        "ppo", policy, reference, from_language_model(policy), load_ensemble(judge.path, tokenizer, precision),
        rollout_prompts(curriculum, tokenizer, settings.abstaining), [encode_prompt(tokenizer, case.question) for case in watched],
        gold_score(tokenizer, watched), settings, seed=config.seed, pad=tokenizer.pad, end=tokenizer.end,
        companion=with_engine(tokenizer), precision=precision,
        engine=engine,
    )  # fmt: skip
    stage.note(
        parents={parent.name: parent.digest, judge.name: judge.digest},
        forced=forced,
        reward_accuracy=gate_figures(judge),
    )
    every = settings.monitor_every * objective.stride
    fit(
        objective, settings.fit.model_copy(update={"evaluate_every": every}), stage, seed=config.seed, fingerprint=made_of,
        progress=progress, save_final=language_model_saver(tokenizer), answers=fixed_answers(policy, tokenizer), engine=engine,
    )  # fmt: skip
    return stage


def gate_figures(judge: Parent, split: str = "heldout_facts") -> dict[str, float]:
    """The reward model's held-out accuracy, by default on facts unseen in pairs: k, n, value, low, high."""
    figures: dict[str, float] = read_json(judge.path / "heldout.json")[split]
    return figures


def check_gate(judge: Parent, threshold: float, *, force: bool, split: str = "heldout_facts") -> bool:
    """Refuse (exit 3) a reward model whose held-out accuracy interval reaches below `threshold`.

    Returns True where the gate failed and `force` let PPO start all the same.
    """
    figures = gate_figures(judge, split)
    if figures["low"] >= threshold:
        return False
    if force:
        return True
    wrong = 1 - figures["value"]
    raise UserError(
        f"the reward model prefers the rejected answer on {wrong:.0%} of held-out pairs (n = {figures['n']:.0f})\n"
        f"  {judge.path / 'heldout.json'} · interval {figures['low']:.3f} to {figures['high']:.3f} · "
        f"gate reward.min_accuracy = {threshold}\n"
        "  PPO would push toward worse answers, so it was not started",
        "look at the pairs with `posology data show --kind preference --limit 5`, or start it anyway with --force",
        code=3,
    )


def rollout_prompts(curriculum: Curriculum, tokenizer: Tokenizer, abstaining: float = 1.0) -> list[list[int]]:
    """Every training question once: PPO learns on the wordings and numbers that SFT saw.

    Of the questions that must not be answered only the share `abstaining`. On each of them a confident sample loses by
    far, and what is learnt there carries over: asked all of them, a policy abstains where it should answer.
    """
    prompts = {
        dialogue.prompt
        for dialogue in curriculum.dialogues
        if dialogue.split == "train"
        and (dialogue.kind not in ABSTAINING_KINDS or unit("ppo", dialogue.prompt) < abstaining)
    }
    return [encode_prompt(tokenizer, prompt) for prompt in sorted(prompts)]


def monitor_cases(curriculum: Curriculum, settings: PpoConfig, seed: int) -> list[Case]:
    """Held-out questions of the development split; the exam itself is read once, at the end."""
    cases = sorted((case for case in curriculum.cases if case.split == "dev"), key=lambda case: case.case_id)
    return stream(seed, "ppo", "monitor").sample(cases, min(settings.monitor_prompts, len(cases)))


def gold_score(tokenizer: Tokenizer, cases: Sequence[Case]) -> Gold:
    """The judge's usefulness, 0-10, of an answer to monitor prompt i."""
    return lambda number, ids: usefulness(cases[number], tokenizer.decode(ids))
