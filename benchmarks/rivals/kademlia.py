"""bmuller/kademlia: sixteen node processes on loopback, values read through single ones.

A value lies on the `REPLICAS` nearest nodes, and every read leaves another copy on a node that
had none. So each round stores values of its own, and each node asked reads each of them once; only
reads of values that it does not hold itself are measured, the others need no network, and only
those count that find the value: a lost datagram makes a node forget a peer, and then some do not.
With the package's default of 20 replicas every node would hold every value.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.effort import NODES, Effort
from benchmarks.errors import BenchmarkError
from benchmarks.rivals.own_nodes import OwnNodes
from benchmarks.stats import median
from benchmarks.workers import serve

REPLICAS = 4
RECEIVE_BYTES = 1 << 22
"""Of a node's socket, or as much as the system allows: every datagram that is lost for want of
room costs the package five seconds."""
SHARE = 8
"""For so many of the lookups of a round one value is stored."""


def _node(pipe: Connection, port: int, bootstrap: int | None) -> None:
    asyncio.run(_run(pipe, port, bootstrap))


async def serving(port: int, bootstrap: int | None, replicas: int) -> Any:
    """Return a node that listens, and knows the first one."""
    from kademlia.network import Server  # type: ignore[import-untyped]

    logging.disable()  # it tells of every datagram lost
    server = Server(ksize=replicas)
    await server.listen(port, interface="127.0.0.1")
    listener = server.transport.get_extra_info("socket")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    if bootstrap is not None and not await server.bootstrap([("127.0.0.1", bootstrap)]):
        raise ConnectionError("the first node does not answer")
    return server


async def _run(pipe: Connection, port: int, bootstrap: int | None) -> None:
    from kademlia.utils import digest  # type: ignore[import-untyped]

    server = await serving(port, bootstrap, REPLICAS)

    async def put(keys: list[str]) -> float:
        return sum([bool(await server.set(key, "value of " + key)) for key in keys])

    async def get(keys: list[str], window: int) -> float:
        distant = [key for key in keys if server.storage.get(digest(key)) is None]
        waiting = iter(distant)
        found = 0

        async def reader() -> None:
            nonlocal found
            for key in waiting:
                value = await server.get(key)
                found += value is not None

        start = time.perf_counter()
        await asyncio.gather(*(reader() for _ in range(window)))
        return found / (time.perf_counter() - start)

    async def answer(keys: list[str], window: int) -> float:
        return await (get(keys, window) if window else put(keys))

    pipe.send("ready")
    await serve(pipe, answer)


class Kademlia(OwnNodes):
    """The network of the package's own servers; every round reads through another node."""

    name = "kademlia"
    promise = "a value is looked up, in the memory of 4 of 16 nodes"

    def __init__(self, port: int) -> None:
        super().__init__(port, "kademlia", _node)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure reads a second through one node after another, and take the median of four.

        So a single lost datagram, which costs the package five seconds, decides no round.
        """
        self._round += 1
        keys = [f"{self._round}-{index}" for index in range(effort.lookups // SHARE)]
        stored = self._nodes[self._round % NODES].ask(keys, 0)
        if stored != len(keys):
            raise BenchmarkError(f"kademlia stored {stored} of {len(keys)} values")
        through = [self._nodes[(self._round * 5 + step * 4) % NODES] for step in range(4)]
        return {"rate": median([node.ask(keys, effort.lookup_window) for node in through])}
