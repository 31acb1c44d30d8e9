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

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.rivals.own_nodes import KeysOfOwnNodes

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


class OpenDht(KeysOfOwnNodes):
    """The network of the library's own nodes."""

    name = "OpenDHT"
    promise = (
        "a value is in the memory of some of the eight nodes nearest to its key, for ten minutes; "
        "values of one key gather beside each other, and none replaces another"
    )

    def __init__(self, port: int) -> None:
        super().__init__(port, "opendht", _node)

    def start(self) -> None:
        """Start the nodes, and let them find each other."""
        super().start()
        time.sleep(SETTLE_SECONDS)
