"""The pipeline map: one station a step, with this run's counts, losses and times."""

from __future__ import annotations

from dataclasses import dataclass

from posology.report.figures import by_rollout, stride
from posology.report.numbers import Number, Rows
from posology.report.text import Shown, clock, count, percent, shown
from posology.report.view import RunView, StageView


@dataclass(frozen=True)
class Card:
    """One station of the pipeline map."""

    name: str
    title: str
    status: str
    lines: tuple[tuple[str, tuple[Shown, ...]], ...]  # what, and the figures joined by an arrow
    seconds: tuple[Shown, ...]


def stations(view: RunView) -> tuple[Card, ...]:
    """The pipeline from facts to exam, with the counts, losses and times of this run."""
    stage = view.stages
    tokenizer = stage["tokenizer"]
    return (
        _station(view, "data", "Curriculum", "finished" if view.records else "missing",
                 *((words, shown(view.count(kind), count)) for kind, words in _RECORDS.items())),
        _station(view, "tokenizer", "Tokenizer", tokenizer.status, ("vocabulary", shown(view.vocabulary, count))),
        _station(view, "pretrain", "Pretrain", stage["pretrain"].status,
                 ("tokens, at most", shown(_tokens(view, stage["pretrain"]), count)),
                 ("loss", _ends(stage["pretrain"].train, "loss")),
                 ("held-out loss", shown(stage["pretrain"].heldout.last("loss")))),
        _station(view, "sft", "SFT", stage["sft"].status,
                 ("tokens, at most", shown(_tokens(view, stage["sft"]), count)),
                 ("loss", _ends(stage["sft"].train, "loss")),
                 ("held-out loss", shown(stage["sft"].heldout.last("loss")))),
        _station(view, "reward", "Reward models", stage["reward"].status,
                 ("members", shown(view.asked("reward.members"), count)),
                 ("training pairs", shown(stage["reward"].noted("pairs.train"), count)),
                 ("loss", _ends(stage["reward"].members[0].train, "loss") if stage["reward"].members else ()),
                 ("unseen facts", shown(view.reward.heldout_facts.number, percent) if view.reward and view.reward.heldout_facts else ())),
        _station(view, "ppo", "PPO", stage["ppo"].status,
                 ("answers written", shown(_answers(view), count)),
                 ("gold score", _to_kept(stage["ppo"], "gold")),
                 ("exact KL", _ends(by_rollout(stage["ppo"].train, stride(view)), "kl"))),
        _station(view, "dpo", "DPO", stage["dpo"].status,
                 ("training pairs", shown(stage["dpo"].noted("pairs"), count)),
                 ("loss", _ends(stage["dpo"].train, "preference"))),
        _station(view, "grade", "Exam", "finished" if view.card else "missing",
                 ("answers graded", shown(view.count("answers"), count))),
    )  # fmt: skip


_RECORDS = {
    "documents": "sentences",
    "dialogues": "dialogues",
    "preferences": "preference pairs",
    "cases": "exam questions",
}


def _station(view: RunView, name: str, title: str, status: str, *lines: tuple[str, tuple[Shown, ...]]) -> Card:
    return Card(name, title, status, tuple(line for line in lines if line[1]), shown(view.took(name), clock))


def _ends(rows: Rows, key: str) -> tuple[Shown, ...]:
    return (*shown(rows.first(key)), *shown(rows.last(key))) if len(rows.series(key)) > 1 else shown(rows.first(key))


def _to_kept(stage: StageView, key: str) -> tuple[Shown, ...]:
    """The first held-out value, and that of the weights which were kept (not the last where a stage stopped early)."""
    kept = stage.noted("kept_step")
    end = stage.heldout.at(kept.value, key) if kept else stage.heldout.last(key)
    return (*shown(stage.heldout.first(key)), *shown(end))


def _tokens(view: RunView, stage: StageView) -> Number | None:
    """Full rows in every step: packing leaves a little of each row empty."""
    size = view.asked(f"{stage.name}.tokens")
    if size is None or stage.steps is None:
        return None
    return Number(size.value * stage.steps.value, size.file, f"{size.key} × the last step in {stage.train.file}")


def _answers(view: RunView) -> Number | None:
    rows = by_rollout(view.stages["ppo"].train, stride(view))
    size = view.asked("ppo.rows")
    if size is None or not rows.rows:
        return None
    return Number(size.value * len(rows), size.file, f"{size.key} × rollouts in {rows.file}")
