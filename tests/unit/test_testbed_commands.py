"""Programs that the testbed runs: what they get, how their end is told, how they are ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.commands import Finished, ending, run_program

FACTS = """
import json, os, sys
print(json.dumps([os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read(), dict(os.environ)]))
print("warned", file=sys.stderr)
sys.exit(3)
"""
MEEK = "print(1, flush=True); import time; time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {MEEK}"


class Threads(Clock):
    """A reactor whose one thread works at once, or never."""

    never = False

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(
        self, done: Callable[[bool, Any], None], work: Callable[..., Any], *words: Any, **more: Any
    ) -> None:
        if self.never:
            self.program: subprocess.Popen[bytes] = work.__self__  # type: ignore[attr-defined]
            assert self.program.stdout is not None
            self.program.stdout.readline()  # it has begun
        else:
            done(True, work(*words, **more))

    def callFromThread(self, work: Callable[..., Any], *words: Any) -> None:
        work(*words)


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Threads()

    def start(self, program: str, **options: Any) -> Deferred[Finished]:
        words = [sys.executable, "-c", program]
        return Deferred.fromCoroutine(
            run_program(self.reactor, words, **{"timeout": 5.0} | options)
        )

    def test_the_status_of_a_program_and_all_that_it_wrote_are_told(self) -> None:
        done = self.successResultOf(self.start(FACTS, environment={"ONLY": "this"}))
        self.assertEqual((done.status, done.errors), (3, "warned\n"))
        directory, leads, heard, environment = json.loads(done.output)
        self.assertEqual((directory, leads, heard), ("/", True, ""))
        self.assertEqual(environment["ONLY"], "this")
        self.assertNotIn("HOME", environment)

    def test_a_program_without_an_environment_has_ours(self) -> None:
        done = self.successResultOf(self.start(FACTS))
        self.assertEqual(json.loads(done.output)[3]["PATH"], os.environ["PATH"])

    def test_what_is_no_text_is_shown_as_far_as_it_can_be(self) -> None:
        program = r"import os; os.write(1, b'a\xff'); os.write(2, b'b\xff')"
        done = self.successResultOf(self.start(program))
        self.assertEqual((done.output, done.errors), ("a\N{REPLACEMENT CHARACTER}", "b\ufffd"))

    def test_what_cannot_be_run_is_one_line(self) -> None:
        missing = str(Path(self.mktemp()))
        work = Deferred.fromCoroutine(run_program(self.reactor, [missing], timeout=5.0))
        problem = self.failureResultOf(work, TestbedError).value
        self.assertEqual(str(problem), f"{missing} cannot be run: No such file or directory")

    def ended(self, program: str, begin: Callable[[Deferred[Finished]], None]) -> tuple[int, float]:
        """Let it be ended; return its status and how long that took."""
        self.reactor.never = True
        done = self.start(program)
        begin(done)
        began = self.reactor.seconds()
        self.failures: list[Any] = []
        done.addErrback(self.failures.append)
        for _ in range(1000):
            if self.failures:
                break
            time.sleep(0.002)  # the process needs real time
            self.reactor.advance(0.05)
        took = self.reactor.seconds() - began
        child = self.reactor.program
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        return child.wait(timeout=30), took

    def test_a_program_that_takes_too_long_is_told_to_end(self) -> None:
        status, took = self.ended(MEEK, lambda _: self.reactor.advance(5.0))
        self.assertEqual(status, -signal.SIGTERM)
        self.assertLess(took, 10.0)
        problem = self.failures[0].value
        self.assertIsInstance(problem, TestbedError)
        self.assertEqual(str(problem), f"{sys.executable} took longer than 5 s")

    def test_before_its_time_is_up_a_program_is_left_alone(self) -> None:
        self.reactor.never = True
        done = self.start(MEEK)
        self.reactor.advance(4.9)
        self.assertNoResult(done)
        self.assertIsNone(self.reactor.program.poll())
        status, _ = self.reactor.program, done.cancel()
        done.addErrback(lambda _: None)
        self.reactor.pump([0.05] * 5)
        self.addCleanup(status.communicate)
        self.addCleanup(status.kill)

    def test_a_program_that_will_not_end_is_killed_after_ten_seconds(self) -> None:
        status, took = self.ended(STUBBORN, lambda done: done.cancel())
        self.assertEqual(status, -signal.SIGKILL)
        self.assertLess(abs(took - 10.0), 0.2)
        self.assertIsInstance(self.failures[0].value, CancelledError)


class EndingTests(SynchronousTestCase):
    def test_a_signal_that_has_ended_a_program_is_named(self) -> None:
        for status, text in (
            (-9, "ended by SIGKILL"), (-15, "ended by SIGTERM"), (137, "exit status 137 (SIGKILL)"),
            (129, "exit status 129 (SIGHUP)"), (128, "exit status 128"), (1, "exit status 1"),
            (0, "exit status 0"), (255, "exit status 255"), (-200, "exit status -200"),
        ):  # fmt: skip
            self.assertEqual(ending(status), text)


class LastLineTests(SynchronousTestCase):
    def test_the_last_line_is_the_last_that_says_something(self) -> None:
        for errors, output, expected in (
            ("one\n two \n\n", "other", "two"),
            ("", "one\ntwo\n", "two"),
            ("\n", "one\n", "exit status 7"),
            ("", "", "exit status 7"),
        ):
            self.assertEqual(Finished(7, output, errors).last_line(), expected)
