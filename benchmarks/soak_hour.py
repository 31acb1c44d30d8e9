"""An hour of six real nodes: is memory flat, and is the doctor right whenever it is asked?

``python -m benchmarks.soak_hour --minutes 60`` starts six nodes as processes, their history capped
at 8 MiB, and sends 150 messages a second through whichever are up. Every minute one of the nodes 4
to 6 is killed and brought back a quarter of a minute later; nodes 1 to 3 live all the time. The
doctor is asked twice a minute: while the node is away it has to find that and nothing else, and at
the end of the minute nothing at all. The memory of every node is taken every five
seconds; its slope is fitted to the means of minutes, after the history is full. At the end every
confirmed message must be recorded by every node.

Memory is the anonymous memory of the process, not its proportional set size: nodes are forked from
one process, and a page that two of them share counts twice as much for one once the other is
killed. That would look as if the nodes that live on had grown.

Exit status 1 if the doctor was wrong, a confirmed message is missing, or memory of a node that
lived all the time surely grows (two standard errors) faster than ``--slope`` kB a minute.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from benchmarks.errors import BenchmarkError
from benchmarks.procfs import own_bytes
from benchmarks.storm_senders import connector
from chordnet.cli.base import session
from chordnet.cli.base.failures import Interrupted
from chordnet.cli.base.running import run_in_reactor
from chordnet.cli.commands import doctor
from chordnet.core.base import intervals
from chordnet.core.base.errors import ChordnetError
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.findings import Finding
from chordnet.survey.waiting import Clock, gather, pause
from chordnet.testbed.actions.context import Engines, Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.local import LocalEngine
from chordnet.wire.rpc import NodeHistory

NAME = "soak"
NODES = 6
STEADY = (1, 2, 3)
"""Nodes that are never killed: their memory tells of growth."""
RATE = 150.0
BODY_BYTES = 200
HISTORY_BYTES = 8 * 1024 * 1024
TICK_S = 0.02
IN_FLIGHT = 600
"""Messages without an answer at most; what would be more is left out, and counted."""
AWAY_S, ASKED_AWAY_S, ASKED_S = 15.0, 12.0, 50.0
"""When in each minute the killed node comes back, and when the doctor is asked."""
MINUTE_S = 60.0
SAMPLE_S = 5.0
FILLING_MIN = 12
WARM_UP = 1 / 4
"""Memory may grow in this part of the time, and for FILLING_MIN minutes (half of the time if that
is less): the history fills for eight, and the digests of the newest 16,384 numbers of an origin, at
25 messages a second, for eleven."""
RING_S = 60.0
PATIENCE_S = 20.0


# ---- what is judged, pure ----------------------------------------------------------------------


@frozen
class Slope:
    """A straight line through samples."""

    per_minute: float
    error: float
    """Standard error of the slope; infinite with less than three points."""
    mean: float

    def grows(self, limit: float) -> bool:
        """Return True if the slope is above ``limit`` by more than two standard errors."""
        return self.per_minute - 2 * self.error > limit


def slope(samples: Sequence[tuple[float, float]]) -> Slope:
    """Fit a line to the means of each minute of samples (seconds, value).

    Samples of one minute hang together, so they count as one point.

    Raises:
        ValueError: There are none.
    """
    minutes: dict[int, list[float]] = {}
    for at, value in samples:
        minutes.setdefault(int(at // MINUTE_S), []).append(value)
    if not minutes:
        raise ValueError("no samples")
    points = [(minute, sum(found) / len(found)) for minute, found in sorted(minutes.items())]
    count = len(points)
    x_mean = sum(x for x, _ in points) / count
    y_mean = sum(y for _, y in points) / count
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    if count < 3:
        return Slope(0.0, float("inf"), y_mean)
    steep = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    rest = sum((y - y_mean - steep * (x - x_mean)) ** 2 for x, y in points)
    return Slope(steep, (rest / (count - 2) / spread) ** 0.5, y_mean)


def missing(
    confirmed: Mapping[tuple[str, int], intervals.Intervals], histories: Mapping[int, NodeHistory]
) -> Counter[int]:
    """Return how many confirmed messages each node has not recorded."""
    found: Counter[int] = Counter()
    for number, history in histories.items():
        recorded = {
            (each.origin, each.incarnation): intervals.minus(each.known, each.lost)
            for each in history.origins
        }
        for key, numbers in confirmed.items():
            found[number] += intervals.count(intervals.minus(numbers, recorded.get(key, [])))
    return +found


# ---- sending -----------------------------------------------------------------------------------


class Pacer:
    """Sends at a steady rate through nodes that are up.

    Args:
        reactor: ``IReactorTime``.
        clients: A client of each node.
        rng: What chooses among the nodes.

    Attributes:
        up: Nodes that are sent through.
        confirmed: Numbers of the confirmed messages, as intervals, by origin and incarnation.
    """

    def __init__(self, reactor: Any, clients: Mapping[int, Any], rng: random.Random) -> None:
        self._clients = clients
        self._rng = rng
        self._call = LoopingCall(self._tick)
        self._call.clock = reactor
        self._reactor = reactor
        self._began = 0.0
        self._waiting: set[Deferred[Any]] = set()
        self.up = set(clients)
        self.sent = self.done = self.partial = self.held_back = 0
        self.failed: Counter[str] = Counter()
        self.confirmed: dict[tuple[str, int], intervals.Intervals] = {}

    def start(self) -> None:
        """Begin to send."""
        self._began = self._reactor.seconds()
        self._call.start(TICK_S)

    async def stop(self) -> None:
        """Send nothing new, and wait for the answers."""
        self._call.stop()
        while self._waiting:
            await pause(self._reactor, 0.1)

    def _tick(self) -> None:
        due = int((self._reactor.seconds() - self._began) * RATE) - self.sent - self.held_back
        for _ in range(due):
            if len(self._waiting) >= IN_FLIGHT:
                self.held_back += 1
                continue
            self.sent += 1
            body = f"soak-{self.sent}-".ljust(BODY_BYTES, "x")
            client = self._clients[self._rng.choice(sorted(self.up))]
            waiting = Deferred.fromCoroutine(self._send(client, body))
            if not waiting.called:
                self._waiting.add(waiting)
                waiting.addBoth(self._answered, waiting)

    def _answered(self, result: Any, waiting: Deferred[Any]) -> Any:
        self._waiting.discard(waiting)
        return result

    async def _send(self, client: Any, body: str) -> None:
        try:
            receipt = await client.send_message(body)
        except ChordnetError as problem:
            self.failed[type(problem).__name__] += 1
            return
        self.done += 1
        self.partial += receipt.partial
        origin, incarnation, number = receipt.id.split(".")
        bounds = self.confirmed.setdefault((origin, int(incarnation)), [])
        intervals.add(bounds, int(number), int(number) + 1)


# ---- the soak ----------------------------------------------------------------------------------


class CappedEngine(LocalEngine):
    """Local nodes with a small history."""

    def _words(self, network: NetworkDescription, number: int) -> list[str]:
        return [*super()._words(network, number), "--history-bytes", str(HISTORY_BYTES)]


@frozen
class Look:
    """What the doctor said once."""

    minute: int
    away: int | None
    problems: Sequence[Finding]
    messages: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether that is what was true."""
        if self.away is None:
            return not self.problems
        found = [(each.fact.kind, each.fact.nodes) for each in self.problems]
        return found == [("ended", (self.away,))]


