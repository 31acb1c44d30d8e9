"""``python -m chordnet.sim``: the commands that measure, and wrong words."""

from __future__ import annotations

import gc
import io
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from chordnet.sim.__main__ import main
from chordnet.sim.world.heap import kept, peak_mib


def run(*words: str) -> tuple[int, str, str]:
    """Run the program; return its status and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    return status, out.getvalue(), err.getvalue()


def _rate(lines: list[str]) -> str:
    """What the last line about progress comes to, for 20 nodes and 12 virtual seconds."""
    steps = int([line.split(", ")[1].split(" ")[0] for line in lines if " virtual s, " in line][-1])
    return f"{steps / 20 / 12:.2f}"


class RingTests(SynchronousTestCase):
    def setUp(self):
        self.addCleanup(gc.unfreeze)

    def test_the_command_says_how_fast_it_was_and_that_the_ring_is_right(self):
        status, out, err = run("ring", "--nodes", "20", "--seconds", "12")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(lines[0].split(", built")[0], "20 nodes in one ring")
        times = [line.split(" ")[0] for line in lines if " virtual s, " in line]
        self.assertEqual((times[0], times[-1]), ("2.4", "12.0"))
        self.assertIn(f"steps a CPU second, {_rate(lines)} a node", out)
        self.assertIn("'GetState'", lines[-2])
        self.assertEqual(lines[-1], "0 pointers are wrong")

    def test_a_seed_is_a_run(self):
        def messages(seed: str) -> str:
            return run("ring", "--nodes", "20", "--seconds", "12", "--seed", seed)[1].split("\n")[
                -3
            ]

        self.assertEqual(messages("1"), messages("1"))
        self.assertNotEqual(messages("1"), messages("2"))

    def test_wrong_numbers_are_told_in_one_line(self):
        for words in (
            ("ring", "--nodes", "0"),
            ("ring", "--nodes", "many"),
            ("ring", "--seconds", "0"),
            ("ring", "--seconds", "inf"),
            ("soak", "--jobs", "0"),
            ("soak", "--steps", "-1"),
        ):
            status, out, err = run(*words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(f"argument {words[1]}", err.splitlines()[-1])


class SoakTests(SynchronousTestCase):
    def test_a_soak_stops_after_so_many_steps_and_names_the_seeds(self):
        status, out, _ = run("soak", "--steps", "1000", "--first", "3", "--jobs", "1")
        self.assertEqual(status, 0, out)
        self.assertTrue(out.startswith("seeds 3 to "), out)
        self.assertIn("0 seeds failed", out)


class HeapTests(SynchronousTestCase):
    def setUp(self):
        self.addCleanup(gc.unfreeze)

    def test_what_is_made_to_stay_is_not_looked_at_again(self):
        before = gc.get_freeze_count()
        with kept():
            self.assertFalse(gc.isenabled())
            made = [[] for _ in range(1000)]
        self.assertTrue(gc.isenabled())
        self.assertGreaterEqual(gc.get_freeze_count() - before, len(made))

    def test_the_collector_goes_on_after_a_failure(self):
        with self.assertRaises(KeyError), kept():
            raise KeyError
        self.assertTrue(gc.isenabled())

    def test_a_process_needs_some_memory(self):
        peak = peak_mib()
        self.assertTrue(peak is None or 5 < peak < 1 << 20, peak)
