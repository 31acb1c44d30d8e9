"""How the local engine starts its nodes, and what it says of their logs."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.faults import Line
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.choice import make_engine
from chordnet.testbed.engines.local import LocalEngine, node_environment
from chordnet.testbed.engines.processes import identify
from tests.unit.testbed_fakes import network


class LocalCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.home = NetworkHome(Path(self.mktemp()).resolve(), "default")
        self.engine = LocalEngine(self.clock, self.home)
        self.described = network(3, record=None)

    def result(self, work: Any) -> Any:
        done = Deferred.fromCoroutine(work)
        for _ in range(6000):
            if done.called:
                break
            time.sleep(0.005)  # processes need real time
            self.clock.advance(0.02)
        return self.successResultOf(done)

    def log(self, number: int, text: str) -> Path:
        path = self.home.node_directory(number) / "log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


class BirthTests(LocalCase):
    def words(self, number: int, **settings: Any) -> list[str]:
        birth = self.engine._birth(network(3, **settings), number)
        self.assertEqual(birth.directory, str(self.home.node_directory(number)))
        return birth.words

    def test_a_node_is_told_its_place_its_peers_and_where_its_state_is(self) -> None:
        described = network(3)
        peers = [word for n in described.peers(2) for word in ("--peer", described.address(n))]
        self.assertTrue(peers)
        self.assertEqual(
            self.words(2),
            ["--nodaemon", "--pidfile=", "chordnode", "--network", "default", "--name", "Node 2",
             "--interface", "127.0.0.1", "--port", "9002",
             "--cookie", str(self.home.cookie_path), "--state-dir",
             str(self.home.node_directory(2) / "state"), *peers,
             "--founders", "Node 1,Node 2,Node 3"],
        )  # fmt: skip

    def test_a_node_that_is_recorded_is_told_where_and_how_much(self) -> None:
        described = network(3, record="/somewhere")
        self.assertEqual(
            self.words(2, record="/somewhere")[-4:],
            ["--record", described.recording(2), "--record-bytes", str(64 * 1024 * 1024)],
        )

    def test_a_pid_file_of_an_earlier_life_is_gone_and_a_long_log_put_aside(self) -> None:
        limit = 4 * 1024 * 1024
        for size, aside in ((limit, False), (limit + 1, True)):
            path = self.log(1, "x" * size)
            (path.parent / "pid").write_text("1 x")
            self.words(1)
            self.assertFalse((path.parent / "pid").exists())
            self.assertEqual(path.with_name("log.1").exists(), aside)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_a_directory_that_cannot_be_made_is_one_line(self) -> None:
        nodes = self.home.directory / "nodes"
        nodes.parent.mkdir(parents=True)
        nodes.write_text("in the way")
        error = self.assertRaises(TestbedError, self.engine._birth, self.described, 1)
        self.assertRegex(str(error), r"^Node 1 could not be started: .*Not a directory")
        self.assertNotIn("\n", str(error))


class StartTests(LocalCase):
    def test_real_nodes_start_and_stop_and_leave_their_logs(self) -> None:
        self.home.directory.mkdir(parents=True)
        (self.home.directory / "nursery.log").write_text("the words of an earlier start\n")
        described = network(2, base_port=1)  # no user's process may listen there
        if os.geteuid() == 0:
            described = network(2, base_port=65000)
        self.result(self.engine.start(described, [1, 2]))
        for number in (1, 2):
            self.assertTrue((self.home.node_directory(number) / "pid").exists())
        self.result(self.engine.kill([1, 2]))
        self.assertEqual(self.result(self.engine.running()), frozenset())
        self.assertFalse((self.home.node_directory(1) / "pid").exists())
        self.assertEqual((self.home.directory / "nursery.log").read_text(), "")

    def test_what_kept_the_nursery_from_a_start_is_one_line(self) -> None:
        self.home.directory.mkdir(parents=True)
        directory = self.home.node_directory(1)

        class Breaks(LocalEngine):
            def _birth(self, described: Any, number: int) -> Any:
                birth = super()._birth(described, number)
                (directory / "pid").mkdir()  # the nursery cannot write it
                return birth

        done = Deferred.fromCoroutine(Breaks(self.clock, self.home).start(self.described, [1]))
        for _ in range(6000):
            if done.called:
                break
            time.sleep(0.005)
            self.clock.advance(0.02)
        problem = self.failureResultOf(done, TestbedError).value
        self.assertIn("the nodes could not be started: IsADirectoryError", str(problem))

    def test_a_start_that_was_interrupted_starts_no_node_once_its_nodes_are_ended(self) -> None:
        self.home.directory.mkdir(parents=True)
        for end in (self.engine.stop, self.engine.kill):
            starting = Deferred.fromCoroutine(self.engine.start(self.described, [1]))
            assert self.engine._nursery is not None
            pid = self.engine._nursery.pid
            self.assertEqual(os.getsid(pid), pid, "a Ctrl-C at the terminal does not reach it")
            starting.cancel()
            self.failureResultOf(starting, CancelledError)
            self.result(end([1]))
            nursery = self.engine._nursery
            assert nursery is not None
            self.assertEqual(nursery.returncode, -signal.SIGTERM)

    def test_a_place_where_the_nursery_cannot_write_is_named(self) -> None:
        path = self.home.directory / "nursery.log"
        path.mkdir(parents=True)
        done = Deferred.fromCoroutine(self.engine.start(self.described, [1]))
        problem = self.failureResultOf(done, TestbedError).value
        self.assertIn(f"cannot write {path}: Is a directory", str(problem))


class KnownTests(LocalCase):
    def test_only_numbers_are_nodes(self) -> None:
        self.assertEqual(self.result(self.engine.running()), frozenset())
        for name in ("01", "02", "x", "1.old"):
            (self.home.directory / "nodes" / name).mkdir(parents=True)
        me = identify(os.getpid())
        (self.home.node_directory(2) / "pid").write_text(f"{me}\n")
        (self.home.node_directory(1) / "pid").write_bytes(b"\xff")
        self.assertEqual(self.result(self.engine.running()), {2})
        self.assertEqual(self.result(self.engine.conditions()), {})

    def test_cleaning_removes_stale_pid_files_and_a_purge_everything(self) -> None:
        path = self.log(1, "x")
        me = identify(os.getpid())
        self.log(2, "x")
        (path.parent / "pid").write_text("4000000 1@x")
        alive = self.home.node_directory(2) / "pid"
        alive.write_text(f"{me}\n")
        self.result(self.engine.clean(purge=False))
        self.assertFalse((path.parent / "pid").exists())
        self.assertTrue(path.exists())
        self.assertTrue(alive.exists())
        self.result(self.engine.clean(purge=True))
        self.assertFalse((self.home.directory / "nodes").exists())

    def test_one_loopback_interface_cannot_be_shaped(self) -> None:
        self.result(self.engine.shape({1: Line(), 2: Line()}))
        failed = Deferred.fromCoroutine(self.engine.shape({1: Line(), 2: Line(loss_percent=1.0)}))
        problem = self.failureResultOf(failed, TestbedError).value
        self.assertIn("start-network --engine docker", str(problem))
        self.result(self.engine.connect([1]))


class LogTests(LocalCase):
    def test_the_last_lines_of_a_node_started_here_are_those_since_then(self) -> None:
        path = self.log(1, "before\n")
        self.assertEqual(self.result(self.engine.tail(1, 5)), ["before"])
        self.engine._birth(self.described, 1)
        with path.open("a") as file:
            file.write("one\ntwo\n")
        self.assertEqual(self.result(self.engine.tail(1, 5)), ["one", "two"])
        self.assertEqual(self.result(self.engine.tail(1, 1)), ["two"])

    def test_following_a_node_that_has_ended_shows_what_it_wrote(self) -> None:
        self.log(1, "one\ntwo\n")
        written: list[str] = []
        self.result(self.engine.follow(1, 1, written.append))
        self.assertEqual(written, ["two"])


class EnvironmentTests(SynchronousTestCase):
    def test_nodes_have_our_environment_without_what_would_change_their_settings(self) -> None:
        before = dict(os.environ)
        os.environ |= {"CHORDNODE_PORT": "1", "CHORDNET_HOME": "/x", "KEPT": "yes"}
        try:
            found = node_environment()
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.assertEqual(found["KEPT"], "yes")
        self.assertEqual(found["PYTHONSAFEPATH"], "1")
        self.assertFalse([name for name in found if name.startswith(("CHORDNODE_", "CHORDNET_"))])


class ChoiceTests(SynchronousTestCase):
    def test_an_engine_is_made_by_its_name(self) -> None:
        home = NetworkHome(Path(self.mktemp()), "default")
        for kind in ("local", "docker"):
            self.assertEqual(make_engine(kind, Clock(), home).kind, kind)
