"""How somebody becomes a member, or renews a certificate: messages of ``chordnet-join/1``.

They travel over TLS, in frames as everywhere else. The side that dials sends :class:`Ask`. A node
that issues certificates answers with :class:`Roots`, any other with :class:`Referral`, and closes.
Then comes :class:`Enrol` or :class:`Renew`, as was announced, and the answer is :class:`Granted`.
``Refuse`` (:mod:`chordnet.wire.greeting`) may come in the place of each answer, and says why.

Whoever renews shows the certificate in the TLS handshake; whoever enrols shows none.
"""

from __future__ import annotations

from typing import Final

import msgspec

MAGIC: Final = "chordnet-join"
VERSION: Final = 1

JOIN: Final = "join"
RENEW: Final = "renew"


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    pass


class Ask(_Message, frozen=True, tag=201):
    """The first frame from the side that dials."""

    magic: str
    """Always ``chordnet-join``."""
    version: int
    about: str
    """``join`` or ``renew``."""


class Roots(_Message, frozen=True, tag=202):
    """This node issues certificates for the network with these roots."""

    roots: list[bytes]
    """Certificates (DER)."""


class Enrol(_Message, frozen=True, tag=203):
    """An invited newcomer asks for its first certificate."""

    id: bytes
    """Of the invitation."""
    proof: bytes
    """HMAC-SHA-256 with the invitation's secret."""
    request: bytes
    """A certificate signing request (PKCS #10, DER); its key counts."""
    wish: str
    """The name that the newcomer would like to have; may be empty."""
    peer: bool
    """Whether a node joins; otherwise a client."""


class Renew(_Message, frozen=True, tag=204):
    """A member asks for a certificate in the place of the one that it has shown."""


class Granted(_Message, frozen=True, tag=205):
    """The certificate."""

    chain: list[bytes]
    """The certificate and its issuer's (DER)."""
    bundle: bytes
    """The roots and revocations that are in force, signed."""
    address: str
    """Of the node that has issued it, to join the ring through."""
    ring: str
    """The name of the network, as greetings have it."""
    bits: int
    """The width of identifiers."""


class Referral(_Message, frozen=True, tag=206):
    """This node issues no certificates; these do."""

    addresses: list[str]
    """``HOST:PORT`` each; at most :data:`MOST_REFERRED`."""


MOST_REFERRED: Final = 8
