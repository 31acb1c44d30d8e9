"""Each operation of the corrected Chord, step by step.

The docstrings say in our words which sentence of the paper a test holds the code to: P. Zave,
"Reasoning about identifier spaces: How to make Chord correct", IEEE TSE 43(12), 2017
(arXiv:1610.01140), called "Zave" below. This node has the identifier 10 unless said otherwise.
"""

from __future__ import annotations

from random import Random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import FingerUpkeep, Safeguards
from chordnet.core.base.effects import RingChanged
from chordnet.core.base.messages import (
    Changed,
    GetState,
    Leaving,
    NodeRef,
    Notify,
    Ping,
    Pong,
    RingLabel,
    State,
    Status,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.signals import PLACED
from tests.unit.core_support import (
    LABEL,
    Parts,
    effects_of,
    ids,
    ref,
    refs,
    sent,
    state,
    targets,
)

ACTIVE = int(Status.ACTIVE)


class RingTestCase(SynchronousTestCase):
    """A member between 5 and 20, whose list is 20, 30, 40."""

    def setUp(self):
        self.parts = Parts(10, request_timeout_s=0.5, defer_s=0.05)
        self.ring = self.parts.ring
        self.ctx = self.parts.ctx
        self.parts.place(5, 20, 30, 40)

    def stabilise(self) -> tuple[int, int]:
        """Begin to stabilise; return whom it asked and the question's number."""
        self.parts.fresh()
        self.parts.stabilise.stabilise()
        return self.parts.asked()

    def answer(self, sender: int, answer: State | Pong) -> None:
        self.parts.fresh()
        self.parts.requests.answered(ref(sender), answer)

    def let_silence_pass(self) -> None:
        self.parts.fresh()
        self.parts.advance(0.6)
        self.parts.requests.tick()

    def kill(self, identifier: int) -> None:
        """What the node does when its detector finds a death."""
        self.ctx.peers.died(ref(identifier), self.ctx.now)
        self.parts.evict(ref(identifier))
        self.parts.requests.died(ref(identifier))

    def assert_list(self, *identifiers: int) -> None:
        self.assertEqual(ids(self.ring.successors), list(identifiers))

    def assert_predecessor(self, identifier: int) -> None:
        self.assertEqual(self.ring.predecessor, ref(identifier))


def with_other(answer: State, index: int, node: NodeRef) -> State:
    """Return the answer with another node at one place of its list."""
    answer.successors[index] = node
    return answer


class CreateTests(SynchronousTestCase):
    def test_a_ring_of_one_points_at_itself(self):
        parts = Parts(10)
        parts.ring.create(RingLabel(1, 5))
        self.assertEqual(parts.ring.predecessor, parts.ctx.me)
        self.assertEqual(parts.ring.successors, [])
        self.assertEqual(parts.ring.head, parts.ctx.me)
        self.assertEqual(parts.ring.label, RingLabel(1, 5))
        self.assertTrue(all(parts.ring.owns(key) for key in range(64)))

    def test_the_pointers_of_a_ring_of_one_are_told(self):
        parts = Parts(10)
        parts.ring.create(RingLabel(1, 5))
        told = RingChanged(parts.ctx.me, [], RingLabel(1, 5))
        self.assertEqual(effects_of(parts.ctx.effects, RingChanged), [told])

    def test_outside_of_a_ring_a_node_owns_nothing(self):
        self.assertFalse(any(Parts(10).ring.owns(key) for key in range(64)))

    def test_a_ring_of_one_asks_nobody(self):
        parts = Parts(10)
        parts.ring.create(LABEL)
        parts.fresh()
        parts.stabilise.stabilise()
        self.assertEqual(sent(parts.ctx), [])
        self.assertTrue(parts.ctx.alarms.is_set("stabilise"))


class JoinTests(SynchronousTestCase):
    """Zave, join: in one step the new member gets a successor list and a predecessor."""

    def join(self, member: int, *successors: int, **changes) -> Parts:
        parts = Parts(10, **changes)
        parts.ring.join(ref(member), state(1, successors))
        return parts

    def test_a_joiner_takes_the_members_whole_list_and_the_member_as_predecessor(self):
        """The predecessor is set at once: nothing in the corrected Chord is ever without one."""
        parts = self.join(5, 20, 30, 40)
        self.assertEqual(ids(parts.ring.successors), [20, 30, 40])
        self.assertEqual(parts.ring.predecessor, ref(5))
        self.assertEqual(parts.ring.label, LABEL)
        self.assertIn(("successors_changed", None), parts.told)

    def test_joining_a_ring_of_one_makes_a_ring_of_two(self):
        parts = self.join(5)
        self.assertEqual(ids(parts.ring.successors), [5])
        self.assertEqual(parts.ring.predecessor, ref(5))

    def test_an_earlier_life_in_the_list_is_passed_over(self):
        parts = self.join(5, 10, 20, 30)
        self.assertEqual(ids(parts.ring.successors), [20, 30])

    def test_a_later_life_of_a_node_that_was_never_met_is_taken(self):
        parts = Parts(10)
        parts.ctx.peers.note(ref(30))
        later = ref(30, 2)
        parts.ring.join(ref(5), with_other(state(1, (20, 30, 40)), 1, later))
        self.assertEqual(parts.ring.successors, [ref(20), later, ref(40)])

    def test_a_later_life_of_a_node_that_was_met_is_checked_first(self):
        parts = Parts(10)
        parts.ctx.peers.note(ref(30))
        parts.ctx.peers.heard(ref(30))
        later = ref(30, 2)
        parts.ring.join(ref(5), with_other(state(1, (20, 30, 40)), 1, later))
        self.assertEqual(parts.ring.successors, refs(20, 40))

    def test_a_later_life_at_another_address_is_checked_first_though_the_node_was_never_met(self):
        parts = Parts(10)
        parts.ctx.peers.note(ref(30))
        later = NodeRef(ref(30).raw, 2, "elsewhere", "n30")
        parts.ring.join(ref(5), with_other(state(1, (20, 30, 40)), 1, later))
        self.assertEqual(parts.ring.successors, refs(20, 40))

    def test_the_list_is_cut_to_r(self):
        parts = self.join(5, 20, 30, 40, 50, successors=3)
        self.assertEqual(ids(parts.ring.successors), [20, 30, 40])

    def test_a_joiner_stabilises_at_once_and_announces_itself_by_that(self):
        parts = self.join(5, 20, 30)
        self.assertEqual(parts.ctx.alarms.next(), parts.ctx.now)
        self.assertEqual(parts.ctx.alarms.due(parts.ctx.now), ["stabilise"])
        parts.fresh()
        parts.stabilise.stabilise()
        target, rid = parts.asked()
        self.assertEqual(target, 20)
        parts.requests.answered(ref(20), state(rid, [30], predecessor=5))
        self.assertEqual(targets(parts.ctx, Notify), [20])

    def test_nodes_known_from_hearsay_are_pinged(self):
        parts = self.join(5, 20, 30)
        self.assertEqual(targets(parts.ctx, Ping), [20, 30])


class StabiliseFromSuccessorTests(RingTestCase):
    def test_stabilising_asks_the_head_of_the_list(self):
        self.assertEqual(self.stabilise()[0], 20)

    def test_a_live_successors_list_is_adopted_behind_the_successor(self):
        """Zave: the list becomes the successor and its list but for the last entry."""
        _, rid = self.stabilise()
        self.answer(20, state(rid, [25, 30, 35], predecessor=10))
        self.assert_list(20, 25, 30)

    def test_a_successor_that_knows_us_is_not_notified(self):
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40, 50], predecessor=10))
        self.assertEqual(targets(self.ctx, Notify), [])

    def test_a_successor_with_an_older_predecessor_is_notified(self):
        """Zave: if the successor's predecessor is no better, the successor is notified."""
        for older in (5, 10 - 1, 30, 63):
            _, rid = self.stabilise()
            self.answer(20, state(rid, [30, 40], predecessor=older))
            self.assertEqual(targets(self.ctx, Notify), [20], older)

    def test_a_successor_without_a_predecessor_is_notified(self):
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40]))
        self.assertEqual(targets(self.ctx, Notify), [20])

    def test_a_successor_that_knows_an_earlier_life_of_ours_is_notified(self):
        _, rid = self.stabilise()
        answer = State(rid, ACTIVE, LABEL, ref(10, 0), refs(30, 40), None)
        self.answer(20, answer)
        self.assertEqual(targets(self.ctx, Notify), [20])

    def test_a_dead_successor_is_dropped_and_the_next_one_asked_at_once(self):
        """Zave: a dead head is removed, the list is shorter, and the next head is contacted."""
        self.stabilise()
        self.parts.fresh()
        self.kill(20)
        self.assert_list(30, 40)
        self.assertLessEqual(self.ctx.alarms.next() - self.ctx.now, 0.1 / 20)
        self.assertEqual(self.stabilise()[0], 30)

    def test_without_promptness_the_pace_stays_whatever_happens(self):
        self.parts = Parts(
            10, stabilise_fast_s=30.0, stabilise_idle_s=30.0, jitter=0.5,
            finger_upkeep=FingerUpkeep(prompt=False),
        )  # fmt: skip
        self.ring, self.ctx = self.parts.ring, self.parts.ctx
        self.parts.place(5, 20, 30, 40)
        _, rid = self.stabilise()
        self.answer(20, state(rid, [25, 35], predecessor=10))
        self.assert_list(20, 25, 35)
        for change in (lambda: None, self.parts.stabilise.soon, lambda: self.kill(20)):
            change()
            self.ctx.alarms.cancel("peers")
            self.assertGreaterEqual(self.ctx.alarms.next() - self.ctx.now, 15.0)
            self.assertLessEqual(self.ctx.alarms.next() - self.ctx.now, 45.0)
        self.assert_list(25, 35)

    def test_a_silent_successor_stays_and_is_suspected(self):
        self.stabilise()
        self.let_silence_pass()
        self.assert_list(20, 30, 40)
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])
        self.assertTrue(self.ctx.alarms.is_set("stabilise"), "and the next round is planned")

    def test_a_successor_that_left_its_ring_is_as_good_as_dead(self):
        for status in (Status.UNJOINED, Status.JOINING, Status.LEAVING, Status.LEFT):
            self.setUp()
            _, rid = self.stabilise()
            self.answer(20, state(rid, [], status=status))
            self.assertIn(("died", 20), self.parts.verdicts, status.name)
            self.assertTrue(self.ctx.alarms.is_set("stabilise"))

    def test_an_answer_from_a_node_that_is_not_the_head_any_more_is_dropped(self):
        _, rid = self.stabilise()
        self.parts.stabilise.consider(ref(15), state(0, [20, 30]))
        self.answer(20, state(rid, [30, 40, 50], predecessor=10))
        self.assert_list(15, 20, 30)

    def test_entries_that_are_out_of_order_are_not_taken(self):
        """Zave's invariant implies ordered lists without duplicates: nothing else is let in."""
        _, rid = self.stabilise()
        self.answer(20, state(rid, [40, 30, 50], predecessor=10))
        self.assert_list(20, 40)

    def test_a_list_that_comes_round_ends_before_this_node(self):
        _, rid = self.stabilise()
        self.answer(20, state(rid, [5, 10, 20], predecessor=10))
        self.assert_list(20, 5)

    def test_the_dead_and_the_superseded_are_not_taken_back(self):
        self.ctx.peers.died(ref(30), self.ctx.now)
        self.ctx.peers.note(ref(40, 2))
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40, 50], predecessor=10))
        self.assert_list(20, 50)

    def test_the_predecessor_is_told_of_a_new_list(self):
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40], predecessor=10))
        self.assertEqual(targets(self.ctx, Changed), [], "the same list is no news")
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 50], predecessor=10))
        self.assertEqual(targets(self.ctx, Changed), [5])

    def test_another_ring_label_is_reported(self):
        _, rid = self.stabilise()
        other = RingLabel(0, 3)
        self.answer(20, state(rid, [30, 40], predecessor=10, label=other))
        self.assertIn(("label_seen", other, 20), self.parts.told)

    def test_the_rings_own_label_and_none_are_no_news(self):
        for label in (self.ring.label, None):
            _, rid = self.stabilise()
            self.answer(20, state(rid, [30, 40], predecessor=10, label=label))
        told = [word for word in self.parts.told if word[0] == "label_seen"]
        self.assertEqual(told, [])


