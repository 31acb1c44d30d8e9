"""What the testbed starts: where it looks for modules, and how many files it may open."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.descriptors import provide_descriptors
from chordnet.testbed.engines.local import NURSERY, node_environment

ROOT = Path(__file__).parents[2]
TRAP = "open('sprung', 'w').close(); raise SystemExit('a module of the current directory ran')"


class CurrentDirectoryTests(SynchronousTestCase):
    """A random.py of the user's is not Python's own."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        for name in ("random", "json", "msgspec", "twisted", "multiprocessing", "chordnet"):
            (self.directory / f"{name}.py").write_text(TRAP)

    def run_here(self, *words: str, stdin: bytes = b"") -> None:
        done = subprocess.run(
            words, input=stdin, cwd=self.directory, capture_output=True, check=False,
            env=node_environment() | {"PYTHONPATH": str(ROOT)}, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertFalse((self.directory / "sprung").exists())

    def test_the_local_engine_runs_no_module_of_the_current_directory(self) -> None:
        self.run_here(*NURSERY, stdin=b"[]")

    def test_what_a_node_starts_runs_no_module_of_the_current_directory(self) -> None:
        self.run_here(sys.executable, "-c", "import json, random")

    def test_workers_of_a_simulation_run_no_module_of_the_current_directory(self) -> None:
        program = (
            "from chordnet.sim.world.workers import worker_context\n"
            "if __name__ == '__main__':\n"
            "    with worker_context().Pool(1) as pool: print(pool.apply(abs, (-1,)))\n"
        )
        script = Path(self.mktemp()).absolute()  # a script's own directory is searched; not ours
        script.mkdir()
        (script / "script.py").write_text(program)
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
        done = subprocess.run(
            [sys.executable, str(script / "script.py")], cwd=self.directory, capture_output=True,
            env=environment | {"PYTHONPATH": str(ROOT)}, timeout=60, check=False,
        )  # fmt: skip
        self.assertEqual(done.stdout, b"1\n", done.stderr.decode())
        self.assertFalse((self.directory / "sprung").exists())

    def test_the_container_image_looks_for_no_module_in_its_working_directory(self) -> None:
        self.assertIn("PYTHONSAFEPATH=1", (ROOT / "compose" / "Dockerfile").read_text("utf-8"))


class FakeLimits:
    RLIMIT_NOFILE = 7
    RLIM_INFINITY = -1

    def __init__(self, soft: int, hard: int) -> None:
        self.now = soft, hard

    def getrlimit(self, _resource: int, /) -> tuple[int, int]:
        return self.now

    def setrlimit(self, _resource: int, limits: tuple[int, int], /) -> None:
        self.now = limits


class DescriptorTests(SynchronousTestCase):
    def provided(self, soft: int, hard: int, nodes: int = 100) -> Any:
        limits = FakeLimits(soft, hard)
        provide_descriptors(nodes, limits)
        return limits.now

    def test_a_limit_that_is_enough_is_left_as_it_is(self) -> None:
        self.assertEqual(self.provided(1024, 4096), (1024, 4096))
        self.assertEqual(self.provided(-1, -1), (-1, -1))

    def test_a_limit_that_may_be_raised_is_raised_as_far_as_needed(self) -> None:
        self.assertEqual(self.provided(40, 4096), (164, 4096))
        self.assertEqual(self.provided(40, -1), (164, -1))

    def test_too_few_descriptors_are_named_before_anything_is_started(self) -> None:
        problem = self.assertRaises(TestbedError, self.provided, 40, 163)
        self.assertEqual(
            str(problem),
            "100 nodes, and a command that asks them all, need 164 open files each, and this "
            "system allows 163; raise that (ulimit -n, as an administrator), or have fewer",
        )
