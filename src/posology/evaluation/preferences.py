"""Which of two answers is the better, as a model sees it: accuracy on pairs by kind of edit, beside the length ruler's.

A row holds id, edit (or ""), and for each answer the summed log-probabilities of SCORE_FIELDS; where they are known
also its tokens and a reward model's score. A tie is no win.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

from posology.evaluation.statistics import BOOTSTRAP, Undefined, as_json, compare_paired, holm, proportion

SCORE_FIELDS = ("chosen_policy", "chosen_reference", "rejected_policy", "rejected_reference")
Row = Mapping[str, Any]


def _difference(name: str) -> Callable[[Row], float]:
    return lambda row: float(row[f"chosen_{name}"] - row[f"rejected_{name}"])


def adjusted(row: Row) -> float:
    """Chosen minus rejected of log p(answer | policy) - log p(answer | reference): DPO's implicit reward over beta
    (Rafailov et al. 2023, equation 5).
    """
    return _difference("policy")(row) - _difference("reference")(row)


# Judge -> what it reads, and how far it prefers the chosen answer (above 0: it does).
JUDGES: dict[str, tuple[str, Callable[[Row], float]]] = {
    "reference": ("chosen_reference", _difference("reference")),
    "policy": ("chosen_policy", _difference("policy")),
    "adjusted": ("chosen_reference", adjusted),
    "reward": ("chosen_reward", _difference("reward")),
    "longer": ("chosen_tokens", _difference("tokens")),
    "shorter": ("chosen_tokens", lambda row: -_difference("tokens")(row)),
}
MEANING = {
    "reference": "log-likelihood under the model before training on pairs",
    "policy": "log-likelihood under the model trained on pairs",
    "adjusted": "the trained model's log-likelihood minus the reference's: DPO's reward",
    "reward": "the reward model's score",
    "longer": "the ruler: the answer of more tokens",
    "shorter": "the ruler: the answer of fewer tokens",
}
COMPARED = ("reference", "policy", "adjusted", "reward")  # with one another, and with the better ruler


def preference_accuracy(
    rows: Sequence[Row], margin: Callable[[Row], float] = adjusted, draws: int = BOOTSTRAP
) -> dict[str, Any]:
    """Share of pairs in which `margin` is above 0, over all and by edit; intervals over texts (ids)."""
    by_edit: dict[str, list[tuple[bool, str]]] = {"all": []}
    for row in rows:
        for name in ("all", *([row["edit"]] if row.get("edit") else [])):
            by_edit.setdefault(name, []).append((margin(row) > 0, str(row["id"])))
    return {
        name: as_json(proportion([win for win, _ in wins], [note for _, note in wins], draws=draws))
        for name, wins in by_edit.items()
    }


def judge_pairs(rows: Sequence[Row]) -> dict[str, Any]:
    """Every judge that the rows allow, by edit, and the paired differences between them (Holm over all of them)."""
    there = {name: margin for name, (field, margin) in JUDGES.items() if rows and all(field in row for row in rows)}
    accuracy = {name: preference_accuracy(rows, margin) for name, margin in there.items()}
    rulers = [name for name in ("longer", "shorter") if name in accuracy]
    compared = [name for name in COMPARED if name in accuracy]
    if rulers:
        compared.append(max(rulers, key=lambda name: accuracy[name]["all"]["value"]))
    comparisons: list[dict[str, Any]] = []
    for first, second in combinations(compared, 2):
        won, other = ([float(there[name](row) > 0) for row in rows] for name in (second, first))
        paired = compare_paired(won, other, [str(row["id"]) for row in rows], binary=True)
        if not isinstance(paired, Undefined):
            comparisons.append({"first": second, "second": first, "difference": paired.difference, "low": paired.low,
                                "high": paired.high, "n": paired.n, "p": paired.p})  # fmt: skip
    for row, p in zip(comparisons, holm([row["p"] for row in comparisons]), strict=True):
        row["p_holm"] = p
    return {
        "pairs": len(rows), "same_length": sum(row.get("chosen_tokens") == row.get("rejected_tokens", -1) for row in rows),
        "meaning": {name: MEANING[name] for name in there}, "accuracy": accuracy, "comparisons": comparisons,
    }  # fmt: skip
