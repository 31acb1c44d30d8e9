"""Wait until the nodes are one correct ring.

Asking costs the nodes time that they need to converge, so only those are asked that were not seen
right yet: first until each is in a ring, then those with a fault at the last look at the whole
ring. A fresh look at the whole ring decides. The pause between two questions grows with the time
that the last one took.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import attrs

from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import NotConverged, command
from chordnet.survey.findings import Fact, in_words
from chordnet.survey.observer import Observer, Snapshot
from chordnet.survey.verdict import ring_problems
from chordnet.survey.waiting import Clock, pause

PAUSE_S = 0.04
PAUSE_FACTOR = 3.0
"""Pause, as a multiple of the time of the last question: a quarter of the time goes to asking."""
MAX_PAUSE_S = 0.5
SHOWN = 5
"""Problems listed when the time is up."""


@attrs.frozen
class Progress:
    """How far the nodes are."""

    active: int
    """Nodes seen in a ring."""
    expected: int
    problems: int
    """What the last look at the whole ring found; 0 before there was one."""

    @property
    def done(self) -> tuple[int, int]:
        """How many nodes of how many."""
        return self.active, self.expected

    def words(self) -> str:
        """Return this for people."""
        text = f"{self.active} of {self.expected} nodes in a ring"
        mend = f", {self.problems} pointer{'s' if self.problems > 1 else ''} to mend"
        return text + mend if self.problems else text


@attrs.frozen
class Counted:
    """How far something is that is done step by step."""

    done: tuple[int, int]
    """How many steps of how many."""
    text: str

    def words(self) -> str:
        """Return this for people."""
        return self.text


Stage = Progress | Counted
Watch = Callable[[Stage], None]


async def wait_converged(
    reactor: Clock,
    network: NetworkDescription,
    observer: Observer,
    numbers: Collection[int],
    *,
    timeout: float,
    since: float | None = None,
    watch: Watch = lambda _: None,
) -> Snapshot:
    """Return the first look at the whole ring that finds nothing wrong.

    :param numbers: the nodes that are to be the ring.
    :param timeout: seconds.
    :param since: the moment from which the seconds count; by default now.
    :raises NotConverged: the time is up; the text says what is still wrong.
    """
    deadline = (reactor.seconds() if since is None else since) + timeout
    pending = set(numbers)
    wrong: list[Fact] = []
    while True:
        began = reactor.seconds()
        pending -= _in_ring(await observer.statuses(pending)) if pending else set()
        if not pending:
            snapshot = await observer.snapshot(numbers)
            wrong = ring_problems(network, numbers, snapshot)
            if not wrong:
                return snapshot
            pending = set(numbers) - _in_ring(snapshot)
        watch(Progress(len(numbers) - len(pending), len(numbers), len(wrong)))
        now = reactor.seconds()
        if now >= deadline:
            raise _not_converged(network.name, timeout, wrong, pending)
        cost = now - began
        await pause(reactor, min(max(PAUSE_S, PAUSE_FACTOR * cost), MAX_PAUSE_S))


def _in_ring(snapshot: Snapshot) -> set[int]:
    return {n for n, status in snapshot.statuses.items() if status.state == "active"}


def _not_converged(
    name: str, timeout: float, wrong: list[Fact], pending: Collection[int]
) -> NotConverged:
    details = in_words(wrong) or [f"Node {n} is not in the ring" for n in sorted(pending)]
    more = [f"and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
    return NotConverged(
        f"the nodes were not one correct ring after {timeout:g} s; see: {command('doctor', name)}",
        tuple(details[:SHOWN] + more),
    )
