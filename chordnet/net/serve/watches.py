"""Watches that disconnect a client which reads nothing, or which asks nothing."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.protocol import Connection
from chordnet.net.serve.seams import Node


class ReadingWatch:
    """Disconnects a client that reads nothing while replies wait, and counts what it has not read.

    :param close: closes the connection: a code and a text for the client.
    """

    def __init__(
        self, node: Node, connection: Connection, close: Callable[[str, str], None]
    ) -> None:
        self._node = node
        self._connection = connection
        self._close = close
        self._stall: IDelayedCall | None = None
        self._resumed = 0
        """How often the connection had room again when the client's time began."""
        self._unread = 0
        """Bytes of receipts that may not have been handed to the system yet."""

    def keep(self, size: int) -> None:
        """Count the bytes of a receipt in the node's load until the system has taken them.

        Otherwise a client that reads no receipts could make the node hold more and more of them.
        """
        if self._connection.closing:
            return
        if not self._unread:
            self._node.turn.after(self._let_go_of_read)
        self._unread += size
        self._node.load.keep(size)

    def held(self) -> None:
        """Begin to count the time that the client has to read what waits for it."""
        if self._stall is None and not self._connection.closing:
            self._resumed = self._connection.resumed
            self._stall = self._node.clock.callLater(
                self._node.limits.client_stall_s, self._stalled
            )

    def drained(self) -> None:
        """Note that the client has read everything."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._let_go()

    def stop(self) -> None:
        """Stop watching, and drop the reference to the session, which is a cycle."""
        self.drained()
        self._close = _let_be

    def complain(self) -> None:
        """Log that the client is cut off."""
        self._node.journal.limited(
            NetMetric.CLIENTS_OVERLOADED,
            "cut off a client at {address}: it reads too slowly",
            address=self._connection.peer_name,
        )

    def _stalled(self) -> None:
        self._stall = None
        if self._connection.resumed != self._resumed:
            self.held()  # it reads a long reply
            return
        self.complain()
        self._close("slow", "nothing was read for too long while replies waited")

    def _let_go_of_read(self) -> None:
        if not self._connection.paused:
            self._let_go()

    def _let_go(self) -> None:
        self._node.load.give(self._unread)
        self._unread = 0


class IdleWatch:
    """Disconnects a client that has asked nothing for a long time and waits for nothing.

    :param used: returns how many requests have come, and whether an answer is under way.
    :param close: closes the connection: a code and a text for the client.
    """

    def __init__(
        self, node: Node, used: Callable[[], tuple[int, bool]], close: Callable[[str, str], None]
    ) -> None:
        self._node = node
        self._used = used
        self._close = close
        self._seen: int | None = None
        self._timer: IDelayedCall | None = None
        self._wait()

    def stop(self) -> None:
        """Stop watching, and drop the references to the session, which are cycles."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._used, self._close = (lambda: (0, False)), _let_be

    def _wait(self) -> None:
        self._timer = self._node.clock.callLater(self._node.limits.idle_s, self._look)

    def _look(self) -> None:
        self._timer = None
        requests, busy = self._used()
        if busy or requests != self._seen:
            self._seen = requests
            self._wait()
            return
        with self._node.turn:
            self._close("idle", "no request came for a long time")


def _let_be(_code: str, _text: str) -> None:
    pass
