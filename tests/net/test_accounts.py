"""What a node tells a client of its history in short, over a connection."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Hop, LedgerState, MessageId
from chordnet.net.observe.accounts import PAGE_BOUNDS, PAGE_ORIGINS, PAGE_TRAILS, history, trails
from chordnet.net.observe.views import Views
from chordnet.storage.log.memory import MemoryLog
from chordnet.testing import ScriptedCore
from chordnet.wire.codec import encode_frame, frame_limit
from chordnet.wire.rpc import KEPT_BOUNDS, HistoryReply
from tests.net.hosts import node_ref
from tests.net.test_service import ServiceCase

ORIGIN = bytes(20)


class Node:
    def __init__(self) -> None:
        self.core = ScriptedCore(node_ref("Node 1", "10.0.0.1:7001"))
        self.log = MemoryLog()
        self.views = Views(IdentifierSpace(160))

    def record(self, number: int, body: bytes = b"x") -> None:
        record = Record(MessageId(ORIGIN, 1, number), 1.0, body, [Hop(ORIGIN, "one", 0)])
        self.log.append(record, 2.0)


class PagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.node = Node()

    def lives(self, count: int, known: list[int]) -> None:
        self.node.core.accounts = [
            LedgerState(ORIGIN, life, known, []) for life in range(1, count + 1)
        ]

    def test_many_origins_come_in_pages(self) -> None:
        self.lives(PAGE_ORIGINS + 5, [1, 3])
        page, more = history(self.node, "")
        self.assertEqual((len(page.origins), more), (256, True))
        page, more = history(self.node, f"{ORIGIN.hex()}.256")
        self.assertEqual([each.incarnation for each in page.origins], [257, 258, 259, 260, 261])
        self.assertFalse(more)

    def test_the_largest_page_fits_into_a_frame(self) -> None:
        for number in range(1, 2 * KEPT_BOUNDS, 2):
            self.node.record(number)
        known = list(range(2**40, 2**40 + PAGE_BOUNDS - 1))
        self.lives(3, known)
        self.node.core.accounts[1].lost.extend(known)
        page, more = history(self.node, "")
        self.assertEqual((len(page.origins), more), (1, True))
        self.assertEqual(len(page.origins[0].kept), 2048)
        self.assertEqual(page.origins[0].kept[-1], 2 * KEPT_BOUNDS)
        frame = encode_frame(HistoryReply(1, page, more))
        self.assertLess(len(frame), frame_limit(65536))

    def test_the_origin_that_fills_a_page_is_the_last_of_it(self) -> None:
        almost = list(range(1, PAGE_BOUNDS))
        self.lives(4, almost)
        page, more = history(self.node, "")
        self.assertEqual(([each.incarnation for each in page.origins], more), ([1, 2], True))
        self.lives(4, [*almost, PAGE_BOUNDS + 1])
        page, _more = history(self.node, "")
        self.assertEqual([each.incarnation for each in page.origins], [1])

    def test_what_is_lost_and_what_is_kept_fill_a_page_as_what_is_known_does(self) -> None:
        self.lives(4, list(range(1, PAGE_BOUNDS - 3)))
        self.node.core.accounts[0].lost.extend([10_000, 10_001])
        page, _more = history(self.node, "")
        self.assertEqual(len(page.origins), 2)
        self.node.record(7)
        page, _more = history(self.node, "")
        self.assertEqual((len(page.origins), page.origins[0].kept), (1, [7, 8]))

    def test_messages_without_bodies_come_in_pages(self) -> None:
        for number in range(1, PAGE_TRAILS + 11):
            self.node.record(number, b"%d" % number)
        found, more = trails(self.node, 4, 100)
        self.assertEqual((len(found), more), (64, True))
        self.assertEqual(found[0].id, f"{ORIGIN.hex()}.1.6")
        self.assertEqual(found[0].digest, hashlib.blake2b(b"6", digest_size=16).digest())
        self.assertEqual((found[0].route, found[0].received_at), ([ORIGIN.hex()], 2.0))
        found, more = trails(self.node, 68, 100)
        self.assertEqual((len(found), more), (5, False))
        self.assertEqual(trails(self.node, 0, 3)[1], False)


class AskingTests(ServiceCase):
    def test_a_client_learns_what_is_recorded_and_kept(self) -> None:
        self.ring(3)
        ids = [self.result(self.client(1).send_message(body)).id for body in ("a", "b", "c")]
        for number in (1, 2, 3):
            told = self.result(self.client(number).history())
            (entry,) = told.origins
            self.assertEqual(f"{entry.origin}.{entry.incarnation}.3", ids[2])
            self.assertEqual((entry.known, entry.lost, entry.kept), ([1, 4], [], [1, 4]))
            self.assertEqual((told.kept, told.dropped), (3, 0))

    def test_a_client_gets_the_newest_messages_in_short(self) -> None:
        self.ring(3)
        ids = [self.result(self.client(1).send_message(f"m{n}")).id for n in range(70)]
        self.assertEqual([t.id for t in self.result(self.client(2).trails(3))], ids[-3:])
        self.assertEqual([t.id for t in self.result(self.client(2).trails())], ids)
        (after,) = self.result(self.client(3).trails(1, ids[5]))
        self.assertEqual(after.id, ids[6])
        records = self.result(self.client(3).get_messages(1, ids[5]))
        self.assertEqual(after.route, [hop.id for hop in records[0].route])

    def test_a_place_in_the_order_that_does_not_exist_is_refused(self) -> None:
        self.ring(1)
        for after in ("nonsense", "00.x", "0.0.0"):
            with self.assertRaises(LocalProtocolError):
                history(self.services[0].node, after)
