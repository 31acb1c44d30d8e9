"""The other side of enrolment and renewal: what somebody says who wants a certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from chordnet.net.enrol.desk import Security
from chordnet.net.tls.credentials import Credentials, enrolling_end
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.enrolment import EXPORTER_BYTES, EXPORTER_LABEL, Newcomer, accept_renewal
from chordnet.trust.identity import Identity
from chordnet.wire.trust.enrolment import JOIN, RENEW, Enrol, Granted, Renew, Roots

Wall = Callable[[], float]


@attrs.frozen
class Gift:
    """What somebody has been given, and checked."""

    identity: Identity
    address: str = ""
    """Of the node that has issued the certificate."""
    ring: str = ""
    bits: int = 0


class Talk(Protocol):
    """What is said to an issuer."""

    about: str

    def begin(self) -> TlsEnd:
        """Return the end of TLS for a connection to the issuer."""

    def ask(self, roots: Roots, security: Security) -> Enrol | Renew:
        """Return what to ask for, once the issuer has said whose it is.

        :raises Untrusted: it is another network's.
        """

    def accept(self, granted: Granted, security: Security) -> Gift:
        """Return what was given.

        :raises Untrusted: it is not what was asked for.
        """


class JoinTalk:
    """Somebody joins with a token."""

    about = JOIN

    def __init__(self, newcomer: Newcomer, wall: Wall) -> None:
        self._newcomer = newcomer
        self._wall = wall
        self._root = b""

    def begin(self) -> TlsEnd:
        """Return the end of TLS of somebody without an identity."""
        return enrolling_end()

    def ask(self, roots: Roots, security: Security) -> Enrol:
        """Prove that this is who was invited.

        :raises Untrusted: the network is not the one that the token is for.
        """
        newcomer = self._newcomer
        self._root = newcomer.check_server(security.chain, roots.roots, self._wall())
        asked = newcomer.ask(security.export(EXPORTER_LABEL, b"", EXPORTER_BYTES))
        return Enrol(asked.id, asked.proof, asked.request, asked.wish, asked.peer)

    def accept(self, granted: Granted, security: Security) -> Gift:
        """Return the new identity.

        :raises Untrusted: it is not what was asked for.
        """
        identity = self._newcomer.accept(self._root, granted.chain, granted.bundle, self._wall())
        return Gift(identity, granted.address, granted.ring, granted.bits)


class RenewTalk:
    """A member renews its certificate, which may have expired."""

    about = RENEW

    def __init__(self, credentials: Credentials, wall: Wall) -> None:
        self._credentials = credentials
        self._wall = wall

    def begin(self) -> TlsEnd:
        """Return the end of TLS that shows the old certificate."""
        return self._credentials.enrol()

    def ask(self, roots: Roots, security: Security) -> Renew:
        """Ask; who the issuer is can only be judged by the bundle that comes with the answer."""
        return Renew()

    def accept(self, granted: Granted, security: Security) -> Gift:
        """Return the renewed identity.

        :raises Untrusted: it is not what was asked for, or the issuer is not believed.
        """
        old = self._credentials.current()
        identity = accept_renewal(old, security.chain, granted.chain, granted.bundle, self._wall())
        return Gift(identity, granted.address, granted.ring, granted.bits)
