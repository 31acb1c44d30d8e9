"""The simulated network does to messages and processes what it says, and nothing else."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import Ping, Status
from chordnet.sim.world.build import loopy_ring, right_ring
from chordnet.sim.world.network import Network
from chordnet.sim.world.schedule import Storm
from chordnet.sim.world.weather import Rule
from tests.sim.support import names, ring_of

A, B, C = names(3)
OURS = 100_000
"""Added to the numbers of our own pings: nodes send some too."""


class Tap:
    """A watcher that keeps the pings that arrive, and broken connections."""

    def __init__(self, network):
        self.network = network
        self.pings = []
        self.downs = []
        network.watchers.append(self)

    def stepped(self, host, event, effects):
        if isinstance(event, ev.Received) and isinstance(event.message, Ping):
            self.pings.append((host.ref.name, event.message.rid, self.network.now))
        elif isinstance(event, ev.LinkDown):
            self.downs.append((host.ref.name, event.peer.name, event.fault))

    def faulted(self, host, what):
        pass

    def rids(self):
        return [rid - OURS for _, rid, _ in self.pings if rid >= OURS]


class Messages(SynchronousTestCase):
    def setUp(self):
        # Nothing moves of itself for the time of a test.
        slow = {"stabilise_idle_s": 1e6, "fingers_idle_s": 1e6, "audit_s": 1e6}
        self.network = ring_of(3, **slow)
        self.tap = Tap(self.network)

    def ping(self, count=20, source=A, target=B):
        sender, to = self.network.hosts[source], self.network.hosts[target].ref
        for number in range(count):
            self.network._send(sender, to, Ping(OURS + number))

    def test_order_is_kept_on_a_connection(self):
        self.ping()
        self.network.run(1.0)
        self.assertEqual(self.tap.rids(), list(range(20)))

    def test_latency_is_drawn_within_its_bounds(self):
        self.ping(1)
        self.network.run(1.0)
        self.assertTrue(0.0005 <= self.tap.pings[0][2] <= 0.0015)

    def test_messages_are_lost_as_often_as_said(self):
        self.network.weather.loss = 0.5
        self.ping(1000)
        self.network.run(1.0)
        self.assertTrue(400 < len(self.tap.pings) < 600, len(self.tap.pings))

    def test_messages_come_twice_as_often_as_said(self):
        self.network.weather.duplicate = 0.5
        self.ping(1000)
        self.network.run(1.0)
        self.assertEqual(set(self.tap.rids()), set(range(1000)))
        self.assertTrue(1400 < len(self.tap.pings) < 1600, len(self.tap.pings))

    def test_reordering_loses_nothing(self):
        self.network.weather.reorder = 0.3
        self.ping(200)
        self.network.run(1.0)
        self.assertNotEqual(self.tap.rids(), sorted(self.tap.rids()))
        self.assertEqual(sorted(self.tap.rids()), list(range(200)))

    def test_a_broken_connection_loses_what_is_in_flight_and_is_made_anew(self):
        """What is in flight is lost, both ends notice, and the next message gets through."""
        self.ping(5)
        self.network.sever(A, B)
        self.network.run(0.1)
        self.assertEqual(self.tap.rids(), [])
        self.assertEqual(
            sorted(self.tap.downs), [(A, B, LinkFault.BROKEN), (B, A, LinkFault.BROKEN)]
        )

    def test_both_ends_notice_the_end_of_a_connection_that_one_alone_has_used(self):
        network = Network(1, ProtocolConfig(bits=16))
        tap = Tap(network)
        for name in (A, B, C):
            network.make(name, [])
        network._connect(network.hosts[A], network.hosts[B].ref)
        network.sever(B, A)
        network.sever(A, C)
        network.run(0.1)
        self.assertEqual(sorted(tap.downs), [(A, B, LinkFault.BROKEN), (B, A, LinkFault.BROKEN)])

    def test_a_block_in_one_direction_lets_the_other_through(self):
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), block=True)])
        self.ping(3, A, B)
        self.ping(3, B, A)
        self.network.run(1.0)
        self.assertEqual({name for name, _, _ in self.tap.pings}, {A})

    def test_blocked_sender_learns_of_the_block_once_a_dial_would_have_failed(self):
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), block=True)])
        self.ping(3)
        self.network.run(3.1)
        self.assertEqual(self.tap.downs, [(A, B, LinkFault.UNREACHABLE)])

    def test_a_partition_stops_messages_until_it_is_healed(self):
        self.network.partition([A], [B, C])
        self.ping(1, A, B)
        self.ping(1, C, A)
        self.ping(1, B, C)
        self.network.run(0.1)
        self.assertEqual([name for name, _, _ in self.tap.pings], [C])
        self.network.heal()
        self.ping(1, A, B)
        self.network.run(0.1)
        self.assertIn(B, [name for name, _, _ in self.tap.pings])

    def test_clog_holds_messages_back_in_order(self):
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), clog=True)])
        self.ping()
        self.network.run(1.0)
        self.assertEqual(self.tap.pings, [])
        self.network.heal()
        self.network.run(1.0)
        self.assertEqual(self.tap.rids(), list(range(20)))

    def test_a_slow_link_delays_messages_as_long_as_said(self):
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), delay=0.3)])
        self.ping(1)
        self.network.run(1.0)
        self.assertTrue(0.3 < self.tap.pings[0][2] < 0.302)


class Processes(SynchronousTestCase):
    def test_kill_breaks_connections_and_then_refuses(self):
        network = ring_of(8)
        tap = Tap(network)
        network.kill(A)
        network.run(0.001)
        self.assertIn(LinkFault.BROKEN, {fault for _, peer, fault in tap.downs if peer == A})
        network.run(0.1)
        self.assertIn(LinkFault.REFUSED, {fault for _, peer, fault in tap.downs if peer == A})

    def test_vanished_machine_tells_nobody(self):
        network = ring_of(8)
        tap = Tap(network)
        network.kill(A, silent=True)
        network.run(0.5)
        self.assertEqual(tap.downs, [])
        network.run(10.0)
        self.assertEqual({fault for _, _, fault in tap.downs}, {LinkFault.UNREACHABLE})

    def test_frozen_process_finds_its_messages(self):
        network = ring_of(4)
        tap = Tap(network)
        network.freeze(B)
        network._send(network.hosts[A], network.hosts[B].ref, Ping(OURS + 77))
        network.run(0.3)
        self.assertNotIn(77, tap.rids())
        network.thaw(B)
        network.run(0.1)
        self.assertIn((B, OURS + 77), [(name, rid) for name, rid, _ in tap.pings])

    def test_restart_raises_the_incarnation(self):
        network = ring_of(4)
        network.run(5.0)
        first = network.hosts[B]
        network.restart(B)
        self.assertFalse(first.up)
        self.assertEqual(network.hosts[B].ref.incarnation, 2)
        self.assertEqual(network.hosts[B].ref.raw, first.ref.raw)
        self.assertTrue(network.run(5.0, lambda: not network.problems()))

    def test_a_node_with_its_disk_knows_its_peers_of_old(self):
        """With its disk a node knows its peers of old; without, only its bootstrap peers."""
        network = ring_of(6)
        network.run(5.0)
        with_disk = network.restart(C)
        network.run(0.0001)
        self.assertGreater(len(with_disk.node.ctx.peers.known), 2)
        without = network.restart(C, disk=False)
        network.run(0.0001)
        self.assertEqual(without.node.ctx.peers.known, [])

    def test_nodes_with_skewed_clocks_make_one_ring(self):
        """Nodes whose clocks differ in what they read and how fast they run make one ring."""
        network = Network(5)
        for number, name in enumerate(names(8)):
            network.add(name, [A, B])
            network.skew(name, 1000.0 * number, 0.95 + 0.02 * number)
        self.assertTrue(network.run(10.0, lambda: not network.problems()))

    def test_a_node_that_leaves_lets_the_others_be_one_ring(self):
        network = ring_of(5)
        network.leave(C)
        self.assertTrue(network.run(5.0, lambda: not network.problems()))
        self.assertTrue(network.hosts[C].left)
        self.assertEqual(network.hosts[C].node.status(), Status.LEFT)

    def test_storm_is_ended(self):
        network = Network(1, most_steps=50)
        for name in names(5):
            network.add(name, [A, B])
        self.assertRaises(Storm, network.run, 60.0)


class Rings(SynchronousTestCase):
    def test_right_ring_is_right_and_stays_so(self):
        network = ring_of(200)
        self.assertEqual(network.problems(), [])
        network.run(5.0)
        self.assertEqual(network.problems(), [])

    def test_loopy_ring_is_wrong(self):
        network = Network(1)
        loopy_ring(network, names(9), [A, B])
        self.assertNotEqual(network.problems(), [])

    def test_loopy_ring_must_close(self):
        self.assertRaises(ValueError, loopy_ring, Network(1), names(8), [A])

    def test_lookups_and_broadcasts_in_a_ring_have_results(self):
        network = ring_of(16)
        lookup, publish = network.lookup(A, 12345), network.publish(B, "apple")
        network.run(2.0)
        found, sent = network.hosts[A].done[lookup], network.hosts[B].done[publish]
        assert isinstance(found, fx.LookupDone)
        assert isinstance(sent, fx.BroadcastDone)
        self.assertIsNotNone(found.owner)
        self.assertEqual((sent.recorded, sent.messages), (16, 15))
        self.assertEqual(network.sent["Bcast"], 15)

    def test_two_rings_are_seen_as_two(self):
        network = Network(1, ProtocolConfig(audit_s=1e6))
        right_ring(network, names(4), [A])
        right_ring(network, [f"Other {n}" for n in range(4)], [])
        self.assertTrue(network.problems())


class Deadlines(SynchronousTestCase):
    """The bound of a node's deadline is at hand without working the deadline out."""

    def setUp(self):
        self.network = ring_of(6)
        self.network.watchers.append(self)
        self.rng = Random(1)
        self.looks = self.apart = 0

    def stepped(self, host, event, effects):
        if self.rng.random() < 0.3:  # between two looks it may go stale
            bound, deadline = host.node.bound, host.node.deadline
            self.looks += 1
            self.apart += bound != deadline
            if deadline is not None and bound > deadline:
                self.fail(f"{host.ref.name}: due at {deadline}, bound {bound}, after {event}")
            self.assertEqual(host.node.bound, deadline)

    def faulted(self, host, what):
        pass

    def test_the_bound_of_a_deadline_is_never_late(self):
        network = self.network
        network.weather.loss = 0.1
        for number in range(1, 41):
            network.publish(A, f"message {number}")
            if number == 20:
                network.kill(B)
            network.run(0.5)
        self.assertGreater(self.looks, 300)
        self.assertGreater(self.apart, 30)
