"""Nodes that give up their slots, in virtual time: quickly, and without losing a value."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.outcomes import Done, Found, Outcome
from chordnet.core.store.base.requests import Get, Put
from chordnet.sim.store.world import StoreWorld

NODES = 9
KEYS = [b"key %d" % number for number in range(24)]


class VacateTests(SynchronousTestCase):
    def test_nodes_are_taken_away_one_after_the_other_and_every_value_stays(self) -> None:
        for seed in range(3):
            with self.subTest(seed=seed):
                self.shrink(seed)

    def shrink(self, seed: int) -> None:
        names = [f"Node {number}" for number in range(1, NODES + 1)]
        world = StoreWorld(seed, tuple(names[:3]), slots=32)
        for name in names:
            world.start(name)
        self.assertTrue(world.run(60.0, lambda: world.now > 10 and not [*world.out_of_step()]))
        for key in KEYS:
            ended = self.ask(world, names[-1], Put(key, b"of " + key, b"once " + key))
            self.assertIsInstance(ended, Done, f"seed {seed}")
        for name in reversed(names[1:]):
            node = world.processes[name].node
            world.vacate(name)
            began = world.now
            self.assertTrue(world.run(5.0, lambda node=node: node.seats == 0), f"seed {seed}")
            self.assertLess(world.now - began, 2.0, f"seed {seed}: {name}")
            world.run(0.2)
            world.kill(name)
            world.run(2.0)
        for key in KEYS:
            found = self.ask(world, names[0], Get(key))
            self.assertIsInstance(found, Found, f"seed {seed}")
            self.assertEqual(found.content.value, b"of " + key, f"seed {seed}")

    def ask(self, world: StoreWorld, name: str, asked: Get | Put) -> Outcome:
        ends: list[Outcome] = []
        self.assertTrue(world.ask(name, asked, 10.0, ends.append))
        world.run(12.0, lambda: bool(ends))
        (end,) = ends
        return end
