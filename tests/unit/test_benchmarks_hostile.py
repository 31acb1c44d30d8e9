"""The hostile peer of a storm: what it says could be said by anybody, and it stops when told to."""

from __future__ import annotations

from random import Random

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.hostile import HostilePeer, identity
from benchmarks.storm import options
from benchmarks.storm_hostile import FAR, Hostile
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import GetState, Have, OriginState, Ping, Pong, State
from chordnet.core.base.naming import Names
from chordnet.core.kernel.checks import Checks
from chordnet.wire.codec import encode_frame, read_hello, read_peer
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import Welcome

NODE = identity("Node 1", "127.0.0.1:7001", 1)


class PeerTests(SynchronousTestCase):
    def setUp(self):
        self.peer, self.transport = HostilePeer(identity("X", "127.0.0.1:9", 1)), StringTransport()
        self.peer.makeConnection(self.transport)

    def said(self) -> list[bytes]:
        data = self.transport.value()
        self.transport.clear()
        return FrameDecoder(1 << 20).feed(data)

    def test_a_hostile_peer_greets_as_a_peer_and_answers_what_keeps_it_alive(self):
        (hello,) = self.said()
        self.assertEqual(read_hello(hello).node, self.peer.me)
        self.peer.dataReceived(encode_frame(Welcome(2, NODE)) + encode_frame(Ping(5)))
        self.peer.dataReceived(encode_frame(GetState(6, 3)))
        self.assertTrue(self.peer.welcomed)
        pong, state = map(read_peer, self.said())
        self.assertEqual((pong, type(state)), (Pong(5, 3), State))
        self.assertEqual(self.peer.heard["Ping"], 1)

    def test_a_route_that_a_hostile_peer_makes_up_ends_at_itself(self):
        own = self.peer.bcast(self.peer.me, 1, [b"x"], NODE.raw)
        other = self.peer.bcast(NODE, 1, [b"x"], NODE.raw)
        self.assertEqual([hop.name for hop in own.hops], ["X"])
        self.assertEqual([hop.name for hop in other.hops], ["Node 1", "X"])


class LieTests(SynchronousTestCase):
    def setUp(self):
        self.hostile = Hostile(Clock(), Random(1), ["127.0.0.1:7001"], "storm")
        self.peer = HostilePeer(identity("X", "127.0.0.1:9", 1))
        self.peer.makeConnection(StringTransport())
        self.peer.dataReceived(encode_frame(Welcome(2, NODE)))
        self.hostile._peers.append(self.peer)

    def test_every_kind_of_lie_is_one_that_passes_the_gate_of_a_node(self):
        """Otherwise it would show nothing but the gate."""
        names = Names(IdentifierSpace(160))
        gate = Checks(ProtocolConfig(), IdentifierSpace(160), names)
        self.hostile.nodes[NODE.raw] = NODE
        for kind, make in self.hostile._kinds.items():
            for _ in range(20):
                for frame in make(self.peer, NODE):
                    self.assertEqual(gate.fault(read_peer(encode_frame(frame)[4:])), "", kind)

    def test_a_hostile_peer_learns_the_numbers_that_are_used_and_goes_on_from_there(self):
        known = [1, 8, FAR[1], FAR[1] + 5]
        self.hostile._heard(Have([], [], [OriginState(NODE.raw, 1, known)]))
        self.hostile.nodes[NODE.raw] = NODE
        (first,) = self.hostile._number(self.peer, NODE)
        self.assertIn(first.id.sequence, range(8, 28))

    def test_a_hostile_peer_lies_to_who_let_it_in_and_counts_its_frames(self):
        for _ in range(50):
            self.hostile._lie()
        self.assertGreater(self.hostile.told.total(), 50)
        self.assertGreater(len(self.peer.transport.value()), 1000)
        self.assertIn("a hostile peer sent", self.hostile.summary())

    def test_the_word_hostile_is_known(self):
        self.assertTrue(options(["--hostile"]).hostile)
        self.assertFalse(options([]).hostile)
