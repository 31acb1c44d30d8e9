"""What a start says, whom it waits for, and what it leaves when it fails."""

from __future__ import annotations

import resource
from collections.abc import Collection
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from chordnet.survey.conditions import Condition, Matter
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import NotConverged, TestbedError
from chordnet.testbed.actions.changes import add_node, remove_node
from chordnet.testbed.actions.context import Engines
from chordnet.testbed.actions.lifecycle import Wish, start_network, stop_network
from chordnet.testbed.base.descriptors import OWN
from chordnet.testbed.base.faults import Faults, load_faults, save_faults
from chordnet.testbed.base.lock import locked
from chordnet.testbed.engines.choice import Choice
from chordnet.testbed.engines.code import code_digest
from tests.unit.test_testbed_lifecycle import Case, wish
from tests.unit.testbed_fakes import FakeEngine, World, ideal_status, network


class SayingTests(Case):
    async def choose(self, _reactor: object, wanted: str) -> Choice:
        return Choice("docker" if wanted == "docker" else "local", "for a reason")

    def setUp(self) -> None:
        super().setUp()
        self.testbed.engines = Engines(self.testbed.engines.make, self.choose)

    def test_the_engine_that_was_chosen_is_said_with_the_reason(self) -> None:
        self.result(start_network(self.testbed, Wish(nodes=5, base_port=9001), 60))
        self.assertEqual(self.world.said, ["engine: local (for a reason)"])

    def test_the_engine_that_was_asked_for_is_not_said(self) -> None:
        self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(self.world.said, [])

    def test_without_a_word_a_network_has_16_nodes_from_port_7001(self) -> None:
        done = self.result(start_network(self.testbed, wish(None, None), 60))
        self.assertEqual((done.network.size, done.network.base_port), (16, 7001))

    def test_another_size_or_other_ports_than_the_last_time_are_said(self) -> None:
        for wished, now in (
            (wish(7, 9001), "now 7 from port 9001"),
            (wish(5, 9002), "now 5 from port 9002"),
            (wish(5, 9001), None),
        ):
            self.testbed.home.save(network(5, stopped=True))
            self.world.said.clear()
            self.result(start_network(self.testbed, wished, 60))
            self.result(stop_network(self.testbed, purge=True, timeout=60))
            self.assertEqual(
                self.world.said,
                [f"last time it had 5 nodes from port 9001; {now}"] if now else [],
            )

    def test_a_network_that_lost_its_nodes_keeps_its_engine_and_its_recordings(self) -> None:
        lost = network(5, engine="docker", record=None)
        for wanted, engine in (("auto", "docker"), ("local", "local")):
            self.testbed.home.save(lost)
            self.world.engine.alive = set()
            done = self.result(start_network(self.testbed, Wish(engine=wanted), 60))
            self.assertEqual(done.network.engine, engine)
        directory = str(Path(self.mktemp()).absolute())
        self.testbed.home.save(network(5, record=directory))
        self.world.engine.alive = set()
        done = self.result(start_network(self.testbed, Wish(), 60))
        self.assertEqual(done.network.record, directory)

    def test_one_node_with_other_code_is_said_to_have_it(self) -> None:
        self.world.up()
        self.testbed.home.save(attrs.evolve(self.world.described, code="of yesterday"))
        self.world.engine.alive -= {2}
        self.result(start_network(self.testbed, wish(), 60))
        (said,) = self.world.said
        self.assertTrue(said.startswith("Node 2 will run other code than the nodes that run"), said)


