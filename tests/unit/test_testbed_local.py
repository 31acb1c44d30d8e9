"""The local engine and real processes that are no nodes: found, stopped, killed, frozen."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.conditions import Condition
from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.local import LocalEngine
from chordnet.testbed.engines.processes import identify

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)"
MEEK = "print(1, flush=True)"
WAIT = "; import sys; sys.stdin.read()"


class LocalEngineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.home = NetworkHome(Path(self.mktemp()), "default")
        self.engine = LocalEngine(self.clock, self.home)

    def child(self, number: int, program: str) -> subprocess.Popen[bytes]:
        """Start a process and let it be Node ``number``."""
        child = subprocess.Popen(
            [sys.executable, "-c", program + WAIT], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        child.stdout.readline()
        directory = self.home.node_directory(number)
        directory.mkdir(parents=True)
        (directory / "pid").write_text(f"{identify(child.pid)}\n", encoding="ascii")
        return child

    def result(self, waiting: object, seconds: float = 0.0) -> object:
        """Let the engine's clock run until it is done; ``seconds`` at least, 60 at most."""
        done = Deferred.fromCoroutine(waiting)  # type: ignore[arg-type]
        passed = 0.0
        while not done.called and passed < 60:
            time.sleep(0.004)  # the processes need real time
            self.clock.advance(0.02)
            passed += 0.02
        self.assertGreaterEqual(passed, seconds)
        return self.successResultOf(done)

    def test_a_node_that_ends_when_told_to_was_not_late(self) -> None:
        child = self.child(1, MEEK)
        self.assertEqual(self.result(self.engine.running()), {1})
        self.assertEqual(self.result(self.engine.stop([1])), frozenset())
        self.assertEqual(child.wait(), -signal.SIGTERM)
        self.assertEqual(self.result(self.engine.running()), set())

    def test_a_node_that_does_not_end_is_killed_after_its_grace_and_named(self) -> None:
        stubborn, meek = self.child(1, STUBBORN), self.child(2, MEEK)
        self.assertEqual(self.result(self.engine.stop([1, 2]), 15.0), {1})
        self.assertEqual((stubborn.wait(), meek.wait()), (-signal.SIGKILL, -signal.SIGTERM))

    def frozen(self) -> dict[int, Condition]:
        time.sleep(0.01)  # the signal needs real time
        found = self.result(self.engine.conditions())
        assert isinstance(found, dict)
        return found

    def test_a_frozen_node_is_woken_to_be_stopped(self) -> None:
        child = self.child(1, MEEK)
        self.child(2, MEEK)
        self.result(self.engine.freeze([1]))
        (number, condition), *others = self.frozen().items()
        self.assertEqual((number, condition.text, others), (1, "is frozen (SIGSTOP)", []))
        self.result(self.engine.thaw([1]))
        self.assertEqual(self.frozen(), {})
        self.result(self.engine.freeze([1]))
        self.assertEqual(self.result(self.engine.stop([1])), frozenset())
        self.assertEqual(child.wait(), -signal.SIGTERM)

    def test_a_kill_gives_no_chance(self) -> None:
        child = self.child(3, STUBBORN)
        self.result(self.engine.kill([3]))
        self.assertEqual(child.wait(), -signal.SIGKILL)

    def test_a_node_is_waited_for_for_as_long_as_it_may_take_and_not_a_look_longer(self) -> None:
        self.child(1, MEEK)
        waiting = Deferred.fromCoroutine(self.engine._end([1], (), 1.0))
        self.clock.pump([1 / 64] * 63)
        self.assertNoResult(waiting)
        self.clock.advance(1 / 64)
        self.successResultOf(waiting)
        self.assertEqual(self.result(self.engine.running()), {1})

    def test_what_cannot_be_ended_is_named(self) -> None:
        class Undying(LocalEngine):
            async def _end(self, *_: object) -> None:
                pass

        child = self.child(1, MEEK)
        failed = Deferred.fromCoroutine(Undying(self.clock, self.home).kill([1]))
        problem = self.failureResultOf(failed, TestbedError).value
        self.assertEqual(str(problem), f"Node 1 (pid {child.pid}) cannot be ended")
