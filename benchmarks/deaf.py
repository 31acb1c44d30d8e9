"""Raw connections to a node that greet, ask, and read when it pleases them: never, or later."""

from __future__ import annotations

import socket

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.limits import PHRASE_BYTES
from chordnet.core.base.messages import GetState, NodeRef, Status
from chordnet.net.links.greeters import client_hello
from chordnet.wire.codec import encode_frame, frame_limit, read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import MAGIC, OLDEST_VERSION, PEER, VERSION, Bye, Hello
from chordnet.wire.rpc import Follow, MessageRecord, Messages

READ_S = 2.0
"""A silence that long ends the reading."""
BUFFER = 16_384
"""The receive buffer, bytes: what is not read has to wait with the node."""
PIECE = 65_536
NAME = "a deaf peer"


class DeafSubscriber:
    """Follows all messages of a node from now on, and reads none of them until it is asked to.

    Args:
        port: The node's, on this machine.
        since: Follow from this message id on; empty for everything.
    """

    def __init__(self, port: int, since: str) -> None:
        self._socket = _connected(port)
        self._socket.sendall(encode_frame(client_hello("")) + encode_frame(Follow(1, since)))
        self._frames = FrameDecoder(frame_limit(PHRASE_BYTES))
        self._greeted = False
        self.farewell = ""
        """Why the node closed the connection, if it did."""

    def read(self) -> list[MessageRecord]:
        """Read whatever comes until nothing does for a while, or until the node has closed."""
        found: list[MessageRecord] = []
        self._socket.settimeout(READ_S)
        try:
            while data := self._socket.recv(PIECE):
                for frame in self._frames.feed(data):
                    found += self._messages(frame)
        except TimeoutError:
            return found
        except ConnectionResetError:
            self.farewell = self.farewell or "cut without a word"
        return found

    def _messages(self, frame: bytes) -> list[MessageRecord]:
        if not self._greeted:
            self._greeted = True  # the node's Welcome
            return []
        reply = read_reply(frame)
        if isinstance(reply, Bye):
            self.farewell = reply.text or reply.code
        return list(reply.messages) if isinstance(reply, Messages) else []

    def close(self) -> None:
        """End it without a word."""
        self._socket.close()


class DeafPeer:
    """Greets a node as another node of its network, asks and asks, and reads no answer.

    Args:
        port: The node's, on this machine.
        network: The network's name.
        bits: Of its identifiers.
    """

    def __init__(self, port: int, network: str, bits: int) -> None:
        space = IdentifierSpace(bits)
        me = NodeRef(space.raw(space.hash(NAME.encode())), 1, "127.0.0.1:9", NAME)
        self._socket = _connected(port)
        self._socket.sendall(
            encode_frame(Hello(MAGIC, VERSION, network, bits, PEER, me, OLDEST_VERSION))
        )
        self._socket.setblocking(False)
        self._rid = 0
        self._unsent = b""
        self.asked = 0
        self.cut = False

    def ask(self, count: int) -> None:
        """Send so many questions as far as the node takes them; ``cut`` if it has had enough."""
        for _ in range(count):
            if not self._unsent:
                self._rid += 1
                self._unsent = encode_frame(GetState(self._rid, int(Status.ACTIVE)))
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError:
                self.cut = True
                return
            self._unsent = self._unsent[sent:]
            self.asked += not self._unsent

    def close(self) -> None:
        """End it without a word."""
        self._socket.close()


def _connected(port: int) -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    made.settimeout(READ_S)
    made.connect(("127.0.0.1", port))
    return made
