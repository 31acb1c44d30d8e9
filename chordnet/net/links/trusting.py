"""What certificates have to say in a greeting, and what both sides are told if they do not."""

from __future__ import annotations

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.net.links.protocol import Connection
from chordnet.net.streams.layer import SecureLayer
from chordnet.net.tls.credentials import ENROLMENT, MEMBERS, Credentials
from chordnet.trust.base.errors import MALFORMED, ROLE, Untrusted
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


def _misnamed(name: str, subject: Subject) -> str:
    return f"the certificate is for {subject.name!r}, not for {name[:80]!r}"
