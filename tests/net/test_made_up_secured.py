"""Strangers and members of a secured network that send anything: to shake hands, inside, to enrol.

Nobody gets in by it, no node fails, and nobody holds a place for longer than a greeting may take.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.net.tls.credentials import Credentials, enrolling_end
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.subjects import Role
from chordnet.wire.codec import encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Bye, Hello
from chordnet.wire.parts import tag_of
from chordnet.wire.trust.bundles import BundleMessage
from chordnet.wire.trust.enrolment import JOIN, MAGIC, RENEW, VERSION, Ask, Enrol, Renew
from tests.net.members import SecuredNetwork, address_of
from tests.unit.made_up import damaged, encoded, messages
from tests.unit.trust_support import make_network

TRIES = settings(deadline=None, print_blob=True, max_examples=40)
WELCOME, GRANTED = 61, 205
Edit = tuple[int, int, int]
EDITS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4
)
"""What is done to bytes whose contents are by chance: how, at which place, with which byte."""


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


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


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
            self.transport.write(data)

    def tags(self) -> set[int | None]:
        """Return what it was told, by the tags of the messages."""
        return {tag_of(frame) for frame in FrameDecoder(1 << 20).feed(self.heard)}

    def say(self, data: bytes) -> None:
        if not self.lost and self.end.established:
            self.transport.write(self.end.protect(data))


class SecuredCase(SynchronousTestCase):
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
        return Credentials(self.network.trust[name], self.wall)

    def dial(self, end: TlsEnd, edits: list[Edit] | None = None, spoilt: int = -1) -> Program:
        program = Program(end, edits or [], spoilt)
        dialler = self.net.dialling_from("10.6.6.6:1")(None, address_of("n1"), 3.0)  # type: ignore[arg-type]
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


class HandshakeTests(SecuredCase):
    def ends(self) -> list[Callable[[], TlsEnd]]:
        foreign = Credentials(make_network(["n2"], seed=9)["n2"], self.wall)
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        return [visitor.dial, foreign.dial, enrolling_end]

    def test_a_handshake_that_is_not_damaged_lets_a_member_in(self) -> None:
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        program = self.dial(visitor.dial())
        program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
        self.net.run(0.1)
        self.assertIn(WELCOME, program.tags())
        self.hang_up(program)

    def test_a_handshake_that_is_damaged_anywhere_lets_nobody_in_and_harms_nobody(self) -> None:
        ends = self.ends()

        @TRIES
        @given(st.sampled_from(ends), EDITS, st.integers(0, 2))
        def check(begin: Callable[[], TlsEnd], edits: list[Edit], spoilt: int) -> None:
            program = self.dial(begin(), edits, spoilt)
            program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            # Not every byte of a handshake counts, so a member may get in nevertheless.
            self.assertTrue(begin is ends[0] or WELCOME not in program.tags())
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()

    def test_any_bytes_behind_the_first_byte_of_a_handshake_are_refused(self) -> None:
        @TRIES
        @given(st.binary(max_size=300), st.integers(1, 50))
        def check(data: bytes, size: int) -> None:
            program = self.dial(enrolling_end(), [(0, 0, 7)] * 40, 0)
            data = b"\x16" + data
            for place in range(0, len(data), size):
                program.transport.write(data[place : place + size])
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()


class InsideTests(SecuredCase):
    def hello(self, name: str) -> Hello:
        service = self.network.nodes[name]
        assert service.node is not None
        me = service.node.me
        # Another start of the same node, whose address is not where the node is.
        other = NodeRef(me.raw, me.incarnation + 1000, "10.6.6.6:1", me.name)
        return Hello("chordnet", 2, "default", 160, "peer", other, 2)

    def test_any_greeting_of_somebody_with_a_certificate_is_answered_or_ends_the_connection(
        self,
    ) -> None:
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        ends = [self.credentials("n2").dial, visitor.dial]
        near = st.just(encoded(self.hello("n2")))
        greetings = messages(Hello).map(encoded) | damaged(near) | st.binary(max_size=60)

        @TRIES
        @given(st.sampled_from(ends), greetings)
        def check(begin: Callable[[], TlsEnd], greeting: bytes) -> None:
            program = self.dial(begin())
            self.assertTrue(program.end.established)
            program.say(framed(greeting))
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()

    def test_any_messages_of_a_member_leave_all_nodes_serving(self) -> None:
        # It was certified, and is none of the nodes that run.
        stranger = self.network.authority.identity(Role.PEER, "n9", self.wall())
        credentials = Credentials(stranger, self.wall)
        raw = self.network.nodes["n1"].node.space.hash(b"n9")  # type: ignore[union-attr]
        me = NodeRef(raw.to_bytes(20), int(self.wall() * 1000), "10.6.6.6:1", "n9")
        hello = Hello("chordnet", 2, "default", 160, "peer", me, 2)
        payloads = messages(PeerMessage | BundleMessage | Bye).map(encoded)
        programs: list[Program] = []

        @TRIES
        @given(st.lists(payloads | damaged(payloads), min_size=1, max_size=6))
        def check(sent: list[bytes]) -> None:
            if not programs or programs[-1].lost:
                programs.append(self.dial(credentials.dial()))
                programs[-1].say(encode_frame(hello))
                self.net.run(0.05)
            programs[-1].say(b"".join(map(framed, sent)))
            self.net.run(0.05)
            self.assert_unharmed()

        check()
        self.hang_up(programs[-1])
        self.assert_serving()


class EnrolmentTests(SecuredCase):
    def test_any_words_of_a_newcomer_get_no_certificate_and_use_up_no_invitation(self) -> None:
        token = self.network.invite("n1", name="newcomer")
        asks = st.sampled_from([Ask(MAGIC, VERSION, about) for about in (JOIN, RENEW)])
        firsts = (asks | messages(Ask)).map(encoded)
        wishes = messages(Enrol | Renew).map(encoded)
        ends = [enrolling_end, self.credentials("n2").enrol]

        @TRIES
        @given(
            st.sampled_from(ends),
            firsts | damaged(firsts) | st.binary(max_size=40),
            st.lists(wishes | damaged(wishes) | st.binary(max_size=40), max_size=4),
        )
        def check(begin: Callable[[], TlsEnd], first: bytes, then: list[bytes]) -> None:
            member = begin is not enrolling_end
            program = self.dial(begin())
            program.say(framed(first))
            self.net.run(0.05)
            for each in then:
                program.say(framed(each))
                self.net.run(0.02)
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            # A member may renew its certificate; nobody else gets one.
            self.assertTrue(member or GRANTED not in program.tags())
            self.assert_unharmed()
            self.hang_up(program)

        check()
        gift = self.network.join(token)
        self.assertEqual(gift.identity.subject.name, "newcomer")
        self.assertRaises(ChordnetError, self.network.join, token)
        self.assert_serving()
