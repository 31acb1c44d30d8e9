"""The bundle of roots and revocations, and the authority that signs it."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.trust.authority import Authority
from chordnet.trust.base.bundle import MOST_REVOCATIONS, Bundle, Contents, Revocation
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.base.subjects import Role, line_text
from chordnet.trust.verifying import verify
from tests.unit.trust_support import DAY, HOUR, NOW, make_network, seeded


class Bundles(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network()
        self.authority = self.network.authority
        self.first = self.authority.bundle

    def refused(self, work, *arguments) -> Untrusted:
        with self.assertRaises(Untrusted) as caught:
            work(*arguments)
        return caught.exception

    def test_a_bundle_comes_back_from_its_bytes(self):
        bundle = self.authority.revoke(NOW, name="one")
        self.assertEqual(Bundle.decode(bundle.encode()), bundle)
        self.assertEqual((bundle.version, len(bundle.revoked)), (2, 1))

    def test_a_newer_bundle_that_a_known_root_has_signed_replaces_the_older(self):
        newer = self.authority.revoke(NOW, name="one")
        self.assertTrue(newer.follows(self.first))
        self.assertFalse(self.first.follows(newer))
        self.assertFalse(newer.follows(newer))

    def test_of_two_bundles_with_the_same_version_all_nodes_keep_the_same(self):
        again = attrs.evolve(self.authority)
        one, other = self.authority.revoke(NOW, name="one"), again.revoke(NOW, name="two")
        self.assertNotEqual(one.follows(other), other.follows(one))

    def test_a_bundle_that_no_known_root_has_signed_is_refused(self):
        liar = make_network(seed=2).authority.root
        contents = Contents(self.first.network, 9, (self.first.roots[0],))
        forged = Bundle.make(contents, [liar.key])
        self.assertEqual(self.refused(forged.follows, self.first).code, "chain")

    def test_a_bundle_of_another_network_is_foreign(self):
        other = make_network(seed=2).bundle
        self.assertEqual(self.refused(other.follows, self.first).code, "foreign")

    def test_a_changed_byte_of_a_bundle_is_noticed(self):
        newer = self.authority.revoke(NOW, name="one")
        data = newer.encode()
        at = data.index(b"one")
        changed = Bundle.decode(data[:at] + b"two" + data[at + 3 :])
        self.assertEqual(self.refused(changed.follows, self.first).code, "chain")

    def test_what_is_no_bundle_is_refused(self):
        root, key = self.first.roots[0], self.authority.root.key
        network = self.first.network
        leaf = self.network["one"].chain[0]
        for contents in (
            Contents(network, 1, ()),
            Contents(network, 1, (root,) * 4),
            Contents(network, 0, (root,)),
            Contents(network, 1, (leaf,)),
            Contents("0" * 32, 1, (root,)),
            Contents(network, 1, (root,), (Revocation(),)),
            Contents(network, 1, (root,), (Revocation(line="xyz"),)),
            Contents(network, 1, (root,), (Revocation("n" * 256),)),
            Contents(network, 1, (root,), (Revocation("n"),) * (MOST_REVOCATIONS + 1)),
            Contents(network, 1, (root,), (Revocation("n" * 255),) * 600),
        ):
            self.assertEqual(self.refused(Bundle.make, contents, [key]).code, "malformed")
        unsigned = Contents(network, 1, (root,))
        self.assertEqual(self.refused(Bundle.make, unsigned, []).code, "malformed")
        for data in (b"", b"\x93", self.first.encode()[:-1], b"0" * 300_000):
            self.assertEqual(self.refused(Bundle.decode, data).code, "malformed")

    def test_a_revoked_name_is_refused_and_one_enrolled_later_is_believed(self):
        old = self.network["one"]
        bundle = self.authority.revoke(NOW + DAY, name="one")
        self.assertEqual(self.refused(verify, old.chain, bundle, NOW + DAY).code, "revoked")
        verify(self.network["two"].chain, bundle, NOW + DAY)
        new = self.authority.identity(Role.PEER, "one", NOW + 2 * DAY)
        self.assertEqual(verify(new.chain, bundle, NOW + 2 * DAY).name, "one")

    def test_one_enrolled_in_the_second_of_the_revocation_or_by_a_clock_behind_is_believed(self):
        bundle = self.authority.revoke(NOW + DAY, name="one")
        for now in (NOW + DAY, NOW + DAY - HOUR / 2):
            new = self.authority.identity(Role.PEER, "one", now)
            self.assertEqual(verify(new.chain, bundle, now).name, "one")
        self.assertEqual(bundle.after("two", NOW), NOW)

    def test_a_renewal_does_not_escape_from_a_revocation(self):
        """An issuer that has not heard of the revocation renews a certificate after it."""
        old = self.network["one"]
        for revoked in ({"name": "one"}, {"lines": [line_text(old.subject.serial)]}):
            bundle = self.authority.revoke(NOW + DAY, **revoked)
            renewed = self.authority.root.renew(
                old.key.public_key(), old.subject, NOW + 5 * DAY, seeded(3)
            )
            self.assertEqual(self.refused(verify, renewed, bundle, NOW + 5 * DAY).code, "revoked")
            self.authority.bundle = self.first

    def test_a_revoked_and_expired_certificate_is_called_revoked(self):
        bundle = self.authority.revoke(NOW + DAY, name="one")
        error = self.refused(verify, self.network["one"].chain, bundle, NOW + 40 * DAY)
        self.assertEqual(error.code, "revoked")

    def test_a_revoked_issuer_is_believed_until_its_revocation_begins(self):
        issuer = self.authority.issuer("one", NOW)
        chain = issuer.issue(self.network["two"].key.public_key(), Role.PEER, "two", NOW)
        bundle = self.authority.revoke(
            NOW, name="one", lines=[line_text(issuer.certificate.serial)], start=NOW + HOUR
        )
        verify(chain, bundle, NOW + HOUR - 1)
        error = self.refused(verify, chain, bundle, NOW + HOUR)
        self.assertEqual(error.code, "revoked")
        self.assertIn("issuer 'one'", str(error))

    def test_a_revocation_is_dropped_when_it_concerns_nothing_any_more(self):
        self.authority.revoke(NOW, name="one")
        self.authority.revoke(NOW + DAY, name="one")
        self.assertEqual([each.at for each in self.authority.bundle.revoked], [NOW + DAY])
        bundle = self.authority.revoke(NOW + 200 * DAY, name="two")
        self.assertEqual([each.name for each in bundle.revoked], ["two"])


class Rotation(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network()
        self.authority = self.network.authority
        self.first = self.authority.bundle

    def test_both_roots_are_trusted_in_between_and_the_new_one_alone_afterwards(self):
        old = self.network["one"]
        both = self.authority.begin_rotation(NOW)
        new = self.authority.identity(Role.PEER, "one", NOW)
        verify(old.chain, both, NOW)
        verify(new.chain, both, NOW)
        with self.assertRaises(Untrusted):
            verify(new.chain, self.first, NOW)
        last = self.authority.finish_rotation()
        verify(new.chain, last, NOW)
        with self.assertRaises(Untrusted) as caught:
            verify(old.chain, last, NOW)
        self.assertEqual(caught.exception.code, "chain")
        self.assertEqual(last.network, self.first.network)

    def test_a_node_that_missed_the_first_step_follows_to_the_last(self):
        self.authority.begin_rotation(NOW)
        self.assertTrue(self.authority.finish_rotation().follows(self.first))

    def test_the_old_root_cannot_sign_what_replaces_the_last_bundle(self):
        thief = self.authority.root
        self.authority.begin_rotation(NOW)
        last = self.authority.finish_rotation()
        contents = Contents(last.network, 99, (thief.certificate.der,))
        with self.assertRaises(Untrusted):
            Bundle.make(contents, [thief.key]).follows(last)

    def test_each_step_can_be_repeated(self):
        both = self.authority.begin_rotation(NOW)
        self.assertIs(self.authority.begin_rotation(NOW), both)
        self.assertTrue(self.authority.rotating)
        last = self.authority.finish_rotation()
        self.assertIs(self.authority.finish_rotation(), last)
        self.assertFalse(self.authority.rotating)


class AuthorityFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "authority"
        self.authority = make_network().authority

    def test_an_authority_comes_back_from_its_file_also_in_the_middle_of_a_rotation(self):
        for change in (lambda: None, lambda: self.authority.begin_rotation(NOW)):
            change()
            self.authority.save(self.directory)
            loaded = Authority.load(self.directory)
            self.assertEqual(loaded.bundle, self.authority.bundle)
            self.assertEqual(loaded.rotating, self.authority.rotating)
            chain = loaded.identity(Role.OPERATE, "me", NOW).chain
            self.assertEqual(verify(chain, loaded.bundle, NOW).role, Role.OPERATE)

    def test_its_file_is_readable_by_its_owner_alone(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.authority.save(self.directory)
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)
        modes = {path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        self.assertEqual(modes, {0o600})

    def test_a_missing_open_or_damaged_file_is_told_in_one_line(self):
        def complaint() -> str:
            with self.assertRaises(IdentityError) as caught:
                Authority.load(self.directory)
            text = str(caught.exception)
            self.assertNotIn("\n", text)
            return text

        self.assertIn("is missing", complaint())
        self.authority.save(self.directory)
        path = self.directory / "authority.json"
        path.chmod(0o644)
        self.assertIn("chmod 600", complaint())
        path.chmod(0o600)
        good = path.read_text()
        other = make_network(seed=2).authority
        other.save(self.directory / "other")
        foreign = (self.directory / "other" / "authority.json").read_text()
        for bad in (
            "",
            "{}",
            good[:-9],
            good.replace("BEGIN PRIVATE", "BEGIN PUBLIC"),
            good.replace("BEGIN CERT", "BEGIN CRET"),
            foreign.split('"bundle"')[0] + '"bundle"' + good.split('"bundle"')[1],
        ):
            path.write_text(bad)
            self.assertIn("is damaged", complaint())
