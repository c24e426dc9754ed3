"""Pretrain a small Llama from random weights: it reads the knowledge base's sentences, and learns the language they use."""

from __future__ import annotations

from typing import Any

from posology.config import RunConfig
from posology.models.device import pick_device
from posology.models.llama import language_model
from posology.models.precision import pick_precision
from posology.objectives.next_token import NextToken
from posology.recipes.materials import curriculum_of, language_model_saver, open_parent, stage_fingerprint
from posology.runs import Run, Stage
from posology.seeds import seed_of
from posology.text.chat import encode_document
from posology.text.tokenizer import load_tokenizer
from posology.training.engine import open_engine
from posology.training.fit import fit
from posology.training.progress import Progress


def pretrain(config: RunConfig, run: Run, progress: Progress | None = None) -> Stage:
    settings = config.pretrain
    stage = run.stage("pretrain")
    parent = open_parent(run, "tokenizer")
    made_of = stage_fingerprint(stage, config, [settings, config.model], [parent])
    if stage.is_finished(made_of):
        return stage
    tokenizer = load_tokenizer(parent.path)
    documents = curriculum_of(config, run).documents
    device, engine = pick_device(config.device), open_engine(config.engine, config.device)
    model: Any = language_model(
        config.model, tokenizer.size, seed_of(config.seed, "weights"), bos=tokenizer.bos, eos=tokenizer.end, pad=tokenizer.pad,
    )  # fmt: skip
    model.to(engine.loads_on(device))
    train = [encode_document(tokenizer, document.text) for document in documents if document.split == "train"]
    heldout = [document.text for document in documents if document.split == "heldout"]
    objective = NextToken(
        "pretrain", model, train, [encode_document(tokenizer, text) for text in heldout],
        tokens=settings.tokens, row=settings.row, seed=config.seed, precision=pick_precision(settings.fit.precision, device.type),
        vocabulary=tokenizer.size, micro_batches=settings.fit.micro_batches, packing=settings.packing, from_scratch=True,
        heldout_bytes=sum(len(text.encode()) for text in heldout),
    )  # fmt: skip
    stage.note(parents={parent.name: parent.digest}, dropped_examples=objective.dropped)
    fit(
        objective, settings.fit, stage, seed=config.seed, fingerprint=made_of, progress=progress,
        save_final=language_model_saver(tokenizer), engine=engine,
    )  # fmt: skip
    return stage
