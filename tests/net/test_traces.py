"""What a node remembers of the way of broadcasts, and how clients ask for it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Traced, TraceKind
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.messages import MessageId
from chordnet.net.observe.traces import MAX_BROADCASTS, MAX_HAPPENINGS, MAX_NOTED, Happening, Traces
from chordnet.sim.world.heap import held_bytes
from tests.net.hosts import node_ref
from tests.net.test_service import ServiceCase

PEER = node_ref("Node 2", "10.0.0.2:7001")


def first(sequence: int) -> MessageId:
    return MessageId(bytes(20), 1, sequence)


class TracesTests(SynchronousTestCase):
    def setUp(self):
        self.traces = Traces(max_batch=256)

    def note(self, sequence: int, count: int = 1, at: float = 1.0) -> None:
        self.traces.note(Traced(first(sequence), count, TraceKind.DUPLICATE, PEER), at)

    def test_what_was_noted_comes_back_in_order(self):
        self.note(7, at=1.0)
        self.traces.note(Traced(first(7), 1, TraceKind.REPAIRED, PEER), 2.0)
        self.assertEqual(
            list(self.traces.of(first(7))),
            [Happening(1.0, TraceKind.DUPLICATE, PEER), Happening(2.0, TraceKind.REPAIRED, PEER)],
        )
        self.assertEqual(list(self.traces.of(first(6))), [])
        self.assertEqual(list(self.traces.of(first(8))), [])

    def test_every_message_of_a_batch_shares_what_happened_to_it(self):
        self.note(100, count=5)
        found = [n for n in range(90, 120) if self.traces.of(first(n))]
        self.assertEqual(found, [100, 101, 102, 103, 104])

    def test_broadcasts_and_the_happenings_of_one_broadcast_are_limited(self):
        for n in range(1, MAX_BROADCASTS + 11):
            self.note(n)
        self.assertEqual(len(self.traces._broadcasts), MAX_BROADCASTS)
        self.assertEqual(list(self.traces.of(first(10))), [])
        self.assertEqual(len(self.traces.of(first(11))), 1)
        for _ in range(MAX_HAPPENINGS + 10):
            self.note(50)
        self.assertEqual(len(self.traces.of(first(50))), MAX_HAPPENINGS)

    def test_the_happenings_of_all_broadcasts_together_have_a_limit_and_the_oldest_go(self):
        troubled = 2 * MAX_NOTED // MAX_HAPPENINGS
        for n in range(1, troubled + 1):
            for _ in range(MAX_HAPPENINGS):
                self.note(n)
                self.assertLessEqual(len(self.traces), MAX_NOTED)
        kept = [n for n in range(1, troubled + 1) if self.traces.of(first(n))]
        self.assertEqual(kept, list(range(troubled // 2 + 1, troubled + 1)))
        self.assertEqual(len(self.traces), MAX_NOTED)

    def test_all_that_is_remembered_takes_half_a_megabyte(self):
        for n in range(1, 2 * MAX_BROADCASTS):
            for _ in range(4):
                self.traces.note(
                    Traced(MessageId(bytes([n % 7] * 20), 1, n), 1, TraceKind.DUPLICATE, PEER),
                    float(n),
                )
        self.assertLess(held_bytes(self.traces), 0.5e6)


class AskingTests(ServiceCase):
    def test_a_message_that_went_smoothly_is_its_record_and_no_more(self):
        self.ring(5)
        receipt = self.result(self.client(1).send_message("apple"))
        trace = self.result(self.client(3).trace(receipt.id))
        self.assertEqual((trace.id, trace.events), (receipt.id, []))
        self.assertEqual(trace.record.body, "apple")
        self.assertEqual(trace.record.route[0].name, "Node 1")

    def test_a_delegate_that_dies_is_told_of_by_who_had_sent_it_there(self):
        ring = self.ring(8)
        tree = ring[0].node.core.routes.tree
        victim = tree[-1][1]
        self.network.frozen.add(victim.address)
        receipt = self.result(self.client(1).send_message("apple"), 6)
        self.assertEqual((receipt.recorded, receipt.partial), (7, False))
        trace = self.result(self.client(1).trace(receipt.id))
        told = [event.what for event in trace.events if event.peer.name == victim.name]
        self.assertEqual(told[:3], ["resent", "resent", "lost_child"])
        self.assertIn("repaired", [event.what for event in trace.events])
        times = [event.at for event in trace.events]
        self.assertEqual(times, sorted(times))
        self.network.thaw(victim.address)

    def test_a_message_that_nobody_knows_has_no_record_and_no_events(self):
        self.ring(1)
        unknown = str(MessageId(bytes(20), 1, 1))
        trace = self.result(self.client(1).trace(unknown))
        self.assertEqual((trace.id, trace.record, trace.events), (unknown, None, []))

    def test_what_is_no_id_is_refused(self):
        self.ring(1)
        for text in ("apple", "", "zz.1.2", "1.2"):
            self.failure(self.client(1).trace(text), LocalProtocolError)

    def test_a_receipt_says_how_many_shared_its_tree(self):
        self.ring(3)
        client = self.client(1)
        alone = self.result(client.send_message("apple"))
        self.assertEqual((alone.shared, alone.messages), (1, 2))
        together = [client.send_message(f"m{n}") for n in range(10)]
        receipts = [self.result(waiting) for waiting in together]
        self.assertEqual({(r.shared, r.messages) for r in receipts}, {(10, 2)})
