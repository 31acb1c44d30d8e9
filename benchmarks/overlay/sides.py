"""chordnet as a participant of the side-by-side benchmarks."""

from __future__ import annotations

from benchmarks.effort import NODES, Effort
from benchmarks.messages import delays, latencies
from benchmarks.overlay.client import run
from benchmarks.overlay.network import Network
from benchmarks.stats import median, percentile
from benchmarks.workers import Worker


def measuring_process(network: Network) -> Worker:
    """Start a client process with connections to all nodes."""
    return Worker(run, network.ports, network.identity)


class OverlaySide:
    """One client process of a network that runs already.

    Args:
        network: The network; it is left running.
        contest: The benchmark to take part in.
    """

    name = "chordnet"
    promise = (
        "each of the 16 has recorded it in its own log, with its route (16 logs on one disk, page "
        "cache, no fsync: durability `process`), and the sender has a receipt that says so"
    )

    def __init__(self, network: Network, contest: str) -> None:
        self._network = network
        self._measure = {
            "broadcast": self._broadcast,
            "confirmed": self._confirmed,
            "durable": self._durable,
            "lookup": self._lookup,
        }[contest]
        self._client: Worker | None = None
        self._round = 0

    def missing(self) -> str | None:
        """Nothing is ever missing: this is the package that is measured."""
        return None

    def start(self) -> None:
        """Start the client process."""
        self._client = measuring_process(self._network)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through other nodes than the round before."""
        assert self._client is not None
        self._round += 1
        return self._measure(self._client, effort, self._round * 5 % NODES)

    def stop(self) -> None:
        """End the client process."""
        if self._client is not None:
            self._client.stop()
            self._client = None

    def _broadcast(self, client: Worker, effort: Effort, origin: int) -> dict[str, float]:
        sent, receipts, arrivals = client.ask("paced", origin, effort.paced, effort.pace)
        return {
            **latencies(delays(sent, arrivals)),
            "receipt": percentile(receipts, 50) * 1e3,
        }

    def _confirmed(self, client: Worker, effort: Effort, origin: int) -> dict[str, float]:
        seconds = client.ask("flood", origin, effort.flood, effort.flood_window)
        return {"rate": effort.flood / seconds}

    def _durable(self, client: Worker, effort: Effort, origin: int) -> dict[str, float]:
        seconds = client.ask("flood", origin, effort.burst, effort.burst_window)
        return {"rate": effort.burst / seconds}

    def _lookup(self, client: Worker, effort: Effort, first: int) -> dict[str, float]:
        through = [(first + step * 4) % NODES for step in range(4)]
        share = effort.lookups // len(through)
        rates = [client.ask("lookups", node, share, effort.lookup_window) for node in through]
        return {"rate": median(rates)}
