"""What chordnet is measured at alone, against fixed limits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from attrs import frozen

from benchmarks.effort import NODES, Effort
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Bound, Figure, Gauge, Target
from benchmarks.overlay.network import Network
from benchmarks.overlay.sides import measuring_process
from benchmarks.procfs import cpu_seconds, pss_bytes
from benchmarks.stats import percentile

Numbers = dict[str, list[float]]


@frozen
class Solo:
    """A benchmark without a rival.

    Attributes:
        name: As given to ``--only``.
        gauges: What it yields.
        measure: Takes the measurement on a running network and leaves that whole.
        method: How it is measured, for the report.
    """

    name: str
    gauges: tuple[Gauge, ...]
    measure: Callable[[Network, Effort], Numbers]
    method: str

    def figures(self, numbers: Numbers, note: str = "") -> list[Figure]:
        """Return its figures; a gauge without numbers counts as not measured."""
        return [
            Figure(self.name, gauge, numbers.get(gauge.key, []), note=note) for gauge in self.gauges
        ]


def measure_start(network: Network, effort: Effort) -> Numbers:
    """Start it from nothing several times; the last one stays."""
    seconds = []
    for _ in range(effort.starts):
        seconds.append(network.renew())
        network.check()
    return {"seconds": seconds}


def measure_idle(network: Network, effort: Effort) -> Numbers:
    """Watch what the nodes use while no client asks them for anything."""
    time.sleep(effort.settle_seconds)
    pids = _all_pids(network).values()
    used, begin = cpu_seconds(pids), time.perf_counter()
    time.sleep(effort.idle_seconds)
    share = (cpu_seconds(pids) - used) / (time.perf_counter() - begin)
    memory = [pss_bytes(pid) / 1e6 for pid in pids]
    return {"cpu": [share * 100], "memory": memory, "largest": [max(memory)]}


def measure_killed(network: Network, effort: Effort) -> Numbers:
    """Kill one node after another, each brought back before the next."""
    network.renew()
    seconds: list[float] = []
    for number in _victims(effort.kills):
        seconds += _disappearance(network, number, signal.SIGKILL)
        network.add(number)
    return _summary(seconds)


def measure_frozen(network: Network, effort: Effort) -> Numbers:
    """Freeze one node after another, each thawed before the next."""
    network.renew()
    seconds: list[float] = []
    for number in _victims(effort.freezes):
        pid = _all_pids(network)[number]
        try:
            seconds += _disappearance(network, number, signal.SIGSTOP)
        finally:
            os.kill(pid, signal.SIGCONT)
        network.converge()
    return _summary(seconds)


def _victims(count: int) -> list[int]:
    """Return different nodes, spread over the numbers, a bootstrap peer of others among them."""
    return [1 + index * 5 % NODES for index in range(count)]


def _disappearance(network: Network, number: int, blow: signal.Signals) -> list[float]:
    """Return, for each other node, the seconds until its tables are rid of this one."""
    pid = _all_pids(network)[number]
    client = measuring_process(network)
    try:
        answer: list[float] = client.ask("disappearance", number - 1, pid, int(blow))
    finally:
        client.stop()
    return answer


def _all_pids(network: Network) -> dict[int, int]:
    pids = network.pids()
    if len(pids) != NODES:
        raise BenchmarkError(f"{len(pids)} of {NODES} nodes are running")
    return pids


def _summary(seconds: list[float]) -> Numbers:
    return {
        "p50": [percentile(seconds, 50)],
        "p99": [percentile(seconds, 99)],
        "samples": seconds,
    }


_SEEN = (
    "Every other node is asked for its tables every 20 ms. From the signal until the answer from "
    "which on the node is neither predecessor, nor in the successor list, nor in any finger slot. "
    "Percentiles over all other nodes of all rounds."
)

SOLOS = (
    Solo(
        "start",
        (
            Gauge(
                "seconds", "start-network to one right ring", "s",
                Target(Bound.AT_MOST, 6.0, aim=4.0),
            ),
        ),
        measure_start,
        "From typing `p2pnet start-network --engine local` to its return, nothing running and no "
        "data before; the ring is then checked from the identifiers alone.",
    ),
    Solo(
        "idle",
        (
            Gauge("cpu", "idle, of one core, all 16 nodes", "%", Target(Bound.BELOW, 3.0)),
            Gauge("memory", "idle, memory (PSS) of a node", "MB", Target(Bound.BELOW, 25.0)),
            Gauge("largest", "the same, the largest node", "MB", Target(Bound.BELOW, 25.0)),
        ),
        measure_idle,
        "Processor time from /proc/PID/stat over a stretch without clients, in all; then "
        "proportional memory from /proc/PID/smaps_rollup, in units of 10^6 bytes.",
    ),
    Solo(
        "killed",
        (
            Gauge("p50", "killed, out of a node's tables, p50", "s", Target(Bound.BELOW, 0.5)),
            Gauge("p99", "the same, p99", "s", Target(Bound.BELOW, 1.0)),
        ),
        measure_killed,
        "SIGKILL. " + _SEEN,
    ),
    Solo(
        "frozen",
        (
            Gauge("p50", "frozen, out of a node's tables, p50", "s"),
            Gauge("p99", "the same, p99", "s", Target(Bound.BELOW, 4.0)),
        ),
        measure_frozen,
        "SIGSTOP. " + _SEEN,
    ),
)  # fmt: skip
