"""Broadcast: the tree's cost, the receipt, and every repair.

The single-node tests look at node 10 of the right ring 5 10 20 30 40 50 60 (m = 6, r = 3): its
successor is 20 and its fingers 20, 30 and 50. The others run whole rings over :class:`Wire`.
"""

from __future__ import annotations

from math import inf, log2, nan
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import BroadcastDone, Misbehaved, Record, Traced, TraceKind
from chordnet.core.base.events import LinkDown, LinkFault, Publish, Recent, Start, Tick
from chordnet.core.base.limits import MAX_UNREACHED
from chordnet.core.base.messages import (
    Ack,
    Bcast,
    Bodies,
    Caught,
    Covered,
    Detour,
    EdgeKind,
    Find,
    Found,
    GetState,
    Have,
    Hop,
    LedgerState,
    MessageId,
    Notify,
    OriginState,
    State,
    Status,
    digest_of,
    route_bytes,
)
from chordnet.core.base.outcomes import Failed
from chordnet.core.lookup.lookup import Result
from tests.unit.core_support import (
    LABEL,
    Wire,
    effects_of,
    ids,
    placed,
    raw,
    ref,
    refs,
    sent,
    step,
    targets,
)

RING = (5, 10, 20, 30, 40, 50, 60)
SUCCESSOR, FINGER = EdgeKind.SUCCESSOR, EdgeKind.FINGER
REASSIGN, EXTEND, BACKFILL = EdgeKind.REASSIGN, EdgeKind.EXTEND, EdgeKind.BACKFILL


def hop(identifier: int, kind: EdgeKind = FINGER) -> Hop:
    return Hop(raw(identifier), f"n{identifier}", int(kind))


def mid(sequence: int = 1, origin: int = 50) -> MessageId:
    return MessageId(raw(origin), 1, sequence)


def bcast(
    sender: int,
    limit: int,
    kind: EdgeKind = FINGER,
    /,
    *,
    sequence: int = 1,
    bodies: list[bytes] | None = None,
    header_only: bool = False,
    **changes,
) -> Bcast:
    """A broadcast of node 50's that ``sender`` passes on."""
    hops = [hop(50, EdgeKind.ORIGIN)] if sender == 50 else [hop(50, EdgeKind.ORIGIN), hop(sender)]
    given = {"hops": hops, "ttl": 60, "id": mid(sequence), "limit": raw(limit), **changes}
    bodies = [b"hello"] if bodies is None else bodies
    return Bcast(
        given["id"], len(bodies), given.get("created", 1.5), given["ttl"], given["limit"],
        int(kind), given["hops"],
        None if header_only else bodies, changes.get("detours", []),
        digest_of(bodies) if header_only else b"",
    )  # fmt: skip


def covered(limit: int, count: int = 1, sequence: int = 1, *, origin: int = 50, **changes):
    given = {"messages": count - 1, "depth": 3, "partial": False, "unreached": [], **changes}
    return Covered(
        mid(sequence, origin), raw(limit), count, given["messages"], given["depth"],
        given["partial"], given["unreached"], given.get("conflict", 0), given.get("lost", 0),
    )  # fmt: skip


class NodeTestCase(SynchronousTestCase):
    def setUp(self):
        self.make()

    def make(self, **changes) -> None:
        self.node = placed(10, RING, **changes)
        self.now = 0.0

    def step(self, sender: int, message) -> list:
        return step(self.node, sender, message, self.now)

    def publish(self, *bodies: bytes) -> list:
        messages = list(enumerate(bodies or (b"hello",)))
        return self.node.step(Publish(messages, 7.5), self.now)

    def tick(self, seconds: float) -> list:
        """Let time pass; return all effects."""
        end, effects = self.now + seconds, []
        while self.node.deadline is not None and self.node.deadline <= end:
            self.now = max(self.now, self.node.deadline)
            effects += self.node.step(Tick(), self.now)
        self.now = end
        return effects

    def die(self, peer: int) -> list:
        return self.node.step(LinkDown(ref(peer), LinkFault.REFUSED), self.now)

    def found(self, effects: list, node: int) -> list:
        """Answer the lookup among ``effects``."""
        question = sent(effects, Find)[-1][1]
        return self.step(node, Found(question.lookup, ref(node), refs(10, node), LABEL))


class FanTests(NodeTestCase):
    """El-Ansary et al. (IPTPS 2003): each finger gets the range up to the next one."""

    def test_the_origin_covers_the_whole_ring_farthest_child_first(self):
        given = [(to, m.limit[0], m.kind) for to, m in sent(self.publish(), Bcast)]
        self.assertEqual(given, [(50, 10, FINGER), (30, 50, FINGER), (20, 30, SUCCESSOR)])

    def test_a_node_on_the_way_covers_its_range_and_no_more(self):
        given = [(to, m.limit[0]) for to, m in sent(self.step(5, bcast(5, 50)), Bcast)]
        self.assertEqual(given, [(30, 50), (20, 30)])

    def test_a_leaf_reports_at_once(self):
        effects = self.step(5, bcast(5, 20))
        self.assertEqual(sent(effects), [(5, covered(20, 1, depth=2))])

    def test_the_record_comes_before_every_message_that_presupposes_it(self):
        for effects in (self.publish(), self.step(5, bcast(5, 50))):
            self.assertIsInstance(effects[0], Record)

    def test_the_route_is_the_senders_own_and_this_node(self):
        effects = self.step(5, bcast(5, 50, SUCCESSOR))
        route = [hop(50, EdgeKind.ORIGIN), hop(5), hop(10, SUCCESSOR)]
        (record,) = effects_of(effects, Record)
        self.assertEqual((record.route, record.body, record.created), (route, b"hello", 1.5))
        for _, message in sent(effects, Bcast):
            self.assertEqual(message.hops, route)

    def test_the_time_to_live_goes_down_and_ends_the_tree(self):
        effects = self.step(5, bcast(5, 50, ttl=3))
        self.assertEqual({m.ttl for _, m in sent(effects, Bcast)}, {2})
        self.make()
        effects = self.step(5, bcast(5, 50, ttl=0))
        self.assertEqual(sent(effects, Bcast), [])
        ((_, report),) = sent(effects, Covered)
        self.assertTrue(report.partial, "and says that it did not cover its range")

    def test_a_ring_of_one_is_covered_at_once(self):
        node = placed(10, [10])
        effects = node.step(Publish([(4, b"x")], 0.0), 0.0)
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.op, done.recorded, done.messages, done.depth), (4, 1, 0, 0))

    def test_outside_of_a_ring_nothing_is_sent_nor_covered(self):
        self.node.ctx.set_status(Status.JOINING)
        (done,) = effects_of(self.publish(), BroadcastDone)
        self.assertEqual((done.id, done.reason), (None, "not in a ring"))
        self.assertEqual(self.step(5, bcast(5, 50)), [])

    def test_sequences_count_from_one(self):
        numbers = [effects_of(self.publish(), Record)[0].id.sequence for _ in range(3)]
        self.assertEqual(numbers, [1, 2, 3])


