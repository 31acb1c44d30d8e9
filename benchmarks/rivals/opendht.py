"""OpenDHT (C++, by its Python binding): sixteen node processes, values in memory.

The program that is measured is a node itself, so nothing travels between a client and a node. A
write counts when the library says that it is done, a read when its first value is there; a read
that ends without one counts for nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.effort import NODES, PAYLOAD_BYTES, Effort
from benchmarks.keys import measure
from benchmarks.rivals.daemon import missing_parts
from benchmarks.workers import Worker

SETTLE_SECONDS = 5.0
"""Nodes that have just met refuse each other's values for a while."""
VALUE = b"v" * PAYLOAD_BYTES
Over = Callable[[bool], None]


def _node(pipe: Connection, port: int, bootstrap: int | None) -> None:
    import opendht  # type: ignore[import-not-found]

    node = opendht.DhtRunner()
    node.run(port=port)
    if bootstrap is not None:
        node.bootstrap("127.0.0.1", str(bootstrap))

    def put(key: str, over: Over) -> None:
        value = opendht.Value(VALUE)
        node.put(opendht.InfoHash.get(key), value, lambda done, _nodes: over(bool(done)))

    def get(key: str, over: Over) -> None:
        def found(_value: Any) -> bool:
            over(True)
            return False  # no more values are wanted

        node.get(opendht.InfoHash.get(key), found, lambda _done, _nodes: over(False))

    pipe.send("ready")
    while (request := pipe.recv()) is not None:
        verb, keys, window = request
        pipe.send(_work(put if verb == "put" else get, keys, window))
    node.join()


def _work(call: Callable[[str, Over], None], keys: list[str], window: int) -> list[float] | float:
    """Make a call for each key, so many at a time; answers come in the library's thread."""
    room = threading.Semaphore(window)
    took: list[float] = []

    def begin(key: str) -> None:
        began, ended = time.perf_counter(), threading.Lock()

        def over(well: bool) -> None:
            if ended.acquire(blocking=False):  # the first answer counts
                if well:
                    took.append(time.perf_counter() - began)
                room.release()

        call(key, over)

    start = time.perf_counter()
    for key in keys:
        room.acquire()
        begin(key)
    for _ in range(window):
        room.acquire()
    return took if window == 1 else len(took) / (time.perf_counter() - start)


class OpenDht:
    """The network of the library's own nodes."""

    name = "OpenDHT"
    promise = (
        "a value is in the memory of some of the eight nodes nearest to its key, for ten minutes; "
        "values of one key gather beside each other, and none replaces another"
    )

    def __init__(self, port: int) -> None:
        self._port = port
        self._nodes: list[Worker] = []
        self._round = 0

    def missing(self) -> str | None:
        """Return how to install the package, or None."""
        return missing_parts({}, {"opendht": "opendht"})

    def start(self) -> None:
        """Start the nodes, one after another."""
        for index in range(NODES):
            bootstrap = self._port if index else None
            self._nodes.append(Worker(_node, self._port + index, bootstrap))
        time.sleep(SETTLE_SECONDS)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through other nodes than the round before."""
        self._round += 1
        return measure(self._ask, effort, self._round)

    def _ask(self, place: int, *question: object) -> object:
        return self._nodes[place % NODES].ask(*question, timeout=300)

    def stop(self) -> None:
        """End the nodes."""
        while self._nodes:
            self._nodes.pop().stop()
