"""One message to sixteen subscriber processes through a broker: what is common.

A subscriber notes the wall-clock time at which its application has each message
of a round, as a chordnet node notes when it recorded one; all processes share
the machine's clock. The publisher, a process of its own as well, notes when it
handed each message over. Nothing but the messages travels during a round.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from benchmarks.effort import NODES, Effort
from benchmarks.errors import BenchmarkError
from benchmarks.messages import delays, latencies
from benchmarks.rivals.daemon import Daemon
from benchmarks.workers import Worker

SUBJECT = "bench"


class Brokered(ABC):
    """A broker, its sixteen subscribers and one publisher.

    The subscriber function is sent ``(first, count)``, answers when it
    is ready for messages first…first+count-1, and then with their arrival times in order.
    The publisher function is sent ``(first, count, pace, window)`` and answers the
    times at which it handed over each message: one every `pace` seconds, or, when that is
    zero, with `window` of them not yet taken by the broker.
    """

    name: str
    subscriber: Callable[..., None]
    publisher: Callable[..., None]

    def __init__(self, port: int) -> None:
        self.port = port
        self.more: tuple[object, ...] = ()
        """What else the two functions are given."""
        self._next = 0
        self._daemon: Daemon | None = None
        self._workers: list[Worker] = []

    @abstractmethod
    def missing(self) -> str | None:
        """Return how to install what is not there, or None."""

    @abstractmethod
    def command(self, directory: str) -> list[str]:
        """Return the words that start the broker on `port`."""

    def start(self) -> None:
        """Start the broker, the subscribers and the publisher."""
        self._daemon = Daemon(self.port, self.command)
        kind = type(self)
        for function in [kind.subscriber] * NODES + [kind.publisher]:
            self._workers.append(Worker(function, self.port, *self.more))

    def stop(self) -> None:
        """End them all."""
        while self._workers:
            self._workers.pop().stop()
        if self._daemon is not None:
            self._daemon.stop()
            self._daemon = None

    def _round(self, count: int, pace: float, window: int) -> tuple[Any, list[list[float]]]:
        *subscribers, publisher = self._workers
        first, self._next = self._next, self._next + count
        for subscriber in subscribers:
            subscriber.ask(first, count)
        sent = publisher.ask(first, count, pace, window)
        return sent, [subscriber.receive() for subscriber in subscribers]

    def paced(self, effort: Effort) -> dict[str, float]:
        """Send one at a time and return the time until all subscribers have each."""
        sent, arrivals = self._round(effort.paced, effort.pace, 1)
        return latencies(delays(sent, arrivals))

    def flooded(self, count: int, window: int) -> dict[str, float]:
        """Keep a window in flight and return messages a second, to the last arrival."""
        sent, arrivals = self._round(count, 0.0, window)
        if not all(times == sorted(times) for times in arrivals):
            raise BenchmarkError(f"{self.name} delivered out of order")
        return {"rate": count / (max(times[-1] for times in arrivals) - sent[0])}
