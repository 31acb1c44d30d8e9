"""Strangers at the door: junk, silence, floods, wrong greetings. The node goes on serving."""

from __future__ import annotations

import gc
import random
import weakref

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.testing import MemoryNetwork
from chordnet.wire.codec import encode_frame, read_answer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import GREETING_LIMIT, VERSION, Hello, Refuse, Welcome
from tests.net.hosts import Host, node_ref

A, B = "10.0.0.1:7001", "10.0.0.2:7001"


class Transport(StringTransport):
    """Remembers whether it was cut."""

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnected = True


class DoorCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.network = MemoryNetwork(self.clock)
        self.host = Host(self.network, "a", A, limits=NetworkLimits(max_ungreeted=4))
        self.transports: list[tuple[object, Transport]] = []

    def tearDown(self):
        for protocol, _transport in self.transports:
            protocol.connectionLost()
        self.host.stop()
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self, host: str = "127.0.0.1") -> tuple[object, Transport]:
        protocol = self.host.door.buildProtocol(IPv4Address("TCP", host, 4000))
        transport = Transport()
        if protocol is None:  # what Twisted does then
            transport.abortConnection()
            return protocol, transport
        protocol.makeConnection(transport)
        self.transports.append((protocol, transport))
        return protocol, transport

    def answers(self, data: bytes) -> tuple[list[object], Transport]:
        """Send ``data`` over a fresh connection and return what comes back."""
        protocol, transport = self.connect()
        protocol.dataReceived(data)
        return [
            read_answer(frame) for frame in FrameDecoder(9999).feed(transport.value())
        ], transport

    def assert_serving(self) -> None:
        friend = Host(self.network, "friend", B)
        before = len(self.host.received)
        friend.send(self.host, Ping(1))
        self.network.run(0.1)
        self.assertEqual(len(self.host.received), before + 1)
        friend.stop()
        self.network.run(0.1)


class GreetingTests(DoorCase):
    def test_a_peer_is_welcomed(self):
        me = node_ref("friend", B)
        answers, transport = self.answers(
            encode_frame(Hello("chordnet", 2, "default", 160, "peer", me, 2))
        )
        self.assertEqual(answers, [Welcome(2, self.host.me, "default", 160)])
        self.assertFalse(transport.disconnecting)

    def test_wrong_greetings_are_refused_with_a_logged_reason(self):
        me = node_ref("friend", B)
        for hello, code, reason in (
            (Hello("chordnet", 7, "default", 160, "peer", me), "version", "version 2 is spoken"),
            (Hello("chordnet", 2, "other", 160, "peer", me), "network", "not 'other'"),
            (Hello("chordnet", 2, "default", 6, "peer", me), "bits", "160 bits"),
            (Hello("kademlia", 2, "default", 160, "peer", me), "greeting", "not chordnet's"),
            (Hello("chordnet", 2, "default", 160, "peer", self.host.me), "self", ""),
        ):
            self.host.lines.clear()
            answers, transport = self.answers(encode_frame(hello))
            (refusal,) = answers
            self.assertIsInstance(refusal, Refuse)
            self.assertEqual(refusal.code, code)
            self.assertTrue(transport.disconnecting)
            if reason:
                self.assertTrue(self.host.logged(reason), self.host.lines)
            else:
                self.assertEqual(self.host.lines, [], "a node stays silent about itself")
        self.assert_serving()

    def test_requests_behind_a_refused_greeting_are_not_read(self):
        me = node_ref("friend", B)
        hello = Hello("chordnet", 2, "other", 160, "peer", me)
        self.answers(encode_frame(hello) + encode_frame(Ping(1)))
        self.assertEqual(self.host.received, [])


