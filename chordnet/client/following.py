"""A client's side of following: messages that a node sends are passed to a callback."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from chordnet.core.base.errors import (
    ChordnetError,
    LocalProtocolError,
    RemoteProtocolError,
    TimedOut,
)
from chordnet.wire.rpc import MessageRecord, Messages, Order, Ordered, OrderedEntry


class Unfollows(Protocol):
    """What a following uses of :class:`chordnet.client.channel.Channel`."""

    def unfollow(self, rid: int) -> None:
        """Forget a following, and have the node end it."""


class Follows(Protocol):
    """What a listing uses of :class:`chordnet.client.P2PNetClient`."""

    @property
    def address(self) -> str: ...
    def follow(
        self,
        callback: Callable[[Any], object],
        since: str = "",
        order: Order = "received",
        caught_up: Callable[[], object] = ...,
    ) -> Following: ...


class Following:
    """A running :meth:`P2PNetClient.follow`.

    ``finished`` fires with None after :meth:`stop` or the client's ``close``. It fails with
    :class:`ConnectFailed` when the connection is lost, with :class:`LocalProtocolError` when the
    node dropped messages before they could be sent, and with what the callback raises.
    """

    def __init__(
        self,
        channel: Unfollows,
        rid: int,
        callback: Callable[[Any], object],
        caught_up: Callable[[], object],
        order: Order,
    ) -> None:
        self._channel = channel
        self._rid = rid
        self._callback = callback
        self._caught_up = caught_up
        self._order = order
        self._ended = False
        self.finished: Deferred[None] = Deferred(lambda _finished: self.stop())

    def stop(self) -> None:
        """Stop calling the callback; stopping twice is fine."""
        self._channel.unfollow(self._rid)
        self._finish(None)

    def received(self, reply: Any) -> None:
        """Pass messages to the callback, one by one."""
        if isinstance(reply, Ordered):
            self._hand_on(reply.entries, reply.more)
        elif self._order == "received" and isinstance(reply, Messages):
            self._hand_on(reply.messages, reply.more)
        else:
            self._channel.unfollow(self._rid)
            self._finish(RemoteProtocolError("the node's program is too old for per-origin order"))

    def _hand_on(self, entries: Sequence[MessageRecord | OrderedEntry], more: bool) -> None:
        try:
            for entry in entries:
                if self._ended:
                    return
                _plain(self._callback(entry))
            if not (more or self._ended):
                _plain(self._caught_up())
        except Exception as error:  # noqa: BLE001 - the caller's own, handed to it
            self._channel.unfollow(self._rid)
            self._finish(error)

    def ended(self, error: ChordnetError) -> None:
        """Finish with an error: nothing more will come."""
        self._finish(error)

    def _finish(self, error: Exception | None) -> None:
        self._ended = True
        if self.finished.called:
            return
        if error is None:
            self.finished.callback(None)
        else:
            self.finished.errback(error)


def _plain(result: object) -> None:
    """Refuse a coroutine: messages would keep coming while it waits.

    :raises LocalProtocolError: it is one.
    """
    if isinstance(result, Coroutine):
        result.close()
        raise LocalProtocolError("a follower's callback must be a plain function, not async def")


class Listing:
    """A running :meth:`P2PNetClient.get_ordered`: a following that ends when it has caught up.

    :param limit: the most messages: the newest, or with ``since`` the first; 0 for all.
    :param timeout_s: how long the node may send nothing.
    """

    def __init__(
        self, client: Follows, limit: int, since: str, reactor: IReactorTime, timeout_s: float
    ) -> None:
        self._limit = limit
        self._first = bool(since)
        self._entries: list[OrderedEntry] = []
        self._messages = 0
        self._timeout_s = timeout_s
        self._following = client.follow(self._take, since, "origin", self._end)
        self._timer = reactor.callLater(timeout_s, self._late, client.address)
        self._cancelled = False
        self.finished: Deferred[list[OrderedEntry]] = Deferred(lambda _finished: self._cancel())
        self._following.finished.addBoth(self._done)

    def _take(self, entry: OrderedEntry) -> None:
        self._timer.reset(self._timeout_s)
        self._entries.append(entry)
        self._messages += entry.record is not None
        if self._limit and self._first and self._messages == self._limit:
            self._end()

    def _end(self) -> None:
        self._following.stop()

    def _cancel(self) -> None:
        self._cancelled = True
        self._end()

    def _late(self, address: str) -> None:
        self._following.ended(TimedOut(f"{address} did not answer within {self._timeout_s:g} s"))
        self._following.stop()

    def _done(self, result: Failure | None) -> None:
        if self._timer.active():
            self._timer.cancel()
        if isinstance(result, Failure):
            self.finished.errback(result)
        elif not self._cancelled:
            self.finished.callback(self._newest())

    def _newest(self) -> list[OrderedEntry]:
        """Return the newest messages within the limit, and the gaps between them."""
        surplus = self._messages - self._limit if self._limit else 0
        for index, entry in enumerate(self._entries):
            if surplus <= 0:
                return self._entries[index:]
            surplus -= entry.record is not None
        return []
