"""Virtual time: a heap of what is about to happen."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

from chordnet.core.base.errors import ChordnetError

Entry = tuple[float, int, Callable[[Any, Any, Any], None], Any, Any, Any]
"""When, in which order among equals, what to call, and its arguments."""


class Storm(ChordnetError):
    """The nodes took more steps than the run allows."""


class Schedule:
    """What is going to happen, and when.

    :param most_steps: a run that takes more raises :class:`Storm`.
    """

    def __init__(self, most_steps: int) -> None:
        self.now = 0.0
        self.steps = 0
        self.most_steps = most_steps
        self._heap: list[Entry] = []
        self._count = 0

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do ``action`` at ``time``."""
        self._schedule(time, lambda *_: action())

    def _schedule(
        self, time: float, call: Callable[[Any, Any, Any], None], a: Any = None, b: Any = None
    ) -> None:
        self._count += 1
        entry: Entry = (time, self._count, call, a, b, None)
        heapq.heappush(self._heap, entry)

    def run(
        self, seconds: float, until: Callable[[], bool] | None = None, poll: float = 0.01
    ) -> bool:
        """Let time pass, at most ``seconds``; stop as soon as ``until`` holds; return True if it
        did.

        ``until`` is asked every ``poll`` seconds of virtual time.
        """
        end = self.now + seconds
        if until is None:
            self._run(end)
            return False
        while self.now < end:
            if until():
                return True
            self._run(min(end, self.now + poll))
        return until()

    def _run(self, end: float) -> None:
        heap, pop, most = self._heap, heapq.heappop, self.most_steps
        while heap and heap[0][0] <= end:
            self.now, _, call, a, b, c = pop(heap)
            call(a, b, c)
            if self.steps > most:
                raise Storm(f"more than {most} steps: the nodes keep each other busy")
        self.now = end
