"""Order statistics, pure: medians, percentiles and ratios taken round by round."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile, which is always one of the samples.

    Args:
        samples: At least one measurement, in any order.
        percent: Above 0, at most 100.

    Raises:
        ValueError: There are no samples, or `percent` is out of range.
    """
    if not samples:
        raise ValueError("a percentile needs at least one sample")
    if not 0 < percent <= 100:
        raise ValueError(f"a percentile lies in (0, 100], not at {percent}")
    rank = math.ceil(len(samples) * percent / 100)
    return sorted(samples)[rank - 1]


def median(samples: Sequence[float]) -> float:
    """Return the middle sample, or the mean of the middle two.

    Raises:
        ValueError: There are no samples.
    """
    if not samples:
        raise ValueError("a median needs at least one sample")
    ordered = sorted(samples)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return the median of the ratios ours/theirs of each round.

    Both sides of one round were measured within seconds of each other, so the
    drift of the machine cancels out, which it does not in a ratio of medians.
    Rounds that only one side finished are left out; without a common round
    there is no ratio.
    """
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b > 0]
    return median(ratios) if ratios else None


def median_interval(
    samples: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Return an interval of two samples for the median of what they were drawn from.

    That median lies below the k-th smallest sample only if fewer than k of them fell below it, and
    each does so or not as a fair coin falls. The shape of their distribution does not matter.

    Returns:
        The narrowest such interval of at least this confidence; None if there are too few samples.
    """
    count, missed, found = len(samples), 0.0, None
    ordered = sorted(samples)
    for index in range(count // 2):
        missed += 2 * math.comb(count, index) / 2**count
        if missed > 1 - confidence:
            break
        found = ordered[index], ordered[-1 - index]
    return found


def spread(samples: Sequence[float]) -> float:
    """Return (largest - smallest) / median: how much the rounds disagree."""
    middle = median(samples)
    return (max(samples) - min(samples)) / middle if middle else 0.0