class SameListAgainTests(RingTestCase):
    """What is usable of a list is worked out once, as long as nothing is learnt about peers."""

    def offer(self) -> None:
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40], predecessor=10))

    def test_a_list_that_is_offered_again_stays_the_list(self):
        self.offer()
        self.offer()
        self.assert_list(20, 30, 40)
        self.assertEqual(effects_of(self.ctx.effects, RingChanged), [])

    def test_a_node_that_died_meanwhile_is_left_out_until_its_death_is_forgotten(self):
        self.offer()
        self.kill(30)
        self.offer()
        self.assert_list(20, 40)
        self.parts.advance(self.ctx.config.dead_memory_s + 1)
        self.ctx.peers.forget(self.ctx.now)
        self.offer()
        self.assert_list(20, 30, 40)

    def test_a_node_that_spoke_in_a_newer_life_is_left_out(self):
        self.offer()
        self.ctx.peers.heard(ref(30, 2))
        self.offer()
        self.assert_list(20, 40)


class StabiliseFromPredecessorTests(RingTestCase):
    """Zave: a better candidate is the successor's predecessor, and it is asked before adoption."""

    def reach(self, between_us: int = 15) -> int:
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40], predecessor=between_us))
        target, rid = self.parts.asked()
        self.assertEqual(target, between_us)
        return rid

    def test_a_candidate_in_between_is_asked_and_not_yet_adopted(self):
        self.reach()
        self.assert_list(20, 30, 40)
        self.assertEqual(targets(self.ctx, Notify), [])

    def test_a_live_candidate_becomes_the_head_with_its_list_and_is_notified(self):
        rid = self.reach()
        self.answer(15, state(rid, [20, 30, 40], predecessor=5))
        self.assert_list(15, 20, 30)
        self.assertEqual(targets(self.ctx, Notify), [15])

    def test_a_silent_candidate_is_not_adopted_and_the_successor_is_notified(self):
        """Zave: if the candidate is dead the list stays, and the successor is notified."""
        self.reach()
        self.let_silence_pass()
        self.assert_list(20, 30, 40)
        self.assertEqual(targets(self.ctx, Notify), [20])
        self.assertIn(("suspected", 15), self.parts.verdicts)

    def test_a_dead_candidate_is_not_adopted_and_the_successor_is_notified(self):
        self.reach()
        self.parts.fresh()
        self.kill(15)
        self.assert_list(20, 30, 40)
        self.assertEqual(targets(self.ctx, Notify), [20])

    def test_a_candidate_is_silent_about_a_gap_that_is_filled_by_then_and_nobody_is_notified(self):
        self.reach()
        self.parts.stabilise.consider(ref(12), state(0, [15, 20]))
        self.parts.fresh()
        self.let_silence_pass()
        self.assertEqual(targets(self.ctx, Notify), [])

    def test_a_candidate_held_for_dead_is_not_even_asked(self):
        self.ctx.peers.died(ref(15), self.ctx.now)
        _, rid = self.stabilise()
        self.answer(20, state(rid, [30, 40], predecessor=15))
        self.assertEqual(sent(self.ctx, GetState), [])
        self.assertEqual(targets(self.ctx, Notify), [20])

    def test_a_candidate_that_has_left_is_not_adopted(self):
        rid = self.reach()
        self.answer(15, state(rid, [], status=Status.LEAVING))
        self.assert_list(20, 30, 40)
        self.assertEqual(targets(self.ctx, Notify), [20])

    def test_the_head_must_not_change_between_the_two_steps(self):
        rid = self.reach(between_us=18)
        self.parts.stabilise.consider(ref(12), state(0, [18, 20]))
        self.answer(18, state(rid, [20, 30], predecessor=5))
        self.assert_list(12, 18, 20)

    def test_a_ring_of_one_takes_its_first_successor_from_its_predecessor(self):
        parts = Parts(10)
        parts.ring.create(LABEL)
        parts.rectify.notified(ref(30))
        self.assertEqual(parts.ring.predecessor, ref(30))
        parts.fresh()
        parts.stabilise.stabilise()
        target, rid = parts.asked()
        self.assertEqual(target, 30)
        parts.requests.answered(ref(30), state(rid, [10], predecessor=10))
        self.assertEqual(ids(parts.ring.successors), [30])


