"""The answer to a node that lacks messages: those kept here, and which are not kept."""

from __future__ import annotations

from chordnet.core.base import intervals
from chordnet.core.base.effects import Record
from chordnet.core.base.limits import MAX_RANGES
from chordnet.core.base.messages import MessageId, Range
from chordnet.net.base.interfaces import MessageLog

GIVE_BYTES = 512 * 1024
GIVE_MESSAGES = 512
"""Bodies, in bytes, and messages that one answer gives to a node that lacks them."""
_PROOF_BYTES = 128
_HASH_BYTES = 32
"""Bytes of a message's seal, and of each hash in it."""


class Giving:
    """Collects one answer.

    :param log: where the messages are kept.
    :param sealed: those that are kept without a seal count as not kept.
    """

    def __init__(self, log: MessageLog, *, sealed: bool = False) -> None:
        self._log = log
        self._sealed = sealed
        self._room = GIVE_BYTES
        self.found: list[Record] = []
        """The messages that are kept."""
        self.lost: list[Range] = []
        """The ranges that are not."""

    def give(self, ranges: list[Range]) -> bool:
        """Collect the answer for ``ranges``; return False if it became full before their end.

        :raises LogFailed: the log cannot be read.
        """
        return all(map(self._give, ranges))

    def _give(self, asked: Range) -> bool:
        kept = self._log.kept((asked.origin, asked.incarnation))
        start = asked.first
        for first, end in intervals.pairs(intervals.both([asked.first, asked.end], kept)):
            self._miss(asked, start, first)
            for number in range(first, end):
                if len(self.found) >= GIVE_MESSAGES or not self._catch(asked, number):
                    return False
            start = end
        self._miss(asked, start, asked.end)
        return len(self.lost) < MAX_RANGES

    def _catch(self, asked: Range, number: int) -> bool:
        kept = self._log.find(MessageId(asked.origin, asked.incarnation, number))
        # None: it has just been found damaged. It is not lost, since other nodes may give it back.
        if kept is not None:
            record = kept.record
            if self._sealed and record.proof is None:
                self._miss(asked, number, number + 1)
                return len(self.lost) < MAX_RANGES
            self._room -= len(record.body)
            if record.proof is not None:
                self._room -= _PROOF_BYTES + _HASH_BYTES * len(record.proof.path)
            if self._room < 0:
                return False
            self.found.append(record)
        return True

    def _miss(self, asked: Range, first: int, end: int) -> None:
        missing = [first, end] if first < end else []
        # What was found damaged here may come back, so it must not be reported as lost.
        for each in self._log.spoiled:
            if (each.origin, each.incarnation) == (asked.origin, asked.incarnation):
                intervals.remove(missing, each.sequence, each.sequence + 1)
        for start, stop in intervals.pairs(missing):
            begin = start
            if self.lost and _borders(self.lost[-1], asked, start):
                begin = self.lost.pop().first
            if len(self.lost) < MAX_RANGES:
                self.lost.append(Range(asked.origin, asked.incarnation, begin, stop))


def _borders(lost: Range, asked: Range, start: int) -> bool:
    """Return True if ``lost`` ends where the number ``start`` of what was asked for begins."""
    key = asked.origin, asked.incarnation
    return (lost.origin, lost.incarnation) == key and lost.end == start
