"""What a peer says of a broadcast is a claim: it may be false, huge, late or repeated."""

from __future__ import annotations

from chordnet.core.base.effects import BroadcastDone, Misbehaved, Record, Traced, TraceKind
from chordnet.core.base.messages import (
    Ack,
    Bcast,
    Bodies,
    Covered,
    EdgeKind,
    Find,
    Hop,
    MessageId,
    OriginState,
    digest_of,
)
from chordnet.core.broadcast.cast import Branch
from tests.unit.core_support import effects_of, ids, raw, refs, sent, targets
from tests.unit.test_core_broadcast import NodeTestCase, bcast, covered, hop, mid

REASSIGN, BACKFILL, EXTEND = EdgeKind.REASSIGN, EdgeKind.BACKFILL, EdgeKind.EXTEND


class TakenNumberTests(NodeTestCase):
    """Somebody has taken another node's number with a body of its own."""

    def setUp(self):
        super().setUp()
        self.step(60, bcast(60, 50, bodies=[b"forged"]))
        self.step(20, covered(30))
        self.step(30, covered(50))

    def report(self, effects) -> Covered:
        ((to, report),) = sent(effects, Covered)
        self.assertEqual(to, 5)
        self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual(effects_of(effects, Record), [])
        return report

    def contradiction(self, limit: int = 50) -> Covered:
        return covered(limit, 0, messages=0, depth=2, partial=True, unreached=refs(10), conflict=1)

    def test_a_second_body_under_a_number_is_reported_and_the_first_body_stays(self):
        self.assertEqual(self.report(self.step(5, bcast(5, 50))), self.contradiction())
        self.assertEqual(self.node.counters["conflicts"], 1)

    def test_a_conflict_is_reported_of_a_header_alone(self):
        effects = self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        self.assertEqual(self.report(effects), self.contradiction())

    def test_a_conflict_is_reported_when_more_messages_travel_together_than_before(self):
        effects = self.step(5, bcast(5, 50, bodies=[b"forged", b"more"]))
        self.assertEqual(self.report(effects), self.contradiction())

    def test_a_conflict_is_reported_long_after_the_tree_is_forgotten(self):
        self.now = 1000.0
        self.tick(0.0)
        self.assertEqual(self.report(self.step(5, bcast(5, 50))), self.contradiction())
        effects = self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        self.assertEqual(sent(effects), [(5, Ack(mid(), raw(50), True))])
        effects = self.step(5, Bodies(mid(), [b"hello"]))
        self.assertEqual(self.report(effects), self.contradiction())

    def test_a_conflict_in_the_middle_of_what_travels_together_is_reported(self):
        self.step(60, bcast(60, 12, sequence=5, bodies=[b"forged"]))
        effects = self.step(5, bcast(5, 50, sequence=4, bodies=[b"a", b"b", b"c"]))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.count, report.conflict, report.partial), (0, 1, True))
        self.assertEqual(sent(effects, Bcast), [])
        self.assertEqual([r.body for r in effects_of(effects, Record)], [b"a", b"c"])

    def test_several_conflicts_in_what_travels_together_are_one_of_this_node(self):
        self.step(60, bcast(60, 12, sequence=5, bodies=[b"forged", b"too"]))
        self.step(60, bcast(60, 12, sequence=7, bodies=[b"x"]))
        effects = self.step(5, bcast(5, 50, sequence=4, bodies=[b"a", b"b", b"c", b"d"]))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.conflict, report.lost), (1, 0))
        self.assertEqual(self.node.counters["conflicts"], 1)

    def test_the_same_body_again_is_no_conflict(self):
        self.now = 1000.0
        self.tick(0.0)
        effects = self.step(5, bcast(5, 12, bodies=[b"forged"]))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.count, report.conflict, report.partial), (1, 0, False))


