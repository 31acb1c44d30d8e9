"""Broadcast where its rules end: a leaf's memory, a message that comes home, the last hop, limits.

As in ``test_core_broadcast`` everything is seen from node 10 of the ring 5 10 20 30 40 50 60, whose
successor is 20 and whose fingers are 20, 30 and 50.
"""

from __future__ import annotations

from chordnet.core.base.config import Safeguards
from chordnet.core.base.effects import BroadcastDone, Misbehaved, Record, Traced, TraceKind
from chordnet.core.base.events import LinkDown, LinkFault
from chordnet.core.base.messages import Ack, Bcast, Bodies, Covered, Detour, EdgeKind, Find, Notify
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.lookup.lookup import Result
from tests.unit.core_support import effects_of, ids, placed, raw, ref, sent, step, targets
from tests.unit.test_core_broadcast import NodeTestCase, bcast, covered, hop, mid

SUCCESSOR, FINGER = EdgeKind.SUCCESSOR, EdgeKind.FINGER
REASSIGN, EXTEND, BACKFILL = EdgeKind.REASSIGN, EdgeKind.EXTEND, EdgeKind.BACKFILL


class EdgeCase(NodeTestCase):
    def report(self, effects: list, to: int) -> Covered:
        """The only report among ``effects``, which is for ``to``."""
        ((target, report),) = sent(effects, Covered)
        self.assertEqual(target, to)
        return report

    def traced(self, effects: list) -> list[tuple[TraceKind, int]]:
        return [(trace.what, trace.peer.id) for trace in effects_of(effects, Traced)]


class LeafTests(EdgeCase):
    """A node that knows nobody in its range reports at once, and keeps enough for what follows."""

    def setUp(self):
        super().setUp()
        self.first = self.step(5, bcast(5, 20))

    def test_a_leaf_that_has_reported_has_nothing_under_way(self):
        self.assertEqual(self.report(self.first, 5), covered(20, 1, depth=2))
        self.assertEqual(self.node.broadcasts.under_way, 0)
        self.assertEqual(sent(self.tick(1.0), Ack), [])

    def test_to_another_live_parent_a_leaf_reports_the_rest_of_a_wider_range_alone(self):
        effects = self.step(60, bcast(60, 50))
        self.assertEqual(sent(effects, Covered), [])
        ((to, message),) = sent(self.found(effects, 20), Bcast)
        self.assertEqual((to, message.limit, message.kind), (20, raw(50), EXTEND))
        report = self.report(self.step(20, covered(50, 3, messages=7, depth=5)), 60)
        self.assertEqual(report, covered(50, 3, messages=8, depth=5))

    def test_to_the_same_parent_a_leaf_reports_the_whole_of_a_wider_range(self):
        self.found(self.step(5, bcast(5, 50)), 20)
        report = self.report(self.step(20, covered(50, 3, messages=7, depth=1)), 5)
        self.assertEqual(report, covered(50, 4, messages=8, depth=2))

    def test_the_rest_of_a_wider_range_is_sent_with_the_route_that_was_recorded(self):
        (record,) = effects_of(self.first, Record)
        other = [hop(50, EdgeKind.ORIGIN), hop(40), hop(60)]
        effects = self.found(self.step(60, bcast(60, 50, hops=other, ttl=7, created=9.0)), 20)
        ((_, message),) = sent(effects, Bcast)
        self.assertEqual((message.hops, message.ttl, message.created), (record.route, 59, 1.5))
        effects = self.step(20, Ack(mid(), raw(50), True))
        self.assertEqual(sent(effects), [(20, Bodies(mid(), [b"hello"]))])

    def test_a_message_passed_back_after_the_leaf_had_it_is_known_and_starts_no_lookup(self):
        """Whoever passes a message back does it for this node's own sake."""
        for limit in (20, 30):
            effects = self.step(20, bcast(20, limit, BACKFILL))
            self.assertEqual(self.report(effects, 20), covered(limit, 0, messages=0, depth=2))
            self.assertEqual(len(sent(effects)), 1)
            self.assertEqual(effects_of(effects, Record), [])

    def test_a_message_passed_back_before_any_parent_sent_it_counts_for_the_sender(self):
        hops = [hop(50, EdgeKind.ORIGIN), hop(5), hop(20)]
        again = bcast(20, 20, BACKFILL, sequence=2, hops=hops)
        self.assertEqual(self.report(self.step(20, again), 20).count, 1)
        for sender, kind in ((5, SUCCESSOR), (60, REASSIGN)):
            effects = self.step(sender, bcast(sender, 20, kind, sequence=2))
            self.assertEqual(self.report(effects, sender).count, 0, kind)

    def test_a_later_copy_does_not_change_how_far_the_message_may_still_travel(self):
        effects = self.step(60, bcast(60, 20, ttl=0))
        self.assertFalse(self.report(effects, 60).partial)
        ((_, message),) = sent(self.found(self.step(60, bcast(60, 50, ttl=0)), 20), Bcast)
        self.assertEqual(message.ttl, 59)

    def test_a_leaf_at_the_last_hop_cannot_answer_for_its_range(self):
        for sender in (5, 5, 60):
            effects = self.step(sender, bcast(sender, 20, sequence=2, ttl=0))
            self.assertTrue(self.report(effects, sender).partial)
        self.assertEqual(self.node.broadcasts.under_way, 0)

    def test_what_travels_with_a_message_that_was_handed_over_keeps_both_routes(self):
        detour = Detour(1, 1, [hop(50, EdgeKind.ORIGIN), hop(40), hop(5)])
        effects = self.step(5, bcast(5, 20, sequence=7, bodies=[b"a", b"b"], detours=[detour]))
        other = [*detour.hops, hop(10)]
        self.assertEqual([r.route for r in effects_of(effects, Record)][1], other)
        ((_, message),) = sent(
            self.found(self.step(5, bcast(5, 50, sequence=7, bodies=[b"a", b"b"])), 20), Bcast
        )
        self.assertEqual(message.detours, [Detour(1, 1, other)])

    def test_a_leaf_alone_in_its_ring_reports_all_covered_whatever_came(self):
        node = placed(10, [10])
        for kind, ttl in ((FINGER, 0), (BACKFILL, 9)):
            effects = step(node, 5, bcast(5, 10, kind, sequence=1 + ttl, ttl=ttl))
            self.assertEqual(self.report(effects, 5).partial, False)
            self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual(node.broadcasts.under_way, 0)

    def test_a_node_may_be_given_the_whole_ring_as_its_range(self):
        effects = self.step(5, bcast(5, 10, sequence=2))
        given = [(to, m.limit[0]) for to, m in sent(effects, Bcast)]
        self.assertEqual(given, [(50, 10), (30, 50), (20, 30)])


