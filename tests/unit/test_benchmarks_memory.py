"""The memory measurement's figures and verdict, and the connections that do not read."""

from __future__ import annotations

import socket
import threading

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.deaf import NAME, DeafPeer, DeafSubscriber
from benchmarks.memory import ROOM_BYTES, Case, table, verdict
from benchmarks.procfs import parse_status
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.limits import PHRASE_BYTES
from chordnet.core.base.messages import GetState, NodeRef
from chordnet.wire.codec import encode_frame, frame_limit, read_hello, read_peer, read_request
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import VERSION, Bye, Welcome, judge
from chordnet.wire.rpc import Follow, MessageRecord, Messages, RouteHop

STATUS = "Name:\ttwistd\nVmPeak:\t  90 kB\nVmHWM:\t   60 kB\nVmRSS:\t   50 kB\nThreads:\t1\n"
SPACE = IdentifierSpace(160)
ME = NodeRef(SPACE.raw(SPACE.hash(b"Node 1")), 1, "127.0.0.1:7001", "Node 1")


class Figures(SynchronousTestCase):
    def setUp(self):
        case = Case("no reader", 40_000_000, 50_000_000, 45_000_000, 30_000_000, "all sent")
        self.cases = [evolve(case, name="first", peak=200_000_000), case, case]

    def test_resident_memory_and_its_peak_are_read_in_bytes(self):
        self.assertEqual(parse_status(STATUS), (50 * 1024, 60 * 1024))
        self.assertRaises(ValueError, parse_status, "Name: x\nVmRSS: 5 kB\n")

    def test_the_first_messages_may_cost_what_they_cost(self):
        self.assertEqual(verdict(self.cases), [])

    def test_a_rise_beyond_the_limit_is_wrong(self):
        peak = 50_000_000 + ROOM_BYTES
        self.cases[2] = evolve(self.cases[2], name="reader", peak=peak)
        self.assertEqual(verdict(self.cases), [])
        self.cases[2] = evolve(self.cases[2], peak=peak + 1)
        self.assertEqual(verdict(self.cases), ["reader: it rose by 22.6 MB"])

    def test_lost_messages_are_wrong_whatever_the_memory(self):
        self.cases[2] = evolve(self.cases[2], name="reader", right=False)
        self.assertEqual(verdict(self.cases), ["reader: all sent"])

    def test_the_table_shows_memory_before_and_after(self):
        head, *lines = table(self.cases)
        self.assertIn("before", head)
        self.assertEqual(lines[2].split()[-5:], ["40.0", "50.0", "10.0", "45.0", "30.0"])


class Connections(SynchronousTestCase):
    """A listening socket stands in for the node."""

    def setUp(self):
        self.door = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.door.close)
        self.port = self.door.getsockname()[1]

    def accepted(self, made):
        made_by = []
        thread = threading.Thread(target=lambda: made_by.append(made()))
        thread.start()
        side, _ = self.door.accept()
        self.addCleanup(side.close)
        thread.join()
        side.settimeout(5)
        return made_by[0], side

    @staticmethod
    def frames(side, count):
        decoder, found = FrameDecoder(frame_limit(PHRASE_BYTES)), []
        while len(found) < count:
            found += decoder.feed(side.recv(4096))
        return found

    def test_a_subscriber_reads_all_at_last(self):
        reader, side = self.accepted(lambda: DeafSubscriber(self.port, "aa.1.1"))
        self.addCleanup(reader.close)
        hello, follow = self.frames(side, 2)
        self.assertEqual(read_hello(hello).role, "client")
        self.assertEqual(read_request(follow), Follow(1, "aa.1.1"))
        record = MessageRecord("aa.1.2", "apple", 0.0, 0.0, [RouteHop("aa", "Node 1", "origin")])
        for frame in (Welcome(VERSION, ME), Messages(1, [record, record], False)):
            side.sendall(encode_frame(frame))
        side.sendall(encode_frame(Bye("slow", "read faster")))
        side.close()
        self.assertEqual(reader.read(), [record, record])
        self.assertEqual(reader.farewell, "read faster")

    def test_a_peer_that_a_node_would_let_in_asks_until_it_is_cut_off(self):
        peer, side = self.accepted(lambda: DeafPeer(self.port, "default", 160))
        self.addCleanup(peer.close)
        peer.ask(1)
        hello, question = self.frames(side, 2)
        self.assertIsNone(judge(read_hello(hello), ME, "default", SPACE))
        self.assertEqual(read_hello(hello).node.name, NAME)
        self.assertIsInstance(read_peer(question), GetState)
        peer.ask(1_000_000)  # nobody reads: it comes to an end without waiting
        self.assertFalse(peer.cut)
        self.assertLess(peer.asked, 1_000_000)
        side.close()
        for _ in range(100):
            peer.ask(1)
        self.assertTrue(peer.cut)
