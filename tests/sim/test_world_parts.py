"""The parts of a simulated world, each alone: lines of history, links, hosts, rules, time."""

from __future__ import annotations

from random import Random
from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import MessageId, Ping, Range, Status
from chordnet.judge.invariants import ideal_view
from chordnet.sim.world import latency
from chordnet.sim.world.build import loopy_ring, right_ring
from chordnet.sim.world.heap import held_bytes, in_mib
from chordnet.sim.world.host import MAX_BACKLOG
from chordnet.sim.world.network import Network
from chordnet.sim.world.schedule import Schedule, Storm
from chordnet.sim.world.trace import History, TraceHash, _cut, _describe
from chordnet.sim.world.weather import MAX_CLOGGED, Rule
from chordnet.sim.world.workers import worker_context
from tests.sim.support import names, ring_of

A, B, C = names(3)
SLOW = {"stabilise_idle_s": 1e6, "fingers_idle_s": 1e6, "audit_s": 1e6, "sync_s": 1e6}


class HistoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = ring_of(3, **SLOW)
        self.a, self.b = (self.network.hosts[name] for name in (A, B))
        self.history = History(self.network, 4)

    def test_a_line_of_160_characters_is_whole_and_a_longer_one_is_cut(self) -> None:
        self.assertEqual(_cut("x" * 160), "x" * 160)
        self.assertEqual(_cut("x" * 161), "x" * 159 + "…")

    def test_a_step_is_its_event_and_its_effects(self) -> None:
        self.network.now = 1.5
        effects: list[fx.Effect] = [
            fx.Send(self.b.ref, Ping(7)),
            fx.PeersKnown([]),
            fx.FingersChanged([]),
            fx.PeerDied(self.b.ref, left=True),
        ]
        self.history.stepped(self.a, ev.Received(self.b.ref, Ping(4)), effects)
        self.assertEqual(
            self.history.lines(),
            [
                "    1.500000       Node 1 got Ping(rid=4) from Node 2",
                " " * 26 + "-> Ping(rid=7) to Node 2",
                " " * 26 + "-> PeerDied(peer=Node 2, left=True)",
            ],
        )

    def test_what_is_done_to_a_host_is_in_capitals_and_the_last_lines_are_kept(self) -> None:
        for _ in range(4):
            self.history.faulted(self.a, "frozen")
        self.history.faulted(self.b, "killed")
        lines = self.history.lines()
        self.assertEqual(len(lines), 4)
        self.assertEqual(lines[-1], "    0.000000       Node 2 KILLED")
        self.assertEqual(History(self.network)._lines.maxlen, 200)

    def test_nodes_are_told_by_name_and_identifiers_by_their_beginning(self) -> None:
        nameless = msgspec.structs.replace(self.b.ref, name="")
        address = self.b.ref.address
        for thing, text in (
            (self.b.ref, "Node 2"), (nameless, address), (b"\x01\x02\x03\x04\x05", "01020304"),
            ([1, (2, b"\xff")], "[1 [2 ff]]"), (True, "True"), ("x", "x"),
            (fx.Send(nameless, Ping(1)), f"Ping(rid=1) to {address}"),
            (ev.Start([], []), "Start(alone=False)"), (ev.Tick(), "Tick()"),
        ):  # fmt: skip
            self.assertEqual(_describe(thing), text)

    def test_the_hash_is_of_times_hosts_events_effects_and_faults(self) -> None:
        def digest(*, now: float = 1.0, name: str = A, rid: int = 1, lost: bool = False) -> str:
            network = ring_of(3, **SLOW)
            traced = TraceHash(network)
            network.now = now
            effects: list[fx.Effect] = [] if lost else [fx.PeersKnown([])]
            traced.stepped(network.hosts[name], ev.Received(self.b.ref, Ping(rid)), effects)
            return traced.digest()

        found = [digest(), digest(now=2.0), digest(name=B), digest(rid=2), digest(lost=True)]
        self.assertEqual(len(set(found)), 5)
        self.assertEqual(digest(), found[0])
        traced = TraceHash(self.network)
        digests = {traced.digest()}
        for host, what in ((self.a, "killed"), (self.a, "frozen"), (self.b, "killed")):
            again = TraceHash(self.network)
            again.faulted(host, what)
            digests.add(again.digest())
        self.assertEqual(len(digests), 4)
        self.assertEqual(len(traced.digest()), 32)