class BatchTests(NodeTestCase):
    def test_messages_published_at_once_share_a_tree(self):
        effects = self.publish(b"a", b"b", b"c")
        self.assertEqual([r.id.sequence for r in effects_of(effects, Record)], [1, 2, 3])
        messages = [m for _, m in sent(effects, Bcast)]
        self.assertEqual(len(messages), 3)
        self.assertEqual({(m.count, tuple(m.bodies)) for m in messages}, {(3, (b"a", b"b", b"c"))})

    def test_each_message_of_a_batch_gets_its_own_receipt(self):
        self.publish(b"a", b"b")
        effects = []
        for child, limit, count in ((50, 10, 3), (30, 50, 2), (20, 30, 1)):
            effects += self.step(child, covered(limit, count, origin=10))
        done = effects_of(effects, BroadcastDone)
        self.assertEqual([(d.op, d.id.sequence, d.recorded, d.shared) for d in done],
                         [(0, 1, 7, 2), (1, 2, 7, 2)])  # fmt: skip

    def test_messages_that_do_not_fit_into_one_batch_go_apart(self):
        self.make(max_batch=2, max_body_bytes=10)
        effects = self.publish(b"a", b"b", b"c", b"d" * 9)
        self.assertEqual([m.count for to, m in sent(effects, Bcast) if to == 50], [2, 2])
        effects = self.publish(b"e" * 6, b"f" * 6)
        self.assertEqual([m.count for to, m in sent(effects, Bcast) if to == 50], [1, 1])

    def test_a_message_that_is_too_long_is_refused_and_the_others_of_its_batch_go(self):
        self.make(max_body_bytes=10)
        effects = self.publish(b"a", b"x" * 11, b"b")
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual(done.op, 1)
        self.assertEqual(done.reason, Failed.TOO_LONG)
        self.assertEqual(len(effects_of(effects, Record)), 2)

    def test_a_part_that_was_recorded_already_is_not_recorded_again(self):
        self.node.ledger.add(mid(2), b"b")
        effects = self.step(5, bcast(5, 50, bodies=[b"a", b"b", b"c"]))
        self.assertEqual([r.id.sequence for r in effects_of(effects, Record)], [1, 3])


class ReceiptTests(NodeTestCase):
    def test_the_receipt_waits_for_every_branch_and_adds_them_up(self):
        self.publish()
        self.assertEqual(effects_of(self.step(20, covered(30, 1, origin=10)), BroadcastDone), [])
        self.assertEqual(effects_of(self.step(30, covered(50, 2, origin=10)), BroadcastDone), [])
        effects = self.step(50, covered(10, 3, origin=10, depth=2))
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.recorded, done.messages, done.depth), (7, 6, 3))
        self.assertFalse(done.partial)

    def test_a_report_is_counted_once(self):
        self.publish()
        for _ in range(3):
            self.step(20, covered(30, 1, origin=10))
        self.step(30, covered(50, 2, origin=10))
        (done,) = effects_of(self.step(50, covered(10, 3, origin=10)), BroadcastDone)
        self.assertEqual(done.recorded, 7)

    def test_only_the_delegate_itself_may_report(self):
        self.publish()
        self.step(60, covered(10, 99, origin=10))
        self.step(50, covered(11, 99, origin=10))
        self.assertEqual(self.node.broadcasts.under_way, 1)

    def test_what_a_branch_could_not_reach_is_passed_up(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        effects = self.step(30, covered(50, partial=True, unreached=refs(40)))
        ((_, report),) = sent(effects, Covered)
        self.assertTrue(report.partial)
        self.assertEqual(ids(report.unreached), [40])

    def test_a_long_list_of_unreached_nodes_is_cut(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30, unreached=refs(*range(1, 33))))
        effects = self.step(30, covered(50, unreached=refs(*range(33, 63))))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual(len(report.unreached), MAX_UNREACHED)
        self.assertTrue(report.partial)