class RectifyTests(RingTestCase):
    """Zave, rectify: how a member takes a new predecessor when it is notified."""

    def test_a_notifier_closer_than_the_predecessor_is_adopted_without_a_question(self):
        self.parts.fresh()
        self.parts.rectify.notified(ref(8))
        self.assert_predecessor(8)
        self.assertEqual(sent(self.ctx, Ping), [])
        self.assertIn(("predecessor_changed", 5), self.parts.told)

    def test_for_a_notifier_that_is_no_closer_the_predecessor_is_asked_whether_it_lives(self):
        self.parts.fresh()
        self.parts.rectify.notified(ref(3))
        self.assertEqual(targets(self.ctx, Ping), [5])
        self.assert_predecessor(5)

    def test_a_live_predecessor_stays(self):
        self.parts.fresh()
        self.parts.rectify.notified(ref(3))
        _, rid = self.parts.asked(Ping)
        self.answer(5, Pong(rid, ACTIVE))
        self.assert_predecessor(5)

    def test_a_dead_predecessor_is_replaced_by_the_notifier(self):
        self.parts.rectify.notified(ref(3))
        self.kill(5)
        self.assert_predecessor(3)

    def test_a_silent_predecessor_is_suspected_and_not_replaced_yet(self):
        self.parts.rectify.notified(ref(3))
        self.let_silence_pass()
        self.assert_predecessor(5)
        self.assertIn(("suspected", 5), self.parts.verdicts)

    def test_a_predecessor_already_held_for_dead_is_replaced_at_once(self):
        self.kill(5)
        self.assert_predecessor(5)
        self.parts.rectify.notified(ref(3))
        self.assert_predecessor(3)

    def test_the_predecessor_is_never_set_to_nothing(self):
        """Published Chord's error: pointers set to nothing lose the way back."""
        self.kill(5)
        self.assert_predecessor(5)
        self.assertTrue(self.ring.predecessor_is_dead())

    def test_the_predecessor_itself_is_no_news(self):
        self.parts.fresh()
        self.parts.rectify.notified(ref(5))
        self.assertEqual(self.ctx.effects, [])

    def test_a_later_life_of_the_predecessor_replaces_it(self):
        self.parts.rectify.notified(ref(5, 2))
        self.assertEqual(self.ring.predecessor, ref(5, 2))

    def test_nobody_is_his_own_notifier(self):
        self.parts.rectify.notified(ref(10))
        self.assert_predecessor(5)

    def test_the_first_notifier_of_a_ring_of_one_is_adopted(self):
        parts = Parts(10)
        parts.ring.create(LABEL)
        parts.rectify.notified(ref(40))
        self.assertEqual(parts.ring.predecessor, ref(40))
        self.assertEqual(parts.ctx.alarms.next(), parts.ctx.now, "and stabilises at once")


