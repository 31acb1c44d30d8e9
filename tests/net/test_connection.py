"""One connection: writes, buffers, limits, the end."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import LocalProtocolError, RemoteProtocolError
from chordnet.core.base.messages import FindFailed, Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import encode_frame
from tests.net.hosts import Keeper


class Notes:
    """A handler that notes what it is told."""

    def __init__(self):
        self.told: list[object] = []
        self.raises: Exception | None = None

    def made(self, connection):
        self.told.append("made")

    def frames(self, frames):
        if self.raises is not None:
            raise self.raises
        self.told += frames

    def violated(self, reason):
        self.told.append(f"violated: {reason}")

    def overloaded(self):
        self.told.append("overloaded")

    def held(self):
        self.told.append("held")

    def drained(self):
        self.told.append("drained")

    def lost(self):
        self.told.append("lost")


class CountedTransport(StringTransport):
    """Counts writes; full when told so."""

    writes = 0
    full = False

    def write(self, data):
        self.writes += 1
        super().write(data)
        if self.full and self.producer is not None:
            self.producer.pauseProducing()

    def abortConnection(self):
        self.disconnected = True


class AbruptTransport(CountedTransport):
    """One that ends within the call that cuts it."""

    def abortConnection(self):
        super().abortConnection()
        self.protocol.connectionLost()


class ConnectionCase(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.failed: list[str] = []
        self.turn = Turn(self.clock, self.failed.append)
        self.handler = Notes()
        limits = NetworkLimits(send_buffer_bytes=10_000)
        self.connection = Connection(self.clock, self.turn, self.handler, limits, 60_000)
        self.transport = CountedTransport()
        self.connection.makeConnection(self.transport)

    def tearDown(self):
        self.connection.connectionLost()
        self.turn.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.turn.open, set())

    def send(self, count: int) -> None:
        with self.turn:
            for rid in range(count):
                self.connection.send(Ping(rid))

    def test_a_turn_is_one_write(self):
        self.send(5)
        self.assertEqual(self.transport.writes, 1)
        expected = b"".join(encode_frame(Ping(rid)) for rid in range(5))
        self.assertEqual(self.transport.value(), expected)

    def test_nothing_to_send_is_no_write(self):
        with self.turn:
            pass
        self.assertEqual(self.transport.writes, 0)

    def test_what_a_read_causes_is_one_write(self):
        self.handler.frames = lambda frames: [self.connection.send(Ping(0)) for _ in frames]
        self.connection.dataReceived(encode_frame(Ping(1)) * 7)
        self.assertEqual(self.transport.writes, 1)

    def test_while_the_transport_is_full_bytes_are_held_and_then_sent(self):
        self.transport.full = True
        self.send(1)
        self.transport.full = False
        self.send(2)
        self.send(2)
        self.assertEqual(self.transport.writes, 1)
        self.assertTrue(self.connection.paused)
        self.assertEqual(self.handler.told, ["made", "held"])
        self.connection.resumeProducing()
        self.assertEqual(self.transport.writes, 2)
        self.assertEqual(len(self.transport.value()), len(encode_frame(Ping(0))) * 5)
        self.assertEqual(self.handler.told[-1], "drained")

    def test_a_transport_that_what_was_held_fills_again_is_waited_for_once_more(self):
        self.transport.full = True
        self.send(1)
        self.send(2)
        self.connection.resumeProducing()
        self.assertEqual(self.handler.told, ["made", "held", "held"])
        self.connection.resumeProducing()
        self.assertEqual(self.handler.told[-1], "drained")

    def test_a_connection_that_holds_too_much_is_given_up(self):
        self.transport.full = True
        self.send(1)
        for _ in range(20):
            self.send(100)
        self.assertTrue(self.transport.disconnected)
        self.assertIn("overloaded", self.handler.told)
        self.assertEqual(self.handler.told.count("overloaded"), 1)

    def test_a_connection_with_too_much_in_one_turn_is_given_up_before_the_turn_ends(self):
        self.transport.full = True
        with self.turn:
            for _ in range(10):
                self.connection.send(FindFailed(1, "x" * 5000))
            self.assertTrue(self.transport.disconnected)
        self.assertLess(len(self.transport.value()), 20_000)

    def test_nothing_is_written_before_what_was_recorded_is_kept(self):
        writes: list[int] = []
        counting = {"commit": lambda: writes.append(self.transport.writes)}
        self.turn.join(Keeper([], doing=counting))
        self.send(1)
        self.connection.send(Ping(2))
        self.connection.close()
        self.assertEqual(writes, [0, 1])

    def test_what_cannot_be_kept_is_not_confirmed(self):
        self.turn.join(Keeper([], keeps=False))
        self.send(1)
        self.assertEqual(self.transport.writes, 0)
        self.assertTrue(self.transport.disconnected)

    def test_a_frame_that_nobody_would_accept_is_not_sent(self):
        self.assertRaises(LocalProtocolError, self.connection.send, FindFailed(1, "x" * 60_001))

    def test_a_message_that_breaks_a_rule_is_told_to_the_handler(self):
        self.handler.raises = RemoteProtocolError("no such message")
        self.connection.dataReceived(encode_frame(Ping(1)))
        self.assertEqual(self.handler.told[1:], ["violated: no such message"])

    def test_frames_before_one_that_is_too_long_are_handled(self):
        self.connection.dataReceived(encode_frame(Ping(1)) + b"\x7f\xff\xff\xff")
        self.assertEqual(self.handler.told[1], encode_frame(Ping(1))[4:])
        self.assertIn("violated: a frame of 2147483647 bytes", self.handler.told[2])

    def test_a_bug_in_a_handler_cuts_this_connection_and_is_told_of(self):
        self.handler.raises = ZeroDivisionError()
        self.connection.dataReceived(encode_frame(Ping(1)))
        self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.failed, ["frames from 192.168.1.1:54321"])

    def test_close_writes_what_is_queued_and_cuts_after_a_while(self):
        self.connection.send(Ping(1))
        self.connection.close()
        self.connection.close()
        self.assertEqual(self.transport.value(), encode_frame(Ping(1)))
        self.assertTrue(self.transport.disconnecting)
        self.clock.advance(1.9)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(self.transport.disconnected)

    def test_nothing_is_sent_after_the_end_of_a_connection(self):
        self.connection.close()
        self.send(3)
        self.assertEqual(self.transport.value(), b"")

    def test_a_frame_may_be_as_long_as_the_other_side_accepts(self):
        longest = b"x" * 60_004
        self.connection.send_frame(longest)
        self.assertEqual(self.transport.value(), longest)
        self.assertRaises(LocalProtocolError, self.connection.send_frame, longest + b"x")

    def test_what_fills_the_buffer_leaves_at_once_and_the_rest_when_the_turn_ends(self):
        with self.turn:
            for _ in range(3):
                self.connection.send(FindFailed(1, "x" * 6000))
            self.assertEqual(self.transport.writes, 1)
        self.assertEqual(self.transport.writes, 2)
        with self.turn:
            for _ in range(2):
                self.connection.send(FindFailed(1, "x" * 6000))
        self.assertEqual(self.transport.writes, 3, "and no empty write")

    def test_what_left_in_earlier_turns_fills_no_buffer(self):
        for _ in range(10):
            self.send(1000)
        self.assertEqual(self.transport.writes, 10)

    def test_reading_is_paused_and_resumed_until_the_end(self):
        self.connection.pause_reading()
        self.assertEqual(self.transport.producerState, "paused")
        self.connection.resume_reading()
        self.assertEqual(self.transport.producerState, "producing")
        self.connection.pause_reading()
        self.connection.close()
        self.connection.resume_reading()
        self.assertEqual(self.transport.producerState, "paused")

    def test_a_transport_says_itself_when_it_is_full(self):
        self.assertIs(self.transport.producer, self.connection)
        self.assertTrue(self.transport.streaming)

    def test_close_writes_what_is_held_once_and_listens_to_the_transport_no_more(self):
        self.transport.full = True
        self.send(1)
        self.send(2)
        self.connection.close()
        self.assertEqual(self.transport.value(), b"".join(encode_frame(Ping(n)) for n in (0, 0, 1)))
        self.assertIsNone(self.transport.producer)
        self.connection.resumeProducing()
        self.assertEqual(self.transport.writes, 2)

    def test_close_keeps_what_was_recorded_before_it_writes_or_cuts_the_connection(self):
        self.turn.join(Keeper([], keeps=False))
        with self.turn:
            self.connection.send(Ping(1))
            self.connection.close()
            self.assertTrue(self.transport.disconnected)
        self.assertEqual(self.transport.value(), b"")

    def test_close_with_nothing_to_write_presupposes_nothing(self):
        self.turn.join(Keeper([], keeps=False))
        self.connection.close()
        self.assertTrue(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)

    def test_a_connection_that_is_not_made_yet_has_nothing_to_close(self):
        connection = Connection(self.clock, self.turn, Notes(), NetworkLimits(), 60_000)
        connection.close()
        connection.abort()
        self.assertFalse(connection.closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_after_the_end_of_a_connection_nothing_is_told_written_or_waited_for(self):
        self.connection.send(Ping(1))
        self.connection.connectionLost()
        self.assertTrue(self.connection.closing)
        told = [*self.handler.told]
        self.assertEqual(told[-1], "lost")
        self.send(1)
        self.connection.dataReceived(encode_frame(Ping(1)))
        self.connection.resumeProducing()
        self.connection.abort()
        self.connection.cut_after(1.0)
        self.connection.close()
        self.assertEqual(self.handler.told, told)
        self.assertEqual(self.transport.writes, 0)
        self.assertFalse(self.transport.disconnecting)
        self.assertFalse(self.transport.disconnected)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_written_once_a_connection_is_cut(self):
        self.connection.abort()
        self.assertTrue(self.connection.closing)
        self.send(1)
        self.assertEqual(self.transport.writes, 0)

    def test_a_connection_that_ends_while_it_is_closed_is_not_closed_further(self):
        handler = Notes()
        connection = Connection(self.clock, self.turn, handler, NetworkLimits(), 60_000)
        transport = AbruptTransport()
        transport.protocol = connection
        connection.makeConnection(transport)
        self.turn.join(Keeper([], keeps=False))
        with self.turn:
            connection.send(Ping(1))
            connection.close()
        self.assertEqual(handler.told, ["made", "lost"])
        self.assertFalse(transport.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])