class AckTests(NodeTestCase):
    def test_an_acknowledgement_is_sent_only_when_the_report_is_late(self):
        effects = self.step(5, bcast(5, 50))
        self.assertEqual(sent(effects, Ack), [])
        self.assertEqual(sent(self.tick(0.1), Ack), [(5, Ack(mid(), raw(50), False))])

    def test_after_the_report_no_acknowledgement_is_sent(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        self.step(30, covered(50))
        self.assertEqual(sent(self.tick(0.3), Ack), [])

    def test_a_delegate_that_answers_nothing_is_sent_the_message_once_more_in_full(self):
        self.publish()
        self.step(30, Ack(mid(1, 10), raw(50), False))
        self.step(20, covered(30, origin=10))
        again = sent(self.tick(0.5), Bcast)
        self.assertEqual([(to, m.bodies) for to, m in again], [(50, [b"hello"])])

    def test_a_delegate_that_acknowledged_and_does_not_report_is_reminded_by_the_header(self):
        self.make(covered_check_s=1.0)
        self.publish()
        for child, limit in ((20, 30), (30, 50), (50, 10)):
            self.step(child, Ack(mid(1, 10), raw(limit), False))
        again = sent(self.tick(1.45), Bcast)
        self.assertEqual(sorted(to for to, _ in again), [20, 30, 50])
        self.assertTrue(all(m.bodies is None for _, m in again))

    def test_an_answer_to_somebody_else_is_ignored(self):
        self.assertEqual(self.step(20, Ack(mid(9), raw(30), True)), [])
        self.publish()
        self.assertEqual(self.step(60, Ack(mid(1, 10), raw(30), True)), [])


class DuplicateTests(NodeTestCase):
    def test_a_message_is_recorded_once_however_often_it_comes(self):
        effects = self.step(5, bcast(5, 20))
        for sender in (5, 60, 5):
            effects += self.step(sender, bcast(sender, 20))
        self.assertEqual(len(effects_of(effects, Record)), 1)

    def test_every_parent_that_sends_the_message_is_answered(self):
        self.step(5, bcast(5, 20))
        for sender in (5, 60):
            self.assertEqual(targets(self.step(sender, bcast(sender, 20)), Covered), [sender])

    def test_a_parent_that_sends_the_message_again_is_told_the_same_again(self):
        (first,) = sent(self.step(5, bcast(5, 20)), Covered)
        (again,) = sent(self.step(5, bcast(5, 20)), Covered)
        self.assertEqual(first, again)

    def test_a_second_live_parent_is_told_nothing_that_was_counted_for_the_first(self):
        self.step(5, bcast(5, 20))
        ((_, report),) = sent(self.step(60, bcast(60, 20)), Covered)
        self.assertEqual(report.count, 0)

    def test_the_heir_of_a_dead_parent_is_told_all(self):
        self.step(5, bcast(5, 20))
        self.die(5)
        ((_, report),) = sent(self.step(60, bcast(60, 20)), Covered)
        self.assertEqual(report.count, 1)

    def test_a_reassigned_range_is_reported_in_full(self):
        self.step(5, bcast(5, 20))
        ((_, report),) = sent(self.step(60, bcast(60, 20, REASSIGN, header_only=True)), Covered)
        self.assertEqual(report.count, 1)

    def test_what_a_live_node_was_told_about_a_repair_is_not_told_again_to_another_one(self):
        """Back-fills come one by one before the range that they lie in is reassigned."""
        self.step(20, bcast(20, 20, BACKFILL))
        ((_, report),) = sent(self.step(5, covered(10, 4)), Covered)
        self.assertEqual(report.count, 5)
        effects = self.step(60, bcast(60, 30, EXTEND, header_only=True))
        effects += self.found(effects, 20)
        ((_, report),) = sent(effects + self.step(20, covered(30, 1)), Covered)
        self.assertEqual(report.count, 1, "of 20 alone")

    def test_a_second_parent_is_acknowledged_at_once_and_answered_when_the_range_is_covered(self):
        self.step(5, bcast(5, 50))
        self.assertEqual(sent(self.step(60, bcast(60, 50))), [(60, Ack(mid(), raw(50), False))])
        self.step(20, covered(30))
        effects = self.step(30, covered(50, 2))
        self.assertEqual(sorted(targets(effects, Covered)), [5, 60])
        self.assertEqual(sum(m.count for _, m in sent(effects, Covered)), 4)

    def test_a_broadcast_that_was_forgotten_is_not_recorded_again(self):
        self.step(5, bcast(5, 20))
        self.now = 60.0
        self.tick(0.0)
        effects = self.step(5, bcast(5, 20))
        self.assertEqual(effects_of(effects, Record), [])
        self.assertEqual(targets(effects, Covered), [5])

    def test_a_copy_of_a_broadcast_that_was_forgotten_is_not_passed_on_by_its_other_route(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        self.step(30, covered(50))
        self.now = 60.0
        self.tick(0.0)
        effects = self.step(60, bcast(60, 50))
        self.assertEqual(effects_of(effects, Record), [])
        self.assertEqual(targets(effects, Bcast), [])
        ((to, report),) = sent(effects, Covered)
        self.assertEqual((to, report.count, report.messages), (60, 1, 0))
        self.assertTrue(report.partial, "whether the others in the range have it is not known")
        self.assertEqual(self.node.counters["late_copies"], 1)

    def test_a_late_copy_for_a_range_without_others_is_covered(self):
        self.step(5, bcast(5, 20))
        self.now = 60.0
        self.tick(0.0)
        for limit, partial in ((15, False), (20, False), (21, True)):
            ((_, report),) = sent(self.step(60, bcast(60, limit)), Covered)
            self.assertEqual((report.count, report.partial), (1, partial), limit)

    def test_a_finished_broadcast_is_remembered_until_nobody_sends_it_again(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        self.step(30, covered(50))
        self.now += 19.0
        self.tick(0.0)
        ((_, report),) = sent(self.step(5, bcast(5, 50)), Covered)
        self.assertEqual((report.count, report.partial), (3, False))


class CaughtUpTests(NodeTestCase):
    """What anti-entropy handed over, the tree may bring all the same."""

    def setUp(self):
        super().setUp()
        self.hops = [hop(50, EdgeKind.ORIGIN), hop(60), hop(5)]
        effects = self.caught(1, b"hello")
        self.record = effects_of(effects, Record)[0]

    def caught(self, sequence: int, body: bytes = b"", hops: list[Hop] | None = None):
        """Have node 5 hand over a message that this node has asked for."""
        state = OriginState(raw(50), 1, [sequence, sequence + 1])
        self.step(5, Have([], [], [state]))
        return self.step(5, Caught(mid(sequence), 1.5, hops or self.hops, body))

    def test_the_route_of_a_message_that_was_handed_over_says_so(self):
        self.assertEqual(self.record.route, [*self.hops, hop(10, EdgeKind.CAUGHT_UP)])

    def test_a_message_that_was_handed_over_goes_down_the_tree_with_the_recorded_route(self):
        self.now = 3.0
        effects = self.step(5, bcast(5, 50))
        self.assertEqual(effects_of(effects, Record), [])
        self.assertEqual(targets(effects, Bcast), [30, 20])
        for _, message in sent(effects, Bcast):
            self.assertEqual(message.detours, [Detour(0, 1, self.record.route)])

    def test_what_travels_with_a_message_that_was_handed_over_keeps_its_own_route(self):
        """Of three messages that travel together, this node was handed the first one before."""
        self.now = 3.0
        effects = self.step(5, bcast(5, 50, bodies=[b"hello", b"b", b"c"]))
        tree = [hop(50, EdgeKind.ORIGIN), hop(5), hop(10)]
        self.assertEqual(
            [(r.id.sequence, r.route) for r in effects_of(effects, Record)], [(2, tree), (3, tree)]
        )
        self.assertEqual(targets(effects, Bcast), [30, 20])
        for _, message in sent(effects, Bcast):
            self.assertEqual(message.hops, tree)
            self.assertEqual(message.detours, [Detour(0, 1, self.record.route)])

    def test_a_child_that_is_given_messages_with_detours_records_the_route_of_each(self):
        detours = [Detour(1, 2, [*self.hops, hop(20, EdgeKind.CAUGHT_UP)])]
        effects = self.step(20, bcast(20, 30, sequence=7, bodies=[b"x"] * 4, detours=detours))
        tree = [hop(50, EdgeKind.ORIGIN), hop(20), hop(10)]
        other = [*detours[0].hops, hop(10)]
        routes = [record.route for record in effects_of(effects, Record)]
        self.assertEqual(routes, [tree, other, other, tree])
        self.assertEqual(targets(effects, Bcast), [20])
        for _, message in sent(effects, Bcast):
            self.assertEqual(message.detours, [Detour(1, 2, other)])

    def test_what_was_recorded_before_a_restart_is_passed_on_with_the_recorded_route(self):
        route = [*self.hops, hop(10)]
        self.make()
        state = LedgerState(raw(50), 1, [1, 2])
        recent = [Recent(mid(), route, digest_of([b"hello"]))]
        self.node.step(Start([], [], [state], recent), self.now)
        effects = self.step(5, bcast(5, 50, REASSIGN))
        self.assertEqual(effects_of(effects, Record), [])
        self.assertEqual(targets(effects, Bcast), [30, 20])
        for _, message in sent(effects, Bcast):
            self.assertEqual(message.detours, [Detour(0, 1, route)])

    def test_detours_have_to_fit_a_frame(self):
        long = [hop(n % 60, FINGER) for n in range(self.node.config.max_route // 2)]
        for sequence in (8, 10):
            self.caught(sequence, hops=[hop(sequence), *long, hop(5)])
        effects = self.step(5, bcast(5, 50, sequence=7, bodies=[b""] * 5))
        self.assertEqual(targets(effects, Bcast), [30, 20])
        for _, message in sent(effects, Bcast):
            self.assertEqual([d.first for d in message.detours], [1])

    def test_the_memory_of_ways_by_which_messages_were_handed_over_is_bounded(self):
        self.tick(60.0)
        self.assertEqual(self.node.sync.ways, {})
        hops = [hop(50, EdgeKind.ORIGIN), *[hop(60)] * 150, hop(5)]
        for sequence in range(2, 400):
            (record,) = effects_of(self.caught(sequence, hops=hops), Record)
        ways, size = self.node.sync.ways, route_bytes(record.route)
        self.assertEqual(len(ways), 8 * 1024 * 1024 // size)


class ExtendTests(NodeTestCase):
    """A node given a range beyond the one it already covers delegates only the rest."""

    def test_the_first_node_of_the_rest_is_looked_up_and_given_the_rest(self):
        self.step(5, bcast(5, 20))
        effects = self.step(60, bcast(60, 50, REASSIGN))
        ((_, question),) = sent(effects, Find)
        self.assertEqual(question.key, raw(20))
        self.assertEqual(targets(effects, Ack), [60])
        ((to, message),) = sent(self.found(effects, 20), Bcast)
        self.assertEqual((to, message.limit, message.kind), (20, raw(50), EXTEND))
        self.assertIsNone(message.bodies, "repair edges carry no bodies")
        ((to, report),) = sent(self.step(20, covered(50, 3)), Covered)
        self.assertEqual((to, report.count), (60, 4))

    def test_an_empty_rest_is_covered(self):
        self.step(5, bcast(5, 12))
        effects = self.step(60, bcast(60, 20, REASSIGN))
        effects = self.found(effects, 20) if sent(effects, Find) else effects
        self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual(targets(effects, Covered), [60])

    def test_a_narrower_range_is_covered_already(self):
        self.step(5, bcast(5, 50))
        self.step(20, covered(30))
        self.step(30, covered(50))
        effects = self.step(60, bcast(60, 20, REASSIGN))
        self.assertEqual(sent(effects, Find), [])
        self.assertEqual(targets(effects, Covered), [60])


class DoubtTests(NodeTestCase):
    """A successor that has moved up in a list of another node's may not be the next node."""

    def setUp(self):
        super().setUp()
        self.die(20)
        self.assertEqual(self.node.ring.head, ref(30))

    def confirm(self) -> None:
        """Let the successor name this node as its predecessor."""
        effects = self.tick(0.1)
        ((_, question),) = [(to, m) for to, m in sent(effects, GetState) if to == 30]
        answer = State(question.rid, Status.ACTIVE, LABEL, ref(10), refs(50, 60), None)
        self.step(30, answer)

    def test_the_first_node_of_the_range_is_looked_up_before_a_report(self):
        effects = self.step(5, bcast(5, 30))
        ((_, question),) = sent(effects, Find)
        self.assertEqual(question.key, raw(11))
        self.assertEqual(sent(effects, Covered), [])
        ((to, message),) = sent(self.found(effects, 15), Bcast)
        self.assertEqual((to, message.limit, message.kind), (15, raw(30), EXTEND))
        ((to, report),) = sent(self.step(15, covered(30, 2)), Covered)
        self.assertEqual((to, report.count, report.partial), (5, 3, False))

    def test_a_range_in_which_nobody_is_found_is_covered(self):
        for sequence, limit in ((1, 30), (2, 12), (3, 11)):
            effects = self.step(5, bcast(5, limit, sequence=sequence))
            self.assertEqual(sent(effects, Covered), [], "the lookup is waited for")
            ((to, report),) = sent(self.found(effects, 30), Covered)
            self.assertEqual((to, report.count, report.partial), (5, 1, False))

    def test_a_lookup_that_ends_beyond_the_successor_proves_nothing(self):
        self.assertEqual(sent(self.found(self.step(5, bcast(5, 30)), 60), Covered), [])

    def answered(self, effects: list, node: int) -> list:
        """Let ``node`` answer the lookup of the first node, the only one among ``effects``."""
        ((_, question),) = [(to, q) for to, q in sent(effects, Find) if q.key == raw(11)]
        return self.step(node, Found(question.lookup, ref(node), refs(10, node), LABEL))

    def test_a_failed_lookup_of_the_first_node_is_repeated_until_somebody_is_found(self):
        self.answered(self.step(5, bcast(5, 30)), 60)
        self.assertEqual(targets(self.answered(self.tick(1.1), 15), Bcast), [15])

    def test_a_lookup_is_not_repeated_when_the_successor_has_confirmed_its_place(self):
        self.found(self.step(5, bcast(5, 30)), 60)
        self.confirm()
        effects = self.tick(1.1)
        self.assertEqual(sent(effects, Find), [])
        ((to, report),) = sent(effects, Covered)
        self.assertEqual((to, report.count, report.partial), (5, 1, False))

    def test_a_new_successor_that_has_confirmed_its_place_is_given_its_part_of_the_range(self):
        self.found(self.step(5, bcast(5, 30)), 60)
        ((_, question),) = [(to, m) for to, m in sent(self.tick(0.1), GetState) if to == 30]
        effects = self.step(
            30, State(question.rid, Status.ACTIVE, LABEL, ref(15), refs(50, 60), None)
        )
        ((to, question),) = sent(effects, GetState)
        self.assertEqual(to, 15)
        self.step(15, State(question.rid, Status.ACTIVE, LABEL, ref(5), refs(30, 50), None))
        ((_, question),) = [(to, m) for to, m in sent(self.tick(0.1), GetState) if to == 15]
        self.step(15, State(question.rid, Status.ACTIVE, LABEL, ref(10), refs(30, 50), None))
        ((to, message),) = sent(self.tick(1.1), Bcast)
        self.assertEqual((to, message.limit, message.kind), (15, raw(30), EXTEND))

    def test_at_the_deadline_the_successor_counts_as_unreached(self):
        self.make(broadcast_deadline_s=2.0)
        self.die(20)
        effects = self.step(5, bcast(5, 30))
        for _ in range(2):
            self.answered(effects, 60)
            effects = self.tick(1.1)
        ((to, report),) = sent(effects, Covered)
        self.assertEqual((to, report.count, report.partial), (5, 1, True))
        self.assertEqual(report.unreached, [self.node.ring.head])

    def test_the_sender_is_told_that_the_range_is_in_hand(self):
        self.step(5, bcast(5, 30))
        self.assertEqual(targets(self.tick(1.0), Ack), [5])

    def test_a_successor_in_the_range_passes_the_message_back_itself(self):
        effects = self.step(5, bcast(5, 50))
        self.assertEqual(targets(effects, Bcast), [30])
        self.assertEqual(sent(effects, Find), [])

    def test_a_successor_that_names_this_node_ends_the_doubt(self):
        self.confirm()
        effects = self.step(5, bcast(5, 30))
        self.assertEqual(sent(effects, Find), [])
        self.assertEqual(targets(effects, Covered), [5])


class CountingTests(NodeTestCase):
    """A node counts once in the receipt, whoever gave it the message, and however often."""

    def count(self, sender: int, kind: EdgeKind) -> int:
        ((to, report),) = sent(self.step(sender, bcast(sender, 20, kind)), Covered)
        self.assertEqual(to, sender)
        return report.count

    def test_of_two_live_parents_only_the_first_one_counts_the_node(self):
        self.assertEqual([self.count(60, FINGER), self.count(5, SUCCESSOR)], [1, 0])

    def test_the_first_parent_counts_the_node_again_when_its_report_was_lost(self):
        self.assertEqual(self.count(60, FINGER), 1)
        self.assertEqual(self.count(5, SUCCESSOR), 0)
        self.assertEqual(self.count(60, FINGER), 1, "the first report may not have arrived")
        self.assertEqual(self.count(5, SUCCESSOR), 0)

    def test_another_parent_counts_the_node_when_the_first_one_is_dead(self):
        self.count(5, SUCCESSOR)
        self.die(5)
        self.assertEqual(self.count(60, FINGER), 1)


class BackfillTests(NodeTestCase):
    """Joiners that the tree passed by get it from the node behind them."""

    def test_a_predecessor_that_the_sender_does_not_know_gets_the_message(self):
        effects = self.step(60, bcast(60, 20, SUCCESSOR))
        ((to, message),) = sent(effects, Bcast)
        self.assertEqual((to, message.limit, message.kind), (5, raw(10), BACKFILL))
        self.assertEqual(sent(effects, Covered), [], "and is waited for")
        ((to, report),) = sent(self.step(5, covered(10, 1)), Covered)
        self.assertEqual((to, report.count), (60, 2))

    def test_nothing_is_passed_back_when_the_sender_is_the_predecessor_or_has_a_finger_here(self):
        self.assertEqual(sent(self.step(5, bcast(5, 20, SUCCESSOR)), Bcast), [])
        self.assertEqual(sent(self.step(60, bcast(60, 20, FINGER, sequence=2)), Bcast), [])

    def test_a_newcomer_before_this_node_gets_what_comes_over_any_edge(self):
        self.step(8, Notify())
        for sequence, kind in enumerate((FINGER, REASSIGN, EXTEND, SUCCESSOR), 1):
            sender = 5 if kind is SUCCESSOR else 60
            effects = self.step(sender, bcast(sender, 20, kind, sequence=sequence))
            told = [(to, m.limit, m.kind) for to, m in sent(effects, Bcast)]
            self.assertEqual(told, [(8, raw(10), BACKFILL)])
            self.assertEqual(sent(effects, Covered), [], "and is waited for")

    def test_a_newcomer_gets_nothing_that_came_through_it_nor_once_it_is_known(self):
        self.step(8, Notify())
        hops = [hop(50, EdgeKind.ORIGIN), hop(8), hop(60)]
        self.assertEqual(sent(self.step(60, bcast(60, 20, hops=hops)), Bcast), [])
        self.step(5, GetState(1, int(Status.ACTIVE)))
        effects = self.step(60, bcast(60, 20, sequence=2))
        self.assertEqual(targets(effects, Bcast), [8], "5 may have passed it on before")
        self.tick(1.01 * self.node.ctx.config.stabilise_fast_s)
        effects = self.step(60, bcast(60, 20, sequence=3))
        self.assertEqual(sent(effects, Bcast), [], "5 knows it now")
        self.make()
        self.step(8, Notify())
        self.tick(1.01 * self.node.ctx.config.stabilise_fast_s)
        effects = self.step(60, bcast(60, 20, sequence=4))
        self.assertEqual(sent(effects, Bcast), [], "5 must have asked by now")
        self.make()
        self.die(5)
        self.step(60, Notify())
        self.assertEqual(ids([self.node.predecessor]), [60])
        self.assertEqual(sent(self.step(50, bcast(50, 20, sequence=3)), Bcast), [])

    def test_a_newcomer_before_this_node_gets_what_begins_at_this_node(self):
        self.step(8, Notify())
        effects = self.node.step(Publish([(1, b"hello")], 0.0), self.now)
        passed_back = [(to, m.limit) for to, m in sent(effects, Bcast) if m.kind == BACKFILL]
        self.assertEqual(passed_back, [(8, raw(10))])
        self.tick(1.01 * self.node.ctx.config.stabilise_fast_s)
        effects = self.node.step(Publish([(2, b"hello")], 0.0), self.now)
        self.assertNotIn(BACKFILL, [m.kind for _, m in sent(effects, Bcast)])

    def test_a_newcomer_that_is_a_finger_of_the_origin_gets_the_message_only_once(self):
        node = placed(10, [10, 30, 52])
        node.ring.predecessor = ref(52)
        node.newcomer.predecessor_changed(ref(40))
        effects = node.step(Publish([(1, b"hello")], 0.0), 0.0)
        self.assertEqual(sorted(targets(effects, Bcast)), [30, 52])

    def test_in_a_ring_that_has_shrunk_to_one_a_message_is_passed_back_to_nobody(self):
        node = placed(10, [10, 30])
        step(node, 40, Notify(), 0.0)
        for gone in (30, 40):
            node.step(LinkDown(ref(gone), LinkFault.REFUSED), 0.01)
        self.assertEqual(ids([node.predecessor]), [10])
        self.assertTrue(node.newcomer.unknown)
        (done,) = effects_of(node.step(Publish([(1, b"hello")], 0.0), 0.02), BroadcastDone)
        self.assertEqual((done.recorded, done.partial), (1, False))

    def test_a_backfilled_node_passes_the_message_back_to_its_own_predecessor(self):
        effects = self.step(20, bcast(20, 20, BACKFILL))
        self.assertEqual([(to, m.kind) for to, m in sent(effects, Bcast)], [(5, BACKFILL)])

    def test_a_backfilled_node_passes_nothing_back_to_a_node_that_the_message_came_through(self):
        hops = [hop(50, EdgeKind.ORIGIN), hop(5), hop(20)]
        effects = self.step(20, bcast(20, 20, BACKFILL, hops=hops))
        self.assertEqual(sent(effects, Bcast), [])

    def test_a_node_that_has_the_message_and_forgot_its_tree_passes_nothing_on(self):
        # It would pass it on with a route that is not the one it recorded.
        self.node.ledger.add(mid(), b"hello")
        self.step(20, bcast(20, 20, BACKFILL, header_only=True))
        effects = self.step(20, Bodies(mid(), [b"hello"]))
        self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual(sent(effects, Ack), [])
        ((to, report),) = sent(effects, Covered)
        self.assertEqual((to, report.count, report.limit), (20, 1, raw(20)))

    def test_a_new_predecessor_is_given_the_fresh_messages(self):
        self.step(5, bcast(5, 20))
        effects = self.step(8, Notify())
        ((to, message),) = sent(effects, Bcast)
        self.assertEqual((to, message.limit, message.kind), (8, raw(10), BACKFILL))

    def test_a_new_predecessor_is_not_given_what_came_through_it_or_is_old(self):
        hops = [hop(50, EdgeKind.ORIGIN), hop(8), hop(5)]
        self.step(5, bcast(5, 20, hops=hops))
        self.assertEqual(sent(self.step(8, Notify()), Bcast), [])
        self.make()
        self.step(5, bcast(5, 20))
        self.now = 60.0
        self.tick(0.0)
        self.assertEqual(sent(self.step(8, Notify()), Bcast), [])

    def test_a_new_predecessor_is_given_at_most_the_newest_256_of_the_fresh_messages(self):
        for sequence in range(1, 301):
            self.step(5, bcast(5, 20, sequence=sequence))
        given = sent(self.step(8, Notify()), Bcast)
        self.assertEqual({to for to, _ in given}, {8})
        self.assertEqual([m.id.sequence for _, m in given], list(range(45, 301)))

    def test_a_new_predecessor_is_not_given_what_it_was_given_as_a_delegate(self):
        """The origin's predecessor dies: the one before it is its last delegate already."""
        node = placed(10, [5, 10, 30, 52])
        node.step(Publish([(1, b"hello")], 0.0), 0.0)
        node.step(LinkDown(ref(5), LinkFault.REFUSED), 0.0)
        self.assertEqual(sent(step(node, 52, Notify()), Bcast), [])

    def test_a_dead_backfilled_node_is_replaced_by_another_one_between(self):
        self.step(60, bcast(60, 20, SUCCESSOR))
        effects = self.die(5)
        effects = self.found(effects, 8)
        self.assertEqual([(to, m.kind) for to, m in sent(effects, Bcast)], [(8, BACKFILL)])

    def test_a_dead_backfilled_node_with_nobody_in_its_place_is_replaced_by_nobody(self):
        self.step(60, bcast(60, 20, SUCCESSOR))
        effects = self.die(5)
        if sent(effects, Find):
            effects = self.found(effects, 20)
        self.assertEqual(targets(effects, Covered), [60])


class ReassignTests(NodeTestCase):
    """A dead delegate's range goes to successor(its id), if that lies in the range."""

    def test_the_heir_in_the_range_is_given_the_rest(self):
        self.publish()
        effects = self.die(50)
        self.assertEqual(sent(effects, Find)[-1][1].key, raw(50))
        ((to, message),) = sent(self.found(effects, 60), Bcast)
        self.assertEqual((to, message.limit, message.kind), (60, raw(10), REASSIGN))
        self.assertIsNone(message.bodies)

    def test_an_heir_beyond_the_range_means_that_it_is_empty(self):
        self.publish()
        self.step(50, covered(10, 3, origin=10))
        self.step(30, covered(50, 2, origin=10))
        effects = self.die(20)
        effects += self.found(effects, 30) if sent(effects, Find) else []
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.recorded, done.partial), (6, False))

    def test_a_range_that_comes_back_to_its_child_is_covered_by_it(self):
        """A false suspicion: the heir of a node that is believed dead is that node itself."""
        self.publish()
        self.step(30, covered(50, 2, origin=10))
        self.step(20, covered(30, 1, origin=10))
        effects = self.found(self.die(50), 50)
        self.assertEqual([(to, m.kind) for to, m in sent(effects, Bcast)], [(50, REASSIGN)])
        (done,) = effects_of(self.step(50, covered(10, 3, origin=10)), BroadcastDone)
        self.assertEqual((done.recorded, done.partial), (7, False))

    def test_a_delegate_that_reported_is_not_replaced(self):
        self.publish()
        self.step(50, covered(10, 3, origin=10))
        effects = self.die(50)
        self.assertEqual([q.key for _, q in sent(effects, Find)].count(raw(50)), 0)
        self.assertEqual(sent(effects, Bcast), [])

    def test_without_an_heir_after_some_lookups_the_range_counts_as_unreached(self):
        self.publish()
        self.step(30, covered(50, 2, origin=10))
        self.step(20, covered(30, 1, origin=10))
        effects = self.die(50)
        for _ in range(4):
            self.assertEqual(effects_of(effects, BroadcastDone), [])
            ((tag, search),) = self.node.broadcasts.repairs._searches.items()
            self.node.ctx.effects = effects = []
            self.node.broadcasts.repairs.looked_up(
                Result(search.purpose, tag, None, [], None, "timed out")
            )
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.recorded, done.partial, ids(done.unreached)), (4, True, [50]))

    def test_a_delegate_that_was_suspected_and_lives_is_sent_the_message_again(self):
        self.publish()
        self.node.step(LinkDown(ref(50), LinkFault.BROKEN), self.now)
        effects = self.step(50, Notify())
        self.assertIn((50, [b"hello"]), [(to, m.bodies) for to, m in sent(effects, Bcast)])

    def test_a_dead_parent_is_not_reported_to(self):
        self.step(5, bcast(5, 50))
        self.die(5)
        self.step(20, covered(30))
        effects = self.step(30, covered(50))
        self.assertEqual(sent(effects, Covered), [])
        self.assertEqual(self.node.broadcasts.under_way, 0)

    def test_a_range_that_stays_uncovered_is_reported_at_the_deadline(self):
        self.make(broadcast_deadline_s=5.0)
        self.publish()
        self.step(30, covered(50, 2, origin=10))
        self.step(20, covered(30, 1, origin=10))
        effects = []
        for _ in range(80):
            self.step(50, Ack(mid(1, 10), raw(10), False))
            effects += self.tick(0.1)
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.recorded, done.partial, ids(done.unreached)), (4, True, [50]))
        traced = [(each.what, each.peer.id) for each in effects_of(effects, Traced)]
        self.assertEqual(traced.count((TraceKind.GAVE_UP, 50)), 1)


