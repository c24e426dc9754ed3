"""Ask finished stages: one question, every stage's answer, its reward, and the judge's verdict where the question can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from posology.config import load_config
from posology.evaluation.questions import read_question
from posology.knowledge.judge import judge
from posology.knowledge.library import load_library
from posology.models.precision import pick_precision
from posology.objectives.pairs import sequence_batch
from posology.recipes.materials import open_parent
from posology.recipes.reward import load_ensemble
from posology.rollout.assistant import Assistant
from posology.runs import Run
from posology.text.chat import Encoded, encode_prompt, own_tokens
from posology.text.tokenizer import load_tokenizer


@dataclass(frozen=True)
class StageAnswer:
    """`reward` is the ensemble's, in sd of the reference answers; None where the run has no reward models yet."""

    stage: str
    text: str  # as the model wrote it, with calculator spans
    rendered: str
    reward: float | None

    @property
    def reward_text(self) -> str:
        return "-" if self.reward is None else f"{self.reward:+.2f}"


@dataclass(frozen=True)
class Comparison:
    question: str
    answers: tuple[StageAnswer, ...]
    judge: str  # verdict and why, or "question not read"


def open_assistant(final: Path) -> Assistant:
    """The model of a finished stage, with its calculator."""
    return Assistant.open(final)


def judged(question: str) -> str:
    """What the judge says to a question that the deterministic reader can read."""
    read = read_question(question, load_library())
    if read is None:
        return "question not read"
    drug, patient = read
    judgement = judge(patient, drug)
    return f"{judgement.verdict.value}: {judgement.why}"


def compare(run: Run, questions: Sequence[str], stages: Sequence[str]) -> list[Comparison]:
    """Greedy answers of the stages to each question; every model is opened once."""
    answers = {name: open_assistant(run.stage(name).final).answer_many(questions) for name in stages}
    asked = [(question, answers[name][i].ids) for i, question in enumerate(questions) for name in stages]
    rewards = iter(rewards_of(run, asked))
    return [
        Comparison(
            question,
            tuple(
                StageAnswer(name, answers[name][i].text, answers[name][i].rendered, next(rewards)) for name in stages
            ),
            judged(question),
        )
        for i, question in enumerate(questions)
    ]


def rewards_of(run: Run, answers: Sequence[tuple[str, Sequence[int]]]) -> list[float | None]:
    """The ensemble's score of each (question, answer's token ids with the end token); None without reward models."""
    if not (run.stage("reward").final / "ensemble.json").is_file():
        return [None] * len(answers)
    parent = open_parent(run, "reward")
    tokenizer = load_tokenizer(parent.path)
    config = load_config(run.config_path)
    ensemble = load_ensemble(parent.path, tokenizer, pick_precision(config.reward.fit.precision))
    rows = []
    for question, ids in answers:
        prompt = encode_prompt(tokenizer, question)
        rows.append(Encoded([*prompt, *ids], [False] * len(prompt) + own_tokens(tokenizer, ids)))
    return [float(score) for score in ensemble.combine(ensemble.normalised(sequence_batch(rows, tokenizer.pad)))]


def as_json(comparison: Comparison) -> dict[str, object]:
    """For showcase.json: read by the report."""
    verdict, _, why = comparison.judge.partition(": ")
    return {
        "question": comparison.question,
        "judge": {"verdict": verdict, "why": why},
        "answers": {a.stage: {"text": a.rendered, "reward": a.reward} for a in comparison.answers},
    }
