"""The roots that a network trusts and the certificates that it has revoked, as one signed text.

There is one bundle in force, named by its version. Nodes pass it on to each other; a node takes
another for its own if that has a higher version and is signed by a root that the node trusts
already. So whoever holds no root's key can neither add a root nor take back a revocation, and an
old bundle replaces no newer one.

A bundle is signed by every root that is in it and, where one is taken out, by that one too, so that
also a node follows which knew the old roots alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Self

import attrs
import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordnet.core.base.naming import usable_name
from chordnet.trust.base.certificates import Certificate, key_info, read_certificate
from chordnet.trust.base.errors import CHAIN, FOREIGN, MALFORMED, Untrusted
from chordnet.trust.base.subjects import ROOT, enrolled_of, line_text

BUNDLE_LIMIT: Final = 128 * 1024
"""Bytes of the longest bundle."""
MOST_ROOTS: Final = 3
MOST_REVOCATIONS: Final = 2048
MOST_ISSUERS: Final = 64

_DOMAIN = b"chordnet bundle v1\x00"
_HIGHEST = (1 << 53) - 1


class Revocation(msgspec.Struct, frozen=True, array_like=True):
    """A name, or one line of certificates, that is no longer believed."""

    name: str = ""
    """Of a node or client: all its certificates that were enrolled up to ``at``; empty to go by
    ``line``. An issuer's certificate is revoked by its line alone."""
    line: str = ""
    """The certificates whose serial numbers begin so: 22 hexadecimal digits."""
    at: float = 0.0
    """When it was revoked; POSIX seconds."""
    until: float = 0.0
    """When the last such certificate has expired and cannot be renewed, so this can be dropped."""
    start: float = 0.0
    """From when it holds. An issuer's begins later than it is made known, so that those whose
    certificates it has signed get others before."""

    def holds(self, enrolled: float, now: float) -> bool:
        """Return True if it concerns a certificate, of its name or line, that began so."""
        return now >= self.start and (bool(self.line) or enrolled <= self.at)


class IssuerEntry(msgspec.Struct, frozen=True, array_like=True):
    """A node that issues certificates, and how the serial numbers of its issuer begin."""

    name: str
    line: str


class Contents(msgspec.Struct, frozen=True, array_like=True):
    """What a bundle says."""

    network: str
    version: int
    roots: tuple[bytes, ...]
    """Certificates (DER), the newest last: with that one certificates are issued."""
    revoked: tuple[Revocation, ...] = ()
    issuers: tuple[IssuerEntry, ...] = ()
    """To whom to go for a certificate."""


class Signature(msgspec.Struct, frozen=True, array_like=True):
    """One root's signature of a bundle."""

    key: bytes
    """SHA-256 of the root's SubjectPublicKeyInfo."""
    made: bytes


class _Signed(msgspec.Struct, frozen=True, array_like=True):
    payload: bytes
    signatures: tuple[Signature, ...]


_contents = msgspec.msgpack.Decoder(Contents)
_signed = msgspec.msgpack.Decoder(_Signed)