class DeferralTests(RingTestCase):
    """Zave: an operation is atomic at the moment of the answer, so nobody answers in between."""

    def ask(self, sender: int, rid: int = 99, status: Status = Status.ACTIVE) -> None:
        self.parts.stabilise.asked(ref(sender), GetState(rid, int(status)))

    def test_a_node_at_rest_answers_at_once(self):
        self.parts.fresh()
        self.ask(5)
        self.assertEqual(sent(self.ctx), [(5, state(99, [20, 30, 40], predecessor=5))])

    def test_a_node_whose_own_question_is_out_answers_after_it_has_its_answer(self):
        _, rid = self.stabilise()
        self.parts.fresh()
        self.ask(5)
        self.assertEqual(sent(self.ctx), [])
        self.answer(20, state(rid, [30, 50], predecessor=10))
        self.assertEqual(sent(self.ctx, State), [(5, state(99, [20, 30, 50], predecessor=5))])
        self.assertFalse(self.ctx.alarms.is_set("defer"), "nobody waits any more")

    def test_a_node_between_the_two_steps_of_stabilising_answers_after_the_second(self):
        _, rid = self.stabilise()
        self.ask(5)
        self.answer(20, state(rid, [30], predecessor=15))
        self.assertEqual(sent(self.ctx, State), [])
        _, rid = self.parts.asked()
        self.answer(15, state(rid, [20, 30], predecessor=10))
        self.assertEqual(sent(self.ctx, State), [(5, state(99, [15, 20, 30], predecessor=5))])

    def test_a_node_whose_own_question_meets_silence_answers_after_the_silence(self):
        self.stabilise()
        self.ask(5)
        self.let_silence_pass()
        self.assertEqual(targets(self.ctx, State), [5])

    def test_a_stranger_without_a_ring_is_answered_at_once(self):
        """Its question changes nothing here, and it has no question that we could wait for."""
        self.stabilise()
        self.parts.fresh()
        self.ask(50, status=Status.UNJOINED)
        self.assertEqual(targets(self.ctx, State), [50])

    def test_a_circle_of_waiting_nodes_is_broken_after_a_bound(self):
        """All nodes doing this at once wait for each other: the own question is given up."""
        self.stabilise()
        self.parts.fresh()
        self.ask(5)
        due = self.ctx.alarms.due(self.ctx.now + 0.05)
        self.assertIn("defer", due)
        self.parts.stabilise.defer_over()
        self.assertEqual(targets(self.ctx, State), [5])
        self.assertEqual(self.ctx.counters.number(CoreMetric.STABILISE_GIVEN_UP), 1)

    def test_the_answer_to_a_question_given_up_changes_nothing(self):
        _, rid = self.stabilise()
        self.ask(5)
        self.parts.stabilise.defer_over()
        self.answer(20, state(rid, [50, 60], predecessor=10))
        self.assert_list(20, 30, 40)
        self.assertEqual(self.ctx.effects, [])

    def test_silence_after_giving_up_is_noticed_all_the_same(self):
        self.stabilise()
        self.ask(5)
        self.parts.stabilise.defer_over()
        self.let_silence_pass()
        self.assertEqual(self.parts.verdicts, [("suspected", 20)])

    def test_giving_up_is_followed_by_another_try(self):
        self.stabilise()
        self.ask(5)
        self.parts.stabilise.defer_over()
        self.assertEqual(self.stabilise()[0], 20)

    def test_of_two_nodes_that_ask_each_other_the_smaller_gives_way_at_once(self):
        self.stabilise()
        self.parts.fresh()
        self.ask(20)
        self.assertEqual(targets(self.ctx, State), [20])

    def test_of_two_nodes_that_ask_each_other_the_larger_waits(self):
        self.parts = Parts(50)
        self.ring, self.ctx = self.parts.ring, self.parts.ctx
        self.parts.place(40, 5, 20, 30)
        self.parts.stabilise.stabilise()
        self.parts.fresh()
        self.ask(5)
        self.assertEqual(sent(self.ctx), [])

    def test_no_more_questions_wait_than_the_limit(self):
        self.parts = Parts(10, max_deferred=4)
        self.ring, self.ctx = self.parts.ring, self.parts.ctx
        self.parts.place(5, 20, 30)
        _, rid = self.stabilise()
        for number in range(9):
            self.ask(30 + number, rid=number)
        self.answer(20, state(rid, [30], predecessor=10))
        self.assertEqual(len(sent(self.ctx, State)), 4)

    def test_a_second_stabilisation_does_not_begin_during_the_first(self):
        self.stabilise()
        self.parts.fresh()
        self.parts.stabilise.stabilise()
        self.assertEqual(sent(self.ctx), [])


