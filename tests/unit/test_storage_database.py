"""The file under the message log: brought up to date, or set aside when it is damaged."""

from __future__ import annotations

import os
import random
import sqlite3

from chordnet.core.base.errors import LogFailed
from chordnet.storage.log.database import MIGRATIONS
from chordnet.storage.log.sqlite import SqliteLog
from tests.unit.test_storage_sqlite import SqliteCase, message_id, record


class Newer(SqliteLog):
    """The log of a later version of this program."""

    migrations = (*MIGRATIONS, "ALTER TABLE messages ADD COLUMN note TEXT NOT NULL DEFAULT 'old';")


class Impossible(SqliteLog):
    """A migration that fails in the middle."""

    migrations = (*MIGRATIONS, "DELETE FROM messages; INSERT INTO nowhere VALUES (1);")


class MigrationTests(SqliteCase):
    def test_an_older_file_is_brought_up_to_date_with_all_that_is_in_it(self):
        self.filled(3).close()
        log = self.open(Newer)
        self.assertEqual(len(log), 3)
        self.assertEqual(log.find(message_id(2)).record, record(2))
        self.assertEqual(log._table.db.execute("SELECT note FROM messages").fetchone(), ("old",))
        log.close()
        self.assertEqual(len(self.open(Newer)), 3)

    def test_a_newer_file_is_refused_and_left_alone(self):
        self.open(Newer).close()
        before = self.file.read_bytes()
        error = self.assertRaises(LogFailed, self.open)
        self.assertIn("was written by a newer version", str(error))
        self.assertIn(str(self.file), str(error))
        self.assertEqual(self.file.read_bytes(), before)
        self.assertEqual(self.warnings, [])

    def test_a_step_that_fails_changes_nothing(self):
        self.filled(3).close()
        # It names a table that is not there, which is taken for damage: set aside, not lost.
        self.assertRaises(LogFailed, self.open, Impossible)
        (aside,) = self.path.glob("*.damaged-*")
        aside.rename(self.file)
        self.assertEqual(len(self.open()), 3)


