"""The comparison of two checkouts: its interval, its verdict, and what it does with a failure."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.beside import QUESTIONS, Comparison, compare, measure
from benchmarks.effort import QUICK, Effort
from benchmarks.errors import BenchmarkError
from benchmarks.rounds import Results
from benchmarks.stats import median_interval

LATENCY, RATE = QUESTIONS[0], QUESTIONS[-1]


class IntervalTests(SynchronousTestCase):
    def test_the_ranks_are_those_of_the_tables(self) -> None:
        for count, rank in ((6, 1), (9, 2), (12, 3), (20, 6), (30, 10), (50, 18)):
            samples = [float(number) for number in range(count, 0, -1)]
            self.assertEqual(median_interval(samples), (rank, count + 1 - rank), count)

    def test_five_samples_are_too_few_for_95_percent_and_enough_for_90(self) -> None:
        self.assertIsNone(median_interval([1.0] * 5))
        self.assertEqual(median_interval([3.0, 1.0, 2.0, 5.0, 4.0], 0.9), (1.0, 5.0))
        self.assertIsNone(median_interval([]))


class VerdictTests(SynchronousTestCase):
    def ratios(self, *ratios: float, less: bool = True) -> Comparison:
        question = LATENCY if less else RATE
        return Comparison(question, [2 * each for each in ratios], [2.0] * len(ratios), 0.05)

    def test_a_latency_whose_whole_interval_is_beyond_the_tolerance_does_not_pass(self) -> None:
        slower = self.ratios(1.06, 1.07, 1.08, 1.09, 1.10, 1.11)
        self.assertEqual((slower.near_end, slower.passes), (1.06, False))
        self.assertIn("NOT within 5%", slower.text())

    def test_a_latency_passes_by_the_lower_end_of_its_interval(self) -> None:
        open_ = self.ratios(1.04, 1.07, 1.08, 1.09, 1.10, 1.11)
        self.assertEqual((open_.near_end, open_.passes), (1.04, True))
        self.assertIn("ratio 1.085 (1.040 to 1.110), within 5%", open_.text())

    def test_a_rate_passes_by_the_upper_end_of_its_interval(self) -> None:
        self.assertTrue(self.ratios(0.80, 0.81, 0.82, 0.83, 0.84, 0.96, less=False).passes)
        self.assertFalse(self.ratios(0.80, 0.81, 0.82, 0.83, 0.84, 0.94, less=False).passes)
        self.assertTrue(self.ratios(*[1.5] * 6, less=False).passes)

    def test_too_few_rounds_do_not_pass(self) -> None:
        few = self.ratios(1.0, 1.0)
        self.assertFalse(few.passes)
        self.assertIn("2 rounds of both, too few", few.text())

    def test_ratios_are_taken_round_by_round(self) -> None:
        ours = Results("ours", [{"p50": 1.0}, {"p50": 30.0}])
        theirs = Results("theirs", [{"p50": 1.0}, {"p50": 10.0}])
        comparison = compare(ours, theirs, 0.05)[0]
        self.assertEqual((comparison.question, comparison.ratios), (LATENCY, [1.0, 3.0]))


class FakeSide:
    promise = ""

    def __init__(self, name: str, log: list[str], *, fails_at: int = 0) -> None:
        self.name = name
        self._log = log
        self._fails_at = fails_at
        self._rounds = 0

    def missing(self) -> str | None:
        return None

    def start(self) -> None:
        self._log.append(f"start {self.name}")

    def measure(self, effort: Effort) -> dict[str, float]:
        self._rounds += 1
        if self._rounds == self._fails_at:
            raise BenchmarkError("it broke")
        self._log.append(f"measure {self.name}")
        return {"p50": float(self._rounds)}

    def stop(self) -> None:
        self._log.append(f"stop {self.name}")


class MeasureTests(SynchronousTestCase):
    def test_the_first_round_warms_up_and_the_order_alternates(self) -> None:
        log: list[str] = []
        sides = [FakeSide("a", log), FakeSide("b", log)]
        a, b = measure(sides, evolve(QUICK, rounds=2))
        self.assertEqual((a.numbers("p50"), b.numbers("p50")), ([2.0, 3.0], [2.0, 3.0]))
        order = [line[-1] for line in log if line.startswith("measure")]
        self.assertEqual(order, ["a", "b", "b", "a", "a", "b"])
        self.assertEqual(log[-2:], ["stop b", "stop a"])

    def test_a_side_that_fails_ends_the_comparison_in_words_and_both_are_stopped(self) -> None:
        log: list[str] = []
        sides = [FakeSide("a", log), FakeSide("b", log, fails_at=2)]
        error = self.assertRaises(BenchmarkError, measure, sides, evolve(QUICK, rounds=3))
        self.assertEqual(str(error), "b: it broke")
        self.assertEqual(log[-2:], ["stop b", "stop a"])
