"""What time it is for the age of messages: a wall clock whose jumps are not believed at once.

A clock that is forty days ahead for a moment must not drop a whole history. A jump forward counts
once it has lasted for an hour; until then time goes on at the pace of a clock that never jumps. A
clock that is set back is followed at once: messages are kept longer, never shorter.
"""

from __future__ import annotations

from collections.abc import Callable

STEP_S = 600.0
"""A jump forward that is no longer than this is followed at once."""
BELIEVED_S = 3600.0
"""A longer one is believed after it has lasted for this long."""


class AgeClock:
    """Seconds since 1970, as far as ages of messages are concerned.

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
        """Return what time it is."""
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
