"""Labels pushed apart: as near as possible to where they belong, without overlap."""

from __future__ import annotations

from collections.abc import Sequence


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places at least ``gap`` apart, in the same order, nearest to the ``wanted`` ones.

    The sum of the squared displacements is the least possible: with ``gap`` taken out this is
    isotonic regression, solved by pooling adjacent violators (Barlow et al., "Statistical
    Inference under Order Restrictions", 1972). Where ``low`` to ``high`` has no room for all, the
    gap shrinks.

    :param wanted: ascending.
    """
    count = len(wanted)
    gap = min(gap, (high - low) / max(count - 1, 1))
    pools: list[tuple[float, int]] = []
    for index, place in enumerate(wanted):
        mean, size = place - index * gap, 1
        while pools and pools[-1][0] > mean:
            other, weight = pools.pop()
            mean = (mean * size + other * weight) / (size + weight)
            size += weight
        pools.append((mean, size))
    top = high - (count - 1) * gap
    flat = [min(max(mean, low), top) for mean, size in pools for _ in range(size)]
    return [place + index * gap for index, place in enumerate(flat)]
