"""Processes, ports and log files: the parts of the local engine that touch the machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.testbed.base.logs import follow_file, last_lines, rotate
from chordnet.testbed.base.ports import free_range, holder, is_free
from chordnet.testbed.engines.processes import (
    ProcessIdentity,
    _from_ps,
    _send_plainly,
    identify,
    is_running,
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

    def test_without_process_descriptors_it_is_signalled_by_its_number(self) -> None:
        process = identify(self.child.pid)
        assert process is not None
        self.assertFalse(_send_plainly(ProcessIdentity(self.child.pid, "1@before"), signal.SIGKILL))
        self.assertIsNone(self.child.poll())
        self.assertTrue(_send_plainly(process, signal.SIGKILL))
        self.assertEqual(self.child.wait(), -signal.SIGKILL)
        self.assertFalse(_send_plainly(process, signal.SIGKILL))

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

    def test_of_the_200_ranges_after_the_first_one_no_more_is_tried(self) -> None:
        self.assertEqual(free_range(7001, 1, lambda port: port >= 26901), 26901)
        self.assertIsNone(free_range(7001, 1, lambda port: port >= 26902))


class LogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("one\ntwo\nthree\n")

    def test_the_last_lines(self) -> None:
        self.assertEqual(last_lines(self.path, 2), ["two", "three"])
        self.assertEqual(last_lines(self.path, 0), [])
        self.assertEqual(last_lines(self.path, 9, start=4), ["two", "three"])
        self.assertEqual(last_lines(Path("/nowhere/at/all"), 2), [])

    def test_only_a_long_log_is_put_aside(self) -> None:
        rotate(self.path, 100)
        self.assertTrue(self.path.exists())
        rotate(self.path, 10)
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
