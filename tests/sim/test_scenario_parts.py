"""Scenarios, part by part: what each verb does, how they are written, shrunk, begun and judged."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import Status
from chordnet.judge.invariants import ideal_view
from chordnet.sim.scenarios.actor import Actor
from chordnet.sim.scenarios.checker import RingChecker
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.play import Play, PlayResult, play
from chordnet.sim.scenarios.scenario import (
    Action,
    Scenario,
    ScenarioError,
    dumps,
    loads,
    selection,
)
from chordnet.sim.scenarios.shrink import _Attempts, _is_fair, report, shrink
from chordnet.sim.scenarios.soak import SeedResult, Tally, play_seed, results, soak
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network
from chordnet.sim.world.weather import Rule
from tests.sim.support import names, ring_of

A, B, C = names(3)
SLOW = {"stabilise_idle_s": 1e6, "fingers_idle_s": 1e6, "audit_s": 1e6, "sync_s": 1e6}


class ActorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = ring_of(6, **SLOW)
        self.actor = Actor(Scenario(name="x", nodes=6), self.network)

    def act(self, verb: str, value: Any) -> None:
        self.actor.act(Action(0.0, verb, value))

    def test_processes_end_pause_go_on_and_begin_again(self) -> None:
        hosts = self.network.hosts
        self.act("kill", "1")
        self.act("vanish", "2")
        self.assertEqual((hosts[A].up, hosts[B].up), (False, False))
        self.assertEqual(self.network._dark, {B})
        self.act("freeze", "3 4")
        self.assertTrue(hosts[C].frozen and hosts["Node 4"].frozen)
        self.act("thaw", "3")
        self.assertEqual((hosts[C].frozen, hosts["Node 4"].frozen), (False, True))
        self.act("leave", "5")
        self.assertIs(hosts["Node 5"].node.status(), Status.LEAVING)

    def test_who_begins_again_has_its_disk_or_not_or_an_older_life(self) -> None:
        hosts = self.network.hosts
        known = [host.ref for host in self.network.live()]
        for verb, life, disk in (
            ("restart", 4, True), ("restart_empty", 4, False), ("restart_old", 2, False),
        ):  # fmt: skip
            hosts[A].disk.incarnation, hosts[A].disk.known = 3, known
            self.act(verb, "1")
            self.assertEqual(hosts[A].ref.incarnation, life, verb)
            self.assertEqual(hosts[A].disk.known == known, disk, verb)

    def test_everybody_is_who_lives(self) -> None:
        self.act("kill", "2")
        self.assertEqual(self.actor.nodes("all"), [name for name in names(6) if name != B])
        self.assertEqual(self.actor.nodes("2..3 9"), [B, C, "Node 9"])

    def test_places_after_a_node_that_is_gone_are_counted_from_where_it_was(self) -> None:
        ring = sorted(names(6), key=lambda name: IdentifierSpace().hash(name.encode()))
        at = ring.index(C)
        self.act("kill", "3")
        expected = [ring[(at + step) % 6] for step in (2, 3, 4)]
        self.assertEqual(self.actor.nodes("3+2..4"), expected)
        self.assertEqual(self.actor.nodes("3+1"), [ring[(at + 1) % 6]])

    def test_newcomers_ask_the_bootstrap_peers_and_never_themselves(self) -> None:
        self.act("kill", "1")
        del self.network.hosts[A]
        self.act("add", "1 7")
        self.assertEqual(self.network.hosts[A].bootstrap, [B])
        self.assertEqual(self.network.hosts["Node 7"].bootstrap, [A, B])
        again = self.network.hosts["Node 7"]
        self.act("add", "7")
        self.assertIs(self.network.hosts["Node 7"], again)
        self.assertEqual((self.actor.peers(0), self.actor.peers(1)), ([A, B], [B]))

    def test_each_fault_of_a_way_is_a_rule_in_one_direction(self) -> None:
        here, there = frozenset({A}), frozenset({B, C})
        for verb, more, rule in (
            ("block", [], Rule(here, there, block=True)),
            ("clog", [], Rule(here, there, clog=True)),
            ("slow", [0.25], Rule(here, there, delay=0.25)),
            ("lossy", [0.5], Rule(here, there, loss=0.5)),
        ):
            self.network.heal()
            self.act(verb, ["1", "2..3", *more])
            self.assertEqual(self.network.weather.rules, [rule])

    def test_a_connection_is_severed_where_both_ends_are(self) -> None:
        epoch = self.network.hosts[A].links[B].epoch
        for ends, more in ((["1", "2"], 1), (["1", "99"], 0), (["1", "2..3"], 0)):
            self.act("sever", ends)
            epoch += more
            self.assertEqual(self.network.hosts[A].links[B].epoch, epoch, ends)

    def test_messages_are_numbered_and_lookups_are_of_random_keys(self) -> None:
        self.act("publish", "1 2")
        self.network.run(1.0)
        bodies = sorted(record.body for record in self.network.hosts[C].records)
        self.assertEqual(bodies, [b"message-1", b"message-2"])
        before = self.network._op
        self.act("lookup", "all")
        self.assertEqual(self.network._op, before + 6)

    def test_clocks_start_anywhere_in_a_thousand_seconds_and_run_a_little_wrong(self) -> None:
        actor = Actor(Scenario(name="x", nodes=6, skew=0.125), self.network)
        host, found = self.network.hosts[A], []
        for _ in range(300):
            actor.skew(A)
            found.append((host.offset, host.rate))
        offsets, rates = zip(*found, strict=True)
        self.assertTrue(0.0 <= min(offsets) < 20.0 and 980.0 < max(offsets) < 1000.0)
        self.assertTrue(0.875 <= min(rates) < 0.885 and 1.115 < max(rates) <= 1.125)
        self.actor.skew(B)
        self.assertEqual((self.network.hosts[B].offset, self.network.hosts[B].rate), (0.0, 1.0))


class FileTests(SynchronousTestCase):
    maxDiff = None

    def test_a_file_says_what_differs_from_the_defaults_and_nothing_else(self) -> None:
        self.assertEqual(dumps(Scenario(name="x", nodes=3)), 'name = "x"\nnodes = 3\n')
        full = Scenario(
            name="x", about="é", seed=2, nodes=3, start="rings", rings=(1, 2), bootstrap=(3,),
            within_s=2.5, members=2, lookups=4, most_steps=99, publish=False, outsiders=(3,),
            config={"successors": 4}, latency="constant 0.5", loss=0.25, duplicate=0.5,
            reorder=0.75, skew=0.125,
            actions=(Action(1.0, "heal", True), Action(2.5, "slow", ["1", "2", 0.5])),
        )  # fmt: skip
        self.assertEqual(
            dumps(full).splitlines(),
            [
                'name = "x"', 'about = "é"', "seed = 2", "nodes = 3", 'start = "rings"',
                "within_s = 2.5", "members = 2", "lookups = 4", "most_steps = 99",
                "publish = false", "rings = [1, 2]", "bootstrap = [3]", "outsiders = [3]", "",
                "[config]", "successors = 4", "", "[network]", 'latency = "constant 0.5"',
                "loss = 0.25", "duplicate = 0.5", "reorder = 0.75", "skew = 0.125", "", "[[do]]",
                "at = 1.0", "heal = true", "", "[[do]]", "at = 2.5", 'slow = ["1", "2", 0.5]',
            ],
        )  # fmt: skip
        self.assertEqual(loads(dumps(full)), full)

    def test_ranges_are_of_numbers_or_of_places_on_the_ring(self) -> None:
        for text, found in (
            ("3", [(3, 0, 3)]), ("9..12", [(9, 0, 12)]), ("9+1..2", [(9, 1, 2)]),
            ("9+2", [(9, 2, 2)]), ("3 7", [(3, 0, 3), (7, 0, 7)]), (5, [(5, 0, 5)]), ("", []),
        ):  # fmt: skip
            self.assertEqual(selection(text), found, text)
        for text in ("x", "3..", "3 -1", "3+", "3..4x"):
            self.assertRaises(ScenarioError, selection, text)

    def test_fractions_are_below_one(self) -> None:
        for name in ("loss", "duplicate", "reorder", "skew"):
            Scenario(name="x", nodes=1, **{name: 0.999})
            for wrong in (1.0, -0.001):
                error = self.assertRaises(
                    ScenarioError, Scenario, name="x", nodes=1, **{name: wrong}
                )
                self.assertEqual(str(error), f"{name} must be in [0, 1), not {wrong}")
        self.assertRaises(ScenarioError, Scenario, name="x", nodes=0)
        error = self.assertRaises(
            ScenarioError, Scenario, name="x", nodes=3, start="rings", rings=(1, 1)
        )
        self.assertEqual(str(error), "rings [1, 1] must add up to nodes, 3")
        Scenario(name="x", nodes=3, start="together", rings=(1, 1))

    def test_an_action_has_a_time_and_one_verb(self) -> None:
        head = 'name = "x"\nnodes = 1\n[[do]]\n'
        self.assertEqual(loads(f"{head}at = 1\nheal = true").actions, (Action(1.0, "heal", True),))
        for wrong in ("heal = true", "at = 1", 'at = 1\nheal = true\nkill = "1"', "at = 1\nx = 1"):
            self.assertRaises(ScenarioError, loads, head + wrong)

    def test_an_action_is_a_line(self) -> None:
        self.assertEqual(str(Action(1.5, "kill", "9+1..2")), '    1.500 s  kill "9+1..2"')


class ShrinkTests(SynchronousTestCase):
    def fair(self, *verbs: tuple[str, Any]) -> bool:
        return _is_fair(tuple(Action(1.0, verb, value) for verb, value in verbs))

    def test_what_is_broken_has_to_be_mended(self) -> None:
        for verb in ("partition", "block", "clog", "slow", "lossy"):
            self.assertFalse(self.fair((verb, ["1", "2"])))
            self.assertTrue(self.fair((verb, ["1", "2"]), ("heal", True)))
            self.assertFalse(self.fair(("heal", True), (verb, ["1", "2"])))
        for end in ("thaw", "kill", "vanish", "restart", "restart_empty", "leave"):
            self.assertTrue(self.fair(("freeze", "1"), (end, "1")), end)
            self.assertFalse(self.fair(("freeze", "1"), (end, "2")), end)
            self.assertFalse(self.fair((end, "1"), ("freeze", "1")), end)
        self.assertTrue(self.fair(("sever", ["1", "2"]), ("kill", "1")))
        self.assertFalse(self.fair(("freeze", "1"), ("heal", True)))

    def test_four_hundred_variants_are_played(self) -> None:
        played = []
        attempt = _Attempts(lambda candidate: bool(played.append(candidate)) or True)
        scenario = Scenario(name="x", nodes=1)
        self.assertEqual([attempt(scenario) for _ in range(402)], [True] * 400 + [False] * 2)
        self.assertEqual(len(played), 400)

    def test_every_calmer_variant_that_still_fails_is_kept(self) -> None:
        noisy = Scenario(
            name="x", nodes=3, loss=0.5, duplicate=0.5, reorder=0.5, skew=0.5,
            latency="constant 0.25", config={"bits": 32, "successors": 2},
            actions=(Action(1.0, "lookup", "1"), Action(2.0, "publish", "1")),
        )  # fmt: skip
        calm = shrink(noisy, lambda candidate: True)
        self.assertEqual(
            calm,
            Scenario(
                name="x-shrunk", nodes=3, latency="constant 0.001", lookups=0, publish=False,
                config={"bits": 16, "successors": 2},
            ),
        )  # fmt: skip
        same = shrink(noisy, lambda candidate: False)
        self.assertEqual(same, attrs.evolve(noisy, name="x-shrunk"))

    def test_what_would_change_nothing_is_not_played(self) -> None:
        kills = (Action(1.0, "kill", "1"), Action(2.0, "kill", "2"))
        asks = (*kills, Action(3.0, "lookup", "1"))
        calm = {"latency": "constant 0.5", "lookups": 0, "publish": False}
        for words, count in (
            ({"actions": kills}, 2 + 2 + 1 + 2),
            ({"actions": kills, "loss": 0.1, "skew": 0.1}, 2 + 2 + 2 + 1 + 2),
            ({"actions": kills, **calm}, 2 + 2 + 2),
            ({"actions": kills, **calm, "publish": True}, 2 + 2 + 1 + 2),
            ({"actions": asks, **calm}, 3 + 2 + 1 + 3),
            ({"actions": (), **calm}, 2),
        ):
            played: list[Scenario] = []
            original = Scenario(name="x", nodes=3, **words)  # type: ignore[arg-type]
            shrink(original, lambda candidate, played=played: bool(played.append(candidate)))  # type: ignore[misc]
            self.assertEqual(len(played), count, words)
            self.assertNotIn(original, played)

    def test_each_thing_that_the_failure_needs_stays(self) -> None:
        noisy = Scenario(
            name="x", nodes=3, loss=0.5, duplicate=0.5, reorder=0.5, skew=0.5,
            actions=(Action(1.0, "kill", "1"), Action(2.0, "publish", "1"),
                     Action(3.0, "kill", "2"), Action(4.0, "lookup", "1")),
        )  # fmt: skip
        for field in ("loss", "duplicate", "reorder", "skew", "lookups", "publish", "latency"):
            usual = getattr(noisy, field)
            found = shrink(noisy, lambda each, f=field, u=usual: getattr(each, f) == u)  # type: ignore[misc]
            self.assertEqual(getattr(found, field), usual)
            self.assertEqual(found.actions, ())
        for index in range(4):
            needed = noisy.actions[index]
            found = shrink(noisy, lambda each, needed=needed: needed in each.actions)  # type: ignore[misc]
            self.assertEqual(found.actions, (needed,))

    def test_a_failure_is_reported_with_its_network_and_every_action_left(self) -> None:
        original = Scenario(name="x", seed=7, nodes=3, actions=(Action(1.0, "kill", "1"),) * 3)
        shorter = attrs.evolve(original, actions=(Action(1.0, "kill", "1"),), loss=0.25)
        network = "  3 nodes start 'together', m = 160 bits, r = 8 successors,"
        network += " latency uniform 0.0005 0.0015, loss 0.25"
        outcome = PlayResult(shorter, ["first", "second"], None, 1.0, 1, 1, 1, "", [])
        self.assertEqual(
            report(outcome, original),
            [
                "seed 7 fails: first", "shortest history found, 1 of 3 actions:",
                network,
                '      1.000 s  kill "1"',
            ],
        )  # fmt: skip


class SoakTests(SynchronousTestCase):
    def test_a_seeds_result_is_that_of_its_play(self) -> None:
        found, whole = play_seed(3), play(generate(3))
        self.assertEqual(
            attrs.astuple(found, recurse=False),
            (3, whole.steps, whole.checks, whole.mistakes, whole.now, whole.settled_s, ()),
        )

    def test_a_tally_sums_plays_up_and_names_the_first_of_the_slowest(self) -> None:
        tally = Tally()
        for result in (
            SeedResult(3, 10, 1, 5, 2.5, None, ()),
            SeedResult(4, 20, 2, 6, 3.5, 0.75, ("bad",)),
            SeedResult(5, 30, 3, 7, 4.5, 0.75, ()),
            SeedResult(6, 40, 4, 8, 5.5, 0.5, ("worse",)),
        ):
            tally.add(result)
        failed = [result.seed for result in tally.failed]
        self.assertEqual(attrs.astuple(tally, recurse=False)[:-1], (4, 100, 10, 26, 16.0, 0.75, 4))
        self.assertEqual(failed, [4, 6])

    def test_the_seeds_of_a_soak_are_played_one_after_the_other(self) -> None:
        each = results(3, 1)
        self.assertEqual([next(each).seed for _ in range(3)], [3, 4, 5])

    def test_a_soak_ends_with_the_step_or_the_failure_that_makes_it_enough(self) -> None:
        first = play_seed(3).steps
        seen: list[SeedResult] = []
        tally = soak(3, first, 1, lambda tally, result: seen.append(result), 1)
        self.assertEqual((tally.seeds, tally.steps, len(seen)), (1, first, 1))
        tally = soak(3, first + 1, 1, lambda tally, result: None, 1)
        self.assertEqual(tally.seeds, 2)


class Starts:
    """Keeps when processes started."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.times: list[float] = []
        network.watchers.append(self)

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        if isinstance(event, ev.Start):
            self.times.append(self._network.now)

    def faulted(self, host: Host, what: str) -> None:
        pass


