"""What a reader is told of each stage: why it exists, an everyday likeness, what healthy looks like, what it cannot tell.

The words are ours; the figures beside them are the run's, each a Number with its source.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from posology.report.figures import by_rollout, stride
from posology.report.formulas import FORMULAS
from posology.report.numbers import Number, Rows
from posology.report.text import Shown, count, decimal, figure, percent, shown, signed
from posology.report.view import RunView, StageView

TRAINED = ("pretrain", "sft", "reward", "ppo", "dpo")
LN2 = math.log(2)


@dataclass(frozen=True)
class Sign:
    """One line of "healthy beside yours". `yours` is empty where the run has no such figure yet."""

    what: str
    healthy: str
    yours: tuple[Shown, ...]
    path: bool = False  # a first and a last value: shown with an arrow between


@dataclass(frozen=True)
class Story:
    """One stage's page, before its curves."""

    name: str
    title: str
    likeness: str
    why: str
    formula: Markup
    reading: str  # the formula in words
    cannot: str
    code: tuple[tuple[str, str], ...]  # what, where


STORIES = {
    "pretrain": Story(
        "pretrain", "Pretraining: learn the language", "The textbook, read before the first patient.",
        "A network with random weights knows no word. Pretraining shows it sentences that say what the knowledge base "
        "knows and asks one thing over and over: which token comes next? It learns the language of the facts, and the "
        "facts that it meets often enough.",
        FORMULAS["pretrain"],
        "the mean surprise, in nats, at each next token; a nat is 1.44 bits",
        "A low loss does not make an answer true: the model goes on with a text, and asked a question it may simply go on "
        "asking. Losses under different tokenizers do not compare; bits per byte do.",
        (("equation", "models/nll.py · token_nll"), ("objective", "objectives/next_token.py"),
         ("recipe", "recipes/pretrain.py")),
    ),
    "sft": Story(
        "sft", "SFT: learn to answer", "Residency: watch how experts answer, and do the same.",
        "Pretraining continues texts; it does not answer. Fine-tuning shows questions with an expert's answer, and scores "
        "the answer's own tokens and its end alone: what the engine fills in (the value of a sum, on which side of a "
        "medicine's limits a number lies) and what the user asked are not its to learn.",
        FORMULAS["sft"],
        "the same surprise, over the answer's tokens A only",
        "It copies its teachers and cannot pass them: each optional part of an answer stands in half of the demonstrations, "
        "so a faithful copy is complete only some of the time. And a low loss on demonstrations is no mark in the exam.",
        (("equation", "models/nll.py · token_nll"), ("objective", "objectives/next_token.py"),
         ("recipe", "recipes/sft.py")),
    ),
    "reward": Story(
        "reward", "Reward model: learn to compare", "The senior reviewer: which of these two notes is better?",
        "Saying which of two answers is better is easier than writing the best one. Each member learns from pairs in which "
        "one thing is wrong, or one answer says more; members see different samples of the pairs, so that where they "
        "disagree, their score is worth less.",
        FORMULAS["reward"],
        "the surprise that the better answer won, if its chance to win were σ(margin)",
        "Its scale has no zero and no unit: add a constant to every score and nothing changes, so a percentage of a reward "
        "means nothing. It knows the errors that its pairs show, and may be fooled by others.",
        (("equation", "objectives/losses.py · bradley_terry"), ("objective", "objectives/reward.py"),
         ("recipe", "recipes/reward.py")),
    ),
    "ppo": Story(
        "ppo", "PPO: practise under review", "Feedback: write, be reviewed, do more of what was better than expected.",
        "SFT copies; PPO practises. The model writes answers of its own, the reward models score them, a critic says what "
        "was to be expected, and what went better becomes more likely. A price β on every nat of KL keeps it near SFT, "
        "where the reward models can be believed.",
        FORMULAS["ppo"],
        "ρ is how much likelier the token has become, A how much better than expected the answer went; ε stops large steps",
        "A rising reward proves only that the reward models like the answers better. The gold score is the check, and it "
        "speaks for the questions that the judge can read. The sign of the loss says nothing.",
        (("equations", "objectives/losses.py · ppo_clip, gae, value_loss; objectives/kl.py"),
         ("objective", "objectives/ppo.py"), ("recipe", "recipes/ppo.py")),
    ),
    "dpo": Story(
        "dpo", "DPO: prefer without a reviewer", "Feedback, read from paired notes at home: nobody reviews what you write meanwhile.",
        "The same pairs, with no reward model: raise the chosen answer against the rejected one, measured from where SFT "
        "stood. An anchor keeps the chosen answer likely, since only the difference is asked for. With own_mistakes the "
        "rejected one is what SFT itself said wrong, wherever it did; with complete the chosen one is all that an expert "
        "says, where the pair's leaves something out.",
        FORMULAS["dpo"],
        "the reward model's loss, with β times the change of log-probability in the place of a score",
        "A growing margin is not a better answer: both may become unlikely while their difference grows. It learns from "
        "answers that were there before it began, and never hears of the mistakes that it makes since.",
        (("equation", "objectives/losses.py · dpo_sigmoid"), ("objective", "objectives/dpo.py"), ("recipe", "recipes/dpo.py")),
    ),
}  # fmt: skip


