"""One seed, one history: to the byte, whatever Python's hash seed, in any process.

Set CHORDNET_PYTHONS to the paths of other interpreters that have attrs and msgspec (separated by
colons) to compare them too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.play import play
from chordnet.sim.scenarios.scenario import dumps, loads
from tests.sim.support import scenario

SEEDS = ("3", "11", "19")
ROOT = Path(chordnet.__file__).parents[1]


def traces(python: str, hash_seed: str) -> list[str]:
    """Return the trace hash of each seed, played by an interpreter of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    words = [python, "-m", "chordnet.sim", "seed", "--no-shrink", *SEEDS]
    done = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    found = [line.split("trace ")[1] for line in done.stdout.splitlines() if " trace " in line]
    assert len(found) == len(SEEDS), done.stdout + done.stderr
    return found


class OneHistory(SynchronousTestCase):
    def test_one_history_is_the_same_twice_in_one_process(self):
        first, second = (play(scenario("routes"), hashed=True) for _ in range(2))
        self.assertEqual(first.digest, second.digest)
        self.assertEqual(first.steps, second.steps)

    def test_another_seed_is_another_history(self):
        """A hash that is always the same would prove nothing."""
        self.assertNotEqual(
            play(generate(3), hashed=True).digest, play(generate(4), hashed=True).digest
        )

    def test_one_history_is_the_same_whatever_the_hash_seed(self):
        here = [play(generate(int(seed)), hashed=True).digest for seed in SEEDS]
        for hash_seed in ("0", "1", "4294967295"):
            self.assertEqual(traces(sys.executable, hash_seed), here)

    def test_one_history_is_the_same_on_other_interpreters(self):
        others = [path for path in os.environ.get("CHORDNET_PYTHONS", "").split(":") if path]
        if not others:
            raise self.skipTest("name other interpreters in CHORDNET_PYTHONS to compare them")
        here = [play(generate(int(seed)), hashed=True).digest for seed in SEEDS]
        for python in others:
            self.assertEqual(traces(python, "7"), here, python)

    def test_one_history_is_the_same_through_a_file(self):
        """A scenario that was written and read again is played the same way."""
        drawn = generate(11)
        again = loads(dumps(drawn))
        self.assertEqual(again, drawn)
        self.assertEqual(play(again, hashed=True).digest, play(drawn, hashed=True).digest)