class BeginningTests(SynchronousTestCase):
    def begin(self, **words: Any) -> Play:
        play = Play(Scenario(name="x", **words))
        play._begin()
        return play

    def test_nodes_start_together_or_one_by_one_or_are_there_in_rings(self) -> None:
        together = self.begin(nodes=4).network
        self.assertEqual((together.now, len(together.hosts)), (0.0, 4))
        self.assertEqual([h.node.is_member() for h in together.live()], [False] * 4)
        single = Play(Scenario(name="x", nodes=4, start="one by one"))
        starts = Starts(single.network)
        single._begin()
        pauses = [after - before for before, after in pairwise(starts.times)]
        self.assertEqual(len(pauses), 3)
        self.assertTrue(all(0.0 < each < 2.01 for each in pauses), pauses)
        self.assertLess(min(pauses), 1.0, "who has joined is not waited for")
        rings = self.begin(nodes=5, start="rings", rings=(2, 3)).network
        labels = [host.node.label for host in rings.live()]
        self.assertEqual([labels.count(label) for label in labels], [2, 2, 3, 3, 3])
        self.assertEqual({tuple(host.bootstrap) for host in rings.live()}, {(A, B)})
        loopy = self.begin(nodes=5, start="loopy").network
        self.assertTrue(loopy.problems())

    def test_a_node_that_cannot_join_is_waited_for_two_seconds(self) -> None:
        play = self.begin(nodes=2, start="one by one", loss=0.999, bootstrap=(1,))
        self.assertLess(abs(play.network.now - 2.0), 0.2)

    def test_weather_clocks_and_patience_are_those_of_the_scenario(self) -> None:
        play = self.begin(
            nodes=3, loss=0.25, duplicate=0.5, reorder=0.125, skew=0.5, latency="constant 0.5",
            seed=9, config={"successors": 3},
        )  # fmt: skip
        network, weather = play.network, play.network.weather
        self.assertEqual((weather.loss, weather.duplicate, weather.reorder), (0.25, 0.5, 0.125))
        self.assertEqual((network.seed, network.config.successors), (9, 3))
        self.assertEqual(network.latency(network.rng), 0.5)
        self.assertEqual(len({host.rate for host in network.live()}), 3)
        self.assertEqual(network.most_steps, 150_000)
        self.assertEqual(self.begin(nodes=3, most_steps=7).network.most_steps, 7)

    def test_a_small_ring_is_looked_at_more_often_than_a_large_one(self) -> None:
        polls = [Play(Scenario(name="x", nodes=nodes))._poll for nodes in (64, 65)]
        self.assertEqual(polls, [0.05, 0.5])

    def test_hash_and_history_are_there_when_asked_for(self) -> None:
        scenario = Scenario(name="x", nodes=2, start="rings", rings=(2,), lookups=1)
        plain, whole = Play(scenario).run(), Play(scenario, hashed=True, history=3).run()
        self.assertEqual((plain.digest, plain.history, plain.failures), ("", [], []))
        self.assertEqual((len(whole.digest), len(whole.history)), (32, 3))
        self.assertEqual(plain.sent, whole.sent)
        self.assertEqual((plain.steps, plain.now), (whole.steps, whole.now))

    def test_faults_come_at_their_times_and_what_is_none_delays_nothing(self) -> None:
        scenario = Scenario(
            name="x", nodes=5, start="rings", rings=(5,), lookups=1,
            actions=(Action(1.0, "kill", "3"), Action(20.0, "lookup", "1")),
        )  # fmt: skip
        outcome = Play(scenario).run()
        self.assertEqual(outcome.failures, [])
        self.assertTrue(outcome.ok)
        self.assertLess(outcome.settled_s or 99.0, 5.0)
        self.assertGreaterEqual(outcome.now, 20.0)

    def test_members_are_counted_without_outsiders(self) -> None:
        play = self.begin(nodes=4, start="rings", rings=(4,), outsiders=(4,), members=4)
        self.assertEqual(play._count(), ["the ring has 3 members, should have 4"])
        play = self.begin(nodes=4, start="rings", rings=(4,), members=4)
        self.assertEqual(play._count(), [])
        play.network.kill(A)
        self.assertEqual(play._count(), ["the ring has 3 members, should have 4"])

    def test_a_node_that_is_no_member_is_what_is_wrong(self) -> None:
        play = self.begin(nodes=3)
        (problem,) = play.problems()
        self.assertEqual((problem.kind, len(problem.nodes)), ("state", 1))
        self.assertRegex(problem.words(hex), r"^Node \d is [A-Z]+$|^0x[0-9a-f]+.* is \w+")
        outside = self.begin(nodes=3, outsiders=(1, 2, 3))
        self.assertEqual(outside.problems(), [])


