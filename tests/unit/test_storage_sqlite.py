"""The message log on disk: what it keeps, what survives, and what it says when it cannot."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import intervals
from chordnet.core.base.effects import Record
from chordnet.core.base.errors import LogFailed
from chordnet.core.base.messages import EdgeKind, Hop, LedgerState, MessageId, Range
from chordnet.storage.base.paging import KeptMessage
from chordnet.storage.base.rows import SpoiledRow, checksum, encode, is_sound
from chordnet.storage.log.database import MIGRATIONS
from chordnet.storage.log.rows import UPSERT_LEDGER, encoded_rows, ledger_row, ledger_state
from chordnet.storage.log.sqlite import SqliteLog

ORIGIN, OTHER = bytes(20), bytes([1] * 20)
ROUTE_BYTES = len(encode([Hop(ORIGIN, "Node 1", 0), Hop(OTHER, "Nœud 2", 2)]))
ROOT = Path(__file__).parents[2]


def message_id(sequence: int, origin: bytes = ORIGIN, incarnation: int = 1) -> MessageId:
    return MessageId(origin, incarnation, sequence)


def record(sequence: int, body: bytes = b"", origin: bytes = ORIGIN) -> Record:
    route = [Hop(origin, "Node 1", int(EdgeKind.ORIGIN)), Hop(OTHER, "Nœud 2", 2)]
    return Record(message_id(sequence, origin), 5.5, body or b"body-%d" % sequence, route)


def numbers(first: int, end: int = 0, origin: bytes = ORIGIN) -> Range:
    return Range(origin, 1, first, end or first + 1)


def state(
    origin: bytes, incarnation: int, watermark: int, above: Iterable[int] = (),
    lost: Iterable[int] = (),
) -> LedgerState:  # fmt: skip
    """What a ledger knows that has recorded all up to ``watermark`` and some ``above``."""
    known = sorted({*range(1, watermark + 1), *above, *lost})
    return LedgerState(origin, incarnation, intervals.of(known), intervals.of(lost))


def bodies(messages) -> list[bytes]:
    return [kept.record.body for kept in messages]


class SqliteCase(SynchronousTestCase):
    def setUp(self):
        self.path = Path(self.mktemp()).absolute()
        self.path.mkdir()
        self.file = self.path / "messages.db"
        self.warnings: list[str] = []
        self.wall = 1000.0

    def open(self, kind: type[SqliteLog] = SqliteLog, **options) -> SqliteLog:
        log = kind(
            self.file,
            warn=self.warnings.append,
            wall=lambda: self.wall,
            **{"seconds": lambda: self.wall, **options},
        )
        self.addCleanup(log.close)
        return log

    def filled(self, count: int, **options) -> SqliteLog:
        log = self.open(**options)
        for sequence in range(1, count + 1):
            log.append(record(sequence), self.wall + sequence)
        log.commit()
        return log

    def reopened(self, log: SqliteLog, **options) -> SqliteLog:
        log.close()
        return self.open(**options)


class KeepingTests(SqliteCase):
    def test_what_was_appended_comes_back_whole_and_in_order(self):
        log = self.reopened(self.filled(5))
        self.assertEqual(bodies(log.newest(99)), [b"body-%d" % n for n in range(1, 6)])
        self.assertEqual(bodies(log.newest(2)), [b"body-4", b"body-5"])
        self.assertEqual(bodies(log.after("", 2)), [b"body-1", b"body-2"])
        self.assertEqual(bodies(log.after(str(message_id(2)), 2)), [b"body-3", b"body-4"])
        self.assertEqual(bodies(log.after(str(message_id(5)), 9)), [])
        kept = log.find(message_id(3))
        self.assertEqual(kept.record, record(3))
        self.assertEqual((kept.position, kept.received_at), (2, self.wall + 3))

    def test_an_empty_log_has_nothing_to_read(self):
        log = self.open()
        log.commit()
        self.assertEqual((len(log), log.first, log.position("")), (0, 0, -1))
        self.assertEqual((list(log.newest(5)), log.ledger(), log.failed), ([], [], ""))

    def test_what_is_not_kept_is_a_key_error(self):
        log = self.filled(3)
        for unknown in (str(message_id(9)), "nonsense", "zz.1.2", "a.b"):
            self.assertRaises(KeyError, log.after, unknown, 1)
        self.assertIsNone(log.find(message_id(9)))

    def test_what_is_not_committed_yet_is_read_and_is_gone_with_the_process(self):
        log = self.filled(2)
        log.append(record(3), 9.0)
        self.assertEqual(bodies(log.newest(2)), [b"body-2", b"body-3"])
        self.assertEqual(log.find(message_id(3)).position, 2)
        self.assertEqual(len(log), 3)
        log = self.reopened(log)
        self.assertEqual(len(log), 2)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 2, [])])

    def test_positions_go_on_after_a_start_again(self):
        log = self.reopened(self.filled(3))
        self.assertEqual(log.append(record(4), 9.0).position, 3)
        log.commit()
        self.assertEqual(log.position(str(message_id(4))), 3)
        self.assertEqual([kept.position for kept in log.beyond(-1, 9)], [0, 1, 2, 3])

    def test_the_ledger_is_that_of_the_messages(self):
        log = self.open()
        for sequence in (1, 2, 4, 9):
            log.append(record(sequence), 1.0)
        log.append(record(7, origin=OTHER), 1.0)
        log.commit()
        expected = [state(ORIGIN, 1, 2, [4, 9]), state(OTHER, 1, 0, [7])]
        self.assertEqual(log.ledger(), expected)
        self.assertEqual(self.reopened(log).ledger(), expected)

    def test_a_message_is_one_row_and_what_is_dropped_or_skipped_is_in_the_ledger(self):
        log = self.filled(9)
        states = "SELECT known, lost FROM ledger"
        self.assertEqual(log._table.db.execute(states).fetchall(), [])
        log = self.reopened(log, max_bytes=200)
        self.wall += 3600.0
        log.append(record(10), self.wall)
        log.commit()
        self.assertGreater(log.first, 5)
        self.assertEqual(log._table.db.execute(states).fetchall(), [(encode([1, 11]), encode([]))])
        log.skip([numbers(11)])
        log.append(record(12), self.wall)
        log.commit()
        row = encode([1, 13]), encode([11, 12])
        self.assertEqual(log._table.db.execute(states).fetchall(), [row])
        log.append(record(13), self.wall)
        log.commit()
        self.assertEqual(self.reopened(log).ledger(), [state(ORIGIN, 1, 13, lost=[11])])

    def test_a_kept_message_counts_as_recorded_exactly_if_its_row_is_there(self):
        log = self.filled(9)
        log._table.db.execute("DELETE FROM messages WHERE position = 4")
        self.assertEqual(self.reopened(log).ledger(), [state(ORIGIN, 1, 4, [6, 7, 8, 9])])

    def test_a_full_log_does_not_drop_something_for_every_message(self):
        log = self.open(max_bytes=100_000)
        drops = set()
        for sequence in range(1, 3001):
            log.append(record(sequence), self.wall)
            log.commit()
            drops.add(log.first)
        self.assertLess(len(drops) * 5, max(drops))
        self.assertEqual(self.reopened(log).ledger(), [state(ORIGIN, 1, 3000, [])])

    def test_what_is_given_up_is_known_and_not_kept(self):
        log = self.filled(1)
        log.skip([numbers(2, 4), numbers(5)])
        self.assertEqual(len(log), 1)
        log.commit()
        log = self.reopened(log)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 1, lost=[2, 3, 5])])
        self.assertIsNone(log.find(message_id(2)))

    def test_what_is_skipped_with_a_message_is_kept_with_it(self):
        log = self.filled(3)
        log.skip([numbers(9)])
        log.append(record(4), 1.0)
        log.commit()
        self.assertEqual(self.reopened(log).ledger(), [state(ORIGIN, 1, 4, lost=[9])])

    def test_a_message_that_comes_again_when_the_ledger_has_forgotten_it_is_kept_once(self):
        log = self.filled(3)
        log.append(record(2, b"again"), self.wall)
        log.append(record(4), self.wall)
        log.commit()
        log.checkpoint()
        self.assertEqual(log.failed, "")
        for _ in range(2):
            self.assertEqual(bodies(log.newest(9)), [b"body-%d" % n for n in (1, 2, 3, 4)])
            self.assertEqual(len(log), 4)
            log = self.reopened(log)
        log.append(record(4, b"again"), self.wall)
        log.append(record(5), self.wall)
        log.append(record(5, b"again"), self.wall)
        log.commit()
        log.checkpoint()
        log = self.reopened(log)
        self.assertEqual(bodies(log.newest(9)), [b"body-%d" % n for n in range(1, 6)])
        size = sum(len(kept.record.body) + ROUTE_BYTES for kept in log.newest(9))
        self.assertEqual(log.bytes, size)

    def test_the_kept_numbers_of_an_origin_are_known_whether_stored_or_pending(self):
        log = self.open()
        for sequence in (1, 200, 70_000, 5, 1 << 40):
            log.append(record(sequence), self.wall)
        log.append(record(7, origin=OTHER), self.wall)
        log.commit()
        log.checkpoint()
        for sequence in (6, 300):
            log.append(record(sequence), self.wall)
        known = [1, 2, 5, 7, 200, 201, 300, 301, 70_000, 70_001, 1 << 40, (1 << 40) + 1]
        self.assertEqual(log.kept((ORIGIN, 1)), known)
        self.assertEqual(log.kept((OTHER, 1)), [7, 8])
        self.assertEqual(log.kept((OTHER, 2)), [])

    def test_a_file_is_one_logs_alone(self):
        self.filled(1)
        other = sqlite3.connect(self.file, timeout=0.0)
        self.addCleanup(other.close)
        self.assertRaises(sqlite3.OperationalError, other.execute, "SELECT * FROM messages")

    def test_messages_of_one_route_share_its_bytes_and_nothing_else(self):
        log = self.open()
        route = record(1).route
        for sequence in (1, 2):
            log.append(Record(message_id(sequence), 5.5, b"x%d" % sequence, route), 1.0)
        log.append(record(3, origin=OTHER), 1.0)
        log.commit()
        kept = self.reopened(log).newest(3)
        self.assertEqual(
            [k.record.route for k in kept], [route, route, record(3, origin=OTHER).route]
        )

    def test_origins_beyond_the_limit_are_forgotten_oldest_start_first(self):
        log = self.filled(1)
        log._table.db.executemany(
            UPSERT_LEDGER,
            (ledger_row(state(OTHER, n, 1, [])) for n in range(2, 70_000)),
        )
        log = self.reopened(log)
        states = log.ledger()
        self.assertEqual(len(states), 65_536)
        self.assertEqual(max(state.incarnation for state in states), 69_999)
        rows = log._table.db.execute("SELECT count(*), min(incarnation) FROM ledger").fetchone()
        self.assertEqual(rows, (65_536, 70_000 - 65_536))


WRITER = """
import os, sys, time
from pathlib import Path
from chordnet.storage.log.sqlite import SqliteLog
from tests.unit.test_storage_sqlite import record
log = SqliteLog(Path(sys.argv[1]), durability=sys.argv[2])
sequence = 0
while True:
    for _ in range(7):
        sequence += 1
        log.append(record(sequence, os.urandom(3000)), time.time())
    if sys.argv[3] == "exit" and sequence > 700:
        os._exit(0)
    log.commit()
    os.write(1, b"%d\\n" % sequence)
