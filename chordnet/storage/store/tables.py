"""The database of a store: what the last checkpoint has left there.

Each row has a checksum, which shows when it was changed. The row of the store itself has the sum of
all others, which shows when one of them is gone, or is there as it was before: an older promise
instead of the last one.

The rows are read once, when the store is opened, and all of them.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec

from chordnet.core.base.errors import StoreFailed
from chordnet.storage.base.database import BESIDE, Kind
from chordnet.storage.base.rows import Row, SpoiledRow, checksum, is_sound
from chordnet.storage.store.entries import Contents

MIGRATIONS = (
    """
    CREATE TABLE store (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        id INTEGER NOT NULL,
        run INTEGER NOT NULL,
        checkpoint INTEGER NOT NULL,
        vote BLOB NOT NULL,
        founding BLOB NOT NULL,
        total INTEGER NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE TABLE heads (
        slot INTEGER PRIMARY KEY,
        head BLOB NOT NULL,
        checksum INTEGER NOT NULL
    );
    CREATE TABLE records (
        slot INTEGER NOT NULL,
        key BLOB NOT NULL,
        record BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (slot, key)
    );
    """,
    """
    CREATE TABLE notes (
        name TEXT PRIMARY KEY,
        note BLOB NOT NULL,
        checksum INTEGER NOT NULL
    );
    """,
)
"""Step n migrates a file of schema version n to version n + 1 (``PRAGMA user_version``)."""

_SELECT_STORE = "SELECT id, run, checkpoint, vote, founding, total, checksum FROM store"
_UPSERT_STORE = (
    "INSERT OR REPLACE INTO store"
    " (only, id, run, checkpoint, vote, founding, total, checksum) VALUES (1, ?, ?, ?, ?, ?, ?, ?)"
)
_SELECT_HEADS = "SELECT slot, head, checksum FROM heads"
_SELECT_HEAD = "SELECT checksum FROM heads WHERE slot = ?"
_UPSERT_HEAD = "INSERT OR REPLACE INTO heads (slot, head, checksum) VALUES (?, ?, ?)"
_SELECT_RECORDS = "SELECT slot, key, record, checksum FROM records"
_SELECT_RECORD = "SELECT checksum FROM records WHERE slot = ? AND key = ?"
_UPSERT_RECORD = (
    "INSERT INTO records (slot, key, record, checksum) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET record = excluded.record, checksum = excluded.checksum"
)
_DELETE_RECORD = "DELETE FROM records WHERE slot = ? AND key = ?"
_SELECT_SLOT = "SELECT coalesce(sum(checksum), 0) FROM records WHERE slot = ?"
_SELECT_NOTES = "SELECT name, note, checksum FROM notes"
_SELECT_NOTE = "SELECT checksum FROM notes WHERE name = ?"
_UPSERT_NOTE = "INSERT OR REPLACE INTO notes (name, note, checksum) VALUES (?, ?, ?)"
_DELETE_SLOT = "DELETE FROM records WHERE slot = ?"


def store_kind(migrations: Sequence[str] = MIGRATIONS) -> Kind:
    """Return what is particular to the databases of stores."""
    return Kind(
        what="the store",
        error=StoreFailed,
        emptied="an empty store begins, as a new member: what the old one promised may be lost",
        migrations=migrations,
        beside=(*BESIDE, "-ahead"),
    )


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Which store it is, and how far it has come."""

    store: int
    run: int
    checkpoint: int
    """Counts the transactions."""


class Tables:
    """One store's rows. Errors of :mod:`sqlite3` pass through."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._vote = self._founding = b""
        self._total = 0
        """The sum of the checksums of all heads, records and notes."""

    def read(self) -> tuple[Identity | None, Contents]:
        """Return whose rows they are, and what is in them; None before anything was written.

        :raises SpoiledRow: a row is damaged, or missing.
        """
        contents = Contents()
        total = 0
        for row in self._db.execute(_SELECT_HEADS):
            slot, head = _values(row, int, bytes)
            contents.heads[slot] = head
            total += row[-1]
        for row in self._db.execute(_SELECT_RECORDS):
            slot, key, record = _values(row, int, bytes, bytes)
            contents.records.setdefault(slot, {})[key] = record
            total += row[-1]
        for row in self._db.execute(_SELECT_NOTES):
            name, note = _values(row, str, bytes)
            contents.notes[name] = note
            total += row[-1]
        found = self._db.execute(_SELECT_STORE).fetchone()
        identity = None
        if found is not None:
            store, run, checkpoint, self._vote, self._founding, self._total = _values(
                found, int, int, int, bytes, bytes, int
            )
            identity = Identity(store, run, checkpoint)
            contents.vote, contents.founding = self._vote, self._founding
        if self._total != total:
            raise SpoiledRow("a row is missing, or is an older one")
        return identity, contents

    def write(self, changes: Contents, identity: Identity) -> None:
        """Write what has changed, in one transaction.

        :raises sqlite3.Error: it failed; nothing has changed.
        :raises ValueError: the same, because of damage.
        """
        vote, founding = changes.vote or self._vote, changes.founding or self._founding
        try:
            self._db.execute("BEGIN IMMEDIATE")
            total = self._total + self._write_rows(changes)
            row = (identity.store, identity.run, identity.checkpoint, vote, founding, total)
            self._db.execute(_UPSERT_STORE, (*row, checksum(*row)))
            self._db.execute("COMMIT")
        except Exception:
            with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
                self._db.execute("ROLLBACK")
            raise
        self._vote, self._founding, self._total = vote, founding, total

    def _write_rows(self, changes: Contents) -> int:
        """Write heads and records; return by how much the sum of their checksums changes."""
        grown = 0
        for slot in changes.emptied:
            grown -= self._db.execute(_SELECT_SLOT, (slot,)).fetchone()[0]
            self._db.execute(_DELETE_SLOT, (slot,))
        for slot, keys in changes.gone.items():
            for key in keys:
                earlier = self._db.execute(_SELECT_RECORD, (slot, key)).fetchone()
                grown -= 0 if earlier is None else earlier[0]
                self._db.execute(_DELETE_RECORD, (slot, key))
        for slot, head in changes.heads.items():
            grown += self._replace(_SELECT_HEAD, (slot,), _UPSERT_HEAD, (slot, head))
        for slot, records in changes.records.items():
            for key, record in records.items():
                place = (slot, key)
                grown += self._replace(_SELECT_RECORD, place, _UPSERT_RECORD, (*place, record))
        for name, note in changes.notes.items():
            grown += self._replace(_SELECT_NOTE, (name,), _UPSERT_NOTE, (name, note))
        return grown

    def _replace(self, select: str, place: Row, upsert: str, row: Row) -> int:
        earlier = self._db.execute(select, place).fetchone()
        new = checksum(*row)
        self._db.execute(upsert, (*row, new))
        return new if earlier is None else new - int(earlier[0])


def _values(row: Row, *kinds: type) -> tuple[Any, ...]:
    """Return the values of a row without its checksum.

    :raises SpoiledRow: it is not what was written.
    """
    values = row[:-1]
    if not is_sound(row) or tuple(map(type, values)) != kinds:
        raise SpoiledRow("a row is not what was written")
    return values
