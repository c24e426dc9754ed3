"""Score a user's pairs: each answer's log-probability under a model and its reference, and a reward model's score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from posology.config import UserError
from posology.files import sha256_file
from posology.intake.options import ReadOptions
from posology.intake.read import read_pairs
from posology.intake.tally import Tally
from posology.models.device import pick_device
from posology.models.precision import Precision, pick_precision
from posology.models.source import Source, load_model
from posology.objectives.pairs import sequence_batch
from posology.objectives.policy import score_tokens
from posology.recipes.examine import outside_tokenizer
from posology.recipes.own_dpo import encode_pair
from posology.recipes.own_materials import Rows, digest_of_data, encode_rows, require_room, require_vocabulary
from posology.recipes.own_reward import ensemble_scores, load_own_ensemble
from posology.text.chat import Encoded
from posology.text.layout import prompt_layout
from posology.training.progress import Progress

TOGETHER = 16  # rows in one forward pass


def score_pairs(
    file: Path, options: ReadOptions, policy: Source, reference: Source | None = None, reward: Path | None = None, *,
    chat: bool = False, max_tokens: int = 512, device: str = "auto", progress: Progress | None = None,
) -> tuple[list[dict[str, Any]], Rows[Any]]:  # fmt: skip
    """A line a pair: id, row, edit, and chosen_* and rejected_* of policy, reference, reward and tokens; no text.

    `reward` is the folder of a finished reward stage. Computed in fp32 on a CPU and in bf16 on a GPU. Also returned:
    the rows as read, with those that are not scored. UserError for models that do not share one tokenizer.
    """
    where = pick_device(device)
    precision = pick_precision("fp32" if where.type == "cpu" else "auto", where.type)
    for other in (reference.folder if reference else None, reward):
        _require_same_tokenizer(policy.folder, other)
    layout = prompt_layout(outside_tokenizer(policy.folder), chat=bool(policy.about.get("chat_template", chat)))
    tally = Tally()
    rows = Rows(list(read_pairs(file, options, tally)), digest_of_data(file), tally)
    encoded = encode_rows(
        rows, lambda row: (row, encode_pair(layout, row)), lambda one: max(len(one[1].chosen), len(one[1].rejected)),
        max_tokens, skip=options.on_bad_row == "skip", path=str(file), progress=progress or Progress(),
    )  # fmt: skip
    lines: list[dict[str, Any]] = [{"id": row.id, "row": row.row, "edit": row.edit} for row, _ in encoded]
    for side in ("chosen", "rejected"):
        answers = [getattr(pair, side) for _, pair in encoded]
        values: dict[str, list[float]] = {"tokens": [sum(answer.scored) for answer in answers]}
        for name, source in (("policy", policy), ("reference", reference)):
            if source is not None:
                model = load_model(source, where).eval()
                require_room(model, max_tokens)
                require_vocabulary(model, answers)
                values[name] = _log_probabilities(model, answers, layout.pad, precision)
        if reward is not None:
            ensemble = load_own_ensemble(reward, where, precision)
            values["reward"] = ensemble.combine(ensemble_scores(ensemble, answers, layout.pad)).tolist()
        for name, of in values.items():
            for line, value in zip(lines, of, strict=True):
                line[f"{side}_{name}"] = value
    return lines, rows


@torch.no_grad()
def _log_probabilities(model: Any, answers: Sequence[Encoded], pad: int, precision: Precision) -> list[float]:
    """Summed over each answer's own tokens and its end token, in nats."""
    found: list[float] = []
    for start in range(0, len(answers), TOGETHER):
        part = answers[start : start + TOGETHER]
        scored = score_tokens(model, sequence_batch(part, pad), precision)
        found += scored.per_row(scored.logp_N, len(part)).tolist()
    return found


def _require_same_tokenizer(folder: Path, other: Path | None) -> None:
    if other is None:
        return
    files = [place / "tokenizer.json" for place in (folder, other)]
    if all(file.is_file() for file in files) and sha256_file(files[0]) != sha256_file(files[1]):
        raise UserError(
            f"{other} has another tokenizer than {folder}", "compare models that were made from the same one"
        )
