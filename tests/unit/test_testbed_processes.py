"""Processes, ports and log files: the parts of the local engine that touch the machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.testbed.base.logs import follow_file, last_lines, open_log, rotate
from chordnet.testbed.base.ports import docker_publisher, free_range, holder, is_free, taken_by
from chordnet.testbed.engines.processes import (
    ProcessIdentity,
    _from_ps,
    _send_plainly,
    identify,
    is_running,
    is_stopped,
    send_signal,
)


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        self.addCleanup(self._end)

    def _end(self) -> None:
        self.child.kill()
        self.child.communicate()

    def test_the_same_process_is_known_again(self) -> None:
        process = identify(self.child.pid)
        assert process is not None
        self.assertTrue(is_running(process))
        self.assertEqual(ProcessIdentity.parse(str(process)), process)

    def test_a_recycled_number_is_never_signalled(self) -> None:
        """The pid file names a process that ended; its number now belongs to somebody else."""
        impostor = ProcessIdentity(self.child.pid, "1@before")
        self.assertFalse(is_running(impostor))
        self.assertFalse(send_signal(impostor, signal.SIGKILL))
        self.assertIsNone(self.child.poll())

    def test_an_ended_process_is_not_running_even_before_it_is_collected(self) -> None:
        process = identify(self.child.pid)
        assert process is not None
        self.assertTrue(send_signal(process, signal.SIGKILL))
        os.waitid(os.P_PID, self.child.pid, os.WEXITED | os.WNOWAIT)  # ended, still a zombie
        self.assertFalse(is_running(process))
        self.assertFalse(send_signal(process, signal.SIGTERM))
        self.child.wait()
        self.assertIsNone(identify(self.child.pid))

    def test_a_process_is_signalled_by_its_number_without_process_descriptors(self) -> None:
        process = identify(self.child.pid)
        assert process is not None
        self.assertFalse(_send_plainly(ProcessIdentity(self.child.pid, "1@before"), signal.SIGKILL))
        self.assertIsNone(self.child.poll())
        self.assertTrue(_send_plainly(process, signal.SIGKILL))
        self.assertEqual(self.child.wait(), -signal.SIGKILL)
        self.assertIs(_send_plainly(process, signal.SIGKILL), False)

    def test_where_a_descriptor_cannot_be_had_the_number_is_used(self) -> None:
        """A thread that is not its process's first has a number of which no descriptor is given."""
        program = (
            "import threading, sys\n"
            "def run(): print(threading.get_native_id(), flush=True); sys.stdin.read()\n"
            "threading.Thread(target=run).start()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            thread = identify(int(child.stdout.readline()))
            assert thread is not None
            self.assertTrue(send_signal(thread, signal.SIGKILL))
            self.assertEqual(child.wait(), -signal.SIGKILL)

    def test_ps_tells_where_proc_is_missing(self) -> None:
        first, second = _from_ps(self.child.pid), _from_ps(self.child.pid)
        self.assertIsNotNone(first)
        self.assertEqual(first, second)

    def test_ps_tells_nothing_of_a_process_that_has_ended(self) -> None:
        pid = self.child.pid
        self.child.kill()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # ended, still a zombie
        self.assertIsNone(_from_ps(pid))
        self.child.wait()
        self.assertIsNone(_from_ps(pid))

    def test_only_a_process_that_was_stopped_stands_still(self) -> None:
        process = identify(self.child.pid)
        assert process is not None
        self.assertFalse(is_stopped(process))
        self.assertTrue(send_signal(process, signal.SIGSTOP))
        os.waitid(os.P_PID, self.child.pid, os.WSTOPPED | os.WNOWAIT)
        self.assertTrue(is_stopped(process))
        self.assertFalse(is_stopped(ProcessIdentity(self.child.pid, "1@before")))

    def test_any_process_but_the_first_may_be_a_node(self) -> None:
        self.assertEqual(ProcessIdentity.parse("2 x y\n"), ProcessIdentity(2, "x y"))

    def test_a_pid_file_of_nonsense_names_no_process(self) -> None:
        for text in ("", "x", "12", "0 1", "1 x", "-5 x", "١٢ x"):
            self.assertIsNone(ProcessIdentity.parse(text), text)


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.server.close)
        self.port = self.server.getsockname()[1]

    def test_a_holder_that_names_itself_is_named_by_its_first_word(self) -> None:
        program = (
            "import socket, setproctitle; s = socket.create_server(('127.0.0.1', 0)); "
            "setproctitle.setproctitle('twistd --nodaemon chordnode --state-dir /a/b --port 1'); "
            "print(s.getsockname()[1], flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            self.assertEqual(holder(int(child.stdout.readline())), f"twistd (pid {child.pid})")
            child.communicate(b"\n")

    def listening(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a program that listens and prints its port."""
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child

    def port_of(self, child: subprocess.Popen[bytes]) -> int:
        assert child.stdout is not None
        return int(child.stdout.readline())

    def test_a_script_is_named_after_its_file_and_a_program_without_options(self) -> None:
        python = Path(sys.executable).name
        script = Path(self.mktemp()).absolute()
        script.write_text(SERVER)
        for words, name in (
            ((sys.executable, str(script), "more"), f"{python} {script.name}"),
            ((sys.executable, "-c", SERVER), python),
        ):
            child = self.listening(*words)
            self.assertEqual(holder(self.port_of(child)), f"{name} (pid {child.pid})")

    def test_a_holder_that_listens_on_ipv6_alone_is_found(self) -> None:
        program = SERVER.replace("('127.0.0.1', 0)", "('::1', 0), family=socket.AF_INET6")
        child = self.listening(sys.executable, "-c", program)
        self.assertIn(f"(pid {child.pid})", holder(self.port_of(child)))

    def test_a_port_that_nobody_listens_on_is_held_by_nobody_known(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connected:
            self.assertEqual(holder(connected.getsockname()[1]), "another program")

    def test_who_has_a_port_is_said_only_where_it_is_taken(self) -> None:
        self.assertIn(f"(pid {os.getpid()})", taken_by(self.port) or "")
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))  # and listens to nobody
            port = bound.getsockname()[1]
        self.assertIn(None, [taken_by(each) for each in (port, port + 1, port + 2)])

    def publisher(self, program: str) -> str:
        """Return what is said where this is the program ``docker``."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        docker = directory / "docker"
        docker.write_text(f"#!/bin/sh\n{program}\n")
        docker.chmod(0o755)
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"])
        os.environ["PATH"] = f"{directory}:{os.environ['PATH']}"
        return docker_publisher(7001)

    def test_a_container_is_named_with_its_compose_project_if_it_has_one(self) -> None:
        of_lab = "the Docker container lab-node-1 of the Compose project lab"
        for program, said in (
            ("echo lab-node-1 lab; echo other", of_lab),
            ("echo redis", "the Docker container redis"),
            ("echo; exit 1", ""),
            ("exit 1", ""),
            ('echo "$3"', "the Docker container publish=7001"),
        ):  # fmt: skip
            self.assertEqual(self.publisher(program), said)

    def test_what_a_container_publishes_is_named_after_the_container(self) -> None:
        program = (
            "import socket, setproctitle; s = socket.create_server(('127.0.0.1', 0)); "
            "setproctitle.setproctitle('/usr/bin/docker-proxy -proto tcp -host-port 7001'); "
            "print(s.getsockname()[1], flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            named = holder(port, lambda asked: f"the Docker container of {asked}")
            unnamed = holder(port, lambda _port: "")
            child.communicate(b"\n")
        self.assertEqual(named, f"the Docker container of {port}")
        self.assertEqual(unnamed, f"docker-proxy (pid {child.pid})")

    def test_a_port_in_use_is_not_free_and_its_holder_is_named(self) -> None:
        self.assertFalse(is_free(self.port))
        if Path("/proc/net/tcp").exists():
            self.assertIn(f"(pid {os.getpid()})", holder(self.port))

    def test_a_closed_port_is_free_again(self) -> None:
        self.server.close()
        closed = [self.port]
        for _ in range(4):  # another program may take one of them meanwhile
            with socket.create_server(("127.0.0.1", 0)) as server:
                closed.append(server.getsockname()[1])
        self.assertTrue(any(is_free(port) for port in closed))

    def test_a_range_avoids_what_is_taken(self) -> None:
        found = free_range(self.port, 1)
        self.assertNotEqual(found, self.port)

    def test_a_range_ends_at_the_last_port_and_begins_a_multiple_of_100_higher(self) -> None:
        free = {7001, 7002, 7101, 7102, 7103, 65535}.__contains__
        self.assertEqual(free_range(7001, 2, free), 7001)
        self.assertEqual(free_range(7001, 3, free), 7101)
        self.assertEqual(free_range(65435, 1, free), 65535)
        self.assertIsNone(free_range(65435, 2, lambda port: port > 65500))
        self.assertEqual(free_range(65526, 10, lambda _port: True), 65526)
        self.assertIsNone(free_range(65527, 10, lambda _port: True))

    def test_the_200_ranges_after_the_first_are_tried_and_no_more(self) -> None:
        self.assertEqual(free_range(7001, 1, lambda port: port >= 26901), 26901)
        self.assertIsNone(free_range(7001, 1, lambda port: port >= 26902))


SERVER = """
import socket
s = socket.create_server(('127.0.0.1', 0))
print(s.getsockname()[1], flush=True)
input()
"""


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("one\ntwo\nthree\n")

    def test_the_last_lines_of_a_log_are_those_asked_for(self) -> None:
        self.assertEqual(last_lines(self.path, 2), ["two", "three"])
        self.assertEqual(last_lines(self.path, 0), [])
        self.assertEqual(last_lines(self.path, 9, start=4), ["two", "three"])
        self.assertEqual(last_lines(Path("/nowhere/at/all"), 2), [])

    def test_no_more_than_256_kib_are_read_to_find_the_last_lines(self) -> None:
        self.path.write_bytes(b"first\n" + b"x" * (256 * 1024 - 4) + b"\nyy\n")
        self.assertEqual([len(line) for line in last_lines(self.path, 5)], [256 * 1024 - 4, 2])
        self.path.write_bytes(b"first\n" + b"x" * (256 * 1024) + b"\nyy\n")
        self.assertEqual([len(line) for line in last_lines(self.path, 5)], [256 * 1024 - 4, 2])

    def test_what_is_no_text_is_shown_as_far_as_it_can_be(self) -> None:
        self.path.write_bytes(b"a\xff\n")
        self.assertEqual(last_lines(self.path, 1), ["a\N{REPLACEMENT CHARACTER}"])

    def test_a_log_that_is_opened_anew_is_empty_and_another_goes_on(self) -> None:
        for anew, text in ((False, "one\ntwo\nthree\nmore\n"), (True, "more\n")):
            self.path.chmod(0o644)
            with open_log(self.path, anew=anew) as file:
                file.write(b"more\n")
            self.assertEqual(self.path.read_text(), text)
            self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_a_log_that_is_followed_is_looked_at_ten_times_a_second(self) -> None:
        clock, seen = Clock(), list[str]()
        following = Deferred.fromCoroutine(
            follow_file(clock, self.path, 0, seen.append, lambda: True)
        )
        with self.path.open("a") as file:
            file.write("four\n")
        clock.advance(0.09)
        self.assertEqual(seen, [])
        clock.advance(0.02)
        self.assertEqual(seen, ["four"])
        following.cancel()
        self.failureResultOf(following, CancelledError)

    def test_what_was_written_just_before_the_end_is_shown(self) -> None:
        seen: list[str] = []

        def alive() -> bool:
            with self.path.open("a") as file:
                file.write("the end\nhalf a line")
            return False

        done = Deferred.fromCoroutine(follow_file(Clock(), self.path, 1, seen.append, alive))
        self.successResultOf(done)
        self.assertEqual(seen, ["three", "the end"])

    def test_only_a_long_log_is_put_aside(self) -> None:
        rotate(self.path, 14)
        self.assertTrue(self.path.exists())
        rotate(self.path, 13)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.path.with_name(self.path.name + ".1").read_text()[:3], "one")

    def test_following_hands_over_whole_lines_until_the_node_ends(self) -> None:
        clock, seen, alive = Clock(), list[str](), [True]
        done = Deferred.fromCoroutine(
            follow_file(clock, self.path, 1, seen.append, lambda: alive[0])
        )
        with self.path.open("a") as file:
            file.write("fo")
            file.flush()
            clock.advance(0.1)
            self.assertEqual(seen, ["three"])
            file.write("ur\nfive\n")
        clock.advance(0.1)
        self.assertEqual(seen, ["three", "four", "five"])
        alive[0] = False
        clock.advance(0.1)
        self.successResultOf(done)
        self.assertEqual(clock.getDelayedCalls(), [])
