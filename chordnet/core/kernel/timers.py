"""Time as data: named alarms and first-in-first-out expiries. No clock runs in here.

The core is told ``now`` with every event and says when it next wants to be told
(:attr:`ChordNode.deadline`); a bound of that is at hand after every event (:class:`Horizon`).
Alarms are few and named; setting one again replaces it. Things that come by the thousand and all
wait equally long (acknowledgements, lookups) go through :class:`Expiry`, where adding costs one
append.
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

GRAIN_S = 0.01
"""Expiries are served at most this late, so that a burst of them costs one wake-up."""
SWEEP_AT = 256
"""Keys that wait no longer are let go of once so many are in a queue, or when the first expires."""
LEISURE_S = 0.25
"""The same for what nobody waits for: a steady stream of messages costs four wake-ups a second."""


class Alarm(enum.StrEnum):
    """What a node sets alarms for; the part that declares one in its ``ALARMS`` handles it."""

    JOIN = "join"
    STABILISE = "stabilise"
    DEFER = "defer"
    PREDECESSOR = "predecessor"
    FINGERS = "fingers"
    AUDIT = "audit"
    PROBES = "probes"
    PEERS = "peers"
    SYNC = "sync"
    LEAVE = "leave"


class Horizon:
    """A time before which nothing of a node is due.

    Whatever sets an alarm or begins to wait lowers it, so it costs nothing to know. It is exact
    only when it has just been worked out (:attr:`ChordNode.deadline`): what was due may be settled.
    """

    __slots__ = ("bound", "waiting")

    def __init__(self) -> None:
        self.bound = float("inf")
        self.waiting: list[Expiry[Any]] = []
        """Those in which any key is."""


class Alarms(Generic[K]):
    """Alarms by name, each at one time."""

    def __init__(self, horizon: Horizon | None = None) -> None:
        self._horizon = horizon or Horizon()
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._soonest: float | None = None
        self._known = True
        """Whether ``_soonest`` is the time of the earliest: it is asked for after every step."""

    def set(self, name: K, at: float) -> None:
        """Schedule alarm ``name``, replacing any earlier one."""
        if self._at.get(name) == at:
            return
        self._at[name] = at
        self._known = False
        self._count += 1
        self._horizon.bound = min(self._horizon.bound, at)
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
        """Return True if ``name`` is going to ring."""
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
        # An alarm that was set to and fro has several entries: one of them is enough.
        kept: dict[K, tuple[float, int, K]] = {}
        for entry in self._heap:
            at, count, name = entry
            if self._at.get(name) == at and (name not in kept or kept[name][1] < count):
                kept[name] = entry
        self._heap = list(kept.values())
        heapq.heapify(self._heap)


class Expiry(Generic[K]):
    """Keys that all expire ``after`` seconds from when they were added.

    :param alive: returns True if a key still waits; others are passed over.
    :param grain: seconds by which it may be late.
    """

    __slots__ = ("_after", "_alive", "_grain", "_queue", "horizon")

    def __init__(self, after: float, alive: Callable[[K], bool], grain: float = GRAIN_S) -> None:
        self._after = after
        self._alive = alive
        self._grain = grain
        # A node has many of these and most of them are empty: those cost neither room nor time.
        self._queue: deque[tuple[float, K]] | None = None
        self.horizon = Horizon()
        """Several may share one."""

    def __len__(self) -> int:
        return len(self._queue) if self._queue is not None else 0

    def add(self, key: K, now: float) -> None:
        """Let ``key`` expire ``after`` seconds from ``now``."""
        if self._queue is not None and len(self._queue) >= SWEEP_AT:
            self.next()  # lets go of what waits no longer
        queue, at = self._queue, now + self._after
        if not queue:
            horizon = self.horizon
            if queue is None:
                queue = self._queue = deque()
                horizon.waiting.append(self)
            horizon.bound = min(horizon.bound, at + self._grain)
        queue.append((at, key))

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
            self.horizon.waiting.remove(self)
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
