"""``python -m benchmarks.bytecodes``: what a read or a write of a key costs, in steps of Python.

Clients, nodes and disks are those of a real network, but all in this process, joined by connections
in memory, on a virtual clock. Every bytecode that the package runs is counted, and every call that
it makes of a function written in C. The figures are of all nodes and the client together, and do
not depend on what else the machine does. They leave out what the system and the reactor do.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import Any, Self

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

import chordnet
from benchmarks.effort import NODES, PAYLOAD_BYTES
from chordnet import ChordService
from chordnet.client import P2PNetClient
from chordnet.testing import MemoryNetwork

ROOT = str(Path(chordnet.__file__).parent)
ASIDE = str(Path(ROOT, "testing.py"))
"""Stands for the system and the reactor."""
FOUNDERS = ("Node 1", "Node 2", "Node 3")
VALUE = b"v" * PAYLOAD_BYTES
SETTLED_S = 40.0
"""Virtual seconds until a network has nothing to do but to look after itself."""
ENOUGH_S = 30.0
WIDTH = 50
"""Operations in flight, where they are not one at a time."""


class Tally:
    """Counts what the package does inside a ``with`` block."""

    def __init__(self) -> None:
        self.steps: Counter[CodeType] = Counter()
        """Bytecodes, by function."""
        self.calls: Counter[CodeType] = Counter()
        """Calls of functions written in C, by who calls them."""
        self._ours: dict[CodeType, bool] = {}

    def __enter__(self) -> Self:
        sys.settrace(self._called)
        sys.setprofile(self._profiled)
        return self

    def __exit__(self, *_exception: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)

    def _counts(self, code: CodeType) -> bool:
        ours = self._ours.get(code)
        if ours is None:
            name = code.co_filename
            ours = self._ours[code] = name.startswith(ROOT) and name != ASIDE
        return ours

    def _called(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        if not self._counts(frame.f_code):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._stepped

    def _stepped(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "opcode":
            self.steps[frame.f_code] += 1
        return self._stepped

    def _profiled(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event == "c_call" and self._counts(frame.f_code):
            self.calls[frame.f_code] += 1


class Store:
    """A network with a store, and a client of each node.

    Args:
        size: Nodes.
        home: Where their disks are.
    """

    def __init__(self, size: int, home: Path) -> None:
        self._network = network = MemoryNetwork(Clock())
        self.clients = []
        self._services: list[ChordService] = []
        addresses = [f"10.0.0.{number}:7001" for number in range(1, size + 1)]
        for number, address in enumerate(addresses, 1):
            service = network.service(
                address,
                [each for each in addresses[:2] if each != address],
                name=f"Node {number}",
                state_dir=home / str(number),
                founders=FOUNDERS if number <= len(FOUNDERS) else (),
                rng=random.Random(number),
            )
            service.startService()
            self._services.append(service)
            caller = network.dialling_from("10.9.9.9:1")
            self.clients.append(P2PNetClient(address, reactor=network.clock, endpoints=caller))
        network.run(SETTLED_S)

    def each(self, call: Callable[[str], Deferred[Any]], keys: Iterable[str], width: int) -> None:
        """Call for each key, so many at a time, until all have an answer.

        Raises:
            click.ClickException: One has failed, or has no answer in time.
        """
        waiting, failures = iter(keys), list[str]()
        under_way = 0

        def over(answer: Any) -> None:
            nonlocal under_way
            under_way -= 1
            if isinstance(answer, BaseException):
                failures.append(str(answer))

        clock = self._network.clock
        end, more = clock.seconds() + ENOUGH_S, True
        while more or under_way:
            while more and under_way < width:
                key = next(waiting, None)
                more = key is not None
                if key is not None:
                    under_way += 1
                    call(key).addErrback(lambda failure: failure.value).addCallback(over)
            self._network.run(0.001)
            if failures or clock.seconds() > end:
                raise click.ClickException(failures[0] if failures else "there is no answer")

    def stop(self) -> None:
        """Stop all nodes."""
        for client in self.clients:
            client.close()
        for service in self._services:
            service.stopService()
        self._network.run(2)


def measured(store: Store, count: int, show: int) -> list[tuple[str, float, float]]:
    """Return for each kind of operation its name, and bytecodes and calls of one."""
    writer, reader = store.clients[5 % len(store.clients)], store.clients[9 % len(store.clients)]
    found = []
    for width, many in ((1, count), (WIDTH, 4 * count)):
        keys = [f"{width}-{number}" for number in range(many)]
        warm = [f"w{width}-{number}" for number in range(many)]
        store.each(lambda key: writer.put(key, VALUE), warm, width)
        for what, call in (
            ("first put of a key", lambda key: writer.put(key, VALUE)),
            ("put of the same keys again", lambda key: writer.put(key, VALUE)),
            ("get", reader.get),
        ):
            if what == "get":
                store.each(call, warm, width)
            tally = Tally()
            with tally:
                store.each(call, keys, width)
            steps, calls = tally.steps.total() / many, tally.calls.total() / many
            found.append((f"{what}, {width} at a time", steps, calls))
            _show(tally, show, many)
    return found


def _show(tally: Tally, most: int, many: int) -> None:
    for code, steps in tally.steps.most_common(most):
        where = f"{Path(code.co_filename).relative_to(ROOT)}:{code.co_qualname}"
        click.echo(f"  {steps / many:8.1f} {tally.calls[code] / many:7.1f}  {where}")


@click.command()
@click.option("--nodes", type=click.IntRange(3, 64), default=NODES, show_default=True)
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=100, show_default=True,
    help="Operations of each kind one at a time; four times as many beside each other.",
)  # fmt: skip
@click.option(
    "--show", type=click.IntRange(0, 1000), default=0, metavar="N",
    help="Show the N functions with the most bytecodes of an operation, with their calls.",
)  # fmt: skip
def main(*, nodes: int, count: int, show: int) -> None:
    """Count what a read or a write of a key costs the nodes and their client.

    Example: python -m benchmarks.bytecodes --count 50 --show 20
    """
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="chordnet-bytecodes-"))
        store = Store(nodes, Path(home))
        stack.callback(store.stop)
        click.echo("bytecodes   calls of C")
        for what, steps, calls in measured(store, count, show):
            click.echo(f"{steps:9.0f}   {calls:10.0f}   {what}")


if __name__ == "__main__":
    main()
