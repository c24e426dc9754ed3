"""Comparisons over training seeds: worked by hand, and what they must not claim."""

from __future__ import annotations

import pytest

from posology.evaluation.over_seeds import OverSeeds, over_seeds
from posology.evaluation.statistics import Undefined


def test_by_hand() -> None:
    """Facts a, b in both seeds, c in the second alone: means 2, 1 and 6."""
    result = over_seeds([{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 0.0, "c": 6.0}])
    assert isinstance(result, OverSeeds)
    assert result.difference == pytest.approx(3.0) and result.facts == 3
    assert result.by_seed == pytest.approx((1.5, 3.0)) and result.same_sign
    assert result.p == pytest.approx(2 / 8)  # of eight sign vectors, all plus and all minus are as extreme
    assert result.low == pytest.approx(1.0) and result.high == pytest.approx(6.0)  # 3 facts: all a's, all c's


def test_ten_facts_that_all_agree() -> None:
    seed = {f"f{i}": 1.0 for i in range(10)}
    result = over_seeds([seed, seed, seed])
    assert isinstance(result, OverSeeds)
    assert result.p == pytest.approx(2 / 1024) and (result.low, result.high) == (1.0, 1.0)


def test_seeds_that_disagree_are_told() -> None:
    up, down = {f"f{i}": 2.0 for i in range(9)}, {f"f{i}": -0.5 for i in range(9)}
    result = over_seeds([up, down])
    assert isinstance(result, OverSeeds)
    assert result.difference == pytest.approx(0.75) and not result.same_sign
    nothing = over_seeds([{"a": 0.0, "b": 0.0}])
    assert isinstance(nothing, OverSeeds) and nothing.p == 1 and not nothing.same_sign


def test_more_seeds_are_no_more_facts() -> None:
    """The same run three times proves nothing that it did not prove once."""
    seed = {"a": 1.0, "b": 0.5, "c": -0.2, "d": 0.9}
    once, thrice = over_seeds([seed]), over_seeds([seed] * 3)
    assert isinstance(once, OverSeeds) and isinstance(thrice, OverSeeds)
    assert (once.p, once.low, once.high) == pytest.approx((thrice.p, thrice.low, thrice.high))


@pytest.mark.parametrize("seeds", [[], [{"a": 1.0}], [{"a": 1.0, "b": 1.0}, {}]])
def test_too_few_facts(seeds: list[dict[str, float]]) -> None:
    assert isinstance(over_seeds(seeds), Undefined)