class JunkTests(DoorCase):
    def test_http_is_told_what_this_is(self):
        answers, transport = self.answers(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(answers[0].code, "greeting")
        self.assertTrue(transport.disconnecting)
        self.assertTrue(self.host.logged("no chordnet greeting"), self.host.lines)

    def test_random_bytes_are_refused(self):
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        for _ in range(300):
            protocol, transport = self.connect()
            protocol.dataReceived(rng.randbytes(rng.randrange(1, 300)))
            if not transport.disconnecting:
                protocol.dataReceived(bytes(4096))
            self.assertTrue(transport.disconnecting, f"seed {seed}")
            protocol.connectionLost()
        self.transports.clear()
        self.assertEqual(self.host.journal.counters.number(NetMetric.TURN_ERRORS), 0)
        self.assert_serving()

    def test_a_flood_of_junk_does_not_flood_the_log(self):
        for _ in range(1000):
            protocol, _transport = self.connect()
            protocol.dataReceived(b"\xff" * 10)
            protocol.connectionLost()
        self.transports.clear()
        self.assertLess(len(self.host.lines), 10)
        self.assertEqual(self.host.journal.counters.number(NetMetric.REFUSED, "greeting"), 1000)
        self.clock.advance(60)
        self.answers(b"\xff" * 10)
        self.assertTrue(self.host.logged("995 more of these were not logged"), self.host.lines)

    def test_an_oversized_greeting_is_refused_by_its_header(self):
        answers, transport = self.answers((GREETING_LIMIT + 1).to_bytes(4))
        self.assertEqual(answers[0].code, "greeting")
        self.assertTrue(transport.disconnecting)

    def test_a_stranger_makes_us_hold_little(self):
        protocol, _transport = self.connect()
        protocol.dataReceived(GREETING_LIMIT.to_bytes(4))
        for _ in range(GREETING_LIMIT - 1):
            protocol.dataReceived(b"\0")
        self.assertLessEqual(protocol._decoder.pending, GREETING_LIMIT + 4)

    def test_strangers_that_are_gone_cost_no_memory_until_the_collector_comes(self):
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        protocol, _transport = self.connect()
        protocol.dataReceived(b"\xff" * 10)
        protocol.connectionLost()
        self.transports.clear()
        gone = weakref.ref(protocol)
        del protocol, _transport
        self.assertIsNone(gone())


class SilenceTests(DoorCase):
    def test_a_connection_that_does_not_greet_is_cut_and_logged(self):
        protocol, transport = self.connect()
        protocol.dataReceived(b"\0\0")
        self.clock.advance(2.9)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(transport.disconnected)
        self.assertTrue(self.host.logged("it did not greet in time"), self.host.lines)

    def test_silent_connections_are_limited_and_the_oldest_goes_after_a_second(self):
        silent = [self.connect()[1] for _ in range(10)]
        self.assertEqual(self.host.door.waiting, 4)
        self.assertEqual([t.disconnected for t in silent], [False] * 4 + [True] * 6)
        self.clock.advance(1.0)
        later = [self.connect()[1] for _ in range(3)]
        self.assertEqual([t.disconnected for t in silent[:4]], [True] * 3 + [False])
        self.assertEqual([t.disconnected for t in later], [False] * 3)
        self.clock.advance(1.0)
        self.assert_serving()

    def test_a_connection_that_has_begun_to_greet_does_not_give_way(self):
        slow = [self.connect() for _ in range(4)]
        for protocol, _transport in slow:
            protocol.dataReceived(b"\0")
        self.clock.advance(2.0)
        self.assertTrue(self.connect()[1].disconnected)
        self.assertFalse(any(transport.disconnected for _, transport in slow))

    def test_a_slow_greeting_gets_in_beside_connections_that_churn(self):
        hello = encode_frame(Hello("chordnet", VERSION, "default", 160, "peer", node_ref("f", B)))
        greeters = []
        for step in range(100):
            self.connect()
            self.clock.advance(0.05)
            if step % 10 == 0:
                protocol, transport = self.connect()
                if protocol is not None:
                    greeters.append((step + 6, protocol, transport))
            for at, protocol, transport in greeters:
                if at == step:
                    self.assertFalse(transport.disconnected)
                    protocol.dataReceived(hello)
        self.assertGreater(len(greeters), 1)
        self.assertGreater(self.host.transport.connected, 0)

    def test_one_host_cannot_keep_others_out(self):
        for _ in range(4):
            self.connect("10.0.0.66")
        others = [self.connect(host)[1] for host in ("10.0.0.7", "10.0.0.8")]
        self.assertEqual([transport.disconnected for transport in others], [False, False])
        self.assertEqual(self.host.door.waiting, 4)

    def test_a_greeted_connection_is_not_cut_for_silence(self):
        hello = Hello("chordnet", 2, "default", 160, "peer", node_ref("friend", B), 2)
        _answers, transport = self.answers(encode_frame(hello))
        self.clock.advance(60)
        self.assertFalse(transport.disconnected)

    def test_who_leaves_without_a_word_is_not_worth_a_line(self):
        protocol, _transport = self.connect()
        protocol.connectionLost()
        self.clock.advance(10)
        self.transports.clear()
        self.assertEqual(self.host.lines, [])
        self.assertEqual(self.host.door.waiting, 0)
