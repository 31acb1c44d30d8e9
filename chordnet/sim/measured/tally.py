"""Counts of lookups, any number of them in little space, with their means and errors.

Lookups on one ring are not independent, so a :class:`Tally` is of one ring, and the error of a mean
comes from how far the rings' means lie apart. Few rings may lie close together by chance, so the
error is never taken to be less than if the lookups were independent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import ceil, sqrt
from statistics import fmean, stdev
from typing import NamedTuple

import attrs

from chordnet.sim.world.meter import Measured


class Look(NamedTuple):
    """What is counted of one lookup."""

    path: int
    timeouts: int = 0
    way_timeouts: int = 0
    """Those before the last edge."""
    failed: bool = False
    """No owner was found, or a wrong one."""


Of = Callable[[Look], float]
"""Returns one property of a lookup."""


@attrs.frozen
class Tally:
    """The lookups of one ring."""

    looks: dict[Look, int]

    @classmethod
    def of(cls, looks: Iterable[Look]) -> Tally:
        """Count lookups."""
        return cls(dict(Counter(looks)))

    @classmethod
    def measured(cls, lookups: Iterable[Measured]) -> Tally:
        """Count lookups of the protocol core."""
        return cls.of(
            Look(each.path, each.timeouts, each.way_timeouts, bool(each.failure) or not each.done)
            for each in lookups
        )

    @property
    def count(self) -> int:
        """How many lookups there are."""
        return sum(self.looks.values())

    def mean(self, of: Of) -> float:
        """Return the mean of a property."""
        return sum(of(look) * times for look, times in self.looks.items()) / self.count

    def variance(self, of: Of) -> float:
        """Return the variance of single lookups."""
        mean = self.mean(of)
        return (
            sum(times * (of(each) - mean) ** 2 for each, times in self.looks.items()) / self.count
        )

    def percentile(self, part: float, of: Of) -> float:
        """Return the lowest value that at least this part of the lookups does not exceed."""
        wanted, seen = ceil(part * self.count), 0
        for value, times in sorted((of(look), times) for look, times in self.looks.items()):
            seen += times
            if seen >= wanted:
                return value
        raise ValueError(f"{part} is more than all of them")


def mean_of(tallies: Sequence[Tally], of: Of) -> float:
    """Return the mean of all lookups."""
    count = sum(tally.count for tally in tallies)
    return sum(tally.mean(of) * tally.count for tally in tallies) / count


def error_of(tallies: Sequence[Tally], of: Of) -> float | None:
    """Return the standard error of that mean; None for one tally, which says nothing of others."""
    if len(tallies) < 2:
        return None
    between = spread_of(tallies, of) / sqrt(len(tallies))
    count = sum(tally.count for tally in tallies)
    within = sum(tally.variance(of) * tally.count for tally in tallies) / count
    return max(between, sqrt(within / count))


def spread_of(tallies: Sequence[Tally], of: Of) -> float:
    """Return how much the mean of one ring differs from the next, as a standard deviation.

    A published figure from a single network may be off by that. 0 for a single ring.
    """
    return stdev(tally.mean(of) for tally in tallies) if len(tallies) > 1 else 0.0


def percentile_of(tallies: Sequence[Tally], part: float, of: Of) -> float:
    """Return the mean of the rings' percentiles."""
    return fmean(tally.percentile(part, of) for tally in tallies)


def distribution(tallies: Sequence[Tally]) -> dict[int, int]:
    """Return how many lookups have a path of which length."""
    paths: Counter[int] = Counter()
    for tally in tallies:
        for look, times in tally.looks.items():
            paths[look.path] += times
    return dict(sorted(paths.items()))
