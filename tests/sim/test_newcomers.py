"""Nodes that join while a broadcast is on its way: a receipt that is not partial counts them in."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.config import ProtocolConfig
from chordnet.core.messages import Status
from chordnet.sim.build import right_ring
from chordnet.sim.network import Network

SIZE, JOINERS = 40, 10


class NewcomerTests(SynchronousTestCase):
    def join_and_publish(self, seed: int, pause: float) -> tuple[Network, set[str]]:
        """Let nodes join one after the other, publish, and return who was known to its successor.

        :param pause: how long the joins take altogether, in seconds.
        """
        network = Network(seed, ProtocolConfig())
        rng = Random(seed)
        right_ring(network, [f"n{i}" for i in range(SIZE)], ["n0", "n1"])
        network.run(1.5)
        for n in range(JOINERS):
            network.at(
                network.now + rng.uniform(0, pause), lambda n=n: network.add(f"j{n}", ["n0"])
            )
        network.run(pause)
        live = sorted(
            (h for h in network.live() if h.node.status() is Status.ACTIVE), key=lambda h: h.ref.id
        )
        known = {
            host.ref.name
            for host, behind in zip(live, [*live[1:], live[0]], strict=True)
            if behind.node.predecessor == host.ref
        }
        op = network.publish("n2", "m")
        done = network.hosts["n2"].done
        network.run(10, lambda: op in done)
        self.assertFalse(done[op].partial)
        return network, known

    def lacking(self, pause: float) -> tuple[int, list[str]]:
        """Return how many joined in time, and which of them lack the message at the receipt."""
        joined, lacking = 0, []
        for seed in range(8):
            network, known = self.join_and_publish(seed, pause)
            joined += len(known) - SIZE
            lacking += [
                f"{name} of seed {seed}" for name in known if not network.hosts[name].records
            ]
        return joined, lacking

    def test_who_is_known_to_its_successor_has_the_message_when_the_receipt_comes(self):
        joined, lacking = self.lacking(0.4)
        self.assertEqual(lacking, [])
        self.assertGreater(joined, 60)

    def test_hardly_anybody_comes_in_so_late_that_the_tree_has_passed_already(self):
        # Its predecessor is told of it by its successor, and the message may overtake that.
        joined, lacking = self.lacking(0.05)
        self.assertLessEqual(len(lacking), joined // 10, lacking)
        self.assertGreater(joined, 40)

    def test_a_ring_at_rest_costs_one_message_a_node(self):
        network, _known = self.join_and_publish(1, 0.4)
        network.run(5)
        op = network.publish("n2", "again")
        done = network.hosts["n2"].done
        network.run(5, lambda: op in done)
        size = SIZE + JOINERS
        self.assertEqual((done[op].recorded, done[op].messages), (size, size - 1))