class LeavingTests(RingTestCase):
    """A leaver's pointers are hints: whoever it offers is asked before it is adopted."""

    def depart(self, leaver: int, predecessor: int | None, *successors: int) -> None:
        self.kill(leaver)
        self.parts.fresh()
        offered = None if predecessor is None else ref(predecessor)
        self.parts.departure.on_leaving(ref(leaver), Leaving(offered, refs(*successors)))

    def test_the_offered_predecessor_is_asked_and_then_adopted(self):
        self.depart(5, 3, 10, 20)
        target, rid = self.parts.asked(Ping)
        self.assertEqual(target, 3)
        self.assert_predecessor(5)
        self.answer(3, Pong(rid, ACTIVE))
        self.assert_predecessor(3)

    def test_a_dead_offer_is_not_adopted(self):
        self.depart(5, 3, 10, 20)
        self.let_silence_pass()
        self.assert_predecessor(5)

    def test_a_predecessor_that_notified_meanwhile_stays(self):
        self.depart(5, 3, 10, 20)
        _, rid = self.parts.asked(Ping)
        self.parts.rectify.notified(ref(4))
        self.answer(3, Pong(rid, ACTIVE))
        self.assert_predecessor(4)

    def test_a_leaving_successor_makes_the_next_one_head(self):
        self.depart(20, 10, 30, 40, 50)
        self.assert_list(30, 40)
        self.assertEqual(self.stabilise()[0], 30)

    def test_when_one_of_two_leaves_the_other_is_left_alone(self):
        self.parts.place(20, 20)
        self.depart(20, 10, 10)
        self.assert_list()
        self.assert_predecessor(10)

    def test_an_only_successor_leaves_its_own_list_behind(self):
        self.parts.place(20, 20)
        self.depart(20, 10, 30, 40)
        self.assert_list(30, 40)


