"""Programs that send one message after the other through whichever nodes are up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred

from chordnet.client import P2PNetClient
from chordnet.core.base.errors import Busy, ChordnetError
from chordnet.survey.waiting import gather, pause

SENDERS = 6
LINES = 4
"""Messages that one sender has in flight at most."""
PATIENCE_S = 10.0
"""How long a sender waits for a receipt before it turns to another node."""
TURN_S = 0.1
"""Pause before it does, and before it tries again where it is told "busy"."""

Connect = Callable[[str], P2PNetClient]


class Senders:
    """The six of them, and what they were told.

    Args:
        reactor: ``IReactorTime``.
        connect: Makes a client for an address.
        choose: Returns the address of a node that is up.
        rng: Where the pauses come from.
        pause_s: A line's pause between two messages, on average.

    Attributes:
        sent: Messages handed over.
        confirmed: Body of each confirmed message, by its id.
        spans: When each of them was sent and confirmed.
        partial: Ids of those among them whose receipt says that not all were reached.
        failed: How often each kind of failure was the answer.
        failed_bodies: The messages that were answered so.
    """

    def __init__(
        self, reactor: Any, connect: Connect, choose: Callable[[], str], rng: Random, pause_s: float
    ) -> None:
        self._reactor = reactor
        self._connect = connect
        self._choose = choose
        self._rng = rng
        self._pause_s = pause_s
        self._over = False
        self._runs = 1
        self.sent = 0
        self.confirmed: dict[str, str] = {}
        self.spans: dict[str, tuple[float, float]] = {}
        self.recorded: dict[str, int] = {}
        """How many nodes had recorded each of them, by its receipt."""
        self.partial: set[str] = set()
        self.twice_confirmed = 0
        self.failed: Counter[str] = Counter()
        self.failed_bodies: set[str] = set()
        self.seconds: list[float] = []

    async def run(self) -> None:
        """Send until `stop`, and until the last answer is there."""
        await gather(self._sender(number) for number in range(1, SENDERS + 1))

    def stop(self) -> None:
        """Send nothing new."""
        self._over = True

    def again(self) -> None:
        """Be ready for another `run`; its messages are others than the last one's."""
        self._over = False
        self._runs += 1

    async def _sender(self, number: int) -> None:
        line = _Line(self._connect(self._choose()))
        try:
            await gather(self._line(line, f"{number}-{index}") for index in range(1, LINES + 1))
        finally:
            await line.client.close()

    async def _line(self, line: _Line, name: str) -> None:
        count = 0
        while not self._over:
            count += 1
            await self._send(line, f"storm-{self._runs}-{name}-{count}")
            await pause(self._reactor, self._pause_s * 2 * self._rng.random())

    async def _send(self, line: _Line, body: str) -> None:
        client = line.client
        self.sent += 1
        began = self._reactor.seconds()
        try:
            receipt = await client.send_message(body)
        except ChordnetError as problem:
            self.failed[type(problem).__name__] += 1
            self.failed_bodies.add(body)
            if not isinstance(problem, Busy):
                await self._turn(line, client)
            await pause(self._reactor, TURN_S)
            return
        self.seconds.append(self._reactor.seconds() - began)
        self.twice_confirmed += receipt.id in self.confirmed
        self.confirmed[receipt.id] = body
        self.spans[receipt.id] = began, self._reactor.seconds()
        self.recorded[receipt.id] = receipt.recorded
        if receipt.partial:
            self.partial.add(receipt.id)

    async def _turn(self, line: _Line, client: P2PNetClient) -> None:
        """Turn to another node, unless another line of the same sender has done so already."""
        if line.client is client:
            line.client = self._connect(self._choose())
            await client.close()


class _Line:
    """The connection of one sender."""

    def __init__(self, client: P2PNetClient) -> None:
        self.client = client


def connector(reactor: Any, network: str) -> Connect:
    """Return what makes a client with a storm's patience."""
    return lambda address: P2PNetClient(
        address, reactor, network=network, timeout_s=PATIENCE_S, send_timeout_s=PATIENCE_S
    )


def running(coroutine: Any) -> Deferred[Any]:
    """Start a coroutine."""
    return Deferred.fromCoroutine(coroutine)
