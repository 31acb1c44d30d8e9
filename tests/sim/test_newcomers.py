"""A receipt counts whoever its successor knew when the message was sent."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import Status
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.latency import Latency, uniform
from chordnet.sim.world.network import Network

LOCAL = ProtocolConfig(), uniform(0.0001, 0.0004), 0.005
WIDE = ProtocolConfig.wide_area(), uniform(0.02, 0.08), 0.5
"""Settings, how long a message travels, and within what time of its joining a broadcast begins."""


class Newcomers(SynchronousTestCase):
    def broadcast(
        self, seed: int, nodes: int, config: ProtocolConfig, latency: Latency, within_s: float
    ) -> bool:
        """Let a node join and another one broadcast at once; tell whether its successor knew it."""
        network, rng = Network(seed, config, latency=latency), Random(seed)
        names = [f"Node {number}" for number in range(1, nodes + 1)]
        right_ring(network, names, names[:2])
        network.run(2 * rng.random())
        newcomer = network.add("Newcomer", [rng.choice(names)])
        while newcomer.node.status() != Status.ACTIVE:
            network.run(within_s / 50)
        network.run(within_s * rng.random())
        before = [host.node.predecessor for host in network.live()]
        known = newcomer.ref in before
        origin = network.hosts[rng.choice(names)]
        op = network.publish(origin.ref.name, "apple")
        network.run(10, until=lambda: op in origin.done)
        receipt = origin.done[op]
        assert isinstance(receipt, fx.BroadcastDone)
        if known:
            self.assertEqual((receipt.recorded, receipt.partial), (nodes + 1, False), f"{seed=}")
            self.assertEqual(len(newcomer.records), 1, f"{seed=}")
        return known

    def test_a_receipt_counts_a_newcomer_that_its_successor_knew_within_one_machine(self):
        known = [self.broadcast(seed, nodes, *LOCAL) for seed in range(30) for nodes in (4, 16)]
        self.assertGreater(sum(known), 40)

    def test_a_receipt_counts_a_newcomer_that_its_successor_knew_across_networks(self):
        known = [self.broadcast(seed, nodes, *WIDE) for seed in range(30) for nodes in (4, 16)]
        self.assertGreater(sum(known), 20)
