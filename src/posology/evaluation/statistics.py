"""Intervals, tests and calibration for the scorecard.

Every proportion carries k, n, the number of facts and the wider of two 95 % intervals: Wilson's, which treats answers
as independent, and a cluster bootstrap over facts, which does not. A statistic that has no answer is `Undefined` with
a reason, never 0. Everything random is seeded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Outcome = Literal["PASS", "FAIL", "NOT DEMONSTRATED"]

BOOTSTRAP = 2000
SIGN_FLIPS = 10_000
CONFIDENCE = 0.95
PERFECT_ITEMS, PERFECT_FACTS, PERFECT_LOW = 381, 100, 0.99  # what a target of 100 % asks for (DOMAIN.md)


@dataclass(frozen=True)
class Undefined:
    """A statistic without an answer, and why."""

    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True)
class Estimate:
    """A share (or a mean) with its interval. `k` is None for a mean."""

    k: int | None
    n: int
    facts: int
    value: float
    low: float
    high: float


def wilson(k: int, n: int) -> tuple[float, float]:
    """Wilson's score interval, two-sided 95 %; (0, 1) for n = 0. Wilson 1927; statsmodels' implementation."""
    if n == 0:
        return 0.0, 1.0
    low, high = proportion_confint(k, n, alpha=1 - CONFIDENCE, method="wilson")
    return (0.0 if k == 0 else float(low)), (1.0 if k == n else float(high))  # exact at the ends, but for rounding


def proportion(values: Sequence[bool], facts: Sequence[str], *, draws: int = BOOTSTRAP) -> Estimate | Undefined:
    """A share with the wider of Wilson and the cluster bootstrap over facts."""
    if not values:
        return Undefined("no items")
    k, n = sum(values), len(values)
    intervals = [wilson(k, n)]
    boot = cluster_bootstrap([float(v) for v in values], facts, draws=draws)
    if not isinstance(boot, Undefined):
        intervals.append(boot)
    low, high = max(intervals, key=lambda ends: ends[1] - ends[0])
    return Estimate(k, n, len(set(facts)), k / n, low, high)


def mean(values: Sequence[float], facts: Sequence[str], *, draws: int = BOOTSTRAP) -> Estimate | Undefined:
    """A mean with its cluster bootstrap interval over facts; with fewer than two facts it has none."""
    if not values:
        return Undefined("no items")
    boot = cluster_bootstrap(values, facts, draws=draws)
    if isinstance(boot, Undefined):
        return boot
    return Estimate(None, len(values), len(set(facts)), float(np.mean(values)), *boot)


def cluster_bootstrap(
    values: Sequence[float], facts: Sequence[str], *, draws: int = BOOTSTRAP
) -> tuple[float, float] | Undefined:
    """95 % percentile interval of the mean when whole facts are drawn with replacement."""
    sums, counts = _by_cluster(values, facts)
    if len(sums) < 2:
        return Undefined("fewer than two facts")
    drawn = _draws(len(sums), draws) @ np.stack([sums, counts], axis=1)
    means = drawn[:, 0] / drawn[:, 1]
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)


def _by_cluster(values: Sequence[float], facts: Sequence[str]) -> tuple[Floats, Floats]:
    if len(values) != len(facts):
        raise ValueError(f"{len(values)} values for {len(facts)} facts")
    order: dict[str, int] = {}
    index = [order.setdefault(fact, len(order)) for fact in facts]
    sums: Floats = np.bincount(index, weights=np.asarray(values, dtype=np.float64)).astype(np.float64)
    counts: Floats = np.bincount(index).astype(np.float64)
    return sums, counts


@lru_cache(maxsize=64)
def _draws(clusters: int, draws: int) -> Floats:
    """How often each cluster is drawn, one row a resample (draws, clusters). One seed: intervals are reproducible."""
    rng = np.random.Generator(np.random.PCG64(20_000 + clusters))
    weights: Floats = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=draws).astype(np.float64)
    weights.setflags(write=False)
    return weights


# Judging a measure ----------------------------------------------------------------------------------------------------


def judge_target(estimate: Estimate | Undefined, target: float, gates_hold: bool = True) -> Outcome:
    """PASS, FAIL or NOT DEMONSTRATED.

    PASS when the interval's low end reaches the target; FAIL when its high end is below it. A target of 100 % is
    passed by no error, a low end of at least 99 % and at least 381 items over at least 100 facts (a bootstrap
    without errors says nothing), and failed by any upper end below 100 %. A measure whose gates do not hold cannot
    pass.
    """
    if isinstance(estimate, Undefined):
        return "NOT DEMONSTRATED"
    if target >= 1.0:
        errors = estimate.n - (estimate.k if estimate.k is not None else 0)
        if errors and estimate.high < 1.0:
            return "FAIL"
        shown = (
            not errors
            and estimate.low >= PERFECT_LOW
            and estimate.n >= PERFECT_ITEMS
            and estimate.facts >= PERFECT_FACTS
        )
        return "PASS" if shown and gates_hold else "NOT DEMONSTRATED"
    if estimate.high < target:
        return "FAIL"
    return "PASS" if estimate.low >= target and gates_hold else "NOT DEMONSTRATED"


# Paired comparison ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Paired:
    """Stage a against stage b on the same items. `difference` is mean(a) - mean(b), in `unit`."""

    difference: float
    low: float
    high: float
    p_sign_flip: float
    p_mcnemar: float | None  # None where the measure is no share
    n: int
    facts: int
    a_only: int | None = None  # items that only a has right
    b_only: int | None = None

    @property
    def p(self) -> float:
        """The larger of the two: no claim rests on the test that happens to be kinder."""
        return self.p_sign_flip if self.p_mcnemar is None else max(self.p_sign_flip, self.p_mcnemar)


def compare_paired(
    a: Sequence[float], b: Sequence[float], facts: Sequence[str], *, binary: bool, draws: int = BOOTSTRAP
) -> Paired | Undefined:
    """Paired difference with a cluster bootstrap interval, a sign-flip test over facts, and exact McNemar if binary."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} items against {len(b)}: not paired")
    if not a:
        return Undefined("no items in common")
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    interval = cluster_bootstrap(list(differences), facts, draws=draws)
    if isinstance(interval, Undefined):
        return interval
    a_only = b_only = None
    p_mcnemar = None
    if binary:
        a_only, b_only = int((differences > 0).sum()), int((differences < 0).sum())
        p_mcnemar = mcnemar_exact(a_only, b_only)
    return Paired(
        float(differences.mean()),
        *interval,
        sign_flip(list(differences), facts),
        p_mcnemar,
        len(a),
        len(set(facts)),
        a_only,
        b_only,
    )


