"""The authority of a network: the keys of its roots, kept where its operator is.

Only it can make issuers, revoke, and put a new root in the place of the old one. No node needs it
from day to day: issuers renew the certificates.

To replace the root takes two bundles. The first (:meth:`Authority.begin_rotation`) trusts both;
from then on certificates are issued with the new one. The second (:meth:`finish_rotation`) trusts
the new one alone. In between every member has to hear of the first and get another certificate.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

import attrs
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chordnet.trust.base.bundle import Bundle, Contents, IssuerEntry, Revocation
from chordnet.trust.base.certificates import (
    DAY,
    LEAF_LIFETIME,
    RENEWAL_GRACE,
    Draw,
    draw_secret,
    key_info,
    make_issuer,
    make_root,
    new_key,
    read_certificate,
)
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
from chordnet.trust.base.subjects import Role, line_text, network_id
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import Issuer, read_request

AUTHORITY: Final = "authority.json"
"""The one file of an authority, so that it always holds together."""

REVOKED_FOR: Final = LEAF_LIFETIME + RENEWAL_GRACE + 30 * DAY
"""How long a revocation is kept: a certificate that an issuer renewed before it heard of the
revocation has expired by then, and so has the time in which that can be renewed."""


class _Root(msgspec.Struct):
    certificate: str
    key: str


class _File(msgspec.Struct):
    name: str
    roots: list[_Root]
    bundle: str


@attrs.define
class Authority:
    """The keys of a network's roots, and the bundle that is in force."""

    name: str
    """The network's name, for people."""
    roots: list[Issuer]
    """One, or two while one takes the place of the other; the newest last."""
    bundle: Bundle
    _draw: Draw = attrs.field(default=draw_secret, repr=False)

    @classmethod
    def create(cls, name: str, now: float, draw: Draw = draw_secret) -> Self:
        """Return the authority of a new network, which its first root gives its identifier."""
        key = new_key(draw)
        network = network_id(key_info(key.public_key()))
        root = _root(key, network, name, now, draw)
        contents = Contents(network, 1, (root.certificate.der,))
        return cls(name, [root], Bundle.make(contents, [key]), draw)

    @property
    def network(self) -> str:
        """The network's identifier."""
        return self.bundle.network

    @property
    def root(self) -> Issuer:
        """The root with which certificates are issued."""
        return self.roots[-1]

    @property
    def rotating(self) -> bool:
        """Whether a new root is about to take the place of the old one."""
        return len(self.roots) > 1

    def issue(
        self, key: Ed25519PublicKey | bytes, role: Role, name: str, now: float
    ) -> tuple[bytes, ...]:
        """Return the chain of a new certificate.

        :param key: the public key, or a certificate signing request (DER).
        :raises Untrusted: the request is not usable.
        """
        public = read_request(key) if isinstance(key, bytes) else key
        return self.root.issue(public, role, name, self.bundle.after(name, now), self._draw)

    def identity(self, role: Role, name: str, now: float) -> Identity:
        """Return a new identity, its key included."""
        key = new_key(self._draw)
        return Identity(key, self.issue(key.public_key(), role, name, now), self.bundle)

    def issuer(self, name: str, now: float) -> Issuer:
        """Return a new issuer, its key included, for the node of this name.

        The bundle, which says who issues certificates, changes.
        """
        key = new_key(self._draw)
        return Issuer(key, read_certificate(self.certify_issuer(key.public_key(), name, now)))

    def certify_issuer(self, public: Ed25519PublicKey, name: str, now: float) -> bytes:
        """Return a certificate (DER) for the key of an issuer; see :meth:`issuer`.

        If the node has been an issuer already, its new certificate is of the same line.
        """
        entries = {each.name: each for each in self.bundle.contents.issuers}
        present = entries.get(name)
        line = int(present.line, 16) if present is not None else None
        der = make_issuer(
            self.root.certificate, self.root.key, public, name, now, self._draw, line=line
        )
        if present is None:
            entries[name] = IssuerEntry(name, line_text(read_certificate(der).serial))
            self._publish(issuers=tuple(entries.values()))
        return der

    def revoke(
        self, now: float, *, name: str = "", lines: Iterable[str] = (), start: float = 0.0
    ) -> Bundle:
        """Return the bundle, from now on in force, that also revokes a name or lines.

        If the node of that name is an issuer, its issuer is revoked as well, and with it whatever
        that has signed. Revocations that concern nothing any more are left out.

        :param start: from when lines are revoked, so that others have time to get certificates that
            are signed by somebody else.
        :raises Untrusted: the bundle would be too large; put a new root in the place of the old.
        """
        until = now + REVOKED_FOR
        issuers = self.bundle.contents.issuers
        lines = [*lines, *(each.line for each in issuers if each.name == name)]
        new = [Revocation(line=line, at=now, until=until, start=start) for line in lines]
        if name:
            new.append(Revocation(name=name, at=now, until=until))
        replaced = {(each.name, each.line) for each in new}
        kept = [
            each
            for each in self.bundle.revoked
            if each.until > now and (each.name, each.line) not in replaced
        ]
        left = tuple(each for each in issuers if each.line not in lines)
        return self._publish(revoked=(*kept, *new), issuers=left)

    def begin_rotation(self, now: float) -> Bundle:
        """Add a new root; return the bundle that trusts it and the old one. Can be repeated."""
        if not self.rotating:
            root = _root(new_key(self._draw), self.network, self.name, now, self._draw)
            self.roots = [*self.roots, root]
            self._publish()
        return self.bundle

    def finish_rotation(self) -> Bundle:
        """Remove the old root and forget its key; return the bundle without it. Can be repeated."""
        if self.rotating:
            bundle = self._publish(self.roots[-1:])
            self.roots = self.roots[-1:]
            return bundle
        return self.bundle

    def _publish(
        self,
        trusted: Iterable[Issuer] | None = None,
        revoked: tuple[Revocation, ...] | None = None,
        issuers: tuple[IssuerEntry, ...] | None = None,
    ) -> Bundle:
        """Make the next bundle; what is None stays as it is.

        It is signed by all roots at hand, also by one that it leaves out.
        """
        present = self.bundle.contents
        roots = self.roots if trusted is None else trusted
        contents = Contents(
            self.network,
            present.version + 1,
            tuple(root.certificate.der for root in roots),
            present.revoked if revoked is None else revoked,
            present.issuers if issuers is None else issuers,
        )
        self.bundle = Bundle.make(contents, [root.key for root in self.roots])
        return self.bundle

    def save(self, directory: Path) -> None:
        """Write the authority's file.

        :raises IdentityError: it cannot be written.
        """
        make_private_directory(directory)
        roots = [
            _Root(to_pem([root.certificate.der]).decode(), key_to_pem(root.key).decode())
            for root in self.roots
        ]
        file = _File(self.name, roots, base64.b64encode(self.bundle.encode()).decode())
        write_private(directory / AUTHORITY, msgspec.json.format(msgspec.json.encode(file)))

    @classmethod
    def load(cls, directory: Path, draw: Draw = draw_secret) -> Self:
        """Read an authority's file.

        :raises IdentityError: it is missing, damaged or open to others.
        """
        path = directory / AUTHORITY
        data = read_file(path, what="the keys of a network's authority", secret=True)
        try:
            file = msgspec.json.decode(data, type=_File)
            bundle = Bundle.decode(base64.b64decode(file.bundle, validate=True))
            roots = [_read_root(each, path) for each in file.roots]
        except (msgspec.DecodeError, ValueError, Untrusted) as error:
            if isinstance(error, IdentityError):
                raise
            raise IdentityError(f"{path} is damaged: {error}"[:300]) from None
        if bundle.roots != tuple(root.certificate.der for root in roots):
            raise IdentityError(f"{path} is damaged: its keys and its bundle differ")
        return cls(file.name, roots, bundle, draw)


def _root(key: Ed25519PrivateKey, network: str, name: str, now: float, draw: Draw) -> Issuer:
    return Issuer(key, read_certificate(make_root(key, network, name, now, draw)))


def _read_root(file: _Root, path: Path) -> Issuer:
    key = key_from_pem(file.key.encode(), path)
    certificate = read_certificate(certificates_from_pem(file.certificate.encode(), path)[0])
    if certificate.key_info != key_info(key.public_key()):
        raise IdentityError(f"{path} is damaged: a root's key and certificate differ")
    return Issuer(key, certificate)
