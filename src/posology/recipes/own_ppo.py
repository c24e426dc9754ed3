"""Optimise a user's model against reward models of the user's own, held near its start by KL.

There is no judge of a user's data, so nothing watches for a reward that rises while answers get worse: the gate on the
reward model's held-out accuracy and a small KL target are what stands against it. Read answers before and after.
"""

from __future__ import annotations

from posology.config import FitConfig, OptimiserConfig, PpoConfig, UserError
from posology.files import read_json
from posology.intake.read import read_examples
from posology.intake.records import Example
from posology.models.heads import from_language_model
from posology.models.memory import checkpoint_activations
from posology.models.precision import pick_precision
from posology.models.source import load_model, load_trainable
from posology.objectives.ppo import PpoObjective, require_shareable
from posology.own_config import OwnPpoConfig
from posology.parents import resolve_parent
from posology.recipes.materials import Parent
from posology.recipes.own_materials import (
    Rows,
    about_of,
    encode_rows,
    find_model,
    fingerprint,
    join,
    layout_for,
    read_rows,
    record,
    require_room,
    require_same,
    tell_adapters,
    tell_memory,
    trained_saver,
    write_stats,
)
from posology.recipes.own_reward import ABOUT, load_own_ensemble
from posology.recipes.ppo import check_gate
from posology.runs import Run, Stage, digest_of_final
from posology.seeds import seed_of
from posology.text.layout import PromptLayout, encode_asked
from posology.training.fit import fit
from posology.training.progress import Progress

PARENTS = ("sft", "dpo", "pretrain")
WATCHED = 32  # prompts on which reward and KL are watched
EPOCHS, MINIBATCHES = 2, 2


def own_ppo(
    settings: OwnPpoConfig, run: Run, progress: Progress | None = None, *, allow_download: bool = False, force: bool = False
) -> Stage:  # fmt: skip
    progress = progress or Progress()
    config = ppo_config(settings)
    engine, device = join(settings)
    require_shareable(config, engine)
    stage = run.stage("ppo")
    source = find_model(settings.model, run, PARENTS, allow_download=allow_download)
    judge = find_reward(settings.reward, run)
    layout = layout_for(source, settings)
    train = read_rows(read_examples, settings.data, settings, stage.path / "rejects.jsonl")
    inputs = {"model": source.digest, "data": train.sha256, "reward": judge.digest}
    made_of = fingerprint(stage, settings, inputs)
    if stage.is_finished(made_of):
        return stage
    require_same(stage, settings, inputs)
    threshold = float(read_json(judge.path / ABOUT)["min_accuracy"])
    forced = check_gate(judge, threshold, force=force, split="validation")
    prompts = encode_prompts(layout, train, settings, progress)

    lora = settings.lora.adapters
    tell_memory(source, settings, engine, device, progress, sequences=1, copies=3 if lora else 4)
    precision = pick_precision(settings.precision, device.type)
    policy = load_trainable(source, lora, device, seed=seed_of(settings.seed, "adapter"), reference=True)
    require_room(policy, settings.max_tokens)
    reference = None if lora else load_model(source, device)
    critic = from_language_model(policy, lora, seed=seed_of(settings.seed, "critic"))
    if settings.checkpointing:
        checkpoint_activations(policy)
        checkpoint_activations(critic.trunk)
    objective = PpoObjective(
        "ppo", policy, reference, critic, load_own_ensemble(judge.path, device, precision), prompts, prompts[:WATCHED],
        None, config, seed=settings.seed, pad=layout.pad, end=layout.end, companion=None,
        precision=precision, engine=engine,
    )  # fmt: skip
    record(
        run, stage, settings, inputs, adapters=tell_adapters(source, settings, progress), model=source.described(),
        data=train.manifest(), forced=forced,
        reward_accuracy=read_json(judge.path / "heldout.json")["validation"],
    )  # fmt: skip
    fit(
        objective, config.fit, stage, seed=settings.seed, fingerprint=made_of, progress=progress,
        save_final=trained_saver(source, about_of(settings, stage, layout)), engine=engine,
    )  # fmt: skip
    write_stats(
        run, stage, prompts=len(prompts), rollouts=settings.rollouts, precision=precision.name, device=device.type
    )
    return stage


def find_reward(spec: str, run: Run) -> Parent:
    """The reward stage of a run by name or path, or a path to the stage itself."""
    others = [Run(run.path.parent / spec), Run(run.path.parent.parent / spec)]
    found = next((other for other in others if (other.path / "reward" / "manifest.json").is_file()), None)
    path = resolve_parent("reward", found) if found else resolve_parent(spec, run)
    if not (path / ABOUT).is_file():
        raise UserError(f"{spec} holds no reward models of `posology reward --model`", "give the run that trained them")
    return Parent(spec, path, digest_of_final(path))


def encode_prompts(
    layout: PromptLayout, rows: Rows[Example], settings: OwnPpoConfig, progress: Progress
) -> list[list[int]]:
    """Prompts that leave room for their answers."""
    room = settings.max_tokens - settings.max_new_tokens
    if room < 1:
        raise UserError(
            f"--max-tokens {settings.max_tokens} leaves no room beside an answer of {settings.max_new_tokens}",
            "raise --max-tokens, or lower --max-new-tokens",
        )
    return encode_rows(
        rows, lambda row: encode_asked(layout, row), len, room, skip=settings.reading.on_bad_row == "skip",
        path=settings.data, progress=progress,
    )  # fmt: skip


def ppo_config(settings: OwnPpoConfig) -> PpoConfig:
    """The user's settings in the shape that the objective takes; what is not asked has a taught run's defaults."""
    steps = settings.rollouts * EPOCHS * MINIBATCHES
    return PpoConfig(
        fit=FitConfig(
            steps=steps, evaluate_every=5 * EPOCHS * MINIBATCHES, checkpoint_every=settings.checkpoint_every or steps,
            budget_s=None, precision=settings.precision,
            optimiser=OptimiserConfig(kind="adamw", learning_rate=settings.learning_rate, weight_decay=0.0, eps=1e-5),
        ),
        rows=settings.batch, epochs=EPOCHS, minibatches=MINIBATCHES, max_new_tokens=settings.max_new_tokens,
        kl_target=settings.kl_target, value_learning_rate=10 * settings.learning_rate, stop_on_divergence=False,
    )  # fmt: skip
