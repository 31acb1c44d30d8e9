"""The storm over keys: its wipes, its programs, and the history that they write."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.storm_blows import PEACE_S, Blows, Peace
from benchmarks.storm_clients import KEYS, PROGRAMS, Asked, Program, Programs, Told
from benchmarks.storm_keys import KeyStorm, options
from benchmarks.storm_plan import ALONE_S, DOCKER_KEYS, LOCAL_KEYS, WIPE_S, Blow, plan
from benchmarks.storm_senders import running
from chordnet.core.base.errors import Conflict, ConnectFailed, Unavailable, Unconfirmed, Untold
from chordnet.core.base.outcomes import Entry
from chordnet.survey.errors import TestbedError
from chordnet.wire.rpc import Written
from tests.unit.test_benchmarks_storm import NODES, FakeField


class PlansWithWipes(SynchronousTestCase):
    def test_a_long_storm_has_every_blow_that_its_engine_can_strike(self):
        for seed in range(10):
            for verbs in (LOCAL_KEYS, DOCKER_KEYS):
                blows = plan(Random(seed), 900.0, NODES, verbs)
                self.assertEqual({blow.verb for blow in blows}, set(verbs), f"seed {seed}")

    def test_after_a_wipe_only_blinks_happen_until_others_can_hold_what_it_held(self):
        for seed in range(50):
            blows = plan(Random(seed), 600.0, NODES, LOCAL_KEYS)
            for wipe in (blow for blow in blows if blow.verb == "wipe"):
                self.assertEqual(len(wipe.nodes), 1)
                for other in blows:
                    if other is wipe or other.verb == "blink":
                        continue
                    if other.at < wipe.at:
                        self.assertLessEqual(other.until, wipe.at + ALONE_S, f"seed {seed}")
                    else:
                        self.assertGreaterEqual(other.at, wipe.until + WIPE_S, f"seed {seed}")

    def test_the_plan_leaves_the_peace_that_a_wipe_needs_with_time_to_spare(self):
        self.assertGreater(WIPE_S - ALONE_S, PEACE_S)


class PeaceAfterWipes(SynchronousTestCase):
    def setUp(self):
        self.peace = Peace()
        self.peace.struck("wipe", 10.0)
        self.peace.undone("wipe", 20.0)

    def test_the_first_wipe_is_always_allowed(self):
        self.assertTrue(Peace().allows("wipe", 1.0))

    def test_another_wipe_is_allowed_after_a_time_in_which_all_nodes_were_up(self):
        self.assertFalse(self.peace.allows("wipe", 20.0 + PEACE_S - 0.1))
        self.assertTrue(self.peace.allows("wipe", 20.0 + PEACE_S))

    def test_before_all_nodes_were_up_long_enough_only_blinks_are_allowed(self):
        self.assertFalse(self.peace.allows("kill", 21.0))
        self.assertTrue(self.peace.allows("blink", 21.0))
        self.assertTrue(self.peace.allows("kill", 20.0 + PEACE_S))

    def test_a_kill_takes_the_time_of_peace_away_and_a_blink_does_not(self):
        self.peace.struck("blink", 21.0)
        self.peace.undone("blink", 22.0)
        self.assertTrue(self.peace.allows("wipe", 20.0 + PEACE_S))
        self.setUp()
        self.peace.struck("kill", 25.0)
        self.assertFalse(self.peace.allows("wipe", 200.0))
        self.peace.undone("kill", 200.0)
        self.assertFalse(self.peace.allows("wipe", 200.0 + PEACE_S - 0.1))
        self.assertTrue(self.peace.allows("wipe", 200.0 + PEACE_S))

    def test_blows_after_the_peace_do_not_forbid_the_next_wipe(self):
        self.peace.struck("kill", 20.0 + PEACE_S)
        self.assertTrue(self.peace.allows("wipe", 21.0 + PEACE_S))


class WipingField(FakeField):
    def __init__(self, slow=0.0):
        super().__init__("local", slow)
        self.wiped = []

    def wipe(self, number):
        assert number in self.engine.down
        self.wiped.append(number)


class Wiping(SynchronousTestCase):
    def fall(self, *planned, slow=0.0):
        field = WipingField(slow)
        blows = Blows(field, planned)
        falling = running(blows.fall(0.0))
        while not falling.called:
            field.reactor.advance(0.25)
        self.successResultOf(falling)
        return field, blows

    def test_a_wiped_node_is_killed_loses_its_disk_and_is_started_again(self):
        field, blows = self.fall(Blow(1.0, "wipe", (4,), 2.0))
        self.assertEqual((field.wiped, field.engine.down), ([4], set()))
        self.assertEqual((blows.done["wipe"], blows.late), (1, 0))

    def test_a_removed_node_keeps_its_disk(self):
        field, blows = self.fall(Blow(1.0, "remove", (4,), 20.0))
        self.assertEqual((field.wiped, field.engine.down), ([], set()))
        self.assertEqual(blows.done["remove"], 1)

    def test_blows_are_left_out_if_a_slow_engine_has_taken_the_peace_before_them(self):
        planned = (
            Blow(1.0, "wipe", (4,), 2.0),
            Blow(40.0, "wipe", (5,), 2.0),
            Blow(41.0, "kill", (6,), 1.0),
        )
        field, blows = self.fall(*planned, slow=30.0)
        self.assertEqual((field.wiped, blows.late, blows.done.total()), ([4], 2, 1))
        self.assertIn("2 left out after wipes", blows.summary())
        field, blows = self.fall(*planned)
        self.assertEqual((field.wiped, blows.late), ([4, 5], 0))


class FakeNode:
    """A register for every key behind a client, that records what it is asked and may fail."""

    def __init__(self, world, address, history):
        self.world, self.address, self.history = world, address, history
        world.clients.append(self)
        self.closed = False

    def _ask(self, asked, outcome):
        self.world.asked.append((self.address, asked))
        answer = self.world.answers.pop(0) if self.world.answers else outcome()
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def get(self, key, **_more):
        return self._ask(("get", key, None), lambda: self.world.entries.get(key))

    def put(self, key, value, **more):
        return self._ask(("put", key, more), lambda: self._written(key, value))

    def delete(self, key, **more):
        return self._ask(("delete", key, more), lambda: self._written(key, None))

    def _written(self, key, value):
        self.world.version += 1
        self.world.entries[key] = value and Entry(value, self.world.version, None)
        return written(self.world.version)

    def close(self):
        self.closed = True
        return succeed(None)


def written(version):
    return Written(version, "", 0, 1, [], [], 0.0)


class Always:
    """A source of chance that always draws the same."""

    def __init__(self, action, chance):
        self.action, self.chance = action, chance

    def choices(self, _population, _weights):
        return [self.action]

    def choice(self, population):
        return population[0]

    def random(self):
        return self.chance


class OneProgram(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clients, self.asked, self.answers, self.entries = [], [], [], {}
        self.version = 0
        self.told = Told()
        self.program = Program(
            self.clock, lambda a, h: FakeNode(self, a, h), lambda line: None, "p", self.told
        )

    def operate(self, action, again=0.0, addresses=("a",)):
        names = list(addresses)
        choose = lambda: names.pop(0) if len(names) > 1 else names[0]  # noqa: E731
        operating = running(self.program.operate(Always(action, again), choose))
        self.clock.pump([1.0] * 10)
        self.successResultOf(operating)

    def test_a_change_is_a_put_at_the_version_that_was_seen_last(self):
        self.operate("change")
        self.operate("put")
        self.operate("change")
        self.operate("delete")
        self.operate("change")
        conditions = [asked[2].get("if_version") for _address, asked in self.asked]
        self.assertEqual(conditions, [0, None, 2, None, 0])

    def test_a_conflict_and_a_read_are_ways_to_see_a_version(self):
        self.answers = [Conflict("other", Entry(b"x", 7, None))]
        self.operate("change")
        self.operate("change")
        self.answers = [None]
        self.operate("get")
        self.operate("change")
        conditions = [asked[2]["if_version"] for _address, asked in self.asked if asked[2]]
        self.assertEqual(conditions, [0, 7, 0])

    def test_an_unconfirmed_write_is_asked_for_again_through_another_node(self):
        self.answers = [Unconfirmed("?", b"r", 3)]
        self.operate("put", addresses="ab")
        self.assertEqual([address for address, _asked in self.asked], ["a", "b"])
        again = self.asked[1][1][2]
        self.assertEqual((again["request"], again["since"]), (b"r", 3))
        self.assertEqual(self.told.ended, {"Unconfirmed": 1, "done (asked again)": 1})

    def test_an_unconfirmed_write_is_asked_for_until_its_end_is_known(self):
        self.answers = [Unconfirmed("?", b"r", 3), ConnectFailed("gone"), Untold("?")]
        self.operate("put", addresses="abcd")
        self.assertEqual(len(self.asked), 3)

    def test_in_the_other_half_of_the_cases_it_is_not_asked_for_again(self):
        self.answers = [Unconfirmed("?", b"r", 3)]
        self.operate("put", again=0.6)
        self.assertEqual(len(self.asked), 1)

    def test_what_was_not_done_is_not_asked_for_again(self):
        self.answers = [Unavailable("1 of 3 answers")]
        self.operate("put")
        self.assertEqual(self.told.ended, {"Unavailable": 1})

    def test_a_program_has_one_client_for_each_node_and_closes_all(self):
        for address in "abab":
            self.operate("get", addresses=address)
        self.assertEqual([client.address for client in self.clients], ["a", "b"])
        self.successResultOf(running(self.program.close()))
        self.assertTrue(all(client.closed for client in self.clients))

    def test_the_longest_wait_and_the_waits_for_certain_answers_are_kept(self):
        self.told.note(Asked("get", "k"), None, 0.5)
        self.told.note(Asked("put", "k", b"v"), Unconfirmed("?", b"r", 0), 7.0)
        self.assertEqual(self.told.longest, (7.0, "put", "Unconfirmed"))
        self.assertEqual(self.told.certain, [0.5])
        self.assertEqual(self.told.summary(), "2 answers: 1 absent, 1 Unconfirmed")


class AllPrograms(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clients, self.asked, self.answers, self.entries = [], [], [], {}
        self.version = 0

    def make(self, name, told):
        connect = lambda address, history: FakeNode(self, address, history)  # noqa: E731
        return Program(self.clock, connect, lambda line: None, name, told)

    def test_every_program_works_until_it_is_told_to_stop(self):
        programs = Programs(self.clock, self.make, lambda: "a", Random(1), 1.0)
        working = running(programs.run())
        self.clock.pump([0.5] * 20)
        self.assertGreater(len(self.asked), 5 * PROGRAMS)
        programs.stop()
        self.clock.pump([0.5] * 5)
        self.successResultOf(working)
        self.assertEqual(programs.told.ended.total(), len(self.asked))
        self.assertTrue(all(client.closed for client in self.clients))

    def test_a_look_reads_every_key_through_each_node(self):
        programs = Programs(self.clock, self.make, lambda: "a", Random(1), 1.0)
        self.assertEqual(self.successResultOf(running(programs.unreadable(["a", "b"]))), {})
        self.assertEqual(len(self.asked), 2 * len(KEYS))
        self.answers = [None, Unavailable("1 of 3 answers")]
        failed = self.successResultOf(running(programs.unreadable(["a", "b"])))
        self.assertEqual(failed, {"a": f"{KEYS[1]}: 1 of 3 answers"})


class WholeStorms(SynchronousTestCase):
    def setUp(self):
        self.clients, self.asked, self.answers, self.entries = [], [], [], {}
        self.version = 0
        self.field = WipingField()

    def storm(self):
        connect = lambda address, history: FakeNode(self, address, history)  # noqa: E731
        make = lambda name, told: Program(  # noqa: E731
            self.field.reactor, connect, lambda line: None, name, told
        )
        return KeyStorm(self.field, 3, 120.0, 40.0, make)

    def test_every_blow_falls_while_programs_work_and_all_nodes_are_back_in_the_end(self):
        storm = self.storm()
        raging = running(storm.rage())
        while self.field.reactor.seconds() < 180.0:
            self.field.reactor.advance(0.25)
        self.successResultOf(raging)
        self.assertEqual(storm.blows.done.total(), len(storm.blows.planned))
        self.assertGreater(len(self.field.wiped), 0)
        engine = self.field.engine
        self.assertEqual((engine.down, engine.frozen), (set(), set()))
        self.assertGreater(storm.programs.told.ended["done"], 600)

    def test_keys_are_looked_at_until_all_can_be_read(self):
        storm = self.storm()
        self.answers = [Unavailable("no")] * 20
        waiting = running(storm.readable(60.0))
        self.field.reactor.pump([0.25] * 20)
        self.assertGreater(self.successResultOf(waiting), 0.0)

    def test_keys_that_stay_unreadable_are_told(self):
        storm = self.storm()
        self.answers = [Unavailable("no")] * 100_000
        waiting = running(storm.readable(5.0))
        self.field.reactor.pump([0.25] * 40)
        problem = self.failureResultOf(waiting, TestbedError).value
        self.assertEqual(len(problem.details), 16)

    def test_ten_minutes_on_local_nodes_unless_told_otherwise(self):
        chosen = options(["--seed", "7"])
        self.assertEqual((chosen.minutes, chosen.seed, chosen.engine), (10.0, 7, "local"))
