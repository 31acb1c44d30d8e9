"""The clock for the age of messages: a wall clock that does not believe in a sudden jump forward.

A clock that is forty days ahead for a moment must not drop a whole history. A jump forward counts
once it has lasted for an hour; until then time goes on at the pace of a clock that never jumps. A
clock that is set back is followed immediately: messages are then kept longer, never shorter.
"""

from __future__ import annotations

from collections.abc import Callable

STEP_S = 600.0
"""A jump forward up to this length is followed immediately."""
BELIEVED_S = 3600.0
"""A longer one is followed after it has lasted for this long."""


class AgeClock:
    """Seconds since 1970, for the ages of messages.

    :param newest: when the newest message was received, on the wall clock; None if there is none.
    :param wall: returns the wall clock in seconds since 1970.
    :param seconds: a clock that never jumps.
    """

    def __init__(
        self, newest: float | None, wall: Callable[[], float], seconds: Callable[[], float]
    ) -> None:
        self._wall = wall
        self._seconds = seconds
        self._looked = seconds()
        self._now = wall() if newest is None else min(newest, wall())
        self._ahead_since: float | None = None

    def now(self) -> float:
        """Return the time."""
        wall, seconds = self._wall(), self._seconds()
        steady = self._now + max(0.0, seconds - self._looked)
        self._looked = seconds
        if wall - steady <= STEP_S:
            self._ahead_since, self._now = None, wall
        elif self._ahead_since is None:
            self._ahead_since, self._now = seconds, steady
        elif seconds - self._ahead_since >= BELIEVED_S:
            self._ahead_since, self._now = None, wall
        else:
            self._now = steady
        return self._now
