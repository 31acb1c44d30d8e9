"""NATS as one would put a confirmed, recorded broadcast together, in two ways.

No broker tells a sender that all consumers have recorded a message. So each of the sixteen answers
the sender once it has: over plain NATS a subscriber appends the message to a file of its own first;
with JetStream the server keeps the messages in a file, and a subscriber, a durable consumer,
acknowledges each. The sender counts sixteen answers to each message before it calls it confirmed.

Both have it as cheap as that promise allows: one write to a file without fsync, answers and
acknowledgements that are not waited for, publishing without waiting for JetStream's own
confirmation, which sixteen answers imply.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.effort import NODES, Effort
from benchmarks.messages import delays, latencies, number, payload
from benchmarks.rivals.nats import Nats, connected
from benchmarks.rivals.pubsub import SUBJECT
from benchmarks.stats import percentile
from benchmarks.workers import serve

ANSWERS = "answers"
"""Where the sender hears that a message is recorded."""
STREAM = "BENCH"

Keep = Callable[[Any], Awaitable[None]]
"""Makes sure of a message that has come."""


class Arrivals:
    """When each message of a round was recorded."""

    def __init__(self, pipe: Connection, client: Any, keep: Keep) -> None:
        self._pipe = pipe
        self._client = client
        self._keep = keep
        self._at: dict[int, float] = {}
        self._wanted = 0
        self._complete = asyncio.Event()

    async def on_message(self, message: Any) -> None:
        """Record a message, note when, and tell the sender."""
        await self._keep(message)
        index = number(message.data)
        self._at[index] = time.time()
        await self._client.publish(ANSWERS, b"%d" % index)
        if len(self._at) == self._wanted:
            self._complete.set()

    async def round(self, first: int, count: int) -> list[float]:
        """Wait for all messages of a round."""
        self._wanted = count
        self._at.clear()
        self._complete.clear()
        self._pipe.send("ready")
        await self._complete.wait()
        return [self._at[index] for index in range(first, first + count)]


def _recorder(pipe: Connection, port: int, tls: str = "") -> None:
    asyncio.run(_record(pipe, port, tls))


async def _record(pipe: Connection, port: int, tls: str) -> None:
    client = await connected(port, tls)
    with tempfile.TemporaryFile(prefix="chordnet-bench-", buffering=0) as file:
        descriptor = file.fileno()

        async def keep(message: Any) -> None:
            os.write(descriptor, message.data + b"\n")

        arrivals = Arrivals(pipe, client, keep)
        await client.subscribe(SUBJECT, cb=arrivals.on_message)
        await client.flush()
        pipe.send("ready")
        await serve(pipe, arrivals.round)


def _consumer(pipe: Connection, port: int, tls: str = "") -> None:
    asyncio.run(_consume(pipe, port, tls))


async def _consume(pipe: Connection, port: int, tls: str) -> None:
    from nats.js.api import AckPolicy, ConsumerConfig, StorageType, StreamConfig

    async def keep(message: Any) -> None:
        await message.ack()

    client = await connected(port, tls)
    stream = client.jetstream()
    # The same by each of them: whoever comes first makes it.
    await stream.add_stream(
        StreamConfig(STREAM, subjects=[SUBJECT], storage=StorageType.FILE, num_replicas=1)
    )
    arrivals = Arrivals(pipe, client, keep)
    await stream.subscribe(
        SUBJECT, durable=f"consumer-{os.getpid()}", stream=STREAM, cb=arrivals.on_message,
        manual_ack=True, config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT),
    )  # fmt: skip
    await client.flush()
    pipe.send("ready")
    await serve(pipe, arrivals.round)


def _publisher(pipe: Connection, port: int, tls: str = "") -> None:
    asyncio.run(_publish(pipe, port, tls))


async def _publish(pipe: Connection, port: int, tls: str) -> None:
    client = await connected(port, tls)
    sender = Sender(client.publish)

    async def on_answer(message: Any) -> None:
        await sender.answered(int(message.data))

    await client.subscribe(ANSWERS, cb=on_answer)
    await client.flush()
    pipe.send("ready")
    await serve(pipe, sender.round)


class Sender:
    """Sends messages and counts the answers to each."""

    def __init__(self, publish: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._publish = publish
        self._waiting = iter(range(0))
        self._sent: dict[int, float] = {}
        self._known: dict[int, float] = {}
        self._answers: dict[int, int] = {}
        self._complete = asyncio.Event()

    async def round(
        self, first: int, count: int, pace: float, window: int
    ) -> tuple[list[float], list[float]]:
        """Return when each message was sent and when all had answered it.

        Args:
            first: Number of the first message.
            count: How many.
            pace: Seconds from one to the next, each after the answers to the one before; 0: none.
            window: How many may be unanswered without a pace.
        """
        numbers = range(first, first + count)
        for table in (self._sent, self._known, self._answers):
            table.clear()
        if pace:
            due = time.monotonic()
            for index in numbers:
                await self._confirmed(iter([index]), 1)
                due += pace
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        else:
            await self._confirmed(iter(numbers), window)
        return [self._sent[each] for each in numbers], [self._known[each] for each in numbers]

    async def _confirmed(self, waiting: Any, window: int) -> None:
        self._waiting = waiting
        self._complete.clear()
        for index in list(islice(waiting, window)):
            await self._send(index)
        await self._complete.wait()

    async def _send(self, index: int) -> None:
        self._sent[index] = time.time()
        await self._publish(SUBJECT, payload(index))

    async def answered(self, index: int) -> None:
        """Take note of an answer; the last one to a message lets the next go."""
        self._answers[index] = self._answers.get(index, 0) + 1
        if self._answers[index] != NODES:
            return
        self._known[index] = time.time()
        following = next(self._waiting, None)
        if following is not None:
            await self._send(following)
        elif len(self._known) == len(self._sent):
            self._complete.set()


class NatsRecorded(Nats):
    """Plain NATS, each subscriber with a file of its own."""

    name = "NATS, recorded"
    promise = (
        "each of the 16 has appended it to a file of its own (16 files on one disk, page cache, no "
        "fsync) and has told the sender so"
    )
    subscriber = staticmethod(_recorder)
    publisher = staticmethod(_publisher)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure the time until all have a message, and until the sender knows."""
        (sent, known), arrivals = self._round(effort.paced, effort.pace, 1)
        receipts = [after - before for before, after in zip(sent, known, strict=True)]
        return {**latencies(delays(sent, arrivals)), "receipt": percentile(receipts, 50) * 1e3}


class JetStream(NatsRecorded):
    """A file stream of one replica, and durable consumers that acknowledge."""

    name = "JetStream, acknowledged"
    promise = (
        "the server has it in its stream (one file on one disk, page cache; it calls fsync every "
        "two minutes), and each of the 16 durable consumers has acknowledged it to the server and "
        "has told the sender so"
    )
    subscriber = staticmethod(_consumer)

    def command(self, directory: str) -> list[str]:
        """Return the words that start the server with its store in `directory`."""
        return [*super().command(directory), "--jetstream", "--store_dir", directory]


class _Flooded(NatsRecorded):
    """Measured at many messages in flight."""

    def measure(self, effort: Effort) -> dict[str, float]:
        """Measure messages a second until the sender knows of the last one."""
        (sent, known), _ = self._round(effort.burst, 0.0, effort.burst_window)
        return {"rate": effort.burst / (max(known) - sent[0])}


class NatsRecordedFlooded(_Flooded, NatsRecorded):
    """The first way, measured at many messages in flight."""


class JetStreamFlooded(_Flooded, JetStream):
    """The second way, measured at many messages in flight."""