@frozen
class Soak:
    """One soak."""

    reactor: Any
    testbed: Testbed
    network: NetworkDescription
    pacer: Pacer
    minutes: int
    calm: bool = False
    samples: dict[int, list[tuple[float, float]]] = field(factory=dict)
    looks: list[Look] = field(factory=list)

    async def run(self) -> bool:
        """Let the time pass, and report."""
        engine = self.testbed.engine("local")
        self.testbed.home.save(self.network)
        await engine.start(self.network, list(self.network.numbers))
        await self._converge()
        print("one right ring; sending begins", flush=True)
        began = self.reactor.seconds()
        sampling = Deferred.fromCoroutine(self._sample(began))
        sampling.addErrback(lambda _cancelled: None)
        self.pacer.start()
        killed = [number for number in self.network.numbers if number not in STEADY]
        try:
            for minute in range(self.minutes):
                if self.calm:
                    await self._until(began + minute * MINUTE_S + ASKED_S)
                    await self._look(minute, None)
                    continue
                await self._minute(began + minute * MINUTE_S, minute, killed[minute % len(killed)])
        finally:
            sampling.cancel()
        await self.pacer.stop()
        return await self._report()

    async def _minute(self, start: float, minute: int, victim: int) -> None:
        engine = self.testbed.engine("local")
        self.pacer.up.discard(victim)
        await engine.kill([victim])
        await self._until(start + ASKED_AWAY_S)
        await self._look(minute, victim)
        await self._until(start + AWAY_S)
        await engine.start(self.network, [victim])
        await self._converge()
        self.pacer.up.add(victim)
        await self._until(start + ASKED_S)
        await self._look(minute, None)
        await self._until(start + MINUTE_S)

    async def _look(self, minute: int, away: int | None) -> None:
        began = self.reactor.seconds()
        found = await doctor.examine(self.testbed, wait=False, timeout=PATIENCE_S)
        took = self.reactor.seconds() - began
        look = Look(minute, away, found.problems, found.recorded, took)
        self.looks.append(look)
        state = f"Node {away} away" if away is not None else "all there"
        print(
            f"{minute + 1:3} min, {state}: doctor {'right' if look.right else 'WRONG'} in"
            f" {took:.1f} s, {found.recorded:,} messages; {self.pacer.done:,} confirmed"
            f" ({self.pacer.partial} partial), {self.pacer.failed.total()} failed,"
            f" {self.pacer.held_back} held back; {self._memory()}",
            flush=True,
        )
        for line in doctor.verdict_lines(found) if not look.right or away is None else []:
            print(f"      {line}", flush=True)

    def _memory(self) -> str:
        used = [f"{self.samples[number][-1][1] / 1e6:.1f}" for number in STEADY]
        return f"{' '.join(used)} MB"

    async def _converge(self) -> None:
        observer = self.testbed.observer(self.network, 5.0)
        try:
            await wait_converged(
                self.reactor, self.network, observer, list(self.network.numbers), timeout=RING_S
            )
        finally:
            observer.close()

    async def _until(self, moment: float) -> None:
        await pause(self.reactor, max(0.0, moment - self.reactor.seconds()))

    async def _sample(self, began: float) -> None:
        while True:
            for number in self.network.numbers:
                path = self.testbed.home.node_directory(number) / "pid"
                with contextlib.suppress(BenchmarkError, OSError, ValueError, IndexError):
                    used = own_bytes(int(path.read_text().split()[0]))
                    entry = self.reactor.seconds() - began, float(used)
                    self.samples.setdefault(number, []).append(entry)
            await pause(self.reactor, SAMPLE_S)

    async def _report(self) -> bool:
        histories = {}
        connect = connector(self.reactor, NAME)
        for number in self.network.numbers:
            client = connect(self.network.address(number))
            histories[number] = await client.history()
            await client.close()
        absent = missing(self.pacer.confirmed, histories)
        right = sum(look.right for look in self.looks)
        longest = max(look.seconds for look in self.looks)
        print(f"doctor: right at {right} of {len(self.looks)} looks, {longest:.1f} s at most")
        print(
            f"{self.pacer.sent:,} sent, {self.pacer.done:,} confirmed ({self.pacer.partial}"
            f" partial), {dict(self.pacer.failed)} failed, {self.pacer.held_back:,} held back"
        )
        print(
            f"confirmed messages that a node has not recorded: {dict(absent)}"
            if absent
            else "every confirmed message is recorded by every node"
        )
        for number, history in histories.items():
            print(f"Node {number}: {history.kept:,} kept, {history.dropped:,} dropped")
        return right == len(self.looks) and not absent

    def slopes(self) -> dict[int, Slope]:
        """Return the slope of the memory of each node that lived all the time, in bytes."""
        warm = max(WARM_UP * self.minutes, min(FILLING_MIN, self.minutes / 2))
        start = warm * MINUTE_S
        return {
            number: slope([(at, value) for at, value in self.samples[number] if at >= start])
            for number in STEADY
        }


