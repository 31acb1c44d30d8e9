"""Cookies: how a client shows that it may operate a node, without giving the secret away.

A cookie is a file that the owner of a node can read and others cannot. A client that can read it,
too, shows that in its greeting by a *proof*, a keyed hash of what it dials and when. So a program
that waits at a port where a node used to be learns no secret from the clients that come, and what
it was shown works neither at another port nor after :data:`SKEW_S` seconds.

A client cannot know whose node it meets, and may have several cookies. It shows a proof of each.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence

import msgspec

MOST_PROOFS = 8
"""In one greeting."""
SKEW_S = 120.0
"""How far the clocks of client and node may differ."""

_DOMAIN = "chordnet cookie 1"


class Shown(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a client shows in its greeting."""

    at: int
    """The client's wall clock, in whole seconds since 1970."""
    port: int
    """The port that it has dialled."""
    proofs: list[bytes]
    """HMAC-SHA256 with each cookie as the key; 32 bytes each."""


def show(cookies: Sequence[bytes], at: float, port: int) -> Shown | None:
    """Return what a client shows that has these cookies; None if it has none."""
    if not cookies:
        return None
    when = int(at)
    proofs = [_proof(cookie, when, port) for cookie in cookies[:MOST_PROOFS]]
    return Shown(when, port, proofs)


def proves(shown: Shown, cookies: Iterable[bytes]) -> bool:
    """Return True if one of the proofs is of one of these cookies.

    What is compared takes the same time however much of it agrees.
    """
    found = False
    for cookie in cookies:
        wanted = _proof(cookie, shown.at, shown.port)
        for proof in shown.proofs[:MOST_PROOFS]:
            found |= hmac.compare_digest(wanted, proof)
    return found


def _proof(cookie: bytes, at: int, port: int) -> bytes:
    said = f"{_DOMAIN}\0{at}\0{port}".encode()
    return hmac.digest(cookie, said, hashlib.sha256)