class BodyTests(NodeTestCase):
    def test_a_header_alone_is_answered_by_asking_for_the_body(self):
        effects = self.step(5, bcast(5, 20, REASSIGN, header_only=True))
        self.assertEqual(sent(effects), [(5, Ack(mid(), raw(20), True))])
        self.assertEqual(effects_of(effects, Record), [])

    def test_a_header_whose_body_comes_is_recorded_and_passed_on(self):
        self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        effects = self.step(5, Bodies(mid(), [b"hello"]))
        self.assertEqual(effects_of(effects, Record)[0].body, b"hello")
        self.assertEqual(targets(effects, Bcast), [30, 20])

    def test_all_who_gave_a_header_are_answered(self):
        self.step(5, bcast(5, 20, REASSIGN, header_only=True))
        self.step(60, bcast(60, 20, REASSIGN, header_only=True))
        effects = self.step(60, Bodies(mid(), [b"hello"]))
        self.assertEqual(sorted(targets(effects, Covered)), [5, 60])
        self.assertEqual(len(effects_of(effects, Record)), 1)

    def test_the_route_leads_over_whoever_brought_the_body(self):
        self.step(5, bcast(5, 20, REASSIGN, header_only=True))
        self.step(40, bcast(40, 20, EXTEND, header_only=True))
        (record,) = effects_of(self.step(40, Bodies(mid(), [b"hello"])), Record)
        self.assertEqual([h.raw for h in record.route], [raw(50), raw(40), raw(10)])
        self.assertEqual(record.route[-1].kind, EXTEND)

    def test_a_delegate_that_asks_gets_the_body(self):
        self.publish()
        effects = self.step(50, Ack(mid(1, 10), raw(10), True))
        self.assertEqual(sent(effects), [(50, Bodies(mid(1, 10), [b"hello"]))])

    def test_a_body_that_nobody_asked_for_is_dropped(self):
        self.assertEqual(self.step(5, Bodies(mid(), [b"hello"])), [])
        self.assertEqual(self.node.counters["answers_ignored"], 1)

    def test_headers_without_a_body_are_capped(self):
        for sequence in range(1, 1024 + 50):
            self.step(5, bcast(5, 20, REASSIGN, header_only=True, sequence=sequence))
        self.assertEqual(len(self.node.broadcasts.headless), 1024)
        for _ in range(50):
            self.step(5, bcast(5, 20, REASSIGN, header_only=True, sequence=1500))
        self.assertLessEqual(len(self.node.broadcasts.headless._waiting[mid(1500)]), 3)


