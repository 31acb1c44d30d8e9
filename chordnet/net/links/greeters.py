"""The greeting on a live connection, from both sides.

Peers and clients arrive at the same port; their :class:`Hello` says which they are. A connection
that has not greeted holds a few kilobytes at most, for a few seconds at most, and the number of
such connections is limited (:mod:`chordnet.net.guard.places`). The time for a TLS handshake counts
as well.

A node with credentials lets in only whom it believes, over TLS. Who the other side is was proved by
the handshake; whether that is somebody to be let in is decided at its Hello, which has to name the
same node. All refusals are said in words, inside TLS where that is spoken.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.core.base.events import Standing
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.shared import Shared
from chordnet.net.guard.places import Places
from chordnet.net.links.protocol import Connection, Handler
from chordnet.net.links.trusting import (
    NOT_SECURED,
    Sessions,
    Vigil,
    check_greeting,
    check_name,
    check_plain_answer,
    check_server,
)
from chordnet.net.streams.layer import HANDSHAKE, SecureLayer
from chordnet.net.tls.credentials import ENROLMENT
from chordnet.trust.base.errors import Untrusted
from chordnet.trust.base.subjects import Subject
from chordnet.wire.codec import read_answer, read_hello, read_opening
from chordnet.wire.greeting import (
    CLIENT,
    MAGIC,
    OLDEST_VERSION,
    PEER,
    VERSION,
    WHO,
    Bye,
    Hello,
    Refuse,
    Welcome,
    agreed_version,
    judge,
)
from chordnet.wire.trust.cookies import Shown


class Peers(Sessions, Protocol):
    """Takes over connections on which a peer has greeted."""

    def refuse(self, node: NodeRef) -> Refuse | None: ...
    def attach(self, connection: Connection, node: NodeRef, *, outgoing: bool) -> Handler: ...
    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged before it is let in."""

    def judge(self, node: NodeRef, judged: Callable[[Refuse | None], None]) -> None:
        """Have ``node`` judged; call ``judged`` with why it is refused, or None."""


class Clients(Sessions, Protocol):
    """Takes over connections on which a client has greeted."""

    def refuse(
        self, *, operates: bool = False, subject: Subject | None = None
    ) -> Refuse | None: ...
    def attach(self, connection: Connection, shown: Shown | None) -> Handler:
        """Take over; ``shown`` is what the client has shown of its cookies."""


Operates = Callable[[Connection, Hello], bool]
"""Returns True if a greeting is an operator's, for whom a few places are kept."""


def nobody_operates(_connection: Connection, _hello: Hello) -> bool:
    """Return False: operators cannot be told from other clients."""
    return False


class Door(ServerFactory):
    """Lets connections in: the factory of a node's listening port.

    :param standing: returns the node's standing, for those who ask who it is.
    :param enrol: takes over a connection whose other side wants a certificate (it need not have
        one), and handles its frames; it has the time of a greeting. None if it cannot get one here.
    :param operates: tells operators' greetings from others.
    """

    noisy = False

    def __init__(
        self,
        shared: Shared,
        peers: Peers,
        clients: Clients,
        standing: Callable[[], Standing] | None = None,
        enrol: Callable[[Connection], Handler] | None = None,
        operates: Operates = nobody_operates,
    ) -> None:
        self.me = me = shared.me
        self.credentials = shared.credentials
        self.enrol = enrol
        self.standing = standing or (lambda: Standing(me, 0, None, None))
        self.network = shared.network
        self.space = shared.space
        self.peers = peers
        self.clients = clients
        self.journal = shared.journal
        self._clock = shared.reactor
        self._turn = shared.turn
        self._limits = shared.limits
        self._frame_limit = shared.frame_limit
        self._operates = operates
        self._seconds = shared.seconds
        self.places = Places(shared.limits.max_ungreeted, shared.seconds)
        self._vigil = Vigil(shared, peers, clients)
        self._open = True

    @property
    def waiting(self) -> int:
        """Connections that have not greeted yet."""
        return len(self.places)

    def buildProtocol(self, addr: IAddress | None) -> Connection | SecureLayer | None:
        if not self._open:
            return None
        host = getattr(addr, "host", "")
        if not self.places.make_room(host):
            self.journal.counters.add(NetMetric.TURNED_AWAY)
            return None
        timeout_s = self._limits.greeting_timeout_s
        greeter = Greeter(self, self._clock, timeout_s, host, self._seconds())
        self.places.take(greeter)
        connection = Connection(self._clock, self._turn, greeter, self._limits, self._frame_limit)
        greeter.connection = connection  # it may be turned away before ``made`` is called
        if self.credentials is None:
            return connection
        credentials = self.credentials
        layer = SecureLayer(connection, self._turn, credentials.accept, credentials, dialled=False)
        connection.security = layer
        return layer

    def decide(self, hello: Hello, connection: Connection) -> Refuse | None:
        """Return why ``hello`` is refused, None if it is accepted."""
        refusal = None
        if self.credentials is not None:
            refusal = check_greeting(hello, connection, self.credentials)
        refusal = refusal or judge(hello, self.me, self.network, self.space)
        if refusal is not None:
            return refusal
        if hello.role == CLIENT:
            operates = self._operates(connection, hello)
            return self.clients.refuse(operates=operates, subject=connection.subject)
        if hello.role == WHO:
            return None
        assert hello.node is not None
        return self.peers.refuse(hello.node)

    def close(self) -> None:
        """Accept no more connections and close those that have not greeted."""
        self._open = False
        for greeter in self.places.holders():
            greeter.abort()
        self._vigil.stop()