class LastHopTests(EdgeCase):
    def test_one_more_hop_reaches_the_children_and_is_no_shortage(self):
        effects = self.step(5, bcast(5, 50, ttl=1))
        self.assertEqual([(to, m.ttl) for to, m in sent(effects, Bcast)], [(30, 0), (20, 0)])
        self.step(20, covered(30))
        self.assertFalse(self.report(self.step(30, covered(50)), 5).partial)

    def test_nothing_is_passed_back_beyond_the_last_hop(self):
        effects = self.step(60, bcast(60, 20, SUCCESSOR, ttl=0))
        self.assertEqual(sent(effects, Bcast), [])
        self.assertTrue(self.report(effects, 60).partial)
        effects = self.step(60, bcast(60, 20, SUCCESSOR, sequence=2, ttl=1))
        self.assertEqual([(to, m.ttl) for to, m in sent(effects, Bcast)], [(5, 0)])


class HomeTests(EdgeCase):
    """The origin is given its own message by another node."""

    def home(self, sender: int, limit: int) -> list:
        hops = [hop(10, EdgeKind.ORIGIN), hop(sender)]
        return self.step(sender, bcast(sender, limit, id=mid(1, 10), hops=hops))

    def test_a_message_that_comes_home_is_known_and_does_not_change_the_receipt(self):
        self.publish()
        effects = self.home(60, 11)
        self.assertEqual(effects_of(effects, Record), [])
        self.assertEqual(self.report(effects, 60).limit, raw(11))
        self.step(20, covered(30, 1, origin=10))
        self.step(30, covered(50, 2, origin=10))
        (done,) = effects_of(self.step(50, covered(10, 3, origin=10)), BroadcastDone)
        self.assertEqual((done.recorded, done.messages, done.partial), (7, 6, False))

    def test_a_range_given_to_the_origin_is_answered_when_it_is_covered(self):
        self.publish()
        self.assertEqual(sent(self.home(60, 30)), [(60, Ack(mid(1, 10), raw(30), False))])
        effects = self.step(20, covered(30, 1, origin=10))
        self.assertEqual(self.report(effects, 60).limit, raw(30))
        self.assertEqual(effects_of(effects, BroadcastDone), [])


