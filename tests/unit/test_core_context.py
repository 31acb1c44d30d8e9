"""What the parts of a node share: the time, the numbers of questions, the known peers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.events import Received
from chordnet.core.base.messages import Ping, Status
from tests.unit.core_support import make_context, placed, ref


class ContextTests(SynchronousTestCase):
    def test_a_new_node_is_in_no_ring_and_its_time_begins_at_0(self) -> None:
        ctx = make_context()
        self.assertEqual((ctx.now, ctx.is_member, ctx.status), (0.0, False, Status.UNJOINED))

    def test_questions_are_numbered_one_after_the_other(self) -> None:
        ctx = make_context()
        self.assertEqual([ctx.rid() for _ in range(3)], [1, 2, 3])

    def test_a_peer_that_answers_for_the_first_time_is_reported_two_seconds_later(self) -> None:
        ctx = make_context()
        ctx.now = 5.0
        ctx.answered(ref(20))
        self.assertIsNone(ctx.alarms.next(), "it is not known")
        ctx.peers.note(ref(20))
        ctx.answered(ref(20))
        self.assertEqual(ctx.alarms.due(6.75), [])
        ctx.now = 6.0
        ctx.answered(ref(20))
        self.assertEqual(ctx.alarms.next(), 7.0)

    def test_a_new_peer_that_speaks_is_reported_two_seconds_later(self) -> None:
        node = placed(10, [10, 20, 30])
        node.ctx.peers.changed = False
        for peer, at in ((20, None), (45, 7.0)):
            node.step(Received(ref(peer), Ping(1)), 5.0)
            self.assertEqual(node.ctx.alarms._at.get("peers"), at)

    def test_a_pause_varies_by_its_fraction_in_both_directions(self) -> None:
        ctx = make_context(jitter=0.25)
        ctx.now = 100.0
        pauses = [ctx.jittered(8.0) - 100.0 for _ in range(200)]
        self.assertTrue(6.0 <= min(pauses) < 6.5, min(pauses))
        self.assertTrue(9.5 < max(pauses) <= 10.0, max(pauses))
