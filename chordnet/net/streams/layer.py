"""TLS between a connection and its transport.

To the transport a :class:`SecureLayer` is the protocol, to the connection it is the transport. A
frame still costs one call of the system: what TLS makes of it is written past the transport if
that is possible, as for a plain connection.

The first byte that comes says what the other side speaks: 0x16 begins a TLS handshake, and a plain
frame that is no longer than allowed begins with 0x00. So both arrive at one port, and each side can
tell the other in words what is wrong. In the answer to a dial 0x15 may come too, TLS's own refusal.
To the connection plain bytes are passed on as they are, and it is not :attr:`secured`; a secured
connection accepts nothing but a refusal there.

OpenSSL accepts every certificate. Once the handshake is done, :meth:`SecureLayer.judge` says who
the other side is by the node's own rules, so that a refusal can be said inside TLS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.interfaces import IAddress, IProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from chordnet.net.base.interfaces import IStream
from chordnet.net.base.turn import Turn
from chordnet.net.streams.sockets import SystemSocket
from chordnet.net.tls.credentials import Credentials
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.subjects import Subject

HANDSHAKE = 0x16
ALERT = 0x15
UNREAD_BYTES = 4096
"""Bytes that TLS itself may have to say while the other side reads nothing."""


class Inner(Protocol):
    """The connection, as the layer sees it."""

    received: bool
    secured: bool

    @property
    def paused(self) -> bool: ...
    def makeConnection(self, transport: IStream) -> None: ...
    def dataReceived(self, data: bytes) -> None: ...
    def connectionLost(self, reason: Failure) -> None: ...
    def handshaken(self) -> None: ...
    def broken(self, reason: str) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


@implementer(IStream)
class SecureLayer(TwistedProtocol):
    """TLS over one transport, for one connection.

    :param inner: the connection; its ``security`` is to be this layer.
    :param begin: makes the end of TLS that is spoken here.
    :param credentials: says who is believed; None if the other side is not judged here.
    :param dialled: whether this side has dialled.
    """

    transport: IStream
    _system: SystemSocket

    def __init__(
        self,
        inner: Inner,
        turn: Turn,
        begin: Callable[[], TlsEnd],
        credentials: Credentials | None,
        *,
        dialled: bool,
    ) -> None:
        self.dialled = dialled
        self.subject: Subject | None = None
        """Who the other side is; None until it has been judged, and if it is not believed."""
        self.chain: tuple[bytes, ...] = ()
        """The certificates that the other side has shown (DER), its own first."""
        self.application = ""
        """What is spoken inside TLS (ALPN)."""
        self._inner: Inner | None = inner
        """None once the connection is lost."""
        self._turn = turn
        self._begin = begin
        self._credentials = credentials
        self._end: TlsEnd | None = None
        self._heard = False
        """Whether the first byte has come."""
        self._plain = False
        self._deaf = False
        self._unread = 0

    # -- what the transport calls ----------------------------------------------------------------

    def connectionMade(self) -> None:
        assert self._inner is not None
        self._system = SystemSocket(self.transport)
        self._inner.makeConnection(self)
        if self.dialled and self._inner is not None:  # else it was cut at once
            self._end = self._begin()
            self._say(self._end)

    def dataReceived(self, data: bytes) -> None:
        inner, end = self._inner, self._end
        if inner is None or self._deaf:
            return
        if end is not None and inner.secured:  # on the way of every message
            came = end.receive(data)
            if came:
                inner.dataReceived(came)
            if end.pending or end.fault or end.ended:
                self._go_on(end, inner)
            return
        if not self._heard:
            self._hear(data[0])
        if self._plain:
            inner.dataReceived(data)
            return
        inner.received = True
        end = self._end
        assert end is not None
        try:
            # One turn, so that the greeting leaves together with the end of the handshake.
            with self._turn:
                came = end.receive(data)
                if end.established:
                    self.chain, self.application = end.chain(), end.application
                    inner.handshaken()
                if came and not self._deaf:
                    inner.dataReceived(came)
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._turn.failed("a TLS handshake")
            inner.abort()
        self._go_on(end, inner)

    def _hear(self, first: int) -> None:
        self._heard = True
        self._plain = first != HANDSHAKE and not (self.dialled and first == ALERT)
        if self._plain:
            self._end = None
        elif self._end is None:
            self._end = self._begin()

    def _go_on(self, end: TlsEnd, inner: Inner) -> None:
        """React to what TLS itself has brought."""
        if end.pending and self._inner is not None:
            self._say(end)
        if self._inner is None:
            return
        if end.fault:
            inner.broken(end.fault)
        elif end.ended:
            inner.close()

    def _say(self, end: TlsEnd) -> None:
        """Write what TLS itself has to say."""
        data = end.take()
        if not data:
            return
        inner = self._inner
        paused = inner is not None and inner.paused
        self._unread = self._unread + len(data) if paused else 0
        self._system.write(data)
        if inner is not None and self._unread > UNREAD_BYTES:
            inner.broken("it asks for new keys and reads nothing")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        inner, self._inner = self._inner, None
        self._end = None
        if inner is not None:
            inner.connectionLost(reason)

    # -- who the other side is -------------------------------------------------------------------

    def judge(self) -> Subject:
        """Return who the other side is.

        :raises Untrusted: its certificate is not believed.
        """
        assert self._credentials is not None
        self.subject = None
        self.subject = self._credentials.verify(self.chain)
        return self.subject

    def export(self, label: bytes, context: bytes, size: int) -> bytes:
        """Return bytes that both ends of this connection can compute, and nobody else."""
        assert self._end is not None
        return self._end.export(label, context, size)

    def expel(self, reason: str) -> None:
        """Close the connection, and take nothing more from it: the other side lost its rights."""
        self._deaf = True
        if self._inner is not None:
            self._inner.broken(reason)

    # -- what the connection calls ---------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Write through the transport, which notices when the system has enough for now."""
        data = self._protected(data)
        if data:
            self.transport.write(data)

    def write_through(self, data: bytes) -> None:
        """Write past the transport if that is possible."""
        data = self._protected(data)
        if data:
            self._system.write(data)

    def _protected(self, data: bytes) -> bytes:
        if self._plain:
            return data
        end = self._end
        # A refusal that comes before the handshake is done cannot be said: there are no keys yet.
        return end.protect(data) if end is not None and end.established else b""

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Write several pieces."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Say that nothing more is sent, and close when all is written."""
        end = self._end
        if end is not None:
            last = end.finish()
            if last:
                self.transport.write(last)
        self.transport.loseConnection()

    def abortConnection(self) -> None:
        """Cut the connection."""
        self._system.abort()

    def getPeer(self) -> IAddress:
        """Return the other side's address."""
        return self.transport.getPeer()

    def getHost(self) -> IAddress:
        """Return this side's address."""
        return self.transport.getHost()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Have the connection told when the transport is full, and when it has room again."""
        self.transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Tell it no more."""
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """Read nothing for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """Read nothing more."""
        self.transport.stopProducing()
