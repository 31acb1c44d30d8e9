"""The places of connections that have not greeted: who holds them, and who gives way to whom.

A stranger costs a node a connection for as long as it has not said who it is. So there is a limited
number of places, ``max_ungreeted``, for a few seconds each. Three rules share them out:

- A host holds at most half of them. One host whose connections end again and again without a
  greeting is turned away as soon as it has connected: 64 times in a row are free, and 4 a second
  after that.
- Behind one address may be many: on loopback, at the gateway of a container's network, behind a
  router. Loopback, and any address from which somebody was let in within a day, is no such host.
  There the total is the only limit, so that a stranger cannot lock out those that share its
  address.
- When all are taken, a new connection takes the place of the oldest one of the host that holds
  the most, if the new one's host holds fewer. Otherwise the oldest that has sent nothing for a
  second gives way. If there is none of either, the new one is turned away: the others have time to
  greet.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar

from chordnet.net.base.allowance import Allowance

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long a connection may take to begin its greeting, however many others are waiting."""
MOST_FAILURES = 64
"""Connections that one host may let end without a greeting before it is turned away."""
FAILURES_PER_S = 4.0
"""How many more it may every second."""
MOST_HOSTS = 4096
"""Hosts that are remembered: as many that have failed, and as many that were let in."""
SHARED_S = 86_400.0
"""How long an address from which somebody was let in counts as one that many share."""


class Waiting(Protocol):
    """A connection that has not greeted.

    Its ``host`` is where it comes from, and ``since`` when it came, on the same clock as the
    places'.
    """

    host: str
    since: float

    @property
    def silent(self) -> bool:
        """Whether no byte has come yet."""

    def turn_away(self, reason: str) -> None:
        """Close it, and say why in the log."""

    def abort(self) -> None:
        """Cut it, without a word."""


class Places:
    """Who holds the places.

    :param most: how many there are.
    :param seconds: a clock that never goes back.
    """

    def __init__(self, most: int, seconds: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._waiting: dict[Waiting, None] = {}
        """In the order in which they came."""
        self._held: Counter[str] = Counter()
        self._failures: OrderedDict[str, Allowance] = OrderedDict()
        self._let_in: OrderedDict[str, float] = OrderedDict()
        """When somebody was let in last, by the address."""

    def __len__(self) -> int:
        """Return how many places are taken."""
        return len(self._waiting)

    def holders(self) -> list[Waiting]:
        """Return the connections that hold a place, in the order in which they came."""
        return list(self._waiting)

    def make_room(self, host: str) -> bool:
        """Return True if there is a place for a connection from ``host``; one may have given way.

        The place is taken by :meth:`take`, immediately.
        """
        if not self.is_shared(host):
            failures = self._failures.get(host)
            if failures is not None and not failures.has(self._seconds()):
                return False
            if self._held[host] >= max(1, self._most // 2):
                return self._turn_away(self._silent_one(host))
        if len(self._waiting) < self._most:
            return True
        return self._turn_away(self._who_gives_way(host))

    def take(self, waiting: Waiting) -> None:
        """Give a place to a new connection."""
        self._waiting[waiting] = None
        self._held[waiting.host] += 1

    def leave(self, waiting: Waiting, *, let_in: bool = False, failed: bool = False) -> None:
        """Take the place of a connection back, if it holds one.

        :param let_in: it has greeted and is welcome.
        :param failed: it has not greeted, or with what is no greeting.
        """
        if waiting not in self._waiting:
            return
        del self._waiting[waiting]
        host, now = waiting.host, self._seconds()
        self._held[host] -= 1
        if not self._held[host]:
            del self._held[host]
        if let_in:
            _remember(self._let_in, host, now)
            self._failures.pop(host, None)
        elif failed and not self.is_shared(host):
            allowance = self._failures.get(host)
            if allowance is None:
                allowance = Allowance(MOST_FAILURES, FAILURES_PER_S, now)
            _remember(self._failures, host, allowance)
            allowance.take(now)

    def is_shared(self, host: str) -> bool:
        """Return True if others than a stranger may have this address as well."""
        if not host or host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1"):
            return True
        let_in = self._let_in.get(host)
        return let_in is not None and self._seconds() - let_in < SHARED_S

    def _who_gives_way(self, host: str) -> Waiting | None:
        """Return the connection that gives way to a new one from ``host``; None if none does."""
        most, count = max(self._held.items(), key=lambda each: each[1])
        # The new one's host has to be behind by two: with a difference of one the place would go
        # back and forth between the two.
        if count > self._held[host] + 1:
            return next(waiting for waiting in self._waiting if waiting.host == most)
        return self._silent_one()

    def _silent_one(self, host: str | None = None) -> Waiting | None:
        """Return the oldest connection, of one host or of all, that has been silent for long."""
        latest = self._seconds() - PATIENCE_S
        return next(
            (
                each
                for each in self._waiting
                if each.since <= latest and each.silent and host in (None, each.host)
            ),
            None,
        )

    def _turn_away(self, waiting: Waiting | None) -> bool:
        if waiting is None:
            return False
        waiting.turn_away("too many connections are waiting to greet")
        return True


def _remember(table: OrderedDict[str, T], host: str, what: T) -> None:
    """Note something about ``host``, and forget the host that was noted first if there are many."""
    table[host] = what
    table.move_to_end(host)
    if len(table) > MOST_HOSTS:
        table.popitem(last=False)