@attrs.frozen
class Bundle:
    """A bundle whose text was read; whether to believe it, :meth:`follows` says."""

    payload: bytes
    """The encoded :class:`Contents`: the text that is signed."""
    signatures: tuple[Signature, ...]
    contents: Contents = attrs.field(eq=False)
    anchors: tuple[Certificate, ...] = attrs.field(eq=False)
    """The roots, read."""
    _revoked: dict[str, list[Revocation]] = attrs.field(eq=False, repr=False)

    @property
    def network(self) -> str:
        """The network's identifier."""
        return self.contents.network

    @property
    def version(self) -> int:
        """Number of the bundle; the highest one is in force."""
        return self.contents.version

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The certificates of the roots (DER), the newest last."""
        return self.contents.roots

    @property
    def revoked(self) -> tuple[Revocation, ...]:
        """What is no longer believed."""
        return self.contents.revoked

    @property
    def revoked_names(self) -> tuple[str, ...]:
        """What is revoked, as it is told: names, and the beginnings of serial numbers."""
        return tuple(each.name or each.line for each in self.revoked)

    @property
    def issuers(self) -> tuple[str, ...]:
        """The names of the nodes that issue certificates."""
        return tuple(each.name for each in self.contents.issuers)

    @classmethod
    def make(cls, contents: Contents, keys: Iterable[Ed25519PrivateKey]) -> Self:
        """Return a bundle that says ``contents``, signed with the keys of roots.

        :raises Untrusted: it would be too long, or is no bundle.
        """
        payload = msgspec.msgpack.encode(contents)
        made = tuple(
            Signature(_fingerprint(key_info(key.public_key())), key.sign(_DOMAIN + payload))
            for key in keys
        )
        return cls._read(payload, made)

    def encode(self) -> bytes:
        """Return the bundle as one text of bytes."""
        return msgspec.msgpack.encode(_Signed(self.payload, self.signatures))

    @classmethod
    def of_root(cls, root: bytes) -> Self:
        """Return a bundle that nobody has signed, with one root: to verify a chain against that.

        :raises Untrusted: it is not the certificate of a root.
        """
        network = read_certificate(root).network
        return cls._read(msgspec.msgpack.encode(Contents(network, 1, (root,))), None)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what :meth:`encode` wrote; no signature is verified.

        :raises Untrusted: it is no bundle.
        """
        if len(data) > BUNDLE_LIMIT:
            raise Untrusted(MALFORMED, f"a bundle of {len(data)} bytes is too long")
        try:
            signed = _signed.decode(data)
        except msgspec.DecodeError as error:
            raise Untrusted(MALFORMED, f"the bundle cannot be read: {error}"[:200]) from None
        return cls._read(signed.payload, signed.signatures)

    @classmethod
    def _read(cls, payload: bytes, signatures: tuple[Signature, ...] | None) -> Self:
        try:
            contents = _contents.decode(payload)
        except msgspec.DecodeError as error:
            raise Untrusted(MALFORMED, f"the bundle cannot be read: {error}"[:200]) from None
        fault = _fault(contents) or _too_long(payload)
        if signatures is not None:
            fault = fault or _unsigned(signatures)
        if fault:
            raise Untrusted(MALFORMED, f"the bundle cannot be used: {fault}")
        anchors = tuple(read_certificate(root) for root in contents.roots)
        if any(anchor.kind != ROOT or anchor.network != contents.network for anchor in anchors):
            raise Untrusted(MALFORMED, "the bundle holds a certificate that is not a root of it")
        revoked = dict[str, list[Revocation]]()
        for each in contents.revoked:
            revoked.setdefault(f"line {each.line}" if each.line else each.name, []).append(each)
        return cls(payload, signatures or (), contents, anchors, revoked)

    def signed_by(self, anchors: Sequence[Certificate]) -> bool:
        """Return True if one of ``anchors`` has signed this bundle."""
        by_key = {_fingerprint(anchor.key_info): anchor for anchor in anchors}
        for signature in self.signatures:
            anchor = by_key.get(signature.key)
            if anchor is None:
                continue
            try:
                anchor.key.verify(signature.made, _DOMAIN + self.payload)
            except InvalidSignature:
                continue
            return True
        return False

    def follows(self, known: Bundle) -> bool:
        """Return True if this bundle should replace ``known``.

        Of two with the same version all nodes keep the same one, so that none is passed on forever.

        :raises Untrusted: it is of another network, or no root of ``known`` has signed it.
        """
        if self.network != known.network:
            raise Untrusted(FOREIGN, f"the bundle is of another network, {self.network}")
        if (self.version, _digest(self)) <= (known.version, _digest(known)):
            return False
        if not self.signed_by(known.anchors):
            raise Untrusted(
                CHAIN, f"no trusted root has signed version {self.version} of the bundle"
            )
        return True

    def after(self, name: str, now: float) -> float:
        """Return the time at which to enrol a member of this name: ``now``, or a little later.

        A name stands for all that were enrolled up to its revocation, by the clock of whoever
        revoked it. That may be this very second, or ahead of the clock here.
        """
        return max([now, *(each.at + 1.0 for each in self._revoked.get(name, ()))])

    def revokes(self, certificate: Certificate, now: float) -> bool:
        """Return True if a certificate is no longer believed."""
        if not self._revoked:
            return False
        enrolled = enrolled_of(certificate.serial)
        by_line = self._revoked.get(f"line {line_text(certificate.serial)}", ())
        by_name = self._revoked.get(certificate.name, ()) if certificate.is_leaf else ()
        return any(each.holds(enrolled, now) for each in (*by_line, *by_name))


def _fault(contents: Contents) -> str:
    """Return what is wrong with a bundle that a stranger may have written; empty if nothing is."""
    if not 1 <= len(contents.roots) <= MOST_ROOTS:
        return f"it has {len(contents.roots)} roots, from 1 to {MOST_ROOTS} are accepted"
    if not 1 <= contents.version <= _HIGHEST:
        return f"its version is {contents.version}"
    if len(contents.revoked) > MOST_REVOCATIONS:
        return f"it revokes {len(contents.revoked)}, at most {MOST_REVOCATIONS} are accepted"
    if len(contents.issuers) > MOST_ISSUERS:
        return f"it names {len(contents.issuers)} issuers, at most {MOST_ISSUERS} are accepted"
    if not all(usable_name(each.name) and _is_line(each.line) for each in contents.issuers):
        return "it names an issuer that no node can be"
    if not all(map(_usable, contents.revoked)):
        return "it revokes what is neither a name nor the beginning of a serial number"
    return ""


def _usable(revoked: Revocation) -> bool:
    if revoked.line:
        return not revoked.name and _is_line(revoked.line)
    return usable_name(revoked.name)


def _is_line(text: str) -> bool:
    return len(text) == 22 and set(text) <= set("0123456789abcdef")


def _unsigned(signatures: tuple[Signature, ...]) -> str:
    usable = all(len(each.key) == 32 and len(each.made) == 64 for each in signatures)
    few = 1 <= len(signatures) <= 2 * MOST_ROOTS
    return "" if usable and few else "it is not signed"


def _too_long(payload: bytes) -> str:
    # Leaves room for the signatures, so that what was made can be read.
    most = BUNDLE_LIMIT - 1024
    return f"it would have {len(payload)} bytes, at most {most}" if len(payload) > most else ""


def _fingerprint(info: bytes) -> bytes:
    return hashlib.sha256(info).digest()


def _digest(bundle: Bundle) -> bytes:
    return hashlib.sha256(bundle.payload).digest()
