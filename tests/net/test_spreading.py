"""Roots and revocations between peers: what each claim of a peer leads to."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.net.enrol.spreading import Spreading
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.bundle import Bundle, Contents
from chordnet.wire.trust.bundles import BundleMessage, BundleText, BundleVersion
from tests.unit.trust_support import NOW, make_network


class Line:
    """A connection that notes what is sent."""

    def __init__(self) -> None:
        self.sent: list[BundleMessage] = []

    def send(self, message: BundleMessage) -> None:
        self.sent.append(message)


class SpreadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network()
        self.credentials = Credentials(self.network["one"])
        self.told: list[BundleMessage] = []
        self.spreading = Spreading(self.credentials, self.adopt, self.told.append)
        self.line = Line()

    def adopt(self, bundle: Bundle) -> None:
        self.credentials.replace(self.credentials.current().with_bundle(bundle))

    @property
    def version(self) -> int:
        return self.credentials.current().bundle.version

    def text(self, bundle: Bundle) -> BundleText:
        return BundleText(bundle.version, bundle.encode())

    def test_both_sides_say_their_version_when_they_meet(self):
        self.spreading.met(self.line)
        self.assertEqual(self.line.sent, [BundleVersion(1)])

    def test_a_peer_that_is_behind_is_sent_the_bundle_once_a_connection(self):
        for version in (0, -5, 0):
            self.spreading.heard(self.line, BundleVersion(version))
        self.assertEqual(self.line.sent, [self.text(self.network.bundle)])
        other = Line()
        self.spreading.heard(other, BundleVersion(0))
        self.assertEqual(len(other.sent), 1)

    def test_a_version_that_is_claimed_and_not_shown_changes_nothing(self):
        self.spreading.heard(self.line, BundleVersion(2**60))
        self.assertEqual((self.line.sent, self.told, self.version), ([], [], 1))

    def test_a_newer_bundle_is_taken_over_and_passed_on(self):
        newer = self.network.authority.revoke(NOW, name="two")
        self.spreading.heard(self.line, self.text(newer))
        self.assertEqual((self.version, self.told), (2, [self.text(newer)]))
        self.spreading.heard(self.line, self.text(newer))
        self.assertEqual(len(self.told), 1)

    def test_an_old_bundle_is_ignored_unread_also_if_it_claims_to_be_newer(self):
        old = self.network.bundle
        self.adopt(self.network.authority.revoke(NOW, name="two"))
        self.spreading.heard(self.line, self.text(old))
        self.spreading.heard(self.line, BundleText(99, old.encode()))
        self.assertEqual((self.version, self.told), (2, []))

    def test_a_forged_foreign_or_damaged_bundle_ends_the_connection(self):
        liar = make_network(seed=2).authority
        own = self.network.bundle
        forged = Bundle.make(Contents(own.network, 9, own.roots), [liar.root.key])
        for message in (
            self.text(forged),
            BundleText(9, liar.bundle.encode()),
            BundleText(9, b"x"),
            BundleText(9, b"\x00" * 200_000),
        ):
            with self.assertRaises(RemoteProtocolError):
                self.spreading.heard(self.line, message)
        self.assertEqual((self.version, self.told), (1, []))