class Greeter:
    """Handles an incoming connection until it has greeted.

    :param timeout_s: how long it has for that.
    :param host: where it comes from.
    :param since: when it came.
    """

    connection: Connection

    def __init__(
        self, door: Door, clock: IReactorTime, timeout_s: float, host: str, since: float
    ) -> None:
        self.host = host
        self.since = since
        self._door = door
        self._judging = False
        self._enrolling: Handler | None = None
        self._timeout = clock.callLater(timeout_s, self._silent)

    @property
    def silent(self) -> bool:
        """Whether no byte has come yet."""
        return not self.connection.received

    def made(self, connection: Connection) -> None:
        self.connection = connection

    def handshaken(self) -> None:
        security = self.connection.security
        assert security is not None
        if security.application == ENROLMENT and self._door.enrol is not None:
            self._enrolling = self._door.enrol(self.connection)

    def frames(self, frames: list[bytes]) -> None:
        if not frames or self.connection.closing:
            return
        if self._enrolling is not None:
            self._enrolling.frames(frames)
            return
        if self._judging:
            self.violated("it sent something before it was welcomed")
            return
        hello = (read_opening if self.connection.secured else read_hello)(frames[0])
        if isinstance(hello, Refuse):
            self._distrusted(hello)
            return
        refusal = self._door.decide(hello, self.connection)
        if refusal is not None:
            self._refuse(refusal, hello)
        elif hello.role == WHO:
            self._answer_who(hello)
        elif hello.role == PEER and hello.node is not None and self._door.peers.doubts(hello.node):
            self._judging = True
            self._door.peers.judge(hello.node, partial(self._judged, hello))
        else:
            self._let_in(hello, frames[1:])

    def _judged(self, hello: Hello, refusal: Refuse | None) -> None:
        if self.connection.closing:
            return
        # The limits are checked again: others may have been let in while this one waited.
        refusal = refusal or self._door.decide(hello, self.connection)
        if refusal is not None:
            self._refuse(refusal, hello)
        else:
            self._let_in(hello, [])

    def _answer_who(self, hello: Hello) -> None:
        self._finish()
        door, version = self._door, agreed_version(hello)
        assert version is not None
        own = door.standing()
        self.connection.send(
            Welcome(
                version, door.me, door.network, door.space.bits, own.status, own.label, own.before
            )
        )
        self.connection.close()

    def _let_in(self, hello: Hello, more: list[bytes]) -> None:
        self._finish(let_in=True)
        door, connection = self._door, self.connection
        version = agreed_version(hello)
        assert version is not None
        connection.send(Welcome(version, door.me, door.network, door.space.bits))
        if hello.role == CLIENT:
            connection.handler = door.clients.attach(connection, hello.shown)
        else:
            assert hello.node is not None
            connection.handler = door.peers.attach(connection, hello.node, outgoing=False)
        if more:  # sent with the greeting, before the answer to it
            connection.handler.frames(more)

    def _refuse(self, refusal: Refuse, hello: Hello) -> None:
        # Whoever shows a certificate that is not believed has cost this node a handshake.
        self._finish(failed=refusal.code == "certificate")
        if refusal.code != "self":
            self._door.journal.limited(
                NetMetric.REFUSED,
                "refused a {role} at {address}: {reason}",
                labels=(refusal.code,),
                role=hello.role if hello.role in (PEER, CLIENT) else "stranger",
                address=self.connection.peer_name,
                reason=refusal.text,
            )
        self.connection.send(refusal)
        self.connection.close()

    def _distrusted(self, refusal: Refuse) -> None:
        """Note that the other side does not believe this node's certificate."""
        self._finish()
        self._door.journal.limited(
            NetMetric.REJECTED,
            "{address} does not accept this node: {reason}",
            labels=("certificate",),
            address=self.connection.peer_name,
            reason=refusal.text,
        )
        self.connection.close()

    def violated(self, reason: str) -> None:
        self._finish(failed=True)
        refusal = Refuse("greeting", f"this is a chordnet node: {reason}")
        # On a secured connection this would be the first byte inside TLS.
        if self.connection.first_byte == HANDSHAKE and self.connection.security is None:
            refusal, reason = NOT_SECURED, "it speaks TLS, and this node is not secured"
        self._door.journal.limited(
            NetMetric.REFUSED,
            "refused a stranger at {address}, no chordnet greeting: {reason}",
            labels=(refusal.code,),
            address=self.connection.peer_name,
            reason=reason,
        )
        self.connection.send(refusal)
        self.connection.close()

    def turn_away(self, reason: str) -> None:
        """Close a connection that never greeted."""
        self._finish(failed=not self._judging)
        self._door.journal.limited(
            NetMetric.REFUSED,
            "closed a connection from {address}: {reason}",
            labels=("silent",),
            address=self.connection.peer_name,
            reason=reason,
        )
        self.connection.abort()

    def overloaded(self) -> None:
        """Do nothing: a greeting's few bytes never come near a limit."""

    def held(self) -> None:
        """Do nothing: the send buffer's limit is enough."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        self._finish(failed=not self._judging)
        enrolling, self._enrolling = self._enrolling, None
        if enrolling is not None:
            enrolling.lost()

    def abort(self) -> None:
        """Cut the connection."""
        self.connection.abort()

    def _silent(self) -> None:
        late = "its name could not be checked in time" if self._judging else ""
        self.turn_away(late or "it did not greet in time")

    def _finish(self, *, let_in: bool = False, failed: bool = False) -> None:
        self._door.places.leave(self, let_in=let_in, failed=failed)
        if self._timeout.active():
            self._timeout.cancel()


class Caller:
    """Handles an outgoing connection until the greeting is answered.

    :param hello: what to greet with.
    :param welcomed: called with the connection and the answer; returns the next handler.
    :param refused: called with the other side's refusal.
    :param failed: called with one line that says why there was no answer.
    :param distrusted: called with one line that says why the other side's certificate is not
        believed; by default ``failed``.
    """

    def __init__(
        self,
        hello: Hello,
        *,
        welcomed: Callable[[Connection, Welcome], Handler],
        refused: Callable[[Refuse], None],
        failed: Callable[[str], None],
        distrusted: Callable[[str], None] | None = None,
    ) -> None:
        self._hello = hello
        self._welcomed = welcomed
        self._refused = refused
        self._failed = failed
        self._distrusted = distrusted or failed
        self.connection: Connection | None = None
        self.greeted = False
        """Whether the greeting has been sent; the other side may have accepted it already."""
        self._answered = False

    def made(self, connection: Connection) -> None:
        self.connection = connection
        if connection.security is None:
            self._greet(connection)

    def handshaken(self) -> None:
        connection = self.connection
        assert connection is not None
        assert connection.security is not None
        try:
            check_server(connection.security)
        except Untrusted as error:
            self._distrust(str(error), Refuse("certificate", str(error)))
        else:
            self._greet(connection)

    def _greet(self, connection: Connection) -> None:
        self.greeted = True
        connection.send(self._hello)

    def _distrust(self, reason: str, message: Refuse | Bye) -> None:
        """Tell both sides why the other one's certificate is not believed."""
        self._answered = True
        assert self.connection is not None
        self.connection.send(message)
        self.connection.close()
        self._distrusted(reason)

    def frames(self, frames: list[bytes]) -> None:
        if not frames or self._answered:
            return
        assert self.connection is not None
        answer = read_answer(frames[0])
        if self.connection.security is not None and not self.connection.secured:
            answer = check_plain_answer(answer)
        if isinstance(answer, Welcome) and not OLDEST_VERSION <= answer.version <= VERSION:
            raise RemoteProtocolError(f"protocol version {answer.version} is not spoken here")
        self._answered = True
        if isinstance(answer, Refuse):
            self.connection.close()
            self._refused(answer)
            return
        try:
            check_name(answer.node.name, self.connection.security)
        except Untrusted as error:
            self._distrust(str(error), Bye("protocol", str(error)))
            return
        handler = self.connection.handler = self._welcomed(self.connection, answer)
        if len(frames) > 1:
            handler.frames(frames[1:])

    def violated(self, reason: str) -> None:
        self.give_up(f"no answer of a chordnet node: {reason}")

    def give_up(self, reason: str) -> None:
        """Cut the connection and report ``reason``, unless the greeting is over."""
        if not self._answered:
            self._answered = True
            if self.connection is not None:
                self.connection.abort()
            self._failed(reason)

    def overloaded(self) -> None:
        """Do nothing: a greeting's few bytes never come near a limit."""

    def held(self) -> None:
        """Do nothing: the send buffer's limit is enough."""

    def drained(self) -> None:
        """Do nothing: nothing waits for it."""

    def lost(self) -> None:
        self.give_up("the connection ended during the greeting")


def who_hello(network: str, bits: int) -> Hello:
    """Return the greeting of a node that asks who listens."""
    return Hello(MAGIC, VERSION, network, bits, WHO, None, OLDEST_VERSION)


def peer_hello(me: NodeRef, network: str, bits: int) -> Hello:
    """Return the greeting of a node."""
    return Hello(MAGIC, VERSION, network, bits, PEER, me, OLDEST_VERSION)


def client_hello(network: str, shown: Shown | None = None) -> Hello:
    """Return the greeting of a client, which fits any network when ``network`` is empty."""
    return Hello(MAGIC, VERSION, network, 0, CLIENT, None, OLDEST_VERSION, shown)
