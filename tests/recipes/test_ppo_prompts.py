"""Which questions PPO asks while it learns."""

from __future__ import annotations

from posology.curriculum.build import Curriculum
from posology.curriculum.records import Dialogue
from posology.recipes.ppo import rollout_prompts
from posology.text.tokenizer import train_tokenizer


def dialogue(number: int, kind: str, split: str = "train") -> Dialogue:
    return Dialogue(f"Question {number}?", "Avoid it.", kind, "x", (), "w", split=split)  # type: ignore[arg-type]


def test_every_training_question_once_and_a_share_of_those_without_an_answer() -> None:
    tokenizer = train_tokenizer(["Question", "Avoid it."], 280)
    answered = [dialogue(n, "renal") for n in (*range(200), *range(20))]
    abstained = [dialogue(1000 + n, ("unknown drug", "missing")[n % 2]) for n in range(400)]
    curriculum = Curriculum((), (*answered, *abstained, dialogue(5000, "renal", "dev")), (), ())

    def asked(share: float) -> int:
        return len(rollout_prompts(curriculum, tokenizer, share))

    assert asked(1.0) == 600
    assert asked(0.0) == 200
    assert 70 < asked(0.25) - 200 < 130
    assert rollout_prompts(curriculum, tokenizer, 0.25) == rollout_prompts(curriculum, tokenizer, 0.25)
