"""The measuring process: `P2PNetClient` connections to all nodes, questions from a pipe.

It runs a reactor of its own. Every verb is a coroutine that returns plain
numbers; the pipe is read in a thread, so that connections stay alive meanwhile.
"""

from __future__ import annotations

import itertools
import os
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure as TwistedFailure

from benchmarks.effort import NODES
from benchmarks.errors import BenchmarkError
from benchmarks.messages import number, payload
from benchmarks.stats import median
from benchmarks.workers import Failure
from chordnet.client import P2PNetClient
from chordnet.wire.rpc import LookupResult, MessageRecord, Receipt

T = TypeVar("T")

POLL_SECONDS = 0.02
QUIET_SECONDS = 0.3
"""A node counts as gone once no table has shown it for so long."""
PATIENCE_SECONDS = 30.0
VALUE_KEYS = 32
"""Keys that large values are written to, one after another."""


def run(pipe: Connection, ports: Sequence[int], identity: str | None = None) -> None:
    """Serve as the measuring process until asked to end."""
    serve_verbs(pipe, lambda reactor: Verbs(reactor, ports, identity))


def serve_verbs(pipe: Connection, make: Callable[[Any], Any]) -> None:
    """Run a reactor, and answer questions with the methods of what `make` returns."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    served = Deferred.fromCoroutine(_serve(pipe, make(reactor)))
    served.addBoth(lambda _: reactor.stop())
    reactor.run(installSignalHandlers=False)


async def _serve(pipe: Connection, verbs: Any) -> None:
    pipe.send("ready")
    while (request := await deferToThread(pipe.recv)) is not None:
        verb, *arguments = request
        try:
            pipe.send(await getattr(verbs, verb)(*arguments))
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            pipe.send(Failure(f"{type(error).__name__}: {error}", traceback.format_exc()))
    await verbs.close()


class Verbs:
    """What the measuring process can be asked to do.

    Args:
        reactor: Where it waits.
        ports: The nodes' ports, in the order of their numbers.
        identity: Where the identity is that a secured network asks for.
    """

    def __init__(
        self, reactor: IReactorTime, ports: Sequence[int], identity: str | None = None
    ) -> None:
        self._reactor = reactor
        self._clients = [P2PNetClient(f"127.0.0.1:{port}", identity=identity) for port in ports]
        self._numbers = itertools.count()

    async def close(self) -> None:
        """End the connections."""
        for client in self._clients:
            await client.close()

    async def paced(
        self, origin: int, count: int, pace: float
    ) -> tuple[list[float], list[float], list[list[float]]]:
        """Send one at a time, each after the receipt of the one before.

        Returns:
            When each was sent, the seconds until its receipt, and for each node when it
            recorded each.
        """
        client = self._clients[origin]
        marks = [await self._newest(each) for each in self._clients]
        numbers = [next(self._numbers) for _ in range(count)]
        sent, receipts = [], []
        due = time.monotonic()
        for index in numbers:
            sent.append(time.time())
            await self._send(client, index)
            receipts.append(time.time() - sent[-1])
            due += pace
            await deferLater(self._reactor, max(0.0, due - time.monotonic()))
        pairs = zip(self._clients, marks, strict=True)
        return sent, receipts, [await self._recorded(*pair, numbers) for pair in pairs]

    async def flood(self, origin: int, count: int, window: int) -> float:
        """Keep `window` broadcasts unconfirmed; return the seconds to the last receipt."""
        send = partial(self._send, self._clients[origin])
        begin = time.perf_counter()
        await in_flight(send, itertools.islice(self._numbers, count), window)
        return time.perf_counter() - begin

    async def lookups(self, node: int, count: int, window: int) -> float:
        """Look up random keys through one node.

        Returns:
            Lookups a second of keys that other nodes own; its own take time and are not counted.
        """
        client = self._clients[node]
        asked = (await client.status()).node.id
        salt = os.urandom(8).hex()
        distant = 0

        def found(result: LookupResult) -> None:
            nonlocal distant
            distant += result.owner.id != asked

        keys = (f"{salt}-{index}" for index in range(count))
        begin = time.perf_counter()
        await in_flight(lambda key: client.lookup(key).addCallback(found), keys, window)
        return distant / (time.perf_counter() - begin)

    async def write(self, size: int, bytes_per_s: float, seconds: float) -> tuple[int, float]:
        """Write values of so many bytes, one after another, through one node after another.

        Returns:
            How many were confirmed, and the median of the seconds that it took.
        """
        took: list[float] = []
        begin = time.monotonic()
        while (now := time.monotonic()) < begin + seconds:
            client = self._clients[len(took) % len(self._clients)]
            await client.put(f"large {len(took) % VALUE_KEYS}", os.urandom(size))
            took.append(time.monotonic() - now)
            due = begin + len(took) * size / bytes_per_s
            await deferLater(self._reactor, max(0.0, due - time.monotonic()))
        return len(took), median(took)

    async def counted(self, name: str) -> float:
        """Return a counter's sum over all nodes."""
        statuses = [await client.status() for client in self._clients]
        return float(sum(status.counters.get(name, 0) for status in statuses))

    async def disappearance(self, victim: int, pid: int, blow: int) -> list[float]:
        """Send a signal to a node; return when each other one had forgotten it, in seconds."""
        gone = (await self._clients[victim].status()).node.id
        others = [client for index, client in enumerate(self._clients) if index != victim]
        for client in others:
            await client.status()
        os.kill(pid, blow)
        begin = time.perf_counter()
        return await gatherResults(
            [Deferred.fromCoroutine(self._forgotten(client, gone, begin)) for client in others],
            consumeErrors=True,
        )

    async def _forgotten(self, client: P2PNetClient, gone: str, begin: float) -> float:
        absent_since: float | None = None
        while True:
            status = await client.status()
            now = time.perf_counter() - begin
            nodes = [status.predecessor, *status.successors]
            nodes += [finger.node for finger in status.fingers]
            if any(node is not None and node.id == gone for node in nodes):
                absent_since = None
            elif absent_since is None:
                absent_since = now
            elif now - absent_since > QUIET_SECONDS:
                return absent_since
            if now > PATIENCE_SECONDS:
                raise BenchmarkError(f"still in a table after {PATIENCE_SECONDS:g} s")
            await deferLater(self._reactor, POLL_SECONDS)

    def _send(self, client: P2PNetClient, index: int) -> Deferred[None]:
        return client.send_message(payload(index).decode()).addCallback(_confirmed)

    async def _newest(self, client: P2PNetClient) -> str:
        newest = await client.get_messages(limit=1)
        return newest[-1].id if newest else ""

    async def _recorded(
        self, client: P2PNetClient, since: str, numbers: Sequence[int]
    ) -> list[float]:
        records: list[MessageRecord] = await client.get_messages(since=since)
        times = {number(record.body.encode()): record.received_at for record in records}
        if len(records) != len(numbers):
            raise BenchmarkError(f"{len(records)} messages were recorded, not {len(numbers)}")
        return [times[index] for index in numbers]


def _confirmed(receipt: Receipt) -> None:
    if receipt.recorded != NODES or receipt.partial:
        raise BenchmarkError(f"{receipt.id} was recorded by {receipt.recorded} nodes")


def in_flight(
    call: Callable[[T], Deferred[None]], arguments: Iterable[T], window: int
) -> Deferred[None]:
    """Make a call for each argument, `window` of them unanswered at a time.

    Callbacks rather than coroutines: what measures shares the processors with what is measured.

    Returns:
        Fires once all are answered; fails with the first failure.
    """
    waiting = iter(arguments)
    finished: Deferred[None] = Deferred()
    open_calls = window

    def proceed(_answer: None) -> None:
        nonlocal open_calls
        for argument in waiting:
            call(argument).addCallbacks(proceed, failed)
            return
        open_calls -= 1
        if not open_calls and not finished.called:
            finished.callback(None)

    def failed(reason: TwistedFailure) -> None:
        if not finished.called:
            finished.errback(reason)

    for _ in range(window):
        proceed(None)
    return finished
