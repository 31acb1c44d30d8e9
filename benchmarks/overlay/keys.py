"""The measuring process for keys: `P2PNetClient` puts and gets, questions from a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.errors import BenchmarkError
from benchmarks.overlay.client import in_flight, serve_verbs
from chordnet.client import P2PNetClient

VALUE = b"v" * PAYLOAD_BYTES
Call = Callable[[str], Deferred[None]]


def run(pipe: Connection, ports: Sequence[int]) -> None:
    """Serve as the measuring process until asked to end."""
    serve_verbs(pipe, lambda reactor: KeyVerbs(reactor, ports))


class KeyVerbs:
    """What the measuring process can be asked to do.

    Args:
        reactor: Where it waits.
        ports: The nodes' ports, in the order of their numbers.
    """

    def __init__(self, reactor: IReactorTime, ports: Sequence[int]) -> None:
        self._clients = [P2PNetClient(f"127.0.0.1:{port}") for port in ports]

    async def close(self) -> None:
        """End the connections."""
        for client in self._clients:
            await client.close()

    async def keys(
        self, node: int, verb: str, keys: Sequence[str], window: int
    ) -> list[float] | float:
        """Write or read keys through a node, `window` at a time.

        Returns:
            The seconds of each if that is one at a time, and otherwise how many there were a
            second.
        """
        client = self._clients[node % len(self._clients)]
        call = _putter(client) if verb == "put" else _getter(client)
        begin = time.perf_counter()
        if window == 1:
            return await _one_by_one(call, keys)
        await in_flight(call, keys, window)
        return len(keys) / (time.perf_counter() - begin)


async def _one_by_one(call: Call, keys: Iterable[str]) -> list[float]:
    took = []
    for key in keys:
        begin = time.perf_counter()
        await call(key)
        took.append(time.perf_counter() - begin)
    return took


def _putter(client: P2PNetClient) -> Call:
    return lambda key: client.put(key, VALUE).addCallback(_ignored)


def _getter(client: P2PNetClient) -> Call:
    return lambda key: client.get(key).addCallback(_found)


def _ignored(_answer: Any) -> None:
    pass


def _found(entry: Any) -> None:
    if entry is None or entry.value != VALUE:
        raise BenchmarkError("a key does not have the value that was written")
