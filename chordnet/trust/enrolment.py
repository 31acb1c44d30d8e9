"""Becoming a member, and staying one: what the issuer decides, and what the newcomer checks.

Both take place on a TLS connection in which the issuer's node has shown its certificate. Whoever
joins has shown none; whoever renews has shown the old one, which TLS has proved to be its own.

The newcomer believes nothing before it has found, by the hash in its token, the root that has
signed the issuer's certificate. It keeps nothing before it has checked what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import (
    RENEWAL_GRACE,
    Draw,
    draw_secret,
    key_info,
    new_key,
    read_certificate,
)
from chordnet.trust.base.errors import CHAIN, FOREIGN, MALFORMED, Refusal, Untrusted
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.invitations import Asked, Invitations
from chordnet.trust.issuing import Issuer, make_request, read_request
from chordnet.trust.tokens import Token, authority_hash
from chordnet.trust.verifying import verify, verify_role

EXPORTER_LABEL: Final = b"EXPORTER-chordnet-join"
EXPORTER_BYTES: Final = 32
"""What both ends of the connection compute (RFC 8446, section 7.5), with an empty context."""


class Registrar:
    """Gives certificates at a node that is an issuer.

    :param issuer: returns the issuer as it is now.
    :param bundle: returns the bundle that is in force here.
    """

    def __init__(
        self,
        issuer: Callable[[], Issuer],
        invitations: Invitations,
        bundle: Callable[[], Bundle],
        draw: Draw = draw_secret,
    ) -> None:
        self.invitations = invitations
        self._issuer = issuer
        self._bundle = bundle
        self._draw = draw

    def enrol(self, asked: Asked, exporter: bytes, now: float) -> tuple[bytes, ...]:
        """Return the chain of a newcomer's certificate.

        :param exporter: what both ends of the connection have in common.
        :raises Refusal: it gets none, and why.
        :raises IdentityError: the use of the invitation cannot be written down.
        """
        try:
            public = read_request(asked.request)
        except Untrusted as error:
            raise Refusal("certificate", str(error)) from None
        role, name = self.invitations.redeem(asked, exporter, now)
        enrolled = self._bundle().after(name, now)
        return self._issuer().issue(public, role, name, enrolled, self._draw)

    def renew(self, shown: Sequence[bytes], now: float) -> tuple[bytes, ...]:
        """Return the chain of a certificate that takes the place of the one shown.

        :raises Refusal: it gets none, and why.
        """
        try:
            old = verify(shown, self._bundle(), now, grace=RENEWAL_GRACE)
        except Untrusted as error:
            raise Refusal("certificate", _words(error)) from None
        return self._issuer().renew(read_certificate(shown[0]).key, old, now, self._draw)


def _words(error: Untrusted) -> str:
    if error.code == "expired":
        return f"{error}; after more than 90 days it cannot be renewed: join with a new token"
    return str(error)


@attrs.frozen
class Newcomer:
    """Somebody who joins with a token.

    :param wish: the name that it would like to have; empty for none.
    :param peer: whether it is a node; otherwise a client.
    """

    token: Token
    wish: str = ""
    peer: bool = True
    key: Ed25519PrivateKey = attrs.field(factory=new_key, repr=False)
    request: bytes = attrs.field(init=False, repr=False)
    """The certificate signing request; the same however often it is sent."""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "request", make_request(self.key, self.wish))

    def check_server(self, shown: Sequence[bytes], roots: Sequence[bytes], now: float) -> bytes:
        """Check that the node that was reached belongs to the network of the token.

        :param shown: the chain that it has shown.
        :param roots: the roots that it names.
        :return: the root that the token means.
        :raises Untrusted: it does not.
        """
        for der in roots:
            if authority_hash(read_certificate(der).key_info) == self.token.authority:
                verify_role(verify(shown, Bundle.of_root(der), now), peer=True)
                return der
        raise Untrusted(
            FOREIGN,
            "the node that answers is not of the network that the token is for: its authority has"
            " another key; ask for a new token",
        )

    def ask(self, exporter: bytes) -> Asked:
        """Return what to ask for, with the proof that this is who was invited."""
        asked = Asked(self.token.id, self.request, self.wish, self.peer)
        return attrs.evolve(asked, proof=asked.proved(self.token.secret, exporter))

    def accept(self, root: bytes, chain: Sequence[bytes], bundle: bytes, now: float) -> Identity:
        """Return the identity that was given.

        :param root: what :meth:`check_server` has returned.
        :raises Untrusted: it is not what was asked for.
        """
        given = Bundle.decode(bundle)
        trusted = Bundle.of_root(root)
        if given.network != trusted.network or not given.signed_by(trusted.anchors):
            raise Untrusted(CHAIN, "the bundle that was given is not signed by the authority")
        return _checked(self.key, chain, given, now)


def accept_renewal(
    old: Identity, shown: Sequence[bytes], chain: Sequence[bytes], bundle: bytes, now: float
) -> Identity:
    """Return the identity that takes the place of ``old``.

    A new bundle is taken over first: the authority may have been rotated since the last time.

    :param shown: the chain that the issuer's node has shown.
    :raises Untrusted: it is not what was asked for, or the issuer is not believed.
    """
    given = Bundle.decode(bundle)
    known = given if given.follows(old.bundle) else old.bundle
    verify_role(verify(shown, known, now), peer=True)
    new = _checked(old.key, chain, known, now)
    had, got = old.subject, new.subject
    if (had.role, had.name, had.line) != (got.role, got.name, got.line):
        raise Untrusted(MALFORMED, f"the certificate that was given is {got.name!r}'s")
    return new


def _checked(
    key: Ed25519PrivateKey, chain: Sequence[bytes], bundle: Bundle, now: float
) -> Identity:
    verify(chain, bundle, now)
    identity = Identity(key, tuple(chain), bundle)
    if identity.leaf.key_info != key_info(key.public_key()):
        raise Untrusted(MALFORMED, "the certificate that was given is for another key")
    return identity


def check_usable(identity: Identity, *, peer: bool) -> None:
    """Check that a new identity is a node's, or a client's.

    :raises Untrusted: it is the other one; the text says what to do.
    """
    role = identity.subject.role
    if peer != (role is Role.PEER):
        command = "p2pnet join TOKEN" if peer else "twistd -n chordnode --join TOKEN"
        raise Untrusted("role", f"the token is for the role {role.value!r}; use it with {command}")
