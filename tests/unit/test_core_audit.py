"""Finding and merging split rings.

Strong stabilisation (Liben-Nowell, Balakrishnan, Karger, PODC 2002) asks through a random peer
whether another node than the known one follows; ring unification (Shafaat, Ghodsi, Haridi,
P2P 2007) passes the successor that was given up on, so that two rings close like a zip.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.limits import MERGE_TTL
from chordnet.core.base.messages import (
    Find,
    FindKind,
    GetState,
    Notify,
    RingLabel,
    Status,
    TryMerge,
    contact,
)
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.join.audit import PLACE, SUCCESSOR, Audit
from chordnet.core.join.joining import Joining
from chordnet.core.kernel.signals import PLACED
from chordnet.core.lookup.lookup import Purpose, Result
from tests.unit.core_support import (
    LABEL,
    Parts,
    Wire,
    ids,
    place,
    placed,
    ref,
    refs,
    sent,
    state,
    targets,
)

SMALLER, LARGER = RingLabel(0, 1), RingLabel(1, 0)


class AuditTestCase(SynchronousTestCase):
    """This node is 10, between 5 and 30."""

    def setUp(self):
        self.parts = Parts(10, audit_s=10.0, audit_min_s=0.25, join_retry_s=0.15)
        self.ctx, self.ring = self.parts.ctx, self.parts.ring
        self.parts.place(5, 30, 40, 50)
        self.joining = Joining(self.ctx, self.ring, self.parts.requests, self.parts.lookups)
        self.audit = Audit(
            self.ctx,
            self.ring,
            self.parts.stabilise,
            self.parts.routes,
            self.parts.requests,
            self.parts.lookups,
            self.joining,
        )
        self.parts.fresh()

    def find(self, node: int | None, label: RingLabel = LABEL) -> None:
        """The audit's lookup has ended."""
        self.parts.fresh()
        found = None if node is None else ref(node)
        self.audit.looked_up(Result(Purpose.AUDIT, SUCCESSOR, found, [], label))

    def answer(self, sender: int, *successors: int, **details) -> None:
        rid = sent(self.ctx, GetState)[-1][1].rid
        self.parts.fresh()
        self.parts.requests.answered(ref(sender), state(rid, successors, **details))


class AskingTests(AuditTestCase):
    def test_an_audit_asks_a_random_known_peer_for_the_successor_of_the_next_identifier(self):
        self.joining.bootstrap = [contact("boot:1")]
        asked = set()
        for _ in range(40):
            self.parts.fresh()
            self.audit.tick()
            ((target, question),) = sent(self.ctx, Find)
            self.assertEqual(question.key, bytes([11]))
            asked.add(target)
        self.assertEqual(asked, {-1, 5, 30, 40, 50}, "bootstrap peers and known ones alike")
        self.assertEqual(self.ctx.counters.number(CoreMetric.AUDITS), 40)

    def test_every_other_audit_asks_a_peer_that_is_in_no_table(self):
        self.ring.successors = refs(30, 50)
        self.parts.routes.rebuild(self.ring.successors, refs(5))
        asked = []
        for _ in range(100):
            self.parts.fresh()
            self.audit.tick()
            asked += targets(self.ctx, Find)
        self.assertEqual(set(asked), {5, 30, 40, 50})
        self.assertGreater(asked.count(40), 45, "half of the time, and by chance besides")

    def test_an_audit_comes_round_every_period(self):
        self.audit.tick()
        self.assertEqual(self.ctx.alarms.due(9.9), [])
        self.assertEqual(self.ctx.alarms.due(10.0), ["audit"])

    def test_the_first_audit_comes_after_a_quarter_of_the_period(self):
        self.audit.start()
        self.assertEqual(self.ctx.alarms.next(), 2.5)

    def test_a_node_alone_asks_far_more_often(self):
        self.ring.successors = []
        self.audit.tick()
        self.assertAlmostEqual(self.ctx.alarms.next(), 0.6)

    def test_an_audit_with_nobody_to_ask_asks_nobody(self):
        self.ctx.peers._known.clear()
        self.audit.tick()
        self.assertEqual(sent(self.ctx), [])

    def test_evidence_of_another_ring_brings_an_audit_at_once_through_the_witness(self):
        self.audit.evidence(ref(60))
        self.assertEqual(self.ctx.alarms.due(self.ctx.now), ["audit"])
        self.audit.tick()
        self.assertEqual(targets(self.ctx, Find), [60])

    def test_evidence_brings_no_audit_before_the_shortest_pause_is_over(self):
        self.audit.tick()
        self.audit.evidence(ref(60))
        self.assertEqual(self.ctx.alarms.next(), self.ctx.now + 0.25)


