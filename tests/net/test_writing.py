"""Writes past the transport: a socket that takes all, a part or nothing of what it is given.

Real sockets under Twisted's own transport; the reactor only notes what it should wait for, and the
test says when the socket is writable.
"""

from __future__ import annotations

import select
import socket

from twisted.internet import tcp
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import FindFailed
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import encode_frame
from tests.net.test_connection import Notes

PART = 60_000
"""More than the small socket takes at once, less than makes a transport say that it is full."""
BIG = 400_000
"""More than that."""


class WritingCase(SynchronousTestCase):
    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.turn = Turn(self.reactor, self.fail)
        self.handler = Notes()
        limits = NetworkLimits(send_buffer_bytes=4 * BIG)
        self.connection = Connection(self.reactor, self.turn, self.handler, limits, 2 * BIG)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.other = socket.socket()
            self.other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            self.other.connect(listening.getsockname())
            ours, address = listening.accept()
        self.addCleanup(self.other.close)
        self.addCleanup(ours.close)
        ours.setblocking(False)
        self.other.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.transport = tcp.Server(ours, self.connection, address, None, 0, self.reactor)
        self.sent = b""
        self.got = b""
        self.connection.makeConnection(self.transport)

    def tearDown(self):
        self.connection.connectionLost()

    def send(self, size: int) -> None:
        """Send a frame of about ``size`` bytes in a turn of its own."""
        message = FindFailed(len(self.sent), chr(65 + len(self.sent) % 26) * size)
        self.sent += encode_frame(message)
        with self.turn:
            self.connection.send(message)

    def read(self) -> None:
        """Let the other side read what has come, which makes room in the socket."""
        while True:
            try:
                data = self.other.recv(1 << 20)
            except BlockingIOError:
                return
            self.got += data

    def assert_handed_over(self, size: int, early: bool) -> None:
        """See whether frames of ``size`` bytes together leave before their turn has ended."""
        with self.turn:
            for part in (size // 3, size // 3, size - 2 * (size // 3)):
                self.connection.send_frame(b"x" * part)
            self.read()
            self.assertEqual(bool(self.got), early)

    @property
    def waits(self) -> bool:
        """Whether the transport wants to know when the socket is writable."""
        return self.transport in self.reactor.writers

    def finish(self) -> None:
        """Let the transport write, and the other side read, until nothing is left."""
        ours = self.transport.getHandle()
        while self.waits or len(self.got) < len(self.sent):
            wanted = [ours] if self.waits else []
            readable, writable, _ = select.select([self.other], wanted, [], 30.0)
            self.assertTrue(readable or writable, "nothing comes any more")
            if writable:
                self.assertIsNone(self.transport.doWrite())
            self.read()
        self.assertTrue(self.got == self.sent, "other bytes have come than were sent")

    def test_nothing_is_held_back_by_the_system_and_dead_ends_are_found(self):
        self.assertTrue(self.transport.getTcpNoDelay())
        self.assertTrue(self.transport.getTcpKeepAlive())

    def test_what_the_socket_takes_is_with_the_system_at_once(self):
        self.send(100)
        self.assertFalse(self.waits)
        self.finish()

    def test_what_is_queued_waits_for_the_turns_end_up_to_the_buffers_size(self):
        self.assert_handed_over(4 * BIG, early=False)

    def test_a_byte_more_is_handed_over_before_the_turn_ends(self):
        self.assert_handed_over(4 * BIG + 1, early=True)

    def test_what_the_socket_does_not_take_goes_to_the_transport(self):
        self.send(BIG)
        self.assertTrue(self.waits, "the socket has taken all of it: the test shows nothing")
        self.read()
        self.assertTrue(0 < len(self.got) < len(self.sent))
        self.finish()

    def test_what_comes_later_does_not_overtake_a_rest_just_handed_over(self):
        self.send(PART)
        self.assertTrue(self.waits)
        self.assertFalse(self.connection.paused)
        self.read()
        self.send(100)
        self.finish()

    def test_what_comes_later_does_not_overtake_a_rest_that_is_written_in_part(self):
        self.send(PART)
        self.transport.doWrite()
        self.assertTrue(self.waits, "nothing is left: the test shows nothing")
        self.read()
        self.send(100)
        self.finish()

    def test_a_handler_that_waits_for_room_is_told_when_the_bytes_held_are_written(self):
        self.send(BIG)
        self.assertTrue(self.connection.paused)
        self.send(100)
        self.assertNotIn("drained", self.handler.told)
        self.finish()
        self.assertEqual(self.handler.told.count("drained"), 1)
        self.assertFalse(self.connection.paused)

    def test_once_a_rest_is_written_the_socket_is_given_bytes_at_once_again(self):
        self.send(PART)
        self.finish()
        self.send(100)
        self.assertFalse(self.waits)
        self.finish()

    def test_a_full_socket_takes_nothing(self):
        while True:
            try:
                self.transport.getHandle().send(b"x" * 1000)
            except BlockingIOError:
                break
        self.send(100)
        self.assertTrue(self.waits)
        self.send(200)
        self.read()
        self.got = b""
        self.finish()

    def test_a_transport_that_is_full_holds_the_writer_and_says_when_it_goes_on(self):
        self.send(BIG)
        self.assertTrue(self.connection.paused)
        self.assertEqual(self.handler.told, ["made", "held"])
        self.send(BIG)
        self.finish()
        self.assertFalse(self.connection.paused)
        self.assertEqual(self.handler.told, ["made", "held", "held", "drained"])

    def test_a_broken_socket_is_left_to_the_transport_to_report(self):
        self.send(100)
        # Closed with bytes unread, the other side answers with a reset.
        self.other.close()
        reset, _, _ = select.select([self.transport.getHandle()], [], [], 30.0)
        self.assertTrue(reset, "the reset has not come")
        self.send(100)
        self.assertTrue(self.waits)
        self.assertEqual(self.handler.told, ["made"], "the transport tells of it, nobody else")
        self.assertIs(self.transport.doWrite(), CONNECTION_LOST)
