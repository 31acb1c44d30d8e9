"""What a node or client shows of itself, and whom it believes; replaced while it runs.

A connection keeps the identity that it was made with, since OpenSSL does not change one that is in
use. After :meth:`Credentials.replace` new connections show the new one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL

from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.errors import MALFORMED, IdentityError, Untrusted
from chordnet.trust.base.subjects import Subject
from chordnet.trust.identity import BUNDLE, CERTIFICATE, Identity
from chordnet.trust.verifying import verify, verify_role

MEMBERS = "chordnet/1"
"""What members speak inside TLS (ALPN)."""
ENROLMENT = "chordnet-join/1"
"""What is spoken to become a member, or to stay one with a new certificate."""


class Credentials:
    """The identity of one node or client at this moment.

    :param wall: returns the wall clock in seconds since 1970; certificates are judged by it.
    :param directory: where the identity is kept; None if it is not.
    """

    def __init__(
        self,
        identity: Identity,
        wall: Callable[[], float] = time.time,
        directory: Path | None = None,
    ) -> None:
        self._identity = identity
        self.directory = directory
        self._wall = wall
        self._followers: list[Callable[[], None]] = []
        self._contexts: dict[str, SSL.Context] = {}
        self._read_at = self._stamp()

    def current(self) -> Identity:
        """Return the identity."""
        return self._identity

    @property
    def network(self) -> str:
        """The identifier of the network that it belongs to."""
        return self._identity.network

    @property
    def subject(self) -> Subject:
        """Whom its certificate names."""
        return self._identity.subject

    def replace(self, identity: Identity) -> None:
        """Show another identity from now on, and believe whom it believes.

        Those who :meth:`subscribe` are told before this returns.

        :raises IdentityError: it is somebody else's.
        """
        old, new = self._identity.subject, identity.subject
        if (old.network, old.role, old.name) != (new.network, new.role, new.name):
            raise IdentityError(
                f"an identity of {old.role} {old.name!r} cannot be replaced by one of"
                f" {new.role} {new.name!r}"
            )
        self._identity = identity
        self._contexts = {}
        for follower in tuple(self._followers):
            follower()

    def refresh(self) -> None:
        """Take over what somebody else has put into the directory since it was read last.

        A client's identity is renewed by other programs. What cannot be used is left alone: the
        node that is dialled says what is wrong with the present one.
        """
        stamp = self._stamp()
        if stamp == self._read_at or self.directory is None:
            return
        self._read_at = stamp
        with suppress(IdentityError):
            self.replace(Identity.load(self.directory))

    def _stamp(self) -> tuple[int, ...]:
        """Return when the files of the identity were written."""
        if self.directory is None:
            return ()
        try:
            files = [self.directory / name for name in (CERTIFICATE, BUNDLE)]
            return tuple(file.stat().st_mtime_ns for file in files)
        except OSError:
            return ()

    def subscribe(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Have ``changed`` called after each replacement; return what ends that."""
        self._followers.append(changed)
        return lambda: self._followers.remove(changed)

    def verify(self, chain: Sequence[bytes]) -> Subject:
        """Return whom a chain of certificates (DER) names.

        :raises Untrusted: it is not believed here and now.
        """
        if not chain:
            raise Untrusted(MALFORMED, "no certificate was shown")
        return verify(chain, self._identity.bundle, self._wall())

    def accept(self) -> TlsEnd:
        """Return the end of a connection that was accepted."""
        return TlsEnd(self._context(MEMBERS), server=True)

    def dial(self) -> TlsEnd:
        """Return the end of a connection that was dialled as a member."""
        return TlsEnd(self._context(MEMBERS), server=False)

    def enrol(self) -> TlsEnd:
        """Return the end of a connection that was dialled for a new certificate."""
        return TlsEnd(self._context(ENROLMENT), server=False)

    def _context(self, application: str) -> SSL.Context:
        context = self._contexts.get(application)
        if context is None:
            context = self._contexts[application] = _context(application, self._identity)
        return context


def credentials_of(
    given: str | os.PathLike[str] | Identity | None,
    wall: Callable[[], float],
    *,
    peer: bool,
) -> Credentials | None:
    """Return what an identity, or the directory of one, has to show; None if there is none.

    :param peer: whether it is a node's; otherwise it is a client's.
    :raises IdentityError: it cannot be read, or is for the other role.
    """
    if given is None:
        return None
    directory = None if isinstance(given, Identity) else Path(given)
    identity = given if isinstance(given, Identity) else Identity.load(Path(given))
    try:
        verify_role(identity.subject, peer=peer)
    except Untrusted as error:
        raise IdentityError(str(error)) from None
    return Credentials(identity, wall, directory)


def enrolling_end() -> TlsEnd:
    """Return the end of a connection that somebody without an identity has dialled."""
    return TlsEnd(_context(ENROLMENT, None), server=False)


def _context(application: str, identity: Identity | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    # Both sides can be told in words what is wrong with a certificate, but only inside TLS. So
    # OpenSSL only checks that the other side has the key, and the layer judges afterwards.
    context.set_verify(SSL.VERIFY_PEER, _accept)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    # A third of what an idle connection takes (20 kB), for 0.2 microseconds a message.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Of the three, the one that costs least for short messages comes first.
    context.set_tls13_ciphersuites(
        b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    )
    context.set_alpn_protos([application.encode()])
    context.set_alpn_select_callback(_select)
    if identity is not None:
        leaf, *others = map(load_der_x509_certificate, identity.chain)
        context.use_privatekey(identity.key)
        context.use_certificate(leaf)
        for other in others:
            context.add_extra_chain_cert(other)
    return context


def _accept(*_what: object) -> bool:
    return True


def _select(_end: SSL.Connection, offered: list[bytes]) -> Any:
    spoken = (MEMBERS.encode(), ENROLMENT.encode())
    return next((each for each in spoken if each in offered), SSL.NO_OVERLAPPING_PROTOCOLS)
