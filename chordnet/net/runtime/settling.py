"""Waiting for a ring of a known size: repeated walks round the ring until one finds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chordnet.core.base.effects import Walked
from chordnet.core.base.errors import TimedOut
from chordnet.net.base.deferreds import from_callback
from chordnet.net.runtime.node import LocalNode
from chordnet.wire.rpc import NodeInfo

PAUSE_S = 0.1
"""Between two walks round a ring that has not settled yet."""


class Settling:
    """The calls that wait for their ring.

    :param seconds: a clock that never goes back.
    :param running: returns the node, or raises why there is none.
    """

    def __init__(
        self, clock: IReactorTime, seconds: Callable[[], float], running: Callable[[], LocalNode]
    ) -> None:
        self._clock = clock
        self._seconds = seconds
        self._running = running
        self._pauses: set[Deferred[None]] = set()

    async def wait(self, members: int, timeout_s: float) -> list[NodeInfo]:
        """Return the members of the ring, this node first, once they are so many.

        :raises TimedOut: they were not in time.
        :raises NotInRing: the node is not running.
        """
        deadline = self._seconds() + timeout_s
        while True:
            walked: Walked = await from_callback(partial(self._running().walk, members))
            seen = len(walked.members)
            if seen == members and not walked.problem:
                return self._running().views.nodes(walked.members)
            if self._seconds() >= deadline:
                why = walked.problem or f"the ring has {seen}"
                raise TimedOut(f"no ring of {members} members after {timeout_s:g} s: {why}")
            await self._pause()

    async def _pause(self) -> None:
        """Wait a moment, or until the node has stopped."""
        pause: Deferred[None] = Deferred()
        call = self._clock.callLater(PAUSE_S, pause.callback, None)
        self._pauses.add(pause)
        try:
            await pause
        finally:
            self._pauses.discard(pause)
            if call.active():
                call.cancel()

    def stop(self) -> None:
        """Wake all waiting calls; they find that the node has stopped."""
        for pause in list(self._pauses):
            pause.callback(None)
