"""The store on disk: what it keeps, what survives a crash, and what it says when it cannot keep."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Head, Member, Vote
from chordnet.core.store.base.effects import (
    AllDropped,
    Entry,
    FoundingKept,
    HeadKept,
    MarkKept,
    NumberKept,
    RecordDropped,
    RecordKept,
    SecretKept,
    VoteKept,
)
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept, Mark
from chordnet.core.store.base.records import Applied, Content, Floor, Record
from chordnet.storage.store.disk import AHEAD_BYTES, AHEAD_ENTRIES, StoreDisk
from chordnet.storage.store.entries import RecordWritten, written
from chordnet.storage.store.memory import MemoryStore
from tests.seeds import said_seed
from tests.unit.storage_support import left_by_death

FORMATION = bytes(range(16))
MEMBERS = (Member("Node 1", 11), Member("Node 2", (1 << 62) - 1), Member("Nœud 3", 0))


def record(number: int, value: bytes | None = b"") -> Record:
    """Return a record in which every field says ``number``."""
    ballot = Ballot(number, number + 1, f"Node {number}", number + 2)
    applied = (Applied(number, b"request-%d" % number),)
    return Record(ballot, NONE, Content(value, number, number + 0.5, applied))


def head(slot: int, epoch: int = 1) -> Head:
    """Return a head that has something in every field."""
    ballot = Ballot(epoch, 2, "Node 1", 3)
    return Head(
        FORMATION, slot, Configuration(1, epoch, MEMBERS), True, ballot,
        Vote(ballot, MEMBERS[:2]), Configuration(2, epoch + 1, MEMBERS[1:]), True,
        Floor(ballot, 9),
    )  # fmt: skip


def founding(network: str) -> Founding:
    return Founding(network, 160, 256, 3, MEMBERS)


def kept(slot: int, key: bytes, number: int, value: bytes | None = b"") -> RecordKept:
    return RecordKept(slot, key, record(number, value))


def any_entry(rng: random.Random) -> Entry:
    slot, number = rng.randrange(4), rng.randrange(1, 99)
    key = b"k%d" % rng.randrange(6)
    return rng.choice((
        kept(slot, key, number), kept(slot, key, number, bytes(rng.randrange(300))),
        HeadKept(head(slot, number)), AllDropped(slot), VoteKept(founding(f"v{number}")),
        FoundingKept(founding(f"f{number}")), RecordDropped(slot, key), NumberKept(number),
        SecretKept(b"%d" % number), MarkKept(f"Node {slot}", Mark(number, 1, 2, number, b"p" * 12)),
    ))  # fmt: skip


class Model:
    """What a store has, in dictionaries."""

    def __init__(self) -> None:
        self.heads: dict[int, Head] = {}
        self.records: dict[tuple[int, bytes], Record] = {}
        self.foundings: dict[type, Founding] = {}
        self.secret, self.number = b"", 0
        self.marks: dict[str, Mark] = {}

    def take(self, entries: list[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, RecordKept):
                self.records[entry.slot, entry.key] = entry.record
            elif isinstance(entry, HeadKept):
                self.heads[entry.head.slot] = entry.head
            elif isinstance(entry, AllDropped):
                for place in [each for each in self.records if each[0] == entry.slot]:
                    del self.records[place]
            elif isinstance(entry, RecordDropped):
                self.records.pop((entry.slot, entry.key), None)
            elif isinstance(entry, SecretKept):
                self.secret = entry.secret
            elif isinstance(entry, NumberKept):
                self.number = entry.number
            elif isinstance(entry, MarkKept):
                self.marks[entry.node] = entry.mark
            else:
                self.foundings[type(entry)] = entry.founding

    def kept(self, store: int, run: int) -> Kept:
        heads = tuple(self.heads[slot] for slot in sorted(self.heads))
        records = tuple((*place, self.records[place]) for place in sorted(self.records))
        foundings = self.foundings.get(VoteKept), self.foundings.get(FoundingKept)
        marks = tuple(sorted(self.marks.items()))
        return Kept(store, run, *foundings, heads, records, self.secret, self.number, marks)


class DiskCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        self.path.mkdir()
        self.file = self.path / "store.db"
        self.ahead = self.path / "store.db-ahead"
        self.warnings: list[str] = []
        self.wall = 1000.0
        self.rng = random.Random(7)
        self.kept = Kept(0, 0)
        """What the disk that was opened last has returned."""

    def disk(self, kind: type[StoreDisk] = StoreDisk, **options: Any) -> StoreDisk:
        disk = kind(
            self.file, self.rng, warn=self.warnings.append, wall=lambda: self.wall, **options
        )
        self.addCleanup(disk.close)
        return disk

    def open(self, kind: type[StoreDisk] = StoreDisk, **options: Any) -> StoreDisk:
        disk = self.disk(kind, **options)
        self.kept = disk.open()
        return disk

    def put(self, disk: StoreDisk | MemoryStore, *entries: Entry) -> None:
        """Have the disk keep ``entries`` in one commit."""
        for entry in entries:
            disk.put(entry)
        disk.commit()

    def filled(self, commits: int = 3, **options: Any) -> StoreDisk:
        """Return a disk with so many commits of two entries each, none moved."""
        disk = self.open(**options)
        for number in range(1, commits + 1):
            self.put(disk, HeadKept(head(number)), kept(number, b"key", number))
        return disk

    def killed(self, disk: StoreDisk) -> None:
        left_by_death(self.path, disk.close)

    def again(self, disk: StoreDisk, **options: Any) -> StoreDisk:
        self.killed(disk)
        return self.open(**options)

    def reopened(self, disk: StoreDisk, **options: Any) -> StoreDisk:
        disk.close()
        return self.open(**options)

    def clear(self) -> None:
        for path in self.path.iterdir():
            path.unlink()
        self.warnings.clear()

    def slots(self) -> list[int]:
        """Return the slots whose head was there when the disk was opened."""
        return [each.slot for each in self.kept.heads]

    def rows(self, table: str, disk: StoreDisk | None = None) -> int:
        """Return how many rows a table has, in the database that ``disk`` has open if one has."""
        db = sqlite3.connect(self.file) if disk is None else disk._tables._db
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - our own
        if disk is None:
            db.close()
        return count

    def execute(self, statements: str) -> None:
        """Change the database that nobody has open."""
        db = sqlite3.connect(self.file)
        db.executescript(statements)
        db.close()

    def stick(self, disk: StoreDisk, table: str = "records") -> None:
        """Have every new row of a table refused."""
        disk._tables._db.execute(
            f"CREATE TRIGGER stuck BEFORE INSERT ON {table}"
            " BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        )


class KeepingTests(DiskCase):
    def test_what_was_committed_comes_back_whole_and_in_order(self) -> None:
        entries = (
            kept(2, b"b", 4, None), HeadKept(head(2)), kept(2, b"", 3), kept(1, b"\xff", 5),
            HeadKept(head(1, 6)), VoteKept(founding("one")), FoundingKept(founding("two")),
        )  # fmt: skip
        for way in (self.again, self.reopened):
            disk = self.open()
            self.put(disk, *entries)
            way(disk).close()
            self.assertEqual(self.kept.heads, (head(1, 6), head(2)))
            self.assertEqual(self.kept.records, (
                (1, b"\xff", record(5)), (2, b"", record(3)), (2, b"b", record(4, None)),
            ))  # fmt: skip
            self.assertEqual(self.kept.vote, founding("one"))
            self.assertEqual(self.kept.founding, founding("two"))
        self.assertEqual(self.warnings, [])

    def test_a_new_store_is_empty_and_has_a_number_of_62_bits_from_its_random_source(self) -> None:
        self.open()
        expected = random.Random(7).getrandbits(62)
        self.assertEqual(self.kept, Kept(expected, 1))
        self.assertEqual(self.warnings, [])

    def test_the_highest_number_of_a_store_fits(self) -> None:
        class Highest(random.Random):
            def getrandbits(self, bits: int) -> int:
                return (1 << bits) - 1

        self.rng = Highest()
        self.again(self.filled(1))
        self.assertEqual((self.kept.store, self.kept.run), ((1 << 62) - 1, 2))
        self.assertEqual(self.slots(), [1])

    def test_the_number_of_a_store_stays_and_that_of_its_run_grows_by_one_at_each_start(
        self,
    ) -> None:
        disk = self.open()
        store = self.kept.store
        for run in range(2, 8):
            disk = (self.again if run % 2 else self.reopened)(disk)
            self.assertEqual((self.kept.store, self.kept.run), (store, run))
            if run > 3:
                self.put(disk, kept(1, b"key", run))

    def test_an_object_that_was_closed_can_be_opened_again_for_another_run(self) -> None:
        disk = self.filled(2)
        disk.put(kept(9, b"key", 9))
        disk.close()
        self.kept = disk.open()
        self.assertEqual((self.kept.run, self.slots()), (2, [1, 2]))
        self.put(disk, HeadKept(head(3)))
        self.reopened(disk)
        self.assertEqual((self.kept.run, self.slots()), (3, [1, 2, 3]))
        self.assertEqual(len(self.kept.records), 2)

    def test_what_came_later_replaces_what_came_earlier_moved_or_not(self) -> None:
        disk = self.open()
        for number in range(1, 7):
            self.put(
                disk, kept(1, b"key", number), HeadKept(head(1, number)),
                VoteKept(founding(f"v{number}")), FoundingKept(founding(f"f{number}")),
            )  # fmt: skip
            if number % 3 == 0:
                disk.checkpoint()
            disk = self.again(disk)
            self.assertEqual(self.kept.records, ((1, b"key", record(number)),))
            self.assertEqual(self.kept.heads, (head(1, number),))
            self.assertEqual(self.kept.vote, founding(f"v{number}"))
            self.assertEqual(self.kept.founding, founding(f"f{number}"))

    def test_what_was_not_written_again_stays_with_a_checkpoint(self) -> None:
        disk = self.open()
        self.put(disk, VoteKept(founding("v")), FoundingKept(founding("f")), kept(1, b"a", 1))
        disk.checkpoint()
        self.put(disk, kept(1, b"b", 2))
        disk.checkpoint()
        self.put(disk, HeadKept(head(1)))
        self.again(disk)
        self.assertEqual(self.kept.vote, founding("v"))
        self.assertEqual(self.kept.founding, founding("f"))
        self.assertEqual([key for _slot, key, _record in self.kept.records], [b"a", b"b"])

    def test_a_slot_that_is_emptied_loses_what_came_before_and_keeps_what_comes_after(
        self,
    ) -> None:
        for moved_before in (False, True):
            for moved_after in (False, True):
                disk = self.open()
                self.put(disk, kept(1, b"a", 1), kept(1, b"b", 1), kept(2, b"a", 1))
                self.put(disk, HeadKept(head(1)))
                if moved_before:
                    disk.checkpoint()
                self.put(disk, kept(1, b"c", 2), AllDropped(1), kept(1, b"b", 3))
                self.put(disk, kept(1, b"d", 4))
                if moved_after:
                    disk.checkpoint()
                disk = self.again(disk)
                found = [(slot, key, each.content.version) for slot, key, each in self.kept.records]
                self.assertEqual(found, [(1, b"b", 3), (1, b"d", 4), (2, b"a", 1)])
                self.assertEqual(self.slots(), [1])
                disk.close()
                self.clear()

    def test_what_is_put_is_kept_by_the_commit_and_no_sooner(self) -> None:
        disk = self.filled(1)
        disk.put(HeadKept(head(5)))
        self.again(disk)
        self.assertEqual(self.slots(), [1])

    def test_what_is_dropped_before_the_commit_is_not_kept(self) -> None:
        disk = self.filled(1)
        disk.put(HeadKept(head(5)))
        disk.drop()
        self.put(disk, HeadKept(head(6)))
        self.again(disk)
        self.assertEqual(self.slots(), [1, 6])

    def test_a_commit_of_nothing_writes_nothing(self) -> None:
        disk = self.filled(1)
        size = self.ahead.stat().st_size
        disk.commit()
        self.assertEqual((self.ahead.stat().st_size, disk.waiting), (size, 2))
        disk.checkpoint()
        disk.commit()
        self.assertEqual((self.ahead.stat().st_size, disk.waiting), (0, 0))

    def test_a_store_that_is_closed_leaves_one_file(self) -> None:
        self.filled(3).close()
        self.assertEqual([path.name for path in self.path.iterdir()], ["store.db"])
        self.assertEqual((self.rows("heads"), self.rows("records")), (3, 3))

    def test_a_store_that_was_never_opened_is_closed_without_a_trace(self) -> None:
        self.disk().close()
        self.assertEqual(list(self.path.iterdir()), [])

    def test_closing_twice_takes_nothing_from_whoever_opened_it_since(self) -> None:
        first = self.open()
        first.close()
        second = self.filled(1)
        first.close()
        self.assertTrue(self.ahead.exists())
        self.again(second)
        self.assertEqual(self.slots(), [1])

    def test_only_its_own_user_may_read_what_a_store_keeps(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        disk = self.filled(1)
        names = {"store.db", "store.db-wal", "store.db-ahead"}
        for mode in (0o600, 0o644):
            found = {path.name: path.stat().st_mode & 0o777 for path in self.path.iterdir()}
            self.assertLessEqual(names, found.keys())
            self.assertEqual(set(found.values()), {0o600})
            self.killed(disk)
            for path in self.path.iterdir():
                path.chmod(mode)
            disk = self.open()

    def test_a_file_of_the_first_version_is_taken_over_with_all_that_it_has(self) -> None:
        disk = self.filled()
        disk.checkpoint()
        disk.close()
        db = sqlite3.connect(self.file)
        db.executescript("DROP TABLE notes; PRAGMA user_version = 1;")
        db.close()
        disk, before = self.open(), self.kept
        self.assertEqual((len(before.heads), len(before.records)), (3, 3))
        self.assertEqual((before.secret, before.number, before.marks), (b"", 0, ()))
        self.put(disk, SecretKept(b"secret"), NumberKept(9))
        disk.checkpoint()
        self.again(disk)
        self.assertEqual(self.kept.records, before.records)
        self.assertEqual((self.kept.secret, self.kept.number), (b"secret", 9))
        self.assertEqual(self.warnings, [])

    def test_any_sequence_of_calls_leaves_what_a_dictionary_would_have(self) -> None:
        with said_seed() as rng:
            disk, model = self.open(), Model()
            fresh: list[Entry] = []
            for run in range(400):
                for _ in range(rng.choice((0, 1, 1, 2, 9))):
                    fresh.append(any_entry(rng))
                    disk.put(fresh[-1])
                what = rng.choice(("commit",) * 6 + ("drop", "checkpoint", "kill", "close"))
                if what == "checkpoint":
                    disk.checkpoint()
                    continue  # what is put and not committed is still there
                if what == "commit":
                    disk.commit()
                    model.take(fresh)
                elif what == "drop":
                    disk.drop()
                else:
                    disk = (self.again if what == "kill" else self.reopened)(disk)
                    expected = model.kept(self.kept.store, self.kept.run)
                    self.assertEqual(self.kept, expected, run)
                fresh = []
            self.assertEqual(self.warnings, [])


class CheckpointTests(DiskCase):
    def test_a_commit_is_kept_ahead_and_a_checkpoint_moves_it(self) -> None:
        disk = self.filled(3)
        self.assertEqual(
            (disk.waiting, self.rows("heads", disk), self.rows("records", disk)), (6, 0, 0)
        )
        disk.checkpoint()
        self.assertEqual((disk.waiting, self.ahead.stat().st_size), (0, 0))
        self.assertEqual((self.rows("heads", disk), self.rows("records", disk)), (3, 3))
        self.again(disk)
        self.assertEqual((self.slots(), len(self.kept.records)), ([1, 2, 3], 3))

    def test_what_is_not_committed_is_not_moved_by_a_checkpoint(self) -> None:
        disk = self.filled(1)
        disk.put(HeadKept(head(5)))
        disk.checkpoint()
        self.assertEqual(self.rows("heads", disk), 1)
        disk.commit()
        self.again(disk)
        self.assertEqual(self.slots(), [1, 5])

    def test_a_checkpoint_of_nothing_writes_nothing(self) -> None:
        disk = self.open()
        before = disk._identity
        disk.checkpoint()
        self.assertEqual(disk._identity, before)

    def test_checkpoints_are_numbered_one_after_another(self) -> None:
        disk = self.open()
        before = disk._identity
        for number in (1, 2):
            self.put(disk, HeadKept(head(number)))
            disk.checkpoint()
            expected = (before.store, before.run, before.checkpoint + number)
            found = disk._identity
            self.assertEqual((found.store, found.run, found.checkpoint), expected)

    def test_opening_moves_what_was_written_ahead(self) -> None:
        disk = self.again(self.filled(3))
        self.assertEqual((disk.waiting, self.ahead.stat().st_size), (0, 0))
        self.assertEqual((self.rows("heads", disk), self.rows("records", disk)), (3, 3))

    def test_so_many_entries_are_written_ahead_at_most(self) -> None:
        disk = self.open()
        for number in range(AHEAD_ENTRIES - 1):
            disk.put(HeadKept(head(number)))
        disk.commit()
        self.put(disk, kept(1, b"key", 1))
        self.assertEqual((disk.waiting, self.rows("records", disk)), (AHEAD_ENTRIES, 0))
        self.put(disk, kept(1, b"kez", 2))
        self.assertEqual((disk.waiting, self.rows("records", disk)), (0, 2))
        self.assertEqual(self.ahead.stat().st_size, 0)
        self.again(disk)
        self.assertEqual((len(self.kept.heads), len(self.kept.records)), (AHEAD_ENTRIES - 1, 2))

    def test_a_commit_that_would_go_beyond_by_one_byte_is_a_checkpoint(self) -> None:
        for beyond, waiting in ((0, 3), (1, 0)):
            disk = self.open()
            self.put(disk, HeadKept(head(1)))
            for each in _sized(AHEAD_BYTES - self.ahead.stat().st_size + beyond):
                disk.put(each)
            disk.commit()
            self.assertEqual(disk.waiting, waiting)
            self.again(disk).close()
            self.assertEqual(len(self.kept.records), 2)
            self.clear()

    def test_what_was_dropped_or_committed_weighs_nothing_in_the_next_commit(self) -> None:
        disk = self.open()
        for ending in (disk.drop, disk.commit):
            disk.put(kept(1, b"large", 1, bytes(AHEAD_BYTES)))
            ending()
            self.put(disk, HeadKept(head(1)))
            self.assertEqual(disk.waiting, 1)
            disk.checkpoint()

    def test_what_is_written_by_the_commit_itself_is_not_written_ahead(self) -> None:
        """It replaces what is written ahead, is there after a crash, and more may follow it."""
        disk = self.filled(2)
        halves = (kept(1, key, 7, bytes(AHEAD_BYTES // 2)) for key in (b"key", b"other"))
        self.put(disk, *halves, AllDropped(2))
        self.assertEqual((disk.waiting, self.ahead.stat().st_size), (0, 0))
        self.put(disk, HeadKept(head(8)))
        self.again(disk)
        self.assertEqual(self.slots(), [1, 2, 8])
        self.assertEqual([each.content.version for *_place, each in self.kept.records], [7, 7])


def _sized(size: int) -> tuple[RecordKept, RecordKept]:
    """Return entries whose encoded records have so many bytes together."""
    first, plain = kept(1, b"first", 1, bytes(1 << 20)), kept(1, b"sized", 1, bytes(1 << 18))
    found = [written(each) for each in (first, plain)]
    has = sum(len(each.record) for each in found if isinstance(each, RecordWritten))
    return first, kept(1, b"sized", 1, bytes(size - has + (1 << 18)))


class MemoryTests(DiskCase):
    """The store of a node without a state directory."""

    def setUp(self) -> None:
        super().setUp()
        self.store = MemoryStore(self.rng)

    def test_what_was_committed_is_there_at_the_next_start_in_this_process(self) -> None:
        self.assertEqual(self.store.open(), Kept(random.Random(7).getrandbits(62), 1))
        self.put(self.store, kept(2, b"a", 1), kept(1, b"b", 2), HeadKept(head(1)))
        self.put(self.store, VoteKept(founding("v")), FoundingKept(founding("f")), AllDropped(2))
        self.store.checkpoint()
        self.store.close()
        self.assertEqual(
            self.store.open(),
            Kept(
                random.Random(7).getrandbits(62), 2, founding("v"), founding("f"), (head(1),),
                ((1, b"b", record(2)),),
            ),
        )  # fmt: skip
        self.assertEqual(self.store.open().run, 3)
        self.assertEqual((self.store.failed, self.store.waiting), ("", 0))

    def test_what_was_not_committed_is_gone_and_so_is_what_was_dropped(self) -> None:
        self.store.open()
        self.store.put(HeadKept(head(1)))
        self.store.drop()
        self.put(self.store, HeadKept(head(2)))
        self.assertEqual(self.store._put, [], "it takes no memory twice")
        self.store.put(HeadKept(head(3)))
        self.assertEqual([each.slot for each in self.store.open().heads], [2])
        self.store.commit()
        self.assertEqual([each.slot for each in self.store.open().heads], [2])
