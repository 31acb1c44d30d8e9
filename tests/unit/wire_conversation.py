"""The conversation that the page on the wire format shows, had with a real node in memory."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from chordnet.core.base.messages import NodeRef, Ping
from chordnet.testing import MemoryNetwork
from chordnet.wire.codec import encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import VERSION, Hello
from chordnet.wire.rpc import GetMessages, SendMessage
from tests.net.hosts import node_ref

NODE = "10.0.0.1:7001"


class Talker(Protocol):
    """Sends frames and keeps those that come back."""

    def __init__(self) -> None:
        self.decoder = FrameDecoder(300_000)
        self.frames: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        self.frames += [len(f).to_bytes(4) + f for f in self.decoder.feed(data)]


def converse(requests: list[bytes]) -> list[bytes]:
    """Send frames one by one to a fresh node; return them with the answers between."""
    network = MemoryNetwork(Clock())
    service = network.service(NODE, name="Node 1")
    service.startService()
    network.run(1)
    talker = network.connect("10.0.0.9:50000", NODE, Factory.forProtocol(Talker))
    spoken = []
    for request in requests:
        talker.transport.write(request)
        network.run(0.5)
        spoken += [request, *talker.frames]
        talker.frames = []
    service.stopService()
    network.run(5)
    return spoken


def client_talk() -> list[bytes]:
    """Return a client's conversation: Hello, Welcome, SendMessage, Sent, GetMessages, Messages."""
    return converse(
        [
            encode_frame(Hello("chordnet", VERSION, "default", 160, "client")),
            encode_frame(SendMessage(1, "apple")),
            encode_frame(GetMessages(2)),
        ]
    )


def peer_talk() -> list[bytes]:
    """Return a peer's conversation: Hello, Welcome, Ping, Pong."""
    peer: NodeRef = node_ref("Node 2", "10.0.0.9:7001", 1_700_000_000_000)
    return converse(
        [
            encode_frame(Hello("chordnet", VERSION, "default", 160, "peer", peer, VERSION)),
            encode_frame(Ping(7)),
        ]
    )


def refused_talk() -> list[bytes]:
    """Return the conversation of a client of a later version: Hello, Refuse."""
    return converse([encode_frame(Hello("chordnet", 9, "default", 160, "client"))])
