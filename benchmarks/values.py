"""``python -m benchmarks.values``: do large values delay broadcasts?

Sixteen nodes broadcast one message at a time, first with nothing else to do, then while values of
64 KiB are written, then while values of 1 MiB are, as many bytes a second of both. The three follow
each other in every round, every other round in the opposite order. What the work costs, whatever
its form, shows beside the quiet network; what the length of a value costs, beside the short ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import click
from attrs import field, mutable

from benchmarks.effort import FULL, NODES, QUICK, Effort
from benchmarks.errors import BenchmarkError, notes_of
from benchmarks.messages import delays, latencies
from benchmarks.overlay.network import Network
from benchmarks.overlay.sides import measuring_process
from benchmarks.stats import median, median_interval
from benchmarks.workers import Worker
from chordnet.core.base.limits import MAX_VALUE_BYTES

SHORT_BYTES = 65_536
SUSPICIONS = "deaths"
"""The counter of nodes taken for dead."""


@mutable
class Load:
    """One kind of work beside the broadcasts, and what was measured under it.

    Attributes:
        name: What a reader sees.
        size: Bytes of each value that is written; 0 for none.
        p50: Of each round: milliseconds until all nodes had a message.
        p99: The same for the slowest messages.
        writes: Of each round: milliseconds until a value was confirmed, median.
    """

    name: str
    size: int
    p50: list[float] = field(factory=list)
    p99: list[float] = field(factory=list)
    writes: list[float] = field(factory=list)

    def text(self, beside: Sequence[Load]) -> str:
        """Return its figures in a line, and their ratios to those of other loads."""
        said = f"{self.name}: p50 {median(self.p50):.2f} ms, p99 {median(self.p99):.1f} ms"
        for other in beside:
            said += f"; beside {other.name} p50 {ratios(self.p50, other.p50)}"
            said += f", p99 {ratios(self.p99, other.p99)}"
        if self.writes:
            said += f"; a value is confirmed after {median(self.writes):.0f} ms"
        return said


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the rounds' ratios, with its 95 % interval if there is one."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    interval = median_interval(each)
    within = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"x {median(each):.2f}{within}"


def measure(
    network: Network, loads: Sequence[Load], effort: Effort, rounds: int, bytes_per_s: float
) -> tuple[float, float]:
    """Take all rounds, after one that does not count.

    Returns:
        Nodes that were taken for dead, and writes that were confirmed.
    """
    client = measuring_process(network)
    writer = measuring_process(network)
    written = 0
    try:
        before = client.ask("counted", SUSPICIONS)
        for number in range(rounds + 1):
            for load in loads if number % 2 else loads[::-1]:
                found = _round(client, writer, load, effort, number, bytes_per_s)
                written += found.pop("written")
                if number:
                    load.p50.append(found["p50"])
                    load.p99.append(found["p99"])
                    load.writes += [found["write"]] if load.size else []
            click.echo(f"round {number} of {rounds}", err=True)
        return client.ask("counted", SUSPICIONS) - before, written
    finally:
        client.stop()
        writer.stop()


def _round(
    client: Worker, writer: Worker, load: Load, effort: Effort, number: int, bytes_per_s: float
) -> dict[str, float]:
    seconds = effort.paced * effort.pace
    if load.size:
        writer.send("write", load.size, bytes_per_s, seconds)
        time.sleep(seconds / 20)
    sent, _receipts, arrivals = client.ask("paced", number * 5 % NODES, effort.paced, effort.pace)
    written, took = writer.receive() if load.size else (0, 0.0)
    return {**latencies(delays(sent, arrivals)), "written": written, "write": took * 1e3}


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=12, show_default=True)
@click.option("--quick", is_flag=True, help="Fewer messages a round; not to be quoted.")
@click.option(
    "--rate", type=click.FloatRange(0.1, 100), default=2.0, show_default=True,
    help="MiB of values that are written each second.",
)  # fmt: skip
@click.option(
    "--base-port", type=click.IntRange(1024, 65000), default=9700, show_default=True,
    help="Ports from here up to 15 above are used on 127.0.0.1.",
)  # fmt: skip
def main(*, rounds: int, quick: bool, rate: float, base_port: int) -> None:
    """Measure broadcasts beside writes of large values, beside short ones, and beside none.

    Example: python -m benchmarks.values --rounds 12

    The exit status is 1 if a node was taken for dead.
    """
    quiet, short = Load("nothing else", 0), Load("values of 64 KiB", SHORT_BYTES)
    long = Load("values of 1 MiB", MAX_VALUE_BYTES)
    before = os.getloadavg()[0]
    network = Network(base_port)
    try:
        network.start()
        effort = QUICK if quick else FULL
        time.sleep(effort.settle_seconds)
        dead, written = measure(network, (quiet, short, long), effort, rounds, rate * 2**20)
        network.check()
    except BenchmarkError as error:
        raise click.ClickException("\n".join([str(error), *notes_of(error)])) from None
    finally:
        network.close()
    for line in (quiet.text(()), short.text((quiet,)), long.text((quiet, short))):
        click.echo(line)
    click.echo(
        f"{written:.0f} values were written; {dead:.0f} times a node was taken for dead; medians of"
        f" {rounds} rounds and of the rounds' ratios; load {before:.1f} before and"
        f" {os.getloadavg()[0]:.1f} after"
    )
    raise SystemExit(1 if dead else 0)


if __name__ == "__main__":
    main()
