"""What users of keys notice when a node dies or joins, and what a store costs.

``python -m benchmarks.store_events`` starts networks of its own on this machine, one after the
other, and prints each figure beside its target. The exit status is 1 if one is missed.

- *killed*: many keys are written, one node is killed, and programs read and write on all the time
  through the other nodes. When does every slot have all its members again, each with all records?
  How long do operations take meanwhile, beside the quiet time before?
- *first*: a node is killed, and programs read and write what is in its slots. How long does the
  longest operation take?
- *joining*: a node joins while programs read and write. Is an operation refused, or slow?
- *idle*: processor time of sixteen nodes that nobody asks for anything, with a store and without.
- *broadcast*: broadcasts with nothing else to do, of a network with a store and of one without;
  then beside a thousand operations a second, half of them writes, through nodes drawn at random.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import click

from benchmarks.effort import NODES
from benchmarks.errors import BenchmarkError
from benchmarks.overlay.keys import run
from benchmarks.overlay.network import Network
from benchmarks.procfs import cpu_seconds
from benchmarks.stats import median, percentile
from benchmarks.workers import Worker

QUIET_S = 15.0
SHORT_S = 8.0
AFTER_S = 60.0
"""How long programs go on after a blow."""
READERS, WRITERS = 4, 4
SLOW_S = 1.0
ANSWERED_S = 0.2
"""A slot of which a member dies answers again after so long, at most."""
RATE, PUTS = 1000.0, 0.5
"""Operations a second beside which broadcasts are measured, and the share that writes."""
STORE = "CHORDNODE_STORE"
Told = list[tuple[str, float, float, str]]


class Table:
    """Figures beside their targets."""

    def __init__(self) -> None:
        self.missed = 0

    def say(self, what: str, value: float, unit: str, most: float | None = None) -> None:
        """Print a figure; it should be at most so much."""
        line = f"{what}: {value:.4g} {unit}".rstrip()
        if most is not None:
            well = value <= most
            self.missed += not well
            line += f" (at most {most:.4g}: {'met' if well else 'MISSED'})"
        print(line, flush=True)


class Running:
    """A network, and a process of programs that use it."""

    def __init__(self, stack: ExitStack, port: int, nodes: int = NODES, **settings: str) -> None:
        self.network = Network(port, settings)
        stack.callback(self.network.close)
        self.network.start()
        time.sleep(5)
        self.client = Worker(run, self.network.ports)
        stack.callback(self.client.stop)
        self.nodes = list(range(nodes))

    def load(self, count: int) -> list[str]:
        """Write so many keys, half of them through one node each."""
        keys = [f"key-{index}" for index in range(count)]
        for node, part in ((0, keys[::2]), (8, keys[1::2])):
            self.client.ask("keys", node, "put", part, 50, timeout=900)
        return keys

    def steady(self, keys: Sequence[str], seconds: float, nodes: Sequence[int]) -> None:
        """Have programs work for so long; `told` has what they were told."""
        self.client.send("steady", list(nodes), list(keys), seconds, WRITERS, READERS)

    def paced(self, keys: Sequence[str], seconds: float) -> None:
        """Have so many operations a second begun for so long; `told` has what they were told."""
        self.client.send("paced", self.nodes, list(keys), seconds, RATE, PUTS)

    def told(self) -> Told:
        """Return what programs were told."""
        answer: Told = self.client.receive(timeout=300)
        return answer

    def until_whole(self, nodes: Sequence[int], within: float) -> float:
        """Return the seconds until all slots are whole, asked for by another process."""
        watcher = Worker(run, self.network.ports)
        began = time.monotonic()
        try:
            while not watcher.ask("whole", list(nodes)):
                if time.monotonic() > began + within:
                    raise BenchmarkError(f"not every slot is whole after {within:.0f} s")
                time.sleep(0.5)
            return time.monotonic() - began
        finally:
            watcher.stop()


def _of(told: Told, verb: str) -> list[float]:
    return [took * 1e3 for what, _, took, problem in told if what == verb and not problem]


def _failed(told: Told) -> list[str]:
    return [problem for *_, problem in told if problem]


def killed(table: Table, port: int, keys: int) -> None:
    """Kill a node under work."""
    with ExitStack() as stack:
        running = Running(stack, port)
        began = time.monotonic()
        names = running.load(keys)
        table.say(f"{keys} keys written", time.monotonic() - began, "s")
        took = running.until_whole(running.nodes, 120)
        victim = 5
        seats = running.client.ask("held", [victim])[0]
        rest = [node for node in running.nodes if node != victim]
        running.steady(names, QUIET_S, rest)
        quiet = running.told()
        running.steady(names, AFTER_S, rest)
        os.kill(running.network.pids()[victim + 1], signal.SIGKILL)
        blow = time.monotonic()
        took = running.until_whole(rest, AFTER_S)
        after = running.told()
        meanwhile = [each for each in after if blow <= each[1] <= blow + took]
        print(f"killed a node with {seats} slots; {len(quiet)} and {len(meanwhile)} operations")
        table.say("every slot has three members again", took, "s", 30.0)
        for verb in ("get", "put"):
            calm, busy = _of(quiet, verb), _of(meanwhile, verb)
            before = percentile(calm, 99)
            most = 3 * before if verb == "get" else None
            table.say(f"{verb} p50, quiet", percentile(calm, 50), "ms")
            table.say(f"{verb} p99, quiet", before, "ms")
            table.say(f"{verb} p50 meanwhile", percentile(busy, 50), "ms")
            table.say(f"{verb} p99 meanwhile", percentile(busy, 99), "ms", most)
            table.say(f"longest {verb} after the blow", max(_of(after, verb)), "ms")
        table.say("operations that failed", len(_failed(after)), "", 0)
        print(*sorted(set(_failed(after)))[:5], sep="\n")


def first(table: Table, port: int, _keys: int) -> None:
    """Kill a node while programs read and write what is in its slots."""
    with ExitStack() as stack:
        running = Running(stack, port)
        victim = 5
        names = running.client.ask("kept_by", victim, running.load(2000))
        rest = [node for node in running.nodes if node != victim]
        running.steady(names, QUIET_S, rest)
        quiet = running.told()
        running.steady(names, QUIET_S, rest)
        time.sleep(5)
        os.kill(running.network.pids()[victim + 1], signal.SIGKILL)
        blow = time.monotonic()
        told = running.told()
        after = [each for each in told if each[1] + each[2] >= blow]
        print(f"{len(names)} keys; {len(after)} operations after the blow")
        for verb in ("get", "put"):
            table.say(f"longest {verb} of the quiet time", max(_of(quiet, verb)), "ms")
            table.say(
                f"longest {verb} after the blow", max(_of(after, verb)), "ms", ANSWERED_S * 1e3
            )
        table.say("operations that failed", len(_failed(told)), "", 0)
        print(*sorted(set(_failed(told)))[:5], sep="\n")


def joining(table: Table, port: int, keys: int) -> None:
    """Let a node join under work."""
    with ExitStack() as stack:
        running = Running(stack, port)
        joins = 9
        names = running.load(keys)
        rest = [node for node in running.nodes if node != joins]
        running.network.remove(joins + 1)
        running.until_whole(rest, 120)
        running.steady(names, AFTER_S, rest)
        began = time.monotonic()
        running.network.add(joins + 1)
        table.say("the ring is right", time.monotonic() - began, "s")
        told = running.told()
        table.say("slots of the node that has joined", running.client.ask("held", [joins])[0], "")
        table.say("operations", len(told), "")
        table.say("operations that failed", len(_failed(told)), "", 0)
        print(*sorted(set(_failed(told)))[:5], sep="\n")
        slow = [took for _, _, took, _ in told if took > SLOW_S]
        table.say(f"operations over {SLOW_S:g} s", len(slow), "", 0)
        for verb in ("get", "put"):
            table.say(f"longest {verb}", max(_of(told, verb)), "ms")


def idle(table: Table, port: int, _keys: int) -> None:
    """Compare idle networks with and without a store, in turn."""
    shares: dict[str, list[float]] = {"auto": [], "none": []}
    with ExitStack() as stack:
        networks = {}
        for index, choice in enumerate(shares):
            networks[choice] = Running(stack, port + 50 * index, **{STORE: choice}).network
        time.sleep(20)
        for _ in range(3):
            for choice, network in networks.items():
                pids = network.pids().values()
                used, began = cpu_seconds(pids), time.perf_counter()
                time.sleep(20)
                share = (cpu_seconds(pids) - used) / (time.perf_counter() - began)
                shares[choice].append(share * 100)
    for choice, found in shares.items():
        table.say(f"idle, store {choice}: of one core, all {NODES} nodes", median(found), "%")


def broadcast(table: Table, port: int, _keys: int) -> None:
    """Compare broadcasts with and without a store, and beside store traffic."""
    with ExitStack() as stack:
        with_store = Running(stack, port)
        without = Running(stack, port + 50, **{STORE: "none"})
        ratios: dict[str, list[float]] = {"p50": [], "rate": []}
        for number in range(6):
            pair = (with_store, without) if number % 2 else (without, with_store)
            found = {}
            for each in pair:
                single, rate = each.client.ask("broadcasts", number, 200, 50)
                found[id(each)] = percentile(single, 50), rate
            ours, theirs = found[id(with_store)], found[id(without)]
            ratios["p50"].append(ours[0] / theirs[0])
            ratios["rate"].append(theirs[1] / ours[1])
        table.say("broadcast p50, with a store over without", median(ratios["p50"]), "x", 1.03)
        table.say("the same, time of a receipt, 50 in flight", median(ratios["rate"]), "x", 1.03)
        _beside(table, with_store)


def _beside(table: Table, running: Running) -> None:
    names = running.load(1000)
    pids = list(running.network.pids().values())
    other = Worker(run, running.network.ports)
    try:
        quiet, _ = other.ask("broadcasts", 3, 200, 50)
        running.paced(names, SHORT_S)
        running.told()
        before = cpu_seconds(pids)
        running.paced(names, SHORT_S)
        told = running.told()
        share = (cpu_seconds(pids) - before) / SHORT_S / (os.cpu_count() or 1)
        running.paced(names, QUIET_S)
        busy, _ = other.ask("broadcasts", 3, 200, 50)
        running.told()
    finally:
        other.stop()
    table.say("operations a second", len(told) / SHORT_S, "")
    table.say("processor time of the nodes meanwhile, of the machine", share * 100, "%")
    ratio = percentile(busy, 50) / percentile(quiet, 50)
    table.say("broadcast p50 beside that, over alone", ratio, "x", 1.3)


EVENTS: dict[str, Callable[[Table, int, int], None]] = {
    "killed": killed,
    "first": first,
    "joining": joining,
    "idle": idle,
    "broadcast": broadcast,
}


@click.command()
@click.option("--only", "names", multiple=True, type=click.Choice(list(EVENTS)), help="Repeatable.")
@click.option(
    "--keys", type=click.IntRange(100, 10_000_000), default=100_000, show_default=True,
    help="Keys of 100 bytes that are there when a node dies or joins.",
)  # fmt: skip
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9300, show_default=True,
    help="Ports from here up to 100 above are used on 127.0.0.1.",
)  # fmt: skip
def main(*, names: tuple[str, ...], keys: int, base_port: int) -> None:
    """Measure what a death, a joining node and the store itself cost those who use a network.

    Example: python -m benchmarks.store_events --only killed --keys 100000
    """
    table = Table()
    print(f"load {os.getloadavg()[0]:.1f}")
    try:
        for name in names or EVENTS:
            print(f"{name}:")
            EVENTS[name](table, base_port, keys)
    except BenchmarkError as error:
        raise click.ClickException(str(error)) from None
    print(f"load {os.getloadavg()[0]:.1f}")
    sys.exit(1 if table.missed else 0)


if __name__ == "__main__":
    main()
