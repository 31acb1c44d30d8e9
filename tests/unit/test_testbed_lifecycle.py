"""Starting, stopping, taking away and bringing back, with a fake engine on a still clock."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import (
    ImpossibleNetwork,
    NetworkNotRunning,
    NodeSilent,
    NodeStopped,
    NoSuchNode,
    NotConverged,
    TestbedError,
    TookTooLong,
)
from chordnet.testbed.actions.changes import add_node, remove_node
from chordnet.testbed.actions.lifecycle import Wish, check_size, start_network, stop_network
from chordnet.testbed.base.commands import Finished
from chordnet.testbed.engines.choice import choose_engine
from chordnet.testbed.engines.code import code_digest
from chordnet.testbed.engines.docker_state import Found
from tests.unit.docker_fakes import FakePrograms
from tests.unit.testbed_fakes import World, network


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(Path(self.mktemp()))
        self.world.clock.advance(1000.0)  # as on a machine that did not start just now
        self.testbed = self.world.testbed

    def run_to_end(self, work: Coroutine[Any, Any, Any], seconds: float = 120.0) -> Deferred[Any]:
        done = Deferred.fromCoroutine(work)
        self.world.clock.pump([0.1] * int(seconds * 10))
        return done

    def result(self, work: Coroutine[Any, Any, Any]) -> Any:
        result = self.successResultOf(self.run_to_end(work))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertEqual(self.world.nodes.open, 0)
        return result

    def error(self, work: Coroutine[Any, Any, Any], kind: type[Exception] = TestbedError) -> str:
        failure = self.failureResultOf(self.run_to_end(work), kind)
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
        self.assertEqual(self.world.nodes.open, 0)
        text = str(failure.value)
        self.assertNotIn("\n", text)
        return text


def wish(nodes: int | None = 5, base_port: int | None = 9001) -> Wish:
    return Wish(nodes=nodes, base_port=base_port, engine="local")


class StartTests(Case):
    def test_nodes_that_start_together_find_each_other_by_themselves(self) -> None:
        self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(self.world.nodes.begun, [])

    def test_a_network_of_one_node_is_told_to_create_its_ring(self) -> None:
        self.result(start_network(self.testbed, wish(1), 60))
        self.assertEqual(self.world.nodes.begun, [1])

    def test_all_nodes_start_in_one_go_and_become_a_ring(self) -> None:
        done = self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(self.world.engine.calls, ["prepare", "start [1, 2, 3, 4, 5]"])
        self.assertEqual((done.started, done.members), ((1, 2, 3, 4, 5), 5))
        self.assertEqual(self.world.engine.examined, 0, "nothing ran that could be unwell")
        self.assertEqual(self.testbed.home.load(), network(5, code=code_digest()))

    def test_a_second_start_starts_only_what_is_missing(self) -> None:
        self.world.up()
        self.world.engine.alive -= {2, 4}
        done = self.result(start_network(self.testbed, wish(None, None), 60))
        self.assertEqual(done.started, (2, 4))
        self.assertEqual(self.world.engine.calls[-1], "start [2, 4]")

    def test_a_network_that_lost_all_its_nodes_goes_on_as_what_it_was(self) -> None:
        self.world.up()
        self.world.engine.alive.clear()
        done = self.result(start_network(self.testbed, Wish(engine="auto"), 60))
        self.assertEqual(done.started, (1, 2, 3, 4, 5))
        self.assertEqual(self.testbed.home.load(), network(5, code=code_digest()))

    def test_a_network_that_was_stopped_starts_as_is_wished_anew(self) -> None:
        self.world.up()
        self.result(stop_network(self.testbed, purge=False, timeout=60))
        self.result(start_network(self.testbed, wish(None, 9001), 60))
        started = self.testbed.home.load()
        assert started is not None
        self.assertEqual((started.size, started.stopped), (16, False))

    def test_a_start_with_nothing_missing_changes_nothing(self) -> None:
        self.world.up()
        done = self.result(start_network(self.testbed, wish(), 60))
        self.assertEqual(done.started, ())
        self.assertEqual(self.world.engine.calls, [])

    def test_removed_nodes_come_back_and_are_wanted_again(self) -> None:
        self.world.up()
        self.testbed.home.save(network(5).with_removed(3))
        self.world.engine.alive.remove(3)
        self.result(start_network(self.testbed, wish(None, None), 60))
        self.assertEqual(self.testbed.description().removed, frozenset())

    def test_a_running_network_of_another_shape_is_refused(self) -> None:
        self.world.up()
        text = self.error(start_network(self.testbed, wish(7, 9002), 60))
        self.assertIn("is running with 5 nodes and base port 9001; stop it first", text)
        self.assertNotIn("add-node", text)  # which changes no port
        text = self.error(start_network(self.testbed, wish(7, None), 60))
        self.assertIn("or change its size with add-node and remove-node", text)

    def test_a_network_beyond_the_last_port_is_refused_at_once(self) -> None:
        text = self.error(start_network(self.testbed, wish(16, 65530), 60), ImpossibleNetwork)
        self.assertIn("65545", text)
        self.assertIsNone(self.testbed.home.load())

    def test_a_port_in_use_says_which_node_which_port_and_who(self) -> None:
        self.world.taken[9002] = "python3 (pid 4242)"
        text = self.error(start_network(self.testbed, wish(), 60))
        self.assertIn(
            "Node 2 cannot have port 9002 on 127.0.0.1: it is taken by python3 (pid 42", text
        )
        self.assertEqual(self.world.engine.calls, [])

    def test_a_port_in_use_for_a_node_to_be_added_says_nothing_of_base_port(self) -> None:
        self.world.up()
        self.world.taken[network(6).port(6)] = "another program"
        text = self.error(add_node(self.testbed, None, 60))
        self.assertIn("Node 6 cannot have port", text)
        self.assertIn("stop the network and start it on other ports", text)
        self.assertNotIn("--base-port", text)

    def test_an_image_that_cannot_be_built_leaves_nothing(self) -> None:
        self.world.engine.broken = "the image cannot be built: no base"
        text = self.error(start_network(self.testbed, wish(), 60))
        self.assertIn("no base", text)
        self.assertIsNone(self.testbed.home.load())

    def test_a_node_that_dies_takes_the_start_back(self) -> None:
        self.world.engine.dies = {4}
        failure = self.failureResultOf(
            self.run_to_end(start_network(self.testbed, wish(), 60)), TestbedError
        )
        self.assertIn("Node 4", str(failure.value))
        self.assertEqual(failure.value.details, ("last words of 4",))
        self.assertEqual(self.world.engine.alive, set())
        # for its logs, and to be purged
        described = network(5, code=code_digest(), stopped=True)
        self.assertEqual(self.testbed.home.load(), described)

    def test_no_ring_in_time_takes_the_start_back(self) -> None:
        self.world.engine.converges = False
        self.error(start_network(self.testbed, wish(), 5), NotConverged)
        self.assertEqual(self.world.engine.alive, set())
        self.assertEqual(self.world.engine.calls[-1], "clean purge=False")

    def test_an_interruption_takes_the_start_back(self) -> None:
        self.world.engine.converges = False
        starting = Deferred.fromCoroutine(start_network(self.testbed, wish(), 60))
        self.world.clock.pump([0.1] * 5)
        starting.cancel()
        self.failureResultOf(starting, CancelledError)
        self.assertEqual(self.world.engine.alive, set())
        self.assertEqual(self.world.engine.calls[-1], "clean purge=False")
        self.assertEqual(self.world.clock.getDelayedCalls(), [])

    def test_taking_back_spares_the_nodes_that_ran_before(self) -> None:
        self.world.up()
        self.testbed.home.save(network(5).with_removed(2))
        self.world.engine.alive.remove(2)
        self.world.engine.dies = {2}
        self.error(start_network(self.testbed, wish(None, None), 60))
        self.assertEqual(self.world.engine.alive, {1, 3, 4, 5})
        self.assertEqual(self.testbed.description().removed, frozenset({2}))


class RecordTests(Case):
    """Nodes that record do so until the network is stopped."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(self.mktemp())

    def wish(self, **changes: Any) -> Wish:
        return attrs.evolve(wish(), record=self.directory, **changes)

    def test_the_directory_of_recordings_is_made_for_nobody_else_to_read(self) -> None:
        done = self.result(start_network(self.testbed, self.wish(), 60))
        self.assertEqual(done.network.record, str(self.directory.absolute()))
        self.assertEqual(self.directory.stat().st_mode & 0o777, 0o700)

    def test_nodes_that_come_later_record(self) -> None:
        self.result(start_network(self.testbed, self.wish(), 60))
        self.world.engine.alive -= {2}
        again = self.result(start_network(self.testbed, wish(None, None), 60))
        number, added = self.result(add_node(self.testbed, None, 60))
        for network_ in (again.network, added.network):
            self.assertEqual(network_.record, str(self.directory.absolute()))
        self.assertEqual(
            added.network.recording(number), str(self.directory.absolute() / "node-06.rec")
        )

    def test_the_next_start_records_only_if_it_is_told_to(self) -> None:
        self.result(start_network(self.testbed, self.wish(), 60))
        self.result(stop_network(self.testbed, purge=False, timeout=60))
        done = self.result(start_network(self.testbed, wish(), 60))
        self.assertIsNone(done.network.record)

    def test_a_network_that_runs_does_not_begin_to_record(self) -> None:
        self.world.up()
        text = self.error(start_network(self.testbed, self.wish(), 60))
        self.assertIn("is running with no recording; stop it first", text)
        self.assertFalse(self.directory.exists())

    def test_another_directory_is_refused_with_the_name_of_the_first(self) -> None:
        self.result(start_network(self.testbed, self.wish(), 60))
        other = attrs.evolve(self.wish(), record=Path("elsewhere"))
        text = self.error(start_network(self.testbed, other, 60))
        self.assertIn(f"recordings in {self.directory.absolute()}", text)

    def test_containers_cannot_record(self) -> None:
        text = self.error(
            start_network(self.testbed, self.wish(engine="docker"), 60), ImpossibleNetwork
        )
        self.assertIn("use --engine local", text)

    def test_an_engine_that_is_left_to_choose_is_the_one_that_can_record(self) -> None:
        done = self.result(start_network(self.testbed, self.wish(engine="auto"), 60))
        self.assertEqual(done.network.engine, "local")

    def test_a_directory_for_recordings_that_cannot_be_made_is_named(self) -> None:
        self.directory.write_text("a file")
        text = self.error(start_network(self.testbed, self.wish(), 60))
        self.assertIn(f"cannot make {self.directory.absolute()}: ", text)
        self.assertEqual(self.world.engine.calls, [])