class ReceiptTests(NodeTestCase):
    def test_a_conflict_below_makes_the_receipt_partial_and_is_counted(self):
        self.publish(b"mine")
        own = {"origin": 10}
        self.step(20, covered(30, 2, **own))
        clash = {"messages": 0, "partial": True, "unreached": refs(30), "conflict": 1}
        self.step(30, covered(50, 0, **clash, **own))
        effects = self.step(50, covered(10, 3, conflict=2, lost=1, **own))
        (done,) = effects_of(effects, BroadcastDone)
        self.assertEqual((done.recorded, done.partial), (6, True))
        self.assertEqual((done.conflict, done.lost, ids(done.unreached)), (3, 1, [30]))

    def test_a_conflict_a_loss_or_a_name_alone_makes_a_receipt_partial(self):
        own = {"origin": 10}
        for number, wrong in enumerate(
            ({}, {"conflict": 1}, {"lost": 1}, {"unreached": refs(33)}, {"partial": True}), 1
        ):
            self.publish(b"mine")
            self.step(20, covered(30, 1, number, **own))
            self.step(30, covered(50, 2, number, **wrong, **own))
            (done,) = effects_of(self.step(50, covered(10, 3, number, **own)), BroadcastDone)
            self.assertEqual((done.recorded, done.partial), (7, bool(wrong)), wrong)

    def test_a_given_up_number_that_cannot_be_told_apart_is_reported_as_lost(self):
        ledger = self.node.ledger
        for sequence in range(1, 6000, 2):
            ledger.add(mid(sequence), b"hello")
        effects = self.step(5, bcast(5, 50, sequence=2))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.count, report.lost, report.conflict), (0, 1, 0))
        self.assertEqual(self.node.counters["given_up_before"], 1)
        self.assertNotIn("conflicts", self.node.counters)
        effects = self.step(5, bcast(5, 50, sequence=4, bodies=[b"hello"] * 3))
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.lost, report.conflict), (1, 0), "several are one of this node")
        self.assertTrue(report.partial)
        self.assertEqual(effects_of(effects, Record), [])

    def test_a_number_given_up_is_recorded_when_its_message_comes(self):
        from_50 = OriginState(raw(50), 1, [1, 514])
        self.node.ledger.lose(next(iter(self.node.ledger.lacking([from_50]))))
        effects = self.step(5, bcast(5, 12, sequence=7))
        self.assertEqual(len(effects_of(effects, Record)), 1)
        ((_, report),) = sent(effects, Covered)
        self.assertEqual((report.count, report.partial), (1, False))

    def test_reports_of_impossible_numbers_are_dropped(self):
        for wrong in (
            {"count": -1}, {"messages": -1}, {"depth": 1 << 40}, {"conflict": -3},
            {"lost": 1 << 40}, {"unreached": refs(*range(1, 34))},
        ):  # fmt: skip
            with self.subTest(wrong):
                self.make()
                self.publish(b"mine")
                effects = self.step(20, covered(30, origin=10, **{"count": 1, **wrong}))
                self.assertEqual(len(effects_of(effects, Misbehaved)), 1)
                self.assertEqual(self.node.broadcasts.under_way, 1)


class OwnNameTests(NodeTestCase):
    """Frames in this node's own name."""

    def own(self, sequence: int, count: int = 1, **changes) -> Bcast:
        hops = [Hop(raw(10), "n10", int(EdgeKind.ORIGIN)), hop(5)]
        return bcast(
            5, 50, id=MessageId(raw(10), 1, sequence), hops=hops, bodies=[b"x"] * count, **changes
        )

    def test_what_this_node_has_not_sent_is_refused(self):
        self.publish(b"mine")
        for sequence, count in ((2, 1), (1, 2), (1 << 60, 1)):
            effects = self.step(5, self.own(sequence, count))
            self.assertEqual(len(effects_of(effects, Misbehaved)), 1, (sequence, count))
            self.assertEqual(effects_of(effects, Record), [])
        effects = self.publish(b"next")
        self.assertEqual([r.id.sequence for r in effects_of(effects, Record)], [2])

    def test_the_honest_node_that_passed_on_what_this_one_never_sent_need_not_send_it_again(self):
        effects = self.step(5, self.own(7))
        ((to, report),) = sent(effects)
        self.assertEqual((to, type(report)), (5, Covered))
        self.assertEqual((report.partial, report.conflict, report.count), (True, 1, 0))

    def test_what_an_earlier_life_sent_is_taken(self):
        hops = [Hop(raw(10), "n10", int(EdgeKind.ORIGIN)), hop(5)]
        effects = self.step(5, bcast(5, 12, id=MessageId(raw(10), 0, 9), hops=hops))
        self.assertEqual(len(effects_of(effects, Record)), 1)

    def test_a_number_of_its_own_that_the_ledger_knows_already_is_an_error_and_not_used(self):
        self.node.ledger.add(MessageId(raw(10), 1, 4))
        (done,) = effects_of(self.publish(b"mine"), BroadcastDone)
        self.assertEqual((done.id, done.reason), (None, "number taken"))
        self.assertEqual(self.node.counters["own_numbers_taken"], 1)
        effects = self.publish(b"mine")
        self.assertEqual([r.id.sequence for r in effects_of(effects, Record)], [5])


