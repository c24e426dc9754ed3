"""Preference accuracy by hand, and what judges are compared with."""

import pytest

from posology.evaluation.preferences import judge_pairs, preference_accuracy


def test_preference_accuracy_by_hand() -> None:
    row = {"chosen_policy": -10.0, "chosen_reference": -12.0, "rejected_policy": -9.0, "rejected_reference": -10.0}
    lost = {**row, "chosen_policy": -12.0, "edit": "dose"}  # chosen 0, rejected 1
    tied = {**row, "chosen_policy": -11.0}
    out = preference_accuracy([{**row, "id": 1, "edit": "drug"}, {**lost, "id": 2}, {**tied, "id": 3}])
    assert (out["all"]["k"], out["all"]["n"]) == (1, 3)
    assert out["drug"]["value"] == 1.0 and out["dose"]["value"] == 0.0


def scored(key: str, edit: str, policy: float, reward: float, tokens: tuple[int, int]) -> dict[str, object]:
    """A pair whose reference finds both answers alike; `policy` and `reward` are margins of the chosen one."""
    row = {"id": key, "edit": edit, "chosen_policy": policy, "chosen_reference": -1.0, "chosen_reward": reward}
    rejected = {"rejected_policy": 0.0, "rejected_reference": -1.0, "rejected_reward": 0.0}
    return {**row, **rejected, "chosen_tokens": tokens[0], "rejected_tokens": tokens[1]}


def test_judges_stand_beside_the_ruler() -> None:
    rows = [
        scored("a", "dose", 1.0, 1.0, (5, 4)),
        scored("b", "dose", 1.0, -1.0, (5, 5)),
        scored("c", "drug", -1.0, 1.0, (3, 4)),
    ]
    found = judge_pairs(rows)
    shares = {name: (by["all"]["k"], by["all"]["n"]) for name, by in found["accuracy"].items()}
    assert shares == {"reference": (0, 3), "policy": (2, 3), "adjusted": (2, 3), "reward": (2, 3), "longer": (1, 3),
                      "shorter": (1, 3)}  # fmt: skip
    assert found["same_length"] == 1
    assert found["accuracy"]["reward"]["dose"]["value"] == 0.5
    assert found["accuracy"]["adjusted"]["drug"]["k"] == 0
    against = {(row["first"], row["second"]): row["difference"] for row in found["comparisons"]}
    assert against[("longer", "reward")] == pytest.approx(-1 / 3)
    assert against[("policy", "reference")] == pytest.approx(2 / 3)
    assert all(row["p_holm"] >= row["p"] for row in found["comparisons"])


def test_judges_that_the_rows_do_not_allow_are_left_out() -> None:
    rows = [{"id": "a", "edit": "", "chosen_policy": -1.0, "rejected_policy": -2.0}]
    assert list(judge_pairs(rows)["accuracy"]) == ["policy"]
    assert judge_pairs([])["accuracy"] == {}