class StopTests(Case):
    def test_every_node_stops_and_the_description_stays(self) -> None:
        self.world.up()
        done = self.result(stop_network(self.testbed, purge=False, timeout=60))
        self.assertEqual(done.stopped, (1, 2, 3, 4, 5))
        self.assertEqual(self.world.engine.calls, ["stop [1, 2, 3, 4, 5]", "clean purge=False"])
        self.assertIsNotNone(self.testbed.home.load())

    def test_a_network_that_is_described_nowhere_can_be_stopped(self) -> None:
        stop = ["stop [1, 2, 3, 4, 5]", "clean purge=False"]
        for spoil, containers, calls in (
            (lambda path: path.write_text("broken"), False, stop),
            (lambda path: path.unlink(), False, stop),
            (lambda path: path.unlink(), True, [*stop, "stop []", "clean purge=False"]),
        ):
            self.setUp()
            self.world.up()
            home = self.testbed.home
            spoil(home.description_path)
            if containers:
                home.compose_path.touch()
            done = self.result(stop_network(self.testbed, purge=False, timeout=60))
            self.assertEqual(done.stopped, (1, 2, 3, 4, 5))
            self.assertEqual(self.world.engine.calls, calls)
            self.assertTrue(done.existed)
            self.assertEqual(self.world.kinds, ["local", "docker"][: 1 + containers])
            self.assertIsNone(home.load())

    def test_a_description_that_cannot_be_read_is_put_aside(self) -> None:
        self.world.up()
        path = self.testbed.home.description_path
        path.write_text("broken")
        self.result(stop_network(self.testbed, purge=False, timeout=60))
        aside = path.with_name("network.json.damaged")
        self.assertEqual(aside.read_text(), "broken")
        (said,) = self.world.said
        self.assertTrue(said.startswith(f"cannot read {path}: "), said)
        self.assertTrue(said.endswith("; it is now network.json.damaged"), said)

    def test_a_description_that_cannot_be_read_is_purged_like_any_other(self) -> None:
        self.world.up()
        self.testbed.home.description_path.write_text("broken")
        done = self.result(stop_network(self.testbed, purge=True, timeout=60))
        self.assertEqual((done.stopped, self.world.said), ((1, 2, 3, 4, 5), []))
        self.assertFalse(self.world.root.exists())

    def test_stopping_what_never_was_is_fine(self) -> None:
        self.assertEqual(
            self.result(stop_network(self.testbed, purge=True, timeout=60)).stopped, ()
        )
        self.assertFalse(self.world.root.exists())

    def test_data_in_docker_alone_is_something_of_the_network(self) -> None:
        async def look(_reactor: object, _home: object) -> Found:
            return Found(project="x", volumes=1, home=str(self.testbed.home.root.resolve()))

        self.testbed.look = look
        done = self.result(stop_network(self.testbed, purge=True, timeout=60))
        self.assertEqual((done.stopped, done.existed), ((), True))

    def test_what_a_refused_start_left_behind_is_no_data(self) -> None:
        directory = self.testbed.home.directory
        directory.mkdir(parents=True)
        self.testbed.home.lock_path.touch()
        done = self.result(stop_network(self.testbed, purge=True, timeout=60))
        self.assertFalse(done.existed)
        self.assertFalse(directory.exists())

    def test_purging_removes_everything(self) -> None:
        self.world.up()
        self.result(stop_network(self.testbed, purge=True, timeout=60))
        self.assertFalse(self.world.root.exists())


