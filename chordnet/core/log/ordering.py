"""Per-origin order: the messages of one origin in ascending sequence, with the gaps marked.

A node records messages as they come. For each origin (an identifier and an incarnation) this
machine returns them in the order of their sequence numbers. *Next* is the number expected next:

- The next number is delivered, and then the numbers held back that follow it.
- A greater number is held back until what is missing before it comes. After ``wait_s`` a gap is
  reported in place of the missing numbers, and the number is delivered.
- At most ``max_held`` messages are held back: beyond that, the one held longest is delivered as if
  its time were up.
- A lower number was reported as missing before. It is delivered immediately, marked as *late*.
- An origin begins at 1. If the beginning of the history is not kept (``whole`` is False), or a part
  of it was dropped unread (:meth:`OriginOrder.cut`), an origin begins, or goes on, with the first
  message that comes: what was dropped is not waited for, but reported as a gap (*dropped*).

So every message that is pushed is delivered exactly once. Messages of one origin that are not late
come in ascending order, and every number between them that was not delivered is in a gap.

The caller tells the time, which never goes back and comes with the messages. So the order depends
on the history alone: reading the same history again gives the same order again, and reading can be
resumed from any message in it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from typing import Generic, TypeVar

import attrs

from chordnet.core.base.messages import MessageId

T = TypeVar("T")
OriginKey = tuple[bytes, int]

MAX_ORIGINS = 65_536
"""Origins whose next number is remembered; the one not heard from for longest is forgotten first,
and goes on as if a part of its history had been dropped."""


@attrs.frozen
class Delivered(Generic[T]):
    """A message in order; or, if ``late``, after its number was reported in a gap."""

    item: T
    late: bool


@attrs.frozen
class Missing:
    """The numbers ``first`` to ``last`` of an origin did not come in time.

    The message that was held back for them comes next.
    """

    origin: bytes
    incarnation: int
    first: int
    last: int
    dropped: bool
    """Whether they may have been in a part of the history that is not kept."""


Outcome = Delivered[T] | Missing


class _Origin:
    __slots__ = ("cut", "next", "waiting")

    def __init__(self, *, cut: bool) -> None:
        self.next = 1
        self.waiting: list[int] = []
        """Numbers held back, a heap."""
        self.cut = cut
        """Whether numbers from ``next`` on may have been dropped."""


class OriginOrder(Generic[T]):
    """Puts messages into per-origin order.

    :param wait_s: how long a message is held back at most, in seconds.
    :param max_held: how many messages are held back at most, of all origins together.
    :param max_origins: how many origins are remembered.
    """

    def __init__(self, wait_s: float, max_held: int, max_origins: int = MAX_ORIGINS) -> None:
        self._wait_s = wait_s
        self._max_held = max_held
        self._max_origins = max_origins
        self._now = float("-inf")
        self._origins: OrderedDict[OriginKey, _Origin] = OrderedDict()
        self._held: OrderedDict[tuple[OriginKey, int], tuple[float, T]] = OrderedDict()
        self.whole = True
        """Whether the history that is pushed starts at its beginning."""

    @property
    def held(self) -> int:
        """How many messages are held back."""
        return len(self._held)

    @property
    def deadline(self) -> float | None:
        """When :meth:`advance` will release something; None if nothing is held back."""
        oldest = next(iter(self._held.values()), None)
        return None if oldest is None else oldest[0] + self._wait_s

    def push(self, message_id: MessageId, at: float, item: T) -> list[Outcome[T]]:
        """Take the next message of the history, recorded at ``at``; return what is now delivered.

        :param at: in seconds, on the clock of :meth:`advance`.
        :param item: what stands for the message.
        """
        out = self.advance(at)
        key, number = (message_id.origin, message_id.incarnation), message_id.sequence
        origin = self._origin(key)
        if origin.cut:
            origin.cut = False
            if number > origin.next and not origin.waiting:
                out.append(Missing(*key, origin.next, number - 1, dropped=True))
                origin.next = number
        if number < origin.next:
            out.append(Delivered(item, late=True))
        elif number == origin.next:
            out.append(Delivered(item, late=False))
            origin.next += 1
            self._release(key, origin, number, out)
        else:
            heapq.heappush(origin.waiting, number)
            self._held[key, number] = self._now, item
            if len(self._held) > self._max_held:
                self._release_oldest(out)
        return out

    def advance(self, now: float) -> list[Outcome[T]]:
        """Advance the time; return what has been held back for long enough."""
        self._now = max(self._now, now)
        out: list[Outcome[T]] = []
        while (deadline := self.deadline) is not None and deadline <= self._now:
            self._release_oldest(out)
        return out

    def cut(self) -> None:
        """Note that a part of the history was dropped, and will never be pushed."""
        self.whole = False
        for origin in self._origins.values():
            origin.cut = True

    def _origin(self, key: OriginKey) -> _Origin:
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = _Origin(cut=not self.whole)
            if len(self._origins) > self._max_origins:
                self._forget_one(key)
        else:
            self._origins.move_to_end(key)
        return origin

    def _forget_one(self, newest: OriginKey) -> None:
        self.whole = False
        for key, origin in self._origins.items():
            if not origin.waiting and key != newest:
                del self._origins[key]
                return

    def _release_oldest(self, out: list[Outcome[T]]) -> None:
        key, number = next(iter(self._held))
        self._release(key, self._origins[key], number, out)

    def _release(self, key: OriginKey, origin: _Origin, last: int, out: list[Outcome[T]]) -> None:
        """Deliver what is held up to the number ``last``, and what follows on without a gap."""
        waiting = origin.waiting
        while waiting and (waiting[0] <= last or waiting[0] == origin.next):
            number = heapq.heappop(waiting)
            if number > origin.next:
                out.append(Missing(*key, origin.next, number - 1, dropped=False))
            out.append(Delivered(self._held.pop((key, number))[1], late=False))
            origin.next = number + 1