class AnewTests(Case):
    def test_a_fault_that_was_made_on_purpose_is_forgotten_where_nothing_ran(self) -> None:
        self.world.up()
        self.world.engine.alive = set()
        save_faults(self.testbed.home, Faults(frozen=frozenset({3})))
        self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(load_faults(self.testbed.home), Faults())

    def test_a_fault_that_was_made_on_purpose_stays_where_nodes_run(self) -> None:
        self.world.up()
        self.world.engine.alive -= {2}
        broken = Faults(delays={3: (80.0, 0.0)})
        save_faults(self.testbed.home, broken)
        self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(load_faults(self.testbed.home), broken)

    def test_a_running_network_of_which_nothing_is_missing_needs_no_free_port(self) -> None:
        self.world.up()
        self.world.taken.update(dict.fromkeys(range(9001, 9006), "twistd (pid 4242)"))
        self.assertEqual(self.result(start_network(self.testbed, wish(), 60)).started, ())

    def test_a_port_of_a_new_network_may_be_another_one_and_that_of_a_running_one_not(self) -> None:
        self.world.taken[9002] = "python3 (pid 4242)"
        text = self.error(start_network(self.testbed, wish(), 60))
        self.assertTrue(text.endswith("stop that, or choose other ports with --base-port"), text)
        self.world.up()
        self.world.engine.alive -= {2}
        text = self.error(start_network(self.testbed, wish(), 60))
        self.assertTrue(
            text.endswith("stop that, or stop the network and start it on other ports"), text
        )

    def test_a_network_that_runs_is_described_as_running(self) -> None:
        self.world.up()
        self.testbed.home.save(network(5, stopped=True))
        self.result(start_network(self.testbed, wish(), 60))
        self.assertFalse(self.testbed.description().stopped)

    def test_a_running_network_takes_no_other_engine(self) -> None:
        self.world.up()
        other = Wish(nodes=5, base_port=9001, engine="docker")
        text = self.error(start_network(self.testbed, other, 60))
        self.assertEqual(text, "network 'default' is running with the local engine; stop it first")
        self.result(start_network(self.testbed, Wish(nodes=5, base_port=9001), 60))

    def test_the_time_is_counted_from_the_start_to_one_ring(self) -> None:
        self.world.engine.converges = False
        self.world.clock.callLater(3.0, self.world.engine.ring)
        done = self.result(start_network(self.testbed, wish(), 60))
        self.assertLess(abs(done.seconds - 3.0), 0.7)

    def test_nodes_that_joined_from_elsewhere_are_counted_as_members(self) -> None:
        self.world.up()
        described, nodes = self.world.described, self.world.nodes
        members = [*(described.identifier(n) for n in described.numbers), 77]
        for number in described.numbers:
            nodes.statuses[number] = ideal_status(described, described.identifier(number), members)
        nodes.visitors["10.0.0.9:1"] = ideal_status(described, 77, members)
        done = self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual((done.started, done.members), ((), 6))

    def test_nodes_that_joined_from_elsewhere_are_members_of_the_ring_that_is_left(self) -> None:
        self.world.up()
        self.world.engine.settles = False
        described, nodes = self.world.described, self.world.nodes

        def join(numbers: Collection[int]) -> None:
            members = [*(described.identifier(n) for n in numbers), 77]
            nodes.statuses = {
                n: ideal_status(described, described.identifier(n), members) for n in numbers
            }
            nodes.visitors["10.0.0.9:1"] = ideal_status(described, 77, members)

        join({1, 2, 3, 4, 5})
        self.world.clock.callLater(1.0, join, {1, 2, 4, 5})
        done = self.result(remove_node(self.testbed, 3, kill=False, timeout=60))
        self.assertEqual(done.members, 5)
        self.assertLess(abs(done.seconds - 1.0), 0.7)


class AloneTests(Case):
    def test_a_node_that_does_not_listen_yet_is_told_again_until_it_does(self) -> None:
        self.world.engine.converges = False
        self.world.clock.callLater(1.0, self.world.engine.ring)
        self.result(start_network(self.testbed, wish(1), 60))
        self.assertGreater(len(self.world.nodes.begun), 3)

    def test_a_node_that_was_told_to_create_its_ring_is_not_told_again(self) -> None:
        self.result(start_network(self.testbed, wish(1), 60))
        self.assertEqual(self.world.nodes.begun, [1])

    def test_a_node_that_never_listens_fails_the_start_when_the_time_is_up(self) -> None:
        self.world.engine.converges = False
        done = Deferred.fromCoroutine(start_network(self.testbed, wish(1), 4))
        self.world.clock.pump([0.1] * 39)
        self.assertNoResult(done)
        self.world.clock.pump([0.1] * 3)
        problem = self.failureResultOf(done, NotConverged).value
        self.assertIn("were not one correct ring after 4 s", str(problem))
        self.assertEqual(self.world.engine.alive, set())
        asked = len(self.world.nodes.begun)
        self.assertGreater(asked, 30)
        self.assertLess(asked, 45)


class FailedTests(Case):
    def start(self, timeout: float = 5) -> TestbedError:
        work = self.run_to_end(start_network(self.testbed, wish(), timeout))
        problem: TestbedError = self.failureResultOf(work, TestbedError).value
        return problem

    def test_a_start_that_is_taken_back_says_so(self) -> None:
        self.world.engine.converges = False
        self.start()
        self.assertEqual(self.world.said, ["stopping what was started"])

    def test_a_node_that_left_no_word_is_said_to_have_left_none(self) -> None:
        self.world.engine.dies = {4}
        self.world.engine.words = []
        problem = self.start()
        self.assertEqual(str(problem), "Node 4 ended while it was starting; it has left no word")
        self.assertEqual(problem.details, ())

    def test_the_last_ten_words_of_a_node_that_died_are_shown(self) -> None:
        self.world.engine.dies = {4}
        self.world.engine.words = [f"line {n}" for n in range(30)]
        problem = self.start()
        self.assertEqual(str(problem), "Node 4 ended while it was starting; its last words:")
        self.assertEqual(problem.details, tuple(f"line {n}" for n in range(20, 30)))

    def test_a_log_that_cannot_be_read_does_not_hide_which_node_died(self) -> None:
        self.world.engine.dies = {4}
        self.world.engine.ailments = {4: Condition(Matter.ENDED, "was killed (SIGKILL)")}
        self.world.engine.tail_fails = "the engine is gone"
        problem = self.start()
        self.assertEqual(
            str(problem),
            "Node 4 ended while it was starting: it was killed (SIGKILL); its last words:",
        )
        self.assertEqual(problem.details, ("(its log cannot be read: the engine is gone)",))

    def test_the_first_of_several_nodes_that_died_is_named_at_once(self) -> None:
        self.world.engine.converges = False
        self.world.engine.dies = {2, 4}
        began = self.world.clock.seconds()
        starting = Deferred.fromCoroutine(start_network(self.testbed, wish(), 60))
        self.world.clock.pump([0.1] * 3)
        self.assertIn("Node 2 ended", str(self.failureResultOf(starting, TestbedError).value))
        self.assertLess(self.world.clock.seconds() - began, 0.5)

    def test_a_node_that_dies_later_is_noticed_soon(self) -> None:
        self.world.engine.converges = False
        starting = Deferred.fromCoroutine(start_network(self.testbed, wish(), 60))
        self.world.clock.pump([0.1] * 20)
        self.assertNoResult(starting)
        self.world.engine.alive.remove(5)
        self.world.clock.pump([0.1] * 4)
        self.assertIn("Node 5 ended", str(self.failureResultOf(starting, TestbedError).value))

    def test_a_network_that_stays_up_keeps_its_description_and_is_not_cleaned(self) -> None:
        self.world.up()
        before = network(5, code=code_digest())
        self.testbed.home.save(before)
        self.world.engine.alive.remove(2)
        self.world.engine.dies = {2}
        self.start()
        self.assertEqual(self.testbed.home.load(), before)
        self.assertEqual(self.world.engine.calls[-1], "kill [2]")


