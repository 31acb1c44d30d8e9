"""Subjects, certificates and the verdict on a chain of them."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from chordnet.trust.base.certificates import make_leaf, new_key, read_certificate
from chordnet.trust.base.errors import CODES, Untrusted
from chordnet.trust.base.subjects import (
    Role,
    Subject,
    line_of,
    network_id,
    new_serial,
    read_uri,
    renewed_serial,
    write_uri,
)
from chordnet.trust.verifying import moment, verify, verify_role
from tests.unit.trust_support import DAY, HOUR, NOW, make_network, seeded

NETWORK = "0123456789abcdef" * 2


class Subjects(SynchronousTestCase):
    def test_every_name_comes_back_from_its_uri(self):
        for name in ("n1", "a b/c?d#e", "kött", "%41", "x" * 255, "😀" * 255, ".."):
            with self.subTest(name):
                subject = Subject(NETWORK, Role.PEER, name, 1, 0.0, 1.0)
                uri = write_uri(subject.network, subject.role.value, subject.name)
                self.assertTrue(uri.isascii())
                self.assertEqual(read_uri(uri), (NETWORK, "peer", name))

    def test_what_is_not_written_as_we_write_it_is_refused(self):
        for uri in (
            "",
            f"chordnet://{NETWORK}/peer/",
            f"chordnet://{NETWORK}/king/n1",
            f"chordnet://{NETWORK.upper()}/peer/n1",
            f"chordnet://{NETWORK}/peer/n1/more",
            f"chordnet://{NETWORK}/peer/%6E1",
            f"chordnet://{NETWORK}/peer/%FF",
            f"chordnet://{NETWORK}/peer/%0A",
            f"https://{NETWORK}/peer/n1",
            write_uri(NETWORK, "peer", "x" * 256),
            write_uri(NETWORK, "peer", "x" * 9999),
        ):
            with self.subTest(uri[:60]), self.assertRaises(Untrusted) as caught:
                read_uri(uri)
            self.assertEqual(caught.exception.code, "malformed")

    def test_roles_of_clients_are_ordered_and_a_node_is_no_client(self):
        clients = [Role.READ, Role.SEND, Role.OPERATE]
        for held in clients:
            for needed in clients:
                expected = clients.index(held) >= clients.index(needed)
                self.assertEqual(held.covers(needed), expected)
            self.assertFalse(held.covers(Role.PEER))
            self.assertFalse(Role.PEER.covers(held))
        self.assertTrue(Role.PEER.covers(Role.PEER))

    def test_a_serial_number_tells_its_enrolment_and_a_renewal_keeps_that(self):
        first = new_serial(NOW + 0.9, bytes(range(14)))
        again = renewed_serial(first, b"\xff" * 8)
        self.assertNotEqual(first, again)
        self.assertEqual(line_of(first), line_of(again))
        subject = Subject(NETWORK, Role.PEER, "n1", again, 0.0, 1.0)
        self.assertEqual(subject.enrolled, NOW)
        self.assertEqual(subject.line, line_of(first))
        self.assertLess(new_serial(1e18, b"\xff" * 14).bit_length(), 160)

    def test_an_identifier_of_a_network_is_the_beginning_of_its_first_roots_hash(self):
        authority = make_network().authority
        root = authority.root.certificate
        self.assertEqual(authority.network, network_id(root.key_info))
        self.assertEqual(len(authority.network), 32)


class Certificates(SynchronousTestCase):
    def test_a_certificate_says_whom_it_names_and_from_when_to_when(self):
        network = make_network(["kött 1"])
        subject = network["kött 1"].subject
        self.assertEqual((subject.name, subject.role), ("kött 1", Role.PEER))
        self.assertEqual(subject.network, network.authority.network)
        self.assertEqual((subject.since, subject.until), (NOW - HOUR, NOW + 30 * DAY))
        self.assertEqual(subject.enrolled, NOW)

    def test_a_name_of_the_greatest_length_fits_into_a_certificate(self):
        name = "😀" * 255
        network = make_network([name])
        self.assertEqual(verify(network[name].chain, network.bundle, NOW).name, name)

    def test_no_certificate_outlives_the_one_that_signed_it(self):
        network = make_network()
        late = NOW + 360 * DAY
        issuer = network.authority.issuer("one", NOW)
        leaf = read_certificate(issuer.issue(new_key().public_key(), Role.PEER, "x", late)[0])
        self.assertEqual(leaf.until, issuer.certificate.until)
        self.assertEqual(issuer.certificate.until, NOW + 366 * DAY)

    def test_what_is_no_certificate_of_ours_is_refused(self):
        network = make_network()
        leaf = network["one"].chain[0]
        for data in (b"", b"\x00" * 99, leaf[:-1], leaf + b"x", b"0" * 10000):
            with self.subTest(data[:9]), self.assertRaises(Untrusted) as caught:
                read_certificate(data)
            self.assertEqual(caught.exception.code, "malformed")

    def test_a_certificate_with_another_kind_of_key_is_refused(self):
        network = make_network()
        root = network.authority.root
        other = generate_private_key(SECP256R1()).public_key()
        der = make_leaf(root.certificate, root.key, other, Role.PEER, "x", 5, NOW)  # type: ignore[arg-type]
        with self.assertRaises(Untrusted) as caught:
            read_certificate(der)
        self.assertIn("Ed25519", str(caught.exception))

    def test_two_names_in_one_certificate_are_refused(self):
        network = make_network()
        key = new_key()
        names = [write_uri(network.bundle.network, "peer", name) for name in ("a", "b")]
        old = network["one"].leaf.parsed
        builder = (
            x509.CertificateBuilder(old.issuer, old.subject, key.public_key(), 5)
            .not_valid_before(old.not_valid_before_utc)
            .not_valid_after(old.not_valid_after_utc)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName(list(map(x509.UniformResourceIdentifier, names))),
                critical=False,
            )
        )
        der = builder.sign(network.authority.root.key, None).public_bytes(Encoding.DER)
        with self.assertRaises(Untrusted) as caught:
            read_certificate(der)
        self.assertIn("exactly one name", str(caught.exception))


class Verdicts(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network(["one", "two"], issuers=1)
        self.bundle = self.network.bundle

    def refused(self, chain, now: float = NOW, *, bundle=None, grace: float = 0.0) -> Untrusted:
        with self.assertRaises(Untrusted) as caught:
            verify(chain, bundle or self.bundle, now, grace=grace)
        self.assertIn(caught.exception.code, CODES)
        return caught.exception

    def by_issuer(self, now: float = NOW) -> tuple[bytes, ...]:
        issuer = self.network.issuers["one"]
        return issuer.issue(new_key(seeded()).public_key(), Role.SEND, "web", now)

    def test_what_the_root_or_its_issuer_has_signed_is_believed(self):
        self.assertEqual(verify(self.network["one"].chain, self.bundle, NOW).name, "one")
        subject = verify(self.by_issuer(), self.bundle, NOW)
        self.assertEqual((subject.name, subject.role), ("web", Role.SEND))

    def test_a_root_that_openssl_adds_to_the_chain_counts_for_nothing(self):
        chain, other = self.network["one"].chain, make_network(seed=9)
        (own,), (foreign,) = self.bundle.roots, other.bundle.roots
        for root in (own, foreign):
            self.assertEqual(verify((*chain, root), self.bundle, NOW).name, "one")
            self.assertEqual(verify((*self.by_issuer(), root), self.bundle, NOW).name, "web")
            self.assertEqual(self.refused((*other["one"].chain, root)).code, "foreign")
        for wrong in ((*chain, own, own), (*self.by_issuer(), own, own), (own, *chain)):
            self.assertEqual(self.refused(wrong).code, "malformed")

    def test_an_hour_of_skew_is_borne_and_more_is_not(self):
        chain = self.network["one"].chain
        verify(chain, self.bundle, NOW - HOUR)
        error = self.refused(chain, NOW - HOUR - 1)
        self.assertEqual(error.code, "not-yet")
        self.assertIn("set the clocks", str(error))

    def test_a_certificate_expires_after_thirty_days(self):
        chain = self.network["one"].chain
        verify(chain, self.bundle, NOW + 29 * DAY)
        error = self.refused(chain, NOW + 31 * DAY)
        self.assertEqual(error.code, "expired")
        self.assertEqual(error.subject, self.network["one"].subject)

    def test_an_expired_certificate_is_accepted_with_grace_for_ninety_days(self):
        chain, grace = self.network["one"].chain, 90 * DAY
        self.assertEqual(verify(chain, self.bundle, NOW + 119 * DAY, grace=grace).name, "one")
        self.assertEqual(self.refused(chain, NOW + 121 * DAY, grace=grace).code, "expired")

    def test_an_expired_issuer_is_told_by_its_name(self):
        chain = self.by_issuer(NOW + 350 * DAY)
        error = self.refused(chain, NOW + 367 * DAY, grace=90 * DAY)
        self.assertEqual(error.code, "expired")
        self.assertIn("issuer 'one'", str(error))

    def test_a_certificate_of_another_network_is_foreign(self):
        other = make_network(["one"], seed=2)
        self.assertEqual(self.refused(other["one"].chain).code, "foreign")

    def test_a_chain_that_no_trusted_root_has_signed_is_refused(self):
        """Somebody makes an authority of his own, and claims our network's identifier."""
        key = new_key(seeded(9))
        liar = make_network(["one"], seed=2).authority.root
        forged = make_leaf(
            self.network.authority.root.certificate,
            liar.key,
            key.public_key(),
            Role.OPERATE,
            "one",
            5,
            NOW,
        )
        self.assertEqual(self.refused([forged]).code, "chain")

    def test_an_issuer_that_did_not_sign_the_leaf_is_refused(self):
        issuer = self.network.issuers["one"].certificate.der
        error = self.refused([self.network["one"].chain[0], issuer])
        self.assertEqual(error.code, "chain")

    def test_a_leaf_signs_no_other_certificate(self):
        """A member's key signs a certificate for itself, with the role to operate."""
        member = self.network["one"]
        key = new_key(seeded(9))
        forged = make_leaf(member.leaf, member.key, key.public_key(), Role.OPERATE, "one", 5, NOW)
        self.assertEqual(self.refused([forged, member.chain[0]]).code, "malformed")
        self.assertEqual(self.refused([forged]).code, "chain")

    def test_an_issuer_makes_no_issuer(self):
        issuer = self.network.issuers["one"]
        below = self.network.authority.issuer("two", NOW).certificate
        key = new_key(seeded(9))
        leaf = make_leaf(issuer.certificate, issuer.key, key.public_key(), Role.PEER, "x", 5, NOW)
        self.assertEqual(self.refused([leaf, issuer.certificate.der, below.der]).code, "malformed")

    def test_a_chain_of_no_certificate_or_of_issuers_alone_is_malformed(self):
        issuer = self.network.issuers["one"].certificate.der
        root = self.network.authority.root.certificate.der
        for chain in ([], [issuer], [root], [issuer, root], [root, root]):
            self.assertEqual(self.refused(chain).code, "malformed")

    def test_a_role_is_either_a_nodes_or_a_clients(self):
        peer = self.network["one"].subject
        client = self.network.client(Role.READ).subject
        verify_role(peer, peer=True)
        verify_role(client, peer=False)
        for subject, as_peer in ((peer, False), (client, True)):
            with self.assertRaises(Untrusted) as caught:
                verify_role(subject, peer=as_peer)
            self.assertEqual(caught.exception.code, "role")

    def test_moments_that_no_calendar_has_are_shown_nevertheless(self):
        self.assertEqual(moment(NOW), "2027-01-15 08:00 UTC")
        self.assertEqual(moment(1e300), f"{1e300:.0f} s")