class MisbehaviourTests(NodeTestCase):
    def refuse(self, message: Bcast, words: str) -> None:
        effects = self.step(5, message)
        self.assertEqual(effects_of(effects, Record), [], words)
        self.assertEqual(sent(effects), [], words)
        (fault,) = effects_of(effects, Misbehaved)
        self.assertEqual(fault.peer, ref(5))
        self.assertIn(words, fault.reason)

    def test_what_breaks_a_rule_is_dropped_and_told(self):
        self.make(max_body_bytes=10, max_hops=4, max_route=5, max_batch=2)
        self.refuse(bcast(5, 50, limit=b""), "impossible identifier")
        self.refuse(bcast(5, 50, limit=b"\0\0"), "impossible identifier")
        for wrong in (
            MessageId(b"\0\0", 1, 1), MessageId(raw(50), 1 << 62, 1), MessageId(raw(50), -1, 1),
            MessageId(raw(50), 1, 1 << 62), MessageId(raw(50), 1, 0),
        ):  # fmt: skip
            self.refuse(bcast(5, 50, id=wrong), "impossible identifier")
        for wrong in (nan, inf, -inf):
            self.refuse(bcast(5, 50, created=wrong), "of no time")
        self.refuse(bcast(5, 50, hops=[]), "no or too many hops")
        self.refuse(bcast(5, 50, hops=[hop(5)] * 5), "no or too many hops")
        self.refuse(bcast(5, 50, hops=[hop(50)]), "does not end at its sender")
        self.refuse(bcast(5, 50, ttl=4, bodies=[b"x" * 11]), "too long")
        self.refuse(bcast(5, 50, bodies=[]), "no or too many messages")
        self.refuse(bcast(5, 50, bodies=[b"a", b"b", b"c"]), "no or too many messages")
        for first, count, hops in (
            (-1, 1, 1),
            (1, 1, 1),
            (0, 2, 1),
            (0, 0, 1),
            (0, 1, 0),
            (0, 1, 4),
        ):
            detours = [Detour(first, count, [hop(5)] * hops)]
            self.refuse(bcast(5, 50, ttl=4, detours=detours), "impossible detours")
        self.refuse(bcast(5, 50, ttl=4, detours=[Detour(0, 1, [hop(9)])]), "impossible detours")

    def test_bodies_must_be_as_many_as_the_header_said(self):
        self.step(5, bcast(5, 20, REASSIGN, header_only=True))
        effects = self.step(5, Bodies(mid(), [b"a", b"b"]))
        self.assertEqual(effects_of(effects, Record), [])
        self.assertIn("more or fewer bodies", effects_of(effects, Misbehaved)[0].reason)

    def test_too_many_broadcasts_in_flight_are_answered_busy(self):
        self.make(max_broadcasts=2)
        done = [d for _ in range(3) for d in effects_of(self.publish(), BroadcastDone)]
        self.assertEqual([d.reason for d in done], ["busy"])

    def test_a_broadcast_that_is_covered_makes_room_for_another_one(self):
        self.make(max_broadcasts=1)
        self.publish()
        for child, limit, count in ((50, 10, 3), (30, 50, 2), (20, 30, 1)):
            self.step(child, covered(limit, count, origin=10))
        self.assertEqual(effects_of(self.publish(), BroadcastDone), [])


