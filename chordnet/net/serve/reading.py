"""Reading a node's message log a batch at a time, as fast as the batches are taken.

A reader remembers only its position in the log; entries are read when they are asked for. There are
two orders: as received (:class:`ReceivedReader`), and per origin
(:class:`OriginReader`, the rules in :mod:`chordnet.core.log.ordering`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.messages import MessageId
from chordnet.core.log.ordering import Missing, OriginOrder, Outcome
from chordnet.net.base.interfaces import MessageLog, StoredMessage
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.observe.traces import Traces
from chordnet.net.observe.views import Views
from chordnet.wire.rpc import MessageRecord, Messages, MessageTrace, Ordered, OrderedEntry

BATCH = 256
"""Messages looked at in one batch."""

_Place = tuple[int, MessageId]


class Reader(Protocol):
    """A place in a log."""

    @property
    def deadline(self) -> float | None:
        """When, on the wall clock, there is more to read even if nothing is recorded."""

    @property
    def reply(self) -> Callable[[int, Any, bool], Messages | Ordered]:
        """Makes the reply to a client from its ``rid`` and what :meth:`read` returned."""

    def read(self) -> tuple[Sequence[MessageRecord | OrderedEntry], bool]:
        """Return the next entries, and whether there is more to read already.

        :raises LocalProtocolError: what came next has been dropped from the log.
        :raises LogFailed: the log cannot be read.
        """


class Source(Protocol):
    """What a reader needs of a node (:class:`chordnet.net.runtime.node.LocalNode`)."""

    log: MessageLog
    views: Views
    traces: Traces
    limits: NetworkLimits
    wall: Callable[[], float]


def open_reader(source: Source, order: str, since: str | None) -> Reader:
    """Return a reader of what comes after the message ``since`` in ``order``.

    :param order: ``received`` or ``origin``.
    :param since: a message id; "" for the oldest kept message, None for what is recorded from
        now on.
    :raises LocalProtocolError: there is no such order, or no such message is kept.
    """
    log = source.log
    place = log.last if since is None else position_of(log, since)
    if order == "received":
        return ReceivedReader(source, place)
    if order == "origin":
        if since is None:
            return OriginReader(source, None, silent_to=place)
        return OriginReader(source, place if since else None)
    raise LocalProtocolError(f"order {order[:20]!r} is not known; use received or origin")


def position_of(log: MessageLog, message_id: str) -> int:
    """Return the position of a message, or for "" the one before the oldest.

    :raises LocalProtocolError: no such message is kept.
    """
    try:
        return log.position(message_id)
    except KeyError:
        raise LocalProtocolError(f"no message {message_id[:120]!r} is kept here") from None


def trace_of(source: Source, message_id: str) -> MessageTrace:
    """Return what a node knows of the way of a message.

    :raises LocalProtocolError: ``message_id`` is not a message id.
    """
    try:
        parsed = MessageId.parse(message_id)
    except ValueError:
        raise LocalProtocolError(f"{message_id[:120]!r} is not a message id") from None
    found = source.log.find(parsed)
    return source.views.trace(str(parsed), found, source.traces.of(parsed))


class ReceivedReader:
    """Reads messages in the order received.

    :param position: the position before that of the first message to read.
    """

    deadline = None
    reply = Messages

    def __init__(self, source: Source, position: int) -> None:
        self._log = source.log
        self._views = source.views
        self._limit = source.limits.reply_bytes
        self._position = position
        self._known_holes = source.log.dropped_to

    def read(self, limit: int | None = None) -> tuple[list[MessageRecord], bool]:
        """Return the next messages, and whether more are kept.

        :param limit: how many are wanted; with the last of these there are no more. None for all.
        """
        log = self._log
        if log.dropped_to > max(self._position, self._known_holes):
            raise _dropped(log, self._position)
        records: list[MessageRecord] = []
        size = 0
        for stored in log.beyond(self._position, BATCH if limit is None else min(limit, BATCH)):
            size += _size(stored.record)
            if records and size > self._limit:
                break
            records.append(self._views.message(stored))
            self._position = stored.position
        wanted = bool(records) and (limit is None or len(records) < limit)
        return records, wanted and self._position < log.last


class OriginReader:
    """Reads messages in per-origin order.

    The order depends on the whole history, so the log is read from its beginning, in batches;
    entries before the starting point are not returned.

    :param after: position of the message to begin after; None to begin with the first.
    :param silent_to: return nothing until the log has been read up to this position.
    """

    reply = Ordered

    def __init__(self, source: Source, after: int | None, silent_to: int = -1) -> None:
        limits = source.limits
        self._log = source.log
        self._views = source.views
        self._limit = limits.reply_bytes
        self._wall = source.wall
        self._order: OriginOrder[_Place] = OriginOrder(limits.order_wait_s, limits.order_held)
        self._after = after
        self._silent_to = silent_to
        self._position = self._log.first - 1
        self._known_holes = self._log.dropped_to
        self._ready: deque[Outcome[_Place]] = deque()
        self._batch: dict[int, StoredMessage] = {}

    @property
    def deadline(self) -> float | None:
        """When, on the wall clock, an entry that is held back will be released."""
        return self._order.deadline

    def read(self) -> tuple[list[OrderedEntry], bool]:
        """Return messages and gaps, and whether there is more to read already."""
        caught_up = False
        if not self._ready:
            caught_up = self._take()
        entries: list[OrderedEntry] = []
        size = 0
        while self._ready and size <= self._limit:
            entry = self._entry(self._ready.popleft())
            entries.append(entry)
            if entry.record is not None:
                size += _size(entry.record)
        self._batch.clear()
        return entries, bool(self._ready) or not caught_up

    def _take(self) -> bool:
        """Put the next messages of the log in order; return whether they were the last ones."""
        log, order = self._log, self._order
        if log.dropped:
            order.whole = False
        if log.dropped_to > max(self._position, self._known_holes):
            self._known_holes = log.dropped_to
            order.cut()
        batch = log.beyond(self._position, BATCH)
        if self._after is not None:
            self._require(self._after, batch)
        for stored in batch:
            place = stored.position, stored.record.id
            self._pass_on(order.push(stored.record.id, stored.received_at, place))
            self._position = stored.position
        self._batch = {stored.position: stored for stored in batch}
        caught_up = not batch or self._position >= log.last
        if caught_up:
            self._pass_on(order.advance(self._wall()))
        return caught_up

    def _require(self, after: int, batch: Sequence[StoredMessage]) -> None:
        """Check that the message to begin after is still kept when the batch reaches it.

        :raises LocalProtocolError: it has been dropped.
        """
        last = batch[-1].position if batch else self._log.last
        if self._position < after <= last and all(kept.position != after for kept in batch):
            raise _dropped(self._log, self._position)

    def _pass_on(self, outcomes: list[Outcome[_Place]]) -> None:
        """Queue the outcomes that lie behind the starting point."""
        for outcome in outcomes:
            if self._after is not None:
                if not isinstance(outcome, Missing) and outcome.item[0] == self._after:
                    self._after = None
            elif self._position >= self._silent_to:
                self._ready.append(outcome)

    def _entry(self, outcome: Outcome[_Place]) -> OrderedEntry:
        if isinstance(outcome, Missing):
            # A gap is always reported before a message of the same origin, whose route names it.
            following = self._ready[0]
            assert not isinstance(following, Missing)
            stored = self._stored(following.item[0])
            name = stored.record.route[0].name if stored is not None else ""
            return OrderedEntry(None, gap=self._views.gap(outcome, name))
        position, message_id = outcome.item
        stored = self._stored(position)
        if stored is None:  # it was dropped while it was held back
            number = message_id.sequence
            gone = Missing(message_id.origin, message_id.incarnation, number, number, dropped=True)
            return OrderedEntry(None, gap=self._views.gap(gone, ""))
        return OrderedEntry(self._views.message(stored), outcome.late)

    def _stored(self, position: int) -> StoredMessage | None:
        stored = self._batch.get(position)
        if stored is None:
            found = self._log.beyond(position - 1, 1)
            stored = found[0] if found and found[0].position == position else None
        return stored


def _dropped(log: MessageLog, position: int) -> LocalProtocolError:
    missing = log.missing_beyond(position)
    return LocalProtocolError(
        f"{missing} messages were dropped from the log before they could be sent;"
        " read faster, and follow again from what is kept"
    )


def _size(record: Record | MessageRecord) -> int:
    """Estimate how many bytes a record takes in a reply."""
    return len(record.body) + 160 * len(record.route) + 128
