"""A turn: everything that one read, timer or call causes, and the writes that end it.

Messages that arise during a turn are queued on their connections, and every connection
concerned is flushed once when the turn ends, so several messages to one peer leave in one write.
Work that is better done once for a whole turn (publishing) runs before that flush; work that need
not delay it (subscribers' callbacks) runs after it.

No message leaves before the records it depends on are kept. So whatever keeps records (the message
log) joins the turn as a :class:`Participant`, and all participants commit before connections are
flushed:

1. ``commit`` of each, in the order in which they joined, until one fails;
2. if all have committed, ``committed`` of each, in the same order, and then the flush;
3. if one has failed, ``abandon`` of each, in the reverse order, whether its own ``commit`` was
   called or not; the connections that would have been flushed are cut instead.

A turn may commit more than once: early, for a connection that is closed within it
(:meth:`Turn.commit`), and again for what its callbacks bring. A commit covers what came since the
last one. Once one has failed, no participant is asked again until the connections concerned are
cut; the turn after that is a fresh one.

The turn also knows which connections are open, so that a stop can wait for their end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Flushable(Protocol):
    """Something with unsent bytes."""

    def flush(self) -> None: ...
    def abort(self) -> None: ...


class Participant(Protocol):
    """Something that keeps records which must be safe before a turn's messages leave.

    Exceptions are logged with their traceback and counted. One from ``commit`` is a failure like
    any other; one from another method has no effect on the other participants.
    """

    def commit(self) -> bool:
        """Keep what has changed since the last commit; return True if others may depend on it.

        Called often when nothing has changed. What one participant has kept when a later one fails
        stays kept, as if the program had died at that moment: no peer or client was told of it.
        A participant that has failed for good keeps nothing more and returns True, so that the
        node's goodbyes can leave.
        """

    def abandon(self) -> None:
        """Give up what is not committed: this or another participant has failed.

        Nothing that depends on it has been sent, and nothing will be.
        """

    def committed(self) -> None:
        """React to the commit of all participants; nothing has been sent yet."""


class Turn:
    """Collects what has to be flushed, and what has to be kept before that.

    Used as a context manager around a read or a timer. Whatever is queued outside of one is
    flushed by a call scheduled for the same reactor turn.
    """

    __slots__ = (
        "_abandons",
        "_after",
        "_before",
        "_call",
        "_clock",
        "_commits",
        "_committed",
        "_dirty",
        "_emptied",
        "_spoiled",
        "depth",
        "failed",
        "open",
        "settle",
    )

    def __init__(self, clock: IReactorTime, failed: Callable[[str], None]) -> None:
        self._clock = clock
        self._dirty: list[Flushable] = []
        self._before: list[Callable[[], None]] = []
        self._after: list[Callable[[], object]] = []
        self.depth = 0
        """How many turns are nested in each other at this moment; 0 outside of any."""
        self._call: IDelayedCall | None = None
        self._commits: tuple[Callable[[], bool], ...] = ()
        self._committed: tuple[Callable[[], None], ...] = ()
        self._abandons: tuple[Callable[[], None], ...] = ()
        self._spoiled = False
        """Whether a commit has failed and the connections concerned are not cut yet."""
        self._emptied: list[Callable[[], None]] = []
        self.open: set[Flushable] = set()
        """Connections that are made and not lost."""
        self.settle: Callable[[], None] = _nothing
        """Called when a turn has ended, with its writes and callbacks."""
        self.failed = failed
        """Called inside ``except`` with what was being done when an unexpected exception came."""

    def join(self, participant: Participant) -> None:
        """Have ``participant`` commit before anything is sent, after those that joined earlier."""
        # Bound methods in tuples: a turn ends for every read, and looks nothing up then.
        self._commits = (*self._commits, participant.commit)
        self._committed = (*self._committed, participant.committed)
        self._abandons = (participant.abandon, *self._abandons)

    def before(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called at the end of this turn, before its messages are flushed."""
        self._before.append(callback)
        self.touch()

    def mark(self, connection: Flushable) -> None:
        """Have ``connection`` flushed at the end of this turn."""
        self._dirty.append(connection)
        if not self.depth:
            self.touch()

    def after(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called after this turn's messages have been flushed."""
        self._after.append(callback)
        if not self.depth:
            self.touch()

    def touch(self) -> None:
        """Make sure that a turn will end; outside of a turn, schedule one."""
        if not self.depth and self._call is None:
            self._call = self._clock.callLater(0, self._late)

    def commit(self) -> bool:
        """Have all participants keep what came so far; return True if all of them did.

        Once a commit has failed, nothing of this turn may leave, whatever it still brings.
        """
        if self._spoiled:
            return False
        try:
            for commit in self._commits:
                if not commit():
                    return self._abandon()
        except Exception:  # noqa: BLE001 - logged with its traceback
            self.failed("keeping what a turn changed")
            return self._abandon()
        for committed in self._committed:
            try:
                committed()
            except Exception:  # noqa: BLE001 - logged with its traceback
                self.failed("what follows when a turn is kept")
        return True

    def _abandon(self) -> bool:
        self._spoiled = True
        self._call_all(self._abandons, "abandoning what a turn changed")
        return False

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_exception: object) -> None:
        # The depth stays 1 while the turn finishes: what its callbacks queue belongs to this turn,
        # and the loop in _finish takes it; no call of the reactor has to be scheduled for it.
        if self.depth == 1:
            self._finish()
        self.depth -= 1

    def closed(self, connection: Flushable) -> None:
        """Forget an open connection."""
        self.open.discard(connection)
        if not self.open:
            emptied, self._emptied = self._emptied, []
            for callback in emptied:
                callback()

    def when_empty(self, callback: Callable[[], None]) -> None:
        """Call back once no connection is open; immediately if none is."""
        if self.open:
            self._emptied.append(callback)
        else:
            callback()

    def cut(self) -> None:
        """Cut every connection that is still open."""
        for connection in list(self.open):
            connection.abort()

    def stop(self) -> None:
        """Flush what is left and cancel the scheduled call."""
        self._finish()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _late(self) -> None:
        self._call = None
        with self:
            pass

    def _finish(self) -> None:
        while True:
            while self._before or self._dirty:
                if self._before:
                    before, self._before = self._before, []
                    self._call_all(before, "what ends a turn")
                dirty, self._dirty = self._dirty, []
                # One commit for all connections: a receipt in any of them may depend on any record.
                if self.commit():
                    for connection in dirty:
                        connection.flush()
                else:
                    for connection in dirty:
                        connection.abort()
                    # What depended on the failed commit is gone with the connections.
                    self._spoiled = False
            if not self._after:
                # A commit within the turn may have failed without a connection left to cut.
                self._spoiled = False
                self.settle()
                return
            after, self._after = self._after, []
            self._call_all(after, "a callback after a turn")

    def _call_all(self, callbacks: Sequence[Callable[[], object]], what: str) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - logged with its traceback
                self.failed(what)


def _nothing() -> None:
    pass