class RemoveTests(Case):
    def test_a_node_removed_in_order_is_stopped_and_the_others_are_a_ring(self) -> None:
        self.world.up()
        done = self.result(remove_node(self.testbed, 3, kill=False, timeout=60))
        self.assertEqual((done.node, done.members), (3, 4))
        self.assertLess(abs(done.seconds), 60.0)
        self.assertEqual(self.world.engine.calls, ["stop [3]"])
        self.assertEqual(self.testbed.description().removed, frozenset({3}))

    def test_a_node_that_is_killed_is_given_no_chance_to_leave(self) -> None:
        self.world.up()
        self.result(remove_node(self.testbed, 3, kill=True, timeout=60))
        self.assertEqual(self.world.engine.calls, ["kill [3]"])

    def test_the_last_node_can_be_removed(self) -> None:
        self.world.up()
        self.world.engine.alive = {3}
        done = self.result(remove_node(self.testbed, 3, kill=False, timeout=60))
        self.assertEqual((done.members, done.seconds), (0, 0.0))

    def test_a_node_that_starts_while_no_other_runs_is_told_to_create_a_ring(self) -> None:
        self.world.up()
        self.world.engine.alive = set()
        self.result(add_node(self.testbed, 3, 60))
        self.assertEqual(self.world.nodes.begun, [3])

    def test_a_node_that_starts_beside_others_is_not_told_to_create_a_ring(self) -> None:
        self.world.up()
        self.world.engine.alive = {1, 2}
        self.result(add_node(self.testbed, 3, 60))
        self.assertEqual(self.world.nodes.begun, [])

    def test_a_stopped_node_cannot_be_removed(self) -> None:
        self.world.up()
        self.world.engine.alive.remove(3)
        text = self.error(remove_node(self.testbed, 3, kill=False, timeout=60), NodeStopped)
        self.assertIn("p2pnet add-node 3", text)

    def test_what_is_no_node_is_told_the_range(self) -> None:
        self.world.up()
        text = self.error(remove_node(self.testbed, 6, kill=False, timeout=60), NoSuchNode)
        self.assertEqual(text, "NODE must be a number from 1 to 5, not 6")

    def test_a_network_that_does_not_run_says_how_to_start_it(self) -> None:
        self.testbed.home.save(network(5))
        text = self.error(remove_node(self.testbed, 3, kill=False, timeout=60), NetworkNotRunning)
        self.assertIn("p2pnet start-network", text)


