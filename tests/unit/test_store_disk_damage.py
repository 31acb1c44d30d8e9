"""What becomes of a store whose files are torn, damaged, mixed up, too new, or on a full disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from chordnet.core.base.errors import StoreFailed
from chordnet.core.store.base.effects import AllDropped, FoundingKept, HeadKept, VoteKept
from chordnet.core.store.base.kept import Kept
from chordnet.storage.base.ahead import DamagedFrame, Entry, WriteAhead
from chordnet.storage.base.rows import checksum, encode
from chordnet.storage.store.disk import StoreDisk
from chordnet.storage.store.entries import KINDS, Follows, HeadWritten, RecordWritten
from chordnet.storage.store.tables import MIGRATIONS
from tests.seeds import said_seed
from tests.unit.storage_support import SmallFiles, frames
from tests.unit.test_store_disk import DiskCase, founding, head, kept, record


class Stored(Entry, frozen=True, tag="stored"):
    """What a newer version of this program may write ahead."""

    key: str


class Newer(StoreDisk):
    """The store of a later version of this program."""

    migrations = (*MIGRATIONS, "ALTER TABLE heads ADD COLUMN note TEXT NOT NULL DEFAULT 'old';")


class Checked(StoreDisk):
    """A later version whose migration computes a checksum."""

    migrations = (*MIGRATIONS, "CREATE TABLE news AS SELECT row_checksum(1, x'02') AS sum;")


class Impossible(StoreDisk):
    """A migration that fails in the middle."""

    migrations = (*MIGRATIONS, "DELETE FROM heads; INSERT INTO nowhere VALUES (1);")


class CrashTests(DiskCase):
    def test_a_commit_that_did_not_end_is_cut_off_without_a_word(self) -> None:
        """Whatever part of it was written: the commit is there as a whole or not at all."""
        disk = self.open()
        for number in (1, 2):
            self.put(disk, kept(number, b"a", 1), kept(number, b"b", 1))
        self.killed(disk)
        store = self.kept.store
        sound = {path: path.read_bytes() for path in self.path.iterdir()}
        data = sound.pop(self.ahead)
        _start, end, whole = frames(data)
        for cut in (*range(0, end, 9), *range(end - 1, whole + 1)):
            for path, content in sound.items():
                path.write_bytes(content)
            self.ahead.write_bytes(data[:cut])
            self.open().close()
            found = [(slot, key) for slot, key, _record in self.kept.records]
            commits = (cut >= end) + (cut >= whole)
            self.assertEqual(found, [(1, b"a"), (1, b"b"), (2, b"a"), (2, b"b")][: 2 * commits])
            self.assertEqual((self.kept.store, self.kept.run), (store, 2))
        self.assertEqual(self.warnings, [])

    def test_what_follows_a_commit_that_was_cut_off_is_kept(self) -> None:
        self.killed(self.filled(2))
        self.ahead.write_bytes(self.ahead.read_bytes()[:-1])
        disk = self.open()
        self.put(disk, HeadKept(head(9)))
        self.again(disk)
        self.assertEqual((self.slots(), self.warnings), ([1, 9], []))

    def test_a_crash_between_a_checkpoint_and_its_end_changes_nothing(self) -> None:
        """The database has what is written ahead, and in the slots what came later, too."""
        disk = self.filled(2)
        self.put(disk, AllDropped(1), kept(1, b"kez", 5))
        ahead = self.ahead.read_bytes()
        for moves in (1, 2, 3):
            disk.checkpoint()
            if moves > 1:
                self.put(disk, kept(2, b"key", moves + 7))
                disk.checkpoint()
            self.ahead.write_bytes(ahead)
            disk = self.again(disk)
            versions = {key: each.content.version for slot, key, each in self.kept.records}
            self.assertEqual(versions, {b"kez": 5, b"key": 2 if moves == 1 else moves + 7})
            self.assertEqual((self.warnings, self.kept.run), ([], moves + 1))
            self.assertEqual(self.ahead.stat().st_size, 0)

    def test_a_crash_before_a_new_store_had_its_number_leaves_no_store(self) -> None:
        """The tables are there, and nothing is in them."""
        db = sqlite3.connect(self.file)
        db.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1;")
        db.close()
        self.ahead.touch()
        self.open()
        self.assertEqual((self.kept.run, self.warnings), (1, []))

    def test_each_start_has_its_run_number_on_disk_before_it_is_told(self) -> None:
        disk = self.open()
        copies = []
        for _ in range(3):
            disk = self.again(disk)
            copies.append(disk._tables._db.execute("SELECT run FROM store").fetchone()[0])
            self.assertEqual(copies[-1], self.kept.run)
        self.assertEqual(copies, [2, 3, 4])


class DurabilityTests(DiskCase):
    def test_for_power_every_commit_and_a_new_file_are_on_the_disk_and_otherwise_none(self) -> None:
        for durability, factor in (("power", 1), ("process", 0)):
            synced: list[str] = []

            def sync(descriptor: int, synced: list[str] = synced) -> None:
                path = Path(f"/proc/self/fd/{descriptor}").readlink()
                synced.append(f"{path.name} {path.stat().st_size if path.is_file() else ''}")

            disk = self.open(durability=durability, sync=sync)
            self.assertEqual(synced, [f"{self.path.name} "] * factor)
            for number in (1, 2):
                self.put(disk, HeadKept(head(number)))
                expected = f"store.db-ahead {self.ahead.stat().st_size}"
                self.assertEqual(synced[number:], [expected] * factor)
            disk.commit()
            disk.checkpoint()
            self.assertEqual(len(synced), 3 * factor)
            disk.close()
            self.clear()

    def test_for_power_the_database_has_each_transaction_on_the_disk(self) -> None:
        for durability, synchronous in (("power", 2), ("process", 0)):
            disk = self.open(durability=durability)
            db = disk._tables._db
            self.assertEqual(db.execute("PRAGMA synchronous").fetchone(), (synchronous,))
            self.assertEqual(db.execute("PRAGMA journal_mode").fetchone(), ("wal",))
            disk.close()

    def test_what_was_committed_comes_back_at_both_degrees(self) -> None:
        for durability in ("process", "power"):
            self.again(self.filled(3, durability=durability), durability=durability).close()
            self.assertEqual((self.slots(), self.warnings), ([1, 2, 3], []))
            self.clear()


class VersionTests(DiskCase):
    def test_an_older_file_is_brought_up_to_date_with_all_that_is_in_it(self) -> None:
        self.killed(self.filled(3))
        for run in (2, 3):
            disk = self.open(Newer)
            self.assertEqual((self.slots(), self.kept.run), ([1, 2, 3], run))
            disk.close()
        self.assertEqual(self.rows("heads WHERE note = 'old'"), 3)

    def test_a_migration_may_compute_checksums(self) -> None:
        self.open(Checked).close()
        self.assertEqual(self.rows(f"news WHERE sum = {checksum(1, bytes([2]))}"), 1)

    def test_a_newer_file_is_refused_by_one_line_and_left_alone(self) -> None:
        self.open(Newer).close()
        before = self.file.read_bytes()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertEqual(
            str(error),
            f"the store {self.file} was written by a newer version of this program (its schema is"
            " 3, 2 is known here); use that one, or choose another state directory",
        )
        self.assertEqual((self.file.read_bytes(), self.warnings), (before, []))

    def test_an_entry_ahead_that_a_newer_version_wrote_is_refused_and_nothing_is_changed(
        self,
    ) -> None:
        self.killed(self.filled(2))
        ahead = WriteAhead(self.ahead, (*KINDS, Stored), None)
        ahead.commit(HeadWritten(3, encode(head(3))), Stored("pear"))
        ahead._file.write(b"torn")
        ahead.close()
        before = self.ahead.read_bytes()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertEqual(
            str(error),
            f"the store {self.ahead} cannot be opened: it was written by a newer version of this"
            " program (what it calls 'stored' is not known here); use that one, or choose another"
            " state directory",
        )
        self.assertEqual((self.ahead.read_bytes(), self.warnings), (before, []))
        self.assertEqual(self.rows("store WHERE run = 1"), 1)

    def test_what_another_program_wrote_ahead_is_refused_and_left_alone(self) -> None:
        self.killed(self.filled(1))
        ahead = WriteAhead(self.ahead, KINDS, None)
        ahead.commit(HeadWritten("one", b""))  # type: ignore[arg-type]
        ahead.close()
        before = self.ahead.read_bytes()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertIn(f"the store {self.ahead} cannot be opened: Expected `int`", str(error))
        self.assertEqual((self.ahead.read_bytes(), self.warnings), (before, []))

    def test_a_store_that_is_refused_leaves_no_file_open(self) -> None:
        self.killed(self.filled(1))
        ahead = WriteAhead(self.ahead, (Stored,), None)
        ahead.commit(Stored("pear"))
        ahead.close()
        disk = self.disk()
        before = len(list(Path("/dev/fd").iterdir()))
        error = self.assertRaises(StoreFailed, disk.open)
        self.assertEqual(len(list(Path("/dev/fd").iterdir())), before, error)

    def test_the_names_of_the_entries_are_those_that_were_always_written(self) -> None:
        """What stands ahead is read by the next version, so no name is ever used anew."""
        disk = self.open()
        self.put(
            disk, kept(1, b"key", 1), HeadKept(head(2)), AllDropped(3), VoteKept(founding("v")),
            FoundingKept(founding("f")),
        )  # fmt: skip
        self.assertEqual(msgspec.msgpack.decode(self.ahead.read_bytes()[12:]), [
            ["follows", self.kept.store, 1],
            ["record", 1, b"key", encode(record(1))],
            ["head", 2, encode(head(2))],
            ["emptied", 3],
            ["vote", encode(founding("v"))],
            ["founding", encode(founding("f"))],
        ])  # fmt: skip
        self.put(disk, AllDropped(4))
        second = self.ahead.read_bytes()[frames(self.ahead.read_bytes())[1] + 12 :]
        self.assertEqual(msgspec.msgpack.decode(second), [["emptied", 4]])

    def test_a_step_that_fails_changes_nothing(self) -> None:
        self.filled(3).close()
        # It names a table that is not there, which is taken for damage: set aside, not lost.
        error = self.assertRaises(StoreFailed, self.open, Impossible)
        self.assertEqual(str(error), "no such table: nowhere")
        (aside,) = self.path.glob("*.damaged-*")
        aside.rename(self.file)
        self.open()
        self.assertEqual(self.slots(), [1, 2, 3])


class SetAsideTests(DiskCase):
    """Of a damaged store nothing is used, and a new member begins."""

    def assert_set_aside(self, why: str) -> None:
        before = self.kept.store
        ahead = self.ahead.read_bytes() if self.ahead.exists() else b""
        disk = self.open()
        self.assertEqual(self.kept, Kept(self.kept.store, 1))
        self.assertNotEqual(self.kept.store, before)
        (warning,) = self.warnings
        self.assertEqual(
            warning,
            f"{self.file} is damaged ({why}); it is kept as store.db.damaged-1000, and an empty"
            " store begins, as a new member: what the old one promised may be lost",
        )
        self.assertTrue((self.path / "store.db.damaged-1000").exists())
        if ahead:
            self.assertEqual((self.path / "store.db.damaged-1000-ahead").read_bytes(), ahead)
        store = self.kept.store
        self.put(disk, HeadKept(head(7)))
        self.again(disk).close()
        self.assertEqual((self.kept.store, self.kept.run, self.slots()), (store, 2, [7]))
        self.assertEqual(len(self.warnings), 1)

    def test_a_store_with_a_damaged_frame_before_the_last_is_set_aside(self) -> None:
        for spot in range(8):
            self.killed(self.filled(3))
            data = bytearray(self.ahead.read_bytes())
            start = frames(data)[1]
            length = frames(data)[2] - start
            place = start + (spot * 2 if spot < 6 else 12 + (length - 13) * (spot - 6))
            data[place] ^= 0x40
            self.ahead.write_bytes(data)
            why = f"what was written ahead of it is damaged from byte {start} on"
            self.assert_set_aside(why)
            self.clear()

    def test_a_store_whose_last_frame_is_complete_and_damaged_is_set_aside(self) -> None:
        self.killed(self.filled(3))
        data = bytearray(self.ahead.read_bytes())
        data[-1] ^= 1
        self.ahead.write_bytes(data)
        start = frames(data)[2]
        self.assert_set_aside(f"what was written ahead of it is damaged from byte {start} on")

    def test_a_store_with_zeros_behind_its_last_frame_is_set_aside(self) -> None:
        self.killed(self.filled(1))
        data = self.ahead.read_bytes()
        self.ahead.write_bytes(data + bytes(12))
        self.assert_set_aside(f"what was written ahead of it is damaged from byte {len(data)} on")

    def changed(self, statements: str) -> None:
        disk = self.filled(3)
        self.put(disk, VoteKept(founding("v")))
        disk.close()
        self.execute(statements)

    def test_a_store_with_a_row_that_is_not_what_was_written_is_set_aside(self) -> None:
        for statements in (
            "UPDATE heads SET head = (SELECT head FROM heads WHERE slot = 2) WHERE slot = 1",
            "UPDATE heads SET slot = 9 WHERE slot = 1",
            "UPDATE heads SET checksum = checksum + 1 WHERE slot = 1",
            "UPDATE heads SET head = 'text' WHERE slot = 1",
            "UPDATE records SET record = x'00' WHERE slot = 2",
            "UPDATE records SET key = x'00' WHERE slot = 2",
            "UPDATE records SET slot = 9 WHERE slot = 2",
            "UPDATE records SET checksum = 'text' WHERE slot = 2",
            "UPDATE store SET id = id + 1",
            "UPDATE store SET run = run - 1",
            "UPDATE store SET checkpoint = checkpoint + 1",
            "UPDATE store SET vote = x''",
            "UPDATE store SET founding = vote",
            "UPDATE store SET total = total + 1",
        ):
            self.changed(statements)
            self.assert_set_aside("a row is not what was written")
            self.clear()

    def test_a_store_with_a_row_that_is_missing_or_an_older_one_is_set_aside(self) -> None:
        for statements in (
            "DELETE FROM heads WHERE slot = 1",
            "DELETE FROM records WHERE slot = 3",
            "DELETE FROM store",
            self.insertion(2, encode(head(2, 9))),
            self.insertion(4, encode(head(4))),
        ):
            self.changed(statements)
            self.assert_set_aside("a row is missing, or is an older one")
            self.clear()

    def insertion(self, slot: int, value: bytes) -> str:
        row = f"{slot}, x'{value.hex()}', {checksum(slot, value)}"
        return f"INSERT OR REPLACE INTO heads VALUES ({row})"  # noqa: S608 - our own

    def replace(self, old: str, table: str, *values: object) -> None:
        """Put a row in the place of another that checksum and sum agree with."""
        disk = self.filled(2)
        disk.checkpoint()
        db = disk._tables._db
        (gone,) = db.execute(f"SELECT checksum FROM {table} WHERE {old}").fetchone()  # noqa: S608
        db.execute(f"DELETE FROM {table} WHERE {old}")  # noqa: S608
        marks = ", ".join("?" * (len(values) + 1))
        db.execute(f"INSERT INTO {table} VALUES ({marks})", (*values, checksum(*values)))  # noqa: S608
        disk._tables._total += checksum(*values) - gone
        self.put(disk, kept(9, b"key", 9))
        disk.close()

    def test_a_store_with_a_sound_row_that_this_program_does_not_write_is_set_aside(self) -> None:
        for why, old, table, values in (
            ("a head is not that of its slot", "slot = 1", "heads", (1, encode(head(5)))),
            ("a row is not what was written", "slot = 1", "heads", (1, "text")),
            ("a row is not what was written", "slot = 1", "records", (1, "key", encode(record(1)))),
            ("a row is not what was written", "slot = 1", "records", ("x", b"k", b"")),
            ("Input data was truncated", "slot = 1", "heads", (1, b"")),
            ("Expected `array`, got `int`", "slot = 1", "records", (1, b"key", b"\x01")),
        ):
            self.replace(old, table, *values)
            self.assert_set_aside(why)
            self.clear()

    def test_damage_that_comes_while_it_is_open_is_found_at_the_next_start(self) -> None:
        disk = self.filled(2)
        disk.checkpoint()
        disk._tables._db.execute("UPDATE heads SET checksum = checksum + 1 WHERE slot = 1")
        self.put(disk, HeadKept(head(1, 5)))
        disk.checkpoint()
        self.assertEqual(disk.failed, "")
        disk.close()
        self.assert_set_aside("a row is missing, or is an older one")

    def test_a_file_that_is_no_database_is_set_aside(self) -> None:
        for damage in (b"x" * 5000, b"\0" * 100):
            self.killed(self.filled(2))
            (self.path / "store.db-wal").unlink()
            self.file.write_bytes(damage)
            self.assert_set_aside("file is not a database")
            self.assertEqual((self.path / "store.db.damaged-1000").read_bytes(), damage)
            self.clear()

    def test_a_database_of_another_program_is_set_aside(self) -> None:
        self.execute("CREATE TABLE songs (title); PRAGMA user_version = 1;")
        self.assert_set_aside("no such table: heads")

    def test_a_database_older_than_what_was_written_ahead_of_it_is_set_aside(self) -> None:
        self.filled(1).close()
        before = self.file.read_bytes()
        disk = self.open()
        self.put(disk, HeadKept(head(5)))
        self.killed(disk)
        (self.path / "store.db-wal").unlink()
        self.file.write_bytes(before)
        self.assert_set_aside("what was written ahead of it does not belong to it")

    def test_what_was_written_ahead_of_a_database_that_is_gone_is_set_aside(self) -> None:
        self.killed(self.filled(1))
        self.file.unlink()
        (self.path / "store.db-wal").unlink()
        self.assert_set_aside("what was written ahead of it does not belong to it")

    def test_what_was_written_ahead_of_another_store_is_set_aside(self) -> None:
        self.killed(self.filled(1))
        ahead = self.ahead.read_bytes()
        self.clear()
        self.filled(2).close()
        self.ahead.write_bytes(ahead)
        self.assert_set_aside("what was written ahead of it does not belong to it")

    def test_entries_that_do_not_begin_with_what_they_follow_are_set_aside(self) -> None:
        self.filled(1).close()
        ahead = WriteAhead(self.ahead, KINDS, None)
        ahead.commit(HeadWritten(3, encode(head(3))))
        ahead.close()
        self.assert_set_aside("what was written ahead of it does not belong to it")

    def test_entries_of_no_store_are_set_aside(self) -> None:
        for entry in (b"bytes", Follows(1, 1)):
            self.killed(self.filled(1))
            ahead = WriteAhead(self.ahead, KINDS, None)
            ahead.commit(entry)  # type: ignore[arg-type]
            ahead.close()
            self.assert_set_aside("what was written ahead of it is not of a store")
            self.clear()

    def test_an_entry_whose_content_this_program_does_not_write_is_set_aside(self) -> None:
        for entry in (HeadWritten(3, b"\x01"), RecordWritten(3, b"key", b"\x01")):
            self.killed(self.filled(1))
            ahead = WriteAhead(self.ahead, KINDS, None)
            ahead.commit(entry)
            ahead.close()
            self.assert_set_aside("Expected `array`, got `int`")
            self.clear()

    def test_damage_to_the_store_leaves_the_messages_alone_whose_names_begin_alike(self) -> None:
        others = [self.path / name for name in ("messages.db", "messages.db-ahead", "store.dbx")]
        for other in others:
            other.write_bytes(b"mine")
        self.file.write_bytes(b"x" * 5000)
        self.assert_set_aside("file is not a database")
        self.assertEqual([other.read_bytes() for other in others], [b"mine"] * 3)

    def test_a_damaged_store_that_cannot_be_set_aside_fails(self) -> None:
        self.file.write_bytes(b"x" * 5000)
        (self.path / "store.db.damaged-1000").mkdir()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertEqual(
            str(error), f"the store {self.file} cannot be set aside: {os.strerror(21)}"
        )

    def test_nothing_of_a_crash_while_it_is_set_aside_is_taken_for_the_new_store(self) -> None:
        """The database is gone already, the file ahead of it not yet."""
        self.killed(self.filled(2))
        store = self.kept.store
        data = bytearray(self.ahead.read_bytes())
        data[20] ^= 1
        self.ahead.write_bytes(data)
        self.file.rename(self.path / "store.db.damaged-999")
        self.open()
        self.assertNotEqual(self.kept.store, store)
        self.assertEqual((self.kept.run, self.slots(), len(self.warnings)), (1, [], 1))

    def test_any_damage_at_all_is_noticed_or_harmless(self) -> None:
        """Whatever bytes change, what opens is the old store as it was, or an empty new one."""
        disk = self.filled(20)
        disk.checkpoint()
        for number in range(21, 31):
            self.put(disk, HeadKept(head(number)), kept(number, b"key", number))
        disk._tables._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.killed(disk)
        store = self.kept.store
        sound = {path.name: path.read_bytes() for path in (self.file, self.ahead)}
        with said_seed() as rng:
            for _ in range(50):
                self.clear()
                for name, data in sound.items():
                    (self.path / name).write_bytes(data)
                changed = bytearray(sound[name := rng.choice(("store.db", "store.db-ahead"))])
                for _ in range(rng.choice((1, 3, 40))):
                    changed[rng.randrange(rng.choice((100, len(changed))))] = rng.randrange(256)
                (self.path / name).write_bytes(changed)
                try:
                    disk = self.open()
                except StoreFailed as problem:
                    self.assertIn(str(self.file), str(problem))
                    continue
                if self.kept.store == store:
                    self.assertEqual(self.kept.heads, tuple(head(n) for n in range(1, 31)))
                    self.assertEqual(len(self.kept.records), 30)
                    self.assertEqual((self.kept.run, self.warnings), (2, []))
                else:
                    self.assertEqual(self.kept, Kept(self.kept.store, 1))
                    self.assertEqual(len(self.warnings), 1)
                disk.close()


class WholeTests(DiskCase):
    """What is read as a whole, or not at all."""

    def test_damage_raises_and_leaves_the_file_as_it_is(self) -> None:
        self.killed(self.filled(2))
        sound = self.ahead.read_bytes()
        for place in (frames(sound)[1], frames(sound)[1] + 13):
            data = bytearray(sound)
            data[place] ^= 1
            self.ahead.write_bytes(data)
            ahead = WriteAhead(self.ahead, KINDS, None)
            error = self.assertRaises(DamagedFrame, ahead.read, whole=True)
            self.assertIn(f"is damaged from byte {frames(sound)[1]} on", str(error))
            self.assertEqual((ahead.damaged, self.ahead.read_bytes()), (0, bytes(data)))
            self.assertEqual(len(ahead.read()), 3)
            ahead.close()


class FailureTests(SmallFiles, DiskCase):
    def assert_over(self, disk: StoreDisk, why: str) -> None:
        """Assert that nothing is kept any more, and that every commit says why."""
        self.assertEqual(disk.failed, f"the store {self.file} cannot be written: {why}")
        for entries in ((), (HeadKept(head(99)),)):
            for entry in entries:
                disk.put(entry)
            error = self.assertRaises(StoreFailed, disk.commit)
            self.assertEqual(str(error), disk.failed)
        disk.checkpoint()

    def test_a_commit_that_does_not_fit_keeps_nothing_of_it_and_none_after_it_succeeds(
        self,
    ) -> None:
        disk = self.filled(2)
        size = self.ahead.stat().st_size
        self.limit(size + 300)
        for number in (3, 4):
            disk.put(kept(number, b"key", number, bytes(20_000)))
        self.assertRaises(StoreFailed, disk.commit)
        self.no_limit()
        self.assert_over(disk, os.strerror(27))
        self.assertEqual(self.ahead.stat().st_size, size)
        disk = self.again(disk)
        self.assertEqual((self.slots(), len(self.kept.records)), ([1, 2], 2))
        self.assertEqual((self.warnings, disk.failed), ([], ""))
        self.put(disk, HeadKept(head(3)))

    def test_a_first_commit_that_fails_says_nothing_of_what_it_follows(self) -> None:
        disk = self.open()
        self.limit(20)
        disk.put(HeadKept(head(1)))
        self.assertRaises(StoreFailed, disk.commit)
        self.no_limit()
        self.assertEqual(self.ahead.stat().st_size, 0)
        self.again(disk)
        self.assertEqual((self.slots(), self.warnings), ([], []))

    def test_a_sync_that_fails_is_a_write_that_failed(self) -> None:
        problems: list[OSError] = []

        def sync(_descriptor: int) -> None:
            if problems:
                raise problems[0]

        disk = self.filled(2, durability="power", sync=sync)
        problems.append(OSError(5, "Input/output error"))
        disk.put(HeadKept(head(3)))
        self.assertRaises(StoreFailed, disk.commit)
        problems.clear()
        self.assert_over(disk, "Input/output error")
        self.again(disk)
        self.assertEqual((self.slots(), self.warnings), ([1, 2], []))

    def test_a_checkpoint_that_fails_takes_nothing_away(self) -> None:
        for table in ("records", "heads", "store"):
            disk = self.filled(3)
            self.stick(disk, table)
            self.assertRaises(StoreFailed, disk.checkpoint)
            self.assert_over(disk, "disk I/O error")
            disk._tables._db.execute("DROP TRIGGER stuck")
            disk = self.reopened(disk)
            self.assertEqual((self.slots(), len(self.kept.records)), ([1, 2, 3], 3))
            self.assertEqual((disk.failed, self.warnings), ("", []))
            disk.close()
            self.clear()

    def test_a_checkpoint_that_moves_all_and_cannot_empty_the_file_takes_nothing_away(
        self,
    ) -> None:
        class Stuck:
            """A file that cannot be cut."""

            def __init__(self, file: Any) -> None:
                self.file = file

            def truncate(self, _size: int) -> None:
                raise OSError(5, "Input/output error")

        disk = self.filled(3)
        disk._ahead._file, file = Stuck(disk._ahead._file), disk._ahead._file  # type: ignore[assignment]
        self.assertRaises(StoreFailed, disk.checkpoint)
        disk._ahead._file = file
        self.assert_over(disk, "Input/output error")
        self.assertEqual(self.rows("heads", disk), 3)
        self.again(disk)
        self.assertEqual((self.slots(), self.warnings), ([1, 2, 3], []))

    def test_a_commit_that_is_a_checkpoint_and_fails_keeps_what_was_committed_before(
        self,
    ) -> None:
        disk = self.filled(2)
        self.stick(disk)
        disk.put(kept(3, b"key", 3, bytes(3 << 20)))
        self.assertRaises(StoreFailed, disk.commit)
        self.assert_over(disk, "disk I/O error")
        disk._tables._db.execute("DROP TRIGGER stuck")
        self.reopened(disk)
        self.assertEqual((self.slots(), len(self.kept.records)), ([1, 2], 2))

    def test_a_full_disk_at_a_checkpoint_takes_nothing_away(self) -> None:
        disk = self.filled(2)
        self.put(disk, kept(3, b"key", 3, bytes(200_000)))
        pages = disk._tables._db.execute("PRAGMA page_count").fetchone()[0]
        disk._tables._db.execute(f"PRAGMA max_page_count = {pages}")
        self.assertRaises(StoreFailed, disk.checkpoint)
        self.assert_over(disk, "database or disk is full")
        self.again(disk)
        self.assertEqual((self.slots(), len(self.kept.records)), ([1, 2], 3))

    def test_a_value_of_another_kind_that_is_found_at_a_checkpoint_fails_it(self) -> None:
        disk = self.filled(1)
        disk.checkpoint()
        disk._tables._db.execute("UPDATE heads SET checksum = 'text'")
        self.put(disk, HeadKept(head(1, 2)))
        self.assertRaises(StoreFailed, disk.checkpoint)
        self.assertIn("cannot be written: invalid literal for int()", disk.failed)
        disk._tables._db.execute("BEGIN")  # the transaction that failed is over
        disk._tables._db.execute("ROLLBACK")

    def test_closing_says_that_a_commit_could_not_be_moved_and_the_next_start_has_it(
        self,
    ) -> None:
        disk = self.filled(3)
        self.stick(disk)
        disk.close()
        self.assertEqual(
            self.warnings, [f"the store {self.file} cannot be written: disk I/O error"]
        )
        self.execute("DROP TRIGGER stuck")
        self.open()
        self.assertEqual(self.slots(), [1, 2, 3])

    def test_a_store_that_failed_works_again_once_it_is_opened_again(self) -> None:
        disk = self.filled(1)
        self.stick(disk)
        self.assertRaises(StoreFailed, disk.checkpoint)
        disk.put(HeadKept(head(9)))
        disk._tables._db.execute("DROP TRIGGER stuck")
        disk.close()
        self.kept = disk.open()
        self.assertEqual((disk.failed, disk.waiting, self.slots()), ("", 0, [1]))
        disk.commit()
        self.put(disk, HeadKept(head(2)))
        self.again(disk)
        self.assertEqual(self.slots(), [1, 2])

    def test_a_full_disk_at_a_start_fails_it_and_nothing_is_set_aside(self) -> None:
        class Full(StoreDisk):
            migrations = ("PRAGMA max_page_count = 1; " + MIGRATIONS[0],)

        error = self.assertRaises(StoreFailed, self.open, Full)
        self.assertEqual(
            str(error), f"the store {self.file} cannot be opened: database or disk is full"
        )
        self.assertEqual(self.warnings, [])
        self.open()
        self.assertEqual(self.kept.run, 1)

    def test_a_run_number_that_cannot_be_written_fails_the_start(self) -> None:
        disk = self.filled(2)
        self.stick(disk, "store")
        self.killed(disk)
        self.warnings.clear()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertEqual(str(error), f"the store {self.file} cannot be opened: disk I/O error")
        self.assertEqual(self.warnings, [])
        self.execute("DROP TRIGGER stuck")
        self.open()
        self.assertEqual((self.slots(), self.kept.run), ([1, 2], 2))

    def test_a_file_ahead_that_cannot_be_opened_fails_the_start_and_frees_the_database(
        self,
    ) -> None:
        self.ahead.mkdir()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertEqual(str(error), f"the store {self.ahead} cannot be opened: {os.strerror(21)}")
        self.ahead.rmdir()
        self.open()
        self.assertEqual(self.kept.run, 1)

    def test_a_directory_that_is_not_there_fails_the_start(self) -> None:
        self.path.rmdir()
        error = self.assertRaises(StoreFailed, self.open)
        self.assertIn(f"the store {self.file} cannot be opened: ", str(error))
