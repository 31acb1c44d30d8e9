"""The message log and a node's state kept in memory, for a node that needs no disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from chordnet.core.effects import Record
from chordnet.core.intervals import Intervals
from chordnet.core.ledger import Ledger, OriginKey
from chordnet.core.messages import MessageId, NodeRef, OriginState
from chordnet.storage.kept import KeptNumbers
from chordnet.storage.paging import KeptMessage, PagedLog


class MemoryLog(PagedLog):
    """Implements :class:`chordnet.net.interfaces.MessageLog`; the oldest messages go first.

    :param max_messages: how many messages are kept.
    :param max_bytes: how many bytes of bodies and routes (estimated) are kept.
    """

    def __init__(self, max_messages: int = 100_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._kept: list[KeptMessage | None] = []
        self._start = 0
        self._offset = 0
        self._positions: dict[MessageId, int] = {}
        self._numbers = KeptNumbers()
        self.bytes = 0
        self.failed = ""
        """Why nothing more can be kept: memory never says."""
        self.spoiled: set[MessageId] = set()
        """Messages found damaged: never any."""
        self.waiting = 0
        """How many messages wait for a checkpoint: never any."""

    def __len__(self) -> int:
        return len(self._kept) - self._start

    @property
    def first(self) -> int:
        return self._offset + self._start

    @property
    def last(self) -> int:
        return self._offset + len(self._kept) - 1

    @property
    def dropped(self) -> int:
        """How many messages had to go because of the limits."""
        return self.first

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Keep ``record`` as the newest."""
        kept = KeptMessage(self._offset + len(self._kept), received_at, record)
        self._kept.append(kept)
        self._positions[record.id] = kept.position
        self._numbers.add(record.id)
        self.bytes += _cost(record)
        while len(self) > self._max_messages or (self.bytes > self._max_bytes and len(self) > 1):
            self._drop_oldest()
        return kept

    def skip(self, ids: Iterable[MessageId]) -> None:
        """Nothing outlives this log, so nothing has to be remembered."""

    def commit(self) -> None:
        """Memory is all that was promised."""

    def checkpoint(self) -> None:
        """Nothing was left for later."""

    def ledger(self) -> list[OriginState]:
        """Return what is recorded: a node that starts again in this process goes on from here."""
        ledger = Ledger(len(self._positions) + 1, len(self._positions) + 1)
        for message_id in self._positions:
            ledger.add(message_id)
        return ledger.states(None, len(self._positions) + 1, len(self._positions) + 1)

    def kept(self, key: OriginKey) -> Intervals:
        return self._numbers.of(key)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        position = self._positions.get(message_id)
        return None if position is None else self._kept[position - self._offset]

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        return self._slice(max(self._start, position + 1 - self._offset), limit)

    def close(self) -> None:
        """Nothing to release."""

    def _slice(self, start: int, limit: int) -> list[KeptMessage]:
        return [kept for kept in self._kept[start : start + limit] if kept is not None]

    def _drop_oldest(self) -> None:
        oldest = self._kept[self._start]
        assert oldest is not None
        self._kept[self._start] = None
        self._start += 1
        self.bytes -= _cost(oldest.record)
        del self._positions[oldest.record.id]
        self._numbers.drop(oldest.record.id)
        # Moving the rest once per halving keeps the cost of a drop constant on average.
        if self._start * 2 > len(self._kept):
            del self._kept[: self._start]
            self._offset += self._start
            self._start = 0


def _cost(record: Record) -> int:
    return len(record.body) + 64 * len(record.route) + 256


def fresh_incarnation(wall: float) -> int:
    """Return an incarnation for a start at ``wall`` seconds since 1970.

    Milliseconds, so that a node without a state directory may be restarted at once.
    """
    return int(wall * 1000)


class MemoryState:
    """Implements :class:`chordnet.net.interfaces.NodeState` for a node without a directory.

    :param wall: returns the wall clock in seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._last = 0
        self._peers: list[NodeRef] = []

    def next_incarnation(self) -> int:
        """Return a number higher than any before in this object."""
        self._last = max(self._last + 1, fresh_incarnation(self._wall()))
        return self._last

    def known_peers(self) -> list[NodeRef]:
        """Return what :meth:`keep_peers` was given last."""
        return list(self._peers)

    def keep_peers(self, peers: Sequence[NodeRef]) -> None:
        """Remember ``peers`` until the object goes."""
        self._peers = list(peers)

    def close(self) -> None:
        """Nothing to release."""
