"""What is written ahead of the database: what survives, what is cut off, what is told of."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import msgspec

from chordnet.core.base.errors import LogFailed
from chordnet.storage.base.ahead import Entry, UnknownKind, WriteAhead
from chordnet.storage.log.rows import Recorded, decoded_row, kept_message
from chordnet.storage.log.sqlite import AHEAD_BYTES, AHEAD_MESSAGES, SqliteLog
from tests.unit.storage_support import SmallFiles, frames, left_by_death
from tests.unit.test_storage_sqlite import (
    ORIGIN,
    SqliteCase,
    bodies,
    message_id,
    numbers,
    record,
    state,
)

LEFT = Path(__file__).with_name("ahead-untyped") / "messages.db-ahead"
"""Written before entries had kinds: a commit of two messages, then one of one message."""


class Stored(Entry, frozen=True, tag="stored"):
    """What another part than the log writes ahead."""

    key: str
    value: bytes


class AheadCase(SqliteCase):
    def setUp(self):
        super().setUp()
        self.ahead = self.file.with_name("messages.db-ahead")

    def opened(self, sync=None, kinds=(Recorded,)) -> WriteAhead:
        return WriteAhead(self.ahead, kinds, sync)

    def written(self, count: int, turns: int = 1, **options) -> SqliteLog:
        """Return a log that has committed messages ahead of its database, so many a turn."""
        log = self.open(**options)
        log.skip([numbers(1, origin=bytes([7] * 20))])
        log.commit()  # a file's first commit is a checkpoint
        for turn in range(turns):
            for sequence in range(turn * count + 1, turn * count + count + 1):
                log.append(record(sequence), self.wall)
            log.commit()
        self.assertEqual(log.waiting, count * turns)
        return log

    def killed(self, log: SqliteLog) -> None:
        left_by_death(self.path, log.close)

    def again(self, log: SqliteLog, **options) -> SqliteLog:
        self.killed(log)
        return self.open(**options)

    def sequences(self, log: SqliteLog) -> list[int]:
        return [kept.record.id.sequence for kept in log.newest(9999)]

    def in_database(self) -> int:
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True) as db:
            (count,) = db.execute("SELECT count(*) FROM messages").fetchone()
        db.close()
        return count


class CommitTests(AheadCase):
    def test_a_commit_is_kept_ahead_and_a_checkpoint_moves_it(self):
        log = self.written(3, turns=2)
        self.assertEqual((log._table.count, len(log), log.last), (0, 6, 5))
        size = log.bytes
        log.checkpoint()
        self.assertEqual((log._table.count, len(log), log.last), (6, 6, 5))
        self.assertEqual((log.waiting, log.bytes, self.ahead.stat().st_size), (0, size, 0))
        self.assertEqual(self.sequences(log), [1, 2, 3, 4, 5, 6])

    def test_what_was_committed_comes_back_after_the_death_of_the_process(self):
        for durability in ("process", "power"):
            with self.subTest(durability):
                self.setUp()
                log = self.again(self.written(3, turns=2, durability=durability))
                self.assertEqual((log._table.count, log.waiting), (0, 6))
                self.assertEqual(log.find(message_id(4)).record, record(4))
                self.assertEqual([kept.position for kept in log.newest(2)], [4, 5])
                self.assertIn(state(ORIGIN, 1, 6, []), log.ledger())
                self.assertEqual(log.append(record(7), self.wall).position, 6)
                log.commit()
                self.assertEqual(self.sequences(self.again(log)), [1, 2, 3, 4, 5, 6, 7])
                self.assertEqual(self.warnings, [])

    def test_what_the_database_has_already_is_not_there_twice(self):
        """The process died after a checkpoint's transaction, and before it emptied the file."""
        log = self.written(3)
        ahead = self.ahead.read_bytes()
        log.checkpoint()
        self.ahead.write_bytes(ahead)
        log = self.again(log)
        self.assertEqual((log.waiting, self.sequences(log)), (0, [1, 2, 3]))
        log.append(record(4), self.wall)
        log.commit()
        self.assertEqual(self.sequences(self.again(log)), [1, 2, 3, 4])

    def test_every_commit_and_the_new_file_is_synced_if_asked(self):
        synced: list[str] = []

        def sync(descriptor: int) -> None:
            synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

        ahead = self.opened(sync)
        self.assertEqual(synced, [str(self.path)])
        ahead.commit(Recorded([b"\x90"]))
        ahead.commit(Recorded([b"\x90"]))
        self.assertEqual(synced[1:], [str(self.ahead)] * 2)
        ahead.close()
        self.opened(sync).close()
        self.assertEqual(len(synced), 3)
        self.ahead.unlink()
        for durability, expected in (("power", os.fdatasync), ("process", None)):
            log = self.open(durability=durability)
            self.assertIs(log._ahead._sync, expected)
            log.close()

    def test_a_log_that_is_closed_leaves_one_file(self):
        self.written(3).close()
        self.assertEqual([path.name for path in self.path.iterdir()], ["messages.db"])
        self.assertEqual(self.in_database(), 3)

    def test_closing_twice_takes_nothing_from_whoever_opened_it_since(self):
        first = self.open()
        first.close()
        second = self.open()
        first.close()
        self.assertTrue(self.ahead.exists())
        second.append(record(1), self.wall)
        second.commit()
        self.assertEqual(self.sequences(self.again(second)), [1])

    def test_pages_go_from_the_database_to_what_is_ahead_of_it(self):
        log = self.written(3)
        log.checkpoint()
        for sequence in (4, 5, 6):
            log.append(record(sequence), self.wall)
        log.commit()
        log.append(record(7), self.wall)
        for position, limit, expected in (
            (-1, 99, [1, 2, 3, 4, 5, 6, 7]),
            (0, 3, [2, 3, 4]),
            (2, 2, [4, 5]),
            (4, 99, [6, 7]),
            (6, 99, []),
        ):
            found = [kept.record.id.sequence for kept in log.beyond(position, limit)]
            self.assertEqual(found, expected)

    def test_so_many_messages_are_written_ahead_at_most(self):
        log = self.written(AHEAD_MESSAGES)
        log.append(record(AHEAD_MESSAGES + 1), self.wall)
        log.commit()
        self.assertEqual((log.waiting, log._table.count), (0, AHEAD_MESSAGES + 1))

    def test_so_many_bytes_are_written_ahead_at_most(self):
        log = self.written(1)
        for sequence in range(2, 200):
            log.append(record(sequence, bytes(60_000)), self.wall)
            log.commit()
            self.assertLessEqual(self.ahead.stat().st_size, AHEAD_BYTES + 60_000)
        self.assertGreater(log._table.count, 100)
        self.assertGreater(log.waiting, 1)

    def test_what_is_more_than_new_messages_is_a_checkpoint(self):
        log = self.written(3)
        log.append(record(4), self.wall)
        log.skip([numbers(6)])
        log.commit()
        self.assertEqual((log.waiting, log._table.count), (0, 4))
        self.assertIn(state(ORIGIN, 1, 4, lost=[6]), self.again(log).ledger())

    def test_a_damaged_row_is_dropped_though_others_wait(self):
        log = self.written(3)
        log.checkpoint()
        log._table.db.execute("UPDATE messages SET body = x'00' WHERE position = 1")
        log.append(record(4), self.wall)
        log.commit()
        self.assertIsNone(log.find(message_id(2)))
        log.append(record(2), self.wall)
        log.commit()
        self.assertEqual(self.sequences(log), [1, 3, 4, 2])
        self.assertEqual(self.sequences(self.again(log)), [1, 3, 4, 2])


