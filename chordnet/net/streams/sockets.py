"""Everything that needs the operating system's socket under a connection.

A connection may run over plain TCP or over layers on top of it: TLS, a proxy's header. A layer
claims to provide all that the transport below it provides, and passes on what it does not know, so
the layer itself cannot be asked. Its handle may be its own state (pyOpenSSL's connection), and
bytes written there would bypass the layer. So the layers are taken off here first. If there is no
TCP socket at the bottom (memory, a pipe, a UNIX socket) there is nothing to set, and the connection
works without.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress

from twisted.internet import tcp
from twisted.internet.interfaces import ISSLTransport, ITransport

from chordnet.net.base.interfaces import IStream

_PLAIN = frozenset({tcp.Server, tcp.Client})
"""Transports that write to their socket what they are given."""
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})
_DEEPEST = 8
"""Layers that are taken off at most; a transport with more can only be a circle."""
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""RFC 5482; Linux alone has it."""
UNSENT_BYTES = 131_072
"""So many bytes the system takes beyond those that it can send; more would delay what follows."""
_TCP_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


class SystemSocket:
    """The socket of one connection, if it has one."""

    __slots__ = ("_direct", "_handle", "_past", "_socket", "_transport")

    _handle: socket.socket
    """Where bytes are written past the transport; set only together with ``_direct``."""

    def __init__(self, transport: IStream) -> None:
        self._transport = transport
        self._socket = tcp_socket(transport)
        self._direct: tcp.Connection | None = None
        """The transport, if bytes may be written past it."""
        # A layer of ours writes past the transport below it.
        self._past: Callable[[bytes], object] | None = getattr(transport, "write_through", None)
        if self._socket is not None:
            self._direct, self._handle = _plain(transport), self._socket

    def tune(self) -> None:
        """Send small frames without delay, and let the system notice that an idle peer is gone.

        What waits longer than it has to waits here, where short frames go before long ones, and not
        in the system.
        """
        if self._socket is None:
            return
        # Some systems refuse this when the other side is gone; the transport is about to report it.
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Only ring neighbours exchange heartbeats; the system finds the other dead ends.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if _TCP_NOTSENT_LOWAT is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_BYTES)

    def give_up_after(self, seconds: float) -> str:
        """Have the system cut the connection when sent data stays unacknowledged for ``seconds``.

        By default the system repeats such data at growing intervals, in the end of minutes
        (RFC 6298), and the connection stays useless long after the network works again.

        :return: why this is not possible here, in words; empty if it is.
        """
        if self._socket is None:
            return "there is no TCP socket under the connection"
        if _TCP_USER_TIMEOUT is None:
            return "this system has no TCP_USER_TIMEOUT"
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, round(seconds * 1000))
        except OSError as error:
            return f"the system refuses TCP_USER_TIMEOUT ({error.strerror or error})"
        return ""

    def write(self, data: bytes) -> None:
        """Give ``data`` to the system directly if it takes it, the rest to the transport.

        The transport's own ``write`` waits for the reactor to report that the socket is writable:
        two more system calls and a turn of the reactor for every message.
        """
        direct = self._direct
        # Twisted has no public name for what waits in its buffers. Bytes that wait there go first.
        if direct is not None and not (direct._tempDataBuffer or direct.dataBuffer):  # noqa: SLF001
            try:
                sent = self._handle.send(data)
            except OSError:  # it is full, or the transport will meet this again and report it
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        (self._past or self._transport.write)(data)

    def abort(self) -> None:
        """Cut the connection, without sending what is still queued."""
        # Pipes to a process have no such thing.
        abort = getattr(self._transport, "abortConnection", self._transport.loseConnection)
        abort()


def tcp_socket(transport: ITransport) -> socket.socket | None:
    """Return the TCP socket under a transport, below any layers; None if there is none."""
    under: object = transport
    for _layer in range(_DEEPEST):
        if isinstance(under, tcp.Connection):
            handle = under.getHandle()
            return handle if handle.family in _FAMILIES else None
        under = getattr(under, "transport", None)
    return None


def _plain(transport: ITransport) -> tcp.Connection | None:
    """Return ``transport`` if it writes to its socket what it is given, unchanged.

    A transport that has started TLS provides ``ISSLTransport``.
    """
    if type(transport) not in _PLAIN or ISSLTransport.providedBy(transport):
        return None
    assert isinstance(transport, tcp.Connection)
    return transport


def try_to_listen(host: str, port: int) -> None:
    """Listen on a TCP port for a moment.

    :param host: an address; empty for all of IPv4.
    :raises OSError: it cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As Twisted does: connections of the past that linger are no obstacle.
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        probe.listen(1)
