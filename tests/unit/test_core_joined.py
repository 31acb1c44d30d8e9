"""When a node has joined, and the walk round the ring; this node is n10, between n5 and n20."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.messages import RingLabel, Status
from chordnet.core.ring.walk import MAX_WALKS
from tests.unit.core_support import LABEL, Parts, Wire, ids, placed, ref, refs, sent, state

ACTIVE = Status.ACTIVE


class JoinedTests(SynchronousTestCase):
    def setUp(self):
        self.parts = Parts(10)
        self.ring = self.parts.ring
        self.ring.join(ref(5), state(1, [20, 30]))
        self.parts.fresh()

    @property
    def told(self) -> int:
        return self.parts.ctx.effects.count(fx.Joined())

    def behind(self, predecessor: int = 10) -> None:
        """The successor answers our question."""
        self.parts.stabilise.stabilise()
        _, rid = self.parts.asked()
        self.parts.requests.answered(ref(20), state(rid, [30], predecessor=predecessor))
        self.parts.fresh()

    def test_a_node_that_has_entered_a_ring_has_not_joined_yet(self):
        self.assertFalse(self.ring.adoption.joined)

    def test_a_node_has_joined_when_both_its_neighbours_have_taken_it_in(self):
        self.parts.rectify.notified(ref(5))
        self.assertFalse(self.ring.adoption.joined)
        self.behind()
        self.assertTrue(self.ring.adoption.joined)

    def test_the_neighbours_may_take_a_node_in_in_either_order(self):
        self.behind()
        self.assertFalse(self.ring.adoption.joined)
        self.parts.rectify.notified(ref(5))
        self.assertTrue(self.ring.adoption.joined)

    def test_a_successor_with_another_predecessor_has_not_taken_the_node_in(self):
        self.parts.rectify.notified(ref(5))
        self.behind(predecessor=5)
        self.assertFalse(self.ring.adoption.joined)

    def test_a_question_that_takes_this_node_for_a_successor_counts_like_a_notification(self):
        self.behind()
        self.parts.stabilise.asked(ref(5), msg.GetState(1, ACTIVE))
        self.assertFalse(self.ring.adoption.joined)
        self.parts.stabilise.asked(ref(5), msg.GetState(2, ACTIVE, successor=True))
        self.assertTrue(self.ring.adoption.joined)

    def test_only_the_predecessor_in_its_present_life_can_say_that_it_took_the_node_in(self):
        self.behind()
        self.parts.stabilise.asked(ref(3), msg.GetState(2, ACTIVE, successor=True))
        self.parts.stabilise.asked(ref(5, incarnation=2), msg.GetState(2, ACTIVE, successor=True))
        self.assertFalse(self.ring.adoption.joined)

    def test_what_an_earlier_predecessor_said_is_forgotten(self):
        self.parts.rectify.notified(ref(5))
        self.ring.set_predecessor(ref(7))
        self.behind()
        self.assertFalse(self.ring.adoption.joined)
        self.parts.rectify.notified(ref(7))
        self.assertTrue(self.ring.adoption.joined)

    def test_what_an_earlier_successor_said_is_forgotten(self):
        self.behind()
        self.ring.set_successors(refs(15, 20))
        self.parts.rectify.notified(ref(5))
        self.assertFalse(self.ring.adoption.joined)

    def test_that_a_node_has_joined_is_told_once(self):
        told = 0
        for _ in range(3):
            self.behind()
            self.parts.rectify.notified(ref(5))
            told += self.told
        self.assertEqual(told, 1)

    def test_the_head_is_told_that_it_is_the_successor_and_nobody_else(self):
        self.parts.stabilise.stabilise()
        question = self.parts.ctx.effects[-1].message
        self.assertEqual((type(question), question.successor), (msg.GetState, True))
        self.parts.fresh()
        self.parts.requests.answered(ref(20), state(question.rid, [30], predecessor=15))
        question = self.parts.ctx.effects[-1].message
        self.assertEqual((type(question), question.successor), (msg.GetState, False))

    def test_a_ring_of_one_has_joined_when_it_is_a_member(self):
        parts = Parts(10)
        parts.ctx.set_status(Status.UNJOINED)
        parts.ring.create(LABEL)
        parts.ring.check_joined()
        self.assertFalse(parts.ring.adoption.joined)
        parts.ctx.set_status(ACTIVE)
        parts.ring.check_joined()
        self.assertTrue(parts.ring.adoption.joined)


class WalkTests(SynchronousTestCase):
    def walk(self, wire: Wire, limit: int = 9, member: int = 10) -> fx.Walked:
        wire.event(member, ev.Walk(1, limit))
        wire.run(3.0)
        ((_, walked),) = wire.told(fx.Walked)
        return walked

    def test_a_walk_comes_back_with_every_member_in_the_order_of_the_ring(self):
        walked = self.walk(Wire([5, 10, 20, 40]))
        self.assertEqual((ids(walked.members), walked.problem), ([10, 20, 40, 5], ""))

    def test_a_walk_of_a_ring_of_one_finds_the_node_itself(self):
        walked = self.walk(Wire([10]))
        self.assertEqual((ids(walked.members), walked.problem), ([10], ""))

    def test_a_walk_visits_no_more_members_than_it_may(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        walked = self.walk(wire, limit=2)
        self.assertEqual(ids(walked.members), [10, 20])
        self.assertEqual(walked.problem, "there are more than 2 members")
        self.assertEqual(len(wire.messages(msg.GetState)), 1)

    def test_two_neighbours_that_do_not_name_each_other_end_the_walk(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        wire.nodes[40].ring.predecessor = ref(30)
        walked = self.walk(wire)
        self.assertEqual(walked.problem, "n40 has n30 before it, not n20")

    def test_the_last_member_of_a_walk_has_to_be_the_own_predecessor(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        wire.nodes[10].ring.predecessor = ref(7)
        self.assertEqual(self.walk(wire).problem, "n10 has n7 before it, not n5")

    def test_a_node_that_does_not_answer_ends_the_walk(self):
        wire = Wire([5, 10, 20, 40])
        wire.silence(40)
        wire.event(10, ev.Walk(1, 9))
        wire.run(0.6)
        ((_, walked),) = wire.told(fx.Walked)
        self.assertEqual(walked.problem, "n40 does not answer")

    def test_a_member_of_another_ring_ends_the_walk(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        wire.nodes[40].ring.label = RingLabel(0, 9)
        self.assertEqual(self.walk(wire).problem, "n40 is in another ring")

    def test_a_member_that_is_about_to_leave_ends_the_walk(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        wire.nodes[40].ctx.set_status(Status.LEAVING)
        self.assertEqual(self.walk(wire).problem, "n40 is in no ring")

    def test_another_life_than_the_one_asked_ends_the_walk(self):
        node = placed(10, [5, 10, 20])
        ((_, question),) = sent(node.step(ev.Walk(4, 9), 0.0), msg.GetState)
        node.ctx.effects = effects = []
        answer = state(question.rid, [5, 10], predecessor=10)
        node.requests.answered(ref(20, 2), answer)
        self.assertEqual(effects, [fx.Walked(4, refs(10, 20), "n20 is in no ring")])

    def test_a_ring_in_disorder_ends_the_walk(self):
        wire = Wire([5, 10, 20, 40], ticking=False)
        wire.nodes[40].ring.successors = refs(20)
        wire.nodes[20].ring.predecessor = ref(10)
        self.assertEqual(self.walk(wire).problem, "n20 after n40 is out of order")

    def test_a_walk_from_a_node_outside_of_a_ring_ends_where_it_begins(self):
        node = placed(10, [5, 10, 20])
        node.ctx.set_status(Status.SEEKING)
        (walked,) = node.step(ev.Walk(4, 9), 0.0)
        self.assertEqual(walked, fx.Walked(4, [ref(10)], "n10 is in no ring"))

    def test_walks_one_after_the_other_are_not_limited(self):
        node = placed(10, [10])
        for op in range(2 * MAX_WALKS):
            (walked,) = node.step(ev.Walk(op, 9), 0.0)
            self.assertEqual(walked.problem, "")

    def test_walks_at_the_same_time_are_limited(self):
        node = placed(10, [5, 10, 20])
        for op in range(MAX_WALKS):
            self.assertEqual([type(e) for e in node.step(ev.Walk(op, 9), 0.0)], [fx.Send])
        (walked,) = node.step(ev.Walk(99, 9), 0.0)
        self.assertIn("under way", walked.problem)
