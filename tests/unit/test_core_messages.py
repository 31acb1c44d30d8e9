"""What messages are made of: pointers, ids, routes and digests."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import (
    EdgeKind,
    Hop,
    MessageId,
    NodeRef,
    contact,
    digest_of,
    route_bytes,
)


class MessageTests(SynchronousTestCase):
    def test_of_a_contact_only_the_address_is_known(self):
        self.assertEqual(contact("host:1"), NodeRef(b"", 0, "host:1", ""))
        self.assertTrue(contact("host:1").is_contact)

    def test_a_hop_takes_200_bytes_and_its_name(self):
        hops = [Hop(b"a", name, int(EdgeKind.FINGER)) for name in ("", "n1", "Node 17")]
        self.assertEqual(route_bytes(hops), 200 + 202 + 207)
        self.assertEqual(route_bytes([]), 0)

    def test_the_digest_of_bodies_is_the_one_that_all_versions_send(self):
        for bodies, expected in (
            ([], "cae66941d9efbd404e4d88758ea67670"),
            ([b"hello"], "3c67ed410b4375b242005d3663748255"),
            ([b"a", b"bc"], "2e59d15427dc6a6a3c4a50be48ecb260"),
        ):
            self.assertEqual(digest_of(bodies).hex(), expected)
        self.assertNotEqual(digest_of([b"ab", b"c"]), digest_of([b"a", b"bc"]))

    def test_an_id_is_written_and_read_and_counts_on(self):
        first = MessageId(b"\x0a\xff", 7, 3)
        self.assertEqual(str(first), "0aff.7.3")
        self.assertEqual(MessageId.parse("0aff.7.3"), first)
        self.assertEqual(first.plus(2), MessageId(b"\x0a\xff", 7, 5))