def mcnemar_exact(a_only: int, b_only: int) -> float:
    """Exact two-sided McNemar test on the discordant counts; 1 where there are none."""
    if a_only + b_only == 0:
        return 1.0
    return float(stats.binomtest(min(a_only, b_only), a_only + b_only, 0.5).pvalue)


def sign_flip(differences: Sequence[float], facts: Sequence[str], *, flips: int = SIGN_FLIPS, seed: int = 0) -> float:
    """Two-sided sign-flip test: under no difference each fact's summed difference is as likely to be negated.

    Exact when at most 13 facts differ, otherwise `flips` random sign vectors (with the observed one counted in).
    """
    sums, _ = _by_cluster(differences, facts)
    sums = sums[np.abs(sums) > 1e-12]
    if not len(sums):
        return 1.0
    observed = abs(sums.sum()) - 1e-9
    if len(sums) <= 13:
        bits = (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1
        return float((np.abs((2 * bits - 1) @ sums) >= observed).mean())
    hits = int((np.abs(_signs(len(sums), flips, seed) @ sums) >= observed).sum())
    return (1 + hits) / (1 + flips)


@lru_cache(maxsize=8)
def _signs(count: int, flips: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.Generator(np.random.PCG64(seed))
    signs = rng.integers(0, 2, size=(flips, count), dtype=np.int8) * np.int8(2) - np.int8(1)
    return signs.astype(np.float32)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given (Holm 1979)."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]


# Calibration ----------------------------------------------------------------------------------------------------------


def brier(confidence: Sequence[float], right: Sequence[bool]) -> float | Undefined:
    """Mean squared distance between confidence and outcome."""
    if not confidence:
        return Undefined("no items")
    return float(np.mean((np.asarray(confidence) - np.asarray(right, dtype=np.float64)) ** 2))


def ece(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> float | Undefined:
    """Expected calibration error over equal-width bins: mean |accuracy - confidence|, weighted by a bin's share."""
    if not confidence:
        return Undefined("no items")
    c, r = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    index = np.clip((c * bins).astype(int), 0, bins - 1)
    gap = np.abs(np.bincount(index, weights=r - c, minlength=bins))
    return float(gap.sum() / len(c))


def risk_coverage(confidence: Sequence[float], right: Sequence[bool], points: int = 20) -> dict[str, Any] | Undefined:
    """Error rate among the most confident share of answers: a curve of (coverage, risk) and the area under it."""
    if not confidence:
        return Undefined("no items")
    order = np.argsort(-np.asarray(confidence, dtype=np.float64), kind="stable")
    wrong = 1.0 - np.asarray(right, dtype=np.float64)[order]
    risk = np.cumsum(wrong) / np.arange(1, len(wrong) + 1)
    at = np.unique(np.linspace(1, len(wrong), min(points, len(wrong))).round().astype(int))
    curve = [[float(i / len(wrong)), float(risk[i - 1])] for i in at]
    return {"area": float(risk.mean()), "curve": curve}


def spearman(x: Sequence[float], y: Sequence[float]) -> float | Undefined:
    """Rank correlation; Undefined where either side is constant or has fewer than three values."""
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values against {len(y)}")
    if len(x) < 3:
        return Undefined("fewer than three items")
    if len(set(x)) == 1 or len(set(y)) == 1:
        return Undefined("one side is constant")
    return float(stats.spearmanr(x, y).statistic)


def total_variation(first: Sequence[str], second: Sequence[str]) -> float | Undefined:
    """Half the summed distance between two label distributions: 0 the same, 1 disjoint."""
    if not first or not second:
        return Undefined("no items")
    labels = {*first, *second}
    return 0.5 * sum(abs(first.count(label) / len(first) - second.count(label) / len(second)) for label in labels)


# JSON -----------------------------------------------------------------------------------------------------------------


def as_json(value: Estimate | Undefined | float | None) -> Any:
    """An estimate as a mapping; Undefined as nulls with its reason."""
    if isinstance(value, Undefined):
        return {"k": 0, "n": 0, "facts": 0, "value": None, "low": None, "high": None, "undefined": value.reason}
    if isinstance(value, Estimate):
        out = asdict(value)
        return {key: item for key, item in out.items() if key != "k" or item is not None}
    return value
