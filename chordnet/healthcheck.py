"""Whether the node of this machine is a member of a ring: exit status 0 if so, 1 if not.

``python -m chordnet.healthcheck`` is what a container runs every few seconds, so it loads neither
Twisted nor a client: one blocking connection to ``127.0.0.1:$CHORDNET_PORT`` (or the ``HOST:PORT``
given), one question. An open port is not enough; only a node in state ``active`` that
both its neighbours have taken in is healthy: every receipt counts it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence

from chordnet.core.errors import ChordnetError, RemoteProtocolError
from chordnet.wire.codec import encode_frame, frame_limit, read_answer, read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import CLIENT, GREETING_LIMIT, MAGIC, VERSION, Hello, Welcome
from chordnet.wire.rpc import GetStatus, NodeStatus, StatusReply

HOST = "127.0.0.1"
DEFAULT_PORT = 7001
TIMEOUT_S = 3.0
"""How long each step may take; the container engine limits the whole."""
_CHUNK = 65536


def main(environ: Mapping[str, str] = os.environ, words: Sequence[str] = ()) -> int:
    """Ask the node, say in one line how it is, and return the exit status.

    :param words: ``HOST:PORT`` of the node, or nothing for the one on this machine whose port the
        environment names.
    """
    port = environ.get("CHORDNODE_PORT") or environ.get("CHORDNET_PORT") or str(DEFAULT_PORT)
    setting = words[0] if words else f"{HOST}:{port}"
    host, _colon, port = setting.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as connection:
            status = ask(connection)
    except ValueError:
        print(f"{setting!r} is no address; write HOST:PORT, or a port in CHORDNET_PORT")
        return 1
    except (OSError, OverflowError, ChordnetError) as error:
        print(f"the node on {setting} does not answer: {error}")
        return 1
    if status.state == "active" and not status.joined:
        print(f"{status.node.name} is active, and its neighbours have not both taken it in yet")
        return 1
    reason = "".join(c if c.isprintable() else "?" for c in status.reason)
    print(f"{status.node.name} is {status.state}{f': {reason}' if reason else ''}")
    return 0 if status.state == "active" else 1


def ask(connection: socket.socket) -> NodeStatus:
    """Return the status of the node at the other end of a fresh connection.

    :raises RemoteProtocolError: it refused the greeting, or is no chordnet node.
    :raises OSError: the connection broke, or a step took longer than the socket's timeout.
    """
    # A client may leave the network's name empty and the width of identifiers 0: any will do.
    connection.sendall(encode_frame(Hello(MAGIC, VERSION, "", 0, CLIENT)))
    # Room for any frame that a node in its default configuration sends.
    decoder = FrameDecoder(frame_limit(max_body_bytes=65536), GREETING_LIMIT)
    frames: list[bytes] = []
    welcome = read_answer(_next_frame(connection, decoder, frames))
    if not isinstance(welcome, Welcome):
        raise RemoteProtocolError(f"it refused: {welcome.text}")
    connection.sendall(encode_frame(GetStatus(1)))
    reply = read_reply(_next_frame(connection, decoder, frames))
    if not isinstance(reply, StatusReply):
        raise RemoteProtocolError(f"it answered {reply}")
    return reply.status


def _next_frame(connection: socket.socket, decoder: FrameDecoder, frames: list[bytes]) -> bytes:
    """Take the oldest of ``frames``, reading until there is one; the decoder limits how much."""
    while not frames:
        data = connection.recv(_CHUNK)
        if not data:
            raise ConnectionError("it closed the connection")
        frames += decoder.feed(data)
    return frames.pop(0)


if __name__ == "__main__":
    sys.exit(main(os.environ, sys.argv[1:]))
