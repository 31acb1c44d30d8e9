"""Clocks that jump, and what is too old then."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, MessageId
from chordnet.storage.base.age import BELIEVED_S, AgeClock
from chordnet.storage.log.sqlite import SqliteLog
from chordnet.storage.statedir import StateDirectory

DAY = 86_400.0


class Clocks(SynchronousTestCase):
    def setUp(self):
        self.wall, self.seconds = 1_700_000_000.0, 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.seconds += seconds


class AgeClockTests(Clocks):
    def clock(self, newest: float | None = None) -> AgeClock:
        return AgeClock(newest, lambda: self.wall, lambda: self.seconds)

    def test_the_age_clock_is_the_wall_clock_while_that_does_not_jump(self):
        clock = self.clock()
        for _ in range(100):
            self.passes(61.0)
            self.assertEqual(clock.now(), self.wall)

    def test_a_step_of_ten_minutes_is_followed_and_a_longer_one_is_a_jump(self):
        for step, followed in ((600.0, True), (600.5, False)):
            clock, before = self.clock(), self.wall
            self.wall += step
            self.assertEqual(clock.now(), self.wall if followed else before)

    def test_a_jump_forward_counts_once_it_has_lasted_for_an_hour(self):
        clock, before = self.clock(), self.wall
        self.wall += 40 * DAY
        self.assertEqual(clock.now(), before)
        self.passes(BELIEVED_S - 1)
        self.assertEqual(clock.now(), before + BELIEVED_S - 1)
        self.passes(1)
        self.assertEqual(clock.now(), self.wall)

    def test_a_jump_that_is_over_has_never_been(self):
        clock = self.clock()
        self.wall += 40 * DAY
        clock.now()
        self.passes(1800)
        self.wall -= 40 * DAY
        self.assertEqual(clock.now(), self.wall)
        self.wall += 40 * DAY
        self.passes(1801)
        self.assertLess(clock.now(), self.wall - 39 * DAY)

    def test_a_clock_that_is_set_back_is_followed(self):
        clock = self.clock()
        self.wall -= 40 * DAY
        self.assertEqual(clock.now(), self.wall)

    def test_a_long_pause_before_the_start_is_not_told_from_a_jump(self):
        clock = self.clock(newest=self.wall - 40 * DAY)
        self.assertEqual(clock.now(), self.wall - 40 * DAY)
        self.passes(BELIEVED_S)
        self.assertEqual(clock.now(), self.wall)


class HistoryTests(Clocks):
    def open(self) -> SqliteLog:
        return SqliteLog(
            self.file, max_age=DAY, wall=lambda: self.wall, seconds=lambda: self.seconds
        )

    def close(self) -> None:
        self.log.close()

    def setUp(self):
        super().setUp()
        self.file = Path(self.mktemp())
        self.log = self.open()
        self.addCleanup(self.close)
        self.count = 0

    def record(self) -> None:
        self.count += 1
        origin = b"\x01" * 20
        message = MessageId(origin, 1, self.count)
        hops = [Hop(origin, "Node 1", 0)]
        self.log.append(Record(message, self.wall, b"apple", hops), self.wall)
        self.log.commit()
        self.log.checkpoint()

    def test_a_clock_that_is_forty_days_ahead_for_a_moment_drops_nothing(self):
        for _ in range(5):
            self.record()
            self.passes(100)
        self.wall += 40 * DAY
        for _ in range(5):
            self.record()
            self.passes(100)
        self.wall -= 40 * DAY
        self.record()
        self.assertEqual(len(self.log), 11)

    def test_a_start_with_a_clock_that_is_forty_days_ahead_drops_nothing(self):
        for _ in range(5):
            self.record()
        self.log.close()
        self.wall += 40 * DAY
        self.log = self.open()
        self.passes(100)
        self.record()
        self.assertEqual(len(self.log), 6)

    def test_what_was_recorded_ahead_of_time_gets_old_with_what_follows(self):
        self.wall += 40 * DAY
        self.record()
        self.wall -= 40 * DAY
        self.record()
        self.passes(2 * DAY)
        for _ in range(3):
            self.passes(BELIEVED_S + 100)
            self.record()
        self.assertEqual(len(self.log), 3)


class IncarnationTests(Clocks):
    def test_an_incarnation_from_more_than_a_day_ahead_is_set_aside_with_one_line(self):
        path, lines = self.mktemp(), list[str]()
        state = StateDirectory(path, lines.append, lambda: self.wall + 3 * DAY)
        ahead = state.next_incarnation()
        state.close()
        state = StateDirectory(path, lines.append, lambda: self.wall)
        self.addCleanup(state.close)
        self.assertEqual(state.next_incarnation(), int(self.wall * 1000))
        self.assertLess(int(self.wall * 1000), ahead)
        (line,) = lines
        self.assertIn("more than a day ahead of this clock", line)
        self.assertEqual(state.next_incarnation(), int(self.wall * 1000) + 1, "and on from there")

    def test_an_incarnation_from_less_than_a_day_ahead_is_gone_on_from(self):
        path = self.mktemp()
        state = StateDirectory(path, self.fail, lambda: self.wall + DAY / 2)
        ahead = state.next_incarnation()
        state.close()
        state = StateDirectory(path, self.fail, lambda: self.wall)
        self.addCleanup(state.close)
        self.assertEqual(state.next_incarnation(), ahead + 1)
