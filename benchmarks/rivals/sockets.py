"""Blocking sockets to the rivals' brokers, without their client libraries.

They show what the broker itself costs: no event loop, no callbacks, nothing
between the socket and the note of the time.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from itertools import islice
from multiprocessing.connection import Connection

from benchmarks.messages import number

Parse = Callable[[bytes], tuple[list[bytes], bytes]]
"""Splits what was received into whole messages and the rest."""

TIMEOUT_SECONDS = 30.0


def dial(port: int, greeting: bytes, answer: bytes) -> socket.socket:
    """Connect, greet and wait until the broker's answer has come."""
    connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(greeting)
    received = b""
    while answer not in received:
        received += _some(connection)
    return connection


def subscribe(pipe: Connection, connection: socket.socket, parse: Parse) -> None:
    """Serve as a subscriber until asked to end."""
    pipe.send("ready")
    while (request := pipe.recv()) is not None:
        first, count = request
        pipe.send("ready")
        pipe.send(_arrivals(connection, parse, first, count))


def _arrivals(connection: socket.socket, parse: Parse, first: int, count: int) -> list[float]:
    arrived = [0.0] * count
    missing, rest = count, b""
    while missing:
        messages, rest = parse(rest + _some(connection))
        for message in messages:
            arrived[number(message) - first] = time.time()
        missing -= len(messages)
    return arrived


def send_paced(connection: socket.socket, frames: list[bytes], pace: float) -> list[float]:
    """Send a frame every `pace` seconds and return when each was sent."""
    sent = []
    due = time.monotonic()
    for frame in frames:
        sent.append(time.time())
        connection.sendall(frame)
        due += pace
        time.sleep(max(0.0, due - time.monotonic()))
    return sent


def send_flooded(
    connection: socket.socket, frames: list[bytes], window: int, answer_bytes: int
) -> list[float]:
    """Keep `window` frames unanswered and return when each was sent.

    Args:
        connection: Where to send.
        frames: What to send.
        window: How many may be unanswered.
        answer_bytes: Length of the broker's answer to each frame, always the same.
    """
    waiting = iter(frames)
    sent: list[float] = []
    answered = 0
    while answered < len(frames) * answer_bytes:
        batch = list(islice(waiting, window - (len(sent) - answered // answer_bytes)))
        sent.extend([time.time()] * len(batch))
        connection.sendall(b"".join(batch))
        answered += len(_some(connection))
    return sent


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionError("the broker closed the connection")
    return data
