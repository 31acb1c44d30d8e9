"""Whom a certificate names: a network, a role and a name, and how these are written.

A certificate carries them as the one URI of its subject alternative name,
``chordnet://NETWORK/ROLE/NAME``: NETWORK is the network's identifier, NAME is percent-encoded. It
holds no address, so a node may move.

Serial numbers have a structure (19 bytes, big-endian): when the name was enrolled, in seconds (5
bytes), a random number of that enrolment (6), a random number of this certificate (8). A renewal
keeps the first two, its *line*: to revoke one certificate is to revoke all that were renewed from
it, also those of which the revoking side never heard.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Final
from urllib.parse import quote, unquote

import attrs

from chordnet.core.base.naming import usable_name
from chordnet.trust.base.errors import MALFORMED, Untrusted

SCHEME: Final = "chordnet://"
ISSUER: Final = "issuer"
"""What stands in the place of a role for a key that issues certificates."""
ROOT: Final = "root"

URI_LIMIT: Final = 4096
"""Characters of the longest URI: a name of 255 letters, each of them twelve when encoded."""

LINE_BITS: Final = 64
"""Low bits of a serial number that a renewal draws anew."""
_TIME_BITS = 40

_URI = re.compile(r"chordnet://([0-9a-f]{32})/([a-z]{1,16})/([A-Za-z0-9._~%-]{1,4000})")


class Role(StrEnum):
    """What the owner of a certificate may do."""

    PEER = "peer"
    """Be a node of the ring."""
    READ = "read"
    """Ask, and follow what happens."""
    SEND = "send"
    """The same, send messages and write keys."""
    OPERATE = "operate"
    """The same, and change the network: stop nodes, invite, revoke, begin and mend a store."""

    def covers(self, needed: Role) -> bool:
        """Return True if a client with this role may do what ``needed`` allows.

        A node is no client: its role covers nothing but itself.
        """
        if Role.PEER in (self, needed):
            return self is needed
        return _RANKS[self] >= _RANKS[needed]


_KINDS = frozenset({ISSUER, ROOT, *(role.value for role in Role)})
_RANKS = {Role.READ: 1, Role.SEND: 2, Role.OPERATE: 3}


@attrs.frozen
class Subject:
    """Whom a certificate names."""

    network: str
    """The network's identifier: 32 hexadecimal digits."""
    role: Role
    name: str
    serial: int
    since: float
    """From when the certificate is valid; POSIX seconds."""
    until: float

    @property
    def line(self) -> int:
        """What this certificate's serial number shares with those that it was renewed from."""
        return line_of(self.serial)

    @property
    def enrolled(self) -> float:
        """When the name was enrolled, before any renewal; POSIX seconds."""
        return enrolled_of(self.serial)


def new_serial(enrolled: float, drawn: bytes) -> int:
    """Return the serial number of the first certificate of a line; ``drawn`` is 14 random bytes."""
    seconds = min(max(int(enrolled), 0), (1 << (_TIME_BITS - 1)) - 1)
    return int.from_bytes(seconds.to_bytes(5) + drawn[:14])


def renewed_serial(serial: int, drawn: bytes) -> int:
    """Return the serial number of a renewal of ``serial``; ``drawn`` is 8 random bytes."""
    return line_of(serial) << LINE_BITS | int.from_bytes(drawn[:8])


def line_of(serial: int) -> int:
    """Return the part of a serial number that renewals keep."""
    return serial >> LINE_BITS


def line_text(serial: int) -> str:
    """Return the line of a serial number as revocations write it: 22 hexadecimal digits."""
    return f"{line_of(serial):022x}"


def enrolled_of(serial: int) -> float:
    """Return when the line of a serial number began; POSIX seconds."""
    return float(serial >> (LINE_BITS + 48))


def network_id(public_key: bytes) -> str:
    """Return the identifier of the network whose first root has this SubjectPublicKeyInfo."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def write_uri(network: str, kind: str, name: str) -> str:
    """Return the URI that a certificate of ``name`` carries; ``kind`` is a role's value."""
    return f"{SCHEME}{network}/{kind}/{quote(name, safe='')}"


def read_uri(uri: str) -> tuple[str, str, str]:
    """Return the network's identifier, the kind (a role's value, issuer or root) and the name.

    :raises Untrusted: it is not written as :func:`write_uri` writes it.
    """
    found = _URI.fullmatch(uri) if len(uri) <= URI_LIMIT else None
    if found is not None:
        network, kind, quoted = found.groups()
        name = _unquoted(quoted)
        if kind in _KINDS and usable_name(name) and write_uri(network, kind, name) == uri:
            return network, kind, name
    raise Untrusted(MALFORMED, f"the certificate does not name a member: {uri[:120]!r}")


def _unquoted(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return ""
