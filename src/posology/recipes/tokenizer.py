"""Train the tokenizer on training text alone: no word of the exam, and no name that S4 or S5 ask about."""

from __future__ import annotations

from dataclasses import replace

from posology.config import RunConfig
from posology.files import publish
from posology.recipes.materials import curriculum_of, library_of, stage_fingerprint
from posology.runs import Run, Stage
from posology.text.comparison import limit_lists
from posology.text.formulary import Formulary
from posology.text.spans import split_working, with_working
from posology.text.tokenizer import save_tokenizer, train_tokenizer


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
    limits = {limits for parts in written for part in parts for limits in limit_lists(part)}
    trained = train_tokenizer(texts, config.tokenizer.vocabulary, answers, config.tokenizer.phrases, limits)
    trained = replace(trained, formulary=Formulary(library_of(config).drug_names))
    with publish(stage.final) as folder:
        save_tokenizer(trained, folder)
    stage.mark_finished(made_of, vocabulary=trained.size)
    return stage
