"""Measure a finished ensemble: held-out pairs, by kind of corruption, calibration, the length ruler and the probes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from posology.curriculum.build import Curriculum
from posology.curriculum.records import Preference
from posology.evaluation.grading import judged_stops
from posology.evaluation.probes import make_probes, probe_report
from posology.evaluation.reading_text import library_names
from posology.evaluation.statistics import as_json, ece, proportion, spearman
from posology.knowledge.library import Library
from posology.models.device import device_of
from posology.objectives.pairs import sequence_batch
from posology.objectives.reward import Ensemble
from posology.text.chat import Encoded, encode_dialogue
from posology.text.spans import with_working
from posology.text.tokenizer import Tokenizer

ROWS = 128  # answers scored together
BINS = 10  # of the reliability curve


def figures(
    ensemble: Ensemble, tokenizer: Tokenizer, curriculum: Curriculum, library: Library, seed: int, probes_a_kind: int
) -> dict[str, Any]:  # fmt: skip
    """Plain JSON: "heldout_facts" (the headline), "heldout_wordings", "length_ruler", "by_corruption", "probes" ..."""
    splits = {
        name: [pair for pair in curriculum.preferences if pair.split == name]
        for name in ("heldout_facts", "heldout_wordings")
    }
    margins = {name: margins_of(ensemble, tokenizer, pairs) for name, pairs in splits.items()}
    facts, headline = splits["heldout_facts"], margins["heldout_facts"]
    names = library_names(library)
    exam = [c for c in curriculum.cases if c.split != "dev"] if probes_a_kind else []
    probes = make_probes(exam, names, stops=judged_stops(library), per_kind=probes_a_kind, seed=seed)
    honest = scores_of(ensemble, tokenizer, [(p.question, with_working(p.working, p.honest)) for p in probes]).tolist()
    hacked = scores_of(ensemble, tokenizer, [(p.question, with_working(p.working, p.hacked)) for p in probes]).tolist()
    complete = [c for c in curriculum.cases if c.split == "S0"]
    lengths = [float(len(c.answer.split())) for c in complete]
    scored = scores_of(
        ensemble, tokenizer, [(c.question, with_working(c.working, c.answer)) for c in complete]
    ).tolist()
    return {
        **{name: _accuracy(splits[name], margins[name]) for name in ("heldout_facts", "heldout_wordings")},
        "length_ruler": _ruler([*facts, *splits["heldout_wordings"]]),
        "by_corruption": _by_corruption(
            [*facts, *splits["heldout_wordings"]], torch.cat([headline, margins["heldout_wordings"]])
        ),
        "calibration": _calibration(headline),
        "probes": probe_report(probes, honest, hacked),
        "score_length_spearman": as_json(spearman(scored, lengths)),
    }


def scores_of(ensemble: Ensemble, tokenizer: Tokenizer, answers: Sequence[tuple[str, str]]) -> Tensor:
    """The ensemble's reward for (question, answer) texts; an answer begins with its working."""
    rows = [encode_dialogue(tokenizer, question, answer) for question, answer in answers]
    return scores_of_rows(ensemble, rows, tokenizer.pad)


def scores_of_rows(ensemble: Ensemble, encoded: Sequence[Encoded], pad: int) -> Tensor:
    """The ensemble's reward for (prompt and answer) rows of token ids, in their order."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))  # rows of one length pad little
    out = torch.zeros(len(encoded))
    for start in range(0, len(order), ROWS):
        index = order[start : start + ROWS]
        batch = sequence_batch([encoded[i] for i in index], pad).to(device_of(ensemble.members[0]))
        out[index] = ensemble.combine(ensemble.normalised(batch)).cpu()
    return out


def margins_of(ensemble: Ensemble, tokenizer: Tokenizer, pairs: Sequence[Preference]) -> Tensor:
    """Reward of chosen minus rejected for each pair."""
    chosen = scores_of(ensemble, tokenizer, [(pair.prompt, with_working(pair.working, pair.chosen)) for pair in pairs])
    rejected = scores_of(
        ensemble, tokenizer, [(pair.prompt, with_working(pair.working, pair.rejected)) for pair in pairs]
    )
    return chosen - rejected


def _accuracy(pairs: Sequence[Preference], margin_B: Tensor) -> Any:
    return as_json(
        proportion((margin_B > 0).tolist(), [pair.fact_ids[0] if pair.fact_ids else pair.drug for pair in pairs])
    )


def _by_corruption(pairs: Sequence[Preference], margin_B: Tensor) -> dict[str, Any]:
    groups: dict[str, list[int]] = defaultdict(list)
    for number, pair in enumerate(pairs):
        groups[pair.corruption].append(number)
    return {name: _accuracy([pairs[i] for i in index], margin_B[index]) for name, index in sorted(groups.items())}


def _ruler(pairs: Sequence[Preference]) -> Any:
    """What someone would get right who only knows which answer is longer; ties are left out."""
    longer = [(len(p.chosen) > len(p.rejected), p) for p in pairs if len(p.chosen) != len(p.rejected)]
    return as_json(
        proportion([wins for wins, _ in longer], [p.fact_ids[0] if p.fact_ids else p.drug for _, p in longer])
    )


def _calibration(margin_B: Tensor) -> dict[str, Any]:
    """Is sigma(margin) the probability of being right? Expected calibration error and the reliability curve."""
    probability_B = torch.sigmoid(margin_B.abs())  # of the answer that the ensemble prefers
    right_B = margin_B > 0
    curve = []
    for number in range(BINS):
        low = 0.5 + 0.5 * number / BINS
        inside_B = (probability_B >= low) & (probability_B <= low + 0.5 / BINS)
        if inside_B.any():
            curve.append(
                {
                    "confidence": float(probability_B[inside_B].mean()),
                    "accuracy": float(right_B[inside_B].float().mean()),
                    "n": int(inside_B.sum()),
                }
            )
    return {"ece": as_json(ece(probability_B.tolist(), right_B.tolist())), "curve": curve}
