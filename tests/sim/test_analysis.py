"""The vectorised analysis follows the core's rules, node for node, and reaches known figures."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import LookupDone
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.network import Network
from tests.sim.support import names

SKIP = None
if importlib.util.find_spec("numpy") is None:
    SKIP = "needs numpy: pip install 'chordnet[simulate]'"
else:
    import numpy as np

    from chordnet.sim.measured import analysis
    from chordnet.sim.measured.analysis import StaticRing, floor_log2, keys_per_node, random_ring


def ids(*values: int) -> Any:
    return np.array(values, dtype=np.uint64)


class AsTheCoreDoes(SynchronousTestCase):
    """The same identifiers in the simulator, where the core itself works."""

    skip = SKIP

    def build(self, count: int, successors: int) -> tuple[Network, StaticRing, dict[int, str]]:
        network = Network(1, ProtocolConfig(bits=analysis.BITS, successors=successors))
        hosts = right_ring(network, names(count), names(2))
        found = [host.ref.id for host in hosts]
        ring = StaticRing(ids(*found), successors)
        return network, ring, {i: host.ref.name for i, host in enumerate(hosts)}

    def test_lookups_take_as_many_hops_to_the_same_owner(self) -> None:
        seed = random.randrange(1 << 32)
        rng = random.Random(seed)
        for count, successors in ((1, 1), (2, 1), (3, 2), (50, 1), (120, 4), (120, 20)):
            network, ring, name = self.build(count, successors)
            starts = [rng.randrange(count) for _ in range(60)]
            keys = [rng.getrandbits(64) for _ in range(50)]
            keys += [int(ring.ids[rng.randrange(count)]) for _ in range(10)]
            found = ring.look_up(np.array(starts), ids(*keys))
            asked = [
                (name[start], network.lookup(name[start], key))
                for start, key in zip(starts, keys, strict=True)
            ]
            network.run(1.0)
            for number, (asker, op) in enumerate(asked):
                answer = network.hosts[asker].done[op]
                assert isinstance(answer, LookupDone)
                assert answer.owner is not None
                about = f"seed {seed}, {count} nodes, r = {successors}, lookup {number}"
                self.assertEqual(name[int(found.owner[number])], answer.owner.name, about)
                self.assertEqual(int(found.hops[number]), len(answer.path) - 1, about)

    def test_broadcasts_take_the_same_tree(self) -> None:
        for count in (1, 2, 3, 17, 150):
            network, ring, name = self.build(count, 8)
            network.publish(name[count // 2], "apple")
            network.run(2.0)
            tree = ring.broadcast(count // 2)
            children = dict.fromkeys(name.values(), 0)
            for index in range(count):
                route = network.hosts[name[index]].records[0].route
                self.assertEqual(int(tree.depth[index]), len(route) - 1)
                if len(route) > 1:
                    children[route[-2].name] += 1
            self.assertEqual([children[name[i]] for i in range(count)], tree.children.tolist())


class Figures(SynchronousTestCase):
    """What the literature and earlier simulations say."""

    skip = SKIP

    def test_paths_are_half_the_logarithm(self) -> None:
        for bits, mean, deviation in ((10, 4.84, 1.50), (12, 5.86, 1.68), (14, 6.86, 1.81)):
            hops = random_ring(1 << bits, seed=bits).random_lookups(20_000, seed=bits).hops
            before_owner = np.maximum(hops - 1, 0)
            self.assertLess(abs(float(before_owner.mean()) / mean - 1), 0.03)
            self.assertLess(abs(float(before_owner.std()) / deviation - 1), 0.05)

    def test_broadcast_reaches_everybody_by_one_message_each(self) -> None:
        tree = random_ring(1 << 14, seed=3).broadcast(99)
        self.assertEqual(int(tree.children.sum()), (1 << 14) - 1)
        self.assertEqual(np.flatnonzero(tree.depth == 0).tolist(), [99])
        self.assertLess(abs(float(tree.depth.mean()) - 6.86), 0.2)

    def test_virtual_nodes_even_out_the_keys(self) -> None:
        spread = {}
        for virtual in (1, 20):
            counts = keys_per_node(2_000, virtual, 200_000, seed=5)
            self.assertEqual((counts.size, int(counts.sum())), (2_000, 200_000))
            low, high = np.percentile(counts / counts.mean(), (1, 99))
            spread[virtual] = (low, high)
        self.assertLess(spread[1][0], 0.05)
        self.assertGreater(spread[1][1], 4.0)
        self.assertGreater(spread[20][0], 0.4)
        self.assertLess(spread[20][1], 1.8)

    def test_the_same_seed_brings_the_same_figures(self) -> None:
        first, again, other = (
            random_ring(500, seed=a).random_lookups(500, seed=a).hops.tolist() for a in (1, 1, 2)
        )
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)


class Parts(SynchronousTestCase):
    """The arithmetic, and what is refused."""

    skip = SKIP

    def test_logarithms_are_exact_beyond_what_floats_hold(self) -> None:
        values = [1, 2, 3, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, (1 << 60) - 1, (1 << 64) - 1]
        expected = [value.bit_length() - 1 for value in values]
        self.assertEqual(floor_log2(ids(*values)).tolist(), expected)

    def test_what_is_no_ring_is_refused(self) -> None:
        for wrong in ((), (5, 5), (7, 3)):
            self.assertRaises(ValueError, StaticRing, ids(*wrong), 1)
        error = self.assertRaises(ValueError, StaticRing, ids(1), 0)
        self.assertEqual(str(error), "a successor list has 1 entry or more, not 0")

    def test_a_random_ring_has_fingers_alone_or_lists_as_long_as_said(self) -> None:
        hops = {}
        for successors in (1, 2, 16):
            ring = random_ring(400, 3, successors)
            same = StaticRing(ring.ids, successors).random_lookups(2000, 5).hops.tolist()
            self.assertEqual(ring.random_lookups(2000, 5).hops.tolist(), same)
            hops[successors] = sum(same)
        self.assertGreater(hops[1], hops[2])
        self.assertGreater(hops[2], hops[16])
        alone = random_ring(400, 3).random_lookups(2000, 5).hops.tolist()
        self.assertEqual(sum(alone), hops[1])

    def test_random_identifiers_are_all_different(self) -> None:
        class Unlucky:
            """Draws the same few numbers at first."""

            def __init__(self) -> None:
                self.drawn = 0

            def integers(self, low: int, high: int, count: int, dtype: Any) -> Any:
                self.drawn += 1
                if self.drawn < 3:
                    return np.arange(count, dtype=dtype) % np.uint64(4)
                return np.arange(count, dtype=dtype) + np.uint64(100)

        found = analysis.random_ids(Unlucky(), 10)  # type: ignore[arg-type]
        self.assertEqual(found.tolist(), sorted(set(found.tolist())))
        self.assertEqual(found.size, 10)