class WaiterTests(EdgeCase):
    """Who is answered, and how often."""

    def test_a_parent_that_asks_twice_is_answered_once(self):
        for _ in range(2):
            self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        self.assertEqual(targets(self.step(30, covered(50)), Covered), [5])

    def test_a_parent_that_gave_two_ranges_is_answered_for_each(self):
        for limit in (50, 30):
            self.step(5, bcast(5, limit))
        self.assertEqual(self.report(self.step(20, covered(30)), 5).limit, raw(30))
        self.assertEqual(self.report(self.step(30, covered(50)), 5).limit, raw(50))

    def test_two_parents_are_answered_once_each_and_nothing_is_left(self):
        self.step(5, bcast(5, 50))
        self.step(60, bcast(60, 30))
        self.assertEqual(self.report(self.step(20, covered(30)), 60).count, 2)
        self.assertEqual(self.report(self.step(30, covered(50)), 5).count, 1, "the rest")
        self.assertEqual(self.node.broadcasts.under_way, 0)

    def test_a_report_sums_the_messages_and_the_depth(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30, 2, messages=9, depth=6))
        report = self.report(self.step(30, covered(50, 1, messages=0, depth=4)), 5)
        self.assertEqual(report, covered(50, 4, messages=11, depth=6))

    def test_a_report_that_comes_again_costs_nothing(self):
        self.publish()
        for _ in range(3):
            self.step(20, covered(30, 2, origin=10))
        self.step(30, covered(50, 2, origin=10))
        (done,) = effects_of(self.step(50, covered(10, 3, origin=10)), BroadcastDone)
        self.assertEqual((done.recorded, done.messages), (8, 7))

    def test_a_branch_that_is_partial_without_a_name_is_passed_up(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30, partial=True))
        self.assertTrue(self.report(self.step(30, covered(50)), 5).partial)

    def test_a_wider_range_is_extended_from_where_the_first_one_ends(self):
        self.step(5, bcast(5, 30))
        effects = self.step(60, bcast(60, 50))
        self.assertEqual([question.key for _, question in sent(effects, Find)], [raw(30)])

    def test_an_extension_is_waited_for_by_all_parents_whose_range_it_lies_in(self):
        self.step(5, bcast(5, 20))
        effects = self.step(60, bcast(60, 50))
        self.assertEqual(targets(self.step(40, bcast(40, 40)), Covered), [])
        self.assertEqual(targets(self.step(30, bcast(30, 20)), Covered), [30])
        self.found(effects, 20)
        self.assertEqual(sorted(targets(self.step(20, covered(50, 3)), Covered)), [40, 60])


class TraceTests(EdgeCase):
    """What is out of the ordinary is told, and what is not is not."""

    def test_a_smooth_broadcast_is_not_worth_a_word(self):
        effects = self.publish() + self.step(5, bcast(5, 50)) + self.step(5, bcast(5, 20, FINGER))
        self.assertEqual(self.traced(effects), [(TraceKind.DUPLICATE, 5)])

    def test_a_duplicate_is_told(self):
        self.step(5, bcast(5, 20, bodies=[b"a", b"b"]))
        effects = self.step(60, bcast(60, 20, bodies=[b"a", b"b"]))
        expected = Traced(mid(), 2, TraceKind.DUPLICATE, ref(60))
        self.assertEqual(effects_of(effects, Traced), [expected])

    def test_a_delegate_that_answers_nothing_is_told(self):
        self.publish()
        self.step(50, Ack(mid(1, 10), raw(10), False))
        self.step(20, covered(30, origin=10))
        self.assertEqual(self.traced(self.tick(0.5)), [(TraceKind.RESENT, 30)])

    def test_a_delegate_that_dies_and_its_heir_are_told(self):
        self.publish()
        effects = self.die(50)
        self.assertEqual(self.traced(effects), [(TraceKind.LOST_CHILD, 50)])
        self.assertEqual(self.node.ctx.counters.number(CoreMetric.BROADCAST_REPAIRS), 1)
        self.assertEqual(self.traced(self.found(effects, 60)), [(TraceKind.REPAIRED, 60)])