class LabelTests(AuditTestCase):
    def test_of_two_ring_labels_the_smaller_survives(self):
        self.audit.label_seen(SMALLER, ref(60))
        self.assertEqual(self.ring.label, SMALLER)
        self.audit.label_seen(LARGER, ref(60))
        self.assertEqual(self.ring.label, SMALLER)

    def test_any_label_but_our_own_is_evidence_of_another_ring(self):
        for label in (SMALLER, LARGER):
            self.ctx.alarms.cancel("audit")
            self.audit.label_seen(label, ref(60))
            self.assertTrue(self.ctx.alarms.is_set("audit"))

    def test_our_own_label_is_no_evidence_of_another_ring(self):
        self.audit.label_seen(LABEL, ref(60))
        self.assertFalse(self.ctx.alarms.is_set("audit"))

    def test_while_a_node_is_not_active_no_label_counts(self):
        self.parts.ctx.set_status(Status.LEAVING)
        self.audit.label_seen(SMALLER, ref(60))
        self.assertEqual(self.ring.label, LABEL)

    def test_a_ring_by_agreement_outlives_one_created_alone(self):
        self.assertLess(RingLabel(0, 1 << 62), RingLabel(1, 0))


class MergeTests(AuditTestCase):
    def test_a_better_successor_is_asked_before_it_is_adopted(self):
        self.find(20)
        self.assertEqual(targets(self.ctx, GetState), [20])
        self.assertEqual(self.ring.head, ref(30))

    def test_a_better_successor_that_answers_is_adopted_notified_and_offered_the_old_one(self):
        self.find(20)
        self.answer(20, 25, 35, label=SMALLER)
        self.assertEqual(ids(self.ring.successors), [20, 25, 35])
        self.assertEqual(targets(self.ctx, Notify), [20])
        ((target, offer),) = sent(self.ctx, TryMerge)
        self.assertEqual((target, offer.candidate, offer.ttl), (20, ref(30), MERGE_TTL - 1))
        self.assertEqual(self.ring.label, SMALLER)

    def test_an_audit_that_finds_the_known_successor_or_none_or_itself_is_no_news(self):
        for node in (30, 10, None):
            self.find(node)
            self.assertEqual(sent(self.ctx), [], node)

    def test_a_successor_beyond_ours_is_offered_to_its_place_in_our_ring(self):
        """The other ring passes our successor by, so the two rings are not one."""
        self.find(45)
        ((target, question),) = sent(self.ctx, Find)
        self.assertEqual((target, question.key), (40, bytes([45])))
        self.assertEqual(question.kind, FindKind.PREDECESSOR)
        self.parts.fresh()
        self.audit.looked_up(Result(Purpose.AUDIT, PLACE, ref(40), [], LABEL))
        self.assertEqual(sent(self.ctx), [(40, TryMerge(ref(45), MERGE_TTL))])
        self.audit.looked_up(Result(Purpose.AUDIT, PLACE, ref(40), [], LABEL))
        self.assertEqual(len(sent(self.ctx)), 1, "once")

    def test_a_better_successor_that_is_no_member_is_not_adopted(self):
        self.find(20)
        self.answer(20, status=Status.LEAVING)
        self.assertEqual(self.ring.head, ref(30))
        self.assertEqual(sent(self.ctx, TryMerge), [])

    def test_a_better_successor_that_is_dead_is_not_adopted(self):
        self.find(20)
        self.parts.requests.died(ref(20))
        self.assertEqual(self.ring.head, ref(30))

    def test_a_node_alone_has_no_old_successor_to_offer(self):
        self.ring.successors = []
        self.find(20)
        self.answer(20, 25)
        self.assertEqual(self.ring.head, ref(20))
        self.assertEqual(sent(self.ctx, TryMerge), [])


