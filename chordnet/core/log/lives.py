"""How many new origins a node takes broadcasts of: of one sender, and of one name.

Every start of a node is an origin of its own, and what is remembered of an origin takes room that
others want. A peer could make up any number of them, or start again and again. So broadcasts of
origins of which nothing is recorded are taken only up to a number at once and a number a second, of
each peer that brings them and of each name that they bear. Further ones are refused; an honest
node sends them again.

Anti-entropy needs no such limit: one exchange asks for few ranges.
"""

from __future__ import annotations

from collections import OrderedDict

from chordnet.core.base.messages import MessageId
from chordnet.core.kernel.context import Context
from chordnet.core.log.ledger import Ledger, OriginKey

ORIGINS_AT_ONCE = 4096
ORIGINS_PER_S = 256.0
"""New origins that one peer may bring at once, and every second in the long run: far more than one
node of a network of ten thousand passes on when all of them start and send."""
LIVES_AT_ONCE = 64
LIVES_PER_S = 1.0
"""Starts of one node of which broadcasts are taken: more than a node that crashes again and again
can make."""
MOST_REMEMBERED = 4096
"""Peers, names and new origins that are remembered."""


class _Bucket:
    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class _Buckets:
    """A token bucket for each key.

    :param burst: the most that may be saved up.
    :param per_s: what is added every second.
    """

    def __init__(self, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()

    def of(self, key: bytes, now: float) -> _Bucket:
        """Return the bucket of ``key``, filled up to this moment."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(self._burst, now)
            if len(self._buckets) > MOST_REMEMBERED:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        bucket.left = min(self._burst, bucket.left + (now - bucket.at) * self._per_s)
        bucket.at = now
        return bucket


class NewOrigins:
    """Counts the new origins that are taken.

    :param ledger: says of which origins something is recorded.
    """

    def __init__(self, ctx: Context, ledger: Ledger) -> None:
        self._ctx = ctx
        self._ledger = ledger
        self._of_senders = _Buckets(ORIGINS_AT_ONCE, ORIGINS_PER_S)
        self._of_names = _Buckets(LIVES_AT_ONCE, LIVES_PER_S)
        self._taken: OrderedDict[OriginKey, None] = OrderedDict()
        """Those of which headers may have come, and nothing is recorded yet."""

    def take(self, sender: bytes, first: MessageId) -> bool:
        """Return True if a broadcast may be taken from ``sender``; count its origin if it is new.

        One that was taken before is not counted again.
        """
        origin, now = (first.origin, first.incarnation), self._ctx.now
        if self._ledger.last(*origin) or origin in self._taken:
            return True
        brought = self._of_senders.of(sender, now)
        lives = self._of_names.of(origin[0], now)
        if brought.left < 1 or lives.left < 1:
            return False
        brought.left -= 1
        lives.left -= 1
        self._taken[origin] = None
        if len(self._taken) > MOST_REMEMBERED:
            self._taken.popitem(last=False)
        return True
