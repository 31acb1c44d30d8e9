"""A program that speaks the wire format to a node and says whatever it is told to.

It is no node: it greets as a peer, answers pings so that no node takes it for dead, and sends
frames that no honest node would send. The tests of attacks and the storm's hostile peer use it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.protocol import Protocol

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import (
    Bcast,
    EdgeKind,
    GetState,
    Hop,
    MessageId,
    NodeRef,
    PeerMessage,
    Ping,
    Pong,
    State,
    Status,
)
from chordnet.wire.codec import encode_frame, frame_limit, read_answer, read_peer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import MAGIC, PEER, VERSION, Bye, Hello, Welcome

SPACE = IdentifierSpace(160)
FRAME_LIMIT = frame_limit(65536)


def identity(name: str, address: str, incarnation: int) -> NodeRef:
    """Return the pointer of a node called ``name``, which any program can work out."""
    return NodeRef(SPACE.raw(SPACE.hash(name.encode())), incarnation, address, name)


def hop(name: str, kind: EdgeKind = EdgeKind.FINGER) -> Hop:
    """Return a hop over the node called ``name``."""
    return Hop(SPACE.raw(SPACE.hash(name.encode())), name, int(kind))


class HostilePeer(Protocol):
    """One connection of a program that greets as ``me`` and means no good.

    :param me: who it says that it is.
    :param polite: whether it answers pings and questions about its pointers.
    :param network: of the node that it talks to.
    :param version: of the protocol, the only one that it says it speaks.
    """

    def __init__(
        self, me: NodeRef, *, polite: bool = True, network: str = "default",
        version: int = VERSION,
    ) -> None:  # fmt: skip
        self.me = me
        self.polite = polite
        self.network = network
        self.version = version
        self.heard: Counter[str] = Counter()
        """How many frames of each type it was sent."""
        self.on_message: Callable[[PeerMessage], object] = lambda _message: None
        self.welcome: Any = None
        self.lost = False
        self._decoder = FrameDecoder(FRAME_LIMIT)

    def connectionMade(self) -> None:
        """Greet."""
        version = self.version
        self.send(Hello(MAGIC, version, self.network, SPACE.bits, PEER, self.me, version))

    def connectionLost(self, reason: Any = None) -> None:
        """Take note of the end."""
        self.lost = True

    def dataReceived(self, data: bytes) -> None:
        """Read what the node says."""
        for frame in self._decoder.feed(data):
            if self.welcome is None:
                self.welcome = read_answer(frame)
                continue
            message = read_peer(frame)
            self.heard[type(message).__name__] += 1
            if isinstance(message, Bye):
                self.hang_up()
            else:
                self._answer(message)
                self.on_message(message)

    @property
    def welcomed(self) -> bool:
        """Whether the node has let it in."""
        return isinstance(self.welcome, Welcome)

    def _answer(self, message: PeerMessage) -> None:
        if not self.polite:
            return
        if isinstance(message, Ping):
            self.send(Pong(message.rid, int(Status.ACTIVE)))
        elif isinstance(message, GetState):
            self.send(State(message.rid, int(Status.UNJOINED), None, None, [], None))

    def send(self, *messages: msgspec.Struct) -> None:
        """Send messages."""
        if not self.lost and self.transport is not None:
            self.transport.write(b"".join(map(encode_frame, messages)))

    def send_raw(self, *values: Any) -> None:
        """Send frames that are no message of ours: any MessagePack value."""
        for value in values:
            payload = msgspec.msgpack.encode(value)
            self.transport.write(len(payload).to_bytes(4) + payload)

    def hang_up(self) -> None:
        """Close the connection."""
        self.transport.loseConnection()

    # ---- frames that it makes up ------------------------------------------------------------

    def bcast(
        self, origin: NodeRef, sequence: int, bodies: list[bytes] | None, limit: bytes, *,
        count: int | None = None, kind: EdgeKind = EdgeKind.FINGER, created: float = 1.7e9,
        over: Sequence[Hop] = (), ttl: int = 60,
    ) -> Bcast:  # fmt: skip
        """Return a broadcast of any origin; its route ends at the sender.

        :param over: hops between the two.
        """
        route = [hop(origin.name, EdgeKind.ORIGIN), *over]
        if origin.raw != self.me.raw:
            route.append(hop(self.me.name))
        number = count or (len(bodies) if bodies is not None else 1)
        first = MessageId(origin.raw, origin.incarnation, sequence)
        return Bcast(first, number, created, ttl, limit, int(kind), route, bodies)
