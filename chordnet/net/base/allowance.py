"""What a node grants to those who make it work: so much at a time, and so much a second.

:class:`Allowance` is a token bucket. :class:`Load` counts the bytes that are held for those who ask
the node to broadcast. Limits of single connections do not bound a node: many clients, each within
its own limit, could together make it hold more than its machine or container has. So there is one
total, over all clients and the node's own program: the bodies of broadcasts that are not confirmed
yet, the receipts that a client has not read, and the values of keys that are being written. Beyond
it a further one is refused as busy.
"""

from __future__ import annotations

from chordnet.core.base.errors import Busy


class Allowance:
    """A token bucket: so many together, and so many a second in the long run.

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
        if not self.has(now):
            return False
        self._left -= 1
        return True

    def has(self, now: float) -> bool:
        """Return True if there is one left."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._per_s)
        self._at = now
        return self._left >= 1


class Load:
    """Counts the bytes that are held.

    :param limit: the most bytes; a single broadcast or value is let in even if it is longer.
    """

    __slots__ = ("_limit", "held")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = 0
        """Bytes held now."""

    def take(self, size: int) -> None:
        """Hold ``size`` bytes of a new broadcast or value.

        :raises Busy: too much is held already; nothing was added.
        """
        if self.held and self.held + size > self._limit:
            raise Busy(
                f"{self.held} bytes of messages are in flight through this node; "
                "retry after a moment"
            )
        self.held += size

    def keep(self, size: int) -> None:
        """Hold ``size`` bytes of an answer, which cannot be refused any more."""
        self.held += size

    def give(self, size: int) -> None:
        """Let go of ``size`` bytes."""
        self.held -= size
