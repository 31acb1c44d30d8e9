"""How a command runs and ends: its reactor, signals, failures, exit status, and its testbed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli import main
from chordnet.cli.app import run
from chordnet.cli.base.failures import Interrupted, status_of, system_problem
from chordnet.cli.base.running import SIGNALS, run_in
from chordnet.cli.base.session import connector, work_with
from chordnet.core.base.errors import ChordnetError
from chordnet.survey.errors import ImpossibleNetwork, NetworkNotRunning, NoSuchNode, TestbedError
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import Progress as RingProgress
from chordnet.testbed.actions.lifecycle import Stopped
from chordnet.testbed.base.faults import WrongFault
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.adoption import look_nowhere
from chordnet.testbed.engines.docker_state import Found
from tests.unit.test_cli import CommandCase
from tests.unit.testbed_fakes import network

HANGUPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Reactor(Clock):
    """Runs on a clock of its own until it is stopped."""

    def __init__(self, during: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._during = during
        self._begin: list[Callable[[], None]] = []
        self.stopped = False
        self.handles_signals: bool | None = None

    def callWhenRunning(self, begin: Callable[[], None]) -> None:
        self._begin.append(begin)

    def callFromThread(self, call: Callable[[], None]) -> None:
        self.callLater(0, call)

    def stop(self) -> None:
        self.stopped = True

    def run(self, *, installSignalHandlers: bool) -> None:  # noqa: N803 - as Twisted has it
        self.handles_signals = installSignalHandlers
        for begin in self._begin:
            begin()
        self._during()
        for _ in range(1000):
            if self.stopped:
                return
            self.advance(0.1)
        raise AssertionError("nobody has stopped it")


class ReactorTests(SynchronousTestCase):
    def setUp(self) -> None:
        for number in HANGUPS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.cleaned: list[float] = []

    async def work(self, reactor: Any) -> str:
        try:
            await pause(reactor, 5.0)
        finally:
            await pause(reactor, 1.0)
            self.cleaned.append(reactor.seconds())
        return "done"

    def test_what_the_work_returned_is_returned_and_signals_mean_what_they_meant(self) -> None:
        handlers = [signal.getsignal(number) for number in HANGUPS]
        reactor = Reactor()
        self.assertEqual(run_in(reactor, self.work), "done")
        self.assertIs(reactor.handles_signals, False)
        self.assertEqual([signal.getsignal(number) for number in HANGUPS], handlers)

    def test_what_the_work_raised_is_raised(self) -> None:
        async def work(_reactor: object) -> None:
            raise KeyError("unforeseen")

        self.assertRaises(KeyError, run_in, Reactor(), work)

    def test_each_signal_lets_the_work_clean_up_and_is_told_as_what_ended_it(self) -> None:
        self.assertEqual(SIGNALS, HANGUPS)
        for number in HANGUPS:
            self.cleaned.clear()
            err = io.StringIO()
            with contextlib.redirect_stderr(err):
                problem = self.assertRaises(
                    Interrupted, run_in, Reactor(lambda n=number: os.kill(os.getpid(), n)),
                    self.work,
                )  # fmt: skip
            self.assertEqual(problem.number, number)
            self.assertEqual(str(problem), f"ended by signal {int(number)}")
            self.assertEqual((err.getvalue(), len(self.cleaned)), ("p2pnet: interrupted\n", 1))
            for each in HANGUPS:  # a second Ctrl-C shall not spoil the exit status
                self.assertIs(signal.getsignal(each), signal.SIG_IGN)
                signal.signal(each, signal.default_int_handler)

    def test_a_second_signal_cuts_no_cleaning_short_and_the_first_signal_counts(self) -> None:
        def twice() -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

        with contextlib.redirect_stderr(io.StringIO()) as err:
            problem = self.assertRaises(Interrupted, run_in, Reactor(twice), self.work)
        self.assertEqual((problem.number, len(self.cleaned)), (signal.SIGTERM, 1))
        self.assertEqual(err.getvalue().count("interrupted"), 1)

    def test_a_command_that_ended_all_the_same_ends_as_what_it_came_to(self) -> None:
        async def stubborn(reactor: Any) -> str:
            with contextlib.suppress(CancelledError):
                await pause(reactor, 5.0)
            return "done"

        async def failing(reactor: Any) -> None:
            with contextlib.suppress(CancelledError):
                await pause(reactor, 5.0)
            raise TestbedError("it failed")

        def interrupt() -> None:
            os.kill(os.getpid(), signal.SIGTERM)

        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(run_in(Reactor(interrupt), stubborn), "done")
            self.assertRaises(TestbedError, run_in, Reactor(interrupt), failing)

    def test_what_is_cancelled_without_a_signal_is_no_interruption(self) -> None:
        async def work(_reactor: object) -> None:
            raise CancelledError

        self.assertRaises(CancelledError, run_in, Reactor(), work)

    def test_a_wish_to_outlive_the_terminal_is_kept(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.assertEqual(
            run_in(Reactor(lambda: os.kill(os.getpid(), signal.SIGHUP)), self.work), "done"
        )
        self.assertIs(signal.getsignal(signal.SIGHUP), signal.SIG_IGN)

    def test_of_all_that_is_logged_only_errors_are_shown_and_the_works_result_is_returned(
        self,
    ) -> None:
        program = textwrap.dedent(
            """
            import sys
            from twisted.logger import Logger
            from chordnet.cli.base.running import run_in_reactor

            async def work(reactor):
                Logger().warn("a warning while it runs")
                Logger().error("an error while it runs")
                print("a result")
                return 7

            Logger().error("an error before it runs")
            sys.exit(run_in_reactor(work))
            """
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        self.assertEqual((done.returncode, done.stdout), (7, "a result\n"))
        (line,) = done.stderr.splitlines()
        self.assertTrue(line.endswith("an error while it runs"), line)


class StatusTests(SynchronousTestCase):
    def status(self, problem: BaseException) -> tuple[int | None, str]:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            status = status_of(problem)
        return status, err.getvalue()

    def test_each_failure_has_its_status_and_at_most_one_line(self) -> None:
        for problem, status, line in (
            (click.exceptions.Exit(3), 3, ""),
            (click.Abort(), 130, ""),
            (Interrupted(15), 143, ""),
            (click.UsageError("wrong\nwords"), 2, "p2pnet: wrong words\n"),
            (click.ClickException("it failed"), 1, "p2pnet: it failed\n"),
            (ChordnetError("it\nfailed"), 1, "p2pnet: it failed\n"),
            (NoSuchNode(9, 5), 2, "p2pnet: NODE must be a number from 1 to 5, not 9\n"),
            (ImpossibleNetwork("too large"), 2, "p2pnet: too large\n"),
            (WrongFault("one side"), 2, "p2pnet: one side\n"),
            (TestbedError("it failed"), 1, "p2pnet: it failed\n"),
            (KeyError("unforeseen"), None, ""),
        ):
            self.assertEqual(self.status(problem), (status, line))

    def test_details_stand_below_and_are_set_in(self) -> None:
        problem = TestbedError("it failed", ("first", "second"))
        self.assertEqual(self.status(problem)[1], "p2pnet: it failed\n  first\n  second\n")

    def test_wrong_words_of_a_command_name_the_command(self) -> None:
        program = click.Context(click.Command("p2pnet"), info_name="p2pnet")
        command = click.Context(click.Command("status"), parent=program, info_name="status")
        self.assertEqual(
            self.status(click.UsageError("wrong", command))[1], "p2pnet: status: wrong\n"
        )
        self.assertEqual(self.status(click.UsageError("wrong", program))[1], "p2pnet: wrong\n")

    def test_what_the_system_refuses_is_said_with_what_it_is_about(self) -> None:
        full = "too many files are open; raise the limit first, for example with: ulimit -n 4096"
        closed = "standard output is closed, so nothing could be shown"
        for problem, text in (
            (OSError(errno.EMFILE, "Too many open files"), full),
            (OSError(errno.ENFILE, "Too many open files in system"), full),
            (OSError(errno.EBADF, "Bad file descriptor"), closed),
            (OSError(errno.EBADF, "Bad file descriptor", "a"), "a: Bad file descriptor"),
            (OSError(errno.ENOSPC, "No space left"), "the output: No space left"),
            (OSError(errno.EACCES, "Permission denied", "/x"), "/x: Permission denied"),
            (OSError("odd"), "the output: odd"),
        ):
            self.assertEqual(system_problem(problem), text)


class EndedReader(io.StringIO):
    """An output whose reader has read enough, or whose disk is full."""

    def __init__(self, problem: OSError, path: str) -> None:
        super().__init__()
        self.problem = problem
        self.target = os.open(path, os.O_WRONLY | os.O_CREAT)

    def flush(self) -> None:
        raise self.problem

    def fileno(self) -> int:
        return self.target


class OutputTests(SynchronousTestCase):
    def run_to(self, problem: OSError) -> tuple[int, str]:
        path = self.mktemp()
        out, err = EndedReader(problem, path), io.StringIO()
        self.addCleanup(os.close, out.target)

        class Nothing:
            def run(self, _network: str, _work: object) -> Stopped:
                return Stopped(stopped=(), killed=(), existed=False)

        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run(["stop-network"], Nothing())
        os.write(out.target, b"what Python still has to write when it exits")
        self.assertEqual(Path(path).stat().st_size, 0)
        return status, err.getvalue()

    def test_a_reader_that_has_read_enough_is_no_failure_to_speak_of(self) -> None:
        self.assertEqual(self.run_to(BrokenPipeError(errno.EPIPE, "Broken pipe")), (1, ""))

    def test_a_full_disk_is_one_line(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        self.assertEqual(self.run_to(full), (1, "p2pnet: the output: No space left on device\n"))

    def test_what_nobody_foresaw_is_raised(self) -> None:
        class Broken:
            def run(self, _network: str, _work: object) -> None:
                raise KeyError("unforeseen")

        self.assertRaises(KeyError, run, ["status"], Broken())


class Cut(list[str]):
    """Words during whose reading Ctrl-C comes."""

    def __getitem__(self, _which: Any) -> Any:
        raise KeyboardInterrupt


class MainTests(SynchronousTestCase):
    def main(self, words: list[str]) -> tuple[object, str]:
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(setattr, sys, "argv", sys.argv)
        sys.argv = words
        before = os.environ.pop("PYTHONSAFEPATH", None)
        self.addCleanup(os.environ.__setitem__, "PYTHONSAFEPATH", before or "1")
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with contextlib.redirect_stdout(out):
            end = self.assertRaises(SystemExit, main)
        out.write("\N{SNOWMAN}")
        out.seek(0)
        return end.code, out.read()

    def test_main_ends_with_the_commands_status_and_a_late_ctrl_c_changes_nothing(self) -> None:
        status, out = self.main(["p2pnet", "--version"])
        self.assertEqual(status, 0)
        self.assertIn("p2pnet", out)
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertEqual(os.environ["PYTHONSAFEPATH"], "1")

    def test_main_makes_every_character_printable(self) -> None:
        self.assertTrue(self.main(["p2pnet", "--version"])[1].endswith("\n\\u2603"))

    def test_a_ctrl_c_before_the_command_runs_ends_it_without_a_traceback(self) -> None:
        self.assertEqual(self.main(Cut(["p2pnet"])), (130, "\\u2603"))


class TestbedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = NetworkHome(Path(self.mktemp()), "lab")

    def test_the_work_gets_the_network_and_what_it_says_is_shown(self) -> None:
        async def work(testbed: Testbed) -> NetworkHome:
            testbed.say("a line")
            testbed.watch(RingProgress(1, 2, 0))
            return testbed.home

        clock = Clock()
        with contextlib.redirect_stderr(io.StringIO()) as err:
            done = Deferred.fromCoroutine(work_with(clock, self.home, work, look_nowhere))
        self.assertEqual(self.successResultOf(done), self.home)
        self.assertEqual(err.getvalue(), "a line\n")

    def test_what_docker_has_of_a_network_is_taken_over_first(self) -> None:
        async def look(_reactor: object, _home: NetworkHome) -> Found:
            return Found(project="chordnet-lab", ports={1: 8001, 2: 8002}, containers=2)

        async def work(testbed: Testbed) -> int:
            return testbed.description().size

        with contextlib.redirect_stderr(io.StringIO()) as err:
            done = Deferred.fromCoroutine(work_with(Clock(), self.home, work, look))
        self.assertEqual(self.successResultOf(done), 2)
        self.assertIn("found 2 containers of network 'lab' in Docker", err.getvalue())

    def test_another_homes_network_is_said_instead_of_how_to_start_it(self) -> None:
        async def look(_reactor: object, _home: NetworkHome) -> Found:
            return Found(project="chordnet-lab", containers=2, home="/other")

        async def work(testbed: Testbed) -> int:
            return testbed.description().size

        done = Deferred.fromCoroutine(work_with(Clock(), self.home, work, look))
        problem = self.failureResultOf(done, NetworkNotRunning).value
        self.assertIn("is not running here; the containers of network 'lab'", str(problem))

    def test_a_clients_own_time_limits_are_out_of_the_commands_way(self) -> None:
        client: Any = connector(Clock(), "lab")("127.0.0.1:9001")
        self.assertEqual(client.addresses, ("127.0.0.1:9001",))
        self.assertEqual((client._timeout_s, client._send_timeout_s), (86400.0, 86400.0))


class EdgeTests(CommandCase):
    """The ends of what words may be."""

    def failing(self, *words: str) -> str:
        """Return the line of a command whose words are right and which finds no network."""

        class Nowhere:
            def run(self, name: str, _work: object) -> None:
                raise NetworkNotRunning(name)

        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()) as err,
        ):
            self.assertEqual(run(words, Nowhere()), 1, words)
        return err.getvalue()

    def test_the_most_and_the_least_of_each_option_is_taken(self) -> None:
        for words in (
            ("status", "--timeout", "86400"), ("status", "--timeout", "0.001"),
            ("status", "--network", "a" * 32), ("send-message", "1", "é" * 32768),
            ("get-messages", "1", "--limit", str(10**9)), ("get-messages", "1", "--limit", "1"),
            ("logs", "1", "--lines", "100000"), ("logs", "1", "--lines", "0"),
            ("start-network", "--nodes", "256"), ("start-network", "--nodes", "1"),
            ("start-network", "--base-port", "1"), ("start-network", "--base-port", "65535"),
            ("demo", "--nodes", "4"), ("demo", "--nodes", "256"), ("demo", "--base-port", "65535"),
        ):  # fmt: skip
            self.assertIn("is not running; start it with", self.failing(*words))

    def test_one_more_than_the_most_of_an_option_is_refused(self) -> None:
        for words in (
            ("status", "--timeout", "86400.1"), ("status", "--network", "a" * 33),
            ("get-messages", "1", "--limit", str(10**9 + 1)),
            ("logs", "1", "--lines", "100001"), ("start-network", "--nodes", "257"),
            ("start-network", "--base-port", "0"), ("demo", "--nodes", "3"),
            ("demo", "--nodes", "257"), ("demo", "--base-port", "0"),
            ("demo", "--base-port", "65536"), ("explain", "1", "--svg", "."),
            ("trace", "last", "--svg", "."), ("ring", "--svg", "."),
        ):  # fmt: skip
            self.refused(*words)

    def test_a_number_of_more_digits_than_any_node_has_is_a_word(self) -> None:
        NetworkHome(self.root, "default").save(network(16))
        self.assertIn("not 999999999\n", self.refused("get-messages", "9" * 9))
        self.assertIn("not '9999999999'\n", self.refused("get-messages", "9" * 10))

    def test_each_command_waits_as_long_as_its_help_says(self) -> None:
        for name, seconds in (
            ("start-network", 90), ("stop-network", 60), ("remove-node", 60), ("add-node", 60),
            ("chaos", 30), ("send-message", 30), ("get-messages", 30), ("status", 2),
            ("doctor", 30), ("ring", 2), ("explain", 5), ("trace", 5), ("lookup", 15),
            ("demo", 60),
        ):  # fmt: skip
            help_text = " ".join(self.p2pnet(name, "--help")[1].split())
            self.assertIn(f"How long to wait. [default: {seconds}.0]", help_text, name)

    def test_what_is_taken_unless_another_is_named_stands_in_the_help(self) -> None:
        for name, words in (
            ("demo", "How many nodes. [default: 16; 4<=x<=256]"),
            ("demo", "[default: demo]"), ("status", "[default: $P2PNET_NETWORK or default]"),
            ("logs", "The last N lines. [default: 50; 0<=x<=100000]"),
            ("start-network", "How many nodes. [default: 16]"),
            ("start-network", "[default: 7001]"), ("get-messages", "[default: received]"),
        ):  # fmt: skip
            self.assertIn(words, " ".join(self.p2pnet(name, "--help")[1].split()), name)
