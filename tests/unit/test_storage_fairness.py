"""What a full history keeps of each origin, whoever sends how much: in memory and on disk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, MessageId
from chordnet.storage.base.limits import SPARE
from chordnet.storage.log.memory import MemoryLog
from chordnet.storage.log.sqlite import SqliteLog

MOST = 40_000
LONGEST = 2000
ORIGINS = 6
OVERHEAD = 400
"""Bytes that a message without a body costs, in memory or on disk, at most."""
FLOODS = st.lists(
    st.tuples(st.integers(0, ORIGINS - 1), st.integers(0, LONGEST), st.integers(1, 40)),
    min_size=1,
    max_size=12,
)
"""Who sends, how long each message is, and how many there are."""


def origin(number: int) -> bytes:
    return bytes([number]) * 20


class FairHistoryTests(SynchronousTestCase):
    def records(self, floods: list[tuple[int, int, int]]) -> list[Record]:
        numbers: Counter[int] = Counter()
        records = []
        for sender, size, times in floods:
            for _ in range(times):
                numbers[sender] += 1
                # A second life has numbers of its own, and no share of its own.
                life = 1 + (numbers[sender] > 30)
                name = MessageId(origin(sender), life, numbers[sender])
                hops = [Hop(origin(sender), "n", 0)]
                records.append(Record(name, 1.0, bytes(size), hops))
        return records

    def assert_fair(self, log: MemoryLog | SqliteLog, records: list[Record]) -> None:
        kept = [each.record.id for each in log.beyond(-1, 100_000)]
        sent, left = Counter[bytes](), Counter(each.origin for each in kept)
        for each in records:
            sent[each.id.origin] += len(each.body) + OVERHEAD
        room = MOST - MOST // SPARE - 2 * (LONGEST + OVERHEAD)
        for each_origin, size in sent.items():
            of_it = [r.id for r in records if r.id.origin == each_origin]
            if size <= room // len(sent):
                self.assertEqual(left[each_origin], len(of_it), "within its share, all is kept")
            newest = of_it[len(of_it) - left[each_origin] :]
            self.assertEqual([k for k in kept if k.origin == each_origin], newest)
        self.assertEqual(kept[-1], records[-1].id)
        self.assertLessEqual(log.bytes, MOST)

    @given(FLOODS)
    @settings(deadline=None, print_blob=True)
    def test_nobody_who_sends_no_more_than_a_share_loses_a_message_in_memory(
        self, floods: list[tuple[int, int, int]]
    ) -> None:
        log = MemoryLog(max_bytes=MOST)
        records = self.records(floods)
        for each in records:
            log.append(each, 1.0)
        self.assert_fair(log, records)

    @given(FLOODS)
    @settings(deadline=None, print_blob=True, max_examples=25)
    def test_nobody_who_sends_no_more_than_a_share_loses_a_message_on_disk(
        self, floods: list[tuple[int, int, int]]
    ) -> None:
        path = Path(self.mktemp())
        wall = 1e9
        log = SqliteLog(path, max_bytes=MOST, wall=lambda: wall, seconds=lambda: 0.0)
        records = self.records(floods)
        for each in records:
            log.append(each, wall)
            log.commit()
        log.checkpoint()
        self.assert_fair(log, records)
        log.close()
        # What an earlier run has kept is shared out again alike.
        again = SqliteLog(path, max_bytes=MOST, wall=lambda: wall, seconds=lambda: 0.0)
        self.assert_fair(again, records)
        again.close()
