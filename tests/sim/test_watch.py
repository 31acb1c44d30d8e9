"""The watch sees what it is there to see: steps that break a ring, records that cannot be.

No node is made to err: each test tells the watch of a step and gives the node the pointers that it
would have after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import EdgeKind, Hop, MessageId, Status
from chordnet.core.base.metrics import CoreMetric
from chordnet.core.kernel.timers import GRAIN_S
from chordnet.sim.scenarios.watch import MARGIN_S, MAX_VIOLATIONS, Watch
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.network import Network
from tests.sim.support import names

# Nothing moves of itself for the time of a test.
SLOW = {"stabilise_idle_s": 1e6, "fingers_idle_s": 1e6, "audit_s": 1e6, "sync_s": 1e6}


class WatchCase(SynchronousTestCase):
    def setUp(self):
        self.make()

    def make(self, count: int = 6, outsiders: frozenset[str] = frozenset()) -> None:
        """A right ring of ``count`` nodes with lists of two, watched."""
        self.network = Network(1, ProtocolConfig(successors=2, **SLOW))
        self.watch = Watch(self.network, outsiders)
        self.hosts = right_ring(self.network, names(count), names(2))
        self.network.now = 100.0  # everything that counts from the beginning is long past

    def change(self, index: int, *successors: int) -> None:
        """Tell of a step by which a host's list became the hosts with these numbers."""
        host = self.hosts[index]
        refs = [self.hosts[number].ref for number in successors]
        host.node.ring.successors = refs
        effect = fx.RingChanged(host.node.predecessor, refs, None)
        self.watch.stepped(host, ev.Tick(), [effect])

    def report(self) -> str:
        """The only violation."""
        (text,) = self.watch.violations
        return text


class RingTests(WatchCase):
    def test_a_right_ring_is_in_force_and_what_keeps_it_is_no_violation(self):
        self.assertTrue(self.watch.checker.in_force)
        before = self.watch.checker.checks
        self.change(0, 1, 2)
        self.assertEqual(self.watch.violations, [])
        self.assertEqual(self.watch.checker.checks, before + 1)

    def test_a_step_that_breaks_the_invariant_is_a_violation(self):
        self.change(0, 1, 2)
        self.change(0, 5)
        self.assertIn(f"100.000000 s: {self.hosts[0].ref.name} broke the invariant", self.report())

    def test_a_step_that_leaves_a_member_without_a_successor_is_a_violation(self):
        self.change(0)
        self.assertIn("no entry of its successor list is live", "\n".join(self.watch.violations))

    def test_a_step_by_which_a_node_comes_in_at_the_wrong_place_is_a_violation(self):
        stranger = self.network.make("stranger", [])
        self.hosts = sorted([*self.hosts, stranger], key=lambda host: host.ref.id)
        index = self.hosts.index(stranger)
        wrong = [(index + 4) % 7, (index + 3) % 7]
        stranger.node.place(self.hosts[0].node.label, stranger.ref, [], {}, [], 0.0)
        self.change(index, *wrong)
        self.assertIn("stranger broke the invariant", "\n".join(self.watch.violations))

    def test_a_step_without_a_change_is_not_looked_at(self):
        self.hosts[0].node.ring.successors = [self.hosts[5].ref]
        self.watch.stepped(self.hosts[0], ev.Tick(), [])
        self.assertEqual(self.watch.violations, [])

    def test_a_change_of_status_is_looked_at(self):
        host = self.hosts[0]
        host.node.ring.successors = [self.hosts[5].ref]
        change = fx.StatusChanged(Status.JOINING, Status.ACTIVE)
        self.watch.stepped(host, ev.Tick(), [change])
        self.assertEqual(len(self.watch.violations), 1)

    def test_what_was_put_together_by_hand_is_not_judged(self):
        host = self.hosts[0]
        host.node.ring.successors = [self.hosts[5].ref]
        self.watch.faulted(host, "placed")
        self.assertEqual(self.watch.violations, [])
        self.assertFalse(self.watch.checker.in_force)

    def test_an_outsider_is_not_judged(self):
        self.make(outsiders=frozenset(names(6)))
        self.change(0, 5)
        self.assertEqual(self.watch.violations, [])

    def test_who_is_killed_leaves_or_begins_to_leave_is_no_member(self):
        members = self.watch.checker.members
        self.assertEqual(len(members), 6)
        self.network.kill(self.hosts[0].ref.name)
        self.assertEqual(len(members), 5)
        self.network.leave(self.hosts[3].ref.name)
        self.assertEqual(len(members), 4)
        self.assertEqual(self.watch.violations, [])

    def test_a_pointer_to_a_life_that_is_over_is_as_good_as_dead(self):
        self.change(0, 1)
        self.network.kill(self.hosts[1].ref.name)
        self.network.restart(self.hosts[1].ref.name)
        self.assertFalse(self.watch.checker.in_force, "its only pointer was to the one that died")
        self.change(0, 1, 2)
        self.assertTrue(self.watch.checker.in_force, "the second one lives")
        self.watch.violations.clear()
        self.network.now = 200.0
        self.change(0, 1)
        self.assertIn("no entry of its successor list is live", "\n".join(self.watch.violations))

    def test_a_pointer_to_a_life_that_is_over_does_not_name_the_next_life(self):
        """A list that is taken over after the death, and the node comes back."""
        for end in (Network.kill, Network.leave):
            self.make()
            old = self.hosts[1]
            end(self.network, old.ref.name)
            self.change(0, 1, 2)
            self.network.kill(old.ref.name)
            new = self.network.restart(old.ref.name)
            new.node.place(None, self.hosts[0].ref, [self.hosts[2].ref], {}, [], 0.0)
            self.hosts[1] = new
            self.watch.faulted(new, "placed")
            self.change(5, 0, 1)
            self.assertEqual(self.watch.checker.principals, 5, "host 0 passes it by")
            self.change(0, 1, 2)
            self.assertEqual(self.watch.checker.principals, 6)

    def test_a_node_that_is_alone_and_makes_a_ring_is_no_step_of_the_proof(self):
        stranger = self.network.make("stranger", [])
        stranger.node.place(None, stranger.ref, [], {}, [], 0.0)
        change = fx.StatusChanged(Status.JOINING, Status.ACTIVE)
        self.watch.stepped(stranger, ev.Tick(), [change])
        self.assertEqual(self.watch.violations, [])
        self.assertFalse(self.watch.checker.in_force, "there are two rings now")