class ResendTests(EdgeCase):
    """A delegate that lives and accepts nothing."""

    def resend(self, child: int, limit: int) -> list:
        """Let the message be sent to ``child`` again."""
        (cast,) = self.node.broadcasts._casts
        branch = cast.branch(raw(child), raw(limit))
        self.node.ctx.effects = effects = []
        self.node.broadcasts.repairs.resend(cast, branch)
        return effects

    def exhaust(self, child: int, limit: int) -> list:
        """Send the message to ``child`` again as often as may be; return what comes then."""
        for _ in range(8):
            effects = self.resend(child, limit)
            self.assertEqual(targets(effects, Bcast), [child])
            self.assertEqual(self.traced(effects), [(TraceKind.RESENT, child)])
        effects = self.resend(child, limit)
        self.assertEqual(self.traced(effects), [(TraceKind.GAVE_UP, child)])
        self.assertEqual(sent(effects, Bcast), [])
        return effects

    def test_after_eight_times_the_node_beyond_the_silent_one_is_looked_for(self):
        self.publish()
        self.assertEqual([q.key for _, q in sent(self.exhaust(30, 50), Find)], [raw(31)])
        self.assertEqual(self.node.counters["broadcast_repairs"], 1)

    def test_where_the_range_of_the_silent_node_ends_with_it_nobody_is_looked_for(self):
        for sequence, limit, keys in ((1, 21, []), (2, 22, [raw(21)])):
            self.make()
            self.step(5, bcast(5, limit, sequence=sequence))
            found = [q.key for _, q in sent(self.exhaust(20, limit), Find)]
            self.assertEqual(found, keys, limit)

    def test_a_predecessor_that_takes_nothing_back_leaves_nobody_to_look_for(self):
        self.step(60, bcast(60, 20, SUCCESSOR))
        self.assertEqual(sent(self.exhaust(5, 10), Find), [])

    def test_a_node_that_takes_nothing_back_counts_as_unreached(self):
        self.step(5, bcast(5, 21))
        self.node.ctx.effects = []
        self.exhaust(20, 21)
        (cast,) = self.node.broadcasts._casts
        self.node.ctx.effects = effects = []
        self.node.broadcasts.check(cast)
        report = self.report(effects, 5)
        self.assertEqual((report.count, report.partial, ids(report.unreached)), (1, True, [20]))


class LateTests(EdgeCase):
    """Looks at a delegate that has not reported, one a second until the broadcast's time is up."""

    def look(self, now: float) -> list:
        """Look at the delegate 50 for the next time; return what is done."""
        (cast,) = self.node.broadcasts._casts
        self.node.ctx.now = now
        self.node.ctx.effects = effects = []
        late = self.node.broadcasts.repairs.late
        late.due(now + 10.0)
        late.add((cast, cast.branch(raw(50), raw(10))), now - 1.0)
        self.node.broadcasts.repairs.tick()
        return effects

    def test_one_that_works_on_its_range_is_asked_eight_times_and_then_less_and_less_often(self):
        self.make(broadcast_deadline_s=100.0)
        self.publish()
        self.step(50, Ack(mid(1, 10), raw(10), False))
        asked = []
        for number in range(1, 70):
            for to, message in sent(self.look(float(number)), Bcast):
                self.assertEqual((to, message.bodies), (50, None))
                asked.append(number)
        self.assertEqual(asked, [*range(1, 9), 16, 32, 64])

    def test_one_that_has_reported_is_asked_nothing(self):
        self.publish()
        self.step(50, covered(10, 3, origin=10))
        self.assertEqual(self.look(1.0), [])

    def test_one_that_works_on_its_range_is_given_up_when_the_time_is_up_to_the_instant(self):
        for now, gone in ((19.75, False), (20.0, True)):
            self.make(broadcast_deadline_s=20.0)
            self.publish()
            self.step(50, Ack(mid(1, 10), raw(10), False))
            effects = self.look(now)
            given_up = (TraceKind.GAVE_UP, 50) in self.traced(effects)
            self.assertEqual((given_up, bool(sent(effects, Bcast))), (gone, not gone), now)

    def test_a_successor_in_doubt_is_looked_for_until_the_time_is_up_to_the_instant(self):
        for now, gone in ((19.75, False), (20.0, True)):
            self.make(broadcast_deadline_s=20.0)
            self.die(20)
            self.step(5, bcast(5, 30))
            repairs = self.node.broadcasts.repairs
            ((tag, search),) = repairs._searches.items()
            repairs.looked_up(Result(search.purpose, tag, ref(60), [], None, ""))
            (cast,) = self.node.broadcasts._casts
            self.node.ctx.now, self.node.ctx.effects = now, []
            repairs._doubt_again(cast, tag, search)
            effects = self.node.ctx.effects
            self.assertEqual(bool(sent(effects, Find)), not gone, now)
            if gone:
                report = self.report(effects, 5)
                self.assertEqual((report.partial, ids(report.unreached)), (True, [30]))


