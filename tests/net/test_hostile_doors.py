"""A program on a plain connection takes places and names addresses; others still get in."""

from __future__ import annotations

from twisted.internet.protocol import Factory, Protocol

from benchmarks.hostile import HostilePeer, identity
from chordnet import P2PNetClient
from chordnet.core.base.messages import Find, FingerHint, Leaving, Ping, TryMerge
from chordnet.net.base.limits import NetworkLimits
from chordnet.wire.greeting import CLIENT, MAGIC, OLDEST_VERSION, VERSION, Hello
from tests.net.hostile import X_ADDRESS, HostileCase


class DoorTests(HostileCase):
    nodes = 4

    def silent_clients(self, count: int) -> None:
        hello = Hello(MAGIC, VERSION, "", 0, CLIENT, None, OLDEST_VERSION)
        for number in range(count):
            client = HostilePeer(identity("c", "c:1", 1))
            client.connectionMade = lambda client=client: client.send(hello)
            dialler = self.network.dialling_from(f"10.5.{number // 250}.{number % 250}:1")
            dialler(None, self.address(1), 3.0).connect(Factory.forProtocol(lambda c=client: c))
            self.peers.append(client)
            if not number % 50:
                self.network.run(0.01)
        self.network.run(0.05)

    def test_silent_clients_do_not_keep_another_client_out(self):
        self.ring()
        self.silent_clients(NetworkLimits().max_clients + 20)
        self.network.run(2)
        client = P2PNetClient(
            self.address(1), self.clock, endpoints=self.network.dialling_from("10.9.9.9:1")
        )
        self.addCleanup(self.network.run, 3)
        self.addCleanup(client.close)
        status = self.result(client.status(), 5)
        self.assertEqual(getattr(status, "state", status), "active")

    def test_a_slow_greeting_gets_in_beside_connections_that_churn(self):
        service = self.service(1, peers=())
        self.network.run(1)
        slow = HostilePeer(identity("slow", "10.8.8.8:1", 1))
        greet, slow.connectionMade = slow.connectionMade, lambda: None
        self.peers.append(slow)
        dialler = self.network.dialling_from("10.8.8.8:1")
        dialler(None, service.address, 3.0).connect(Factory.forProtocol(lambda: slow))
        churn = self.network.dialling_from(X_ADDRESS)
        for tick in range(300):
            for _ in range(2):
                churn(None, service.address, 3.0).connect(Factory.forProtocol(Protocol))
            self.network.run(0.001)
            if tick == 299:
                greet()
        self.network.run(0.1)
        self.assertTrue(slow.welcomed)


class DialTests(HostileCase):
    nodes = 4

    def test_addresses_named_in_lookups_and_mergers_are_not_dialled_by_the_hundred(self):
        ring = self.ring()
        peer = self.hostile(ring[0])
        before = sum(s.node.transport.dials_made for s in ring)
        for number in range(1000):
            other = identity(f"target-{number}", f"10.4.{number // 250}.{number % 250}:1", 1)
            key = number.to_bytes(20)
            peer.send(
                Find(number, other, key, 0, [], 10, False),
                TryMerge(other, 8),
                FingerHint(other, True, key, self.ref(ring[0]).raw, 8),
                Leaving(other, [other]),
            )
            if not number % 20:
                self.network.run(0.02)
        self.network.run(20)
        self.assertLess(sum(s.node.transport.dials_made for s in ring) - before, 200)
        self.assert_confirmed(ring[0], "still-here")


class InventedPeerTests(HostileCase):
    nodes = 4

    def test_peers_of_invented_names_keep_no_newcomer_out_and_fill_no_list_of_known_peers(self):
        directory = self.state_dir()
        ring = [self.service(1, state_dir=directory), *(self.service(n) for n in (2, 3, 4))]
        self.network.run(4)
        for number in range(NetworkLimits().max_peers):
            where = f"10.7.{number // 250}.{number % 250}:1"
            peer = HostilePeer(identity(f"invented-{number}", where, 1))
            dialler = self.network.dialling_from(where)
            dialler(None, self.address(1), 3.0).connect(Factory.forProtocol(lambda p=peer: p))
            self.peers.append(peer)
            if not number % 50:
                self.network.run(0.01)
        self.network.run(0.1)
        for peer in self.peers:
            if not peer.lost:
                peer.send(Ping(1))
        self.network.run(2)
        newcomer = self.service(5, peers=(1,))
        self.nodes = 5
        self.network.run(8)
        self.assertTrue(newcomer.node.active)
        self.assert_confirmed(newcomer, "here-i-am")
        known = (directory / "peers.json").read_text("utf-8")
        for number in (2, 3, 4):
            self.assertIn(f'"Node {number}"', known)
        self.assertLess(known.count('"invented-'), 16)
        self.assertTrue(ring)