class TrustTests(WatchCase):
    """When the assumptions of the proof do not hold, a broken ring is nobody's fault."""

    def mistake(self) -> None:
        """Let a node take a live one for dead."""
        host, other = self.hosts[0], self.hosts[3]
        host.node.ctx.peers.died(other.ref, host.clock(self.network.now))
        host.node.ctx.counters.add(CoreMetric.DEATHS)
        self.watch.stepped(host, ev.Tick(), [])

    def test_a_live_node_taken_for_dead_is_a_mistake_until_it_must_be_forgotten(self):
        self.assertTrue(self.watch.trusted)
        self.mistake()
        self.assertEqual(self.watch.mistakes, 1)
        memory = self.network.config.dead_memory_s
        for later, trusted in ((0.0, False), (memory + MARGIN_S - 0.1, False),
                               (memory + MARGIN_S, True)):  # fmt: skip
            self.network.now = 100.0 + later
            self.assertIs(self.watch.trusted, trusted, later)

    def test_each_death_is_looked_at_once(self):
        self.mistake()
        self.watch.stepped(self.hosts[0], ev.Tick(), [])
        self.assertEqual(self.watch.mistakes, 1)

    def test_a_slow_clock_forgets_later(self):
        self.hosts[0].rate = 0.5
        self.mistake()
        self.network.now = 100.0 + 2 * self.network.config.dead_memory_s + MARGIN_S - 0.1
        self.assertFalse(self.watch.trusted)

    def test_a_fast_clock_is_not_relied_upon(self):
        self.hosts[0].rate = 2.0
        self.mistake()
        self.network.now = 100.0 + self.network.config.dead_memory_s + MARGIN_S - 0.1
        self.assertFalse(self.watch.trusted)

    def test_during_a_mistake_nothing_is_held_against_anybody(self):
        self.mistake()
        self.change(0, 5)
        self.assertEqual(self.watch.violations, [])

    def test_who_is_dead_or_leaves_is_rightly_taken_for_dead(self):
        self.network.leave(self.hosts[3].ref.name)
        self.mistake()
        self.network.kill(self.hosts[3].ref.name)
        self.mistake()
        self.assertEqual((self.watch.mistakes, self.watch.trusted), (0, True))

    def test_nothing_is_held_against_anybody_while_answers_of_a_broken_ring_may_come(self):
        self.watch.faulted(self.hosts[0], "placed")
        self.hosts[0].node.ring.successors = [self.hosts[5].ref]
        self.watch.faulted(self.hosts[0], "placed")
        self.change(0, 1, 2)
        self.assertTrue(self.watch.checker.in_force)
        patience = 1.1 * self.network.config.request_timeout_s + GRAIN_S
        for later, trusted in ((0.0, False), (0.9 * patience, False), (patience + 1e-9, True)):
            self.network.now = 100.0 + later
            self.assertIs(self.watch.trusted, trusted, later)
        self.change(0, 5)
        self.assertEqual(len(self.watch.violations), 1)

    def lose(self, *victims: int, wait: float) -> None:
        """A node takes a list of which these die, the first of them ``wait`` seconds before."""
        for victim in victims:
            self.network.kill(self.hosts[victim].ref.name)
            self.network.now += wait
            wait = 0.0
        self.assertTrue(self.watch.checker.in_force)
        self.change(0, *victims)

    def test_a_list_that_died_while_it_was_on_its_way_is_bad_luck(self):
        self.make(9)
        self.lose(3, 6, wait=0.0)
        self.assertEqual(self.watch.violations, [])

    def test_a_list_that_was_dead_before_it_was_asked_for_is_a_violation(self):
        self.make(9)
        self.lose(3, 6, wait=10.0)
        self.assertIn("no entry of its successor list is live", "\n".join(self.watch.violations))


