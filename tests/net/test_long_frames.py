"""Long frames on live connections: what goes between their parts, what waits, and what liars do."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import Busy, Conflict, ConnectFailed, LocalProtocolError, Unconfirmed
from chordnet.core.base.messages import Ping, StoreMail
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.metrics import NetMetric
from chordnet.net.base.turn import Turn
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import LONG_LIMIT, LONG_OF_PEERS, encode_frame
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Bye
from chordnet.wire.parts import PART_BYTES, Joining, LongFrames, PartsRoom
from tests.net.hostile import HostileCase
from tests.net.hosts import Keeper
from tests.net.test_connection import CountedTransport, Notes
from tests.net.test_keys import KeyCase
from tests.net.test_transport import A, B, TransportCase

MIB = 1_048_576
LETTER = encode_frame(StoreMail(bytes(200_000)))
"""Four parts."""


def cut(frame: bytes) -> list[bytes]:
    waiting = LongFrames()
    waiting.put(frame)
    found = []
    while waiting.waiting:
        found.append(waiting.take())
    return found


class FillingTransport(CountedTransport):
    """Says that it is full when it is given more than a part, as Twisted's transports do."""

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(data) > PART_BYTES and self.producer is not None:
            self.producer.pauseProducing()


class LongCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock, self.fail)
        self.handler = Notes()
        limits = NetworkLimits(send_buffer_bytes=300_000)
        self.connection = Connection(self.clock, self.turn, self.handler, limits, 262_144)
        self.transport = FillingTransport()
        self.connection.makeConnection(self.transport)

    def tearDown(self) -> None:
        self.connection.connectionLost()
        self.turn.stop()

    def sent(self) -> list[bytes]:
        """Return the whole frames that have arrived at the other side, in their order."""
        decoder = FrameDecoder(262_144)
        room = PartsRoom(LONG_LIMIT, self.clock.seconds)
        decoder.joining = Joining(room, LONG_LIMIT, LONG_OF_PEERS, lambda: None)
        return decoder.feed(self.transport.value())


class SendingTests(LongCase):
    def test_a_part_leaves_whenever_there_is_room_and_no_more_than_one(self) -> None:
        with self.turn:
            self.connection.send_value(LETTER)
        for number in range(1, 5):
            self.assertEqual(self.transport.writes, number)
            self.connection.resumeProducing()
        self.assertEqual(self.transport.writes, 4)
        self.assertEqual(self.sent(), [LETTER[4:]])
        self.assertEqual(self.connection.waiting, 0)

    def test_other_frames_go_before_the_next_part(self) -> None:
        with self.turn:
            self.connection.send_value(LETTER)
        with self.turn:
            self.connection.send(Ping(1))
        self.connection.resumeProducing()
        parts = cut(LETTER)
        expected = parts[0] + encode_frame(Ping(1)) + parts[1]
        self.assertEqual(self.transport.value(), expected)

    def test_what_the_handler_has_waiting_and_long_frames_take_turns(self) -> None:
        self.handler.drained = lambda: self.connection.send(Ping(7))
        with self.turn:
            self.connection.send_value(LETTER)
        pings = []
        for _ in range(4):
            self.connection.resumeProducing()
            pings.append(self.sent().count(encode_frame(Ping(7))[4:]))
        self.assertEqual(pings, [0, 1, 2, 3])
        parts, ping = cut(LETTER), encode_frame(Ping(7))
        said = b"".join((*parts[:2], ping, *parts[2:], ping, ping))
        self.assertEqual(self.transport.value(), said)
        self.assertIn(LETTER[4:], self.sent())

    def test_a_short_value_goes_as_other_frames_do_unless_many_bytes_wait(self) -> None:
        short = encode_frame(StoreMail(bytes(20_000)))
        with self.turn:
            self.connection.send_value(LETTER)
        for _ in range(5):
            with self.turn:
                self.connection.send_value(short)
        for _ in range(5):
            self.connection.resumeProducing()
        # Four are less than a part, and overtake; the fifth waits behind the long one.
        self.assertEqual(self.sent(), [short[4:]] * 4 + [LETTER[4:], short[4:]])

    def test_the_connection_is_not_given_up_because_of_long_frames(self) -> None:
        self.transport.full = True
        for _ in range(5):
            with self.turn:
                self.connection.send_value(LETTER)
        self.assertNotIn("overloaded", self.handler.told)
        self.assertFalse(self.transport.disconnected)
        self.assertGreater(self.connection.waiting, 900_000)

    def test_nothing_longer_than_a_value_can_make_it_is_sent(self) -> None:
        longest = b"x" * (4 + LONG_LIMIT)
        self.connection.send_value(longest)
        self.assertRaises(LocalProtocolError, self.connection.send_value, longest + b"x")
        self.assertRaises(LocalProtocolError, self.connection.send_frame, b"x" * 262_149)

    def test_no_part_leaves_before_what_was_recorded_is_kept(self) -> None:
        writes: list[int] = []
        self.turn.join(Keeper([], doing={"commit": lambda: writes.append(self.transport.writes)}))
        with self.turn:
            self.connection.send_value(LETTER)
        self.assertEqual((writes, self.transport.writes), ([0], 1))
        self.turn.join(Keeper([], keeps=False))
        with self.turn:
            self.connection.send_value(LETTER)
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.transport.writes, 1)

    def test_what_is_begun_is_sent_before_a_goodbye_when_there_is_hurry(self) -> None:
        with self.turn:
            self.connection.send_value(LETTER)
        with self.turn:
            self.connection.send(Ping(1))
            self.connection.send_value(LETTER)
            self.connection.hurry()
            self.connection.send(Bye("leaving"))
            self.connection.close()
        expected = [Ping(1)], [Bye("leaving")]
        (first,), (last,) = ([encode_frame(m)[4:] for m in each] for each in expected)
        self.assertEqual(self.sent(), [first, LETTER[4:], LETTER[4:], last])

    def test_a_connection_that_is_lost_forgets_what_waits_and_what_had_come(self) -> None:
        room = PartsRoom(LONG_LIMIT, self.clock.seconds)
        self.connection.accept_long(room, LONG_OF_PEERS, lambda: None)
        self.connection.dataReceived(cut(LETTER)[0])
        self.assertEqual(room.held, PART_BYTES)
        with self.turn:
            self.connection.send_value(LETTER)
        self.connection.connectionLost()
        self.assertEqual((room.held, self.connection.waiting), (0, 0))

    def test_a_broken_rule_of_parts_is_told_to_the_handler(self) -> None:
        room = PartsRoom(LONG_LIMIT, self.clock.seconds)
        self.connection.accept_long(room, LONG_OF_PEERS, lambda: None)
        self.connection.dataReceived(encode_frame(Ping(1)) + (0xC0000001).to_bytes(4) + b"x")
        self.assertEqual(self.handler.told[1], encode_frame(Ping(1))[4:])
        self.assertIn("violated: the last part of a frame comes without", self.handler.told[2])


