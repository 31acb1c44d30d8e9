"""The core's values as clients see them, field by field."""

from __future__ import annotations

import hashlib

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import BroadcastDone, Record, TraceKind
from chordnet.core.base.errors import BroadcastFailed, Busy, LookupFailed
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Hop, LedgerState, MessageId, NodeRef, RingLabel
from chordnet.core.log.ordering import Missing
from chordnet.net.observe.traces import Happening
from chordnet.net.observe.views import Views, broadcast_failure, lookup_failure
from chordnet.storage.base.paging import KeptMessage
from chordnet.wire.rpc import (
    MessageGap,
    MessageRecord,
    MessageTrail,
    NodeInfo,
    OriginHistory,
    Receipt,
    RouteHop,
    TraceEvent,
)

REF = NodeRef(b"\x0a\x0b", 3, "10.0.0.1:7001", "n1")
ID = MessageId(b"\x0a\x0b", 3, 4)


class ViewTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.views = Views(IdentifierSpace(16))
        hops = [Hop(b"\x0a\x0b", "n1", 0), Hop(b"\x00\x01", "n2", 99)]
        self.stored = KeptMessage(0, 2.5, Record(ID, 1.5, b"a\xffb", hops))

    def test_a_node_is_told_with_what_is_known_of_it(self) -> None:
        self.assertEqual(self.views.node(REF), NodeInfo("0a0b", "n1", "10.0.0.1:7001"))
        contact = NodeRef(b"", 0, "10.0.0.9:1")
        self.assertEqual(self.views.nodes([contact]), [NodeInfo("", "", "10.0.0.9:1")])

    def test_messages_are_told_whatever_their_bodies_and_the_kinds_of_their_hops(self) -> None:
        self.assertEqual(
            self.views.message(self.stored),
            MessageRecord(
                str(ID), "a\\xffb", 1.5, 2.5,
                [RouteHop("0a0b", "n1", "origin"), RouteHop("0001", "n2", "kind 99")],
            ),
        )  # fmt: skip

    def test_a_message_in_short_is_its_id_its_digest_and_its_way(self) -> None:
        digest = hashlib.blake2b(b"a\xffb", digest_size=16).digest()
        self.assertEqual(
            self.views.trail(self.stored), MessageTrail(str(ID), digest, 2.5, ["0a0b", "0001"])
        )

    def test_hops_are_made_once_and_not_more_are_kept_than_4096(self) -> None:
        first, again = (self.views.message(self.stored).route[0] for _ in range(2))
        self.assertIs(first, again)
        for number in range(4096):
            self.views._hop(number.to_bytes(2), f"x{number}", 1)
            self.assertLessEqual(len(self.views._hops), 4096)
        self.assertIsNot(self.views.message(self.stored).route[0], first)

    def test_what_is_known_of_an_origin_and_what_is_missing_are_told(self) -> None:
        account = LedgerState(b"\x0a\x0b", 3, [1, 5], [2, 3])
        self.assertEqual(
            self.views.history(account, [4, 5]), OriginHistory("0a0b", 3, [1, 5], [2, 3], [4, 5])
        )
        missing = Missing(b"\x0a\x0b", 3, 7, 9, dropped=True)
        self.assertEqual(
            self.views.gap(missing, "n1"), MessageGap("0a0b", "n1", 3, 7, 9, dropped=True)
        )

    def test_receipts_count_who_has_a_message_and_who_may_lack_it(self) -> None:
        done = BroadcastDone(
            1, ID, recorded=5, messages=6, depth=2, partial=True, unreached=[REF, REF], shared=3,
            conflict=1, lost=2,
        )  # fmt: skip
        node = NodeInfo("0a0b", "n1", "10.0.0.1:7001")
        self.assertEqual(
            self.views.receipt(done, "a", 0.5),
            Receipt(str(ID), "a", 5, 7, 6, 2, 0.5, True, [node, node], 3, 1, 2),
        )
        self.assertEqual(self.views.receipt(BroadcastDone(1, None), "a", 0.5).id, "")

    def test_the_way_of_a_message_is_its_record_and_what_happened_to_it(self) -> None:
        event = Happening(9.5, TraceKind.LOST_CHILD, REF)
        found = self.views.trace("x", self.stored, [event])
        self.assertEqual(found.record, self.views.message(self.stored))
        self.assertEqual(found.events, [TraceEvent(9.5, "lost_child", self.views.node(REF))])
        self.assertIsNone(self.views.trace("x", None, []).record)

    def test_the_label_of_a_ring_is_told_as_text(self) -> None:
        self.assertEqual((Views.label(RingLabel(1, 77)), Views.label(None)), ("1:77", ""))


class FailureTests(SynchronousTestCase):
    def test_each_reason_has_its_error(self) -> None:
        for failure, reason, kind, text in (
            (lookup_failure, "busy", Busy, "too many lookups"),
            (lookup_failure, "not in a ring", LookupFailed, "not in a ring"),
            (lookup_failure, "", LookupFailed, "no owner was found before the deadline"),
            (broadcast_failure, "busy", Busy, "too many broadcasts"),
            (broadcast_failure, "number taken", BroadcastFailed, "Nothing was sent"),
            (broadcast_failure, "not in a ring", BroadcastFailed, "not in a ring"),
            (broadcast_failure, "", BroadcastFailed, "the broadcast was not confirmed"),
        ):
            error = failure(reason)
            self.assertIs(type(error), kind)
            self.assertIn(text, str(error))
