"""A node whose name is in doubt greets: what it may do, and how long, until it is judged."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, Protocol

from chordnet.core.base.effects import Judged
from chordnet.core.base.events import Greeted
from chordnet.core.base.messages import Ping
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.links.greeters import peer_hello
from chordnet.wire.codec import encode_frame
from tests.net.hosts import Host, node_ref
from tests.net.test_transport import A, B, Doubting, TransportCase


class Quiet(Protocol):
    def dataReceived(self, _data: bytes) -> None:
        pass


class JudgedGreetingTests(TransportCase):
    def setUp(self) -> None:
        super().setUp()
        self.a: Host = self.host(
            "a", A, names=Doubting(), limits=NetworkLimits(greeting_timeout_s=2.0, max_ungreeted=2)
        )

    def greet(self, name: str, *more: Any) -> Any:
        end = self.network.connect(B, A, Factory.forProtocol(Quiet))
        hello = peer_hello(node_ref(name, B), "default", 160)
        end.transport.write(b"".join(map(encode_frame, [hello, *more])))
        self.run_for(0.1)
        return end

    def test_a_peer_that_speaks_before_its_greeting_is_judged_is_cut_off_for_it(self) -> None:
        end = self.greet("b")
        self.assertEqual([type(event) for event in self.a.posted], [Greeted])
        end.transport.write(encode_frame(Ping(1)))
        self.run_for(0.1)
        self.assertTrue(self.a.logged("it sent something before it was welcomed"), self.a.lines)
        self.assertEqual((self.a.got(), self.network.connections), ([], []))
        self.assertEqual((len(self.a.posted), self.a.door.waiting), (1, 0))
        self.a.transport.judged(Judged(node_ref("b", B), ""))
        self.assertEqual(self.a.transport.connected, 0)

    def test_a_peer_not_judged_in_time_is_turned_away_with_that_reason(self) -> None:
        self.greet("b")
        self.run_for(1.8)
        self.assertEqual(len(self.network.connections), 1)
        self.run_for(0.2)
        self.assertEqual(self.network.connections, [])
        self.assertTrue(self.a.logged("its name could not be checked in time"), self.a.lines)
        self.a.transport.judged(Judged(node_ref("b", B), ""))
        self.assertEqual(self.a.transport.connected, 0)