class TimeTests(SynchronousTestCase):
    def test_things_happen_in_the_order_of_time_and_then_of_being_planned(self) -> None:
        schedule, seen = Schedule(10), []
        for at, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
            schedule.at(at, lambda name=name: seen.append((schedule.now, name)))  # type: ignore[misc]
        self.assertFalse(schedule.run(2.0))
        self.assertEqual(seen, [(1.0, "a"), (1.0, "b"), (2.0, "c")])
        self.assertEqual(schedule.now, 2.0)

    def test_a_condition_is_asked_for_every_so_often_and_at_the_end(self) -> None:
        schedule, asked = Schedule(10), []
        self.assertFalse(schedule.run(0.025, lambda: bool(asked.append(schedule.now))))
        self.assertEqual([round(each, 6) for each in asked], [0.0, 0.01, 0.02, 0.025])
        asked.clear()
        began = schedule.now
        self.assertTrue(schedule.run(9.0, lambda: schedule.now >= began + 1.0, poll=0.5))
        self.assertAlmostEqual(schedule.now, began + 1.0)
        self.assertTrue(schedule.run(9.0, lambda: True))
        self.assertAlmostEqual(schedule.now, began + 1.0)

    def test_as_many_steps_as_allowed_are_no_storm(self) -> None:
        schedule = Schedule(5)
        schedule.at(1.0, lambda: setattr(schedule, "steps", 5))
        schedule.run(2.0)
        schedule.at(3.0, lambda: setattr(schedule, "steps", 6))
        error = self.assertRaises(Storm, schedule.run, 2.0)
        self.assertEqual(str(error), "more than 5 steps: the nodes keep each other busy")


class LatencyTests(SynchronousTestCase):
    def test_each_distribution_has_its_mean_or_median_and_its_ends(self) -> None:
        rng = Random(1)

        def sorted_of(words: str) -> list[float]:
            draw = latency.parse(words)
            return sorted(draw(rng) for _ in range(20_000))

        self.assertEqual(set(sorted_of("constant 0.5")), {0.5})
        found = sorted_of("uniform 2 3")
        self.assertTrue(2.0 <= found[0] < 2.01 and 2.99 < found[-1] < 3.0)
        self.assertLess(abs(sum(sorted_of("exponential 4")) / 20_000 - 4), 0.2)
        found = sorted_of("lognormal 4 0.5")
        self.assertLess(abs(found[10_000] - 4), 0.2)
        # One standard deviation above the median: 84 of a hundred lie below.
        self.assertLess(abs(found[16_826] / (4 * 2.718281828**0.5) - 1), 0.05)
        found = sorted_of("pareto 2 1.5")
        self.assertTrue(2.0 <= found[0] < 2.01)
        self.assertLess(abs(found[10_000] - 2 * 2 ** (1 / 1.5)), 0.1)

    def test_a_thing_happens_if_the_number_drawn_is_below_its_probability(self) -> None:
        class Quarter(Random):
            def random(self) -> float:
                return 0.25

        for probability, happens in ((0.0, False), (0.25, False), (0.2501, True), (1.0, True)):
            self.assertEqual(latency.happens(Quarter(), probability), happens)

    def test_a_heavy_tail_ends_at_a_thousand_times_its_scale(self) -> None:
        class Last(Random):
            def random(self) -> float:
                return 1.0 - 2**-53

        self.assertEqual(latency.pareto(2.0, 0.5)(Last()), 2000.0)

    def test_words_that_are_no_distribution_are_told(self) -> None:
        kinds = "constant, uniform, exponential, lognormal, pareto"
        for text, told in (
            ("gauss 1", f"the distribution is one of {kinds}"),
            ("constant", "constant takes 1 numbers greater than 0"),
            ("uniform 1", "uniform takes 2 numbers greater than 0"),
            ("exponential 1 2", "exponential takes 1 numbers greater than 0"),
            ("lognormal 1 0", "lognormal takes 2 numbers greater than 0"),
            ("pareto x 1", "pareto takes 2 numbers greater than 0"),
        ):
            error = self.assertRaises(ValueError, latency.parse, text)
            self.assertEqual(str(error), f"latency {text!r}: {told}")
        self.assertEqual(latency.DEFAULT, "uniform 0.0005 0.0015")


class HostTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = ring_of(3, **SLOW)
        self.a, self.b = (self.network.hosts[name] for name in (A, B))

    def record(self, number: int, life: int = 1) -> fx.Record:
        key = MessageId(self.a.ref.raw, life, number)
        return fx.Record(key, 0.0, b"x", [])

    def test_clocks_are_where_they_were_set(self) -> None:
        self.network.skew(A, 100.0, 2.0)
        self.assertEqual((self.a.clock(5.0), self.a.due(110.0)), (110.0, 5.0))
        self.assertEqual((self.b.clock(5.0), self.b.due(5.0)), (5.0, 5.0))

    def test_a_process_runs_until_it_is_killed_or_has_left(self) -> None:
        self.assertTrue(self.a.runs)
        self.network.freeze(A)
        self.assertTrue(self.a.runs)
        self.network.kill(A)
        self.b.left = True
        self.assertEqual((self.a.runs, self.b.runs), (False, False))
        self.assertEqual([host.ref.name for host in self.network.live()], [C])

    def test_so_much_waits_for_a_frozen_process_and_no_more(self) -> None:
        self.a.backlog = [ev.Tick()] * (MAX_BACKLOG - 1)
        for count in (MAX_BACKLOG, MAX_BACKLOG):
            self.a.keep(ev.Leave())
            self.assertEqual(len(self.a.backlog), count)

    def test_a_frozen_process_keeps_what_comes_and_no_ticks(self) -> None:
        self.network.freeze(A)
        steps = self.network.steps
        for event in (ev.Tick(), ev.Leave()):
            self.network._step(self.a, event)
        self.assertEqual(self.a.backlog, [ev.Leave()])
        self.assertEqual(self.network.steps, steps)

    def asked(self, first: int, end: int, life: int = 1) -> Range:
        return Range(self.a.ref.raw, life, first, end)

    def test_what_is_kept_of_a_range_is_given_and_the_rest_is_lost(self) -> None:
        self.a.records += [self.record(n) for n in (5, 2, 3)] + [self.record(2, 2)]
        found, lost, complete = self.a.kept([self.asked(1, 5), self.asked(9, 11)])
        self.assertEqual([record.id.sequence for record in found], [2, 3])
        self.assertEqual([(each.first, each.end) for each in lost], [(1, 2), (4, 5), (9, 11)])
        self.assertTrue(complete)
        found, lost, _ = self.a.kept([self.asked(2, 4, 2)])
        self.assertEqual([record.id for record in found], [self.record(2, 2).id])
        self.assertEqual([(each.incarnation, each.first, each.end) for each in lost], [(2, 3, 4)])

    def test_at_most_512_messages_and_as_many_ranges_are_given_at_once(self) -> None:
        self.a.records += [self.record(n) for n in range(1, 514)]
        for end, count, complete in ((513, 512, True), (514, 512, False)):
            found, lost, all_ = self.a.kept([self.asked(1, end)])
            self.assertEqual((len(found), lost, all_), (count, [], complete))
        ranges = [self.asked(2000 + 2 * n, 2001 + 2 * n) for n in range(513)]
        for asked, complete in ((ranges[:512], True), (ranges, False)):
            found, lost, all_ = self.a.kept(asked)
            self.assertEqual((found, len(lost), all_), ([], 512, complete))

    def test_memory_is_told_in_bytes_on_macos_and_in_kibibytes_elsewhere(self) -> None:
        self.assertEqual(in_mib(3 * 2**20, "darwin"), 3.0)
        self.assertEqual(in_mib(3 * 2**10, "linux"), 3.0)

    def test_a_tick_that_comes_when_nothing_is_due_any_more_is_no_step(self) -> None:
        class Idle:
            deadline = None
            bound = float("inf")

        steps = self.network.steps
        self.network._arm(self.a, 1.0)
        self.a.node = Idle()  # type: ignore[assignment]
        self.network.run(2.0)
        self.assertIsNone(self.a.ticking)
        self.assertEqual(self.network.steps, steps)

    def test_a_tick_of_a_process_that_has_ended_is_no_step(self) -> None:
        for end in (lambda: self.network.kill(A), lambda: setattr(self.b, "left", True)):
            end()
        steps = self.network.steps
        for host in (self.a, self.b):
            self.network._arm(host, 0.5)
            self.network._tick(host, 0.5, None)
        self.assertEqual(self.network.steps, steps)

    def test_bytes_are_counted_once_each_and_leaves_are_not_entered(self) -> None:
        big = bytes(100_000)
        once, twice = held_bytes([big]), held_bytes([big, big])
        self.assertTrue(100_000 < once < 101_000)
        self.assertLess(twice - once, 100)
        self.assertLess(held_bytes([big], (bytes,)), 1000)
        self.assertGreater(held_bytes(self.record(1)), held_bytes([]))
        record = msgspec.structs.replace(self.record(1), body=big)
        self.assertGreater(held_bytes(record), 100_000)


