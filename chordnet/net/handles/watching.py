"""A running watch of a key, as a program holds it: a callback's, or an iterator's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError, WatchEnded
from chordnet.core.base.outcomes import Revision
from chordnet.net.base.callbacks import call

MAX_WAITING = 256
"""Revisions that wait for the program."""
MAX_WAITING_BYTES = 4_194_304
"""Of their values; one may wait in any case."""


class KeyWatch:
    """A running watch of a key.

    With a callback, that is called with every :class:`Revision`. If it is a coroutine (``async
    def``), it is waited for before the next call. Without one the watch is an asynchronous
    iterator::

        async for revision in client.watch("config"):
            ...

    What the program has not taken waits, up to a limit. Beyond it the watch fails with
    :class:`WatchEnded`, and the program may begin another one with ``since``, which is :attr:`last`
    by then.

    ``finished`` fires with None after :meth:`stop`, and fails with why the watch has ended
    otherwise, or with what the callback raises. An iterator raises that at its end.

    Attributes:
        last: the latest version that the program was given.

    :param stop: has the node end it.
    :param since: the version that the program knows.
    """

    def __init__(
        self,
        stop: Callable[[], None],
        callback: Callable[[Revision], object] | None,
        since: int | None = None,
    ) -> None:
        self._stop = stop
        self._callback = callback
        self.last = since
        self._waiting: deque[Revision] = deque()
        self._bytes = 0
        self._busy = False
        self._over = False
        self._why: Failure | None = None
        """Why nothing more comes; told when all that waits was taken."""
        self._next: Deferred[None] | None = None
        self.finished: Deferred[None] = Deferred(lambda _finished: self.stop())

    @property
    def over(self) -> bool:
        """Whether nothing more comes from the node."""
        return self._over or self._why is not None

    def stop(self) -> None:
        """End the watch; stopping twice is fine."""
        self._waiting.clear()
        self._end(None)

    # ---- what comes from the node -----------------------------------------------------------

    def received(self, revisions: Sequence[Revision]) -> None:
        """Take what the node tells."""
        for revision in revisions:
            if self.over:
                return
            self._waiting.append(revision)
            self._bytes += len(revision.value or b"")
        self._pass_on()
        many = len(self._waiting)
        if many > MAX_WAITING or (many > 1 and self._bytes > MAX_WAITING_BYTES):
            self._waiting.clear()
            self.ended(
                WatchEnded(
                    f"the watch has ended: {many} revisions waited for this program;"
                    " begin again with since, the last version that it has taken"
                )
            )

    def ended(self, error: ChordnetError) -> None:
        """Take note that nothing more comes, and why."""
        if self.over:
            return
        self._why = Failure(error)
        self._stop_it()
        self._pass_on()

    # ---- what goes to the program -----------------------------------------------------------

    def _take(self) -> Revision:
        revision = self._waiting.popleft()
        self._bytes -= len(revision.value or b"")
        self.last = max(revision.version, self.last or 0)
        return revision

    def _pass_on(self) -> None:
        if self._callback is None:
            waiter, self._next = self._next, None
            if waiter is not None:
                waiter.callback(None)
            return
        while self._waiting and not self._busy:
            over = call(self._callback, (self._take(),), self._failed)
            if over is not None:
                self._busy = True
                over.addCallback(self._free)
        if self._why is not None and not self._busy:
            self._end(self._why)

    def _free(self, _none: object) -> None:
        self._busy = False
        if not self._over:
            self._pass_on()

    def _failed(self, failure: Failure) -> None:
        self._waiting.clear()
        self._end(failure)

    def _end(self, why: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        if self._why is None:
            self._stop_it()
        waiter, self._next = self._next, None
        if waiter is not None:
            waiter.callback(None)
        if self.finished.called:
            return
        if why is None:
            self.finished.callback(None)
        else:
            self.finished.errback(why)

    def _stop_it(self) -> None:
        stop, self._stop = self._stop, _nothing
        stop()

    def __aiter__(self) -> KeyWatch:
        return self

    async def __anext__(self) -> Revision:
        while not self._waiting:
            if self._over:
                raise StopAsyncIteration
            if self._why is not None:
                why = self._why
                self._end(None)
                why.raiseException()
            self._next = Deferred()
            await self._next
        return self._take()


def _nothing() -> None: ...
