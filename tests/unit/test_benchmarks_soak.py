"""What a soak says of memory and of messages."""

from __future__ import annotations

import math
import random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.soak_hour import IN_FLIGHT, Look, Pacer, missing, slope
from chordnet.core.base.errors import Busy
from chordnet.survey.conditions import HAS_STOPPED
from chordnet.survey.findings import Finding, RecordedTwice, Unwell
from chordnet.wire.rpc import NodeHistory, OriginHistory, Receipt


class SlopeTests(SynchronousTestCase):
    def test_a_straight_line_has_its_slope_and_no_error(self) -> None:
        line = slope([(5.0 * n, 100.0 + n) for n in range(120)])
        self.assertAlmostEqual(line.per_minute, 12.0)
        self.assertAlmostEqual(line.error, 0.0)
        self.assertTrue(line.grows(11.9))
        self.assertFalse(line.grows(12.1))

    def test_the_error_is_that_of_a_regression_through_the_means_of_minutes(self) -> None:
        line = slope([(0.0, 1.0), (30.0, 3.0), (60.0, 1.0), (120.0, 4.0), (180.0, 3.0)])
        self.assertAlmostEqual(line.per_minute, 0.6)  # through 2, 1, 4, 3
        self.assertAlmostEqual(line.error, math.sqrt((3.2 / 2) / 5))
        self.assertAlmostEqual(line.mean, 2.5)
        self.assertFalse(line.grows(0.0), "0.6 with an error of 0.57 may be nothing")

    def test_two_points_prove_nothing(self) -> None:
        self.assertFalse(slope([(0.0, 1.0), (60.0, 1e9)]).grows(0.0))
        self.assertRaises(ValueError, slope, [])


class LookTests(SynchronousTestCase):
    def test_the_doctor_is_right_if_it_says_what_is_true_and_nothing_else(self) -> None:
        gone = Finding(Unwell(4, HAS_STOPPED, "soak"))
        twice = Finding(RecordedTwice(2, "aa.1.1"))
        for away, problems, right in (
            (None, [], True), (None, [gone], False), (4, [gone], True), (4, [], False),
            (5, [gone], False), (4, [gone, twice], False),
        ):  # fmt: skip
            self.assertEqual(Look(0, away, problems, 0, 0.1).right, right, (away, problems))


class MissingTests(SynchronousTestCase):
    def test_what_is_confirmed_and_not_recorded_is_counted(self) -> None:
        def told(known: list[int], lost: list[int]) -> NodeHistory:
            return NodeHistory([OriginHistory("aa", 7, known, lost, [])], 0, 0)

        histories = {1: told([1, 11], []), 2: told([1, 11], [3, 5]), 3: NodeHistory([], 0, 0)}
        self.assertEqual(missing({("aa", 7): [1, 4, 6, 11]}, histories), {2: 1, 3: 8})


class PacerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[tuple[int, Deferred[Receipt]]] = []
        self.pacer = Pacer(self.clock, {n: Client(n, self.calls) for n in (1, 2)}, random.Random(1))
        self.pacer.start()

    def test_a_pacer_sends_at_its_rate_through_nodes_that_are_up(self) -> None:
        self.pacer.up.discard(2)
        self.clock.pump([0.02] * 50)
        self.assertEqual(len(self.calls), 150)
        self.assertEqual({number for number, _ in self.calls}, {1})

    def test_what_is_confirmed_is_remembered_and_failures_are_counted(self) -> None:
        self.clock.advance(0.02)
        for index, (_, answer) in enumerate(list(self.calls)):
            if index == 1:
                answer.errback(Busy("later"))
            else:
                answer.callback(Receipt(f"aa.7.{index + 1}", "", 6, 6, 5, 3, 0.01, index == 2, []))
        self.assertEqual(self.pacer.confirmed, {("aa", 7): [1, 2, 3, 4]})
        self.assertEqual((self.pacer.done, self.pacer.partial), (2, 1))
        self.assertEqual(self.pacer.failed, {"Busy": 1})

    def test_with_too_many_in_flight_the_rest_is_left_out(self) -> None:
        self.clock.pump([0.02] * 249 + [0.025])
        self.assertEqual(len(self.calls), IN_FLIGHT)
        self.assertEqual(self.pacer.held_back, 150)


class Client:
    def __init__(self, number: int, calls: list[tuple[int, Deferred[Receipt]]]) -> None:
        self.number = number
        self.calls = calls

    def send_message(self, body: str) -> Deferred[Receipt]:
        answer: Deferred[Receipt] = Deferred()
        self.calls.append((self.number, answer))
        return answer
