"""Nodes that speak the protocol of version 0.1.0 are refused in words, on both sides."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol

from chordnet.wire.codec import encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import VERSION, Refuse, Welcome
from tests.net.hostile import HostileCase
from tests.net.hosts import node_ref

FIRST_VERSION = 1


class VersionTests(HostileCase):
    nodes = 2

    def test_a_node_of_the_first_version_is_refused_in_words(self):
        service = self.ring()[0]
        peer = self.hostile(service, expect=False, version=FIRST_VERSION)
        self.assertIsInstance(peer.welcome, Refuse)
        self.assertEqual(peer.welcome.code, "version")
        self.assertIn(f"version {VERSION} is spoken here, not {FIRST_VERSION}", peer.welcome.text)
        self.assertTrue(
            [line for line in self.lines if "is spoken here, not 1" in line], self.lines
        )

    def test_a_node_that_is_refused_by_the_first_version_says_why(self):
        first = _FirstVersion()
        self.network.bind(self.address(2), first)
        self.service(1, peers=(2,))
        self.network.run(3)
        self.assertGreater(first.greeted, 0)
        said = [line for line in self.lines if "10.0.0.2:7001 refused this node" in line]
        self.assertTrue(said, self.lines)
        self.assertIn(f"protocol version 1 is spoken here, not {VERSION}", said[0])

    def test_an_answer_in_the_first_version_is_no_answer(self):
        first = _FirstVersion(welcomes=True)
        self.network.bind(self.address(2), first)
        self.service(1, peers=(2,))
        self.network.run(3)
        self.assertGreater(first.greeted, 0)
        self.assertFalse(first.heard, "it was spoken to all the same")


class _FirstVersion(Factory):
    """What listens at an address speaks the first version alone."""

    noisy = False

    def __init__(self, *, welcomes: bool = False) -> None:
        self.answer: Welcome | Refuse = Refuse(
            "version", f"protocol version 1 is spoken here, not {VERSION}"
        )
        if welcomes:
            self.answer = Welcome(1, node_ref("Node 2", "10.0.0.2:7001"), "default", 160)
        self.greeted = 0
        self.heard: list[bytes] = []

    def buildProtocol(self, _address: object) -> _Listening:
        return _Listening(self)


class _Listening(Protocol):
    def __init__(self, factory: _FirstVersion) -> None:
        self._factory = factory
        self._decoder = FrameDecoder(9999)
        self._answered = False

    def dataReceived(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            if self._answered:
                self._factory.heard.append(frame)
                continue
            self._answered = True
            self._factory.greeted += 1
            self.transport.write(encode_frame(self._factory.answer))
            if isinstance(self._factory.answer, Refuse):
                self.transport.loseConnection()
