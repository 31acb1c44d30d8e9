"""``python -m benchmarks.secured``: what it costs that members are known and speak TLS.

Two networks of sixteen on this machine, one of them secured, both driven by the words a user types:
started in turn, watched while idle, and measured in interleaved rounds. What counts is the median
of the rounds' ratios, since the machine drifts. NATS and JetStream over TLS, where both sides show
a certificate, are measured beside them if they are installed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

import click
from attrs import evolve, frozen

from benchmarks.effort import NODES, QUICK, Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.figures import Bound
from benchmarks.messages import delays, latencies
from benchmarks.overlay.network import Network
from benchmarks.overlay.sides import measuring_process
from benchmarks.procfs import cpu_seconds, pss_bytes
from benchmarks.report import quantity
from benchmarks.rivals.nats_secured import JetStreamSecured, NatsSecured
from benchmarks.rounds import Results, interleave
from benchmarks.sides import Side
from benchmarks.stats import median, percentile
from benchmarks.workers import Worker

ROUNDS = 4
STARTS = 2
PORTS = 50
"""One network's ports lie so far above the other's."""
SIZES = Effort(paced=100, flood=1500, burst=3000, idle_seconds=6.0, settle_seconds=3.0)
UNSEALED = {"CHORDNODE_SEALS": "asked"}
"""Has nodes sign only what is to be signed for."""
WINDOWS = {64: "flood", 256: "burst"}
"""Messages in flight, and which of the sizes says how many there are of them."""


@frozen
class Question:
    """One number of the secured network beside another one.

    Attributes:
        key: Its name among what a side has measured.
        label: What a reader sees.
        unit: Its unit.
        bound: On which side of the limit it should lie.
        limit: The limit of its ratio; of its difference if `added`.
        added: Whether the difference counts.
    """

    key: str
    label: str
    unit: str
    bound: Bound
    limit: float
    added: bool = False

    def line(self, secured: Sequence[float], other: Sequence[float], name: str) -> str:
        """Return what was found, in a line."""
        pairs = list(zip(secured, other, strict=False))
        if not pairs:
            return f"{self.label}: not measured beside {name}"
        if self.added:
            found = median([a - b for a, b in pairs])
            shown, limit = f"{found:+.2f} {self.unit}", f"{self.limit:+g} {self.unit}"
        else:
            found = median([a / b for a, b in pairs])
            shown, limit = f"{found:.2f} x", f"{self.limit:g} x"
        verdict = "met" if self.bound.holds(found, self.limit) else "MISSED"
        return (
            f"{self.label}: {quantity(median([a for a, _ in pairs]), self.unit)}, {name} "
            f"{quantity(median([b for _, b in pairs]), self.unit)}, {shown} "
            f"(wanted {self.bound.sign} {limit}: {verdict})"
        )


BESIDE_PLAIN = (
    Question("start", "start-network, one correct ring", "s", Bound.AT_MOST, 1.3),
    Question("receipt", "receipt, one at a time, p50", "ms", Bound.AT_MOST, 1.7),
    Question("p50", "all 16 have it, one at a time, p50", "ms", Bound.AT_MOST, 1.7),
    Question("rate 64", "receipts, 64 in flight", "/s", Bound.AT_LEAST, 0.75),
    Question("rate 256", "receipts, 256 in flight", "/s", Bound.AT_LEAST, 0.75),
    Question("idle", "idle, 16 nodes, of one core", "%", Bound.AT_MOST, 1.1),
    Question("memory", "memory of a node, shared pages divided", "MB", Bound.AT_MOST, 4.0, True),
)
BESIDE_NATS = (Question("p50", "all 16 have it, p50", "ms", Bound.AT_MOST, 1.2),)
BESIDE_JETSTREAM = (
    Question("receipt", "receipt, one at a time, p50", "ms", Bound.BELOW, 1.0),
    Question("rate 64", "receipts, 64 in flight", "/s", Bound.AT_LEAST, 1.0),
    Question("rate 256", "receipts, 256 in flight", "/s", Bound.AT_LEAST, 1.0),
)


class NetworkSide:
    """A network of sixteen, secured or not.

    Args:
        base_port: Port of its first node.
        secured: Whether its members are known, and speak TLS.
        effort: How long it rests after its start.
        settings: Variables of the environment in which its nodes are started.
    """

    promise = "the same on both sides"

    def __init__(
        self,
        base_port: int,
        *,
        secured: bool,
        effort: Effort,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = "chordnet, secured" if secured else "chordnet, plain"
        self._effort = effort
        self._network = Network(base_port, settings, secured=secured)
        self._client: Worker | None = None
        self._round = 0

    def missing(self) -> str | None:
        """Nothing is ever missing: this is the package that is measured."""
        return None

    def begin(self) -> dict[str, float]:
        """Start it, watch it while it is idle, and stop it."""
        try:
            found = {"start": self._network.start()}
            time.sleep(self._effort.settle_seconds)
            pids = list(self._network.pids().values())
            before, since = cpu_seconds(pids), time.monotonic()
            time.sleep(self._effort.idle_seconds)
            used = cpu_seconds(pids) - before
            found["idle"] = 100 * used / (time.monotonic() - since)
            found["memory"] = sum(map(pss_bytes, pids)) / NODES / 1e6
        finally:
            self._network.stop()
        return found

    def start(self) -> None:
        """Start it with the process that measures it."""
        self._network.start()
        time.sleep(self._effort.settle_seconds)
        self._client = measuring_process(self._network)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through another node than the round before."""
        client = self._client
        assert client is not None
        self._round += 1
        origin = self._round * 5 % NODES
        sent, receipts, arrivals = client.ask("paced", origin, effort.paced, effort.pace)
        found = {
            "p50": latencies(delays(sent, arrivals))["p50"],
            "receipt": percentile(receipts, 50) * 1e3,
        }
        for window, size in WINDOWS.items():
            count = getattr(effort, size)
            found[f"rate {window}"] = count / client.ask("flood", origin, count, window)
        return found

    def stop(self) -> None:
        """End the process and the network."""
        client, self._client = self._client, None
        if client is not None:
            client.stop()
        self._network.close()