class HeirTests(EdgeCase):
    def test_an_heir_that_dies_is_replaced_by_the_next_in_the_same_range(self):
        self.publish()
        self.found(self.die(50), 60)
        effects = self.die(60)
        self.assertEqual(sent(effects, Find)[-1][1].key, raw(60))
        given = [(to, m.limit, m.kind) for to, m in sent(self.found(effects, 5), Bcast)]
        self.assertEqual(given, [(5, raw(10), REASSIGN)])

    def test_a_dead_heir_is_looked_for_again(self):
        self.publish()
        self.die(60)
        self.die(50)
        ((tag, search),) = self.node.broadcasts.repairs._searches.items()
        self.node.ctx.effects = effects = []
        self.node.broadcasts.repairs.looked_up(Result(search.purpose, tag, ref(60), [], None, ""))
        self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual(len(self.node.broadcasts.repairs._searches), 1)

    def test_the_answer_to_no_search_of_ours_is_nothing(self):
        self.publish()
        self.die(50)
        ((tag, search),) = self.node.broadcasts.repairs._searches.items()
        self.node.ctx.effects = effects = []
        self.node.broadcasts.repairs.looked_up(
            Result(search.purpose, tag + 1, ref(60), [], None, "")
        )
        self.assertEqual(effects, [])

    def test_a_rest_without_an_heir_is_partial_after_some_lookups(self):
        self.step(5, bcast(5, 20))
        effects = self.step(60, bcast(60, 50))
        for _ in range(4):
            self.assertEqual(sent(effects, Covered), [])
            ((tag, search),) = self.node.broadcasts.repairs._searches.items()
            self.node.ctx.effects = effects = []
            self.node.broadcasts.repairs.looked_up(
                Result(search.purpose, tag, None, [], None, "timed out")
            )
        report = self.report(effects, 60)
        self.assertEqual((report.count, report.partial, report.unreached), (0, True, []))

    def test_no_heir_is_looked_for_beyond_the_broadcasts_time(self):
        self.step(5, bcast(5, 20))
        self.step(60, bcast(60, 50))
        ((tag, search),) = self.node.broadcasts.repairs._searches.items()
        self.node.ctx.now += self.node.config.broadcast_deadline_s
        self.node.ctx.effects = effects = []
        self.node.broadcasts.repairs.looked_up(
            Result(search.purpose, tag, None, [], None, "timed out")
        )
        self.assertTrue(self.report(effects, 60).partial)

    def test_a_delegate_that_lives_after_all_is_sent_only_what_it_may_have_missed(self):
        self.publish(b"one")
        self.publish(b"two")
        self.publish(b"three")
        self.step(50, Ack(mid(1, 10), raw(10), False))
        self.step(50, covered(10, 3, sequence=2, origin=10))
        self.node.step(LinkDown(ref(50), LinkFault.BROKEN), self.now)
        again = [(to, m.bodies) for to, m in sent(self.step(50, Notify()), Bcast)]
        self.assertEqual(again, [(50, [b"three"])])


