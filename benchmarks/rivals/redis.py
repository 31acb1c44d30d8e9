"""Redis pub/sub: a server of C between subscribers on redis-py, its Python client.

Redis only delivers: no subscriber confirms a message, and PUBLISH is answered once it
has been queued for every subscriber. That answer is what bounds the messages
in flight, which favours Redis. The publisher speaks over a bare socket, so that
it is never the one that is waited for.
"""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.effort import NODES, Effort
from benchmarks.messages import number, payload
from benchmarks.rivals.daemon import missing_parts
from benchmarks.rivals.pubsub import SUBJECT, Brokered
from benchmarks.rivals.sockets import dial, send_flooded

_ANSWER = f":{NODES}\r\n".encode()


def encode(*words: bytes) -> bytes:
    """Return a command, or an array of bulk strings, in Redis's protocol."""
    parts = [b"*%d\r\n" % len(words)]
    parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
    return b"".join(parts)


def _subscriber(pipe: Connection, port: int) -> None:
    import redis

    server: Any = redis.Redis(port=port)
    with server.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(SUBJECT)
        channel.get_message(timeout=5.0)  # the confirmation of the subscription
        pipe.send("ready")
        while (request := pipe.recv()) is not None:
            first, count = request
            arrived = [0.0] * count
            pipe.send("ready")
            for index, message in zip(range(count), channel.listen(), strict=False):
                arrived[index] = time.time()
                if number(message["data"]) != first + index:
                    raise ValueError(f"message {first + index} is missing or out of order")
            pipe.send(arrived)


def _publisher(pipe: Connection, port: int) -> None:
    connection = dial(port, encode(b"PING"), b"+PONG\r\n")
    pipe.send("ready")
    while (request := pipe.recv()) is not None:
        first, count, _, window = request
        numbers = range(first, first + count)
        frames = [encode(b"PUBLISH", SUBJECT.encode(), payload(index)) for index in numbers]
        pipe.send(send_flooded(connection, frames, window, len(_ANSWER)))


class Redis(Brokered):
    """The broker of Debian's redis-server, subscribers as its Python users write them."""

    name = "Redis"
    promise = "nothing is kept, and the sender knows that the server has it, not the subscribers"
    subscriber = staticmethod(_subscriber)
    publisher = staticmethod(_publisher)

    def missing(self) -> str | None:
        """Return how to install redis-server and redis-py, or None."""
        return missing_parts({"redis-server": "redis-server"}, {"redis": "redis"})

    def command(self, directory: str) -> list[str]:
        """Return the words that start the server, with nothing kept on disk."""
        address = ["--bind", "127.0.0.1", "--port", str(self.port)]
        return ["redis-server", *address, "--save", "", "--dir", directory]

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure messages a second, each delivered to all subscribers."""
        return self.flooded(effort.flood, effort.flood_window)
