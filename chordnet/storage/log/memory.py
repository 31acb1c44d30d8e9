"""The message log and the state of a node that keeps nothing on disk."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from chordnet.core.base.effects import Record
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.messages import LedgerState, MessageId, NodeRef, Range
from chordnet.core.log.ledger import Ledger, OriginKey
from chordnet.storage.base.fairness import fair_level
from chordnet.storage.base.limits import HISTORY_BYTES, SPARE
from chordnet.storage.base.paging import KeptMessage, PagedLog
from chordnet.storage.log.kept import KeptNumbers


class MemoryLog(PagedLog):
    """Implements :class:`chordnet.net.base.interfaces.MessageLog`.

    :param max_messages: how many messages are kept.
    :param max_bytes: how many bytes of bodies and routes (estimated) are kept. The oldest messages
        of the largest origins are dropped first (:mod:`chordnet.storage.base.fairness`).
    """

    def __init__(self, max_messages: int = 100_000, max_bytes: int = HISTORY_BYTES) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._kept: list[KeptMessage] = []
        self._next = 0
        self._by_id: dict[MessageId, KeptMessage] = {}
        self._numbers = KeptNumbers()
        self._dropped_to = -1
        self.bytes = 0
        self.failed = ""
        """Why nothing more can be kept; always empty."""
        self.spoiled: set[MessageId] = set()
        """Messages found damaged; always empty."""
        self.waiting = 0
        """How many messages wait for a checkpoint; always 0."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def first(self) -> int:
        return self._kept[0].position if self._kept else self._next

    @property
    def last(self) -> int:
        return self._next - 1

    @property
    def dropped_to(self) -> int:
        return self._dropped_to

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Keep ``record`` as the newest, unless it is kept already."""
        earlier = self.find(record.id)
        if earlier is not None:
            return earlier
        kept = KeptMessage(self._next, received_at, record)
        self._next += 1
        self._kept.append(kept)
        self._by_id[record.id] = kept
        self._numbers.add(record.id)
        self.bytes += _cost(record)
        if self.bytes > self._max_bytes:
            self._make_room(_cost, self._max_bytes - self._max_bytes // SPARE)
        if len(self._kept) > self._max_messages:
            self._make_room(lambda _record: 1, self._max_messages - self._max_messages // SPARE)
        return kept

    def skip(self, ranges: Iterable[Range]) -> None:
        """Do nothing: this log does not outlive the process."""

    def commit(self) -> None:
        """Do nothing: a message is kept as soon as it is appended."""

    def checkpoint(self) -> None:
        """Do nothing: commits leave nothing for later."""

    def ledger(self) -> list[LedgerState]:
        """Return what is recorded, for a node that starts again in this process."""
        ledger = Ledger(len(self._by_id) + 1)
        for message_id in self._by_id:
            ledger.add(message_id)
        return ledger.states()

    def kept(self, key: OriginKey) -> Intervals:
        return self._numbers.of(key)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        return self._by_id.get(message_id)

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        start = bisect_right(self._kept, position, key=_position)
        return self._kept[start : start + limit]

    def missing_beyond(self, position: int) -> int:
        kept = len(self._kept) - bisect_right(self._kept, position, key=_position)
        return max(0, self.last - position - kept)

    def _before_newest(self, limit: int) -> int:
        return self._kept[-limit].position - 1 if limit > 0 else self.last

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _make_room(self, cost: Callable[[Record], int], room: int) -> None:
        """Drop the oldest messages of the largest origins; never the newest message of all.

        This goes through all kept messages, so it makes more room than needed (``SPARE``).
        """
        shares: Counter[bytes] = Counter()
        for each in self._kept:
            shares[each.record.id.origin] += cost(each.record)
        level, total = fair_level(shares.values(), room), shares.total()
        newest = self._kept.pop()
        kept: list[KeptMessage] = []
        for each in self._kept:
            record = each.record
            if total > room and shares[record.id.origin] > level:
                shares[record.id.origin] -= cost(record)
                total -= cost(record)
                self.bytes -= _cost(record)
                self._by_id.pop(record.id, None)
                self._numbers.drop(record.id)
                self._dropped_to = max(self._dropped_to, each.position)
            else:
                kept.append(each)
        self._kept = [*kept, newest]


def _position(kept: KeptMessage) -> int:
    return kept.position


def _cost(record: Record) -> int:
    proof = record.proof
    seal = 0 if proof is None else 256 + 96 * len(proof.path)
    return len(record.body) + 64 * len(record.route) + 256 + seal


def fresh_incarnation(wall: float) -> int:
    """Return an incarnation for a start at ``wall`` seconds since 1970.

    Milliseconds, so that a node without a state directory may be restarted within a second.
    """
    return int(wall * 1000)


class MemoryState:
    """Implements :class:`chordnet.net.base.interfaces.NodeState` for a node without a directory.

    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._last = 0
        self._peers: list[NodeRef] = []

    def next_incarnation(self) -> int:
        """Return a number higher than all that this object has returned."""
        self._last = max(self._last + 1, fresh_incarnation(self._wall()))
        return self._last

    def known_peers(self) -> list[NodeRef]:
        """Return what :meth:`keep_peers` was given last."""
        return list(self._peers)

    def keep_peers(self, peers: Sequence[NodeRef]) -> None:
        """Remember ``peers`` as long as this object lives."""
        self._peers = list(peers)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
