"""The keys that one client watches: what it is told of them waits while it does not read.

A watch keeps no history that could be read later, so what waits has a limit. A client that has not
read so much is cut off from that watch, and may begin it again after the last version that it got.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs
from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.errors import Busy, ChordnetError, WatchEnded
from chordnet.core.base.outcomes import Revision
from chordnet.net.links.protocol import Connection
from chordnet.net.serve.seams import Node
from chordnet.wire.codec import encode_frame
from chordnet.wire.parts import PART_BYTES
from chordnet.wire.rpc import failure
from chordnet.wire.watches import Revisions, WatchKey

MAX_WATCHES = 64
"""Keys that one client watches at the same time."""
MAX_WAITING = 256
"""Revisions of one watch that wait until its client reads."""
MAX_WAITING_BYTES = 4_194_304
"""Of all revisions that wait for one client; one may wait in any case."""
AGAIN_S = 0.02
"""After this time it is looked again if a long value has left, so that the next may follow."""
_ABOUT = 64
"""Bytes of a revision besides its value."""


@attrs.define
class _Watch:
    """One watch."""

    stop: Callable[[], None] = lambda: None
    waiting: deque[Revision] = attrs.field(factory=deque)
    leaving: bool = False
    """Whether one of its revisions may not have left yet. A short one would overtake it."""


class KeyWatches:
    """The watches of one client."""

    def __init__(self, node: Node, connection: Connection) -> None:
        self._node = node
        self._connection = connection
        self._watches: dict[int, _Watch] = {}
        self._bytes = 0
        """Of all that waits."""
        self._wake: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._watches)

    def begin(self, request: WatchKey) -> None:
        """Send the client the states of a key.

        :raises Busy: the client watches too many keys already.
        :raises ChordnetError: the request is impossible, or the node keeps no store.
        """
        rid = request.rid
        if rid in self._watches or len(self._watches) >= MAX_WATCHES:
            raise Busy(f"a client may watch at most {MAX_WATCHES} keys")
        watch = self._watches[rid] = _Watch()
        try:
            watch.stop = self._node.keys.watch(
                request,
                lambda revision: self._told(rid, revision),
                lambda problem: self._ended(rid, problem),
            )
        except ChordnetError:
            del self._watches[rid]
            raise

    def end(self, rid: int) -> None:
        """End the watch ``rid``, if there is one."""
        watch = self._watches.pop(rid, None)
        if watch is not None:
            self._bytes -= sum(map(_size, watch.waiting))
            watch.stop()

    def stop(self) -> None:
        """End all watches."""
        for rid in list(self._watches):
            self.end(rid)
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def pump(self) -> None:
        """Send what waits, until the connection is full."""
        for rid, watch in list(self._watches.items()):
            while watch.waiting and not self._full:
                if not self._may_follow(watch):
                    self._wake_later()
                    break
                revision = watch.waiting.popleft()
                self._bytes -= _size(revision)
                self._connection.send_value(encode_frame(Revisions(rid, [revision])))
                self._connection.flush_now()
                watch.leaving = self._connection.waiting > 0

    @property
    def _full(self) -> bool:
        return self._connection.paused or self._connection.closing

    def _may_follow(self, watch: _Watch) -> bool:
        """Return True if the next revision overtakes none, and is no second long one on its way."""
        if not self._connection.waiting:
            return True
        return not watch.leaving and _size(watch.waiting[0]) <= PART_BYTES

    def _wake_later(self) -> None:
        if self._wake is None:
            self._wake = self._node.clock.callLater(AGAIN_S, self._woken)

    def _woken(self) -> None:
        self._wake = None
        with self._node.turn:
            self.pump()

    def _told(self, rid: int, revision: Revision) -> None:
        watch = self._watches.get(rid)
        if watch is None:
            return
        watch.waiting.append(revision)
        self._bytes += _size(revision)
        self.pump()
        many = len(watch.waiting)
        beyond = self._bytes > MAX_WAITING_BYTES and self._bytes > _size(revision)
        if many > MAX_WAITING or (many and beyond):
            self.end(rid)
            self._connection.send(failure(rid, WatchEnded(slow(many))))

    def _ended(self, rid: int, problem: ChordnetError) -> None:
        self.end(rid)
        self._connection.send(failure(rid, problem))


def slow(many: int) -> str:
    """Return why a watch is ended whose client reads too slowly."""
    return (
        f"the watch has ended: {many} revisions waited to be read; read faster,"
        " and begin again with since, the last version that you were told of"
    )


def _size(revision: Revision) -> int:
    return len(revision.value or b"") + _ABOUT