class AddTests(Case):
    def test_a_removed_node_comes_back(self) -> None:
        self.world.up()
        self.testbed.home.save(network(5).with_removed(3))
        self.world.engine.alive.remove(3)
        number, done = self.result(add_node(self.testbed, 3, 60))
        self.assertEqual((number, done.members), (3, 5))
        self.assertEqual(self.testbed.description().removed, frozenset())

    def test_without_a_number_the_next_node_is_added(self) -> None:
        self.world.up()
        number, done = self.result(add_node(self.testbed, None, 60))
        self.assertEqual((number, done.members, self.testbed.description().size), (6, 6, 6))
        self.assertEqual(self.world.engine.calls, ["prepare", "start [6]"])
        self.assertLess(abs(done.seconds), 60.0)

    def test_to_a_network_of_which_nothing_runs_no_next_node_is_added(self) -> None:
        self.world.up()
        self.world.engine.alive = set()
        self.error(add_node(self.testbed, None, 60), NetworkNotRunning)
        self.result(stop_network(self.testbed, purge=False, timeout=60))
        self.error(add_node(self.testbed, 3, 60), NetworkNotRunning)
        self.assertEqual(self.world.engine.calls, ["stop []", "clean purge=False"])

    def test_where_there_is_no_network_nothing_is_left_behind(self) -> None:
        for work in (
            add_node(self.testbed, None, 60), add_node(self.testbed, 3, 60),
            remove_node(self.testbed, 3, kill=False, timeout=60),
        ):  # fmt: skip
            self.error(work, NetworkNotRunning)
            self.assertFalse(self.testbed.home.directory.exists())

    def test_an_addition_that_makes_a_network_too_large_is_not_begun(self) -> None:
        self.world.up()
        self.testbed.home.save(network(256, base_port=65535 - 255))
        text = self.error(add_node(self.testbed, None, 60), ImpossibleNetwork)
        self.assertEqual(text, "a network here has at most 256 nodes")
        self.testbed.home.save(network(5, base_port=65535 - 4))
        text = self.error(add_node(self.testbed, None, 60), ImpossibleNetwork)
        self.assertEqual(
            text, "6 nodes from port 65531 would need port 65536, and 65535 is the last"
        )
        self.assertEqual(self.world.engine.calls, [])

    def test_the_largest_network_up_to_the_last_port_is_possible(self) -> None:
        check_size(network(256, base_port=65535 - 255))

    def test_nobody_waits_for_a_node_that_has_failed(self) -> None:
        world = self.world
        world.up()
        self.result(remove_node(self.testbed, 3, kill=False, timeout=60))
        world.nodes.failed = {5}
        world.engine.ring()
        _, done = self.result(add_node(self.testbed, 3, 60))
        self.assertEqual((done.started, done.members), ((3,), 4))
        line, store = world.said
        self.assertEqual(
            line, "Node 5 left the ring: its message log cannot be used; see: p2pnet logs 5"
        )
        self.assertIn("the store is not in step yet: slot 0: Node 5 is missing", store)
        gone = self.result(remove_node(self.testbed, 1, kill=True, timeout=60))
        self.assertEqual(gone.members, 3)

    def test_a_node_that_runs_is_not_added_again(self) -> None:
        self.world.up()
        text = self.error(add_node(self.testbed, 3, 60), NodeStopped)
        self.assertEqual(text, "Node 3 is running already")

    def test_a_failed_addition_is_taken_back(self) -> None:
        self.world.up()
        self.world.engine.dies = {6}
        self.error(add_node(self.testbed, None, 60))
        self.assertEqual(self.testbed.description().size, 5)
        self.assertEqual(self.world.engine.alive, {1, 2, 3, 4, 5})


