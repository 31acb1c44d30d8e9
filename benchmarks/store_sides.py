"""Keys beside those of other stores: the participants, and what the figures should be."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.effort import Effort
from benchmarks.figures import Bound, Figure, Gauge, Target
from benchmarks.keys import measure
from benchmarks.overlay.keys import run
from benchmarks.overlay.network import Network
from benchmarks.rounds import Results
from benchmarks.workers import Worker

DURABILITY = "CHORDNODE_DURABILITY"
KEYS, DURABLE = "keys", "durable keys"

METHODS = {
    KEYS: (
        "16 nodes of each, values of 100 bytes under new keys. One at a time: keys written through "
        "one node, written again through the same, then read through another. In flight: 50 at a "
        "time, from one program. "
        "chordnet's is a client of a node, over TCP; the rivals' is a node itself. chordnet: each "
        "is in the files of two of three members before it is told (page cache, durability "
        "`process`). "
        "OpenDHT's read is over with the first value. A read of kademlia's counts where the node "
        "asked does not hold the value."
    ),
    DURABLE: (
        "The same with durability `power`: every member has called fdatasync before it answers. "
        "etcd: three members, reached through aetcd (gRPC)."
    ),
}


class StoreSide:
    """A network of chordnet's and a client process.

    Args:
        name: What a reader sees.
        durability: Of the nodes: "process" or "power".
        base_port: Port of the first node.
    """

    def __init__(self, name: str, durability: str, base_port: int) -> None:
        self.name = name
        where = "on the disk (fdatasync)" if durability == "power" else "in files (page cache)"
        self.promise = (
            f"a value is with two of three members {where}; every key behaves as one register, and "
            "a write says who has it"
        )
        self.network = Network(base_port, {DURABILITY: durability})
        self._client: Worker | None = None
        self._round = 0

    def missing(self) -> str | None:
        """Nothing is ever missing: this is the package that is measured."""
        return None

    def start(self) -> None:
        """Start the network and the client process."""
        self.network.start()
        self._client = Worker(run, self.network.ports)

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through other nodes than the round before."""
        self._round += 1
        client = self._client
        assert client is not None
        return measure(
            lambda *question: client.ask("keys", *question, timeout=300), effort, self._round
        )

    def stop(self) -> None:
        """End the client process and the network."""
        if self._client is not None:
            self._client.stop()
            self._client = None
        self.network.close()


LABELS = {
    "put p50": ("put, one at a time, p50", "ms"),
    "put p99": ("the same, p99", "ms"),
    "again p50": ("put of the same keys again, p50", "ms"),
    "get p50": ("get, one at a time, p50", "ms"),
    "get p99": ("the same, p99", "ms"),
    "put rate": ("puts, 50 in flight", "/s"),
    "again rate": ("puts of the same keys again, 50 in flight", "/s"),
    "get rate": ("gets, 50 in flight", "/s"),
}
FASTER = "faster of the two"
TARGETS = {
    (KEYS, "put p50", "OpenDHT"): Target(Bound.BELOW, 1.0, relative=True),
    (KEYS, "get p50", "kademlia"): Target(Bound.BELOW, 1.0, relative=True),
    (KEYS, "put rate", FASTER): Target(Bound.AT_LEAST, 3.0, relative=True),
    (KEYS, "get rate", FASTER): Target(Bound.AT_LEAST, 2.0, relative=True),
    (DURABLE, "put p50", "etcd"): Target(Bound.AT_MOST, 2.0, relative=True),
    (DURABLE, "get p50", "etcd"): Target(Bound.AT_MOST, 2.0, relative=True),
    (DURABLE, "put rate", "etcd"): Target(Bound.AT_LEAST, 1.0, relative=True),
    (DURABLE, "get rate", "etcd"): Target(Bound.AT_LEAST, 1.0, relative=True),
}


def figures(name: str, ours: Results, theirs: Sequence[Results]) -> list[Figure]:
    """Put our results beside each rival's, and beside the faster one's if there are two."""
    found = []
    for key, (label, unit) in LABELS.items():
        beside = [(each.name, each.numbers(key)) for each in theirs]
        if len(theirs) > 1 and unit == "/s":
            faster = [max(both) for both in zip(*(each for _, each in beside), strict=False)]
            beside.append((FASTER, faster))
        notes = "; ".join(filter(None, [ours.note, *(each.note for each in theirs)]))
        for rival, numbers in beside:
            target = TARGETS.get((name, key, rival))
            gauge = Gauge(key, label, unit, target)
            found.append(
                Figure(name, gauge, ours.numbers(key), rival, numbers, target is None, notes)
            )
    return found
