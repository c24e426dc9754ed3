"""Train the tokenizer on training text alone: no word of the exam, and no name that S4 or S5 ask about."""

from __future__ import annotations

import re
from dataclasses import replace

from posology.config import RunConfig
from posology.files import publish
from posology.recipes.materials import curriculum_of, library_of, stage_fingerprint
from posology.runs import Run, Stage
from posology.text.comparison import limit_lists
from posology.text.formulary import Formulary
from posology.text.spans import calculations, split_working, with_working
from posology.text.tokenizer import save_tokenizer, train_tokenizer

_DOSE = re.compile(r"(?:Usual dose|Adjust the dose of [^:.]+):(?P<dose> (?:[^.<]|\.(?=\d))+)\.")


def doses_of(answer: str) -> set[str]:
    """What an answer tells of doses, as a fact has it: " 5 to 40 mg once daily", "min(weight*45/2,875)"."""
    return {found["dose"] for found in _DOSE.finditer(answer)} | set(calculations(answer))


def tokenizer(config: RunConfig, run: Run) -> Stage:
    stage = run.stage("tokenizer")
    made_of = stage_fingerprint(stage, config, config.tokenizer, [])
    if stage.is_finished(made_of):
        return stage
    curriculum = curriculum_of(config, run)
    dialogues = [dialogue for dialogue in curriculum.dialogues if dialogue.split == "train"]
    written = [split_working(with_working(dialogue.working, dialogue.answer)) for dialogue in dialogues]
    answers = [answer for _, answer in written]
    texts = [document.text for document in curriculum.documents if document.split == "train"]
    texts += [*(dialogue.prompt for dialogue in dialogues), *(working for working, _ in written), *answers]
    whole = {limits for parts in written for part in parts for limits in limit_lists(part)}
    whole |= {dose for answer in answers for dose in doses_of(answer)}
    trained = train_tokenizer(texts, config.tokenizer.vocabulary, answers, config.tokenizer.phrases, whole)
    trained = replace(trained, formulary=Formulary(library_of(config).drug_names))
    with publish(stage.final) as folder:
        save_tokenizer(trained, folder)
    stage.mark_finished(made_of, vocabulary=trained.size)
    return stage
