"""A token bucket: it allows a burst, and a fixed rate in the long run."""

from __future__ import annotations


class Allowance:
    """What may be spent.

    :param burst: the most that may be saved up.
    :param per_s: what is added every second.
    :param now: seconds on a clock that never goes back.
    """

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, burst: float, per_s: float, now: float) -> None:
        self._burst = self._left = burst
        self._per_s = per_s
        self._at = now

    def take(self, now: float) -> bool:
        """Spend one; return False, and spend nothing, if there is not one left."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
