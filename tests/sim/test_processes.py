"""What the simulator's processes do for many runs: their time, their garbage, their signals."""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import time
from typing import Any

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.sim.campaign.run import Plan
from chordnet.sim.campaign.series import _times, _worker, play
from chordnet.sim.scenarios.generate import _distinct
from chordnet.sim.scenarios.scenario import name_of
from chordnet.sim.world.heap import kept, peak_mib
from chordnet.sim.world.workers import worker_context


class CampaignTests(SynchronousTestCase):
    PLAN = Plan(nodes=4, joins=0, loss=0.0)

    def test_a_run_says_what_processor_time_it_took_to_a_millisecond(self) -> None:
        before = time.process_time()
        found = play(self.PLAN, 1).cpu_s
        self.assertTrue(0.0 < found <= time.process_time() - before + 0.001, found)
        self.assertEqual(found, round(found, 3))

    def test_each_network_is_taken_away_after_its_run(self) -> None:
        collected: list[int] = []

        def note(phase: str, info: dict[str, Any]) -> None:
            if phase == "start":
                collected.append(info["generation"])

        gc.callbacks.append(note)
        self.addCleanup(gc.callbacks.remove, note)
        gc.disable()
        self.addCleanup(gc.enable)
        play(self.PLAN, 1)
        self.assertEqual(collected, [2])

    def test_a_worker_leaves_the_interrupt_to_its_parent_and_does_not_look_for_garbage(
        self,
    ) -> None:
        self.addCleanup(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        self.addCleanup(gc.enable)
        _worker()
        self.assertIs(signal.getsignal(signal.SIGINT), signal.SIG_IGN)
        self.assertFalse(gc.isenabled())

    def test_times_are_the_median_and_the_longest_of_those_that_there_are(self) -> None:
        self.assertEqual(_times([3.0, None, 1.0, 8.0]), (3.0, 8.0))
        self.assertTrue(all(map(math.isnan, _times([None]))))


class WorkerTests(SynchronousTestCase):
    def test_workers_look_for_no_module_in_the_current_directory(self) -> None:
        before = os.environ.pop("PYTHONSAFEPATH", None)
        self.addCleanup(os.environ.update, {} if before is None else {"PYTHONSAFEPATH": before})
        worker_context()
        self.assertEqual(os.environ.pop("PYTHONSAFEPATH"), "1")


class MemoryTests(SynchronousTestCase):
    def test_the_most_memory_is_told_in_mebibytes(self) -> None:
        if not sys.platform.startswith("linux"):
            raise SkipTest("kernels count it in different units")
        import resource  # noqa: PLC0415 - not there on every system

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertLess(abs((peak_mib() or 0.0) - most / 1024), 1.0)

    def test_garbage_from_before_is_not_kept(self) -> None:
        self.addCleanup(gc.unfreeze)
        cycle: list[Any] = []
        cycle.append(cycle)
        collected: list[str] = []
        gc.callbacks.append(lambda phase, info: collected.append(phase))
        self.addCleanup(gc.callbacks.pop)
        with kept():
            self.assertEqual(collected, ["start", "stop"])


class IdentifierTests(SynchronousTestCase):
    def test_a_scenario_has_no_more_nodes_than_have_identifiers_of_their_own(self) -> None:
        for bits in (3, 4, 5):
            space = IdentifierSpace(bits)
            ids = [space.hash(name_of(number).encode()) for number in range(1, 40)]
            most = next(n for n in range(1, 40) if len(set(ids[: n + 1])) <= n)
            self.assertEqual(_distinct(space, 39), most)
            self.assertEqual(_distinct(space, most), most)
            self.assertEqual(_distinct(space, 1), 1)
