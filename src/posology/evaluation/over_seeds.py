"""One stage against another over several training seeds: a claim about the method, not about one run.

The unit is the fact: its difference (mean of a - mean of b over its questions) is averaged over the seeds in which it
was asked, and facts are resampled, or have their signs flipped. Seeds are few, so they are no unit of a test; what
they must show is the same sign, each for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posology.evaluation.statistics import BOOTSTRAP, Undefined, cluster_bootstrap, sign_flip

Differences = Mapping[str, float]  # fact -> a - b in one seed


@dataclass(frozen=True)
class OverSeeds:
    """a - b, in the measure's unit. `by_seed` holds each seed's own mean over its facts."""

    difference: float
    low: float
    high: float
    p: float
    facts: int
    by_seed: tuple[float, ...]

    @property
    def same_sign(self) -> bool:
        """Whether every seed shows the sign of the whole."""
        return all(value * self.difference > 0 for value in self.by_seed)


def over_seeds(seeds: Sequence[Differences], draws: int = BOOTSTRAP) -> OverSeeds | Undefined:
    """Difference, 95 % interval and two-sided sign-flip p over facts; Undefined for fewer than two facts in any seed."""
    if not seeds or any(len(seed) < 2 for seed in seeds):
        return Undefined("fewer than two facts in a seed")
    facts = sorted({fact for seed in seeds for fact in seed})
    means = []
    for fact in facts:
        values = [seed[fact] for seed in seeds if fact in seed]
        means.append(sum(values) / len(values))
    interval = cluster_bootstrap(means, facts, draws=draws)
    if isinstance(interval, Undefined):
        return interval
    by_seed = tuple(sum(seed.values()) / len(seed) for seed in seeds)
    return OverSeeds(sum(means) / len(means), *interval, sign_flip(means, facts), len(facts), by_seed)
