"""What other nodes say they do not keep, until two of them have said so.

A number that no node keeps any more must be given up, or it would be asked for forever. One node's
word is not enough: a liar could make others give up what is still to come. So one node's word is a
*doubt*, and a number is given up when a second node says the same. A number that only one node ever
knew, and dropped, stays in doubt.
"""

from __future__ import annotations

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.core.log.ledger import OriginKey

MAX_DOUBTED = 1024
"""Bounds of doubted ranges that one node may have; beyond that, its earlier ones are dropped."""


class Doubts:
    """The doubted numbers, by the node that does not keep them."""

    def __init__(self) -> None:
        self._said: dict[bytes, dict[OriginKey, Intervals]] = {}

    def __len__(self) -> int:
        """Return how many bounds of ranges are remembered."""
        return sum(len(each) for said in self._said.values() for each in said.values())

    def add(self, teller: bytes, key: OriginKey, lacked: Intervals) -> Intervals:
        """Note that ``teller`` does not keep ``lacked``; return what two nodes do not keep."""
        sure: Intervals = []
        for raw, said in self._said.items():
            if raw != teller and key in said:
                for first, end in intervals.pairs(intervals.both(lacked, said[key])):
                    intervals.add(sure, first, end)
        for said in self._said.values():
            if key in said:
                said[key] = intervals.minus(said[key], sure)
        doubted = intervals.minus(lacked, sure)
        if doubted:
            own = self._said.setdefault(teller, {})
            if sum(map(len, own.values())) + len(doubted) > MAX_DOUBTED:
                own.clear()
            mine = own.setdefault(key, [])
            for first, end in intervals.pairs(doubted):
                intervals.add(mine, first, end)
        return sure

    def forget(self, teller: bytes) -> None:
        """Drop what one node said."""
        self._said.pop(teller, None)
