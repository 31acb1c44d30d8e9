"""Everything that is asked of the operating system's socket under a connection.

What carries a connection may be TCP itself or have layers on top of it: TLS, a proxy's header. A
layer claims to provide all that the transport below it provides, and hands on what it does not know
itself, so asking the layer is of no help: its handle may be its own state (pyOpenSSL's connection)
and is never a way for bytes, which would pass the layer by. Here the layers are taken off first.
Where no TCP socket is at the bottom (memory, a pipe, a UNIX socket) there is nothing to set, and
the connection works without.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from twisted.internet import tcp
from twisted.internet.interfaces import ISSLTransport, ITransport

from chordnet.net.base.interfaces import IStream

_PLAIN = frozenset({tcp.Server, tcp.Client})
"""Transports that write to their socket what they are given."""
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})
_DEEPEST = 8
"""Layers that are taken off; what has more is no transport but a circle."""
_TCP_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
"""RFC 5482; Linux alone has it."""


class SystemSocket:
    """The socket of one connection, as far as it has one."""

    __slots__ = ("_direct", "_handle", "_socket", "_transport")

    _handle: socket.socket
    """Where bytes are written past the transport; there with ``_direct`` alone."""

    def __init__(self, transport: IStream) -> None:
        self._transport = transport
        self._socket = tcp_socket(transport)
        self._direct: tcp.Connection | None = None
        """The transport, if bytes may be written past it."""
        if self._socket is not None:
            self._direct, self._handle = _plain(transport), self._socket

    def tune(self) -> None:
        """Send small frames without delay, and notice in the end that an idle peer is gone."""
        if self._socket is None:
            return
        # Some systems refuse this when the other side is gone; the transport is about to report it.
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Only ring neighbours exchange heartbeats; the system finds the other dead ends.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def give_up_after(self, seconds: float) -> str:
        """Let the system cut the connection when what was sent goes unacknowledged for so long.

        Left to itself it repeats such bytes ever more rarely, minutes apart at last (RFC 6298), and
        a line that is whole again goes on being of no use.

        :return: why that cannot be had here, in words; empty if it can.
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
        """Give ``data`` to the system at once where it takes it, the rest to the transport.

        The transport's own ``write`` waits for the reactor to report the socket writable: two more
        system calls and a turn of the reactor for every message.
        """
        direct = self._direct
        # Twisted has no public word for what waits in its buffers.
        if direct is not None and not (direct._tempDataBuffer or direct.dataBuffer):  # noqa: SLF001
            try:
                sent = self._handle.send(data)
            except OSError:  # it is full, or the transport will meet this again and report it
                sent = 0
            if sent == len(data):
                return
            data = data[sent:]
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection at once, without what is still unsent."""
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
    """Return ``transport`` if what it is given reaches its socket as it is.

    One that has started TLS says that it provides it.
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
