"""``python -m benchmarks.micro``: what single steps cost, without sockets or other processes.

A ring of sixteen nodes settles in virtual time; then broadcasts and lookups are
carried from node to node by a queue, and every step of every node is timed. The
codec and the framing are timed on messages that were really sent, the log on a file.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Self

import click
from attrs import frozen
from rich.console import Console
from rich.table import Table

from benchmarks.effort import NODES
from benchmarks.machine import machine
from benchmarks.messages import payload
from benchmarks.report import quantity
from benchmarks.stats import median, percentile
from chordnet.core.base.effects import Effect, Record, Send
from chordnet.core.base.events import Event, FindOwner, Publish, Received
from chordnet.core.base.messages import Bcast, Covered, Find, Found, Hop, MessageId, PeerMessage
from chordnet.core.node import ChordNode
from chordnet.sim.world.network import Network
from chordnet.storage.base.paging import KeptMessage
from chordnet.storage.base.rows import is_sound
from chordnet.storage.log.rows import encoded_rows
from chordnet.storage.log.sqlite import Durability, SqliteLog
from chordnet.wire.codec import encode_frame, read_peer
from chordnet.wire.framing import HEADER_BYTES, FrameDecoder

FRAME_LIMIT = 1 << 20
SETTLED_S = 60.0
"""Virtual seconds after which no node of a ring that is right counts as a newcomer."""
BURST = 20
"""Frames in one read, for the framing."""
TRACED = (Bcast, Covered, Find, Found)
"""The messages of the hot paths."""


@frozen
class Cost:
    """What something takes.

    Attributes:
        what: The operation.
        each: Microseconds, the median.
        tail: Microseconds, the 99th percentile; None where it was timed in bulk.
        often: How many times it happens in one broadcast or lookup; None if it is no part of one.
    """

    what: str
    each: float
    tail: float | None = None
    often: float | None = None


class Ring:
    """Settled nodes and a queue of what they say to each other, first in, first out.

    Args:
        seed: Of the settling.
    """

    def __init__(self, seed: int) -> None:
        network = Network(seed)
        for number in range(1, NODES + 1):
            network.add(f"Node {number}", ["Node 1", "Node 2"])
        if not network.run(60.0, until=lambda: not network.problems()):
            raise click.ClickException(f"the ring of seed {seed} does not settle")
        # Until everybody knows the nodes that came last, a broadcast passes them by and is sent to
        # them again: 19 messages instead of 15.
        network.run(SETTLED_S)
        self._now = network.now
        self.nodes = [host.node for host in network.hosts.values()]
        self._by_address = {node.me.address: node for node in self.nodes}
        self.nanoseconds: defaultdict[str, list[int]] = defaultdict(list)
        self.samples: dict[type, PeerMessage] = {}

    def run(self, node: ChordNode, event: Event) -> list[Effect]:
        """Let a node take an event and all that follow arrive; return the other effects."""
        others: list[Effect] = []
        waiting = deque([(node, event)])
        while waiting:
            receiver, event = waiting.popleft()
            for effect in self._step(receiver, event):
                if isinstance(effect, Send):
                    self._sample(effect.message)
                    to = self._by_address[effect.to.address]
                    waiting.append((to, Received(receiver.me, effect.message)))
                else:
                    others.append(effect)
        return others

    def _step(self, node: ChordNode, event: Event) -> list[Effect]:
        begin = time.perf_counter_ns()
        effects = node.step(event, self._now)
        taken = time.perf_counter_ns() - begin
        kind = type(event.message if isinstance(event, Received) else event)
        self.nanoseconds[kind.__name__].append(taken)
        return effects

    def _sample(self, message: PeerMessage) -> None:
        if isinstance(message, TRACED):
            self.samples.setdefault(type(message), message)


class Collector:
    """Adds up how long the garbage collector runs inside a ``with`` block.

    All sixteen nodes share one heap here, so each full collection visits them all; a node by
    itself pays for its own objects alone, about as much for each of its steps.
    """

    nanoseconds = 0
    _begin = 0

    def __enter__(self) -> Self:
        gc.callbacks.append(self._told)
        return self

    def __exit__(self, *_exception: object) -> None:
        gc.callbacks.remove(self._told)

    def _told(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._begin = time.perf_counter_ns()
        else:
            self.nanoseconds += time.perf_counter_ns() - self._begin


def broadcasts(ring: Ring, count: int) -> list[Cost]:
    """Publish from one node after another and time all steps."""
    body = payload(0)
    return _operations(
        ring, "broadcast", count, lambda index: Publish([(index, body)], wall=float(index))
    )


def lookups(ring: Ring, count: int) -> list[Cost]:
    """Look random keys up through one node after another and time all steps."""
    rng = Random(count)
    width = len(ring.nodes[0].me.raw)
    return _operations(ring, "lookup", count, lambda index: FindOwner(index, rng.randbytes(width)))


def _operations(ring: Ring, name: str, count: int, event: Callable[[int], Event]) -> list[Cost]:
    ring.nanoseconds.clear()
    with Collector() as collector:
        for index in range(count):
            ring.run(ring.nodes[index % len(ring.nodes)], event(index))
    total = sum(sum(taken) for taken in ring.nanoseconds.values())
    costs = [
        Cost(f"{name}: all steps of all nodes", total / count / 1e3),
        Cost(f"{name}: garbage collector meanwhile", collector.nanoseconds / count / 1e3),
    ]
    for kind, taken in ring.nanoseconds.items():
        share = len(taken) / count
        tail = percentile(taken, 99) / 1e3
        costs.append(Cost(f"{name}: step {kind}", median(taken) / 1e3, tail, share))
    return costs


def codec(ring: Ring, repeat: int) -> list[Cost]:
    """Encode and decode messages that were sent."""
    costs = []
    for kind, message in ring.samples.items():
        frame = encode_frame(message)
        document = frame[HEADER_BYTES:]
        size = f"{kind.__name__}, {len(frame)} bytes"
        costs += [
            Cost(f"encode {size}", _bulk(partial(encode_frame, message), repeat)),
            Cost(f"decode {size}", _bulk(partial(read_peer, document), repeat)),
        ]
    stream = encode_frame(ring.samples[Bcast]) * BURST
    decoder = FrameDecoder(FRAME_LIMIT)
    each = _bulk(lambda: decoder.feed(stream), repeat // BURST) / BURST
    return [*costs, Cost(f"cut a frame, {BURST} in one read", each)]


def log(repeat: int) -> list[Cost]:
    """Record turns of one message and of many in a log on disk, at both degrees of durability."""
    costs = []
    degrees: tuple[Durability, ...] = ("process", "power")
    with TemporaryDirectory(prefix="chordnet-bench-") as directory:
        for durability in degrees:
            kept = SqliteLog(Path(directory, durability), durability=durability)
            sequence = itertools.count(1)
            for size in (1, BURST):
                taken = [_turn(kept, list(islice(sequence, size))) for _ in range(repeat)]
                each, tail = median(taken) * 1e6, percentile(taken, 99) * 1e6
                costs.append(Cost(f"log, {durability}: a turn with {size}", each, tail))
            taken = [_checkpoint(kept, list(islice(sequence, BURST))) for _ in range(repeat)]
            each, tail = median(taken) * 1e6, percentile(taken, 99) * 1e6
            costs.append(Cost(f"log, {durability}: a checkpoint of {BURST}", each, tail))
            kept.close()
    route = [Hop(bytes(20), f"Node {number}", 1) for number in range(3)]
    record = Record(MessageId(bytes(20), 1, 1), 0.0, payload(1), route)
    (row,), _encoded = encoded_rows([KeptMessage(1, 0.0, record)])
    costs.append(Cost("log: checksum of a message", _bulk(lambda: is_sound(row), repeat)))
    return costs


def _checkpoint(kept: SqliteLog, sequences: list[int]) -> float:
    """Put aside what was committed before, commit some more, and take the time of a checkpoint."""
    kept.checkpoint()
    _turn(kept, sequences)
    begin = time.perf_counter()
    kept.checkpoint()
    return time.perf_counter() - begin


def _turn(kept: SqliteLog, sequences: list[int]) -> float:
    origin = bytes(20)
    route = [Hop(origin, f"Node {number}", 1) for number in range(3)]
    begin = time.perf_counter()
    for sequence in sequences:
        message_id = MessageId(origin, 1, sequence)
        kept.append(
            Record(id=message_id, created=0.0, route=route, body=payload(sequence)), received_at=0.0
        )
    kept.commit()
    return time.perf_counter() - begin


def _bulk(action: Callable[[], object], repeat: int) -> float:
    """Return the microseconds of one call: the fastest of five bulks."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(repeat):
            action()
        best = min(best, time.perf_counter() - begin)
    return best / repeat * 1e6


def table(costs: list[Cost]) -> Table:
    """Return the costs for the terminal."""
    view = Table(title="Costs of single steps", title_justify="left")
    view.add_column("what")
    for heading in ("each", "p99", "times"):
        view.add_column(heading, justify="right")
    for cost in costs:
        view.add_row(
            cost.what,
            quantity(cost.each, "µs"),
            "" if cost.tail is None else quantity(cost.tail, "µs"),
            "" if cost.often is None else f"{cost.often:.2f}",
        )
    return view


@click.command()
@click.option("--count", type=click.IntRange(16), default=4000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(count: int, seed: int) -> None:
    """Time single steps of the protocol core, the codec, the framing and the log."""
    ring = Ring(seed)
    broadcasts(ring, count // 4)  # warm
    costs = broadcasts(ring, count) + lookups(ring, count) + codec(ring, count)
    costs += log(count // 10)
    console = Console()
    console.print(table(costs))
    console.print(f"{count} operations, seed {seed}, {', '.join(machine().values())}", style="dim")


if __name__ == "__main__":
    main()
