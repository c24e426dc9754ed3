"""The exam as multiple choice: which of six beginnings of an answer does a model find most likely?

A choice is the way in which answers here begin, for the medicine that was asked about. It is a lesser exam than the
written one, since the right beginning stands among the choices; and it is one that lm-evaluation-harness can give
(`lm_eval_tasks/`). Scores are lm-eval's own: acc takes the choice with the highest log-likelihood, acc_norm the one with
the highest log-likelihood a character.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from posology.curriculum.records import Case
from posology.evaluation.statistics import as_json, proportion

BEGINNINGS = (  # each ends where a token of the tokenizers trained here does
    "{Drug} is contraindicated.", "Avoid {drug}.", "Adjust the dose of {drug}", "Use {drug} with caution.",
    "{Drug} is acceptable.", "Not covered: no reviewed fact about this",
)  # fmt: skip


def choice_rows(cases: Iterable[Case], working: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """case_id, split, fact, question, choices, gold (its place) of every case whose right answer begins so.

    `working`, by question: the comparisons that the examined model makes before any answer, put before each choice.

    Left out is what has no single beginning: a value that must be asked for, another medicine's dose to be adjusted.
    """
    rows = []
    for case in cases:
        said = [text.format(drug=case.drug, Drug=case.drug[:1].upper() + case.drug[1:]) for text in BEGINNINGS]
        gold = [place for place, text in enumerate(said) if case.answer.lower().startswith(text.lower())]
        if len(gold) == 1:
            before = (working or {}).get(case.question, "")
            rows.append(
                {
                    "case_id": case.case_id, "split": case.split, "fact": case.fact_id or case.drug,
                    "question": case.question, "choices": [before + text for text in said], "gold": gold[0],
                }
            )  # fmt: skip
    return rows


def choice_figures(rows: Sequence[Mapping[str, Any]], logp: Sequence[Sequence[float]]) -> dict[str, Any]:
    """acc and acc_norm with their intervals; `logp[i][j]` is the log-likelihood of choice j of row i."""
    found: dict[str, list[bool]] = {"acc": [], "acc_norm": []}
    for row, scores in zip(rows, logp, strict=True):
        by_character = [score / len(text) for score, text in zip(scores, row["choices"], strict=True)]
        for name, values in (("acc", list(scores)), ("acc_norm", by_character)):
            found[name].append(values.index(max(values)) == row["gold"])
    facts = [str(row["fact"]) for row in rows]
    return {name: as_json(proportion(right, facts)) for name, right in found.items()}