def begin_in_turn(sides: Sequence[NetworkSide], times: int) -> list[list[dict[str, float]]]:
    """Start each of the networks so often, in turn, every other time in the opposite order."""
    found: dict[str, list[dict[str, float]]] = {side.name: [] for side in sides}
    for number in range(times):
        for side in reversed(sides) if number % 2 else sides:
            click.echo(f"start {number + 1} of {times}: {side.name}", err=True)
            found[side.name].append(side.begin())
    return [found[side.name] for side in sides]


def report(results: Sequence[Results]) -> list[str]:
    """Return the lines of the report; the secured network comes first, then the plain one."""
    secured, *others = results
    lines = []
    tables = (BESIDE_PLAIN, BESIDE_NATS, BESIDE_JETSTREAM)
    for other, questions in zip(others, tables, strict=False):
        if other.note:
            lines.append(f"{other.name}: {other.note}")
            continue
        lines += [
            each.line(secured.numbers(each.key), other.numbers(each.key), other.name)
            for each in questions
        ]
    return lines


def run(
    base_port: int, rounds: int, starts: int, *, rivals: bool, seals: bool, effort: Effort
) -> list[str]:
    """Measure everything and return the lines of the report.

    Args:
        base_port: The first port that is used.
        rounds: How many of them count.
        starts: Times that each network is started.
        rivals: Whether NATS and JetStream are measured.
        seals: Whether the secured network signs each message, as it does by default.
        effort: How much is measured in a round.

    Raises:
        BenchmarkError: A network could not be measured.
    """
    networks = [
        NetworkSide(base_port, secured=True, effort=effort, settings=None if seals else UNSEALED),
        NetworkSide(base_port + PORTS, secured=False, effort=effort),
    ]
    begun = begin_in_turn(networks, starts)
    sides: list[Side] = [*networks]
    if rivals:
        sides += [NatsSecured(base_port + 2 * PORTS), JetStreamSecured(base_port + 2 * PORTS + 1)]
    # The first round of a network that has just begun does not count.
    results = interleave(
        sides, evolve(effort, rounds=rounds + 1), lambda text: click.echo(text, err=True)
    )
    for result in results:
        del result.rounds[:1]
    for result, more in zip(results, begun, strict=False):
        if result.failed:
            error = BenchmarkError(f"{result.name}: {result.note}")
            for trace in result.traces:
                error.add_note(trace)
            raise error
        result.rounds += more
    return report(results)


@click.command()
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=ROUNDS, show_default=True,
    help="Interleaved rounds that count.",
)  # fmt: skip
@click.option(
    "--starts", type=click.IntRange(1, 100), default=STARTS, show_default=True,
    help="Times that each network is started and watched while idle.",
)  # fmt: skip
@click.option("--rivals/--no-rivals", default=True, help="Measure NATS and JetStream over TLS too.")
@click.option("--seals/--no-seals", default=True, help="Have the secured network sign messages.")
@click.option("--quick", is_flag=True, help="Measure little, to see that it works.")
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9800, show_default=True,
    help="Ports from here up to 101 above are used on 127.0.0.1.",
)  # fmt: skip
def main(
    *, rounds: int, starts: int, rivals: bool, seals: bool, quick: bool, base_port: int
) -> None:
    """Measure a secured network beside a plain one; it takes less than three minutes."""
    effort = evolve(QUICK, paced=20, flood=300, burst=600, idle_seconds=2.0) if quick else SIZES
    before = os.getloadavg()[0]
    try:
        lines = run(base_port, rounds, starts, rivals=rivals, seals=seals, effort=effort)
    except BenchmarkError as error:
        raise click.ClickException("\n".join([str(error), *notes_of(error)])) from None
    for line in lines:
        click.echo(line)
    click.echo(
        f"medians of {rounds} interleaved rounds and of {starts} starts; "
        f"load {before:.1f} before and {os.getloadavg()[0]:.1f} after"
    )


if __name__ == "__main__":
    main()
