"""Time as data: named alarms and first-in-first-out expiries. No clock runs in here.

The core is told ``now`` with every event and says when it next wants to be told
(:attr:`ChordNode.deadline`). Alarms are few and named; setting one again replaces it. Things that
come by the thousand and all wait equally long (acknowledgements, lookups) go through
:class:`Expiry`, where adding costs one append.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

GRAIN_S = 0.01
"""Expiries are served at most this late, so that a burst of them costs one wake-up."""
LEISURE_S = 0.25
"""The same for what nobody waits for: a steady stream of messages costs four wake-ups a second."""


class Alarms(Generic[K]):
    """Alarms by name, each at one time."""

    def __init__(self) -> None:
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._soonest: float | None = None
        self._known = True
        """Whether ``_soonest`` is the time of the earliest: it is asked for after every step."""

    def set(self, name: K, at: float) -> None:
        """Let ``name`` ring at ``at``, whatever it was set to before."""
        self._at[name] = at
        self._known = False
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, name))
        if len(self._heap) > 64 + 4 * len(self._at):
            self._compact()

    def sooner(self, name: K, at: float) -> None:
        """Let ``name`` ring at ``at`` unless it rings earlier anyway."""
        current = self._at.get(name)
        if current is None or at < current:
            self.set(name, at)

    def cancel(self, name: K) -> None:
        """Forget ``name``; fine if it is not set."""
        self._at.pop(name, None)
        self._known = False

    def is_set(self, name: K) -> bool:
        """Tell whether ``name`` is going to ring."""
        return name in self._at

    def next(self) -> float | None:
        """Return the time of the earliest alarm."""
        if not self._known:
            heap = self._heap
            while heap and self._at.get(heap[0][2]) != heap[0][0]:
                heapq.heappop(heap)
            self._soonest = heap[0][0] if heap else None
            self._known = True
        return self._soonest

    def due(self, now: float) -> list[K]:
        """Take out and return the alarms whose time has come, in order."""
        ready = []
        while (at := self.next()) is not None and at <= now:
            name = heapq.heappop(self._heap)[2]
            self._known = False
            del self._at[name]
            ready.append(name)
        return ready

    def _compact(self) -> None:
        self._heap = [entry for entry in self._heap if self._at.get(entry[2]) == entry[0]]
        heapq.heapify(self._heap)


class Expiry(Generic[K]):
    """Keys that all expire ``after`` seconds from when they were added.

    :param alive: tells whether a key still waits; others are passed over.
    :param grain: seconds by which it may be late.
    """

    __slots__ = ("_after", "_alive", "_grain", "_queue", "waiting")

    def __init__(self, after: float, alive: Callable[[K], bool], grain: float = GRAIN_S) -> None:
        self._after = after
        self._alive = alive
        self._grain = grain
        # A node has many of these and most of them are empty: those cost neither room nor time.
        self._queue: deque[tuple[float, K]] | None = None
        self.waiting: list[Expiry[Any]] = []
        """Has this one among others in it while any key is here; several may share one list."""

    def add(self, key: K, now: float) -> None:
        """Let ``key`` expire ``after`` seconds from ``now``."""
        if self._queue is None:
            self._queue = deque()
            self.waiting.append(self)
        self._queue.append((now + self._after, key))

    def next(self) -> float | None:
        """Return when the next key that still waits expires."""
        queue = self._queue
        while queue:
            at, key = queue[0]
            if self._alive(key):
                return at + self._grain
            queue.popleft()
        if queue is not None:
            self._queue = None
            self.waiting.remove(self)
        return None

    def due(self, now: float) -> list[K]:
        """Take out and return the keys that have expired and still wait."""
        queue = self._queue
        ready: list[K] = []
        while queue and queue[0][0] <= now:
            key = queue.popleft()[1]
            if self._alive(key):
                ready.append(key)
        return ready
