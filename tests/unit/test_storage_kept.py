"""Which numbers a log says that it keeps."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import intervals
from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, MessageId
from chordnet.storage.log.kept import KeptNumbers
from chordnet.storage.log.memory import MemoryLog
from chordnet.storage.log.recorded import Recorded
from chordnet.storage.log.sqlite import SqliteLog

ORIGIN = bytes(20)


def message(number: int, life: int = 1) -> MessageId:
    return MessageId(ORIGIN, life, number)


def record(number: int) -> Record:
    return Record(message(number), 1.0, b"x" * 100, [Hop(ORIGIN, "one", 0)])


class KeptNumbersTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 20), st.integers(1, 2))))
    def test_kept_numbers_are_those_added_and_not_dropped(
        self, steps: list[tuple[bool, int, int]]
    ) -> None:
        kept, expected = KeptNumbers(), set[tuple[int, int]]()
        for comes, number, life in steps:
            (kept.add if comes else kept.drop)(message(number, life))
            (expected.add if comes else expected.discard)((number, life))
        for life in (1, 2):
            numbers = sorted(number for number, each in expected if each == life)
            self.assertEqual(kept.of((ORIGIN, life)), intervals.of(numbers))

    def test_nothing_is_left_of_a_life_of_which_nothing_is_kept(self) -> None:
        kept = KeptNumbers()
        for number in (1, 2, 4):
            kept.add(message(number))
        for number in (2, 1, 4):
            self.assertEqual(len(kept._origins), 1)
            kept.drop(message(number))
        self.assertEqual(kept._origins, {})


class RecordedTests(SynchronousTestCase):
    def test_messages_are_entered_512_at_a_time_or_when_the_ledger_is_asked_for(self) -> None:
        recorded = Recorded()
        for number in range(1, 512):
            recorded.note(message(number))
        self.assertEqual(len(recorded._new), 511)
        recorded.note(message(512))
        self.assertEqual((recorded._new, recorded.kept.of((ORIGIN, 1))), ([], [1, 513]))
        recorded.note(message(513))
        self.assertIn(message(513), recorded.ledger)
        self.assertEqual((recorded._new, recorded.kept.of((ORIGIN, 1))), ([], [1, 514]))


class LogTests(SynchronousTestCase):
    def open(self, path: Path) -> SqliteLog:
        log = SqliteLog(path, max_bytes=1000)
        self.addCleanup(log.close)
        return log

    def test_a_capped_log_says_from_where_it_keeps_before_and_after_a_restart(self) -> None:
        path = Path(self.mktemp())
        log = self.open(path)
        for number in (1, 2, 3, 4, 5, 7, 6, 8, 9, 10):
            log.append(record(number), float(2**40))
            log.commit()
        log.checkpoint()
        kept = log.kept((ORIGIN, 1))
        self.assertEqual(kept[-1], 11)
        self.assertEqual(intervals.count(kept), len(log))
        self.assertLess(len(log), 10)
        log.close()
        self.assertEqual(self.open(path).kept((ORIGIN, 1)), kept)

    def test_a_message_that_is_not_committed_yet_counts_as_kept(self) -> None:
        log = self.open(Path(self.mktemp()))
        log.append(record(1), float(2**40))
        self.assertEqual(log.kept((ORIGIN, 1)), [1, 2])
        self.assertEqual(log.kept((ORIGIN, 2)), [])

    def test_a_capped_log_in_memory_says_from_where_it_keeps(self) -> None:
        log = MemoryLog(max_messages=3)
        for number in (1, 2, 4, 3, 5):
            log.append(record(number), 1.0)
        self.assertEqual(log.kept((ORIGIN, 1)), [3, 6])
