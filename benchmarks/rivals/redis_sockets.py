"""Redis pub/sub again, its protocol read from blocking sockets."""

from __future__ import annotations

from multiprocessing.connection import Connection

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.messages import payload
from benchmarks.rivals.daemon import missing_parts
from benchmarks.rivals.pubsub import SUBJECT
from benchmarks.rivals.redis import Redis, encode
from benchmarks.rivals.sockets import dial, subscribe

_SAMPLE = encode(b"message", SUBJECT.encode(), payload(0))
_HEADER = _SAMPLE[: -PAYLOAD_BYTES - 2]


def parse(data: bytes) -> tuple[list[bytes], bytes]:
    """Split off the whole messages; all are of one length.

    Raises:
        ValueError: There is something else, such as the server's error.
    """
    messages = []
    at = 0
    while len(data) - at >= len(_SAMPLE):
        if not data.startswith(_HEADER, at):
            raise ValueError(f"unexpected from the server: {data[at : at + 60]!r}")
        at += len(_SAMPLE)
        messages.append(data[at - PAYLOAD_BYTES - 2 : at - 2])
    return messages, data[at:]


def _subscriber(pipe: Connection, port: int) -> None:
    greeting = encode(b"SUBSCRIBE", SUBJECT.encode())
    subscribe(pipe, dial(port, greeting, b":1\r\n"), parse)


class RedisSockets(Redis):
    """The same broker, nothing but sockets on both sides of it."""

    name = "Redis, bare sockets"
    subscriber = staticmethod(_subscriber)

    def missing(self) -> str | None:
        """Return how to install redis-server, or None."""
        return missing_parts({"redis-server": "redis-server"}, {})
