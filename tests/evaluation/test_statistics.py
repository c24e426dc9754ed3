"""Intervals and tests against figures worked by hand or published."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posology.evaluation.statistics import (
    Estimate,
    Undefined,
    as_json,
    brier,
    cluster_bootstrap,
    compare_paired,
    ece,
    holm,
    judge_target,
    mcnemar_exact,
    mean,
    proportion,
    risk_coverage,
    sign_flip,
    spearman,
    total_variation,
    wilson,
)


def test_wilson_by_hand() -> None:
    # n = 10, k = 8: (p + z^2/2n ± z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.959964
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-5)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == 1.0


def test_381_items_without_an_error_are_what_a_lower_bound_of_99_percent_takes() -> None:
    assert wilson(381, 381)[0] >= 0.99 > wilson(380, 380)[0]


def test_the_wider_interval_is_reported() -> None:
    alone = [f"f{i}" for i in range(200)]
    grouped = [f"f{i // 20}" for i in range(200)]
    values = [i // 20 % 2 == 0 for i in range(200)]  # all of a fact's items agree
    few, many = proportion(values, grouped), proportion(values, alone)
    assert isinstance(few, Estimate) and isinstance(many, Estimate)
    assert (few.k, few.n, few.facts, many.facts) == (100, 200, 10, 200)
    assert few.high - few.low > 2 * (many.high - many.low)
    low, high = wilson(100, 200)
    assert many.low <= low + 0.01 and many.high >= high - 0.01


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=60))
def test_proportions_lie_in_their_interval(items: list[tuple[bool, int]]) -> None:
    found = proportion([v for v, _ in items], [str(f) for _, f in items], draws=200)
    assert isinstance(found, Estimate)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_no_items_have_no_share() -> None:
    assert proportion([], []) == Undefined("no items")
    assert mean([1.0, 2.0], ["a", "a"]) == Undefined("fewer than two facts")
    assert as_json(Undefined("no items"))["value"] is None


def test_the_bootstrap_is_the_same_every_time_and_covers_the_mean() -> None:
    values, facts = [float(i % 7) for i in range(140)], [str(i // 5) for i in range(140)]
    first, second = cluster_bootstrap(values, facts), cluster_bootstrap(values, facts)
    assert first == second and not isinstance(first, Undefined)
    assert first[0] < 3 < first[1]


# Judging --------------------------------------------------------------------------------------------------------------


def estimate(k: int, n: int, facts: int) -> Estimate:
    return Estimate(k, n, facts, k / n, *wilson(k, n))


@pytest.mark.parametrize(
    ("found", "target", "gates", "outcome"),
    [
        (estimate(990, 1000, 200), 0.95, True, "PASS"),
        (estimate(990, 1000, 200), 0.95, False, "NOT DEMONSTRATED"),  # its gates do not hold
        (estimate(955, 1000, 200), 0.95, True, "NOT DEMONSTRATED"),
        (estimate(900, 1000, 200), 0.95, True, "FAIL"),
        (estimate(1000, 1000, 200), 1.0, True, "PASS"),
        (estimate(381, 381, 100), 1.0, True, "PASS"),
        (estimate(380, 380, 100), 1.0, True, "NOT DEMONSTRATED"),
        (estimate(1000, 1000, 99), 1.0, True, "NOT DEMONSTRATED"),
        (estimate(999, 1000, 200), 1.0, True, "FAIL"),
        (Undefined("no items"), 0.95, True, "NOT DEMONSTRATED"),
    ],
)
def test_verdict_rule(found: Estimate | Undefined, target: float, gates: bool, outcome: str) -> None:
    assert judge_target(found, target, gates) == outcome


# Paired ---------------------------------------------------------------------------------------------------------------


def test_mcnemar_by_hand() -> None:
    # 1 against 9 discordant: 2 * (C(10,0) + C(10,1)) / 2^10
    assert mcnemar_exact(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar_exact(0, 0) == 1.0


def test_sign_flip_by_hand() -> None:
    # three facts, all +1: only all-plus and all-minus are as extreme: 2 / 8
    assert sign_flip([1, 1, 1], ["a", "b", "c"]) == pytest.approx(0.25)
    assert sign_flip([1, -1], ["a", "a"]) == 1.0  # cancels within its fact
    assert sign_flip([0.0, 0.0], ["a", "b"]) == 1.0
    assert sign_flip([1.0] * 40, [str(i) for i in range(40)]) == pytest.approx(1 / 10_001)


def test_sign_flip_knows_that_items_of_a_fact_are_not_independent() -> None:
    differences = [1.0] * 50
    assert sign_flip(differences, [str(i // 10) for i in range(50)]) == pytest.approx(2 / 32)
    assert sign_flip(differences, [str(i) for i in range(50)]) < 0.001


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_paired_comparison() -> None:
    a, b = [1.0] * 30 + [0.0] * 10, [1.0] * 15 + [0.0] * 25
    found = compare_paired(a, b, [str(i) for i in range(40)], binary=True)
    assert not isinstance(found, Undefined)
    assert found.difference == pytest.approx(15 / 40)
    assert (found.a_only, found.b_only) == (15, 0)
    assert found.low > 0 and found.p < 0.001
    assert found.p == max(found.p_sign_flip, found.p_mcnemar or 0.0)
    with pytest.raises(ValueError, match="not paired"):
        compare_paired([1.0], [], [], binary=True)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_swapping_the_sides_changes_the_sign_alone(rows: list[tuple[bool, bool, int]]) -> None:
    facts = [str(f) for _, _, f in rows]
    there = compare_paired(
        [float(a) for a, _, _ in rows], [float(b) for _, b, _ in rows], facts, binary=True, draws=200
    )
    back = compare_paired([float(b) for _, b, _ in rows], [float(a) for a, _, _ in rows], facts, binary=True, draws=200)
    if isinstance(there, Undefined) or isinstance(back, Undefined):
        assert isinstance(there, Undefined) and isinstance(back, Undefined)
        return
    assert there.difference == pytest.approx(-back.difference)
    assert there.p == pytest.approx(back.p)


# Calibration ----------------------------------------------------------------------------------------------------------


def test_calibration_by_hand() -> None:
    confidence, right = [0.95, 0.95, 0.55, 0.55], [True, False, True, True]
    assert brier(confidence, right) == pytest.approx((0.05**2 + 0.95**2 + 2 * 0.45**2) / 4)
    assert ece(confidence, right) == pytest.approx(0.5 * abs(0.5 - 0.95) + 0.5 * abs(1.0 - 0.55))
    curve = risk_coverage([0.9, 0.8, 0.1], [True, True, False])
    assert not isinstance(curve, Undefined)
    assert curve["curve"] == [[pytest.approx(1 / 3), 0.0], [pytest.approx(2 / 3), 0.0], [1.0, pytest.approx(1 / 3)]]
    assert curve["area"] == pytest.approx(1 / 9)


def test_rank_correlation() -> None:
    assert spearman([1, 2, 3, 4], [10, 20, 25, 100]) == pytest.approx(1.0)
    assert isinstance(spearman([1, 1, 1], [1, 2, 3]), Undefined)


def test_total_variation_by_hand() -> None:
    assert total_variation(["a", "a", "b", "b"], ["a", "b", "b", "b"]) == pytest.approx(0.25)
    assert total_variation(["a"], ["b"]) == 1.0


def test_no_number_is_nan() -> None:
    for value in (brier([], []), ece([], []), spearman([], []), total_variation([], [])):
        assert isinstance(value, Undefined)
    found = proportion([True], ["a"])
    assert isinstance(found, Estimate) and math.isfinite(found.low + found.high)


# Published worked examples --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_newcombe_published_it(k: int, n: int, low: float, high: float) -> None:
    """Newcombe 1998, Two-sided confidence intervals for the single proportion, Stat Med 17:857, table I, method 3."""
    assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)


def test_sign_flip_as_fisher_published_it() -> None:
    """Darwin's 15 pairs of maize, eighths of an inch (Fisher 1935, The design of experiments, section 21): 863 of 32,768
    sign vectors have a sum at least as large, two-sided 5.267 %."""
    differences = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    pairs = [str(i) for i in range(15)]
    assert sign_flip(differences, pairs, flips=200_000) == pytest.approx(2 * 863 / 32768, abs=0.002)
    assert sign_flip(differences, pairs) == pytest.approx(0.0527, abs=0.007)  # 10,000 draws: within three errors


def test_mcnemar_as_published() -> None:
    """R's exact2x2, help page of mcnemar.exact: discordant counts 2 and 9, p = 0.06543."""
    assert mcnemar_exact(2, 9) == pytest.approx(0.06543, abs=5e-6)


def test_holm_as_published() -> None:
    """The example of Wikipedia, Holm-Bonferroni method: p of 0.01, 0.04, 0.03 and 0.005."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_spearman_as_published() -> None:
    """IQ and hours of television of ten people (Wikipedia, Spearman's rank correlation coefficient): -29/165."""
    iq = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    hours = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    assert spearman(iq, hours) == pytest.approx(-29 / 165)
