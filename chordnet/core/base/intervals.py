"""Sets of whole numbers as sorted intervals, in flat lists.

``[a, b, c, d]`` stands for the numbers ``a <= n < b`` and ``c <= n < d``. The bounds ascend
strictly, so intervals that touch are one. The time of an operation depends on the number of
intervals, never on the size of the numbers: however wide a range a peer names, it is not walked
through.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Intervals = list[int]
"""First number and the number after the last, interval by interval."""


def is_sound(bounds: Intervals, limit: int) -> bool:
    """Return True if ``bounds`` are intervals of numbers from 1 up to ``limit``."""
    last = 0
    for bound in bounds:
        if bound <= last:
            return False
        last = bound
    return len(bounds) % 2 == 0 and last <= limit


def contains(bounds: Intervals, number: int) -> bool:
    """Return True if ``number`` is in the set."""
    return bool(bisect_right(bounds, number) & 1)


def add(bounds: Intervals, first: int, end: int) -> None:
    """Add the numbers from ``first`` to before ``end``."""
    i, j = bisect_left(bounds, first), bisect_right(bounds, end)
    bounds[i:j] = ([] if i & 1 else [first]) + ([] if j & 1 else [end])


def remove(bounds: Intervals, first: int, end: int) -> None:
    """Remove the numbers from ``first`` to before ``end``."""
    i, j = bisect_left(bounds, first), bisect_right(bounds, end)
    bounds[i:j] = ([first] if i & 1 else []) + ([end] if j & 1 else [])


def pairs(bounds: Intervals) -> Iterator[tuple[int, int]]:
    """Yield the intervals, each its first number and the number after its last."""
    return zip(bounds[::2], bounds[1::2], strict=True)


def count(bounds: Intervals) -> int:
    """Return how many numbers the set has."""
    return sum(bounds[1::2]) - sum(bounds[::2])


def of(numbers: Iterable[int]) -> Intervals:
    """Return the set of ``numbers``, which ascend."""
    bounds: Intervals = []
    for number in numbers:
        if bounds and bounds[-1] == number:
            bounds[-1] = number + 1
        else:
            bounds += (number, number + 1)
    return bounds


def minus(these: Intervals, those: Intervals) -> Intervals:
    """Return what is in ``these`` and not in ``those``."""
    left: Intervals = []
    j = 0
    for first, end in pairs(these):
        while j < len(those) and those[j + 1] <= first:
            j += 2
        k, start = j, first
        while k < len(those) and those[k] < end:
            if those[k] > start:
                left += (start, those[k])
            start = those[k + 1]
            k += 2
        if start < end:
            left += (start, end)
    return left


def both(these: Intervals, those: Intervals) -> Intervals:
    """Return what is in ``these`` and in ``those``."""
    found: Intervals = []
    i = j = 0
    while i < len(these) and j < len(those):
        first, end = max(these[i], those[j]), min(these[i + 1], those[j + 1])
        if first < end:
            found += (first, end)
        if these[i + 1] < those[j + 1]:
            i += 2
        else:
            j += 2
    return found


def narrowest_gap(bounds: Intervals) -> tuple[int, int]:
    """Return the narrowest gap between two intervals, the lowest if there are several.

    :returns: its first number and the number after its last.
    """
    return min(pairs(bounds[1:-1]), key=lambda gap: gap[1] - gap[0])
