"""Subscriptions that read the message log, from a given message on or in per-origin order.

Entries are delivered in batches, each in its own turn of the reactor, so that a long history does
not keep the node from its work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError
from chordnet.net.base.callbacks import call
from chordnet.net.base.metrics import NetMetric
from chordnet.net.runtime.node import LocalNode
from chordnet.net.serve.reading import Reader


class Delivery:
    """Calls back with what a reader reads until it is stopped.

    :param callback: called with each entry; if it raises, that is logged and counted. A coroutine
        is waited for before the next entry is delivered, and nothing is read meanwhile.
    :param ended: called when the delivery is stopped, or cannot go on (which is logged).
    """

    def __init__(
        self,
        node: LocalNode,
        reader: Reader,
        callback: Callable[[Any], object],
        ended: Callable[[Delivery], object],
    ) -> None:
        self._node = node
        self._reader = reader
        self._callback = callback
        self._ended = ended
        self._stopped = False
        self._busy = False
        self._entries: deque[object] = deque()
        """Read and not delivered yet: one batch at most."""
        self._more = False
        self._call: IDelayedCall | None = None
        self._unfollow = node.follow(self._pump)
        self._wake_at(0.0)

    def stop(self) -> None:
        """Stop calling back; stopping twice is fine."""
        self._stopped = True
        self._unfollow()
        self._entries.clear()
        self._wake_at(None)
        self._ended(self)

    def _pump(self) -> None:
        if self._busy:  # the callback's coroutine is running; its end continues the delivery
            return
        if not self._entries:
            try:
                entries, self._more = self._reader.read()
            except ChordnetError as error:
                self._node.journal.warn("a subscription has ended: {why}", why=str(error))
                self.stop()
                return
            self._entries.extend(entries)
        while self._entries:
            over = call(self._callback, (self._entries.popleft(),), self._failed)
            if over is not None:
                self._busy = True
                over.addCallback(self._over)
                return
        if not self._stopped:
            self._wake_at(0.0 if self._more else self._reader.deadline)

    def _over(self, _none: object) -> None:
        self._busy = False
        if not self._stopped:
            self._wake_at(0.0)

    def _failed(self, failure: Failure) -> None:
        self._node.journal.failure(
            NetMetric.CALLBACK_ERRORS, "a subscriber's callback failed", failure
        )

    def _wake_at(self, moment: float | None) -> None:
        """Read again at ``moment`` of the wall clock: 0 for as soon as possible, None for never."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if moment is not None:
            delay = max(0.0, moment - self._node.wall())
            self._call = self._node.clock.callLater(delay, self._woken)

    def _woken(self) -> None:
        self._call = None
        with self._node.turn:
            self._pump()
