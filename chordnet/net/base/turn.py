"""A turn: everything that one read, timer or call causes, and the writes that end it.

Messages that arise during a turn are queued on their connections, and every connection
concerned is flushed once when the turn ends, so several messages to one peer leave in one write.
Before it, what the turn recorded is committed; if that fails, nothing of the turn leaves.
What is better done for all of a turn at once (publishing) runs before that flush, what need not
delay it (subscribers' callbacks) runs after it.

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


class Turn:
    """Collects who has to be flushed.

    Used as a context manager around a read or a timer. Whatever is queued outside of one is
    flushed by a call scheduled for the same reactor turn.
    """

    __slots__ = (
        "_after",
        "_before",
        "_call",
        "_clock",
        "_dirty",
        "_emptied",
        "_spoiled",
        "depth",
        "failed",
        "keep",
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
        self._spoiled = False
        self._emptied: list[Callable[[], None]] = []
        self.open: set[Flushable] = set()
        """Connections that are made and not lost."""
        self.keep: Callable[[], bool] = _kept
        """Keeps what was recorded; called before the writes. If it says False, the connections are
        cut instead."""
        self.settle: Callable[[], None] = _nothing
        """Called when a turn has ended, with its writes and callbacks."""
        self.failed = failed
        """Told what was being done when an unexpected exception came up (inside ``except``)."""

    def before(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called when everything that makes up this turn has happened."""
        self._before.append(callback)
        self.touch()

    def mark(self, connection: Flushable) -> None:
        """Have ``connection`` flushed at the end of this turn."""
        self._dirty.append(connection)
        if not self.depth:
            self.touch()

    def after(self, callback: Callable[[], object]) -> None:
        """Have ``callback`` called once what this turn sends has been handed over."""
        self._after.append(callback)
        if not self.depth:
            self.touch()

    def touch(self) -> None:
        """Make sure that a turn will end: outside of one, schedule one."""
        if not self.depth and self._call is None:
            self._call = self._clock.callLater(0, self._late)

    def commit(self) -> bool:
        """Keep what the turn recorded so far; return True if that can be built on.

        Once it has failed, nothing that this turn still brings may leave either.
        """
        self._spoiled = self._spoiled or not self.keep()
        return not self._spoiled

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *_exception: object) -> None:
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
        """Call back once no connection is open; at once if none is."""
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
                kept = not self._spoiled and self.keep()
                for connection in dirty:
                    if kept:
                        connection.flush()
                    else:
                        connection.abort()
                self._spoiled = False
            if not self._after:
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


def _kept() -> bool:
    return True