class WireTestCase(SynchronousTestCase):
    def ring(self, seed: int, size: int, **changes) -> tuple[Wire, int, Random]:
        rng = Random(seed)
        members = sorted(rng.sample(range(64), size))
        return Wire(members, **changes), rng.choice(members), rng

    def publish(self, wire: Wire, origin: int, op: int = 1) -> None:
        wire.event(origin, Publish([(op, b"hello")], 0.0))

    def receipt(self, wire: Wire, where: str = "") -> BroadcastDone:
        done = [done for _, done in wire.told(BroadcastDone)]
        self.assertEqual(len(done), 1, f"{where}: receipts")
        return done[0]

    def check(self, wire: Wire, live: set[int], where: str) -> None:
        """Every live node has it once; every route is its parent's and this node."""
        records = wire.records()
        edges = {(a, b) for a, b, _ in wire.messages(Bcast)}
        for member in live:
            (record,) = records[member] or [None]
            self.assertIsNotNone(record, f"{where}: nothing at {member}")
            way = [h.raw[0] for h in record.route]
            self.assertEqual(way[-1], member, where)
            if len(way) > 1:
                self.assertIn((way[-2], member), edges, where)
                (parent,) = records[way[-2]]
                self.assertEqual(parent.route, record.route[:-1], where)