class EntryTests(AheadCase):
    """What the entries of a frame are, and who can read them."""

    def both(self) -> WriteAhead:
        ahead = self.opened(kinds=(Recorded, Stored))
        self.addCleanup(ahead.close)
        return ahead

    def test_entries_of_several_kinds_are_one_frame_that_is_whole_or_not_there(self):
        ahead, entries = self.both(), [Recorded([b"one", b"two"]), Stored("pear", b"ripe")]
        ahead.put(entries[0])
        self.assertEqual(ahead.size, 0)
        ahead.commit(entries[1])
        length = ahead.size
        self.assertEqual(int.from_bytes(self.ahead.read_bytes()[:4], "big"), length - 12)
        self.assertEqual(ahead.read(), entries)
        ahead.commit(Stored("plum", b"green"), Recorded([b"three"]))
        self.assertEqual(len(ahead.read()), 4)
        for cut in range(length, ahead.size):
            copy = self.path / "cut"
            copy.write_bytes(self.ahead.read_bytes()[:cut])
            torn = WriteAhead(copy, (Recorded, Stored), None)
            self.assertEqual((torn.read(), torn.damaged), (entries, 0))
            torn.close()

    def test_a_commit_of_nothing_writes_nothing(self):
        ahead = self.both()
        ahead.commit()
        self.assertEqual((ahead.size, self.ahead.stat().st_size), (0, 0))

    def test_an_empty_file_that_is_gone_already_may_be_closed_and_one_with_something_stays(self):
        ahead = self.both()
        self.ahead.unlink()
        ahead.close()
        ahead.close()
        ahead = self.both()
        ahead.commit(Recorded([b"one"]))
        ahead.close()
        self.assertTrue(self.ahead.exists())

    def test_what_was_put_and_dropped_is_not_in_the_next_frame(self):
        ahead = self.both()
        ahead.put(Stored("pear", b"ripe"))
        ahead.drop()
        ahead.commit(Recorded([b"one"]))
        self.assertEqual(ahead.read(), [Recorded([b"one"])])

    def test_what_could_not_be_written_is_not_in_the_next_frame(self):
        problems = [OSError(5, "Input/output error")]

        def sync(_descriptor: int) -> None:
            if problems:
                raise problems.pop()

        self.ahead.touch()
        ahead = self.opened(sync, (Recorded, Stored))
        self.addCleanup(ahead.close)
        self.assertRaises(OSError, ahead.commit, Stored("pear", b"ripe"))
        ahead.commit(Recorded([b"one"]))
        self.assertEqual(ahead.read(), [Recorded([b"one"])])

    def test_the_bytes_of_a_frame_are_those_of_the_description(self):
        ahead = self.both()
        ahead.commit(Recorded([b"one"]), Stored("pear", b"ripe"))
        content = self.ahead.read_bytes()[12:]
        self.assertEqual(
            msgspec.msgpack.decode(content), [["recorded", [b"one"]], ["stored", "pear", b"ripe"]]
        )

    def test_a_kind_that_is_not_known_is_refused_by_one_line_and_nothing_is_changed(self):
        """Whatever stands before it and after it, and though its last frame is not whole."""
        log = self.written(2)
        self.killed(log)
        ahead = self.both()
        ahead.commit(Recorded([b"one"]), Stored("pear", b"ripe"))
        ahead._file.write(b"torn")
        before = self.ahead.read_bytes()
        self.assertRaises(UnknownKind, self.opened().read)
        error = str(self.assertRaises(LogFailed, self.open))
        self.assertEqual(
            error,
            f"the message log {self.ahead} cannot be opened: it was written by a newer version of"
            " this program (what it calls 'stored' is not known here); use that one, or choose"
            " another state directory",
        )
        self.assertEqual(self.ahead.read_bytes(), before)

    def test_a_known_kind_with_other_fields_is_no_newer_version(self):
        ahead = self.opened()
        self.addCleanup(ahead.close)
        for content in ([["recorded"]], [["recorded", [b"one"], 2]], [["recorded", 7]], [7], [[]]):
            ahead.clear()
            ahead.commit(*content)
            self.assertRaises(msgspec.ValidationError, ahead.read)

    def test_frames_from_before_there_were_kinds_are_read(self):
        shutil.copy(LEFT, self.ahead)
        ahead = self.both()
        found = [kept_message(decoded_row(values)).record for values in ahead.read()]
        self.assertEqual([each.body.decode() for each in found], ["two-1", "two-2 \u00e9", "two-3"])
        self.assertEqual([each.id.sequence for each in found], [1, 2, 3])
        self.assertEqual([hop.name for hop in found[0].route], ["Node 2", "Node 1"])
        self.assertEqual(self.ahead.read_bytes(), LEFT.read_bytes())

    def test_a_log_goes_on_behind_frames_from_before_there_were_kinds(self):
        shutil.copy(LEFT, self.ahead)
        log = self.open()
        log._table.prune_at = 1e12  # else the first commit would be a checkpoint
        log.append(record(9), self.wall)
        log.commit()
        self.assertEqual(log.waiting, 4)
        self.assertTrue(self.ahead.read_bytes().startswith(LEFT.read_bytes()))
        self.assertEqual(self.sequences(self.again(log)), [1, 2, 3, 9])
        self.assertEqual(self.warnings, [])


