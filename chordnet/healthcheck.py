"""Check that the node of this machine is ready: exit status 0 if so, 1 if not.

A container runs this again and again, and an idle node does little else. So it imports as little as
possible: no Twisted, no HTTP library, not even ``socket`` with its imports. Run as a file by
``python -I -S``, as the image does, it takes little longer than Python itself takes to start.
``python -m chordnet.healthcheck`` does the same.

It reads ``/ready`` from the port that ``CHORDNET_HTTP`` names (or the ``[HOST:]PORT`` given), on
this machine. An open port is not enough: a node is ready if it is a member of a ring, both its
neighbours have accepted it, and it has what it needs of the store.
"""

from __future__ import annotations

import sys
from _socket import SOCK_STREAM, getaddrinfo, socket

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` takes as long to load as everything else here
    from collections.abc import Mapping, Sequence
    from typing import Any

HOST = "127.0.0.1"
DEFAULT = "9101"
"""The port, without a setting."""
TIMEOUT_S = 3.0
"""How long each step may take; the container engine limits the whole."""
MOST_BYTES = 65_536
"""Of the answer; no more is read."""
_EVERYWHERE = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104 - compared with, never bound to
_SIDES = 2


def main(environ: Mapping[str, str], words: Sequence[str] = ()) -> int:
    """Ask the node, print its answer, and return the exit status.

    :param words: ``[HOST:]PORT`` of the node; empty for what the environment says.
    """
    named = environ.get("CHORDNODE_HTTP") or environ.get("CHORDNET_HTTP") or DEFAULT
    setting = words[0] if words else named
    host, _colon, port = setting.rpartition(":")
    host = host.strip("[]") or HOST
    try:
        status, text = ask(connect(_EVERYWHERE.get(host, host), int(port)))
    except (ValueError, OverflowError):
        print(f"{setting!r} is no port; write [HOST:]PORT, or set CHORDNET_HTTP to it")
        return 1
    except OSError as error:
        print(f"the node on {setting} does not answer: {error}")
        return 1
    print("".join(c if c.isprintable() or c == "\n" else "?" for c in text).strip())
    return 0 if status == "200" else 1


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


def ask(connection: Any) -> tuple[str, str]:
    """Return the status of a node's answer, and its text.

    :raises OSError: the connection broke, a step took longer than the socket's timeout, or the
        answer is none of HTTP.
    """
    connection.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
    answer = b""
    while len(answer) < MOST_BYTES:
        more = connection.recv(MOST_BYTES - len(answer))
        if not more:
            break
        answer += more
    head, empty, text = answer.partition(b"\r\n\r\n")
    words = head.split(None, _SIDES)
    if not empty or len(words) < _SIDES or not words[0].startswith(b"HTTP/"):
        raise OSError("it is no chordnet node that speaks HTTP (--http)")
    return words[1].decode("ascii", "replace"), text.decode("utf-8", "replace")


if __name__ == "__main__":
    import os

    sys.exit(main(os.environ, sys.argv[1:]))
