"""The certificates of a network: how they are made, and what is read from one.

They are X.509, with Ed25519 keys alone, so that any TLS library and ``openssl`` can use them. There
are three kinds: a *root* signs itself, an *issuer* is signed by a root, and a *leaf* (of a node or
a client) by either. All begin an hour before they are made, for clocks that are behind.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chordnet.trust.base.errors import MALFORMED, Untrusted
from chordnet.trust.base.subjects import (
    ISSUER,
    LINE_BITS,
    ROOT,
    Role,
    Subject,
    new_serial,
    read_uri,
    renewed_serial,
    write_uri,
)

Draw = Callable[[int], bytes]
"""Returns so many bytes that nobody can guess."""

draw_secret: Final[Draw] = secrets.token_bytes
"""The one source of chance of this room, unless another is passed in."""

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR

BACKDATED: Final = HOUR
"""How much earlier than it is made a certificate begins."""
LEAF_LIFETIME: Final = 30 * DAY
ISSUER_LIFETIME: Final = 366 * DAY
ROOT_LIFETIME: Final = 3653 * DAY
RENEWAL_GRACE: Final = 90 * DAY
"""For how long an expired certificate can still be renewed."""

CERTIFICATE_LIMIT: Final = 8192
"""Bytes of the longest certificate that is read."""

_READING_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)


@attrs.frozen(eq=False)
class Certificate:
    """What one certificate says of itself; nothing of it is verified yet."""

    der: bytes
    network: str
    kind: str
    """``root``, ``issuer`` or the value of a role."""
    name: str
    serial: int
    since: float
    until: float
    key: Ed25519PublicKey
    parsed: x509.Certificate = attrs.field(repr=False)

    @property
    def subject(self) -> Subject:
        """Whom a leaf names."""
        return Subject(
            self.network, Role(self.kind), self.name, self.serial, self.since, self.until
        )

    @property
    def is_leaf(self) -> bool:
        """Whether it belongs to a node or a client, and signs no other."""
        return self.kind not in (ISSUER, ROOT)

    @property
    def key_info(self) -> bytes:
        """The SubjectPublicKeyInfo of its key (DER)."""
        return key_info(self.key)

    def signed_by(self, parent: Certificate) -> bool:
        """Return True if ``parent`` is named as its issuer and has signed it."""
        try:
            self.parsed.verify_directly_issued_by(parent.parsed)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


def read_certificate(der: bytes) -> Certificate:
    """Read one certificate; its signature and its dates are not judged.

    :raises Untrusted: it is not one of the three kinds of certificates that networks have.
    """
    if len(der) > CERTIFICATE_LIMIT:
        raise Untrusted(MALFORMED, f"a certificate of {len(der)} bytes is too long")
    try:
        parsed = x509.load_der_x509_certificate(der)
        key = parsed.public_key()
        extensions = parsed.extensions
        names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
        since = parsed.not_valid_before_utc.timestamp()
        until = parsed.not_valid_after_utc.timestamp()
    except _READING_ERRORS as error:
        raise Untrusted(MALFORMED, f"the certificate cannot be read: {error}"[:200]) from None
    if not isinstance(key, Ed25519PublicKey):
        raise Untrusted(MALFORMED, "the certificate's key is not an Ed25519 key")
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise Untrusted(MALFORMED, "the certificate does not carry exactly one name, a URI")
    network, kind, name = read_uri(names[0].value)
    if constraints.ca != (kind in (ISSUER, ROOT)):
        raise Untrusted(MALFORMED, "the certificate's URI and its right to sign others differ")
    return Certificate(der, network, kind, name, parsed.serial_number, since, until, key, parsed)


def key_info(key: Ed25519PublicKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key (DER): what its hashes are made of."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def new_key(draw: Draw = draw_secret) -> Ed25519PrivateKey:
    """Return a new private key."""
    return Ed25519PrivateKey.from_private_bytes(draw(32))


def make_root(
    key: Ed25519PrivateKey, network: str, name: str, now: float, draw: Draw = draw_secret
) -> bytes:
    """Return a root's certificate (DER), signed by itself.

    :param name: the network's, for people; it may be cut, so that a root is always short.
    """
    public = key.public_key()
    common = _name(f"chordnet root {key_info(public)[-4:].hex()} of {name}")
    return _sign(
        _begin(common, public, new_serial(now, draw(14)), now, now + ROOT_LIFETIME),
        write_uri(network, ROOT, "authority"),
        (key, public, common),
        signs=1,
    )


def make_issuer(
    parent: Certificate,
    parent_key: Ed25519PrivateKey,
    public: Ed25519PublicKey,
    name: str,
    now: float,
    draw: Draw = draw_secret,
    *,
    line: int | None = None,
) -> bytes:
    """Return the certificate (DER) of a key that may sign leaves; ``parent`` is a root.

    :param line: of the certificate that it takes the place of; None if it is the first.
    """
    until = min(now + ISSUER_LIFETIME, parent.until)
    serial = new_serial(now, draw(14))
    if line is not None:
        serial = renewed_serial(line << LINE_BITS, draw(8))
    common = _name(f"chordnet issuer {key_info(public)[-4:].hex()} at {name}")
    return _sign(
        _begin(common, public, serial, now, until),
        write_uri(parent.network, ISSUER, name),
        (parent_key, parent.key, parent.parsed.subject),
        signs=0,
    )


def make_leaf(
    parent: Certificate,
    parent_key: Ed25519PrivateKey,
    public: Ed25519PublicKey,
    role: Role,
    name: str,
    serial: int,
    now: float,
) -> bytes:
    """Return the certificate (DER) of a node or a client; ``parent`` is a root or an issuer."""
    until = min(now + LEAF_LIFETIME, parent.until)
    return _sign(
        _begin(_name(name), public, serial, now, until),
        write_uri(parent.network, role.value, name),
        (parent_key, parent.key, parent.parsed.subject),
        signs=None,
    )


def _name(text: str) -> x509.Name:
    """Return a distinguished name, for people to read; X.509 cuts it at 64 characters."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _cut(text))])


def _cut(text: str) -> str:
    return text.encode()[:64].decode(errors="ignore")


def _begin(
    name: x509.Name, public: Ed25519PublicKey, serial: int, now: float, until: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(_moment(now - BACKDATED))
        .not_valid_after(_moment(until))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _sign(
    builder: x509.CertificateBuilder,
    uri: str,
    parent: tuple[Ed25519PrivateKey, Ed25519PublicKey, x509.Name],
    *,
    signs: int | None,
) -> bytes:
    """Return the finished certificate (DER).

    :param parent: the key that signs, its public half and the name of its owner.
    :param signs: how many issuers may stand below it; None if it signs no other certificate.
    """
    key, public, issuer = parent
    builder = (
        builder.issuer_name(issuer)
        .add_extension(x509.BasicConstraints(signs is not None, signs), critical=True)
        .add_extension(_usage(signs=signs is not None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    if signs is None:
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
