"""bmuller/kademlia as a store: sixteen node processes, three copies, in memory.

The program that is measured is a node itself, so nothing travels between a client and a node. A
value is read only where the node does not hold it: otherwise there is nothing to measure. A read
that does not find the value, since a lost datagram made a node forget a peer, counts for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.rivals.kademlia import serving
from benchmarks.rivals.own_nodes import KeysOfOwnNodes
from benchmarks.workers import serve

REPLICAS = 3
VALUE = "v" * PAYLOAD_BYTES


def _node(pipe: Connection, port: int, bootstrap: int | None) -> None:
    asyncio.run(_run(pipe, port, bootstrap))


async def _run(pipe: Connection, port: int, bootstrap: int | None) -> None:
    from kademlia.utils import digest  # type: ignore[import-untyped]

    server = await serving(port, bootstrap, REPLICAS)

    async def put(key: str) -> bool:
        return bool(await server.set(key, VALUE))

    async def get(key: str) -> bool:
        return await server.get(key) is not None

    async def answer(verb: str, keys: list[str], window: int) -> list[float] | float:
        if verb == "put":
            return await work(put, keys, window)
        distant = [key for key in keys if server.storage.get(digest(key)) is None]
        return await work(get, distant, window)

    pipe.send("ready")
    await serve(pipe, answer)


async def work(
    call: Callable[[str], Awaitable[bool]], keys: list[str], window: int
) -> list[float] | float:
    """Make a call for each key.

    Args:
        call: Returns True if it did what it should; the others count for nothing.
        keys: The keys.
        window: So many at a time.

    Returns:
        The seconds of each if that is one at a time, and otherwise how many there were a second.
    """
    waiting, took = iter(keys), []

    async def worker() -> None:
        for key in waiting:
            begin = time.perf_counter()
            if await call(key):
                took.append(time.perf_counter() - begin)

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(window)))
    return took if window == 1 else len(took) / (time.perf_counter() - begin)


class KademliaKeys(KeysOfOwnNodes):
    """The network of the package's own servers."""

    name = "kademlia"
    promise = (
        "a value is in the memory of three of 16 nodes, as far as their datagrams arrived; two "
        "writers of one key leave different values, and a read takes what most of those say"
    )

    def __init__(self, port: int) -> None:
        super().__init__(port, "kademlia", _node)