async def main(reactor: Clock, options: argparse.Namespace) -> bool:
    """Run one soak; return True if all was well."""
    print(f"seed {options.seed}, {options.minutes} minutes", flush=True)
    network = NetworkDescription(name=NAME, engine="local", size=NODES, base_port=options.base_port)
    with tempfile.TemporaryDirectory(prefix="chordnet-soak-") as directory:
        home = NetworkHome(Path(directory), NAME)
        home.directory.mkdir(parents=True)
        testbed = Testbed(
            reactor, home, session.connector(reactor, NAME),
            engines=Engines(lambda _kind, clock, where: CappedEngine(clock, where)),
        )  # fmt: skip
        connect = connector(reactor, NAME)
        clients = {number: connect(network.address(number)) for number in network.numbers}
        pacer = Pacer(reactor, clients, random.Random(options.seed))
        soak = Soak(reactor, testbed, network, pacer, options.minutes, options.calm)
        began = time.monotonic()
        try:
            right = await soak.run()
        except TestbedError as problem:
            print(f"the soak ended early: {problem}", *problem.details, sep="\n  ")
            return False
        finally:
            await gather(_closed(client) for client in clients.values())
            engine = testbed.engine("local")
            await engine.kill(sorted(await engine.running()))
        flat = True
        for number, line in soak.slopes().items():
            grows = line.grows(1024 * options.slope)
            flat &= not grows
            print(
                f"Node {number}: {line.mean / 1e6:.1f} MB, slope {line.per_minute / 1024:+.1f} kB"
                f" a minute, standard error {line.error / 1024:.1f}" + (" GROWS" if grows else "")
            )
        print(f"{time.monotonic() - began:.0f} s in all")
        return right and flat


async def _closed(client: Any) -> None:
    await client.close()


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak_hour", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--slope", type=float, default=20.0, help="kB a minute that are allowed")
    parser.add_argument("--calm", action="store_true", help="kill nobody")
    parser.add_argument("--base-port", type=int, default=9600)
    return parser.parse_args(arguments)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    options = parsed(arguments)
    try:
        right = run_in_reactor(lambda reactor: main(reactor, options))
    except Interrupted:
        return 130
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