class RecordTests(WatchCase):
    """A process records a message once, on a way that it can have taken."""

    def setUp(self):
        super().setUp()
        self.origin, self.middle, self.end = self.hosts[:3]
        self.id = MessageId(self.origin.ref.raw, 1, 1)
        self.travelled(self.hosts)

    def travelled(self, hosts: Sequence) -> None:
        """Everybody has sent the message to everybody."""
        for a in hosts:
            for b in hosts:
                self.network.edges.add((str(self.id), a.ref.raw, b.ref.raw))

    def record(self, host, *route, kind: EdgeKind = EdgeKind.FINGER) -> None:
        kinds = [EdgeKind.ORIGIN, *[EdgeKind.FINGER] * (len(route) - 2), kind][-len(route) :]
        pairs = zip(route, kinds, strict=True)
        hops = [Hop(each.ref.raw, each.ref.name, int(kind)) for each, kind in pairs]
        self.watch.stepped(host, ev.Tick(), [fx.Record(self.id, 0.0, b"", hops)])

    def test_a_way_that_was_travelled_is_fine(self):
        self.record(self.origin, self.origin)
        self.record(self.middle, self.origin, self.middle)
        self.record(self.end, self.origin, self.middle, self.end)
        self.assertEqual(self.watch.violations, [])

    def test_a_message_recorded_twice_is_a_violation(self):
        for _ in range(2):
            self.record(self.middle, self.origin, self.middle)
        self.assertIn(f"{self.middle.ref.name} recorded {self.id} twice", self.report())

    def test_a_way_that_begins_ends_or_turns_elsewhere_is_a_violation(self):
        for route in (
            (self.middle, self.end),
            (self.origin, self.middle),
            (self.origin, self.middle, self.origin, self.end),
        ):
            self.watch.violations.clear()
            self.watch._recorded.clear()
            self.record(self.end, *route)
            self.assertIn("with the route", self.report())

    def test_a_repair_may_pass_by_a_node_again(self):
        route = (self.origin, self.middle, self.origin, self.end)
        self.record(self.end, *route, kind=EdgeKind.REASSIGN)
        self.assertEqual(self.watch.violations, [])

    def test_an_edge_that_nobody_travelled_is_not_fine(self):
        self.network.edges.discard((str(self.id), self.origin.ref.raw, self.middle.ref.raw))
        self.record(self.end, self.origin, self.middle, self.end)
        self.assertIn("an edge that was never travelled", self.report())

    def test_what_was_asked_for_has_travelled_no_tree(self):
        self.network.edges.clear()
        self.record(self.end, self.origin, self.end, kind=EdgeKind.CAUGHT_UP)
        self.assertEqual(self.watch.violations, [])

    def test_no_more_is_put_into_words_than_anybody_reads(self):
        for _ in range(3 * MAX_VIOLATIONS):
            self.record(self.middle, self.origin, self.middle)
        self.assertEqual(len(self.watch.violations), MAX_VIOLATIONS)

    def test_a_watched_network_that_broadcasts_is_seen_to(self):
        self.make()
        self.network.publish(self.hosts[0].ref.name, "apple")
        self.network.run(1.0)
        self.assertEqual(self.watch.violations, [])
        self.assertEqual([len(ids) for ids in self.watch._recorded.values()], [1] * 6)