"""


class CrashTests(SqliteCase):
    """A process that dies after a commit has lost nothing, and left nothing half done."""

    def crash(self, durability: str, how: str) -> int:
        """Let a process commit until it ends; return the last message that it said it committed."""
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self.file), durability, how],
            stdout=subprocess.PIPE, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert writer.stdout is not None
        said = 0
        for line in writer.stdout:
            said = int(line)
            if how == "kill" and said > 350:
                writer.send_signal(signal.SIGKILL)
                break
        said = max([said, *map(int, writer.stdout.read().split())])
        writer.stdout.close()
        writer.wait()
        return said

    def check(self, said: int) -> int:
        log = self.open()
        kept = log.newest(10_000)
        count = len(kept)
        # The last commit may have come through without having been told of.
        self.assertIn(count, (said, said + 7))
        self.assertEqual([k.record.id.sequence for k in kept], list(range(1, count + 1)))
        self.assertTrue(all(len(k.record.body) == 3000 for k in kept))
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, count, [])])
        self.assertEqual(self.warnings, [])
        return count

    def test_a_process_that_ends_before_a_commit_loses_just_that(self):
        said = self.crash("process", "exit")
        self.assertEqual(said, 700)
        self.assertEqual(self.check(said), said)

    def test_a_killed_process_loses_nothing_that_it_committed(self):
        self.check(self.crash("process", "kill"))

    def test_a_killed_process_that_syncs_loses_nothing_that_it_committed(self):
        self.check(self.crash("power", "kill"))

    def test_durability_power_syncs_and_process_leaves_it_to_the_system(self):
        for durability, level in (("process", 0), ("power", 2)):
            log = self.open(durability=durability)
            self.assertEqual(log._table.db.execute("PRAGMA synchronous").fetchone()[0], level)
            self.assertEqual(log._table.db.execute("PRAGMA journal_mode").fetchone()[0], "wal")
            log.close()


class RetentionTests(SqliteCase):
    def kept_of(self, *sizes: int) -> tuple[int, int]:
        """Return how many messages of these sizes are kept in 6,400 bytes, and their bytes."""
        self.file = self.path / f"{sum(sizes)}-{len(sizes)}.db"
        log = self.open(max_bytes=6400)
        route = ROUTE_BYTES
        for sequence, size in enumerate(sizes, 1):
            log.append(record(sequence, bytes(size - route)), self.wall)
        log.commit()
        log.checkpoint()
        return len(log), log.bytes

    def test_what_was_given_up_is_known_after_any_number_of_starts(self):
        log = self.filled(3)
        log.skip([numbers(10, 13), numbers(5, 7, origin=OTHER)])
        log.commit()
        expected = log.ledger()
        self.assertEqual(len(expected), 2)
        for _ in range(3):
            log = self.reopened(log)
            self.assertEqual(log.ledger(), expected)

    def test_without_a_hole_the_last_dropped_place_is_the_one_before_the_first(self):
        self.assertEqual(self.open().dropped_to, -1)
        self.file = self.path / "full.db"
        log = self.open(max_bytes=2000)
        for sequence in range(1, 11):
            log.append(record(sequence, bytes(500)), self.wall)
        log.commit()
        log = self.reopened(log, max_bytes=2000)
        self.assertGreater(log.first, 0)
        self.assertEqual(log.dropped_to, log.first - 1)

    def test_what_is_still_ahead_of_the_database_has_its_places_after_a_start(self):
        log = self.filled(2)
        log.checkpoint()
        for sequence in (3, 4, 5):
            log.append(record(sequence), self.wall)
            log.commit()
        dead = self.path.with_name("dead")
        shutil.copytree(self.path, dead)  # as a killed process leaves it
        self.file = dead / "messages.db"
        log = self.open()
        self.assertEqual([kept.position for kept in log.newest(9)], [0, 1, 2, 3, 4])
        self.assertEqual((len(log), log.waiting, log.last), (5, 3, 4))

    def test_holes_are_known_again_after_a_start(self):
        log = self.open(max_bytes=2000)
        log.append(record(1, origin=OTHER), self.wall)
        for sequence in range(1, 11):
            log.append(record(sequence, bytes(500)), self.wall)
        log.commit()
        log.checkpoint()
        positions = [kept.position for kept in log.newest(99)]
        self.assertEqual((positions[0], positions[-1], log.first), (0, 10, 0))
        self.assertEqual(log.dropped_to, positions[1] - 1)
        log = self.reopened(log, max_bytes=2000)
        self.assertEqual((log.first, log.last), (0, 10))
        self.assertEqual(log.dropped_to, positions[1] - 1)

    def test_of_two_equal_origins_one_message_makes_the_room_of_one_message(self):
        log = self.open(max_bytes=5993)  # of which 5,900 stay
        for sequence in range(1, 31):
            for origin in (ORIGIN, OTHER):
                body = bytes(100 - ROUTE_BYTES)
                log.append(record(sequence, body, origin=origin), self.wall)
        log.commit()
        log.checkpoint()
        self.assertEqual((len(log), log.bytes), (59, 5900))

    def test_ages_are_looked_at_every_minute_and_when_the_clock_was_set_back(self):
        # The first message is too old from the beginning; the newest of all stays.
        for wall, kept in ((1000.0, 2), (1060.0, 2), (1060.5, 1), (999.5, 1)):
            self.file = self.path / f"{wall}.db"
            self.wall = 1000.0
            log = self.open(max_age=30.0, seconds=lambda: 0.0)
            log.append(record(1), 900.0)
            log.commit()
            log.checkpoint()
            self.assertEqual(len(log), 1)
            self.wall = wall
            log.append(record(2), self.wall)
            log.commit()
            log.checkpoint()
            self.assertEqual(len(log), kept, wall)

    def test_what_was_dropped_is_in_the_ledger_on_the_disk_in_the_same_moment(self):
        log = self.open(max_bytes=2000)
        for sequence in range(1, 11):
            log.append(record(sequence, bytes(500)), self.wall)
        log.commit()
        log.checkpoint()
        self.assertLess(len(log), 5)
        dead = self.path.with_name("dead")
        shutil.copytree(self.path, dead)  # as a killed process leaves it
        self.file = dead / "messages.db"
        self.assertEqual(self.open(max_bytes=2000).ledger(), [state(ORIGIN, 1, 10, [])])

    def test_the_place_before_more_rows_than_there_are_is_the_one_before_the_first(self):
        log = self.filled(9, max_bytes=5 * (ROUTE_BYTES + 6))
        log.checkpoint()
        table = log._table
        self.assertGreater(table.first, 0)
        self.assertEqual(table.before_newest(table.count), table.first - 1)
        self.assertEqual(table.before_newest(99), table.first - 1)

    def test_an_origin_of_which_nothing_is_kept_has_no_share(self):
        log = self.open(max_age=10.0)
        log.append(record(1), self.wall)
        log.append(record(1, origin=OTHER), self.wall)
        log.commit()
        log.checkpoint()
        self.assertEqual(len(log._table._shares), 2)
        self.wall += 100.0
        log.append(record(2, origin=OTHER), self.wall)
        log.commit()
        log.checkpoint()
        self.assertEqual((len(log), len(log._table._shares)), (1, 1))

    def test_a_full_log_makes_room_to_the_byte_for_a_64th_more_than_it_has_to(self):
        rest = [1000] * 5
        self.assertEqual(self.kept_of(100, 200, 1100, *rest), (8, 6400))
        self.assertEqual(self.kept_of(101, 200, 1100, *rest), (7, 6300))
        self.assertEqual(self.kept_of(101, 200, 1101, *rest), (6, 6101))
        self.assertEqual(self.kept_of(102, 200, 1101, *rest), (6, 6101))

    def test_the_oldest_go_beyond_the_bytes_kept_and_the_ledger_remembers(self):
        log = self.open(max_bytes=100_000)
        for sequence in range(1, 301):
            log.append(record(sequence, bytes(1000)), self.wall)
            log.commit()
            self.assertLessEqual(log.bytes, 100_000)
        self.assertEqual(log.first + len(log), 300)
        self.assertGreater(len(log), 80)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 300, [])])
        self.assertIsNone(log.find(message_id(1)))
        self.assertRaises(KeyError, log.position, str(message_id(1)))
        first, count, size = log.first, len(log), log.bytes
        log = self.reopened(log, max_bytes=100_000)
        self.assertEqual((log.first, len(log), log.bytes), (first, count, size))
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 300, [])])
        self.assertEqual(bodies(log.beyond(5, 1)), [bytes(1000)])

    def test_the_file_does_not_outgrow_what_is_kept_by_much(self):
        log = self.open(max_bytes=200_000)
        for sequence in range(1, 2001):
            log.append(record(sequence, bytes(1000)), self.wall)
            if sequence % 10 == 0:
                log.commit()
        log.close()
        self.assertLess(sum(f.stat().st_size for f in self.path.iterdir()), 800_000)

    def test_a_message_over_the_limit_is_kept_until_the_next(self):
        log = self.open(max_bytes=1000)
        for sequence in (1, 2):
            log.append(record(sequence, bytes(5000)), self.wall)
            log.commit()
            self.assertEqual((len(log), log.first), (1, sequence - 1))

    def flood(self, **options) -> SqliteLog:
        """Two origins say a little, a third one far too much."""
        log = self.open(max_bytes=100_000, **options)
        for number in range(1, 11):
            log.append(record(number, bytes(1000)), self.wall)
            log.append(record(number, bytes(100), OTHER), self.wall)
        for number in range(1, 1001):
            log.append(record(number, bytes(1000), bytes([2] * 20)), self.wall)
            if number % 7 == 0:
                log.commit()
        log.commit()
        return log

    def test_an_origin_that_floods_the_log_drops_its_own_messages_alone(self):
        log = self.flood()
        for again in (False, True):
            if again:
                log = self.reopened(log, max_bytes=100_000)
            self.assertLessEqual(log.bytes, 100_000)
            for number in range(1, 11):
                self.assertIsNotNone(log.find(message_id(number)))
                self.assertIsNotNone(log.find(message_id(number, OTHER)))
            kept = [k.record.id.sequence for k in log.beyond(-1, 999)][20:]
            self.assertEqual(kept, list(range(kept[0], 1001)))
            self.assertGreater(len(kept), 70)
            self.assertEqual((log.first, log.last, len(log)), (0, 1019, 20 + len(kept)))
            self.assertEqual(log.dropped, 1000 - len(kept))
            self.assertEqual(log.dropped_to, 1019 - len(kept))
            self.assertEqual([k.record.id.sequence for k in log.newest(2)], [999, 1000])

    def test_the_newest_so_many_are_found_whatever_holes_there_are(self):
        log = self.flood()
        for again in (False, True):
            if again:
                log = self.reopened(log, max_bytes=100_000)
            places = [kept.position for kept in log.beyond(-1, 9999)]
            for limit in range(1, len(places) + 1):
                self.assertEqual([k.position for k in log.newest(limit)], places[-limit:])
            self.assertEqual([k.position for k in log.newest(len(places) + 1)], places)

    def test_two_origins_that_flood_share_what_the_others_leave(self):
        log = self.open(max_bytes=100_000)
        log.append(record(1), self.wall)
        for number in range(1, 301):
            for origin in (OTHER, bytes([2] * 20)):
                log.append(record(number, bytes(1000), origin), self.wall)
            log.commit()
        kept = Counter(k.record.id.origin for k in log.beyond(-1, 999))
        self.assertEqual(kept[ORIGIN], 1)
        self.assertLess(abs(kept[OTHER] - kept[bytes([2] * 20)]), 6)
        self.assertGreater(kept.total(), 80)

    def test_a_full_log_touches_few_rows_at_a_time(self):
        log = self.flood()
        counts = []
        for number in range(1001, 1101):
            before = len(log)
            log.append(record(number, bytes(1000), bytes([2] * 20)), self.wall)
            log.commit()
            counts.append(before + 1 - len(log))
        self.assertLessEqual(max(counts), 512)
        self.assertGreater(counts.count(0), 40)

    def test_a_log_whose_limit_is_lower_now_drops_512_rows_at_a_time_whosever_they_are(self):
        log = self.open()
        for number in range(1, 801):
            for origin in (OTHER, bytes([2] * 20)):
                log.append(record(number, bytes(100), origin), self.wall)
        log.commit()
        log = self.reopened(log, max_bytes=20_000)
        counts = [len(log)]
        for number in range(1, 5):
            log.append(record(number), self.wall)
            log.skip([numbers(1000 + number)])
            log.commit()
            counts.append(len(log))
        dropped = [before + 1 - after for before, after in itertools.pairwise(counts)]
        self.assertEqual(dropped[:2], [512, 512])
        self.assertLess(dropped[2], 512)
        self.assertLessEqual(log.bytes, 20_000)

    def test_the_oldest_messages_go_by_age(self):
        log = self.open(max_age=3600.0)
        for sequence in range(1, 11):
            self.wall += 600
            log.append(record(sequence), self.wall)
            log.commit()
        self.assertEqual(bodies(log.newest(1)), [b"body-10"])
        ages = [self.wall - kept.received_at for kept in log.newest(99)]
        self.assertEqual(max(ages), 3600.0)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 10, [])])

    def test_the_newest_message_stays_however_old_so_that_positions_go_on(self):
        log = self.filled(3, max_age=60.0)
        self.wall += 1e6
        log.skip([numbers(9)])
        log.commit()
        self.assertEqual((len(log), log.first), (1, 2))
        self.assertEqual(self.reopened(log).append(record(4), self.wall).position, 3)

    def test_what_is_recorded_in_the_very_moment_of_the_next_look_at_ages_waits_for_a_checkpoint(
        self,
    ):
        log = self.filled(1)
        at = log._table.prune_at
        for late, waiting in ((0.0, 1), (0.001, 0)):
            log.append(record(2 + (late > 0)), at + late)
            log.commit()
            self.assertEqual(log.waiting, waiting)

    def test_many_old_messages_go_step_by_step(self):
        log = self.filled(1500, max_age=60.0)
        self.wall += 10_000
        counts = []
        for sequence in range(1501, 1506):
            log.append(record(sequence), self.wall)
            log.commit()
            counts.append(len(log))
        self.assertEqual(counts, [989, 478, 3, 4, 5])


class ReadingDamageTests(SqliteCase):
    def test_whatever_cannot_be_read_fails_the_log_with_what_is_wrong(self):
        for read in (
            lambda log: log.find(message_id(2)),
            lambda log: log.beyond(0, 5),
            lambda log: log.missing_beyond(0),
            lambda log: log.newest(1),
        ):
            self.file = self.path / f"{len(list(self.path.iterdir()))}.db"
            log = self.filled(3)
            log.checkpoint()
            log._table.db.execute("DROP TABLE messages")
            error = self.assertRaises(LogFailed, read, log)
            expected = f"the message log {self.file} cannot be read: no such table: messages"
            self.assertEqual((str(error), log.failed), (expected, expected))

    def test_a_place_that_has_to_be_looked_for_and_cannot_be_read_fails_the_log(self):
        log = self.open(max_bytes=2000)
        for sequence in (1, 2):
            log.append(record(sequence, origin=OTHER), self.wall)
        for sequence in range(1, 11):
            log.append(record(sequence, bytes(500)), self.wall)
        log.commit()
        log.checkpoint()
        kept = len(log)
        self.assertEqual(log.before_newest(kept - 1), 0)
        log._table.db.execute("DROP TABLE messages")
        self.assertRaises(LogFailed, log.before_newest, kept - 1)
        self.assertIn("cannot be read: no such table", log.failed)

    def test_a_sound_row_that_is_no_message_fails_the_log_and_it_still_reads_what_it_can(self):
        log = self.filled(200)
        log._table.db.execute("UPDATE messages SET route = x'ff' WHERE position = 77")
        log._table.db.execute(MIGRATIONS[1].split(";")[1])
        error = self.assertRaises(LogFailed, log.beyond, 76, 1)
        self.assertIn("cannot be read: the message at position 77 is damaged", str(error))
        self.assertEqual(log.failed, str(error))
        self.assertEqual(len(log.beyond(100, 20)), 20)
        log.append(record(201), 1.0)
        self.assertRaises(LogFailed, log.commit)

    def test_a_page_damaged_while_it_is_open(self):
        self.filled(2000).close()
        log = self.open()
        log._table.db.execute("PRAGMA cache_size = 2")
        with self.file.open("r+b") as file:
            pages = self.file.stat().st_size // 4096
            for page in range(pages // 4, 3 * pages // 4):
                file.seek(page * 4096)
                file.write(os.urandom(4096))
        error = self.assertRaises(LogFailed, log.newest, 2000)
        self.assertIn("cannot be read", str(error))
        log.close()
        self.assertEqual(len(self.open()), 0)
        self.assertEqual(len(self.warnings), 1)


class ChecksumTests(SqliteCase):
    """A row that is not what was written is missing, never wrong."""

    CHANGES = (
        "body = x'00'", "body = 'text'", "route = x'90'", "created = 1.0", "received_at = NULL",
        "checksum = 7", "checksum = NULL", "checksum = 'text'",
    )  # fmt: skip

    def spoil(self, log: SqliteLog, position: int, change: str) -> None:
        log._table.db.execute("PRAGMA ignore_check_constraints = 1")
        change = change.replace("NULL", "'text'")  # the schema lets nothing be NULL
        log._table.db.execute(f"UPDATE messages SET {change} WHERE position = {position}")  # noqa: S608

    def test_a_damaged_row_is_found_while_reading(self):
        for change in self.CHANGES:
            with self.subTest(change):
                self.setUp()
                log = self.filled(9)
                self.spoil(log, 4, change)
                expected = [b"body-%d" % n for n in (1, 2, 3, 4, 6, 7, 8, 9)]
                self.assertEqual(bodies(log.newest(99)), expected)
                self.assertIsNone(log.find(message_id(5)))
                self.assertEqual((log.failed, log.spoiled), ("", {message_id(5)}))
                log.commit()
                self.assertEqual(log.ledger(), [state(ORIGIN, 1, 4, [6, 7, 8, 9])])
                self.assertEqual(len(self.warnings), 1)
                self.assertIn(f"damaged messages in {self.file}: 1; they", self.warnings[0])
                self.assertEqual([len(log), len(self.reopened(log))], [8, 8])
                self.assertEqual(len(self.warnings), 1)

    def test_a_damaged_row_is_found_when_the_file_is_opened(self):
        log = self.filled(9)
        for position in (0, 4, 8):
            self.spoil(log, position, "body = x'00'")
        log = self.reopened(log)
        self.assertEqual(bodies(log.newest(99)), [b"body-%d" % n for n in (2, 3, 4, 6, 7, 8)])
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 0, [2, 3, 4, 6, 7, 8])])
        self.assertEqual((log.spoiled, len(self.warnings)), (set(), 1))
        self.assertEqual(len(self.reopened(log)), 6)
        self.assertEqual(len(self.warnings), 1)

    def test_a_damaged_message_is_kept_anew_when_it_comes_again(self):
        log = self.filled(3)
        self.spoil(log, 1, "body = x'00'")
        self.assertIsNone(log.find(message_id(2)))
        log.append(record(2), 1.0)
        log.commit()
        self.assertEqual(bodies(log.newest(9)), [b"body-1", b"body-3", b"body-2"])
        self.assertEqual(bodies(log.newest(1)), [b"body-2"])
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 3)])
        log = self.reopened(log)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 3)])
        self.assertEqual(log.find(message_id(2)).position, 3)

    def test_a_damaged_message_is_missing_after_a_start_again_whatever_the_ledger_said(self):
        """The ledger names its origin, for another message of it is kept no more."""
        for found_by in ("reading", "opening"):
            with self.subTest(found_by):
                self.setUp()
                log = self.filled(3)
                log.skip([numbers(4)])
                log.commit()
                self.spoil(log, 1, "checksum = 7")
                if found_by == "reading":
                    self.assertIsNone(log.find(message_id(2)))
                    log.commit()
                log = self.reopened(log)
                self.assertEqual(log.spoiled, set(), "nobody has been told that it was there")
                log = self.reopened(log)
                self.assertEqual(log.ledger(), [state(ORIGIN, 1, 1, [3], lost=[4])])

    def test_what_is_dropped_weighs_nothing_any_more(self):
        log = self.filled(9)
        self.spoil(log, 4, "checksum = 7")
        log.newest(99)
        log.commit()
        log.append(record(10), 1.0)
        log.commit()
        self.assertEqual(len(self.warnings), 1, "it is dropped once")
        self.assertEqual((len(log), log.bytes), (9, self.reopened(log).bytes))

    def test_a_row_whose_name_is_damaged_is_dropped_with_the_oldest(self):
        log = self.filled(3, max_age=60.0)
        self.spoil(log, 0, "id = x'ff'")
        self.wall += 1e6
        log.append(record(4), self.wall)
        log.commit()
        self.assertEqual(bodies(log.newest(9)), [b"body-4"])

    def test_a_whole_page_of_damage_does_not_look_like_the_end(self):
        log = self.filled(20)
        for position in range(3, 12):
            self.spoil(log, position, "body = x'00'")
        self.assertEqual(bodies(log.beyond(2, 4)), [b"body-13", b"body-14", b"body-15"])

    def test_a_row_whose_name_is_damaged_is_dropped_and_nothing_else_is_missing(self):
        log = self.filled(3)
        self.spoil(log, 1, "id = x'ff'")
        self.assertEqual(bodies(log.newest(9)), [b"body-1", b"body-3"])
        log.commit()
        self.assertEqual((log.ledger(), log.spoiled), ([state(ORIGIN, 1, 3)], set()))

    def test_a_damaged_ledger_is_damage_of_the_file(self):
        log = self.filled(3)
        log.skip([numbers(4)])
        log.commit()
        log._table.db.execute("UPDATE ledger SET incarnation = 5")
        self.assertEqual(len(self.reopened(log)), 0)
        self.assertIn("a row of the ledger is damaged", self.warnings[0])

    def test_a_row_of_the_ledger_that_another_program_wrote_is_looked_at(self):
        row = ledger_row(state(ORIGIN, 1, 4, [6], lost=[6]))
        self.assertEqual(ledger_state(row), state(ORIGIN, 1, 4, lost=[6]))
        known, lost = row[2:4]
        for wrong in (
            ("text", 1, known, lost), (ORIGIN, "1", known, lost), (ORIGIN, 1, encode([4]), lost),
            (ORIGIN, 1, encode([5, 1]), encode([])), (ORIGIN, 1, encode([1, 1 << 63]), encode([])),
            (ORIGIN, 1, encode([1, 5]), lost), (ORIGIN, 1, known, encode([6])),
        ):  # fmt: skip
            self.assertRaises(SpoiledRow, ledger_state, (*wrong, checksum(*wrong)))

    def test_a_row_of_values_that_nothing_writes_is_not_sound(self):
        for value in ("\ud800", object()):
            self.assertFalse(is_sound((value, 7)))

    def test_a_broken_index_is_damage_of_the_file(self):
        log = self.filled(2000)
        (page,) = log._table.db.execute(
            "SELECT rootpage FROM sqlite_master WHERE type = 'index' AND tbl_name = 'messages'"
        ).fetchone()
        log.close()
        with self.file.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        self.assertEqual(len(self.open()), 0)
        self.assertEqual(len(self.warnings), 1)

    def test_a_file_from_before_there_were_checksums_is_read(self):
        database = sqlite3.connect(self.file, isolation_level=None)
        database.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
        for n in range(1, 6):
            kept = KeptMessage(n + 10, 7.5, record(n))
            database.execute(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", encoded_rows([kept])[0][0][:-1]
            )
        database.execute("INSERT INTO ledger VALUES (?, 1, 7, ?)", (ORIGIN, encode([9, 12, 10])))
        database.close()
        log = self.open()
        self.assertEqual([kept.record for kept in log.newest(9)], [record(n) for n in range(1, 6)])
        expected = [state(ORIGIN, 1, 7, [9, 10, 12])]
        self.assertEqual((log.ledger(), self.warnings, log.first), (expected, [], 11))
        self.spoil(log, 12, "body = x'00'")
        self.assertEqual(len(log.newest(9)), 4)
        log.close()
        self.assertEqual(sqlite3.connect(self.file).execute("PRAGMA user_version").fetchone(), (6,))


class FullDiskTests(SqliteCase):
    def full(self, pages_left: int = 0) -> SqliteLog:
        log = self.filled(20)
        pages = log._table.db.execute("PRAGMA page_count").fetchone()[0]
        log._table.db.execute(f"PRAGMA max_page_count = {pages + pages_left}")
        self.wall += 100  # so that the next commit is a checkpoint
        return log

    def test_a_commit_that_does_not_fit_keeps_nothing_of_it_and_none_after_it_succeeds(self):
        log = self.full()
        for sequence in range(21, 24):
            log.append(record(sequence, bytes(20_000)), self.wall)
        error = self.assertRaises(LogFailed, log.commit)
        self.assertIn("full", str(error))
        self.assertIn(str(self.file), str(error))
        self.assertEqual(log.failed, str(error))
        self.assertIsNone(log.find(message_id(21)))
        self.assertEqual(bodies(log.newest(99)[-1:]), [b"body-20"])
        log.append(record(24), self.wall)
        self.assertIsNone(log.find(message_id(24)))
        self.assertRaises(LogFailed, log.commit)

    def test_a_part_that_was_written_before_it_failed_is_not_read(self):
        log = self.filled(20)
        self.wall += 100
        log._table.db.execute(
            "CREATE TRIGGER stuck BEFORE INSERT ON messages WHEN new.position = 21"
            " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        )
        for sequence in (21, 22):
            log.append(record(sequence), self.wall)
        self.assertEqual(log.last, 21)
        self.assertRaises(LogFailed, log.commit)
        self.assertIsNone(log.find(message_id(21)))
        log.append(record(23), self.wall)
        self.assertEqual(log.last, 19)
        self.assertEqual(bodies(log.newest(1)), [b"body-20"])

    def test_after_a_full_disk_the_file_is_sound_and_holds_what_was_confirmed(self):
        log = self.full()
        log.append(record(21, bytes(20_000)), self.wall)
        self.assertRaises(LogFailed, log.commit)
        log = self.reopened(log)
        self.assertEqual(len(log), 20)
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 20, [])])
        self.assertEqual(self.warnings, [])

    def test_a_failure_while_old_messages_are_dropped_fails_the_log(self):
        log = self.filled(20, max_bytes=1)
        log.append(record(21), self.wall)
        log._table.db.execute("CREATE TRIGGER stuck BEFORE DELETE ON messages"
                        " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")  # fmt: skip
        error = self.assertRaises(LogFailed, log.commit)
        self.assertIn("disk I/O error", str(error))
