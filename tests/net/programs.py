"""Programs that speak TLS to the nodes of a secured network in memory, for tests of attacks."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import NodeRef
from chordnet.net.tls.credentials import Credentials
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.identity import Identity
from chordnet.wire.codec import encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Hello
from chordnet.wire.parts import tag_of
from tests.net.members import SecuredNetwork, address_of

WELCOME, REFUSE, GRANTED = 61, 62, 205
"""Tags of the answers that matter."""
Edit = tuple[int, int, int]


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return bytes with some of them changed, cut off, put in or doubled."""
    changed = bytearray(data)
    for kind, at, byte in edits:
        place = at % (len(changed) + 1)
        if kind == 0:
            del changed[place : place + 1 + byte % 8]
        elif kind == 1:
            changed[place:place] = bytes([byte])
        elif kind == 2:
            changed[place:place] = changed[: 4 * byte]
        elif place < len(changed):
            changed[place] ^= byte or 1
    return bytes(changed)


class Program(Protocol):
    """A program that speaks TLS, and may damage what it sends.

    :param end: its end of TLS.
    :param edits: what is done to the flight of the handshake with the number ``spoilt``.
    """

    def __init__(self, end: TlsEnd, edits: list[Edit], spoilt: int) -> None:
        self.end = end
        self.edits = edits
        self.spoilt = spoilt
        self.flights = 0
        self.heard = b""
        self.written = b""
        """All that it has sent, as it left."""
        self.lost = False

    def connectionMade(self) -> None:
        self.flush()

    def dataReceived(self, data: bytes) -> None:
        self.heard += self.end.receive(data)
        self.flush()

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True

    def flush(self) -> None:
        data = self.end.take()
        if data:
            if self.flights == self.spoilt:
                data = edited(data, self.edits)
            self.flights += 1
            self._write(data)

    def tags(self) -> set[int | None]:
        """Return what it was told, by the tags of the messages."""
        return {tag_of(frame) for frame in self.frames()}

    def frames(self) -> list[bytes]:
        """Return what it was told, frame by frame."""
        return FrameDecoder(1 << 20).feed(self.heard)

    def say(self, data: bytes) -> None:
        if not self.lost and self.end.established:
            self._write(self.end.protect(data))

    def _write(self, data: bytes) -> None:
        self.written += data
        self.transport.write(data)


class SecuredCase(SynchronousTestCase):
    """A ring of three nodes, and programs that connect to the first of them."""

    def setUp(self) -> None:
        self.network = SecuredNetwork(self, 3)
        self.network.start()
        self.net = self.network.net
        self.network.net.run(3.0)
        self.addCleanup(self.clean)

    def clean(self) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])

    def wall(self) -> float:
        return self.network.now

    def credentials(self, name: str) -> Credentials:
        return self.showing(self.network.trust[name])

    def showing(self, identity: Identity) -> Credentials:
        """Return credentials for whoever has the files of an identity."""
        return Credentials(identity, self.wall)

    def hello(self, name: str, address: str = "10.6.6.6:1", later_ms: int = 0) -> Hello:
        """Return the greeting of a node of any name, at this moment or later."""
        node = self.network.nodes["n1"].node
        assert node is not None
        raw = node.space.raw(node.space.hash(name.encode()))
        me = NodeRef(raw, int(self.wall() * 1000) + later_ms, address, name)
        return Hello("chordnet", 2, "default", 160, "peer", me, 2)

    def greet(self, credentials: Credentials, hello: Hello, source: str = "10.6.6.6:1") -> Program:
        """Return a program that has connected with an identity and said ``hello``."""
        program = self.dial(credentials.dial(), source=source)
        program.say(encode_frame(hello))
        self.net.run(0.3)
        return program

    def dial(
        self, end: TlsEnd, edits: list[Edit] | None = None, spoilt: int = -1,
        source: str = "10.6.6.6:1",
    ) -> Program:  # fmt: skip
        program = Program(end, edits or [], spoilt)
        dialler = self.net.dialling_from(source)(None, address_of("n1"), 3.0)  # type: ignore[arg-type]
        dialler.connect(Factory.forProtocol(lambda: program))
        self.net.run(0.05)
        return program

    def hang_up(self, program: Program) -> None:
        if not program.lost:
            program.transport.abortConnection()
        self.net.run(0.01)

    def waiting(self) -> int:
        return len(self.net._factories[address_of("n1")].door.places)  # type: ignore[attr-defined]

    def assert_unharmed(self) -> None:
        for service in self.network.nodes.values():
            assert service.node is not None
            self.assertEqual(service.node.failure, "")
            errors = {k: v for k, v in service.node.counters().items() if "error" in k and v}
            self.assertEqual(errors, {})
        self.assertEqual(self.flushLoggedErrors(), [])

    def assert_serving(self) -> None:
        self.net.run(20.0)
        self.assert_unharmed()
        for name, service in self.network.nodes.items():
            receipt = self.network.outcome(service.broadcast(f"from-{name}"))
            self.assertEqual((receipt.recorded, receipt.partial), (3, False))