class LinkTests(SynchronousTestCase):
    """What happens to single messages."""

    def setUp(self) -> None:
        self.network = ring_of(3, **SLOW)
        self.network.latency = latency.constant(0.25)
        self.a, self.b = (self.network.hosts[name] for name in (A, B))
        self.downs: list[tuple[str, str, LinkFault, float]] = []
        self.got: list[tuple[int, float]] = []
        self.network.watchers.append(self)

    def stepped(self, host: Any, event: ev.Event, effects: list[fx.Effect]) -> None:
        now = round(self.network.now, 6)
        if isinstance(event, ev.LinkDown):
            self.downs.append((host.ref.name, event.peer.name, event.fault, now))
        elif isinstance(event, ev.Received) and isinstance(event.message, Ping):
            self.got.append((event.message.rid, now))

    def faulted(self, host: Any, what: str) -> None:
        pass

    def ping(self, rid: int = 1, to: Any = None) -> None:
        self.network._send(self.a, to or self.b.ref, Ping(rid))

    def test_nobody_at_an_address_refuses_after_half_a_millisecond(self) -> None:
        nobody = msgspec.structs.replace(self.b.ref, address="nowhere", name="nobody")
        self.ping(to=nobody)
        self.network.run(0.1)
        self.assertEqual(self.downs, [(A, "nobody", LinkFault.REFUSED, 0.0005)])

    def test_another_life_or_another_node_at_an_address_rejects(self) -> None:
        for wrong in ({"incarnation": 2}, {"raw": b"\1" * 20}):
            self.downs.clear()
            self.ping(to=msgspec.structs.replace(self.b.ref, **wrong))
            self.network.run(0.1)
            self.assertEqual([down[:3] for down in self.downs], [(A, B, LinkFault.REJECTED)])
        self.ping(to=msgspec.structs.replace(self.b.ref, raw=b"", incarnation=0))
        self.network.run(0.3)
        self.assertEqual(len(self.got), 1, "who knows an address alone gets through")

    def test_a_vanished_machine_is_unreachable_after_three_seconds(self) -> None:
        self.network.kill(B, silent=True)
        self.ping()
        self.network.run(2.999)
        self.assertEqual(self.downs, [])
        self.network.run(0.002)
        self.assertEqual(self.downs[0], (A, B, LinkFault.UNREACHABLE, 3.0))

    def test_delays_of_rules_add_up_and_losses_multiply(self) -> None:
        here, there = frozenset({A}), frozenset({B})
        self.network.disturb(
            [Rule(here, there, delay=0.5, loss=0.5), Rule(here, there, delay=1.0, loss=0.5)]
        )
        link = self.a.links[B]
        self.assertEqual((link.delay, link.loss, link.blocked), (1.5, 0.75, False))
        self.assertEqual(self.b.links[A].delay, 0.0)
        link.loss = 0.0
        self.ping()
        self.network.run(2.0)
        self.assertEqual(self.got, [(1, 1.75)])
        self.network.heal()
        self.assertEqual((link.delay, link.loss), (0.0, 0.0))

    def test_a_clogged_link_holds_so_many_messages_and_loses_the_rest(self) -> None:
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), clog=True)])
        link = self.a.links[B]
        assert link.clogged is not None
        link.clogged.extend([Ping(0)] * (MAX_CLOGGED - 1))
        for count in (MAX_CLOGGED, MAX_CLOGGED):
            self.ping()
            self.assertEqual(len(link.clogged), count)

    def test_a_new_connection_meets_the_rules_in_force(self) -> None:
        del self.a.links[B]
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), delay=0.5)])
        dials = self.network.dials[A]
        self.ping()
        self.assertEqual((self.a.links[B].delay, self.network.dials[A]), (0.5, dials + 1))

    def test_weather_is_calm_until_something_is_wrong(self) -> None:
        weather = self.network.weather
        self.assertTrue(weather.calm)
        for name in ("loss", "duplicate", "reorder"):
            setattr(weather, name, 0.1)
            self.assertFalse(weather.calm, name)
            setattr(weather, name, 0.0)
        weather.rules.append(Rule(frozenset(), frozenset()))
        self.assertFalse(weather.calm)

    def test_a_way_is_parted_by_a_block_in_either_direction(self) -> None:
        parts = self.network.weather.parts
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), clog=True)])
        self.assertFalse(parts(A, B))
        self.network.disturb([Rule(frozenset({A}), frozenset({B}), block=True)])
        self.assertEqual((parts(A, B), parts(B, A), parts(A, C)), (True, True, False))

    def test_late_copies_arrive_within_fifty_milliseconds(self) -> None:
        self.network.weather.duplicate = 0.999
        for rid in range(50):
            self.ping(rid)
        self.network.run(1.0)
        late = [at - 0.25 for _, at in self.got if at > 0.25]
        self.assertTrue(all(0.0 < each <= 0.05 for each in late), late)
        self.assertGreater(max(late), 0.03)

    def test_what_somebody_says_for_another_arrives_as_that_ones(self) -> None:
        c = self.network.hosts[C].ref
        self.network.say(A, self.b.ref, Ping(1))
        self.network.say(A, self.b.ref, Ping(2), c)
        self.network.run(0.3)
        self.assertEqual([rid for rid, _ in self.got], [1, 2])
        self.network.kill(B)
        self.network.say(A, self.b.ref, Ping(3), c)
        self.network.kill(A)
        self.network.say(A, c, Ping(4))
        self.network.run(0.3)
        self.assertEqual([rid for rid, _ in self.got], [1, 2])


