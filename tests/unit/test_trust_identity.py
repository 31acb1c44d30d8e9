"""The files of an identity and of an issuer, and requests for certificates."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.trial.unittest import SynchronousTestCase

from chordnet.trust.base.certificates import new_key
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import Issuer, make_request, read_request
from chordnet.trust.verifying import verify
from tests.unit.trust_support import NOW, make_network, seeded


class IdentityFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()) / "identity"
        self.network = make_network(issuers=1)
        self.identity = self.network["one"]

    def complaint(self, work=Identity.load) -> str:
        with self.assertRaises(IdentityError) as caught:
            work(self.directory)
        text = str(caught.exception)
        self.assertNotIn("\n", text)
        return text

    def test_an_identity_comes_back_from_its_files(self):
        self.identity.save(self.directory)
        loaded = Identity.load(self.directory)
        self.assertEqual(loaded.subject, self.identity.subject)
        self.assertEqual((loaded.chain, loaded.bundle), (self.identity.chain, self.identity.bundle))
        signature = loaded.sign(b"text")
        self.identity.leaf.key.verify(signature, b"text")
        with self.assertRaises(InvalidSignature):
            self.identity.leaf.key.verify(signature, b"other")

    def test_a_chain_with_an_issuer_comes_back_whole(self):
        chain = self.network.issuers["one"].issue(
            self.identity.key.public_key(), Role.PEER, "one", NOW
        )
        self.identity.with_chain(chain).save(self.directory)
        loaded = Identity.load(self.directory)
        self.assertEqual(loaded.chain, chain)
        self.assertEqual(verify(loaded.chain, loaded.bundle, NOW).name, "one")

    def test_its_files_are_readable_by_their_owner_alone(self):
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.identity.save(self.directory)
        self.identity.save(self.directory)
        self.network.issuers["one"].save(self.directory)
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)
        modes = {path.name: path.stat().st_mode & 0o777 for path in self.directory.iterdir()}
        names = ("key.pem", "certificate.pem", "roots.pem", "bundle.json")
        names += ("issuer-key.pem", "issuer.pem")
        self.assertEqual(modes, dict.fromkeys(names, 0o600))

    def test_a_directory_without_a_certificate_holds_no_identity_and_says_how_to_get_one(self):
        self.assertIn("--join TOKEN", self.complaint())

    def test_a_missing_open_or_damaged_file_is_told_in_one_line(self):
        self.identity.save(self.directory)
        for name, text in (("key.pem", "is missing"), ("bundle.json", "is missing")):
            path = self.directory / name
            kept = path.read_bytes()
            path.unlink()
            self.assertIn(text, self.complaint())
            path.write_bytes(kept[:-30])
            path.chmod(0o600)
            self.assertIn("is damaged", self.complaint())
            path.write_bytes(b"x" * (1 << 21))
            self.assertIn("is damaged", self.complaint())
            path.write_bytes(kept)
        (self.directory / "key.pem").chmod(0o640)
        self.assertIn("chmod 600", self.complaint())
        (self.directory / "key.pem").chmod(0o600)
        certificate = self.directory / "certificate.pem"
        certificate.write_bytes(b"no certificate")
        self.assertIn("is damaged", self.complaint())

    def test_files_that_do_not_belong_together_are_refused(self):
        self.identity.save(self.directory)
        key, certificate = self.directory / "key.pem", self.directory / "certificate.pem"
        bundle = self.directory / "bundle.json"
        right = {path: path.read_bytes() for path in (key, certificate, bundle)}
        make_network(["one"], seed=2)["one"].save(self.directory)
        foreign = bundle.read_bytes()
        for path, kept in right.items():
            path.write_bytes(kept)
        self.network["two"].save(self.directory)
        key.write_bytes(right[key])
        self.assertIn("do not belong together", self.complaint())
        certificate.write_bytes(right[certificate])
        bundle.write_bytes(foreign)
        self.assertIn("of two networks", self.complaint())
        other = generate_private_key(SECP256R1())
        key.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.assertIn("Ed25519", self.complaint())

    def test_the_certificate_of_an_authority_is_no_identity(self):
        self.identity.save(self.directory)
        root = self.network.authority.root
        Issuer(root.key, root.certificate).save(self.directory / "root")
        for source, name in (("issuer.pem", "certificate.pem"), ("issuer-key.pem", "key.pem")):
            data = (self.directory / "root" / source).read_bytes()
            (self.directory / name).write_bytes(data)
        self.assertIn("not the certificate of a node or client", self.complaint())

    def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing_beside_it(self):
        (self.directory / "certificate.pem" / "taken").mkdir(parents=True)
        self.assertIn("cannot be written", self.complaint(self.identity.save))
        names = {path.name for path in self.directory.iterdir()}
        self.assertEqual(names, {"key.pem", "bundle.json", "roots.pem", "certificate.pem"})

    def test_an_issuer_comes_back_from_its_files(self):
        self.assertIsNone(Issuer.load(self.directory))
        issuer = self.network.issuers["one"]
        issuer.save(self.directory)
        loaded = Issuer.load(self.directory)
        assert loaded is not None
        self.assertEqual(loaded.certificate.der, issuer.certificate.der)
        other = self.network.authority.issuer("two", NOW)
        (self.directory / "other").mkdir()
        other.save(self.directory / "other")
        (self.directory / "other" / "issuer-key.pem").replace(self.directory / "issuer-key.pem")
        self.assertIn("do not belong together", self.complaint(Issuer.load))
        (self.directory / "issuer-key.pem").unlink()
        self.assertIn("is missing", self.complaint(Issuer.load))


class Requests(SynchronousTestCase):
    def test_a_request_gives_the_key_of_who_made_it(self):
        key = new_key(seeded())
        for name in ("one", "", "😀" * 255):
            self.assertEqual(read_request(make_request(key, name)), key.public_key())

    def test_a_request_that_its_key_did_not_sign_is_refused(self):
        request = make_request(new_key(seeded()), "one")
        changed = request[:-1] + bytes([request[-1] ^ 1])
        for data in (b"", request[:-1], changed, b"x" * 9000):
            with self.assertRaises(Untrusted) as caught:
                read_request(data)
            self.assertEqual(caught.exception.code, "malformed")
