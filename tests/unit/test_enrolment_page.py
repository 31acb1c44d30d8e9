"""The page on enrolment tells the truth: its bytes, its tables, its figures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.trust.base.certificates import new_key
from chordnet.trust.base.subjects import Role, line_text, new_serial, renewed_serial, write_uri
from chordnet.trust.enrolment import EXPORTER_BYTES, EXPORTER_LABEL
from chordnet.trust.invitations import Asked
from chordnet.trust.issuing import make_request
from chordnet.trust.tokens import Token, read_token
from chordnet.wire.codec import encode_frame, read_ask, read_grant, read_offer, read_wanted
from chordnet.wire.trust import enrolment as wire
from chordnet.wire.trust.bundles import BundleVersion
from tests.unit.test_wire_docs import written_fields
from tests.unit.trust_support import NOW, make_network, seeded

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "enrolment.md").read_text("utf-8")
BLOCKS = re.findall(r"```text\n(.*?)```", PAGE, re.S)

SECRET, ID, EXPORTER = bytes(range(16)), bytes(range(16, 24)), bytes(range(32))
TOKEN = Token(("192.0.2.5:7001",), bytes(range(32, 48)), ID, SECRET)


def vectors() -> list[bytes]:
    """Return the frames and other bytes on the page, in order."""
    request = make_request(new_key(seeded()), "berlin-1")
    asked = Asked(ID, request, "berlin-1", peer=True)
    proof = asked.proved(SECRET, EXPORTER)
    return [
        encode_frame(BundleVersion(3)),
        encode_frame(wire.Ask(wire.MAGIC, wire.VERSION, wire.JOIN)),
        request,
        proof,
        encode_frame(wire.Renew()),
    ]


class EnrolmentPageTests(SynchronousTestCase):
    def test_the_bytes_are_those_that_are_sent(self):
        shown = [bytes.fromhex(block) for block in BLOCKS if re.fullmatch(r"[0-9a-f\s]+", block)]
        self.assertEqual(shown, vectors())

    def test_the_token_of_the_page_is_the_one_that_is_described(self):
        (word,) = [block.strip() for block in BLOCKS if block.startswith("chordnet1-")]
        self.assertEqual(word, str(TOKEN))
        self.assertEqual(read_token(word), TOKEN)

    def test_every_message_is_on_the_page_with_its_tag_and_fields(self):
        rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*?) \|", PAGE, re.M)
        kinds = (wire.Ask, wire.Roots, wire.Enrol, wire.Renew, wire.Granted, wire.Referral)
        expected = [
            (str(kind.__struct_config__.tag), kind.__name__, written_fields(kind)) for kind in kinds
        ]
        self.assertEqual(rows, expected)

    def test_what_a_certificate_carries_is_as_described(self):
        network = make_network(["Node 1"])
        leaf = network["Node 1"].leaf
        self.assertIn(f"`{write_uri('36fb164fa4b1dba04152390447d32a35', 'peer', 'Node 1')}`", PAGE)
        self.assertEqual(
            network.bundle.network,
            hashlib.sha256(network.authority.root.certificate.key_info).hexdigest()[:32],
        )
        first = new_serial(NOW, bytes(14))
        self.assertEqual(line_text(first), line_text(renewed_serial(first, bytes(8))))
        self.assertEqual(leaf.subject.role, Role.PEER)
        self.assertIn(f"`{EXPORTER_LABEL.decode()}`", PAGE)
        self.assertIn(f"{EXPORTER_BYTES} bytes", PAGE)

    def test_every_frame_of_the_conversation_decodes(self):
        network = make_network(["Node 1"])
        root, chain = network.bundle.roots, network["Node 1"].chain
        granted = wire.Granted(list(chain), network.bundle.encode(), "h:1", "default", 160)
        for reader, message in (
            (read_ask, wire.Ask(wire.MAGIC, wire.VERSION, wire.RENEW)),
            (read_offer, wire.Roots(list(root))),
            (read_offer, wire.Referral(["h:1"])),
            (read_wanted, wire.Enrol(ID, b"p" * 32, b"r", "n", peer=True)),
            (read_wanted, wire.Renew()),
            (read_grant, granted),
        ):
            self.assertEqual(reader(encode_frame(message)[4:]), message)

    def test_the_text_that_a_root_signs_is_as_described(self):
        bundle = make_network().bundle
        contents = msgspec.msgpack.decode(bundle.payload)
        self.assertEqual(contents[:2], [bundle.network, 1])
        self.assertIn("`chordnet bundle v1`", PAGE)
        (signature,) = bundle.signatures
        bundle.anchors[0].key.verify(signature.made, b"chordnet bundle v1\x00" + bundle.payload)
