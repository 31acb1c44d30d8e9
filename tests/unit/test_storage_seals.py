"""Seals are kept with their messages, in memory and on disk, and found again after a restart."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import Hop, MessageId, Proof
from chordnet.storage.log.database import MIGRATIONS
from chordnet.storage.log.memory import MemoryLog
from chordnet.storage.log.sqlite import SqliteLog

ORIGIN = bytes(range(20))
CHAIN = [b"certificate", b"issuer"]


def proof(number: int, chain: list[bytes] | None = None, certificate: bytes = bytes(32)) -> Proof:
    return Proof(number, 1, bytes(64), certificate, [bytes(32)], CHAIN if chain is None else chain)


def record(number: int, seal: Proof | None) -> Record:
    return Record(MessageId(ORIGIN, 7, number), 1.0, b"%d" % number, [Hop(ORIGIN, "one", 0)], seal)


class SealsOnDisk(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.path.mkdir()
        self.file = self.path / "messages.db"
        self.log = self.open()

    def open(self, **options: int) -> SqliteLog:
        log = SqliteLog(self.file, wall=lambda: 100.0, **options)
        self.addCleanup(log.close)
        return log

    def reopened(self) -> SqliteLog:
        self.log.close()
        self.log = self.open()
        return self.log

    def keep(self, *records: Record) -> None:
        for each in records:
            self.log.append(each, 100.0)
        self.log.commit()

    def found(self, number: int) -> Proof | None:
        kept = self.log.find(MessageId(ORIGIN, 7, number))
        assert kept is not None
        return kept.record.proof

    def test_a_message_is_found_with_its_seal_written_ahead_or_in_the_database(self):
        self.keep(record(1, proof(1)), record(2, None), record(3, proof(3)))
        for again in (False, True):
            if again:
                self.log.checkpoint()
            self.assertEqual(self.found(1), proof(1))
            self.assertIsNone(self.found(2))
            self.assertEqual(self.found(3), proof(3))

    def test_seals_survive_a_kill_with_and_without_a_checkpoint(self):
        self.keep(record(1, proof(1)))
        self.log.checkpoint()
        self.keep(record(2, proof(2)))
        self.log._ahead.close()
        self.log._table.close()
        self.log = self.open()
        self.assertEqual([self.found(1), self.found(2)], [proof(1), proof(2)])

    def test_the_certificates_of_an_origin_are_stored_once(self):
        for number in range(1, 6):
            self.keep(record(number, proof(number)))
            self.log.checkpoint()
        db = self.log._table.db
        self.assertEqual(db.execute("SELECT count(*) FROM certificates").fetchone(), (1,))
        self.assertEqual(db.execute("SELECT count(*) FROM seals").fetchone(), (5,))

    def test_seals_go_with_their_messages_and_certificates_with_the_next_start(self):
        self.log.close()
        self.log = self.open(max_bytes=1000)
        for number in range(1, 60):
            seal = proof(number, [b"old"], b"o" * 32) if number == 1 else proof(number)
            self.keep(record(number, seal))
            self.log.checkpoint()
        db = self.log._table.db
        kept = db.execute("SELECT count(*) FROM messages").fetchone()
        self.assertLess(kept, (59,))
        self.assertEqual(db.execute("SELECT count(*) FROM seals").fetchone(), kept)
        certificates = "SELECT count(*) FROM certificates"
        self.assertEqual(db.execute(certificates).fetchone(), (2,))
        self.reopened()
        self.assertEqual(self.log._table.db.execute(certificates).fetchone(), (1,))
        self.assertEqual(self.found(59), proof(59))

    def test_a_damaged_seal_is_as_good_as_none(self):
        self.keep(record(1, proof(1)), record(2, proof(2)))
        self.log.checkpoint()
        self.log._table.db.execute("UPDATE seals SET proof = x'00' WHERE position = 0")
        self.assertIsNone(self.found(1))
        self.assertEqual(self.found(2), proof(2))

    def test_a_seal_whose_certificates_are_damaged_is_as_good_as_none(self):
        self.keep(record(1, proof(1)))
        self.log.checkpoint()
        self.log._table.db.execute("UPDATE certificates SET chain = x'90'")
        self.reopened()
        self.assertIsNone(self.found(1))

    def test_a_log_of_the_version_before_seals_is_opened_with_its_messages(self):
        self.log.close()
        self.file.unlink()
        old = sqlite3.connect(self.file)
        old.create_function("row_checksum", -1, lambda *_values: 0)
        old.create_function("known_from", 2, lambda *_values: b"")
        for migration in MIGRATIONS[:5]:
            old.executescript(migration)
        old.execute("PRAGMA user_version = 5")
        old.close()
        self.log = self.open()
        self.keep(record(1, proof(1)))
        self.assertEqual(self.reopened().find(MessageId(ORIGIN, 7, 1)).record.proof, proof(1))


class SealsInMemory(SynchronousTestCase):
    def test_a_log_in_memory_keeps_seals_and_counts_their_bytes(self):
        log = MemoryLog()
        log.append(record(1, None), 1.0)
        plain = log.bytes
        log.append(record(2, proof(2)), 1.0)
        self.assertGreater(log.bytes, 2 * plain)
        self.assertEqual(log.find(MessageId(ORIGIN, 7, 2)).record.proof, proof(2))