class HeaderTests(NodeTestCase):
    """Headers that come without bodies."""

    def test_bodies_are_taken_only_from_one_that_was_asked(self):
        self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        effects = self.step(60, Bodies(mid(), [b"hello"]))
        self.assertEqual(effects, [])
        self.assertEqual(len(self.node.broadcasts.headless), 1)
        effects = self.step(5, Bodies(mid(), [b"hello"]))
        self.assertEqual(len(effects_of(effects, Record)), 1)

    def test_bodies_other_than_the_header_promised_are_refused(self):
        self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        effects = self.step(5, Bodies(mid(), [b"jello"]))
        self.assertEqual(len(effects_of(effects, Misbehaved)), 1)
        self.assertEqual(effects_of(effects, Record), [])

    def test_two_nodes_that_promise_different_bodies_are_answered_each_for_its_own(self):
        self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        self.step(60, bcast(60, 50, REASSIGN, header_only=True, bodies=[b"other"]))
        effects = self.step(5, Bodies(mid(), [b"hello"]))
        self.assertEqual([r.body for r in effects_of(effects, Record)], [b"hello"])
        self.step(20, covered(30))
        self.step(30, covered(50))
        effects = self.step(60, Bodies(mid(), [b"other"]))
        ((to, report),) = sent(effects, Covered)
        self.assertEqual((to, report.conflict, report.count), (60, 1, 0))

    def test_headers_that_wait_are_bounded_in_bytes_whatever_their_routes(self):
        route = [hop(50, EdgeKind.ORIGIN), *[Hop(raw(7), "n" * 255, 2)] * 150]
        for sequence in range(1, 600):
            hops = [*route, hop(5)]
            self.step(5, bcast(5, 50, REASSIGN, header_only=True, sequence=sequence, hops=hops))
        headless = self.node.broadcasts.headless
        self.assertLessEqual(headless.bytes, 4 * 1024 * 1024)
        self.assertGreater(len(headless), 10)
        self.die(5)
        self.assertEqual((len(headless), headless.bytes), (0, 0))

    def test_headers_that_wait_are_forgotten_after_a_while(self):
        self.step(5, bcast(5, 50, REASSIGN, header_only=True))
        self.now += 21.0
        self.tick(0.0)
        headless = self.node.broadcasts.headless
        self.assertEqual((len(headless), headless.bytes), (0, 0))

    def test_a_child_that_asks_again_and_again_is_given_the_bodies_a_few_times(self):
        self.step(5, bcast(5, 50))
        given = [sent(self.step(20, Ack(mid(), raw(30), True)), Bodies) for _ in range(12)]
        self.assertEqual(sum(map(len, given)), 8)


class ResendTests(NodeTestCase):
    """A delegate that lives and takes nothing: a program that crashes whenever it reads it."""

    def crash(self, times: int) -> list:
        """Let the suspicion of node 20 arise and be refuted again and again."""
        effects = []
        for _ in range(times):
            self.node.detector.suspect(self.ref(20))
            effects += self.step(20, covered(30, sequence=999))
        return effects

    def ref(self, identifier: int):
        return refs(identifier)[0]

    def test_a_crashing_delegate_gets_the_message_a_few_times_and_others_what_lies_beyond(self):
        self.step(5, bcast(5, 50))
        effects = self.crash(50)
        self.assertEqual(targets(effects, Bcast), [20] * 8)
        kinds = [t.what for t in effects_of(effects, Traced)]
        self.assertEqual(kinds.count(TraceKind.RESENT), 8)
        self.assertEqual(kinds.count(TraceKind.GAVE_UP), 1)
        ((_, question),) = sent(effects, Find)
        self.assertEqual(question.key, raw(21))
        ((to, message),) = sent(self.found(effects, 25), Bcast)
        self.assertEqual((to, message.kind, message.limit), (25, EXTEND, raw(30)))
        self.step(25, covered(30))
        ((_, report),) = sent(self.step(30, covered(50)), Covered)
        self.assertEqual((report.count, report.partial, ids(report.unreached)), (3, True, [20]))

    def test_a_delegate_that_acknowledged_is_asked_at_each_of_eight_looks_and_then_less(self):
        self.step(5, bcast(5, 50))
        self.step(20, Ack(mid(), raw(30), False))
        resent = 0
        for _ in range(180):
            effects = self.tick(0.1)
            resent += targets(effects, Bcast).count(20)
            self.step(20, Ack(mid(), raw(30), False))
        self.assertEqual(resent, 9, "after each of 8 looks, and after 16")


class RoomTests(NodeTestCase):
    def test_beyond_what_there_is_room_for_nothing_more_is_taken_on(self):
        self.make(max_active_bytes=2 * Branch.__sizeof__(Branch(refs(1)[0], b"", 0, 0, 0)) + 2000)
        for sequence in range(1, 30):
            self.step(5, bcast(5, 50, sequence=sequence, bodies=[b"x" * 500]))
        under_way = self.node.broadcasts.under_way
        self.assertLess(under_way, 6)
        self.assertEqual(self.node.counters["broadcasts_refused"], 29 - under_way)
        self.assertNotIn(mid(29), self.node.ledger, "whoever sent it sends it again")

    def test_a_digest_tells_bodies_apart_that_run_together(self):
        self.assertNotEqual(digest_of([b"ab", b"c"]), digest_of([b"a", b"bc"]))
        self.assertNotEqual(digest_of([b"abc"]), digest_of([b"abc", b""]))
