"""One node's or client's identity: its key, its certificate, and the roots that it trusts."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Final, Self

import attrs
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import Certificate, key_info, read_certificate
from chordnet.trust.base.errors import IdentityError, Untrusted
from chordnet.trust.base.files import (
    certificates_from_pem,
    key_from_pem,
    key_to_pem,
    make_private_directory,
    read_file,
    to_pem,
    write_private,
)
from chordnet.trust.base.subjects import Subject

KEY: Final = "key.pem"
CERTIFICATE: Final = "certificate.pem"
ROOTS: Final = "roots.pem"
BUNDLE: Final = "bundle.json"


class _BundleFile(msgspec.Struct):
    """The bundle as a file; ``signed`` counts, the rest is for people."""

    network: str
    version: int
    signed: str


@attrs.frozen
class Identity:
    """A key and the certificate that says whose it is.

    It is replaced as a whole when it is renewed; nothing in it changes.
    """

    key: Ed25519PrivateKey = attrs.field(repr=False)
    chain: tuple[bytes, ...]
    """The certificate and, unless a root has signed it, its issuer's (DER)."""
    bundle: Bundle = attrs.field(repr=False)
    leaf: Certificate = attrs.field(init=False, eq=False, repr=False)
    """The certificate, read."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "leaf", read_certificate(self.chain[0]))

    @property
    def subject(self) -> Subject:
        """Whom the certificate names."""
        return self.leaf.subject

    @property
    def network(self) -> str:
        """The network's identifier."""
        return self.bundle.network

    def sign(self, data: bytes) -> bytes:
        """Return the key's signature of ``data`` (64 bytes)."""
        return self.key.sign(data)

    def with_bundle(self, bundle: Bundle) -> Self:
        """Return this identity with other roots and revocations."""
        return attrs.evolve(self, bundle=bundle)

    def with_chain(self, chain: tuple[bytes, ...]) -> Self:
        """Return this identity with another certificate of the same key."""
        return attrs.evolve(self, chain=chain)

    def save(self, directory: Path) -> None:
        """Write the four files of an identity.

        The certificate comes last: a directory without it holds no identity, and what it needs
        to be believed is there before it.

        :raises IdentityError: a file cannot be written.
        """
        make_private_directory(directory)
        write_private(directory / KEY, key_to_pem(self.key))
        self.save_bundle(directory)
        write_private(directory / CERTIFICATE, to_pem(self.chain))

    def save_bundle(self, directory: Path) -> None:
        """Write the roots and revocations alone.

        :raises IdentityError: a file cannot be written.
        """
        write_private(directory / BUNDLE, bundle_to_json(self.bundle))
        write_private(directory / ROOTS, to_pem(self.bundle.roots))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read an identity; its dates are not judged.

        :raises IdentityError: a file is missing, damaged or open to others, or they do not belong
            together.
        """
        if not (directory / CERTIFICATE).exists():
            raise IdentityError(
                f"{directory} holds no identity ({CERTIFICATE} is missing); join a network with"
                " twistd -n chordnode --join TOKEN, and `p2pnet invite` prints the token"
            )
        key_file = directory / KEY
        key = key_from_pem(read_file(key_file, what="a private key", secret=True), key_file)
        certificate_file = directory / CERTIFICATE
        chain = certificates_from_pem(
            read_file(certificate_file, what="a certificate"), certificate_file
        )
        bundle = load_bundle(directory)
        try:
            identity = cls(key, chain, bundle)
        except Untrusted as error:
            raise IdentityError(f"{certificate_file} cannot be used: {error}") from None
        if not identity.leaf.is_leaf:
            raise IdentityError(f"{certificate_file} is not the certificate of a node or client")
        if identity.leaf.key_info != key_info(key.public_key()):
            raise IdentityError(f"{certificate_file} and {key_file} do not belong together")
        if identity.leaf.network != bundle.network:
            raise IdentityError(f"{certificate_file} and {directory / BUNDLE} are of two networks")
        return identity


def bundle_to_json(bundle: Bundle) -> bytes:
    """Return the text of a bundle's file."""
    text = base64.b64encode(bundle.encode()).decode()
    return msgspec.json.format(
        msgspec.json.encode(_BundleFile(bundle.network, bundle.version, text))
    )


def load_bundle(directory: Path) -> Bundle:
    """Read the bundle of an identity.

    :raises IdentityError: it is missing or damaged.
    """
    path = directory / BUNDLE
    data = read_file(path, what="the roots and revocations of a network")
    try:
        file = msgspec.json.decode(data, type=_BundleFile)
        return Bundle.decode(base64.b64decode(file.signed, validate=True))
    except (msgspec.DecodeError, ValueError, Untrusted) as error:
        raise IdentityError(f"{path} is damaged: {error}"[:300]) from None