class TryMergeTests(AuditTestCase):
    def offer(self, candidate: int, ttl: int = 9) -> None:
        self.parts.fresh()
        self.audit.on_try_merge(ref(5), TryMerge(ref(candidate), ttl))

    def test_a_candidate_before_the_successor_is_asked_and_then_adopted(self):
        self.offer(20)
        self.assertEqual(targets(self.ctx, GetState), [20])
        self.answer(20, 25, 35)
        self.assertEqual(self.ring.head, ref(20))
        self.assertEqual(sent(self.ctx, TryMerge), [(20, TryMerge(ref(30), 8))])

    def test_a_candidate_beyond_the_successor_is_passed_on_to_it(self):
        self.offer(35)
        self.assertEqual(sent(self.ctx), [(30, TryMerge(ref(35), 8))])

    def test_an_offer_whose_time_to_live_is_used_up_is_not_passed_on(self):
        self.offer(35, ttl=0)
        self.assertEqual(sent(self.ctx), [])

    def test_an_offer_with_no_time_to_live_left_is_adopted_and_ends_there(self):
        for ttl, offered in ((0, []), (1, [(20, TryMerge(ref(30), 0))])):
            self.setUp()
            self.offer(20, ttl)
            self.answer(20, 25, 35)
            self.assertEqual(self.ring.head, ref(20))
            self.assertEqual(sent(self.ctx, TryMerge), offered)
            self.offer(35, ttl)
            passed_on = [(20, TryMerge(ref(35), 0))] if ttl else []
            self.assertEqual(sent(self.ctx, TryMerge), passed_on)

    def test_an_offer_of_the_successor_itself_or_of_this_node_is_no_news(self):
        for candidate in (30, 10):
            self.offer(candidate)
            self.assertEqual(sent(self.ctx), [])

    def test_a_node_that_is_no_member_ignores_an_offer(self):
        self.parts.ctx.set_status(Status.LEAVING)
        self.offer(20)
        self.assertEqual(sent(self.ctx), [])


class ZipTests(SynchronousTestCase):
    """Two right rings that know of each other in one place become one right ring."""

    def merge(self, seed: int, sizes: tuple[int, int]) -> Wire:
        rng = Random(seed)
        members = rng.sample(range(64), sum(sizes))
        one, two = sorted(members[: sizes[0]]), sorted(members[sizes[0] :])
        wire = Wire(one, audit_s=1.0, stabilise_idle_s=0.2, fingers_idle_s=1.0)
        for member in two:
            wire.nodes[member] = placed(
                member, two, audit_s=1.0, stabilise_idle_s=0.2, fingers_idle_s=1.0
            )
            wire.nodes[member].ring.label = SMALLER
        for node in wire.nodes.values():
            node.ctx.tell(PLACED)
            node.audit.start()
            node.fingers.refresh()
        wire.nodes[one[0]].ctx.peers.note(ref(two[0]))
        for _ in range(60):
            wire.run(0.5)
            if self.is_one(wire):
                break
        return wire

    def is_one(self, wire: Wire) -> bool:
        ring = sorted(wire.nodes)
        return all(
            node.predecessor.id == ring[ring.index(me) - 1]
            and node.successors[0].id == ring[(ring.index(me) + 1) % len(ring)]
            and node.label == SMALLER
            for me, node in wire.nodes.items()
            if node.successors
        ) and all(node.successors for node in wire.nodes.values())

    def test_rings_of_equal_and_unequal_size_become_one_right_ring(self):
        for seed, sizes in enumerate([(1, 1), (1, 5), (6, 2), (8, 8), (10, 3), (12, 12)]):
            wire = self.merge(seed, sizes)
            self.assertTrue(self.is_one(wire), f"seed {seed}, {sizes} nodes, {wire.now:.1f} s")

    def test_a_node_that_is_placed_twice_has_the_predecessor_that_was_given_last(self):
        node = placed(10, [5, 10, 30])
        self.assertEqual(node.predecessor, ref(5))
        place(node, 30, [5], None)
        self.assertEqual(node.predecessor, ref(30))