def signs(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    """What to look for in a stage's figures, what healthy is, and what this run shows."""
    made: dict[str, Callable[[RunView, StageView], tuple[Sign, ...]]] = {
        "pretrain": _pretrain, "sft": _sft, "reward": _reward, "ppo": _ppo, "dpo": _dpo,
    }  # fmt: skip
    return made[stage.name](view, stage)


def _pretrain(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    expected = f"near ln V = {decimal(math.log(view.vocabulary.value))}" if view.vocabulary else "near ln V"
    last = stage.heldout.last("loss")
    unsure = last and Number(math.exp(last.value), last.file, f"e to the power of {last.key}")
    return (
        Sign("first loss, nats a token", expected, shown(stage.train.first("loss"))),
        Sign("held-out loss at the end", "close to the training loss", shown(last)),
        Sign("as unsure as a choice among so many tokens", f"far below {_vocabulary(view)}", shown(unsure)),
        Sign(
            "bits a byte, held-out",
            "falling; comparable between tokenizers",
            shown(stage.heldout.last("bits_per_byte")),
        ),
    )


def _vocabulary(view: RunView) -> str:
    return count(view.vocabulary.value) if view.vocabulary else "V"


def _sft(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    points = stage.heldout.series("loss")
    lowest = None
    if points:
        step, value = min(points, key=lambda point: point[1])
        lowest = Number(value, stage.heldout.file, f"heldout: loss at step {step:.0f}, the lowest")
    return (
        Sign("first loss, nats a token", "below ln V: it can read, not yet answer", shown(stage.train.first("loss"))),
        Sign("held-out loss at the end", "falling", shown(stage.heldout.last("loss"))),
        Sign("lowest held-out loss", "the last one: a rise after it is learning by heart", shown(lowest)),
        Sign("held-out tokens guessed right", "rising", shown(stage.heldout.last("accuracy"), percent)),
    )


def _reward(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    firsts = [one for member in stage.members for one in shown(member.train.first("loss"), lambda v: decimal(v, 4))]
    lasts = [one for member in stage.members for one in shown(member.train.last("loss"))]
    reward = view.reward
    facts = reward.heldout_facts if reward else None
    gate = view.asked("reward.min_accuracy")
    low = Number(facts.low, facts.file, f"{facts.key}.low") if facts and facts.low is not None else None
    ruler = reward.length_ruler if reward else None
    return (
        Sign("first loss of each member", f"ln 2 = {LN2:.4f}: a head of zeros tosses a coin", tuple(firsts)),
        Sign("last training loss of each member", f"below {LN2:.3f}; above it, the sign is wrong", tuple(lasts)),
        Sign("pairs of unseen facts ranked right", "well above 50 %", shown(facts.number, percent) if facts else ()),
        Sign("lower end of that interval", f"at least {percent(gate.value)}" if gate else "above the gate", shown(low, percent)),
        Sign("a ruler that knows only length", "45 to 55 %: length must not tell", shown(ruler.number, percent) if ruler else ()),
        Sign("correlation between members", "below 1: a twin adds nothing",
             tuple(s for number in (reward.correlation if reward else ()) for s in shown(number, decimal))),
    )  # fmt: skip


def _ppo(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    rows = by_rollout(stage.train, stride(view))
    starts = [
        row["ratio_deviation"]
        for row in stage.train
        if round(row["step"] - 1) % stride(view) == 0 and "ratio_deviation" in row
    ]
    ratio = (
        Number(max(starts), rows.file, "train: ratio_deviation, largest at the start of a rollout") if starts else None
    )
    target = view.asked("ppo.kl_target")
    ceiling = f"0 to {figure(1.25 * target.value)} (1.25 × target)" if target else "near its target, never negative"
    return (
        Sign("first |ratio − 1| of a rollout, largest", "0 (at most 0.01 in bfloat16)", shown(ratio)),
        Sign("exact KL, last five rollouts", ceiling, shown(_mean(rows, "kl", 5))),
        Sign("sampled KL k1, last five rollouts", "noisy, but not below 0 for long", shown(_mean(rows, "kl_k1", 5))),
        Sign("β, first and last", "moves until KL is at its target", (*shown(rows.first("beta")), *shown(rows.last("beta"))), path=True),
        Sign("own tokens clipped", "a few per cent; 0 % throughout is a policy at rest", shown(_mean(rows, "clipped"), percent)),
        Sign("reward and gold, change on held-out prompts", "both up",
             (*shown(_change(stage.heldout, "reward"), signed), *shown(_change(stage.heldout, "gold"), signed))),
        Sign("answers that end by themselves", "nearly all", shown(rows.last("end_rate"), percent)),
    )  # fmt: skip


def _dpo(view: RunView, stage: StageView) -> tuple[Sign, ...]:
    first, last = stage.train.first("preference"), stage.heldout.last("preference/heldout_facts")
    return (
        Sign("first preference term", f"ln 2 = {LN2:.4f}: policy = reference", shown(first, lambda v: decimal(v, 4))),
        Sign("held-out preference term at the end", f"below {LN2:.3f}", shown(last)),
        Sign("held-out pairs told apart", "rising", shown(stage.heldout.last("accuracy/heldout_facts"), percent)),
        Sign("log-probability of chosen answers, held-out", "not below −0.5 nats",
             shown(stage.heldout.last("chosen_shift/heldout_facts"), signed)),
    )  # fmt: skip


def _mean(rows: Rows, key: str, last: int = 0) -> Number | None:
    """The mean over all rows, or over the last few."""
    values = [value for _, value in rows.series(key)][-last:]
    if not values:
        return None
    which = f"mean of the last {len(values)} rollouts" if last else "mean of all rollouts"
    return Number(sum(values) / len(values), rows.file, f"{rows.split}: {key}, {which}")


def _change(rows: Rows, key: str) -> Number | None:
    points = rows.series(key)
    if len(points) < 2:
        return None
    return Number(points[-1][1] - points[0][1], rows.file, f"{rows.split}: {key}, last minus first")
