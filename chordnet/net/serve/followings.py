"""What one client follows: positions in the node's log, read as fast as the client reads.

Messages that a follower has not read stay in the log, and its reader remembers the position, so a
slow follower costs no memory.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.errors import Busy, ChordnetError
from chordnet.net.links.protocol import Connection
from chordnet.net.serve.reading import Reader, open_reader
from chordnet.net.serve.seams import Node
from chordnet.wire.rpc import Follow, failure

MAX_FOLLOWS = 16
"""Follow requests of one client at the same time."""


class Followings:
    """The followings of one client.

    If the node ends one, the client is sent a ``Failure``.
    """

    def __init__(self, node: Node, connection: Connection) -> None:
        self._node = node
        self._connection = connection
        self._readers: dict[int, Reader] = {}
        self._unaware: set[int] = set()
        """Followings whose client does not know yet that it has been sent everything there was."""
        self._wake: IDelayedCall | None = None
        self._unfollow: Callable[[], None] | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def begin(self, request: Follow) -> None:
        """Send the messages kept after ``request.since``, and all that come.

        :raises Busy: the client follows too often already.
        :raises LocalProtocolError: no such order, or no such message is kept.
        """
        if len(self._readers) >= MAX_FOLLOWS:
            raise Busy(f"a client may have at most {MAX_FOLLOWS} followings")
        self._readers[request.rid] = open_reader(self._node, request.order, request.since)
        if request.order != "received":
            self._unaware.add(request.rid)
        if self._unfollow is None:
            self._unfollow = self._node.follow(self.pump)
        self.pump()

    def end(self, rid: int) -> None:
        """End the following ``rid``, if there is one."""
        self._drop(rid)
        if not self._readers:
            self.stop()

    def clear(self) -> None:
        """Send nothing more."""
        self._readers.clear()

    def stop(self) -> None:
        """Send nothing more, and unsubscribe from the node."""
        self.clear()
        self._wake_at(None)
        if self._unfollow is not None:
            self._unfollow()
            self._unfollow = None

    def _drop(self, rid: int) -> None:
        self._readers.pop(rid, None)
        self._unaware.discard(rid)

    def pump(self) -> None:
        """Send new entries to all followings, until the connection is full."""
        more = False
        for rid, reader in list(self._readers.items()):
            try:
                more |= self._pump_one(rid, reader)
            except ChordnetError as error:
                self._drop(rid)
                self._connection.send(failure(rid, error))
        deadlines = [r.deadline for r in self._readers.values() if r.deadline is not None]
        self._wake_at(0.0 if more else min(deadlines, default=None))

    def _pump_one(self, rid: int, reader: Reader) -> bool:
        """Send new entries to one following; return True if it has to go on in a later turn.

        That is so for a reader that has far to go in the log before it finds something to send.
        """
        more = True
        while more and not self._connection.paused and not self._connection.closing:
            entries, more = reader.read()
            if not entries and more:
                return True
            if entries or rid in self._unaware:
                self._connection.send(reader.reply(rid, entries, more))
                self._connection.flush_now()
            if not more:
                self._unaware.discard(rid)
        return False

    def _wake_at(self, moment: float | None) -> None:
        """Pump again at ``moment`` of the wall clock; None cancels that."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        # A connection that is full pumps when it has drained.
        if moment is not None and not (self._connection.paused or self._connection.closing):
            delay = max(0.0, moment - self._node.wall())
            self._wake = self._node.clock.callLater(delay, self._woken)

    def _woken(self) -> None:
        self._wake = None
        with self._node.turn:
            self.pump()