class EvictionTests(RingTestCase):
    def test_a_death_further_down_shortens_the_list(self):
        self.kill(30)
        self.assert_list(20, 40)

    def test_a_death_elsewhere_changes_nothing(self):
        self.parts.fresh()
        self.kill(50)
        self.assertEqual(self.ctx.effects, [])

    def test_a_later_life_is_not_evicted_with_the_earlier(self):
        self.ring.successors = [ref(20, 2), ref(30)]
        self.parts.evict(ref(20, 1))
        self.assertEqual(self.ring.successors, [ref(20, 2), ref(30)])

    def test_when_the_whole_list_is_dead_some_other_live_node_is_taken(self):
        self.parts.routes.rebuild(self.ring.successors, refs(5))
        for dead in (20, 30, 40):
            self.kill(dead)
        self.assert_list(5)

    def test_with_nobody_left_a_node_is_a_ring_of_one(self):
        for dead in (5, 20, 30, 40):
            self.kill(dead)
        self.assert_list()
        self.assert_predecessor(10)
        self.assertTrue(self.ring.owns(33))

    def test_a_node_whose_neighbours_all_die_is_a_ring_of_one_whichever_dies_first(self):
        for seed in range(24):
            self.setUp()
            victims = [5, 20, 30, 40]
            Random(seed).shuffle(victims)
            for dead in victims:
                self.kill(dead)
            self.assertEqual(self.ring.successors, [], f"seed {seed}")
            self.assertEqual(self.ring.predecessor, self.ctx.me, f"seed {seed}")


