"""How long one read of ``/metrics`` takes: ``python -m benchmarks.web_pages``.

A node in a ring of 64 with a store of 256 slots makes the page again and again. What HTTP itself
costs is not counted.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

from twisted.internet.task import Clock

from chordnet import ChordService, NodeSettings
from chordnet.net.store.state import whole_state
from chordnet.testing import MemoryNetwork
from chordnet.web.exporter import Exporter
from chordnet.web.site import WebPort

FOUNDERS = ("Node 1", "Node 2", "Node 3")


def ring(size: int, seconds: float) -> ChordService:
    """Start a ring in virtual time, and return one of its nodes."""
    network, services = MemoryNetwork(Clock(), 0.001), list[ChordService]()
    for number in range(1, size + 1):
        peers = [each.address for each in services[:2]]
        service = network.service(
            f"10.0.0.{number}:7001",
            peers,
            name=f"Node {number}",
            settings=NodeSettings(founders=FOUNDERS, store="memory"),
        )
        service.startService()
        services.append(service)
        network.run(0.2)
    network.run(seconds)
    return services[-1]


def main() -> None:
    """Print the time of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--reads", type=int, default=200)
    words = parser.parse_args()
    service = ring(words.nodes, 20.0)
    node = service.node
    assert node is not None
    web = WebPort(("127.0.0.1", 0), node, lambda: whole_state(node.keys.store), given_peers=True)
    exporter, took, size = Exporter(web.look), list[float](), 0
    for _read in range(words.reads):
        begun = time.perf_counter()
        page, _type = exporter.page("")
        took.append(time.perf_counter() - begun)
        size = len(page)
    look = web.look()
    fingers, slots = len(look.status.fingers), len(look.store.slots)
    print(f"{words.nodes} nodes: {fingers} fingers, {slots} slots known, {size:,} bytes a page")
    print(f"/metrics: median {median(took) * 1000:.2f} ms, most {max(took) * 1000:.2f} ms")


if __name__ == "__main__":
    main()
