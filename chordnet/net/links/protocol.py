"""One TCP connection: it turns bytes into frames for a handler, and frames into bytes.

A connection starts with the handler that does the greeting (``greeters.py``), which hands it over
to a peer's or a client's session. Frames sent during a turn leave in one write. When the
transport's own buffer is full, further bytes are held here up to a limit; beyond that the
connection is given up.

What carries values of the store may be long, and has a queue of its own. From there it leaves in
parts (:mod:`chordnet.wire.parts`), one at a time: each fills the transport's buffer, so the next
one waits until that is empty, and all other frames sent meanwhile go first. The system is asked to
take little more than it sends, or the parts would queue up there instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

import msgspec
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from chordnet.core.base.errors import LocalProtocolError, RemoteProtocolError
from chordnet.net.base.interfaces import IStream
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.guard.pace import Reading
from chordnet.net.streams.layer import SecureLayer
from chordnet.net.streams.sockets import SystemSocket
from chordnet.trust.base.subjects import Subject
from chordnet.wire.codec import LONG_LIMIT, encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import GREETING_LIMIT
from chordnet.wire.parts import HEADER_BYTES, PART_BYTES, Joining, LongFrames, PartsRoom


class Handler(Protocol):
    """Handles what happens on a connection; replaced once the greeting is done."""

    def frames(self, frames: list[bytes]) -> None:
        """Handle frames, in order.

        :raises RemoteProtocolError: the other side broke a rule.
        """

    def violated(self, reason: str) -> None:
        """React to a broken rule of the other side; the connection is of no further use."""

    def overloaded(self) -> None:
        """React to the cut of the connection: the other side reads too slowly."""

    def held(self) -> None:
        """Note that the other side reads more slowly than this one sends, until ``drained``."""

    def drained(self) -> None:
        """Note that everything sent so far has been handed to the system."""

    def lost(self) -> None:
        """React to the end of the connection, whichever side ended it."""


class _Ended:
    """Handles what may still be called on a connection that is gone."""

    def frames(self, frames: list[bytes]) -> None:
        pass

    def violated(self, reason: str) -> None:
        pass

    def overloaded(self) -> None:
        pass

    def held(self) -> None:
        pass

    def drained(self) -> None:
        pass

    def lost(self) -> None:
        pass


_ENDED = _Ended()


class FirstHandler(Handler, Protocol):
    """The handler of a connection that has not greeted."""

    def made(self, connection: Connection) -> None: ...
    def handshaken(self) -> None:
        """React to the end of a TLS handshake; called on a secured connection alone."""


@implementer(IPushProducer)
class Connection(TwistedProtocol):
    """Cuts what arrives into frames for ``handler`` and writes frames, one write a turn.

    :param handler: the first handler; ``made`` is called on it with the connection.
    :param frame_limit: the longest frame accepted after the greeting, in bytes.
    """

    transport: IStream
    _system: SystemSocket

    def __init__(
        self,
        clock: IReactorTime,
        turn: Turn,
        handler: FirstHandler,
        limits: NetworkLimits,
        frame_limit: int,
    ) -> None:
        self.handler: Handler = handler
        self._first: FirstHandler | None = handler
        """The handler whose ``made`` is to be called; None once it has been."""
        self.peer_name = ""
        self.closing = False
        self.received = False
        """Whether a byte has come."""
        self.first_byte = 0
        """The first byte that came outside of TLS."""
        self.security: SecureLayer | None = None
        """TLS under this connection, or where it would be; None on a plain connection."""
        self.secured = False
        """Whether TLS is spoken and its handshake is done."""
        self._clock = clock
        self._turn = turn
        self._limits = limits
        self._longest = frame_limit + HEADER_BYTES
        self._decoder = FrameDecoder(frame_limit, GREETING_LIMIT)
        self._out: list[bytes] = []
        self._queued = 0
        self._held = bytearray()
        self._new_long: list[bytes] = []
        """Long frames of this turn, which is not committed yet."""
        self._long = LongFrames()
        self._long_first = False
        """Whether a part goes before what the handler sends when there is room again."""
        self.resumed = 0
        """How often the transport had room again: the other side reads."""
        self._paused = False
        self._made = False
        self._gone = False
        self._cut: IDelayedCall | None = None
        self.reading = Reading(clock)
        """Whether more is read; it keeps to a pace once it is given one."""

    # -- what Twisted calls ----------------------------------------------------------------------

    def connectionMade(self) -> None:
        self._made = True
        self._turn.open.add(self)
        transport = self.transport
        self.peer_name = _name(transport)
        self._system = SystemSocket(transport)
        self._system.tune()
        transport.registerProducer(self, True)
        self.reading.begin(transport)
        first = self._first
        if self.security is None:
            self._first = None
        if first is not None:
            with self._turn:
                first.made(self)

    def handshaken(self) -> None:
        """Note that all further bytes come through TLS; called by the layer below."""
        self.secured = True
        first, self._first = self._first, None
        if first is not None:
            with self._turn:
                first.handshaken()

    def broken(self, reason: str) -> None:
        """Note that nothing that comes can be trusted any more; called by the layer below."""
        with self._turn:
            self.handler.violated(reason)

    def dataReceived(self, data: bytes) -> None:
        if not self.received:
            self.received = True
            self.first_byte = data[0]
        with self._turn:
            try:
                frames = self._decoder.feed(data)
                self.reading.read(len(frames), len(data))
                # Whole frames count, even if what follows them breaks a rule.
                self.handler.frames(frames)
                if self._decoder.fault:
                    self.handler.violated(self._decoder.fault)
            except RemoteProtocolError as error:
                self.handler.violated(str(error))
            except Exception:  # noqa: BLE001 - logged with its traceback
                self._turn.failed(f"frames from {self.peer_name}")
                self.abort()

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        self._gone = self.closing = True
        self._first = None
        self._out.clear()
        self._held.clear()
        self._new_long.clear()
        self._long.clear()
        joining, self._decoder.joining = self._decoder.joining, None
        if joining is not None:
            joining.close()
        cut, self._cut = self._cut, None
        if cut is not None:
            cut.cancel()
        self.reading.end()
        with self._turn:
            self.handler.lost()
        # Handlers know their connection: break the cycle, so that no collector is needed.
        self.handler = _ENDED
        self._turn.closed(self)

    def pauseProducing(self) -> None:
        self._paused = True
        self.handler.held()

    def resumeProducing(self) -> None:
        self._paused = False
        self.resumed += 1
        with self._turn:
            if self._held:
                self.transport.write(_emptied(self._held))
            # Of a long frame and what the handler may have waiting, neither keeps the other back.
            self._long_first = not self._long_first
            if self._long_first:
                self._send_parts()
            # The transport asks again only if a write has filled its buffer once more.
            if not self._paused:
                self.handler.drained()
                if not self._out:  # else it leaves first, when this turn ends
                    self._send_parts()

    def stopProducing(self) -> None:
        self._paused = True

    # -- what handlers call ----------------------------------------------------------------------

    @property
    def subject(self) -> Subject | None:
        """Who the other side is, by its certificate; None on a plain connection."""
        return self.security.subject if self.security is not None else None

    @property
    def paused(self) -> bool:
        """Whether the other side reads more slowly than is sent."""
        return self._paused

    @property
    def waiting(self) -> int:
        """How many bytes are queued here, not counting those that the transport holds."""
        long = self._long.waiting + sum(map(len, self._new_long))
        return self._queued + len(self._held) + long

    @property
    def queued(self) -> int:
        """How many bytes wait for the end of the turn: none of them has left."""
        return self._queued

    def send(self, message: msgspec.Struct) -> None:
        """Queue ``message``; it leaves with everything else queued in this turn."""
        self.send_frame(encode_frame(message))

    def send_frame(self, frame: bytes) -> None:
        """Queue a frame that is already encoded.

        :raises LocalProtocolError: it is longer than the other side accepts.
        """
        if len(frame) > self._longest:
            raise LocalProtocolError(f"a frame of {len(frame)} bytes cannot be sent")
        if not self._out:
            self._turn.mark(self)
        self._out.append(frame)
        self._queued += len(frame)
        # Beyond the limit, memory counts for more than the system calls that are saved.
        if self._queued > self._limits.send_buffer_bytes:
            self.flush_now()

    def send_value(self, frame: bytes) -> None:
        """Queue a frame that carries a value: others may overtake it.

        It leaves when there is room, unless it is short and not much waits. The caller sees to it
        that not too much waits (:attr:`waiting`); the connection is not given up because of it.

        :raises LocalProtocolError: it is longer than the other side accepts.
        """
        if len(frame) <= HEADER_BYTES + PART_BYTES and self._queued + len(self._held) <= PART_BYTES:
            self.send_frame(frame)
            return
        if len(frame) > HEADER_BYTES + LONG_LIMIT:
            raise LocalProtocolError(f"a frame of {len(frame)} bytes cannot be sent")
        if not self._new_long:
            self._turn.mark(self)
        self._new_long.append(frame)

    def accept_long(
        self, room: PartsRoom, tags: Collection[int], dropped: Callable[[], object]
    ) -> None:
        """Accept long frames of these kinds from now on.

        :param dropped: called when one was thrown away because too many come at the same time.
        """
        self._decoder.joining = Joining(room, LONG_LIMIT, tags, dropped)

    def hurry(self) -> None:
        """Send everything without waiting for room, for a goodbye is to follow."""
        self.flush_now()
        if self.closing:
            return
        if self._held:
            self.transport.write(_emptied(self._held))
        while self._long.waiting:
            self.transport.write(self._long.take())

    def flush(self) -> None:
        """Hand over what is queued, in one write, and then a part of what is long."""
        if self.closing:
            return
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            self._queued = 0
            if not self._paused:
                self._system.write(data)
            else:
                self._held += data
                if len(self._held) > self._limits.send_buffer_bytes:
                    self._held.clear()
                    self.abort()
                    self.handler.overloaded()
                    return
        for frame in self._new_long:
            self._long.put(frame)
        self._new_long.clear()
        if self._long.waiting:
            self._send_parts()

    def _send_parts(self) -> None:
        # Each of them fills the transport, which then waits: mostly this is one. It does not go
        # past the transport, which would not notice that the system has enough for now.
        while self._long.waiting and not self._paused and not self.closing:
            self.transport.write(self._long.take())

    def flush_now(self) -> None:
        """Commit the turn so far, then hand over what is queued without waiting for its end."""
        if not self._out and not self._new_long:
            return
        if self._turn.commit():
            self.flush()
        else:
            self.abort()

    def pause_reading(self) -> None:
        """Take no more frames until :meth:`resume_reading`."""
        self.reading.pause()

    def resume_reading(self) -> None:
        """Take frames again."""
        if not self.closing:
            self.reading.resume()

    def close(self) -> None:
        """Write what is queued and close; cut the connection if that takes too long."""
        if self.closing or not self._made:
            return
        self.flush_now()
        if self._gone:  # a failed commit has cut it
            return
        self.closing = True
        self.transport.unregisterProducer()
        if self._held:
            self.transport.write(_emptied(self._held))
        self.cut_after(self._limits.close_timeout_s)
        self.transport.loseConnection()

    def give_up_after(self, seconds: float) -> str:
        """Have the system cut the connection when sent data stays unacknowledged for ``seconds``.

        :return: why this is not possible here, in words; empty if it is.
        """
        return "" if self.closing else self._system.give_up_after(seconds)

    def cut_after(self, seconds: float) -> None:
        """Cut the connection after ``seconds``, unless it is gone by then."""
        if self._cut is None and not self._gone:
            self._cut = self._clock.callLater(seconds, self._cut_now)

    def abort(self) -> None:
        """Cut the connection now; ``lost`` follows."""
        if self._made and not self._gone:
            self.closing = True
            self._system.abort()

    def _cut_now(self) -> None:
        self._cut = None
        self.abort()


def _emptied(buffer: bytearray) -> bytes:
    """Return what is in a buffer, and empty it."""
    data = bytes(buffer)
    buffer.clear()
    return data


def _name(transport: ITransport) -> str:
    peer = transport.getPeer()
    host, port = getattr(peer, "host", None), getattr(peer, "port", None)
    return f"{host}:{port}" if host is not None else str(peer)
