"""Time as data: named alarms and first-in-first-out expiries. No clock runs in here.

The core is told ``now`` with every event and says when it next wants to be told
(:attr:`ChordNode.deadline`); a lower bound of that is known after every event (:class:`Horizon`).
Alarms are few and named; setting one again replaces it. Things that come by the thousand and all
wait equally long (acknowledgements, lookups) go through :class:`Expiry`, where adding one costs one
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
"""Keys that no longer wait are dropped when this many are queued, or when the first expires."""
LEISURE_S = 0.25
"""Like ``GRAIN_S``, for expiries that no node waits for: a steady stream of messages then costs
four wake-ups a second."""


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
    """Lower bound on the time when something of a node is due.

    Setting an alarm, or adding an expiry, lowers it, so it costs nothing to read. It is exact only
    just after :attr:`ChordNode.deadline` was computed: what was due may be settled since.
    """

    __slots__ = ("bound", "waiting")

    def __init__(self) -> None:
        self.bound = float("inf")
        self.waiting: list[Expiry[Any]] = []
        """The expiries that hold any key."""


class Alarms(Generic[K]):
    """Alarms by name, each at one time."""

    def __init__(self, horizon: Horizon | None = None) -> None:
        self._horizon = horizon or Horizon()
        self._at: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0
        self._soonest: float | None = None
        self._known = True
        """Whether ``_soonest`` is up to date: it is asked for after every step."""

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
        """Schedule alarm ``name`` at ``at`` unless it is due earlier anyway."""
        current = self._at.get(name)
        if current is None or at < current:
            self.set(name, at)

    def cancel(self, name: K) -> None:
        """Cancel alarm ``name`` if it is set."""
        self._at.pop(name, None)
        self._known = False

    def is_set(self, name: K) -> bool:
        """Return True if alarm ``name`` is scheduled."""
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
        """Remove and return the alarms whose time has come, in order."""
        ready = []
        while (at := self.next()) is not None and at <= now:
            name = heapq.heappop(self._heap)[2]
            self._known = False
            del self._at[name]
            ready.append(name)
        return ready

    def _compact(self) -> None:
        # An alarm that was moved back and forth has several entries: keep one of them.
        kept: dict[K, tuple[float, int, K]] = {}
        for entry in self._heap:
            at, count, name = entry
            if self._at.get(name) == at and (name not in kept or kept[name][1] < count):
                kept[name] = entry
        self._heap = list(kept.values())
        heapq.heapify(self._heap)


class Expiry(Generic[K]):
    """Keys that all expire ``after`` seconds from when they were added.

    :param alive: returns True if a key still waits; others are skipped.
    :param grain: seconds by which an expiry may be served late.
    """

    __slots__ = ("_after", "_alive", "_grain", "_queue", "horizon")

    def __init__(self, after: float, alive: Callable[[K], bool], grain: float = GRAIN_S) -> None:
        self._after = after
        self._alive = alive
        self._grain = grain
        # A node has many of these and most are empty: without a queue they cost almost nothing.
        self._queue: deque[tuple[float, K]] | None = None
        self.horizon = Horizon()
        """All expiries of a node share its horizon."""

    def __len__(self) -> int:
        return len(self._queue) if self._queue is not None else 0

    def add(self, key: K, now: float) -> None:
        """Let ``key`` expire ``after`` seconds from ``now``."""
        queue, at = self._queue, now + self._after
        if queue and len(queue) >= SWEEP_AT:
            self.next()  # drops what no longer waits
            queue = self._queue
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
        while queue and not self._alive(queue[0][1]):
            queue.popleft()
        if queue is not None and not queue:
            self._queue = None
            self.horizon.waiting.remove(self)
        return queue[0][0] + self._grain if queue else None

    def due(self, now: float) -> list[K]:
        """Remove and return the keys that have expired and still wait."""
        queue = self._queue
        ready: list[K] = []
        while queue and queue[0][0] <= now:
            key = queue.popleft()[1]
            if self._alive(key):
                ready.append(key)
        return ready