class RestartTests(SynchronousTestCase):
    def test_each_life_is_one_more_than_the_last_that_there_was(self) -> None:
        network = ring_of(3)
        self.assertEqual(network.restart(A).ref.incarnation, 2)
        self.assertEqual(network.restart(A, incarnation=9).ref.incarnation, 9)
        self.assertEqual(network.restart(A, incarnation=4).disk.incarnation, 9)
        self.assertEqual(network.restart(A).ref.incarnation, 10)
        self.assertEqual([host.number for host in network.hosts.values()], [6, 1, 2])

    def test_a_clock_goes_on_as_it_went_in_the_life_before(self) -> None:
        network = ring_of(3)
        network.skew(A, 7.0, 1.5)
        again = network.restart(A)
        self.assertEqual((again.offset, again.rate), (7.0, 1.5))
        network.skew(B, 3.0)
        self.assertEqual((network.hosts[B].offset, network.hosts[B].rate), (3.0, 1.0))

    def test_a_message_of_an_empty_network_has_its_usual_latency(self) -> None:
        network, rng = Network(1), Random(3)
        draws = [network.latency(rng) for _ in range(2000)]
        self.assertTrue(all(0.0005 <= each <= 0.0015 for each in draws))
        self.assertLess(min(draws), 0.00051)
        self.assertGreater(max(draws), 0.00149)


class RingTests(SynchronousTestCase):
    def test_every_node_of_a_right_ring_has_the_ideal_pointers(self) -> None:
        for count in (1, 2, 3, 17):
            network = Network(1, ProtocolConfig(bits=16, successors=4))
            hosts = right_ring(network, names(count), [A, B])
            ids = [host.ref.id for host in hosts]
            self.assertEqual(ids, sorted(ids))
            for index, host in enumerate(hosts):
                ideal = ideal_view(ids, index, network.space, 4)
                self.assertEqual(attrs.evolve(host.view(), fingers=dict(host.view().fingers)),
                                 ideal, count)  # fmt: skip
                self.assertEqual(host.bootstrap, [A, B])
                self.assertIs(host.node.status(), Status.ACTIVE)

    def test_a_loopy_ring_winds_twice_and_its_lists_end_before_they_come_round(self) -> None:
        network = Network(1, ProtocolConfig(bits=16, successors=4))
        hosts = loopy_ring(network, names(7), [A])
        refs = [host.ref for host in hosts]
        for index, host in enumerate(hosts):
            after = [refs[(index + 2 * step) % 7] for step in (1, 2, 3)]
            self.assertEqual(host.node.successors, after)
            self.assertEqual(host.node.predecessor, refs[index - 2])
        error = self.assertRaises(ValueError, loopy_ring, network, names(9), [A], 3)
        self.assertIn("3 windings cannot have a multiple of 3 nodes", str(error))


class WorkerTests(SynchronousTestCase):
    def test_workers_are_fresh_processes(self) -> None:
        self.assertEqual(worker_context().get_start_method(), "spawn")
