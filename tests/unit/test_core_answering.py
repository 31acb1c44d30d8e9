"""What a node answers to lookups: passed on from node to node, or asked for one step."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Find, FindFailed, FindKind, FindNext, Found, Next, Status
from tests.unit.core_support import LABEL, Parts, ids, raw, ref, refs, sent, targets

OWNER, PREDECESSOR = FindKind.OWNER, FindKind.PREDECESSOR


class AnsweringTestCase(SynchronousTestCase):
    """This node is 10, between 5 and 20; its list is 20, 30, 40 and its far finger 50."""

    def setUp(self):
        self.parts = Parts(10)
        self.parts.place(5, 20, 30, 40, fingers=[20, 30, 50])
        self.ctx, self.answering = self.parts.ctx, self.parts.answering


class FindTests(AnsweringTestCase):
    """What becomes of a recursive lookup at this node."""

    def find(self, key: int, kind: FindKind = OWNER, **details) -> None:
        """Another node's lookup arrives."""
        given = {"path": refs(60, 5), "ttl": 60, "last": False, **details}
        self.parts.fresh()
        self.answering.on_find(
            ref(5),
            Find(3, ref(60), raw(key), int(kind), given["path"], given["ttl"], given["last"]),
        )

    def passed_on(self) -> tuple[int, Find]:
        ((target, question),) = sent(self.ctx, Find)
        return target, question

    def test_a_node_on_the_way_passes_a_lookup_on_and_joins_its_path(self):
        self.find(35)
        target, question = self.passed_on()
        self.assertEqual(target, 30)
        self.assertEqual(ids(question.path), [60, 5, 10])
        self.assertEqual(question.ttl, 59)
        self.assertEqual(question.origin, ref(60))

    def test_the_owner_answers_the_asker_directly(self):
        self.find(8, last=True)
        ((target, answer),) = sent(self.ctx, Found)
        self.assertEqual(target, 60)
        self.assertEqual(answer.node, ref(10))
        self.assertEqual(ids(answer.path), [60, 5, 10])
        self.assertEqual(answer.label, LABEL)

    def test_a_supposed_owner_that_is_not_passes_a_lookup_back_to_its_predecessor(self):
        self.find(4, last=True)
        target, question = self.passed_on()
        self.assertEqual((target, question.last), (5, True))

    def test_a_supposed_owner_whose_predecessor_is_dead_is_the_owner(self):
        self.ctx.peers.died(ref(5), 0.0)
        self.find(4, last=True)
        self.assertEqual(targets(self.ctx, Found), [60])

    def test_a_node_that_a_lookup_only_passes_by_is_no_owner_though_its_predecessor_is_dead(self):
        self.ctx.peers.died(ref(5), 0.0)
        self.find(4, last=False)
        self.assertEqual(sent(self.ctx, Found), [])

    def test_a_leaving_owner_hands_its_keys_to_its_successor(self):
        self.parts.ctx.set_status(Status.LEAVING)
        self.find(8, last=True)
        target, question = self.passed_on()
        self.assertEqual((target, question.last), (20, True))

    def test_a_leaving_node_passes_lookups_of_other_keys_on_like_any_other_node(self):
        self.parts.ctx.set_status(Status.LEAVING)
        for key, passed_on in ((35, (30, False)), (15, (20, True)), (60, (50, False))):
            self.find(key)
            target, question = self.passed_on()
            self.assertEqual((target, question.last), passed_on, key)

    def test_the_member_before_a_key_answers_for_the_place_of_the_key(self):
        self.find(15, PREDECESSOR)
        self.assertEqual(targets(self.ctx, Found), [60])
        self.find(20, PREDECESSOR)
        self.assertEqual(targets(self.ctx, Found), [60], "(self, successor] is closed")

    def test_only_the_member_before_a_key_answers_for_the_place_of_the_key(self):
        self.find(21, PREDECESSOR)
        self.assertEqual(self.passed_on()[0], 20)
        self.find(10, PREDECESSOR)
        self.assertEqual(self.passed_on()[0], 50)

    def test_the_time_to_live_bounds_a_loop(self):
        self.find(35, ttl=0)
        ((target, answer),) = sent(self.ctx, FindFailed)
        self.assertEqual(target, 60)
        self.assertIn("too many times", answer.reason)

    def test_outside_of_a_ring_a_lookup_is_refused(self):
        self.parts.ctx.set_status(Status.JOINING)
        self.find(35)
        ((target, answer),) = sent(self.ctx, FindFailed)
        self.assertEqual(target, 60)
        self.assertIn("n10 is in no ring", answer.reason)


class AdviceTests(AnsweringTestCase):
    """What this node answers to one step of another's iterative lookup."""

    def next(
        self, key: int, *exclude: int, kind: FindKind = OWNER, last: bool = False
    ) -> tuple[bool, list[int], bool]:
        self.parts.fresh()
        question = FindNext(1, raw(key), int(kind), [raw(x) for x in exclude], last)
        self.answering.on_find_next(ref(60), question)
        ((target, answer),) = sent(self.ctx, Next)
        self.assertEqual(target, 60)
        return answer.done, ids(answer.nodes), answer.last

    def test_the_owner_of_a_key_says_that_it_is_the_owner(self):
        self.assertEqual(self.next(8), (True, [], False))

    def test_for_a_key_before_the_successor_the_successor_list_is_offered_as_owners(self):
        self.assertEqual(self.next(15), (False, [20, 30, 40], True))

    def test_for_a_key_beyond_the_successor_the_closest_nodes_before_the_key_are_offered(self):
        self.assertEqual(self.next(3), (False, [50, 40, 30], False))

    def test_excluded_nodes_are_left_out(self):
        self.assertEqual(self.next(3, 50, 40), (False, [30, 20], False))
        self.assertEqual(self.next(15, 20), (False, [30, 40], True))

    def test_excluded_nodes_that_we_point_at_are_probed(self):
        self.next(3, 50, 61)
        self.assertEqual(self.parts.verdicts, [("suspected", 50)])

    def test_successors_are_vouched_for_when_every_one_of_them_is_excluded(self):
        self.assertEqual(self.next(15, 20, 30, 40), (False, [20, 30, 40], True))

    def test_a_supposed_owner_that_is_not_points_back_at_its_predecessor(self):
        self.assertEqual(self.next(4, last=True), (False, [5], True))

    def test_an_owner_that_only_the_asker_finds_silent_is_still_the_owner(self):
        self.assertEqual(self.next(4, 5, last=True), (False, [5], True))
        self.ctx.peers.died(ref(5), self.ctx.now)
        self.assertEqual(self.next(4, 5, last=True), (True, [], False))

    def test_a_leaving_owner_points_at_its_successors(self):
        self.parts.ctx.set_status(Status.LEAVING)
        self.assertEqual(self.next(8), (False, [20, 30, 40], True))

    def test_the_member_before_a_place_says_that_it_is_the_one(self):
        self.assertEqual(self.next(15, kind=PREDECESSOR), (True, [], False))
        self.assertEqual(self.next(25, kind=PREDECESSOR), (False, [20], False))

    def test_outside_of_a_ring_there_is_no_advice(self):
        self.parts.ctx.set_status(Status.UNJOINED)
        self.assertEqual(self.next(8), (False, [], False))
