"""One end of a TLS connection in memory: what came goes in, what is to be sent comes out.

OpenSSL does the protocol, and this class owns neither a socket nor a timer. Its user writes
:meth:`TlsEnd.take` to the socket while :attr:`TlsEnd.pending` is set, and nothing is ever lost by
calling it later, since :meth:`TlsEnd.protect` returns those bytes before its own.

What a stranger may cause is limited. Before the handshake is done so many bytes may come, and
afterwards so many records that carry nothing: a request for new keys costs this end more than the
other. At most one record that is not complete is held.

No session is ever resumed. OpenSSL's server sends two tickets that nobody keeps anything for.
"""

from __future__ import annotations

from OpenSSL import SSL, crypto

HANDSHAKE_BYTES = 16_384
"""Bytes that may come before the handshake is done; two certificates take about 1,500."""
EMPTY_RECORDS = 64
"""Records without content that may come beyond one for each record that has some."""
PLAIN_BYTES = 16_384
"""Bytes that one record carries at most (RFC 8446)."""
_RECORD_BYTES = PLAIN_BYTES + 256
_HEADER_BYTES = 5
_OVERHEAD = 22
"""Bytes that a record is longer than what it carries."""
_SLICE = 4 * PLAIN_BYTES
"""Bytes that are protected in one step, so that a long text is not held three times."""