class HeartbeatTests(RingTestCase):
    """A predecessor stabilises at least every idle pause, so longer silence is suspect."""

    def watch(self, until: float, speakers: dict[float, int] | None = None) -> None:
        """Let the ``predecessor`` alarm ring; ``speakers`` are heard at their times."""
        self.ring.heard_at = self.ctx.now
        self.ctx.tell(PLACED)
        events = sorted((speakers or {}).items())
        while (at := self.ctx.alarms.next()) is not None and at <= until:
            while events and events[0][0] <= at:
                self.ctx.now, speaker = events.pop(0)
                self.ring.heard(ref(speaker))
            self.ctx.now = at
            if "predecessor" in self.ctx.alarms.due(at):
                self.parts.rectify.check()
                self.assertGreater(self.ctx.alarms.next(), at, "or time would stand still")

    def test_a_predecessor_that_says_nothing_is_suspected_once_a_period(self):
        self.watch(1.5)
        self.assertEqual(self.parts.verdicts, [])
        self.watch(2.0)
        self.assertEqual(self.parts.verdicts, [("suspected", 5)])

    def test_a_predecessor_that_speaks_is_not_suspected(self):
        self.watch(10.0, {n * 1.25: 5 for n in range(9)})
        self.assertEqual(self.parts.verdicts, [])

    def test_the_word_of_another_node_does_not_count_for_the_predecessor(self):
        self.watch(2.0, {n * 0.5: 20 for n in range(4)})
        self.assertEqual(self.parts.verdicts, [("suspected", 5)])

    def test_a_new_predecessor_has_a_whole_period(self):
        self.ctx.tell(PLACED)
        self.ctx.now = 1.5
        self.parts.rectify.notified(ref(8))
        self.ctx.now = 1.6
        self.parts.rectify.check()
        self.assertEqual(self.parts.verdicts, [])
        self.ctx.now = 3.2
        self.parts.rectify.check()
        self.assertEqual(self.parts.verdicts, [("suspected", 8)])

    def test_without_a_predecessor_the_watch_goes_on(self):
        """As it may be when the safeguard that keeps a dead one is off."""
        self.ring.predecessor = None
        self.watch(10.0)
        self.assertEqual(self.parts.verdicts, [])


class PaceTests(RingTestCase):
    def pause(self, successors: list[int]) -> float:
        self.ctx.alarms.cancel("stabilise")
        _, rid = self.stabilise()
        self.answer(20, state(rid, successors, predecessor=10))
        self.ctx.alarms.cancel("peers")
        at = self.ctx.alarms.next()
        self.assertIsNotNone(at)
        pause = at - self.ctx.now
        self.ctx.now = at
        return pause

    def test_quiet_rounds_come_ever_more_slowly_and_a_change_makes_them_fast(self):
        pauses = [self.pause([30, 40]) for _ in range(12)]
        self.assertEqual(pauses, sorted(pauses))
        self.assertAlmostEqual(pauses[-1], self.ctx.config.stabilise_idle_s)
        self.assertLess(self.pause([30, 50]), self.ctx.config.stabilise_fast_s)

    def test_jitter_keeps_within_its_fraction(self):
        parts = Parts(10, jitter=0.25)
        for _ in range(200):
            at = parts.ctx.jittered(4.0)
            self.assertTrue(3.0 <= at <= 5.0, at)

    def test_a_storm_of_changes_leaves_a_pause_between_two_rounds(self):
        self.ctx.now = 1.0
        self.stabilise()
        self.ctx.alarms.cancel("stabilise")
        for _ in range(5):
            self.parts.stabilise.soon()
        self.assertEqual(self.ctx.alarms.next(), 1.0 + self.ctx.config.stabilise_fast_s / 20)


