"""How fast a connection is read: who sends too much waits, and nobody else does."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.guard.pace import BURST_S, Pace, Reading
from chordnet.testing import WALL
from chordnet.wire.codec import encode_frame
from tests.net.hostile import HostileCase
from tests.net.test_connection import ConnectionCase
from tests.seeds import said_seed


class PaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pace = Pace(100.0, 1000.0, self.clock.seconds)

    def test_two_seconds_worth_of_frames_is_read_at_once_and_then_so_many_a_second(self) -> None:
        self.assertEqual(BURST_S, 2.0)
        self.assertEqual([self.pace.read(100, 0), self.pace.read(100, 0)], [0.0, 0.0])
        self.assertEqual(self.pace.read(50, 0), 0.5)
        self.clock.advance(0.5)
        self.assertEqual(self.pace.read(0, 0), 0.0)
        self.assertEqual(self.pace.read(1, 0), 0.01)

    def test_bytes_are_counted_like_frames_and_the_longer_pause_counts(self) -> None:
        self.assertEqual(self.pace.read(1, 2000), 0.0)
        self.assertEqual(self.pace.read(1, 100), 0.1)
        self.assertEqual(self.pace.read(298, 0), 1.0)

    def test_what_is_saved_up_is_no_more_than_two_seconds_worth(self) -> None:
        self.clock.advance(1000.0)
        self.assertEqual(self.pace.read(200, 2000), 0.0)
        # The clock is looked at when a bucket is empty: then it is filled once more.
        self.assertEqual(self.pace.read(200, 2000), 0.0)
        self.assertEqual(self.pace.read(1, 10), 0.01)

    def test_within_any_time_no_more_is_read_than_the_rate_and_two_bursts(self) -> None:
        with said_seed() as rng:
            read: list[tuple[float, int]] = []
            while self.clock.seconds() < 60:
                count = rng.choice((1, 1, 5, 60))
                pause = self.pace.read(count, 0)
                read.append((self.clock.seconds(), count))
                self.clock.advance(pause + rng.choice((0.0, 0.0, 0.001, 0.2, 3.0)))
            for index, (start, _count) in enumerate(read):
                total = 0
                for at, count in read[index:]:
                    total += count
                    # The last read is not cut in two.
                    self.assertLessEqual(total, 100 * (at - start) + 2 * 200 + 60)


class FakeSource:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


class ReadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.source = FakeSource()
        self.slowed: list[float] = []
        self.reading = Reading(self.clock)
        self.reading.begin(self.source)

    def keep_pace(self) -> None:
        self.reading.keep_pace(
            Pace(10.0, 1000.0, self.clock.seconds),
            lambda: self.slowed.append(self.clock.seconds()),
        )

    def test_without_a_pace_everything_is_read(self) -> None:
        self.reading.read(10**9, 10**9)
        self.assertEqual(self.source.calls, [])

    def test_reading_pauses_beyond_the_pace_and_goes_on_by_itself(self) -> None:
        self.keep_pace()
        self.reading.read(20, 0)
        self.assertEqual((self.source.calls, self.slowed), ([], []))
        self.reading.read(5, 0)
        self.reading.read(5, 0)
        self.assertEqual((self.source.calls, self.slowed), (["pause"], [0.0]))
        self.clock.advance(0.499)
        self.assertEqual(self.source.calls, ["pause"])
        self.clock.advance(0.001)
        self.assertEqual(self.source.calls, ["pause", "resume"])

    def test_what_the_handler_does_not_take_is_not_read_when_the_pause_is_over(self) -> None:
        self.keep_pace()
        self.reading.read(25, 0)
        self.reading.pause()
        self.clock.advance(1.0)
        self.assertEqual(self.source.calls, ["pause", "pause"])
        self.reading.resume()
        self.assertEqual(self.source.calls, ["pause", "pause", "resume"])

    def test_a_handler_that_takes_more_waits_for_the_end_of_the_pause(self) -> None:
        self.keep_pace()
        self.reading.read(25, 0)
        self.reading.pause()
        self.reading.resume()
        self.assertEqual(self.source.calls, ["pause", "pause"])
        self.clock.advance(0.5)
        self.assertEqual(self.source.calls, ["pause", "pause", "resume"])

    def test_nothing_is_left_of_a_connection_that_is_gone(self) -> None:
        self.keep_pace()
        self.reading.read(25, 0)
        self.reading.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.reading.pause()
        self.reading.resume()
        self.reading.read(25, 0)
        self.assertEqual((self.source.calls, self.clock.getDelayedCalls()), (["pause"], []))


class PacedConnectionTests(ConnectionCase):
    def test_frames_and_bytes_that_come_are_counted_and_all_of_them_are_handled(self) -> None:
        slowed: list[int] = []
        self.connection.reading.keep_pace(
            Pace(2.0, 1000.0, self.clock.seconds), lambda: slowed.append(1)
        )
        frame = encode_frame(Ping(1))
        self.connection.dataReceived(frame * 4)
        self.assertEqual((self.transport.producerState, slowed), ("producing", []))
        self.connection.dataReceived(frame[:3])
        self.connection.dataReceived(frame[3:] + frame)
        self.assertEqual((self.transport.producerState, slowed), ("paused", [1]))
        self.assertEqual(len(self.handler.told), 1 + 6)
        self.clock.advance(1.0)
        self.assertEqual(self.transport.producerState, "producing")
        self.connection.dataReceived(bytes(5))
        self.connection.reading.read(0, 3000)
        self.assertEqual(self.transport.producerState, "paused")


SLOW = NetworkLimits(read_frames_per_s=200.0)


class FloodTests(HostileCase):
    nodes = 4

    def test_a_peer_that_floods_a_node_is_read_slowly_and_the_others_are_served(self) -> None:
        ring = self.ring(limits=SLOW)
        peer = self.hostile(ring[0])
        self.assertEqual(self.counted("peers_slowed"), 0)
        begun = self.clock.seconds()
        for step in range(1000):
            if peer.transport.buffered < 4000:  # a system holds a sender back
                peer.send(*(Ping(rid) for rid in range(20)))
            if step % 100 == 50:
                self.assert_confirmed(ring[step // 100 % 4], f"message-{step}")
            self.network.run(0.01)
        answered = peer.heard["Pong"]
        seconds = self.clock.seconds() - begun
        self.assertLess(answered, 2 * 400 + 200 * seconds + 800)
        self.assertGreater(answered, 150 * seconds)
        node = ring[0].node
        assert node is not None
        self.assertGreater(node.counters()["peers_slowed"], 3)
        lines = [line for line in self.lines if "sends too much" in line]
        self.assertIn("X sends too much; it is read more slowly", lines[0])
        self.assertLess(len(lines), 10)
        self.assertFalse(peer.lost)
        for service in ring:
            self.well(service)

    def test_a_peer_that_connects_anew_is_read_as_slowly_as_before(self) -> None:
        ring = self.ring(limits=SLOW)
        life = int((WALL + self.clock.seconds()) * 1000)
        for _ in range(3):
            peer = self.hostile(ring[0], incarnation=life)
            peer.send(*(Ping(rid) for rid in range(400)))
            self.network.run(0.05)
            peer.hang_up()
            self.network.run(0.05)
        self.assertEqual(self.counted("peers_slowed"), 2)