class Counted:
    """A record that counts how often somebody asks for its id."""

    asked = 0

    def __init__(self, plain):
        self.created, self.body, self.route = plain.created, plain.body, plain.route
        self.proof = plain.proof
        self._id = plain.id

    @property
    def id(self):
        Counted.asked += 1
        return self._id


class FindTests(AheadCase):
    def test_what_is_pending_is_found_without_going_through_all_of_it(self):
        log = self.filled(1)
        for sequence in range(2, 200):
            log.append(Counted(record(sequence)), self.wall)
        log.commit()
        self.assertGreater(log.waiting, 190)
        log.find(record(2).id)
        Counted.asked = 0
        for sequence in range(2, 200):
            self.assertIsNotNone(log.find(record(sequence).id))
        self.assertEqual(Counted.asked, 0)

    def test_what_came_since_the_last_look_is_found(self):
        log = self.filled(0)
        for sequence in range(1, 20):
            log.append(record(sequence), self.wall)
            self.assertEqual(log.find(record(sequence).id).position, sequence - 1)
            self.assertIsNone(log.find(record(sequence + 1).id))
            if sequence % 3 == 0:
                log.commit()
            if sequence % 5 == 0:
                log.commit()
                log.checkpoint()
        for sequence in range(1, 20):
            self.assertEqual(log.find(record(sequence).id).position, sequence - 1)


