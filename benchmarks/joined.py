"""Does the first receipt after ``joined()`` count every node? In simulation and with real sockets.

Five nodes start, all but the first with the first one as their only peer. As soon as
``joined()`` has fired on all of them, one of them broadcasts: the receipt has to say 5 of 5::

    python -m benchmarks.joined                # 1,000 seeds, then 100 times with real sockets
    python -m benchmarks.joined --seeds 50 --sockets 5
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import Random
from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import react

from chordnet.core.base.effects import BroadcastDone
from chordnet.service import ChordService
from chordnet.sim.world import latency
from chordnet.sim.world.network import Network

NODES = 5
LATENCIES = (latency.DEFAULT, "exponential 0.02")
STEP_S = 0.0005
LIMIT_S = 60.0
Outcome = tuple[int, bool]
"""Nodes that the receipt counts, and whether it is partial."""
RIGHT: Outcome = (NODES, False)


def simulated(seed: int, delays: str = latency.DEFAULT) -> Outcome:
    """Start the nodes at random moments of the same second; return what the receipt says."""
    rng = Random(seed)
    network = Network(seed, latency=latency.parse(delays))
    names = [f"Node {number}" for number in range(1, NODES + 1)]
    first = rng.choice(names)
    starts = sorted((rng.choice((0.0, rng.random())), name) for name in names)
    for at, name in starts:
        network.run(at - network.now)
        network.add(name, [] if name == first else [first])
    sender = network.hosts[rng.choice(names)]
    while not all(host.node.has_joined for host in network.hosts.values()):
        network.run(STEP_S)
        if network.now > LIMIT_S:
            return 0, True
    number = network.publish(sender.ref.name, "apple")
    while number not in sender.done and network.now < LIMIT_S:
        network.run(0.01)
    receipt = sender.done.get(number)
    return (receipt.recorded, receipt.partial) if isinstance(receipt, BroadcastDone) else (0, True)


async def connected(reactor: Any, seed: int) -> Outcome:
    """Do the same with services of this process and real sockets."""
    rng = Random(seed)
    here = "tcp:0:interface=127.0.0.1"
    services = [ChordService(reactor, here, name="Node 1")]
    services[0].startService()
    await services[0].started()
    for number in range(2, NODES + 1):
        services.append(ChordService(reactor, here, [services[0].address], name=f"Node {number}"))
    try:
        for service in services[1:]:
            service.startService()
        await gatherResults([service.joined() for service in services])
        receipt = await rng.choice(services).broadcast("apple")
        return receipt.recorded, receipt.partial
    finally:
        await gatherResults([service.stopService() for service in services])


def told(what: str, outcomes: Counter[Outcome]) -> bool:
    """Print how often each receipt came; return True if all were right."""
    for (recorded, partial), times in sorted(outcomes.items()):
        print(f"{what}: {times} times {recorded} of {NODES}{' (partial)' if partial else ''}")
    return set(outcomes) == {RIGHT}


async def run(reactor: Any, seeds: int, sockets: int) -> None:
    """Run both.

    :raises SystemExit: a receipt was wrong.
    """
    right = True
    for delays in LATENCIES:
        found = Counter(simulated(seed, delays) for seed in range(1, seeds + 1))
        right &= told(f"{seeds} seeds, latency {delays}", found)
    counted: Counter[Outcome] = Counter()
    for seed in range(1, sockets + 1):
        counted[await connected(reactor, seed)] += 1
    right &= told("real sockets", counted) or not sockets
    if not right:
        raise SystemExit(1)


def main(words: list[str]) -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joined", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--sockets", type=int, default=100)
    options = parser.parse_args(words)
    react(lambda reactor: ensureDeferred(run(reactor, options.seeds, options.sockets)))


if __name__ == "__main__":
    main(sys.argv[1:])
