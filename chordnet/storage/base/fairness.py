"""Who has to make room when a history is full: those who take the most, down to a common level.

An origin that sends little keeps all of it, however much another sends (max-min fairness; Bertsekas
and Gallager, "Data Networks", 2nd ed., section 6.5.2). Of one origin the oldest messages go first,
so what is kept of it has no gap in it.
"""

from __future__ import annotations

from collections.abc import Iterable


def fair_level(shares: Iterable[int], room: int) -> int:
    """Return the highest level to which all shares can be cut so that their sum fits ``room``.

    Not less than the highest share if all of them fit.
    """
    ordered = sorted(shares)
    left, level = room, room
    for index, share in enumerate(ordered):
        level = left // (len(ordered) - index)
        if share > level:
            return max(0, level)
        left -= share
    return max(ordered, default=room)
