"""A key that signs the certificates of nodes and clients: a root's, or an issuer's."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from chordnet.trust.base.certificates import (
    CERTIFICATE_LIMIT,
    Certificate,
    Draw,
    draw_secret,
    key_info,
    make_leaf,
    read_certificate,
)
from chordnet.trust.base.errors import MALFORMED, IdentityError, Untrusted
from chordnet.trust.base.files import (
    certificates_from_pem,
    key_from_pem,
    key_to_pem,
    make_private_directory,
    read_file,
    to_pem,
    write_private,
)
from chordnet.trust.base.subjects import ISSUER, Role, Subject, new_serial, renewed_serial

ISSUER_KEY: Final = "issuer-key.pem"
ISSUER_CERTIFICATE: Final = "issuer.pem"


@attrs.frozen
class Issuer:
    """A key that may sign certificates, with its own certificate."""

    key: Ed25519PrivateKey = attrs.field(repr=False)
    certificate: Certificate

    @property
    def below(self) -> tuple[bytes, ...]:
        """What follows a leaf in a chain: this issuer's certificate, unless it is a root."""
        return (self.certificate.der,) if self.certificate.kind == ISSUER else ()

    def certified(self, certificate: bytes) -> Self:
        """Return this issuer with another certificate (DER) of the same key.

        :raises Untrusted: it is not one of an issuer, or of another key or network.
        """
        new = read_certificate(certificate)
        own = self.certificate
        if (new.kind, new.network, new.key_info) != (ISSUER, own.network, own.key_info):
            raise Untrusted(MALFORMED, "the certificate is not one for this issuer")
        return attrs.evolve(self, certificate=new)

    def issue(
        self,
        public: Ed25519PublicKey,
        role: Role,
        name: str,
        now: float,
        draw: Draw = draw_secret,
    ) -> tuple[bytes, ...]:
        """Return the chain of a new certificate: it begins a line of its own."""
        return self._issue(public, role, name, new_serial(now, draw(14)), now)

    def renew(
        self,
        public: Ed25519PublicKey,
        old: Subject,
        now: float,
        draw: Draw = draw_secret,
    ) -> tuple[bytes, ...]:
        """Return the chain of a certificate that takes the place of ``old``, of the same line."""
        serial = renewed_serial(old.serial, draw(8))
        return self._issue(public, old.role, old.name, serial, now)

    def _issue(
        self, public: Ed25519PublicKey, role: Role, name: str, serial: int, now: float
    ) -> tuple[bytes, ...]:
        leaf = make_leaf(self.certificate, self.key, public, role, name, serial, now)
        return (leaf, *self.below)

    def save(self, directory: Path) -> None:
        """Write the two files of an issuer beside those of its node's identity.

        :raises IdentityError: a file cannot be written.
        """
        make_private_directory(directory)
        write_private(directory / ISSUER_KEY, key_to_pem(self.key))
        write_private(directory / ISSUER_CERTIFICATE, to_pem([self.certificate.der]))

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Read an issuer; None if there is none in the directory.

        :raises IdentityError: a file is missing, damaged or open to others.
        """
        path, key_path = directory / ISSUER_CERTIFICATE, directory / ISSUER_KEY
        if not path.exists():
            return None
        key = key_from_pem(read_file(key_path, what="an issuer's key", secret=True), key_path)
        chain = certificates_from_pem(read_file(path, what="an issuer's certificate"), path)
        try:
            certificate = read_certificate(chain[0])
        except Untrusted as error:
            raise IdentityError(f"{path} cannot be used: {error}") from None
        if certificate.kind != ISSUER or certificate.key_info != key_info(key.public_key()):
            raise IdentityError(f"{path} and {key_path} do not belong together")
        return cls(key, certificate)


def make_request(key: Ed25519PrivateKey, name: str) -> bytes:
    """Return a certificate signing request (PKCS #10, DER): the owner of ``key`` asks for one."""
    common = name.encode()[:64].decode(errors="ignore") or "new"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def read_request(request: bytes) -> Ed25519PublicKey:
    """Return the key of a certificate signing request; nothing else in it counts.

    :raises Untrusted: it cannot be read, or whoever made it does not have the key.
    """
    if len(request) > CERTIFICATE_LIMIT:
        raise Untrusted(MALFORMED, f"a request of {len(request)} bytes is too long")
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        signed = parsed.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Untrusted(MALFORMED, f"the request cannot be read: {error}"[:200]) from None
    if not isinstance(key, Ed25519PublicKey) or not signed:
        raise Untrusted(MALFORMED, "the request is not signed with an Ed25519 key of its own")
    return key