class TlsEnd:
    """One end of a connection.

    :param context: says what this end shows, and which versions and applications it speaks.
    :param server: whether the other end has dialled.
    """

    __slots__ = (
        "_came",
        "_empty",
        "_head",
        "_missing",
        "_put",
        "_recv",
        "_send",
        "_server",
        "_ssl",
        "_take",
        "ended",
        "established",
        "fault",
        "pending",
    )

    def __init__(self, context: SSL.Context, *, server: bool) -> None:
        self._ssl = ssl = SSL.Connection(context, None)
        # On the way of every message.
        self._put, self._recv = ssl.bio_write, ssl.recv
        self._send, self._take = ssl.send, ssl.bio_read
        self._server = server
        self._came = 0
        self._empty = 0
        self._head = b""
        """What has come of the header of a record."""
        self._missing = 0
        """Bytes of a record that are still to come."""
        self.established = False
        """Whether the handshake is done. It says nothing yet about who the other end is."""
        self.ended = False
        """Whether the other end has said that it sends nothing more."""
        self.pending = False
        """Whether :meth:`take` may have something to send."""
        self.fault = ""
        """Why the connection is of no further use, in words; empty while it is."""
        if server:
            self._ssl.set_accept_state()
        else:
            self._ssl.set_connect_state()
            self._shake()

    # -- what comes ------------------------------------------------------------------------------

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the socket, and return what they say.

        What was said before a :attr:`fault` is returned as well.
        """
        size = len(data)
        begins = not self._missing and not self._head
        if begins and size == _HEADER_BYTES + int.from_bytes(data[3:_HEADER_BYTES]):
            whole = 1
            # The usual case: one record, in one piece.
            if self.established and not self._empty and not self.ended and not self.fault:
                self._put(data)
                try:
                    return self._recv(size)
                except SSL.Error as error:
                    return self._nothing(error)
        elif self.fault or self.ended or not data:
            return b""
        else:
            whole = self._whole(data)
        return self._receive(data, whole)

    def _receive(self, data: bytes, whole: int) -> bytes:
        """Take bytes that complete so many records."""
        if self.fault or self.ended:
            return b""
        self._put(data)
        if self.established:
            return self._read(whole) if whole else b""
        self._came += len(data)
        # The first words often come together with the end of the handshake.
        if whole and self._shake():
            came = self._read(whole)
            self._empty = 0
            return came
        if self._came > HANDSHAKE_BYTES and not self.fault:
            self.fault = f"a TLS handshake of more than {HANDSHAKE_BYTES} bytes came"
        return b""

    def _whole(self, data: bytes) -> int:
        """Return how many records these bytes complete.

        OpenSSL is only asked when there is something new to read: an answer that there is not costs
        as much as a short message.
        """
        whole, position, end = 0, 0, len(data)
        while position < end:
            if self._missing:
                step = min(self._missing, end - position)
                position += step
                self._missing -= step
                whole += not self._missing
            else:
                piece = data[position : position + _HEADER_BYTES - len(self._head)]
                position += len(piece)
                self._head += piece
                if len(self._head) == _HEADER_BYTES:
                    self._missing, self._head = int.from_bytes(self._head[3:]), b""
                    # OpenSSL refuses these two as soon as it sees the header.
                    whole += self._missing == 0 or self._missing > _RECORD_BYTES
        return whole

    def _shake(self) -> bool:
        """Go on with the handshake; return True if it is done."""
        self.pending = True
        try:
            self._ssl.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.fault = f"the TLS handshake failed: {_words(error)}"
        else:
            self.established = True
        return self.established

    def _read(self, whole: int) -> bytes:
        """Return what the next records say, of which so many have come."""
        pieces = []
        try:
            for _ in range(whole):
                pieces.append(self._recv(PLAIN_BYTES))  # noqa: PERF401 - those before an error
        except SSL.Error as error:
            self._nothing(error, whole - len(pieces))
        self._empty = max(0, self._empty - len(pieces))
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _nothing(self, error: SSL.Error, records: int = 1) -> bytes:
        """Note that so many records did not say anything."""
        self.pending = True
        if isinstance(error, SSL.WantReadError):
            self._empty += records
            if self._empty > EMPTY_RECORDS:
                self.fault = "too many TLS records came that carry nothing"
        elif isinstance(error, SSL.ZeroReturnError):
            self.ended = True
        else:
            self.fault = f"TLS failed: {_words(error)}"
        return b""

    # -- what goes -------------------------------------------------------------------------------

    def protect(self, data: bytes) -> bytes:
        """Return what to send so that the other end is told ``data``; empty after a fault.

        The handshake has to be done.
        """
        if self.fault:
            return self.take()
        self.pending = False
        size = len(data)
        if size <= PLAIN_BYTES:
            self._send(data)
            room = size + _ROOM
            data = self._take(room)
            return data if len(data) < room else data + self._waiting(0)
        pieces = []
        with memoryview(data) as view:
            for start in range(0, size, _SLICE):
                piece = view[start : start + _SLICE]
                self._ssl.sendall(piece)
                pieces.append(self._waiting(len(piece)))
        return b"".join(pieces)

    def take(self) -> bytes:
        """Return what TLS itself has to say: of the handshake, or why it failed."""
        self.pending = False
        return self._waiting(0)

    def finish(self) -> bytes:
        """Return what says that nothing more is sent, with what is still :attr:`pending`."""
        if self.established and not self.fault:
            try:
                self._ssl.shutdown()
            except SSL.Error:  # the other end has broken off; the socket's end says as much
                self.fault = "it ended"
        return self.take()

    def _waiting(self, size: int) -> bytes:
        """Return all that waits to be sent, probably the records of ``size`` bytes."""
        room = size + _OVERHEAD * (size // PLAIN_BYTES) + _ROOM
        pieces = []
        try:
            while True:
                pieces.append(self._take(room))
                if len(pieces[-1]) < room:
                    break
        except SSL.WantReadError:
            pass
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    # -- what the handshake has brought ----------------------------------------------------------

    @property
    def application(self) -> str:
        """What is spoken inside, as both ends have agreed (ALPN); empty if they have not."""
        return self._ssl.get_alpn_proto_negotiated().decode("ascii", "replace")

    def chain(self) -> tuple[bytes, ...]:
        """Return the certificates that the other end has shown (DER), its own first.

        It has proved that it has the key of the first one, and nothing else.
        """
        own = self._ssl.get_peer_certificate()
        if own is None:
            return ()
        others = self._ssl.get_peer_cert_chain() or []
        # A server is told the others alone.
        return tuple(map(_der, [own, *others] if self._server else others))

    def export(self, label: bytes, context: bytes, size: int) -> bytes:
        """Return bytes that both ends of this connection can compute, and nobody else.

        (RFC 8446, section 7.5.)
        """
        return self._ssl.export_keying_material(label, size, context)


_ROOM = _OVERHEAD + 512
"""Bytes that a record takes besides what it carries, and that TLS itself may have to say before."""


def _der(certificate: crypto.X509) -> bytes:
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


_MEANINGS = {
    "unsupported protocol": "TLS 1.3 is spoken here, and the other side offers none",
    "tlsv1 alert protocol version": "the other side does not speak TLS 1.3",
    "wrong version number": "what came is not TLS 1.3",
    "decryption failed or bad record mac": "what came was changed on its way",
    "bad signature": "the other side does not have the key of its certificate",
}
"""OpenSSL's reasons, and what people should read instead."""


def _words(error: SSL.Error) -> str:
    """Return the reason of an error for people to read."""
    reasons = error.args[0] if error.args else ()
    if not isinstance(reasons, list | tuple) or not reasons:
        return "it broke off"
    reason = str(reasons[0][-1]).strip()
    return _MEANINGS.get(reason, reason) or "OpenSSL gives no reason"
