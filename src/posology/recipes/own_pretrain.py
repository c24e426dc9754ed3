"""Continue a user's model on plain texts: every token but the first is scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from posology.intake.options import ReadOptions
from posology.intake.read import read_texts
from posology.intake.records import Text
from posology.intake.sections import split_sections
from posology.intake.tally import Tally
from posology.own_config import OwnPretrainConfig
from posology.recipes.examine import outside_tokenizer
from posology.recipes.own_materials import find_model
from posology.recipes.own_sft import PARENTS, next_token_stage
from posology.runs import Run, Stage
from posology.text.layout import encode_text, prompt_layout
from posology.training.progress import Progress


def own_pretrain(
    settings: OwnPretrainConfig, run: Run, progress: Progress | None = None, *, allow_download: bool = False
) -> Stage:
    stage = run.stage("pretrain")
    source = find_model(settings.model, run, PARENTS, allow_download=allow_download)
    layout = prompt_layout(outside_tokenizer(source.folder), chat=False)
    about = {"stage": stage.name, "bits": settings.lora.quantised}
    # Plain text has no prompt form: one that the model was taught before stays in force.
    about |= {key: source.about[key] for key in ("chat_template", "end") if key in source.about}
    return next_token_stage(
        settings, run, stage, source, _by_section if settings.split_sections else read_texts,
        lambda text: encode_text(layout, text.text), about, progress or Progress(),
    )  # fmt: skip


def _by_section(path: Path, options: ReadOptions, tally: Tally) -> Iterator[Text]:
    """Each section as a text of its own, under its row's number and id."""
    for text in read_texts(path, options, tally):
        for section in split_sections(text.text):
            yield replace(text, text=section)