class MergeTests(RingTestCase):
    def test_a_member_before_the_successor_is_adopted_with_its_list(self):
        self.parts.fresh()
        self.assertTrue(self.parts.stabilise.consider(ref(15), state(0, [18, 25])))
        self.assert_list(15, 18, 25)
        self.assertEqual(targets(self.ctx, Notify), [15])

    def test_nobody_but_a_live_member_before_the_successor_is_adopted(self):
        self.assertFalse(self.parts.stabilise.consider(ref(25), state(0, [30])))
        self.assertFalse(self.parts.stabilise.consider(ref(20), state(0, [30])))
        self.assertFalse(
            self.parts.stabilise.consider(ref(15), state(0, [18], status=Status.LEAVING))
        )
        self.ctx.peers.died(ref(16), self.ctx.now)
        self.assertFalse(self.parts.stabilise.consider(ref(16), state(0, [20])))
        self.assert_list(20, 30, 40)


class SafeguardTests(SynchronousTestCase):
    """Each safeguard turned off does the very thing that Zave (CCR 2012) found at fault."""

    def parts_without(self, safeguard: str) -> Parts:
        parts = Parts(10, safeguards=Safeguards(**{safeguard: False}))
        parts.place(5, 20, 30, 40)
        return parts

    def ask(self, parts: Parts) -> int:
        parts.stabilise.stabilise()
        rid = parts.asked()[1]
        parts.fresh()
        return rid

    def test_all_safeguards_are_on_unless_told_otherwise(self):
        self.assertEqual(set(attrs.astuple(Parts().ctx.config.safeguards)), {True})

    def test_without_asking_a_dead_candidate_is_adopted(self):
        parts = self.parts_without("ask_before_adopting")
        rid = self.ask(parts)
        parts.requests.answered(ref(20), state(rid, [30, 40], predecessor=15))
        self.assertEqual(parts.ring.head, ref(15))
        self.assertEqual(targets(parts.ctx, GetState), [])

    def test_without_the_whole_list_the_tail_is_the_old_one(self):
        parts = self.parts_without("whole_list")
        rid = self.ask(parts)
        parts.requests.answered(ref(20), state(rid, [30, 40], predecessor=15))
        rid = parts.asked()[1]
        parts.requests.answered(ref(15), state(rid, [17, 18, 20]))
        self.assertEqual(ids(parts.ring.successors), [15, 30, 40])

    def test_a_joiner_without_the_whole_list_knows_one_successor(self):
        parts = Parts(10, safeguards=Safeguards(whole_list=False))
        parts.ring.join(ref(5), state(1, [20, 30, 40]))
        self.assertEqual(ids(parts.ring.successors), [20])

    def test_without_keeping_the_predecessor_a_dead_one_becomes_nothing(self):
        parts = self.parts_without("keep_predecessor")
        parts.ctx.peers.died(ref(5), 0.0)
        parts.evict(ref(5))
        self.assertIsNone(parts.ring.predecessor)
        parts.rectify.notified(ref(3))
        self.assertEqual(parts.ring.predecessor, ref(3))

    def test_without_the_same_head_a_late_answer_is_taken(self):
        parts = self.parts_without("same_head")
        rid = self.ask(parts)
        parts.requests.answered(ref(20), state(rid, [30, 40], predecessor=15))
        rid = parts.asked()[1]
        parts.evict(ref(20))
        parts.requests.answered(ref(15), state(rid, [20, 30, 40]))
        self.assertEqual(ids(parts.ring.successors), [15, 20, 30])

    def test_without_answering_later_a_state_between_two_steps_is_shown(self):
        parts = self.parts_without("answer_later")
        self.ask(parts)
        parts.stabilise.asked(ref(5), GetState(9, ACTIVE))
        self.assertEqual(targets(parts.ctx, State), [5])


class NoticeTests(RingTestCase):
    def test_every_change_is_told_with_the_pointers_as_they_are(self):
        self.parts.fresh()
        self.parts.rectify.notified(ref(8))
        self.kill(20)
        self.ring.set_label(RingLabel(0, 1))
        notices = effects_of(self.ctx.effects, RingChanged)
        self.assertEqual(
            [(n.predecessor.id, ids(n.successors), n.label.ring_id) for n in notices],
            [(8, [20, 30, 40], 7), (8, [30, 40], 7), (8, [30, 40], 1)],
        )

    def test_a_notice_does_not_change_afterwards(self):
        self.parts.fresh()
        self.kill(20)
        notice = effects_of(self.ctx.effects, RingChanged)[0]
        self.ring.successors.append(ref(50))
        self.assertEqual(ids(notice.successors), [30, 40])