class LockTests(Case):
    """Each command that changes a network waits for the one that is at it, and not for ever."""

    def test_no_command_changes_a_network_that_another_command_is_changing(self) -> None:
        self.world.up()

        async def hold() -> None:
            async with locked(self.world.clock, self.testbed.home.lock_path, 0):
                await Deferred()

        holding = Deferred.fromCoroutine(hold())
        for work in (
            start_network(self.testbed, wish(), 3),
            stop_network(self.testbed, purge=True, timeout=3),
            add_node(self.testbed, None, 3),
            remove_node(self.testbed, 3, kill=True, timeout=3),
        ):  # fmt: skip
            done = Deferred.fromCoroutine(work)
            self.world.clock.pump([0.25] * 11)
            self.assertNoResult(done)
            self.world.clock.advance(0.25)
            text = str(self.failureResultOf(done, TestbedError).value)
            self.assertIn("another p2pnet command is changing this network", text)
        self.assertEqual(self.world.engine.calls, [])
        holding.cancel()
        holding.addErrback(lambda _: None)


class StoppedTests(Case):
    def stop(self, *, purge: bool = False) -> Any:
        return self.result(stop_network(self.testbed, purge=purge, timeout=60))

    def test_only_the_nodes_that_were_killed_are_said_to_have_been_killed(self) -> None:
        self.world.up()
        self.world.engine.late = {2, 4}
        done = self.stop()
        self.assertEqual((done.stopped, done.killed), ((1, 2, 3, 4, 5), (2, 4)))

    def test_a_network_that_was_stopped_is_described_as_that(self) -> None:
        self.world.up()
        self.stop()
        self.assertTrue(self.testbed.description().stopped)
        self.world.up()
        self.world.engine.alive = set()
        self.stop()
        self.assertTrue(self.testbed.description().stopped)

    def test_a_stop_tells_whether_there_was_anything_to_stop(self) -> None:
        self.world.up()
        self.assertTrue(self.stop().existed)
        self.assertTrue(self.stop(purge=True).existed)
        self.assertFalse(self.stop(purge=True).existed)

    def test_a_node_that_was_late_to_leave_is_said_to_have_been_killed(self) -> None:
        self.world.up()
        self.world.engine.late = {3}
        self.result(remove_node(self.testbed, 3, kill=False, timeout=60))
        self.assertEqual(self.world.said, ["Node 3 took too long to leave and was killed"])


class PatienceTests(Case):
    def test_who_asks_every_node_may_open_a_file_for_each(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.world.up()
        described = self.testbed.description()
        resource.setrlimit(resource.RLIMIT_NOFILE, (OWN, hard))
        self.testbed.observer(described).close()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE)[0], OWN + described.size)

    def test_nodes_are_started_with_room_for_a_connection_with_each_other(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        inherited: list[int] = []

        class Looking(FakeEngine):
            async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
                inherited.append(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
                await super().start(network, numbers)

        self.world.engine = Looking(self.world.nodes)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
        self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(inherited, [64 + 5])

    def test_a_node_that_says_nothing_is_waited_for_for_two_seconds(self) -> None:
        world: World = self.world
        world.up()
        world.nodes.frozen = {5}
        world.engine.knows = False
        observer = self.testbed.observer(self.testbed.description())
        asking = Deferred.fromCoroutine(observer.statuses([4, 5]))
        world.clock.advance(1.9)
        self.assertNoResult(asking)
        world.clock.advance(0.2)
        self.assertEqual(list(self.successResultOf(asking).silent), [5])
        observer.close()