class CheckerTests(SynchronousTestCase):
    """The running count of a ring, where it is at its limits."""

    SPACE = IdentifierSpace(6)

    def checker(self, count: int, r: int = 2) -> RingChecker:
        members = [5 * n for n in range(count)]
        checker = RingChecker(self.SPACE, r)
        for index in range(count):
            view = ideal_view(members, index, self.SPACE, r)
            checker.changed(view.id, view.successors, trusted=False)
        return checker

    def test_a_base_of_one_member_more_than_a_list_is_long_is_enough(self) -> None:
        self.assertTrue(self.checker(3).in_force)
        small = self.checker(2)
        self.assertFalse(small.in_force)
        self.assertEqual(
            [p.words(self.SPACE.hex) for p in small._problems()],
            ["2 members are too few, should be 3 or more"],
        )

    def test_as_many_principals_as_the_base_has_are_enough(self) -> None:
        checker = self.checker(4)
        self.assertEqual(checker.changed(0, [10, 15], trusted=True), [])
        self.assertEqual((checker.principals, checker.in_force), (3, True))
        (problem,) = checker.changed(0, [15], trusted=True)
        self.assertEqual(
            problem.words(self.SPACE.hex), "2 principals among 4 members, should be 3 or more"
        )

    def test_changes_are_counted_while_the_invariant_is_in_force(self) -> None:
        checker = self.checker(4)
        before = checker.checks
        checker.changed(0, [5, 10], trusted=True)
        checker.changed(0, [15], trusted=False)
        self.assertEqual(checker.checks, before + 2)
        checker.changed(0, [15], trusted=True)
        self.assertEqual(checker.checks, before + 2)

    def test_the_end_of_a_node_that_is_no_member_is_no_failure(self) -> None:
        checker = self.checker(4)
        checker.failed(33)
        self.assertTrue(checker.in_force)
        self.assertEqual([*checker.members], [0, 5, 10, 15])
        self.assertEqual([checker.is_member(n) for n in (0, 15, 16, 7)], [True, True, False, False])

    def test_a_list_out_of_order_is_forgotten_with_its_member(self) -> None:
        checker = self.checker(5)
        checker.changed(0, [10, 5], trusted=False)
        self.assertIn("order", [problem.kind for problem in checker._problems()])
        checker.failed(0)
        self.assertNotIn("order", [problem.kind for problem in checker._problems()])
        checker = self.checker(5)
        checker.changed(0, [10, 5], trusted=False)
        checker.changed(0, [5, 10], trusted=False)
        self.assertEqual(checker._problems(), [])

    def test_stale_entries_are_as_good_as_dead(self) -> None:
        checker = self.checker(4)
        (problem,) = [
            each
            for each in checker.changed(0, [5, 10], trusted=True, stale=frozenset({5, 10}))
            if each.kind == "dead-end"
        ]
        self.assertEqual(problem.nodes, (0,))
        self.assertEqual(
            problem.words(self.SPACE.hex), "00: no entry of its successor list is live"
        )


class DoneTests(SynchronousTestCase):
    def test_lookups_and_receipts_are_kept_by_their_operation(self) -> None:
        network = ring_of(3)
        host = network.hosts[A]
        network._perform(host, fx.LookupDone(77, host.ref, [host.ref]))
        self.assertEqual(list(host.done), [77])
        network._perform(host, fx.LeftRing())
        self.assertTrue(host.left)
        self.assertEqual((host.links, host.inbound), ({}, {}))
