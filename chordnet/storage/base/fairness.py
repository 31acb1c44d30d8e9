"""Which origins have to make room in a full history: the largest, down to a common level.

An origin that sends little keeps all of its messages, however much another one sends (max-min
fairness; Bertsekas and Gallager, "Data Networks", 2nd ed., section 6.5.2). The oldest messages
of an origin are dropped first, so what is kept of it has no gap.
"""

from __future__ import annotations

from collections.abc import Iterable


def fair_level(shares: Iterable[int], room: int) -> int:
    """Return the highest level such that the shares, each cut to it, fit into ``room``.

    If all shares fit uncut, the level is not lower than the highest share.
    """
    ordered = sorted(shares)
    left, level = room, room
    for index, share in enumerate(ordered):
        level = left // (len(ordered) - index)
        if share > level:
            return max(0, level)
        left -= share
    return max(ordered, default=room)
