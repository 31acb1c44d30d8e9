"""How fast a node reads what comes from one peer.

A peer may send as fast as it likes, and what it sends costs this node time that others wait for. So
there is so much, in frames and in bytes, that is read at once, and so much a second in the long
run. Beyond that the connection is not read for a moment, and the system holds the sender back.
Nothing is lost by it, and nobody is cut off for it; whoever sends too much only makes itself wait.
The figures are far above what nodes send each other at their fastest.

Clients need no such limit: they are read only as fast as they read the answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chordnet.net.base.limits import NetworkLimits

BURST_S = 2.0
"""How many seconds' worth may be read at once, if little came before."""


class Pace:
    """Two token buckets, of frames and of bytes, for what is read from one connection.

    The clock is looked at only when one of them is empty, as it runs for every read.

    :param frames_per_s: frames read a second in the long run.
    :param bytes_per_s: bytes.
    :param seconds: a clock that never goes back.
    """

    __slots__ = ("_at", "_bytes", "_bytes_per_s", "_frames", "_frames_per_s", "_seconds")

    def __init__(
        self, frames_per_s: float, bytes_per_s: float, seconds: Callable[[], float]
    ) -> None:
        self._frames_per_s = frames_per_s
        self._bytes_per_s = bytes_per_s
        self._frames = frames_per_s * BURST_S
        self._bytes = bytes_per_s * BURST_S
        self._seconds = seconds
        self._at = seconds()

    def read(self, frames: int, size: int) -> float:
        """Count what was read; return for how many seconds nothing more is to be read."""
        self._frames -= frames
        self._bytes -= size
        if self._frames >= 0 and self._bytes >= 0:
            return 0.0
        now = self._seconds()
        passed, self._at = now - self._at, now
        self._frames = _filled(self._frames + frames, self._frames_per_s, passed) - frames
        self._bytes = _filled(self._bytes + size, self._bytes_per_s, passed) - size
        return max(0.0, -self._frames / self._frames_per_s, -self._bytes / self._bytes_per_s)


def pace_of(limits: NetworkLimits, seconds: Callable[[], float]) -> Pace:
    """Return the pace of a new peer."""
    return Pace(limits.read_frames_per_s, limits.read_bytes_per_s, seconds)


def _filled(left: float, per_s: float, passed: float) -> float:
    return min(per_s * BURST_S, left + per_s * passed)


class Source(Protocol):
    """What is read from: a transport."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...


class Reading:
    """Whether a connection is read: not while its handler takes nothing, nor beyond its pace.

    :param clock: tells when a pause is over.
    """

    __slots__ = ("_clock", "_pace", "_rest", "_slowed", "_source", "_wanted")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._source: Source | None = None
        self._wanted = True
        """Whether the handler takes frames."""
        self._pace: Pace | None = None
        self._slowed: Callable[[], object] = _nothing
        self._rest: IDelayedCall | None = None
        """Ends a pause that is due to the pace."""

    def begin(self, source: Source) -> None:
        """Begin to read from ``source``, which reads already."""
        self._source = source

    def keep_pace(self, pace: Pace, slowed: Callable[[], object]) -> None:
        """Read no faster than ``pace`` from now on.

        :param slowed: called when reading has to pause because of it.
        """
        self._pace = pace
        self._slowed = slowed

    def read(self, frames: int, size: int) -> None:
        """Count what was read, and read nothing for a while if it was too much."""
        if self._pace is None:
            return
        pause = self._pace.read(frames, size)
        if pause > 0 and self._rest is None and self._source is not None:
            self._rest = self._clock.callLater(pause, self._rested)
            self._source.pauseProducing()
            self._slowed()

    def pause(self) -> None:
        """Read no more until :meth:`resume`."""
        self._wanted = False
        if self._source is not None:
            self._source.pauseProducing()

    def resume(self) -> None:
        """Read again, as soon as the pace allows it."""
        self._wanted = True
        if self._rest is None and self._source is not None:
            self._source.resumeProducing()

    def end(self) -> None:
        """Read nothing any more: the connection is gone."""
        rest, self._rest, self._source = self._rest, None, None
        if rest is not None:
            rest.cancel()

    def _rested(self) -> None:
        self._rest = None
        if self._wanted and self._source is not None:
            self._source.resumeProducing()


def _nothing() -> None:
    pass