class PeerTests(TransportCase):
    def connected(self, **options: Any) -> list[Any]:
        a, b = self.host("a", A, **options), self.host("b", B, **options)
        a.send(b, Ping(1))
        self.run_for(0.1)
        return [a, b]

    def test_a_letter_with_the_longest_value_arrives_and_what_is_sent_after_it_before_it(self):
        a, b = self.connected()
        a.transport.mail(b.me, bytes(MIB + 5000))
        a.send(b, Ping(2))
        self.run_for(0.5)
        self.assertEqual(b.got(), [Ping(1), Ping(2), StoreMail(bytes(MIB + 5000))])

    def test_a_letter_without_room_at_the_other_side_is_thrown_away_and_the_link_stays(self):
        a, b = self.connected(limits=NetworkLimits(parts_bytes=300_000))
        a.transport.mail(b.me, bytes(500_000))
        a.transport.mail(b.me, bytes(250_000))
        self.run_for(0.5)
        a.send(b, Ping(2))
        self.run_for(0.1)
        self.assertEqual(b.got(), [Ping(1), StoreMail(bytes(250_000)), Ping(2)])
        self.assertEqual(b.journal.counters.number(NetMetric.PARTS_DROPPED), 1)
        self.assertEqual((a.downs, b.downs), ([], []))

    def test_a_long_letter_may_wait_for_a_dial(self):
        a, b = self.host("a", A), self.host("b", B)
        a.transport.trust([b.me.address])
        a.transport.mail(b.me, bytes(600_000))
        self.run_for(0.5)
        self.assertEqual(b.got(), [StoreMail(bytes(600_000))])