class HealthyTreeTests(WireTestCase):
    def test_a_broadcast_costs_one_message_and_one_report_a_node_and_no_acknowledgement(self):
        for seed in range(40):
            wire, origin, _ = self.ring(seed, Random(seed).randrange(1, 33))
            size = len(wire.nodes)
            where = f"seed {seed}: {size} nodes from {origin}"
            self.publish(wire, origin)
            wire.run(5.0)
            self.check(wire, set(wire.nodes), where)
            self.assertEqual(len(wire.messages(Bcast)), size - 1, where)
            self.assertEqual(len(wire.messages(Covered)), size - 1, where)
            self.assertEqual(len(wire.messages(Ack)), 0, where)
            done = self.receipt(wire, where)
            self.assertEqual((done.recorded, done.messages), (size, size - 1), where)
            self.assertFalse(done.partial, where)
            depth = max(len(r.route) - 1 for rs in wire.records().values() for r in rs)
            self.assertEqual(done.depth, depth, where)
            self.assertLessEqual(depth, 2 * log2(size) + 2, where)


class LossTests(WireTestCase):
    """Each kind of message lost once, on every edge in turn."""

    def lose_each(self, kind: type, times: int = 1) -> None:
        for seed in range(3):
            wire, origin, _ = self.ring(seed, 9)
            self.publish(wire, origin)
            wire.run(5.0)
            edges = [(a, b) for a, b, _ in wire.messages(kind)]
            self.assertTrue(edges or kind is Ack)
            for edge in edges:
                wire, origin, _ = self.ring(seed, 9)
                left = [times]

                def dropped(a, b, m, edge=edge, left=left):
                    if isinstance(m, kind) and (a, b) == edge and left[0]:
                        left[0] -= 1
                        return True
                    return False

                wire.dropped = dropped
                self.publish(wire, origin)
                wire.run(10.0)
                where = f"seed {seed}: {kind.__name__} lost on {edge}"
                self.assertEqual(left, [0], where)
                self.check(wire, set(wire.nodes), where)
                done = self.receipt(wire, where)
                self.assertEqual((done.recorded, done.partial), (9, False), where)

    def test_a_lost_broadcast_is_sent_again(self):
        self.lose_each(Bcast)

    def test_a_lost_report_is_asked_for_again(self):
        self.lose_each(Covered)

    def test_a_message_or_a_report_that_is_lost_twice_is_sent_again(self):
        self.lose_each(Bcast, times=2)
        self.lose_each(Covered, times=2)


