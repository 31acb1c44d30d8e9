"""A program on a plain connection fills tables, dials, logs and doors; all of it stays bounded."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.hostile import HostilePeer, hop, identity
from chordnet.core.base.events import Event, Received
from chordnet.core.base.messages import Bcast, EdgeKind, Hop, NodeRef
from chordnet.core.kernel.timers import Alarms
from chordnet.core.node import ChordNode
from tests.net.hostile import MIB, HostileCase

MOST_HELD = 24 * MIB
MOST_LEFT = 20 * MIB
"""More than every limit in bytes together, less than what the attacks send."""


class MemoryTests(HostileCase):
    nodes = 2

    def flood(self, count: int, frame: Callable[[HostilePeer, int, bytes], Bcast]) -> None:
        """Send a node frames; what it holds of them stays bounded, and goes with its time."""
        ring = self.ring()
        peer, limit = self.hostile(ring[0]), self.ref(ring[0]).raw
        before = self.held(ring[0])
        for number in range(1, count + 1):
            peer.send(frame(peer, number, limit))
            if not number % 20:
                self.network.run(0.01)
        self.network.run(0.1)
        self.assertLess(self.held(ring[0]) - before, MOST_HELD)
        peer.hang_up()
        self.network.run(40)
        self.assertLess(self.held(ring[0]) - before, MOST_LEFT)
        self.assert_confirmed(ring[0], "still-here")

    def test_headers_without_bodies_hold_little_and_nothing_once_their_time_is_up(self):
        def header(peer: HostilePeer, number: int, limit: bytes) -> Bcast:
            return peer.bcast(identity(f"{number}".rjust(255_000, "n"), "", 1), 1, None, limit)

        self.flood(200, header)

    def test_headers_with_the_longest_routes_that_are_allowed_hold_little(self):
        def header(peer: HostilePeer, number: int, limit: bytes) -> Bcast:
            return peer.bcast(made_up(number), 1, None, limit, over=long_route(number))

        self.flood(500, header)

    def test_long_routes_of_finished_broadcasts_count_like_their_bodies(self):
        def whole(peer: HostilePeer, number: int, limit: bytes) -> Bcast:
            return peer.bcast(made_up(number), 1, [b"x"], limit, over=long_route(number))

        self.flood(500, whole)


def made_up(number: int) -> NodeRef:
    return identity(f"origin-{number}", "10.6.6.6:1", 1)


def long_route(number: int) -> list[Hop]:
    """Return as many hops as may be, with names as long as may be, that nobody has seen before."""
    return [hop(f"{number} {k}".rjust(255, "n")) for k in range(155)]


class Crashing(ChordNode):
    """A node whose program dies of every broadcast, and is up again at once."""

    seen = 0
    on_bcast = staticmethod(lambda: None)

    def step(self, event: Event, now: float):
        if isinstance(event, Received) and isinstance(event.message, Bcast):
            self.seen += 1
            self.on_bcast()
            return []
        return super().step(event, now)


class EffortTests(HostileCase):
    def test_a_peer_that_breaks_off_at_every_broadcast_is_sent_it_a_few_times_only(self):
        ring = self.ring()
        address = self.address(9)
        crashing = self.service(9, core=Crashing)
        self.network.run(4)
        core = crashing.node.core

        def break_off() -> None:
            for pair in list(self.network.connections):
                if any(transport.host == address for transport in pair):
                    pair[0].abortConnection()

        core.on_bcast = break_off
        receipt = self.broadcast(ring[0], "poison", seconds=60)
        self.network.run(30)
        self.assertLess(core.seen, 50)
        self.assertLess(self.counted("broadcast_resent"), 50)
        self.assertLess(self.counted("broadcast_repairs"), 50)
        for service in ring:
            self.assertEqual(self.bodies(service).count("poison"), 1)
        self.assertTrue(receipt.partial or receipt.recorded == 8, receipt)
        self.services.remove(crashing)
        crashing.stopService()

    def test_frames_that_look_like_successor_edges_cost_a_node_little_work(self):
        ring = self.ring()
        by_id = sorted(ring, key=lambda service: self.ref(service).id)
        before, victim = by_id[2], by_id[3]
        # A name that lies before the victim's predecessor: it seems to have been passed by.
        number = next(
            n
            for n in range(10_000)
            if self.ref(by_id[1]).id < identity(f"X{n}", "", 1).id < self.ref(before).id
        )
        peer = self.hostile(victim, f"X{number}")
        resent = self.counted("broadcast_resent")
        # The predecessor does not answer meanwhile: it is stopped, or has too much to do.
        self.network.frozen.add(self.ref(before).address)
        for count in range(1, 2001):
            frame = peer.bcast(
                peer.me, count, [b"x"], self.ref(victim).raw, kind=EdgeKind.SUCCESSOR
            )
            peer.send(frame)
            if not count % 100:
                self.network.run(0.01)
        self.network.run(1.4)
        alarms = victim.node.core.ctx.alarms
        self.assertLess(len(alarms._heap), 1000)
        self.assertLessEqual(self.counted("broadcast_resent") - resent, 3 * 2000)
        self.network.thaw(self.ref(before).address)
        self.network.run(8)
        self.assert_confirmed(victim, "still-here")

    def test_an_alarm_set_to_the_same_time_again_and_again_is_held_once(self):
        alarms: Alarms[str] = Alarms()
        for _ in range(3_000):
            alarms.set("probes", 1.0)
        self.assertLess(len(alarms._heap), 1000)
        self.assertEqual(alarms.due(1.0), ["probes"])
