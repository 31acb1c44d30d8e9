"""What certificates have to say in a greeting, and what both sides are told if they do not."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.net.base.shared import Shared
from chordnet.net.links.protocol import Connection
from chordnet.net.streams.layer import SecureLayer
from chordnet.net.tls.credentials import ENROLMENT, MEMBERS, Credentials
from chordnet.trust.base.errors import MALFORMED, REVOKED, ROLE, Untrusted
from chordnet.trust.base.subjects import Subject
from chordnet.trust.verifying import verify_role
from chordnet.wire.greeting import CLIENT, PEER, Hello, Refuse, Welcome

NOT_SECURED = Refuse(
    "plain",
    "this node is not secured and does not speak TLS; connect without an identity, or give the node"
    " one",
)
"""What a node without an identity says to somebody who speaks TLS."""
_JOIN = {
    PEER: "join with twistd -n chordnode --join TOKEN",
    CLIENT: "use an identity of it",
}
"""What helps somebody who has spoken without TLS, by the role."""


def check_greeting(hello: Hello, connection: Connection, credentials: Credentials) -> Refuse | None:
    """Return why somebody may not greet as ``hello`` says; None if the certificate allows it."""
    security = connection.security
    if security is None or not connection.secured:
        help_ = _JOIN.get(hello.role, _JOIN[PEER])
        return Refuse(
            "secured",
            f"this network is secured, and only its members are let in; {help_}"
            " (`p2pnet invite` makes a token)",
            trust=credentials.network,
        )
    if security.application == ENROLMENT:
        return Refuse("certificate", "no certificates are issued here; ask another node")
    if security.application != MEMBERS:
        return Refuse("greeting", f"this is a chordnet node; inside TLS it speaks {MEMBERS} (ALPN)")
    try:
        subject = security.judge()
        if hello.role == CLIENT:
            verify_role(subject, peer=False)
        else:
            verify_role(subject, peer=True)
    except Untrusted as error:
        return Refuse("certificate", str(error))
    if hello.node is not None and hello.node.name != subject.name:
        return Refuse("certificate", _misnamed(hello.node.name, subject))
    return None


def check_server(security: SecureLayer) -> None:
    """Check that what was dialled is a node of the same network.

    :raises Untrusted: it is not.
    """
    if security.application != MEMBERS:
        raise Untrusted(MALFORMED, "what listens speaks TLS, but not chordnet's protocol inside")
    verify_role(security.judge(), peer=True)


def check_name(name: str, security: SecureLayer | None) -> None:
    """Check that a node is called as its certificate says.

    :raises Untrusted: it is not.
    """
    if security is not None and security.subject is not None and name != security.subject.name:
        raise Untrusted(ROLE, _misnamed(name, security.subject))


def check_plain_answer(answer: Welcome | Refuse) -> Refuse:
    """Return the answer that came without TLS to somebody who had begun to speak it.

    Anybody on the way can have written it, so nothing follows from it but that it failed.

    :raises RemoteProtocolError: it is no refusal.
    """
    if isinstance(answer, Refuse):
        return Refuse("plain", answer.text)
    raise RemoteProtocolError("it answers without TLS")


LOOK_S = 3600.0
"""Seconds between two looks at the dates of the certificates in use."""


class Sessions(Protocol):
    """Keeps connections on which somebody was let in."""

    def look_again(self) -> None:
        """End those whose other side is not believed any more."""


class Vigil:
    """Looks again at who is connected: when this node's credentials change, and every hour.

    :param sessions: where to look.
    """

    def __init__(self, shared: Shared, *sessions: Sessions) -> None:
        self._clock = shared.reactor
        self._turn = shared.turn
        self._sessions = sessions
        self._call: IDelayedCall | None = None
        self._forget = lambda: None
        if shared.credentials is not None:
            self._forget = shared.credentials.subscribe(self._look)
            self._call = self._clock.callLater(LOOK_S, self._late)

    def _late(self) -> None:
        self._call = self._clock.callLater(LOOK_S, self._late)
        self._look()

    def _look(self) -> None:
        with self._turn:
            for sessions in self._sessions:
                sessions.look_again()

    def stop(self) -> None:
        """Look no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
            self._forget()


def still_trusted(connection: Connection) -> str | None:
    """Return None if the other side is still believed, or has been cut off just now.

    Whose certificate was revoked is cut off at once. Otherwise the reason is returned, and the
    connection is to be ended in order: the other side probably has a newer certificate, and nothing
    that is on its way need be lost.
    """
    security = connection.security
    if security is None or connection.closing:
        return None
    try:
        security.judge()
    except Untrusted as error:
        if error.code != REVOKED:
            return str(error)
        security.expel(str(error))
    return None


def _misnamed(name: str, subject: Subject) -> str:
    return f"the certificate is for {subject.name!r}, not for {name[:80]!r}"