class DamageTests(SqliteCase):
    def assert_set_aside(self, log: SqliteLog, damaged: bytes) -> None:
        self.assertEqual((len(log), log.ledger(), log.failed), (0, [], ""))
        self.assertEqual(len(self.warnings), 1, self.warnings)
        self.assertIn(f"{self.file} is damaged", self.warnings[0])
        self.assertIn("kept as messages.db.damaged-1000", self.warnings[0])
        self.assertNotIn("\n", self.warnings[0])
        aside = self.path / "messages.db.damaged-1000"
        self.assertEqual(aside.read_bytes(), damaged)
        log.append(record(1), 1.0)
        log.commit()
        self.assertEqual(len(self.reopened(log)), 1)

    def test_a_file_that_is_no_database_is_set_aside(self):
        for damage in (b"x" * 5000, b"SQLite format 3\0" + bytes(3000), b"\0" * 100):
            self.file.write_bytes(damage)
            self.assert_set_aside(self.open(), damage)
            for path in self.path.iterdir():
                path.unlink()
            self.warnings.clear()

    def test_a_database_of_another_program_is_set_aside(self):
        other = sqlite3.connect(self.file)
        other.executescript("CREATE TABLE songs (title); PRAGMA user_version = 1;")
        other.close()
        log = self.open()
        self.assertEqual((len(log), len(self.warnings)), (0, 1))
        aside = sqlite3.connect(self.path / "messages.db.damaged-1000")
        self.addCleanup(aside.close)
        self.assertEqual(list(aside.execute("SELECT * FROM songs")), [])

    def test_a_damaged_page_in_the_middle(self):
        self.filled(200).close()
        data = bytearray(self.file.read_bytes())
        pages = len(data) // 4096
        self.assertGreater(pages, 6)
        for page in (pages // 2, pages - 2):
            data[page * 4096 : page * 4096 + 64] = os.urandom(64)
        self.file.write_bytes(data)
        self.assert_set_aside(self.open(), bytes(data))

    def test_a_file_cut_short_is_set_aside(self):
        self.filled(200).close()
        data = self.file.read_bytes()
        self.file.write_bytes(data[: len(data) // 2])
        self.assert_set_aside(self.open(), data[: len(data) // 2])

    def test_a_file_with_an_impossible_schema_version_is_set_aside(self):
        log = self.filled(3)
        log._table.db.execute("PRAGMA user_version = -7")
        log.close()
        data = self.file.read_bytes()
        self.assert_set_aside(self.open(), data)

    def test_values_of_the_wrong_kind_in_the_ledger(self):
        for values in ("'text', 1, 1, x'90'", "x'00', 1, 1, x'ff'", "x'00', 1, 'a', x'90'"):
            log = self.filled(1)
            sound = f"row_checksum({values})"
            log._table.db.execute(f"INSERT INTO ledger VALUES ({values}, {sound})")  # noqa: S608 - our own
            log.close()
            data = self.file.read_bytes()
            self.assert_set_aside(self.open(), data)
            for path in self.path.iterdir():
                path.unlink()
            self.warnings.clear()

    def test_what_was_written_ahead_of_a_damaged_file_is_not_taken_for_the_new_one(self):
        log = self.filled(200)
        ahead = self.file.with_name("messages.db-wal").read_bytes()
        log.close()
        self.file.write_bytes(b"x" * 5000)
        self.file.with_name("messages.db-wal").write_bytes(ahead[:32] + os.urandom(4096))
        self.assert_set_aside(self.open(), b"x" * 5000)

    def test_a_file_that_can_be_rebuilt_from_what_was_written_ahead_is(self):
        log = self.filled(3)
        ahead = self.file.with_name("messages.db-wal").read_bytes()
        log.close()
        self.file.write_bytes(b"x" * 5000)
        self.file.with_name("messages.db-wal").write_bytes(ahead)
        self.assertEqual((len(self.open()), self.warnings), (3, []))

    def test_any_damage_at_all_is_noticed_or_harmless(self):
        """Whatever bytes change, the log opens (empty or not) or says LogFailed; it never raises
        anything else, and reading from it neither.
        """
        self.filled(60).close()
        sound = self.file.read_bytes()
        seed = random.randrange(1 << 32)
        generator = random.Random(seed)
        for _ in range(100):
            data = bytearray(sound)
            for _ in range(generator.choice((1, 3, 40))):
                spot = generator.randrange(generator.choice((100, len(data))))
                data[spot] = generator.randrange(256)
            for path in self.path.iterdir():
                path.unlink()
            self.file.write_bytes(data)
            try:
                log = self.open()
                for kept in log.newest(100):
                    written = record(kept.record.id.sequence)
                    self.assertEqual(kept.record, written, f"seed {seed}")
                log.append(record(1000 + generator.randrange(1000)), 1.0)
                log.commit()
                log.close()
            except LogFailed as problem:
                self.assertIn(str(self.file), str(problem), seed)
            except Exception as problem:
                raise AssertionError(f"seed {seed}: {problem!r}") from problem

    def test_nothing_of_a_file_that_is_set_aside_is_taken_into_the_new_one(self):
        """Of its rows one is damaged, and a later one is sound and no message at all."""
        log = self.filled(9)
        log._table.db.execute("UPDATE messages SET body = x'00' WHERE position = 3")
        values = "position, id, created, received_at, route, body"
        log._table.db.execute("UPDATE messages SET id = x'ff' WHERE position = 5")
        log._table.db.execute(
            f"UPDATE messages SET checksum = row_checksum({values}) WHERE position = 5"  # noqa: S608
        )
        log.close()
        data = self.file.read_bytes()
        self.assert_set_aside(self.open(), data)

    def test_a_damaged_file_that_cannot_be_set_aside_fails_the_log(self):
        self.file.write_bytes(b"x" * 5000)
        (self.path / "messages.db.damaged-1000").mkdir()
        error = self.assertRaises(LogFailed, self.open)
        self.assertIn("cannot be set aside", str(error))

    def test_a_directory_that_is_not_there_fails_the_log(self):
        self.path.rmdir()
        error = self.assertRaises(LogFailed, self.open)
        self.assertIn("cannot be opened", str(error))


class FullDiskTests(SqliteCase):
    def test_a_full_disk_at_the_first_start_fails_the_log(self):
        class Full(SqliteLog):
            migrations = ("PRAGMA max_page_count = 1; " + MIGRATIONS[0], *MIGRATIONS[1:])

        error = self.assertRaises(LogFailed, self.open, Full)
        self.assertIn("cannot be opened", str(error))
        self.assertIn("full", str(error))
        self.assertEqual(self.warnings, [])
        self.assertEqual(len(self.open()), 0)
