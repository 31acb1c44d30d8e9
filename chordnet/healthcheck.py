"""Check that the node of this machine is a member of a ring: exit status 0 if so, 1 if not.

A container runs this again and again, and an idle node does little else. So it imports as little as
possible: no Twisted, no MessagePack, not even ``socket`` with its imports. Run as a file by
``python -I -S``, as the image does, it takes little longer than Python itself takes to start.
It has its own copy of what it needs of the wire format; a test compares that with the real one.
``python -m chordnet.healthcheck`` does the same.

It makes one blocking connection to ``127.0.0.1:$CHORDNET_PORT`` (or the ``HOST:PORT`` given) and
asks for its status. An open port is not enough: a node is healthy if it is ``active`` and both its
neighbours have accepted it, so that every receipt counts it.
"""

from __future__ import annotations

import sys
from _socket import SOCK_STREAM, getaddrinfo, socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes as long to load as everything else here
    from collections.abc import Mapping, Sequence
    from typing import Any

HOST = "127.0.0.1"
DEFAULT_PORT = 7001
TIMEOUT_S = 3.0
"""How long each step may take; the container engine limits the whole."""
MAX_FRAME = 262_144
"""Bytes of the longest frame that a node sends in its default configuration."""
VERSION = 2
"""Of the wire protocol."""
_CHUNK = 65536
_HELLO, _WELCOME, _REFUSE, _GET_STATUS, _STATUS = 60, 61, 62, 105, 123
"""Tags of the messages (docs/wire-format.md)."""
_WIDTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
"""MessagePack: bytes of the length of binary, text, arrays and maps, by their first byte."""
_SIZES = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""MessagePack: bytes of numbers, by their first byte."""
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class NoNode(Exception):
    """The other side is not a chordnet node, or refuses."""


class Answer:
    """The parts of a node's status that are used here."""

    def __init__(self, status: Any) -> None:
        self.name: str = status[0][1]
        self.state: str = status[5]
        self.reason: str = status[14]
        self.joined: bool = status[15]


def main(environ: Mapping[str, str], words: Sequence[str] = ()) -> int:
    """Ask the node, print its state in one line, and return the exit status.

    :param words: ``HOST:PORT`` of the node; empty for the one on this machine whose port is in the
        environment.
    """
    ports = (environ.get("CHORDNODE_PORT"), environ.get("CHORDNET_PORT"), str(DEFAULT_PORT))
    # For a service named chordnode Kubernetes sets CHORDNODE_PORT to tcp://..., as for any other.
    port = next(each for each in ports if each and "://" not in each)
    setting = words[0] if words else f"{HOST}:{port}"
    host, _colon, port = setting.rpartition(":")
    try:
        answer = ask(connect(host.strip("[]"), int(port)))
    except (ValueError, OverflowError):
        print(f"{setting!r} is not an address; write HOST:PORT, or a port in CHORDNET_PORT")
        return 1
    except (OSError, NoNode) as error:
        print(f"the node on {setting} does not answer: {error}")
        return 1
    if answer.state == "active" and not answer.joined:
        print(f"{answer.name} is active, and its neighbours have not both accepted it yet")
        return 1
    reason = "".join(c if c.isprintable() else "?" for c in answer.reason)
    print(f"{answer.name} is {answer.state}{f': {reason}' if reason else ''}")
    return 0 if answer.state == "active" else 1


def connect(host: str, port: int) -> socket:
    """Return a connection to a node.

    :raises OSError: no connection can be made.
    """
    if not 0 < port < 65536:
        raise ValueError(port)
    family, kind, protocol, _name, address = getaddrinfo(host, port, 0, SOCK_STREAM)[0]
    connection = socket(family, kind, protocol)
    connection.settimeout(TIMEOUT_S)
    connection.connect(address)
    return connection


def ask(connection: Any) -> Answer:
    """Return the status of the node at the other end of a fresh connection.

    :raises NoNode: it refused the greeting, or is not a chordnet node.
    :raises OSError: the connection broke, or a step took longer than the socket's timeout.
    """
    try:
        # A client may leave the network's name empty and the width of identifiers 0: any will do.
        # An array of six: tag, "chordnet", version, "", 0, "client".
        hello = bytes((0x96, _HELLO, 0xA8, *b"chordnet", VERSION, 0xA0, 0, 0xA6, *b"client"))
        connection.sendall(len(hello).to_bytes(4, "big") + hello)
        answer, rest = _next(connection, b"")
        if answer[0] != _WELCOME:
            raise NoNode(f"it refused: {answer[2] if answer[0] == _REFUSE else answer}")
        connection.sendall(bytes((0, 0, 0, 3, 0x92, _GET_STATUS, 1)))
        answer, rest = _next(connection, rest)
        if answer[0] != _STATUS:
            raise NoNode(f"it answered {answer}")
        return Answer(answer[2])
    except (LookupError, TypeError, ValueError, RecursionError):
        raise NoNode("its answer is not that of a chordnet node") from None


def _next(connection: Any, data: bytes) -> tuple[Any, bytes]:
    """Return the next message, and the bytes that came after it."""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if len(data) >= 4 and int.from_bytes(data[:4], "big") > MAX_FRAME:
            raise ValueError("a frame that is too long")
        more = connection.recv(_CHUNK)
        if not more:
            raise ConnectionError("it closed the connection")
        data += more
    end = 4 + int.from_bytes(data[:4], "big")
    value, _at = _read(data[:end], 4)
    return value, data[end:]


def _read(data: bytes, at: int) -> tuple[Any, int]:
    """Return the MessagePack value at ``at``, and where the next one begins.

    Large numbers are returned as 0, since none is needed here.
    """
    first = data[at]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return first, at
    if first in _CONSTANTS:
        return _CONSTANTS[first], at
    if first in _SIZES:
        return 0, at + _SIZES[first]
    if first < 0xC0:
        length, kind = (first & 0x1F, 0xD9) if first >= 0xA0 else (first & 0x0F, first & 0xF0)
    else:
        kind, width = first, _WIDTHS[first]
        length = int.from_bytes(data[at : at + width], "big")
        at += width
    if kind in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        return data[at : at + length].decode("utf-8", "replace"), at + length
    values = []
    for _ in range(length if kind in (0x90, 0xDC, 0xDD) else 2 * length):
        value, at = _read(data, at)
        values.append(value)
    return values, at


if __name__ == "__main__":
    import os

    sys.exit(main(os.environ, sys.argv[1:]))