class PassedBackTests(EdgeCase):
    def test_what_a_successor_edge_cannot_have_passed_by_is_not_passed_back(self):
        """The sender lies between this node and its predecessor."""
        effects = self.step(8, bcast(8, 20, SUCCESSOR))
        self.assertEqual(sent(effects, Bcast), [])

    def test_nothing_is_passed_back_to_a_predecessor_that_is_dead(self):
        self.die(5)
        for kind in (SUCCESSOR, FINGER, BACKFILL):
            effects = self.step(60, bcast(60, 20, kind, sequence=1 + kind))
            self.assertEqual(sent(effects, Bcast), [], kind)
            self.assertEqual(self.report(effects, 60).count, 1)

    def test_without_a_predecessor_there_is_nobody_to_pass_a_message_back_to(self):
        self.make(safeguards=Safeguards(keep_predecessor=False))
        self.die(5)
        self.assertIsNone(self.node.predecessor)
        for limit in (20, 50):
            effects = self.step(60, bcast(60, limit, SUCCESSOR, sequence=limit))
            self.assertEqual(len(effects_of(effects, Record)), 1)
            self.assertNotIn(BACKFILL, [m.kind for _, m in sent(effects, Bcast)])

    def test_once_the_newcomer_is_gone_nothing_passes_anybody_by(self):
        self.step(8, Notify())
        self.die(8)
        self.step(5, Notify())
        self.assertEqual(ids([self.node.predecessor]), [5])
        self.assertEqual(sent(self.step(60, bcast(60, 20)), Bcast), [])

    def test_a_message_that_a_newcomer_has_is_not_under_way_again_because_the_newcomer_came(self):
        hops = [hop(50, EdgeKind.ORIGIN), hop(8), hop(5)]
        self.step(5, bcast(5, 20, hops=hops))
        self.step(8, Notify())
        self.assertEqual(self.node.broadcasts.under_way, 0)

    def test_a_predecessor_that_reported_is_not_given_a_message_twice(self):
        self.step(5, bcast(5, 50))
        self.assertIn(8, targets(self.step(8, Notify()), Bcast))
        self.step(8, covered(10, 1))
        self.assertEqual(targets(self.step(9, Notify()), Bcast), [9])
        self.die(9)
        effects = self.step(8, Notify())
        self.assertEqual(ids([self.node.predecessor]), [8])
        self.assertEqual(targets(effects, Bcast), [])

    def test_a_predecessor_that_died_with_a_message_is_given_it_again_when_it_comes_back(self):
        self.step(5, bcast(5, 50))
        self.step(8, Notify())
        self.die(8)
        effects = step(self.node, ref(8, 2), Notify(), self.now)
        self.assertEqual(targets(effects, Bcast), [8])

    def test_a_node_that_has_only_a_part_of_what_travels_together_asks_for_the_bodies(self):
        self.node.ledger.add(mid(1))
        bodies = [b"a", b"b"]
        effects = self.step(20, bcast(20, 20, BACKFILL, header_only=True, bodies=bodies))
        self.assertEqual(sent(effects), [(20, Ack(mid(), raw(20), True))])

    def test_a_node_that_has_all_that_is_passed_back_says_how_deep_it_lies(self):
        self.node.ledger.add(mid(1), b"hello")
        self.step(20, bcast(20, 20, BACKFILL, header_only=True))
        effects = self.step(20, Bodies(mid(1), [b"hello"]))
        self.assertEqual(self.report(effects, 20), covered(20, 1, messages=0, depth=2))


class LimitTests(EdgeCase):
    """Exactly as much as is allowed is allowed."""

    def test_the_program_may_publish_exactly_as_much_as_is_allowed(self):
        self.make(max_body_bytes=10, max_batch=2)
        effects = self.publish(b"x" * 10)
        self.assertEqual(len(effects_of(effects, Record)), 1)
        effects = self.publish(b"x" * 4, b"x" * 6)
        self.assertEqual([m.count for to, m in sent(effects, Bcast) if to == 50], [2])
        effects = self.publish(b"x" * 8, b"x" * 4, b"x" * 6)
        self.assertEqual([m.count for to, m in sent(effects, Bcast) if to == 50], [1, 2])

    def test_a_peer_may_send_exactly_as_much_as_is_allowed(self):
        self.make(max_body_bytes=10, max_hops=4, max_route=5, max_batch=2)
        detours = [Detour(0, 1, [hop(50), hop(5)]), Detour(1, 1, [hop(5)])]
        effects = self.step(5, bcast(5, 50, bodies=[b"a", b"x" * 9], detours=detours, ttl=4))
        self.assertEqual(effects_of(effects, Misbehaved), [])
        self.assertEqual(len(effects_of(effects, Record)), 2)

    def test_one_impossible_detour_among_others_is_enough_to_refuse_a_message(self):
        good, bad = Detour(0, 1, [hop(5)]), Detour(1, 1, [hop(9)])
        for detours in ([good, bad], [bad, good]):
            effects = self.step(5, bcast(5, 50, bodies=[b"a", b"b"], detours=detours))
            self.assertEqual(effects_of(effects, Record), [])
            self.assertEqual(len(effects_of(effects, Misbehaved)), 1)
