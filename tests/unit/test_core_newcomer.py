"""A newcomer's first moments (chordnet/core/broadcast/newcomer.py), at node 10 behind node 5."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Changed, GetState, Notify, Status
from tests.unit.core_support import placed, sent, step, targets


class NewcomerTests(SynchronousTestCase):
    def setUp(self):
        self.node = placed(10, (5, 10, 20, 30, 40, 50, 60))
        self.newcomer = self.node.newcomer
        self.effects = step(self.node, 8, Notify(), 1.0)

    def ask(self, asker: int, now: float = 1.01) -> None:
        step(self.node, asker, GetState(1, int(Status.ACTIVE)), now)

    def at(self, now: float) -> None:
        step(self.node, 20, Changed(), now)

    def test_the_node_before_a_newcomer_is_told_to_look(self):
        self.assertEqual(targets(self.effects, Changed), [5])
        self.assertTrue(self.newcomer.unknown)

    def test_a_newcomer_is_known_a_round_after_the_node_before_it_first_asked(self):
        fast = self.node.ctx.config.stabilise_fast_s
        self.ask(5, 1.09)
        self.ask(5, 1.1)  # only the first time counts
        self.at(1.08 + fast)  # what that one has passed on before may still be on its way
        self.assertTrue(self.newcomer.unknown)
        self.at(1.095 + fast)
        self.assertFalse(self.newcomer.unknown)

    def test_a_question_of_a_node_that_is_not_before_a_newcomer_does_not_count(self):
        self.ask(20, 1.09)
        self.ask(8, 1.09)
        self.at(1.01 + self.node.ctx.config.stabilise_fast_s)
        self.assertFalse(self.newcomer.unknown)

    def test_the_node_before_a_newcomer_may_ask_late(self):
        self.ask(5, 5.0)
        self.assertTrue(self.newcomer.unknown)

    def test_the_node_that_asks_may_have_come_in_before_the_newcomer_meanwhile(self):
        self.ask(6, 1.09)
        self.at(1.08 + self.node.ctx.config.stabilise_fast_s)
        self.assertTrue(self.newcomer.unknown)

    def test_a_newcomer_that_nobody_asks_about_is_known_after_a_while(self):
        fast = self.node.ctx.config.stabilise_fast_s
        self.at(1.0 + fast)
        self.assertTrue(self.newcomer.unknown)
        self.at(1.01 + fast)
        self.assertFalse(self.newcomer.unknown)

    def test_at_rest_and_after_a_death_there_is_no_newcomer(self):
        node = placed(10, (5, 10, 20))
        self.assertFalse(node.newcomer.unknown)
        effects = step(node, 5, Notify(), 1.0)
        self.assertEqual(sent(effects, Changed), [])
        self.assertFalse(node.newcomer.unknown)
