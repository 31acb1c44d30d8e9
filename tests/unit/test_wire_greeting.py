"""Who is let in: versions, networks, identities; and what a phrase is."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import InvalidMessage
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.wire.greeting import Hello, agreed_version, judge
from chordnet.wire.phrases import check_phrase

SPACE = IdentifierSpace(160)


def node(name: str, incarnation: int = 5) -> NodeRef:
    raw = SPACE.raw(SPACE.hash(name.encode()))
    return NodeRef(raw, incarnation, "10.0.0.1:7001", name)


ME = node("me")
PEER = Hello("chordnet", 2, "default", 160, "peer", node("you"), 2)
CLIENT = Hello("chordnet", 2, "", 0, "client")


class VersionTests(SynchronousTestCase):
    def agree(self, newest: int, oldest: int) -> int | None:
        return agreed_version(Hello("chordnet", newest, "", 0, "client", None, oldest))

    def test_the_newest_common_version_is_spoken(self):
        self.assertEqual(self.agree(2, 2), 2)
        self.assertEqual(self.agree(4, 1), 2)

    def test_without_an_oldest_one_a_single_version_is_meant(self):
        self.assertEqual(self.agree(2, 0), 2)
        self.assertIsNone(self.agree(3, 0))

    def test_without_a_common_version_none_is_spoken(self):
        self.assertIsNone(self.agree(4, 3))
        self.assertIsNone(self.agree(1, 1))
        self.assertIsNone(self.agree(0, 0))
        self.assertIsNone(self.agree(-5, -7))


class JudgeTests(SynchronousTestCase):
    def refused(self, hello: Hello, code: str, **changes: object) -> str:
        refusal = judge(msgspec.structs.replace(hello, **changes), ME, "default", SPACE)
        self.assertIsNotNone(refusal)
        self.assertEqual(refusal.code, code)
        return refusal.text

    def test_a_peer_and_a_client_are_welcome(self):
        self.assertIsNone(judge(PEER, ME, "default", SPACE))
        self.assertIsNone(judge(CLIENT, ME, "default", SPACE))

    def test_another_protocol_is_refused(self):
        self.refused(PEER, "greeting", magic="memcached")

    def test_another_role_is_refused(self):
        self.refused(PEER, "greeting", role="admin")

    def test_another_version_is_named_with_the_one_spoken_here(self):
        text = self.refused(PEER, "version", version=9, oldest=8)
        self.assertEqual(text, "protocol version 2 is spoken here, not 9")

    def test_another_network_is_refused(self):
        text = self.refused(PEER, "network", network="other")
        self.assertEqual(text, "this is network 'default', not 'other'")
        self.refused(CLIENT, "network", network="other")
        self.refused(PEER, "network", network="")

    def test_another_width_of_identifiers_is_refused(self):
        self.refused(PEER, "bits", bits=6)
        self.refused(CLIENT, "bits", bits=6)
        self.refused(PEER, "bits", bits=0)

    def test_a_peer_without_a_usable_identity_is_refused(self):
        you = node("you")
        for changes in ({"raw": b"short"}, {"name": ""}, {"name": "x" * 256}, {"address": ""},
                        {"name": "two\nlines"}, {"address": "\x1b[31m"}, {"address": "nowhere"},
                        {"address": "a..b:1"}, {"address": "x" * 64 + ":1"}):  # fmt: skip
            wrong = msgspec.structs.replace(you, **changes)
            self.refused(PEER, "identity", node=wrong)
        self.refused(PEER, "identity", node=None)

    def test_an_identifier_that_is_not_the_names_hash_is_refused(self):
        self.refused(PEER, "identity", node=msgspec.structs.replace(node("you"), name="him"))

    def test_a_node_that_dials_itself_is_refused(self):
        text = self.refused(PEER, "self", node=ME)
        self.assertEqual(text, "'me' was dialled by itself")

    def test_another_node_of_the_same_name_is_refused(self):
        text = self.refused(PEER, "name", node=node("me", incarnation=6))
        self.assertIn("give every node its own name", text)


class PhraseTests(SynchronousTestCase):
    def test_a_phrase_is_returned_as_bytes(self):
        self.assertEqual(check_phrase("äpfel"), "äpfel".encode())
        self.assertEqual(check_phrase("x" * 65536), b"x" * 65536)

    def test_what_is_no_phrase_is_refused(self):
        bad = ("", " ", "two words", "tab\tbed", "line\n", "\u2003", "no\u00a0break", "x" * 65537)
        for body in (*bad, "ä" * 32769, "\udc80"):
            self.assertRaises(InvalidMessage, check_phrase, body)
