"""Broken connections and strange senders: what a node makes of them, 10 in a ring of seven."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.events import LinkDown, LinkFault, Publish, Received
from chordnet.core.base.messages import GetState, NodeRef, Ping
from chordnet.core.kernel.requests import Ask
from tests.unit.core_support import placed, ref, sent

RING = (5, 10, 20, 30, 40, 50, 60)
STRANGER = 60
"""A member that this node does not point at."""


class ReachTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = placed(10, RING)

    def down(self, peer: int, fault: LinkFault) -> bool:
        """Let a connection end; return True if the peer is probed."""
        self.node.step(LinkDown(ref(peer), fault), 1.0)
        return self.node.detector.suspects(ref(peer).raw)

    def test_those_that_this_node_points_at_are_probed_and_others_are_not(self) -> None:
        for peer, probed in ((20, True), (50, True), (5, True), (STRANGER, False)):
            self.assertEqual(self.down(peer, LinkFault.BROKEN), probed, peer)

    def test_during_one_broadcast_it_matters_of_every_node_whether_it_lives(self) -> None:
        self.node.step(Publish([(1, b"word")], 1.0), 0.0)
        self.assertEqual(self.node.broadcasts.under_way, 1)
        self.assertTrue(self.down(STRANGER, LinkFault.BROKEN))

    def test_a_question_to_a_stranger_ends_with_its_connection_unless_that_is_closed_in_order(
        self,
    ) -> None:
        for fault, waiting in (
            (LinkFault.CLOSED, 1), (LinkFault.BROKEN, 0), (LinkFault.REFUSED, 0),
            (LinkFault.UNREACHABLE, 0), (LinkFault.OVERLOADED, 1),
        ):  # fmt: skip
            self.setUp()
            self.node.requests.ask(Ask.AUDIT, ref(STRANGER), lambda rid: GetState(rid, 3))
            self.down(STRANGER, fault)
            self.assertEqual(len(self.node.requests._open), waiting, fault)


class GateTests(SynchronousTestCase):
    def test_the_word_of_this_node_itself_or_of_no_possible_node_is_ignored(self) -> None:
        node = placed(10, RING)
        strange = [ref(10), NodeRef(b"\x40", 1, "x", "x"), NodeRef(b"\x01\x01", 1, "x", "x")]
        for count, sender in enumerate(strange, 1):
            self.assertEqual(node.step(Received(sender, Ping(1)), 1.0), [], sender)
            self.assertEqual(node.counters["messages_ignored"], count)
            self.assertFalse(node.ctx.peers.has_met(sender.raw))
        self.assertEqual(len(sent(node.step(Received(ref(45), Ping(1)), 1.0))), 1)
