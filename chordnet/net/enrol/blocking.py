"""Asking issuers for a first certificate without a reactor: a program does nothing else before."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from chordnet.core.base.errors import ChordnetError, ConnectFailed, RemoteProtocolError
from chordnet.core.base.naming import parse_address, usable_address
from chordnet.net.enrol.rounds import Referred, Round
from chordnet.net.enrol.talks import Gift, Talk
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.bundle import BUNDLE_LIMIT
from chordnet.trust.base.errors import Refusal
from chordnet.wire.codec import encode_frame, read_answer, read_grant, read_offer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import GREETING_LIMIT, Refuse
from chordnet.wire.trust import enrolment as wire

PATIENCE_S = 6.0
"""Seconds that one node may take in all."""
FRAME_BYTES = BUNDLE_LIMIT + 32 * 1024
_READ_BYTES = 65_536
_PLAIN = 0x00


def ask_all_now(talk: Talk, addresses: Sequence[str], patience_s: float = PATIENCE_S) -> Gift:
    """Ask the nodes at these addresses, and those that they name, until one gives a certificate.

    :raises ChordnetError: nobody gives one; the text says why.
    """
    asking = Round(addresses)
    while (address := asking.next()) is not None:
        try:
            return _Caller(talk, address, patience_s).call()
        except ChordnetError as error:
            asking.failed(error)
    raise asking.verdict()


class _Line:
    """What TLS says of the connection, as a talk sees it."""

    def __init__(self, end: TlsEnd) -> None:
        self._end = end

    @property
    def chain(self) -> tuple[bytes, ...]:
        return self._end.chain()

    def export(self, label: bytes, context: bytes, size: int) -> bytes:
        return self._end.export(label, context, size)


class _Caller:
    """One conversation with one node."""

    def __init__(
        self,
        talk: Talk,
        address: str,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._talk = talk
        self._address = address
        self._clock = clock
        self._patience = patience_s
        self._deadline = clock() + patience_s
        self._decoder = FrameDecoder(FRAME_BYTES, GREETING_LIMIT)
        self._frames: list[bytes] = []
        self._end = talk.begin()
        self._plain = False
        self._heard = False

    def call(self) -> Gift:
        """Return what the node gives.

        :raises ChordnetError: it gives nothing, or does not answer.
        """
        host, port = parse_address(self._address)
        try:
            with socket.create_connection((host, port), self._left()) as connection:
                return self._converse(connection)
        except TimeoutError:
            raise ConnectFailed(f"it has not answered within {self._patience:g} s") from None
        except OSError as error:
            raise ConnectFailed(error.strerror or str(error)) from None

    def _converse(self, connection: socket.socket) -> Gift:
        end, line = self._end, _Line(self._end)
        connection.sendall(end.take())
        while not end.established:
            self._receive(connection)
        opening = wire.Ask(wire.MAGIC, wire.VERSION, self._talk.about)
        self._say(connection, encode_frame(opening))
        offer = read_offer(self._next(connection))
        if isinstance(offer, Refuse):
            raise _refused(offer)
        if isinstance(offer, wire.Referral):
            named = offer.addresses[: wire.MOST_REFERRED]
            raise Referred([each for each in named if usable_address(each)])
        self._say(connection, encode_frame(self._talk.ask(offer, line)))
        answer = read_grant(self._next(connection))
        if isinstance(answer, Refuse):
            raise _refused(answer)
        gift = self._talk.accept(answer, line)
        connection.sendall(end.finish())
        return gift

    def _left(self) -> float:
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        return left

    def _say(self, connection: socket.socket, frame: bytes) -> None:
        connection.settimeout(self._left())
        connection.sendall(self._end.protect(frame))

    def _next(self, connection: socket.socket) -> bytes:
        while not self._frames:
            self._receive(connection)
        return self._frames.pop(0)

    def _receive(self, connection: socket.socket) -> None:
        """Take what comes next.

        :raises ChordnetError: it is the end, or no answer of a node's.
        """
        connection.settimeout(self._left())
        data = connection.recv(_READ_BYTES)
        if not data:
            raise ConnectFailed("the connection ended without an answer")
        if not self._heard:
            self._heard, self._plain = True, data[0] == _PLAIN
        came = data if self._plain else self._end.receive(data)
        self._frames += self._decoder.feed(came) if came else []
        if self._plain and self._frames:
            answer = read_answer(self._frames[0])
            said = answer.text if isinstance(answer, Refuse) else "it answers without TLS"
            raise RemoteProtocolError(said)
        if self._plain:
            return
        if self._end.fault and not self._frames:
            raise ConnectFailed(self._end.fault)
        if self._end.ended and not self._frames:
            raise ConnectFailed("the connection ended without an answer")
        if self._end.pending:
            connection.sendall(self._end.take())


def _refused(refusal: Refuse) -> ChordnetError:
    text = refusal.text[:500]
    final = refusal.code in ("invitation", "certificate")
    return Refusal(refusal.code, text) if final else ConnectFailed(text)