class HostilePartsTests(HostileCase):
    nodes = 3

    def test_a_peer_that_breaks_a_rule_of_parts_is_cut_off_and_the_ring_goes_on(self):
        first = self.ring()[0]
        whole = cut(LETTER)
        lies = (
            ([whole[-1]], "without those before it"),
            ([whole[0], whole[0], whole[-1]], "malformed frame"),
            ([whole[0], *whole[2:]], "malformed frame"),
            ([whole[0], *whole], "malformed frame"),
            ([whole[0]] * 20, "longer than the 1245184 bytes"),
            (cut(encode_frame(StoreMail(bytes(LONG_LIMIT)))), "longer than the 1245184 bytes"),
            ([(0x80000009).to_bytes(4) + bytes(9)], "a part of 9 bytes is announced"),
            (cut(b"\0\0\0\0\x92\x01" + bytes(70_000)), "tag 1 comes in parts"),
        )
        for number, (parts, words) in enumerate(lies):
            peer = self.hostile(first, f"X{number}", address=f"10.6.6.{number + 6}:7001")
            peer.transport.write(b"".join(parts))
            self.network.run(11)  # so that each has a line in the log
            self.assertTrue(peer.lost, words)
            self.assertTrue([line for line in self.lines if words in line], (words, self.lines))
        self.assert_confirmed(first, "apple")

    def test_peers_that_never_finish_a_letter_hold_no_more_than_the_room_and_it_is_free_again(
        self,
    ):
        limits = NetworkLimits(parts_bytes=400_000)
        first = self.ring(limits=limits)[0]
        whole = cut(LETTER)
        peers = [
            self.hostile(first, f"X{number}", address=f"10.6.6.{number + 6}:7001")
            for number in range(4)
        ]
        for peer in peers:
            peer.transport.write(whole[0] + whole[1])
        self.network.run(0.5)
        self.assertLess(self.held(first), 2_000_000)
        self.assertEqual(first.node.counters()["parts_dropped"], 1)
        self.assert_confirmed(first, "apple")
        self.network.run(6)
        peers[3].transport.write(b"".join(whole[2:]) + b"".join(whole))
        self.network.run(0.5)
        self.assertEqual(first.node.counters()["parts_dropped"], 3, "two that stalled give way")
        self.assertFalse(any(peer.lost for peer in peers))


class ClientTests(KeyCase):
    def test_a_request_that_finds_no_room_ends_the_connection_and_may_have_been_done(self):
        store_of = {"keys": self.store, "limits": NetworkLimits(parts_bytes=300_000)}
        service = self.service(2, **store_of)
        self.network.run(4)
        client = self.client(2)
        error = self.error(client.put("k", bytes(500_000)), Unconfirmed)
        self.assertIn("too many long requests come at the same time", str(error))
        self.assertEqual(service.node.counters()["parts_dropped"], 1)
        self.assertEqual(self.result(client.put("k", bytes(200_000))).version, 1)

    def test_short_requests_and_replies_overtake_long_ones(self):
        order: list[str] = []
        self.result(self.node.put("k", bytes(MIB)))
        self.remote.get("k").addCallback(lambda _entry: order.append("get"))
        self.network.run(0.002)
        self.remote.put("k", bytes(MIB)).addCallback(lambda _written: order.append("put"))
        self.remote.status().addCallback(lambda _status: order.append("status"))
        self.network.run(1)
        self.assertEqual(order[0], "status")
        self.assertEqual(sorted(order[1:]), ["get", "put"])

    def test_a_conflict_with_a_long_value_waits_for_room_like_any_value(self):
        limits = NetworkLimits(send_buffer_bytes=1_500_000, in_flight_bytes=1_200_000)
        self.service(2, keys=self.store, limits=limits)
        self.network.run(4)
        client = self.client(2)
        self.result(client.put("k", bytes(MIB)))
        waiting = [client.put("k", b"x", if_version=7) for _ in range(3)]
        ended = [self.result(each).value for each in waiting]
        self.assertEqual({type(each) for each in ended}, {Conflict, Busy})
        (conflict,) = (each for each in ended if isinstance(each, Conflict))
        self.assertEqual(conflict.present.value, bytes(MIB))

    def test_who_reads_a_long_reply_slowly_is_not_cut_off_and_who_reads_nothing_is(self):
        self.result(self.node.put("k", bytes(MIB)))
        self.result(self.remote.status())
        waiting = self.remote.get("k", timeout_s=300)
        ended: list[Any] = []
        waiting.addBoth(ended.append)
        self.network.run(0.003)
        for _ in range(20):
            self.network.frozen.add("10.9.9.9:1")
            self.network.run(15)
            self.network.thaw("10.9.9.9:1")
            self.network.run(self.network.delay_s)
        self.network.run(1)
        self.assertTrue(ended[0].value == bytes(MIB))
        waiting = self.remote.get("k", timeout_s=300)
        self.network.run(0.003)
        self.network.frozen.add("10.9.9.9:1")
        self.network.run(45)
        self.network.thaw("10.9.9.9:1")
        self.error(waiting, ConnectFailed)

    def test_what_was_asked_is_answered_before_the_node_says_goodbye(self):
        self.result(self.node.put("k", bytes(MIB)))
        self.result(self.remote.status())
        waiting = self.remote.get("k")
        self.network.run(0.003)
        self.node.stopService()
        self.assertTrue(self.result(waiting).value == bytes(MIB))
