"""Headers that wait for their bodies: how many, for how long, and what they may take up."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Bcast, Detour, EdgeKind
from chordnet.core.broadcast.headless import Headless
from tests.unit.core_support import make_context, ref
from tests.unit.test_core_broadcast import bcast, hop, mid

REASSIGN = EdgeKind.REASSIGN
COST = 512 + 2 * (200 + 2)
"""Bytes of a header with two hops named n5, say."""


def header(sender: int, limit: int = 50, sequence: int = 1, **changes) -> Bcast:
    hops = [hop(5), hop(sender)]
    return bcast(sender, limit, REASSIGN, sequence=sequence, header_only=True, hops=hops, **changes)


class HeadlessTests(SynchronousTestCase):
    def setUp(self):
        self.ctx = make_context(successors=3, broadcast_memory_s=8.0)
        self.headless = Headless(self.ctx)

    def add(self, sender: int, limit: int = 50, sequence: int = 1, **changes) -> None:
        self.headless.add(ref(sender), header(sender, limit, sequence, **changes))

    def taken(self, sequence: int = 1) -> list[tuple[int, int]]:
        return [(node.id, h.limit[0]) for node, h in self.headless.take(mid(sequence))]

    def test_nothing_waits_at_first(self):
        self.assertEqual((len(self.headless), self.headless.bytes, self.taken()), (0, 0, []))

    def test_only_who_sent_a_header_may_send_its_bodies(self):
        self.add(5)
        self.add(6)
        found = [self.headless.awaits(mid(n), ref(node)) for n, node in ((1, 5), (1, 6), (1, 7))]
        self.assertEqual([*found, self.headless.awaits(mid(2), ref(5))], [True, True, False, False])

    def test_a_header_weighs_512_bytes_and_its_hops_and_those_of_its_detours(self):
        self.add(5)
        self.assertEqual(self.headless.bytes, COST)
        self.add(6, detours=[Detour(0, 1, [hop(5)]), Detour(1, 1, [hop(6), hop(7)])])
        self.assertEqual(self.headless.bytes, 2 * COST + 3 * 202)

    def test_a_later_header_of_the_same_node_for_the_same_range_takes_the_place_of_the_first(self):
        self.add(5, detours=[Detour(0, 1, [hop(5)])])
        self.add(5)
        self.assertEqual(self.headless.bytes, COST)
        self.add(5, detours=[Detour(0, 1, [hop(5)])])
        self.assertEqual(self.headless.bytes, COST + 202)
        self.add(5, 40)
        self.add(6)
        self.assertEqual(self.taken(), [(5, 50), (5, 40), (6, 50)])
        self.assertEqual((len(self.headless), self.headless.bytes), (0, 0))

    def test_as_many_headers_of_one_message_wait_as_a_list_has_nodes(self):
        for sender in (5, 6, 7, 8):
            self.add(sender)
        self.assertEqual(self.headless.bytes, 3 * COST)
        self.assertEqual([node for node, _limit in self.taken()], [5, 6, 7])

    def test_1024_messages_wait_and_the_oldest_goes_first(self):
        for sequence in range(1, 1025):
            self.add(5, sequence=sequence)
        self.assertEqual(len(self.headless), 1024)
        self.assertTrue(self.headless.awaits(mid(1), ref(5)))
        self.add(5, sequence=1025)
        found = [self.headless.awaits(mid(n), ref(5)) for n in (1, 2, 1025)]
        self.assertEqual(found, [False, True, True])
        self.assertEqual((len(self.headless), self.headless.bytes), (1024, 1024 * COST))

    def test_four_megabytes_wait_and_the_oldest_goes_first(self):
        size = 4 * 1024 * 1024 // 8 - COST
        hops, rest = divmod(size, 202)
        for sequence in range(1, 9):
            self.headless.add(ref(5), self.sized(sequence, hops, rest))
        self.assertEqual((len(self.headless), self.headless.bytes), (8, 4 * 1024 * 1024))
        self.add(5, sequence=9)
        self.assertEqual(self.headless.awaits(mid(1), ref(5)), False)
        self.assertEqual(len(self.headless), 8)

    def sized(self, sequence: int, hops: int, rest: int) -> Bcast:
        """A header whose detours take up ``hops`` times 202 bytes and ``rest`` bytes more."""
        first = replace(hop(5), name="n5" + "x" * rest)
        return header(5, sequence=sequence, detours=[Detour(0, 1, [first] + [hop(5)] * (hops - 1))])

    def test_what_a_dead_node_sent_is_forgotten_and_what_others_sent_is_not(self):
        self.add(5)
        self.add(6)
        self.add(5, sequence=2)
        self.headless.died(ref(5))
        self.assertEqual((len(self.headless), self.headless.bytes), (1, COST))
        self.assertEqual((self.taken(2), self.taken(1)), ([], [(6, 50)]))

    def test_a_header_waits_as_long_as_a_broadcast_is_remembered(self):
        self.add(5)
        for now, count in ((7.75, 1), (8.0, 0)):
            self.ctx.now = now
            self.headless.tick()
            self.assertEqual(len(self.headless), count, now)
        self.assertEqual(self.headless.bytes, 0)