class AskTests(Case):
    def ask(self, number: int, timeout: float = 5.0) -> Coroutine[Any, Any, Any]:
        return self.testbed.ask(number, lambda client: client.send_message("apple"), timeout)

    def test_a_node_answers(self) -> None:
        self.world.up()
        self.assertEqual(self.result(self.ask(3)).body, "apple")

    def test_a_frozen_node_is_named_after_the_time_limit(self) -> None:
        self.world.up()
        self.world.nodes.frozen = {3}
        text = self.error(self.ask(3), NodeSilent)
        self.assertIn("Node 3 is frozen (by the test); let it go on with: p2pnet chaos", text)

    def test_a_node_that_is_silent_for_no_known_cause_is_named_after_the_time_limit(self) -> None:
        self.world.up()
        self.world.nodes.frozen = {3}
        self.world.engine.knows = False
        text = self.error(self.ask(3), NodeSilent)
        self.assertIn("Node 3 did not answer within 5 s; see: p2pnet logs 3", text)

    def test_a_stopped_node_is_told_from_a_stopped_network(self) -> None:
        self.world.up()
        self.world.engine.alive = {1}
        self.error(self.ask(3), NodeStopped)
        self.world.engine.alive = set()
        self.error(self.ask(3), NetworkNotRunning)

    def test_with_containers_the_engine_is_asked_only_after_a_failure(self) -> None:
        self.world.up()
        self.testbed.home.save(network(5, engine="docker"))
        self.world.nodes.statuses.pop(3)
        self.error(self.ask(3), NodeSilent)
        self.world.engine.alive.remove(3)
        self.error(self.ask(3), NodeStopped)


