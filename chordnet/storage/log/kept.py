"""Which messages a log keeps, as intervals of numbers of each origin.

Messages come and go in the order received, which is nearly the order of their numbers. So a message
costs a step at one end of an interval, and only the intervals take memory.
"""

from __future__ import annotations

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.messages import MessageId
from chordnet.core.log.ledger import OriginKey


class KeptNumbers:
    """The numbers kept of every origin's lives."""

    def __init__(self) -> None:
        self._origins: dict[OriginKey, Intervals] = {}

    def add(self, message_id: MessageId) -> None:
        """Note that a message is kept."""
        number = message_id.sequence
        bounds = self._origins.setdefault((message_id.origin, message_id.incarnation), [])
        if bounds and bounds[-1] == number:
            bounds[-1] = number + 1
        else:
            intervals.add(bounds, number, number + 1)

    def drop(self, message_id: MessageId) -> None:
        """Note that a message is not kept any more."""
        key = message_id.origin, message_id.incarnation
        bounds = self._origins.get(key, [])
        intervals.remove(bounds, message_id.sequence, message_id.sequence + 1)
        if not bounds:
            self._origins.pop(key, None)

    def of(self, key: OriginKey) -> Intervals:
        """Return the numbers kept of one life of one origin."""
        return list(self._origins.get(key, ()))
