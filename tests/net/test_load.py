"""The total of bytes that a node holds for all its clients and its own program."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import Busy
from chordnet.net.base.allowance import Load
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.links.greeters import client_hello
from chordnet.wire.codec import encode_frame, read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.rpc import GetMessages
from tests.net.hosts import FRAME_LIMIT
from tests.net.test_service import ServiceCase

BODY = 4000
LIMITS = NetworkLimits(in_flight_bytes=10_000)
"""Room for two bodies and a half."""


class LoadTests(SynchronousTestCase):
    def test_what_fits_is_held_and_what_does_not_is_refused_without_a_trace(self):
        load = Load(100)
        load.take(60)
        load.take(40)
        self.assertIn("100 bytes", str(self.assertRaises(Busy, load.take, 1)))
        self.assertEqual(load.held, 100)
        load.give(60)
        load.take(1)
        self.assertEqual(load.held, 41)

    def test_one_broadcast_is_let_in_however_long_it_is(self):
        load = Load(100)
        load.take(1000)
        self.assertRaises(Busy, load.take, 1)


class Reader(Protocol):
    """A client that reads when it likes, and keeps the numbers of the requests answered."""

    def __init__(self) -> None:
        self.decoder = FrameDecoder(FRAME_LIMIT, FRAME_LIMIT)
        self.welcome = b""
        self.answered: list[int] = []

    def dataReceived(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            if self.welcome:
                self.answered.append(read_reply(frame).rid)
            self.welcome = frame


class SlowReaderTests(ServiceCase):
    def test_requests_of_a_client_that_does_not_read_wait_and_are_all_answered_once_it_does(self):
        (service,) = self.ring(1)
        for number in range(40):
            self.result(service.broadcast(f"{number:04}" + "x" * BODY), 0.002)
        reader = self.network.connect("10.9.9.9:1", self.address(1), Factory.forProtocol(Reader))
        requests = [GetMessages(rid, 10, "") for rid in range(1, 31)]
        reader.transport.pauseProducing()
        reader.transport.write(b"".join(map(encode_frame, [client_hello(""), *requests])))
        self.network.run(0.1)
        counters = service.node.journal.counters
        self.assertLess(counters.number(NetMetric.REQUESTS), 30)
        self.assertFalse(reader.transport.other.reading)
        reader.transport.resumeProducing()
        self.network.run(1)
        self.assertEqual(counters.number(NetMetric.REQUESTS), 30)
        self.assertEqual(reader.answered, list(range(1, 31)))
        self.assertTrue(reader.transport.other.reading)
        reader.transport.abortConnection()


class NodeTests(ServiceCase):
    def frozen_ring(self):
        """Return Node 1 of three, of which the others read nothing: no broadcast is confirmed."""
        ring = self.ring(3, limits=LIMITS)
        self.network.frozen.update({self.address(2), self.address(3)})
        return ring[0]

    def outcomes(self, *waiting: Deferred) -> list[str]:
        """Let a moment pass and say what became of each."""
        found = ["waits"] * len(waiting)

        def came(result, index):
            found[index] = type(result.value if isinstance(result, Failure) else result).__name__

        for index, deferred in enumerate(waiting):
            deferred.addBoth(came, index)
        self.network.run(0.1)
        return found

    def test_clients_share_one_total_with_each_other_and_with_the_program(self):
        service = self.frozen_ring()
        clients = [self.client(1), self.client(1)]
        first = self.outcomes(clients[0].send_message("a" * BODY))
        second = self.outcomes(service.broadcast("b" * BODY))
        third = self.outcomes(clients[1].send_message("c" * BODY))
        small = self.outcomes(clients[1].send_message("d"))
        self.assertEqual(first + second + third + small, ["waits", "waits", "Busy", "waits"])
        self.assertEqual(service.node.load.held, 2 * BODY + 1)

    def test_messages_count_although_nobody_awaits_their_receipts(self):
        service = self.frozen_ring()
        client = self.client(1)
        for _ in range(2):
            self.result(client.send_message("a" * BODY, wait=False))
        self.assertEqual(self.outcomes(client.send_message("b" * BODY, wait=False)), ["Busy"])
        self.assertEqual(service.node.load.held, 2 * BODY)

    def test_a_message_that_is_confirmed_and_read_makes_room(self):
        (service,) = self.ring(1, limits=LIMITS)
        client = self.client(1)
        for _ in range(10):
            self.assertEqual(self.result(client.send_message("a" * BODY)).recorded, 1)
            self.assertEqual(self.result(service.broadcast("b" * BODY)).recorded, 1)
        self.assertEqual(service.node.load.held, 0)

    def test_a_message_that_fails_makes_room(self):
        service = self.frozen_ring()
        client = self.client(1)
        waiting = [client.send_message("a" * BODY), service.broadcast("b" * BODY)]
        self.network.run(60)
        self.outcomes(*waiting)
        self.assertEqual(service.node.load.held, 0)

    def unread(self):
        """Return a node whose client has sent messages and then reads no receipt of them."""
        service = self.ring(2, limits=NetworkLimits(in_flight_bytes=400_000))[0]
        client = self.client(1)
        self.network.frozen.add(self.address(2))
        for _ in range(6):
            client.send_message("a" * 60_000).addErrback(lambda _failure: None)
        self.network.run(0.1)
        self.network.frozen.add("10.9.9.9:1")
        self.network.thaw(self.address(2))
        self.network.run(1)
        self.assertEqual(service.node._broadcasts, {})
        self.assertGreater(service.node.load.held, 300_000)
        return service, client

    def test_receipts_that_a_client_does_not_read_are_held_until_it_does(self):
        service, _client = self.unread()
        self.network.thaw("10.9.9.9:1")
        self.network.run(0.1)
        self.assertEqual(service.node.load.held, 0)

    def test_receipts_that_a_client_never_reads_are_let_go_with_it(self):
        service, _client = self.unread()
        self.network.run(30)
        self.assertEqual(service._life.desk.clients, 0)
        self.assertEqual(service.node.load.held, 0)