class ChoiceTests(Case):
    def choose(self, wanted: str) -> Deferred[Any]:
        return Deferred.fromCoroutine(choose_engine(None, wanted, lambda _: None))

    def test_local_is_local(self) -> None:
        self.assertEqual(self.successResultOf(self.choose("local")).kind, "local")

    def test_without_docker_auto_says_why_it_is_local(self) -> None:
        choice = self.successResultOf(self.choose("auto"))
        self.assertEqual((choice.kind, choice.why), ("local", "Docker is not installed"))

    def test_docker_wanted_and_missing_is_an_error_that_helps(self) -> None:
        failure = self.failureResultOf(self.choose("docker"), TestbedError)
        self.assertEqual(str(failure.value), "Docker is not installed; use --engine local")

    def choose_docker(self, **ends: Any) -> tuple[Deferred[Any], FakePrograms]:
        """Choose where Docker answers as told, and as usual after that."""
        programs = FakePrograms(ends=ends)
        clock = Clock()
        done = Deferred.fromCoroutine(choose_engine(clock, "docker", lambda name: name, programs))
        clock.pump([1.0] * 3)
        return done, programs

    def test_docker_that_cannot_answer_once_is_asked_again(self) -> None:
        done, programs = self.choose_docker(
            version=[Finished(1, "", "Error response from daemon: context deadline exceeded")]
        )
        self.assertEqual(self.successResultOf(done).kind, "docker")
        self.assertEqual(programs.times("version"), 3)  # the engine twice, Compose once

    def test_docker_that_cannot_answer_twice_is_an_error_that_says_what_it_said(self) -> None:
        busy = Finished(1, "", "Error response from daemon: no space left")
        done, _ = self.choose_docker(**{"{{.Server.Version}}": [busy, busy]})
        text = str(self.failureResultOf(done, TestbedError).value)
        self.assertIn("no Docker engine answers (Error response from daemon: no space left)", text)

    def test_docker_that_is_not_there_is_asked_once(self) -> None:
        down = Finished(1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock")
        done, programs = self.choose_docker(**{"{{.Server.Version}}": [down]})
        self.failureResultOf(done, TestbedError)
        self.assertEqual(programs.times("{{.Server.Version}}"), 1)

    def test_docker_that_takes_too_long_or_cannot_be_run_is_none(self) -> None:
        for problem in (
            TookTooLong("docker took longer than 10 s"),
            TestbedError("docker cannot be run: Permission denied"),
        ):
            programs = FakePrograms(ends={"version": [problem]})
            choice = choose_engine(Clock(), "auto", lambda name: name, programs)
            found = self.successResultOf(Deferred.fromCoroutine(choice))
            self.assertEqual((found.kind, found.why), ("local", str(problem)))
