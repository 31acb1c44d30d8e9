"""A newcomer's first moments (chordnet/core/newcomer.py), at node 10 behind node 5."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.messages import Changed, GetState, Notify, Status
from tests.unit.core_support import placed, sent, step, targets


class NewcomerTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, (5, 10, 20, 30, 40, 50, 60))
        self.newcomer = self.node.broadcasts.newcomer
        self.effects = step(self.node, 8, Notify(), 1.0)

    def ask(self, asker: int) -> None:
        step(self.node, asker, GetState(1, int(Status.ACTIVE)), 1.01)

    def test_the_node_before_it_is_told_to_look(self):
        self.assertEqual(targets(self.effects, Changed), [5])
        self.assertTrue(self.newcomer.unknown)

    def test_it_is_known_once_that_one_has_asked(self):
        self.ask(20)
        self.ask(8)
        self.assertTrue(self.newcomer.unknown)
        self.ask(5)
        self.assertFalse(self.newcomer.unknown)

    def test_or_one_that_has_come_in_between_them_meanwhile(self):
        self.ask(6)
        self.assertFalse(self.newcomer.unknown)

    def test_or_after_a_while(self):
        step(self.node, 20, Changed(), 1.0 + self.node.ctx.config.stabilise_fast_s)
        self.assertTrue(self.newcomer.unknown)
        step(self.node, 20, Changed(), 1.01 + self.node.ctx.config.stabilise_fast_s)
        self.assertFalse(self.newcomer.unknown)

    def test_at_rest_and_after_a_death_there_is_none(self):
        node = placed(10, (5, 10, 20))
        self.assertFalse(node.broadcasts.newcomer.unknown)
        effects = step(node, 5, Notify(), 1.0)
        self.assertEqual(sent(effects, Changed), [])
        self.assertFalse(node.broadcasts.newcomer.unknown)
