"""The one loop that trains every stage. Pretraining, SFT, reward models, PPO and DPO differ in the objective alone."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from posology.config import FitConfig
from posology.errors import ConfigError, Interrupted, UserError
from posology.files import publish, require_free_space
from posology.models.memory import is_out_of_memory, release_memory
from posology.models.precision import pick_precision
from posology.runs import Stage
from posology.training.checkpoint import Checkpoints, State
from posology.training.engine import Engine, Meter, to_train
from posology.training.health import Watch
from posology.training.objective import Metrics, Objective
from posology.training.optimiser import Optimiser, build
from posology.training.progress import Progress, silent
from posology.training.signals import stop_signals

LOG_LINES = 2000  # a stage of at most as many steps logs each; a longer one every k-th

Answers = Callable[[], Sequence[tuple[str, str]]]  # fixed prompts with the model's answers now
Saver = Callable[[Path, Mapping[str, nn.Module]], None]  # writes the objective's modules, whole, into a folder


@dataclass(frozen=True)
class FitResult:
    """How a stage ended."""

    step: int  # optimiser steps done
    kept_step: int  # whose weights are in `final`: the last, or the best where the objective keeps it or asked to stop
    stopped: str | None  # the objective's reason for stopping before the last step
    heldout: Metrics  # the last held-out figures
    seconds: float  # of work, over all sittings
    digest: str  # of the weights in `final`


def fit(
    objective: Objective[Any], config: FitConfig, stage: Stage, *, seed: int, fingerprint: str,
    save_final: Saver, progress: Progress | None = None, answers: Answers | None = None, engine: Engine | None = None,
) -> FitResult:  # fmt: skip
    """Train `objective` for `config.steps` updates, or go on with it, and publish the result as `stage.final`.

    The same seed, fingerprint and kind of machine give the same weights bit for bit, however often the work was killed
    and begun again in between: everything that changes lies in the objective's modules, the optimiser and `State`, and
    what happens at a step depends on these and the step's number alone.

    `fingerprint` stands for all that the weights depend on; checkpoints made of another one are not continued.
    `save_final(folder, modules)` writes the finished model. `answers()` is asked with each evaluation and goes to
    samples.jsonl. With an `engine` of several processes each of them calls this, with the same arguments.
    Raises Interrupted after SIGINT or SIGTERM, once a checkpoint is saved; UserError for a loss or gradient that is not
    finite, a full disk, and a damaged checkpoint that nothing can stand in for.

    A hook for tests: POSOLOGY_TEST_KILL="sft:37" sends this process SIGKILL after update 37 of stage sft.
    """
    engine = engine or Engine()
    progress = (progress or Progress()) if engine.leader else silent()
    bones = _place(objective, config, stage, engine)
    optimiser = build(objective.modules, config.optimiser, config.steps, getattr(objective, "learning_rates", None))
    checkpoints = Checkpoints(
        stage.checkpoints, objective.modules, optimiser, config.keep_checkpoints, progress.say, engine
    )
    checkpoint_every = -(-config.checkpoint_every // objective.stride) * objective.stride
    log_every = -(-config.steps // LOG_LINES)
    watch = _watch(objective, config, stage, optimiser, progress)
    heldout: Metrics = {}
    stopped: str | None = None

    unproven = True
    with stage.locked(), stop_signals(say=engine.leader) as signals, progress.stage():
        state, fresh = _resume(checkpoints, stage, fingerprint, seed, engine, progress)
        _begin(objective, config, stage, state, watch, progress)
        if fresh:
            heldout = _evaluate(objective, stage, 0, seed, engine, progress, answers)
            if _best_step(objective) == 0:
                _save(checkpoints, state, stage, objective)

        while state.step < config.steps and stopped is None:
            try:
                metrics = _step_in_memory(objective, optimiser, engine, state.step, seed, stage.name, progress)
            except FloatingPointError as error:
                raise _not_finite(str(error), stage, state.step, checkpoints) from None
            state.step += 1
            if unproven and metrics:  # after one update by itself each process would have other weights
                stage.note(engine={**_check(checkpoints, engine), "checked_at_step": state.step})
                unproven = False
            _kill_for_test(stage, state.step)

            if state.step == 1:
                state.start = _start(objective, metrics)
            if metrics and (state.step % log_every == 0 or state.step == config.steps):
                stage.log(state.step, "train", metrics)
            watch.after(state.step, state.start)
            progress.update(state.step, metrics, start=state.start)
            if state.step % config.evaluate_every == 0 or state.step == config.steps:
                heldout = _evaluate(objective, stage, state.step, seed, engine, progress, answers)

            ends = state.step == config.steps
            if state.step % objective.stride == 0 or ends:
                stopped = _stop_reason(objective)  # after the last step, too: the best is then kept instead of the last
            if state.step % objective.stride == 0 and not ends:
                code = int(engine.largest(signals.exit_code))  # whichever process was told to stop
                due = state.step % checkpoint_every == 0 or _best_step(objective) == state.step
                if stopped is None and (due or code):
                    saved = _save(checkpoints, state, stage, objective)
                    if code:
                        raise _interrupted(code, stage, state.step, config.steps, saved)

        choose = stopped or getattr(objective, "keeps_best", False)
        kept = _restore_best(objective, checkpoints, state.step, progress) if choose else state.step
        _publish(stage, checkpoints, engine.whole(objective.modules, bones), save_final)
        stage.mark_finished(fingerprint, seed=seed, steps=state.step, kept_step=kept, stopped=stopped)
        watch.end(state.step)
        progress.finish(stage.seconds(), stopped)
        if code := int(engine.largest(signals.exit_code)):
            raise _interrupted(code, stage, state.step, config.steps, stage.final)
    return FitResult(state.step, kept, stopped, heldout, stage.seconds(), stage.manifest()["digest"])


def _place(objective: Objective[Any], config: FitConfig, stage: Stage, engine: Engine) -> dict[int, nn.Module]:
    """Put the modules where the engine wants them; ConfigError for what it cannot train."""
    if engine.kind == "fsdp2" and config.optimiser.kind == "muon":
        key = f"{stage.name.partition('/')[0]}.fit.optimiser.kind"
        raise ConfigError(
            f"engine = fsdp2 keeps parts of each matrix, and {key} = muon turns whole ones",
            f"--set {key}=adamw, or --set engine=ddp",
        )
    bf16 = pick_precision(config.precision, engine.device).name == "bf16"
    return engine.place([*objective.modules.values(), *getattr(objective, "frozen", {}).values()], bf16=bf16)


def _step_in_memory(
    objective: Objective[Any], optimiser: Optimiser, engine: Engine, step: int, seed: int, name: str,
    progress: Progress,
) -> Metrics:  # fmt: skip
    """`_train_step`; where memory runs out and the objective can, again with micro-batches of half the size.

    The step's weight stays what it was. Only in one process: others would wait for this one's second try.
    """
    while True:
        try:
            return _train_step(objective, optimiser, engine, step, seed, name)
        except Exception as error:
            halve = getattr(objective, "halve", None)
            if not is_out_of_memory(error) or halve is None or engine.world > 1:
                raise
            told: str | None = halve()
            if told is None:
                hint = "fewer tokens a row, a lower rank, quantised weights, or a smaller model"
                raise UserError(f"out of memory at step {step + 1} of {name}, one row at a time", hint) from None
            progress.say(f"{name}: out of memory at step {step + 1}: {told}")
        optimiser.zero_grad()  # outside `except`: its traceback holds the activations
        release_memory()


def _train_step(
    objective: Objective[Any], optimiser: Optimiser, engine: Engine, step: int, seed: int, name: str
) -> Metrics:
    """Update `step`, counted from 0: the gradient of (sum of losses) / (weight of the whole step), clipped, applied.

    {} when the objective sits the step out with no batch. FloatingPointError, before anything has changed, when the
    loss or its gradient is not finite.
    """
    to_train(objective.modules)
    engine.seed(seed, name, "batch", step)
    batches = objective.batch(step)
    if not batches:
        return {}
    weight = sum(batch.weight for batch in batches)  # of the whole step: each process knows all of its batches
    engine.seed(seed, name, "loss", step)  # so that dropout does not depend on what making the batch drew
    optimiser.zero_grad()
    meter = Meter()
    for batch in batches:
        share, counts = engine.share(batch)
        loss, metrics = objective.loss(share)
        meter.add(metrics, share.weight if counts else 0.0)
        value = engine.total(float(loss.detach()) if counts else 0.0)
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value}")
        # Rows without a scored unit have weight 0 and loss 0: their gradient is 0, not 0 / 0.
        (loss * counts / (weight or 1.0)).backward()  # type: ignore[no-untyped-call]  # torch gives it no types
    engine.sum_gradients(optimiser.parameters.values())
    norm = optimiser.clip()
    if not math.isfinite(norm):
        raise FloatingPointError(f"the gradient's norm is {norm}")
    optimiser.step(step)
    return {**meter.means(engine), "gradient_norm": norm, "rate": optimiser.rate(step)}


def _evaluate(
    objective: Objective[Any], stage: Stage, step: int, seed: int, engine: Engine, progress: Progress,
    answers: Answers | None,
) -> Metrics:  # fmt: skip
    """Held-out figures after `step` updates: logged, shown, and told to an objective that keeps an eye on them."""
    engine.seed(seed, stage.name, "evaluate", step)
    figures = engine.agree(objective.evaluate())
    if observe := getattr(objective, "observe", None):
        observe(step, figures)
    if figures:
        stage.log(step, "heldout", figures)
        progress.held_out(figures)
    for prompt, answer in answers() if answers else []:
        stage.sample(step, prompt, answer)
        progress.sample(prompt, answer)
    return figures


# -- beginning and going on ---------------------------------------------------------------------------------------


def _watch(
    objective: Objective[Any], config: FitConfig, stage: Stage, optimiser: Optimiser, progress: Progress
) -> Watch:
    return Watch(
        stage, optimiser.parameters, stride=objective.stride, expected=getattr(objective, "expected_start", None),
        budget_s=config.budget_s, say=progress.say,
    )  # fmt: skip


def _resume(
    checkpoints: Checkpoints, stage: Stage, fingerprint: str, seed: int, engine: Engine, progress: Progress
) -> tuple[State, bool]:
    """Where to start: at the newest valid checkpoint, with the logs cut back to it, or (True) at the beginning."""
    # Two: the next one is written before the oldest is deleted. Better to know now than at the first checkpoint.
    if engine.leader:
        require_free_space(stage.path, 2 * checkpoints.bytes_needed())
    found = checkpoints.resume(fingerprint, seed)
    state = found or State(fingerprint=fingerprint, seed=seed)
    running = f"{engine.kind} x {engine.world}"
    if found:
        progress.say(f"{stage.name}: going on from step {state.step} ({checkpoints.path(state.step)})")
        if state.engine and state.engine != running:
            progress.say(f"{stage.name}: that was written by {state.engine}, this is {running}: equal but for rounding")
    state.engine = running
    stage.truncate_log(state.log)
    stage.set_clock(state.seconds)
    stage.mark_started(fingerprint)
    _check(checkpoints, engine)
    return state, found is None


def _check(checkpoints: Checkpoints, engine: Engine) -> dict[str, object]:
    kept: dict[str, Tensor] = {
        f"{name}.{key}": tensor for name, tensors in checkpoints.tensors.items() for key, tensor in tensors.items()
    }
    return engine.check(checkpoints.optimiser.parameters, kept)


def _begin(
    objective: Objective[Any], config: FitConfig, stage: Stage, state: State, watch: Watch, progress: Progress
) -> None:
    watch.begin(state.step)
    progress.begin(
        stage.name, state.step, config.steps, expected=getattr(objective, "expected_start", None),
        shown=getattr(objective, "shown", ("loss",)), start=state.start,
    )  # fmt: skip


def _start(objective: Objective[Any], metrics: Metrics) -> float | None:
    """The figure of the first step that `expected_start` speaks of."""
    value = metrics.get(getattr(objective, "start_metric", "loss"))
    return value if value is not None and math.isfinite(value) else None


# -- saving and ending --------------------------------------------------------------------------------------------


def _save(checkpoints: Checkpoints, state: State, stage: Stage, objective: Objective[Any]) -> Path:
    _check(checkpoints, checkpoints.engine)  # what has drifted apart is not worth saving
    state.seconds, state.log = stage.seconds(), stage.log_position()
    return checkpoints.save(state, also_keep=_best_step(objective))


def _best_step(objective: Objective[Any]) -> int | None:
    best: int | None = getattr(objective, "best_step", None)
    return best


def _stop_reason(objective: Objective[Any]) -> str | None:
    reason: str | None = objective.stop_reason() if hasattr(objective, "stop_reason") else None
    return reason


def _restore_best(objective: Objective[Any], checkpoints: Checkpoints, step: int, progress: Progress) -> int:
    """After an early stop, go back to the best step if the objective names one. Returns the step whose weights stay."""
    best = _best_step(objective)
    if best is None or best == step:
        return step
    try:
        checkpoints.restore(best)
    except UserError as error:
        progress.say(f"step {best} was best but cannot be restored, step {step} is kept: {error.message}")
        return step
    return best


def _publish(stage: Stage, checkpoints: Checkpoints, modules: Mapping[str, nn.Module], save_final: Saver) -> None:
    """Write the result beside its place and give it its name when it is whole."""
    if not stage.writes:
        return
    require_free_space(stage.final, checkpoints.bytes_needed())
    try:
        with publish(stage.final) as folder:
            save_final(folder, modules)
    except SafetensorError as error:  # the library's own wrapping of a full or failing disk
        raise UserError(
            f"cannot write {stage.final}: {error}", "free some space and give the same command again"
        ) from None


def _interrupted(code: int, stage: Stage, step: int, steps: int, saved: Path) -> Interrupted:
    message = f"stopped at step {step} of {steps} of {stage.name}; saved in {saved}"
    return Interrupted(message, "the same command goes on from there", code)


def _not_finite(what: str, stage: Stage, step: int, checkpoints: Checkpoints) -> UserError:
    kept = next((checkpoints.path(at) for at in checkpoints.steps()), None)
    saved = f"the last good checkpoint is {kept}" if kept else "no checkpoint had been saved yet"
    section = stage.name.partition("/")[0]
    rate = f"{section}.fit.optimiser.learning_rate"
    return UserError(
        f"{what} at step {step + 1} of {stage.name}, so it stopped there; {saved}",
        f"lower {rate} (with kind: muon also muon_learning_rate), or raise its warmup: --set {rate}=...; "
        "with --model: --learning-rate",
    )


def _kill_for_test(stage: Stage, step: int) -> None:
    name, _, at = os.environ.get("POSOLOGY_TEST_KILL", "").partition(":")
    if at == str(step) and name in (stage.name, stage.name.partition("/")[0]):
        os.kill(os.getpid(), signal.SIGKILL)