class DeathTests(WireTestCase):
    """Any one node but the origin dies, at any step of the tree, noticed or not."""

    def test_all_other_nodes_get_the_message_and_the_count_is_theirs_or_one_more(self):
        for seed in range(4):
            for victim_index in range(8):
                for delay in (0.0, 0.0015, 0.0025, 0.0035):
                    for noticed in (True, False):
                        self.one(seed, victim_index, delay, noticed=noticed)

    def one(self, seed: int, victim_index: int, delay: float, *, noticed: bool) -> None:
        wire, origin, _ = self.ring(seed, 9)
        victim = [m for m in sorted(wire.nodes) if m != origin][victim_index]
        where = f"seed {seed}: {victim} dies {delay} s after {origin} sent, noticed {noticed}"
        self.publish(wire, origin)
        wire.run(delay)
        wire.kill(victim, noticed=noticed)
        wire.run(15.0)
        live = set(wire.nodes) - {victim}
        records = wire.records()
        for member in live:
            self.assertEqual(len(records[member]), 1, f"{where}: at {member}")
        done = self.receipt(wire, where)
        self.assertIn(done.recorded, (8, 9), where)
        self.assertFalse(done.partial, where)

    def test_a_frozen_delegate_is_gone_round(self):
        for seed in range(8):
            wire, origin, rng = self.ring(seed, 9)
            frozen = rng.choice([m for m in wire.nodes if m != origin])
            wire.silence(frozen)
            self.publish(wire, origin)
            wire.run(15.0)
            where = f"seed {seed}: {frozen} is frozen"
            for member in set(wire.nodes) - {frozen}:
                self.assertEqual(len(wire.records()[member]), 1, f"{where}: at {member}")
            self.assertEqual(self.receipt(wire, where).recorded, 8, where)

    def test_after_a_death_nothing_is_left_under_way(self):
        for seed in range(4):
            wire, origin, rng = self.ring(seed, 9)
            self.publish(wire, origin)
            wire.run(0.0015)
            wire.kill(rng.choice([m for m in wire.nodes if m != origin]))
            wire.run(60.0)
            for member, node in wire.nodes.items():
                if member not in wire._dead:
                    self.assertEqual(node.broadcasts.under_way, 0, f"seed {seed}: {member}")
                    self.assertEqual(len(node.broadcasts.repairs._searches), 0, f"seed {seed}")