class DamageTests(AheadCase):
    def test_a_commit_that_did_not_end_is_cut_off_without_a_word(self):
        whole = self.written(2, turns=3)
        self.killed(whole)
        data, ends = self.ahead.read_bytes(), []
        for cut in range(len(data) - 1, len(data) // 3, -7):
            self.ahead.write_bytes(data[:cut])
            log = self.open()
            ends.append(len(log))
            log._table.prune_at = 1e9  # else the first commit would be a checkpoint
            log.append(record(99), self.wall)
            log.commit()
            self.assertEqual(self.sequences(self.again(log)), [*range(1, ends[-1] + 1), 99])
            for path in self.path.iterdir():
                path.unlink()
        self.assertEqual(set(ends), {2, 4}, "a turn is there or it is not")
        self.assertEqual(self.warnings, [])

    def test_once_a_torn_frame_is_cut_off_the_file_is_as_long_as_it_says(self):
        self.ahead.write_bytes(b"torn")
        ahead = self.opened()
        self.addCleanup(ahead.close)
        self.assertEqual((ahead.size, ahead.read()), (4, []))
        self.assertEqual((ahead.size, self.ahead.stat().st_size), (0, 0))

    def test_a_damaged_frame_is_passed_over_and_told_of(self):
        self.killed(self.written(2, turns=3))
        data = bytearray(self.ahead.read_bytes())
        data[frames(data)[1] + 40] ^= 1
        self.ahead.write_bytes(data)
        log = self.open()
        self.assertEqual(self.sequences(log), [1, 2, 5, 6])
        self.assertIn(state(ORIGIN, 1, 2, [5, 6]), log.ledger())
        size = frames(data)[2] - frames(data)[1]
        self.assertEqual(len(self.warnings), 1)
        self.assertIn(f"{size} damaged bytes", self.warnings[0])
        log.append(record(3), self.wall)  # a neighbour gives it back
        log.commit()
        self.assertEqual(self.sequences(self.again(log)), [1, 2, 5, 6, 3])

    def test_a_damaged_head_hides_what_follows_and_is_told_of(self):
        self.killed(self.written(2, turns=3))
        data = bytearray(self.ahead.read_bytes())
        start = frames(data)[1]
        for spot in range(12):
            changed = bytearray(data)
            changed[start + spot] ^= 0x80
            self.ahead.write_bytes(changed)
            log = self.open()
            self.assertEqual(self.sequences(log), [1, 2])
            self.assertIn(f"{len(data) - start} damaged bytes", self.warnings.pop())
            log.close()
            self.file.unlink()

    def test_zeros_in_place_of_the_end_are_damage(self):
        self.killed(self.written(2, turns=2))
        data = self.ahead.read_bytes()
        self.ahead.write_bytes(data + bytes(4096))
        self.assertEqual(self.sequences(self.open()), [1, 2, 3, 4])
        self.assertIn("4096 damaged bytes", self.warnings[0])

    def test_any_damage_at_all_is_noticed_or_harmless(self):
        self.killed(self.written(3, turns=20))
        sound = self.ahead.read_bytes()
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        for _ in range(100):
            data = bytearray(sound)
            for _ in range(generator.choice((1, 3, 40))):
                data[generator.randrange(len(data))] = generator.randrange(256)
            for path in self.path.iterdir():
                path.unlink()
            self.ahead.write_bytes(data[: generator.choice((len(data), len(data) // 2))])
            try:
                log = self.open()
                for kept in log.newest(100):
                    self.assertEqual(kept.record, record(kept.record.id.sequence), seed)
                count = len(log)
                log.append(record(1000), self.wall)
                log.commit()
                self.assertEqual(len(self.reopened(log)), count + 1, seed)
            except LogFailed as problem:
                raise AssertionError(f"seed {seed}: {problem!r}") from problem

    def test_what_is_written_ahead_outlives_a_database_that_has_to_be_set_aside(self):
        log = self.written(3)
        log.checkpoint()
        for sequence in (4, 5):
            log.append(record(sequence), self.wall)
        log.commit()
        self.killed(log)
        for ending in ("-wal", "-shm"):
            self.file.with_name(self.file.name + ending).unlink(missing_ok=True)
        self.file.write_bytes(b"x" * 5000)
        log = self.open()
        self.assertEqual([kept.position for kept in log.newest(9)], [0, 1])
        self.assertEqual(bodies(log.newest(9)), [b"body-4", b"body-5"])
        self.assertEqual(log.ledger(), [state(ORIGIN, 1, 0, [4, 5])])
        log.close()
        self.assertEqual((self.in_database(), len(self.warnings)), (2, 1))

    def test_a_sync_that_fails_is_a_write_that_failed(self):
        def sync(_descriptor: int) -> None:
            raise OSError(5, "Input/output error")

        self.ahead.touch()
        ahead = self.opened(sync)
        self.assertRaises(OSError, ahead.commit, Recorded([b"\x90"]))
        self.assertEqual((ahead.size, ahead.read()), (0, []))
        ahead.close()

    def test_what_another_program_wrote_is_refused_and_left_alone(self):
        for values in (7, [1], [1, 2, 3, 4, 5, 6], [*range(7)]):
            self.written(1).close()
            ahead = self.opened()
            ahead.commit(Recorded([msgspec.msgpack.encode(values)]))
            ahead.close()
            before = self.ahead.read_bytes()
            error = self.assertRaises(LogFailed, self.open)
            self.assertIn(f"{self.ahead} cannot be opened: ", str(error))
            self.assertEqual(self.ahead.read_bytes(), before)
            for path in self.path.iterdir():
                path.unlink()

    def test_a_log_that_is_refused_leaves_no_file_open(self):
        self.written(1).close()
        ahead = self.opened(kinds=(Stored,))
        ahead.put(Stored("pear", b"ripe"))
        ahead.commit()
        ahead.close()
        before = len(list(Path("/dev/fd").iterdir()))
        error = self.assertRaises(LogFailed, self.open)  # whose traceback holds the log
        self.assertEqual(len(list(Path("/dev/fd").iterdir())), before, error)

    def test_a_file_that_cannot_be_opened_fails_the_log_and_leaves_no_database_open(self):
        self.ahead.mkdir()
        error = self.assertRaises(LogFailed, self.open)
        self.assertIn("messages.db-ahead cannot be opened: ", str(error))
        self.ahead.rmdir()
        self.open()  # nobody holds the database


class FullDiskTests(SmallFiles, AheadCase):
    def test_a_commit_that_does_not_fit_keeps_nothing_of_it_and_none_after_it_succeeds(self):
        log = self.written(2, turns=3)
        size = self.ahead.stat().st_size
        self.limit(size + 300)
        for sequence in (7, 8):
            log.append(record(sequence, bytes(20_000)), self.wall)
        error = self.assertRaises(LogFailed, log.commit)
        self.no_limit()
        self.assertIn(f"{self.file} cannot be written: {os.strerror(27)}", str(error))
        self.assertEqual((log.failed, self.ahead.stat().st_size), (str(error), size))
        self.assertIsNone(log.find(message_id(7)))
        self.assertEqual(self.sequences(log), [1, 2, 3, 4, 5, 6])
        log.append(record(9), self.wall)
        self.assertRaises(LogFailed, log.commit)
        log = self.again(log)
        self.assertEqual(self.sequences(log), [1, 2, 3, 4, 5, 6])
        self.assertEqual(self.warnings, [])

    def test_a_write_that_is_done_in_parts_is_one_commit(self):
        ahead = self.opened()
        self.addCleanup(ahead.close)

        class Slow:
            def __init__(self, file):
                self.file = file

            def write(self, data):
                return self.file.write(data[:5])

        ahead._file, whole = Slow(ahead._file), ahead._file
        ahead.commit(Recorded([b"one", b"two"]))
        ahead._file = whole
        self.assertEqual(ahead.read(), [Recorded([b"one", b"two"])])

    def test_a_checkpoint_that_fails_takes_nothing_away(self):
        log = self.written(3)
        log._table.db.execute(
            "CREATE TRIGGER stuck BEFORE INSERT ON messages"
            " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        )
        error = self.assertRaises(LogFailed, log.checkpoint)
        self.assertIn("cannot be written: disk I/O error", str(error))
        self.assertEqual((log.failed, self.sequences(log)), (str(error), [1, 2, 3]))
        log.append(record(4), self.wall)
        self.assertRaises(LogFailed, log.commit)
        log._table.db.execute("DROP TRIGGER stuck")
        log = self.reopened(log)
        self.assertEqual(self.sequences(log), [1, 2, 3])
        self.assertEqual((log.failed, self.warnings), ("", []))

    def test_closing_says_that_a_commit_could_not_be_moved_and_the_next_start_has_it(self):
        log = self.written(3)
        log._table.db.execute(
            "CREATE TRIGGER stuck BEFORE INSERT ON messages"
            " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        )
        log.close()
        self.assertIn("cannot be written: disk I/O error", self.warnings.pop())
        log = self.open()
        self.assertEqual(self.sequences(log), [1, 2, 3])
        log._table.db.execute("DROP TRIGGER stuck")
