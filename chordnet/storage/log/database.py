"""The file under the message log: opened and brought up to date, or set aside.

- A file of an older schema is migrated in steps, each in its own transaction. A file that a newer
  program has written is refused and left alone.
- A damaged file (broken pages, another format, missing tables, impossible values) is set aside with
  one warning, together with SQLite's journals, for a person to look at. An empty file takes its
  place, and what was written ahead (:mod:`chordnet.storage.base.ahead`) is read into it.
- A problem that may go away by itself or be solved elsewhere (a full disk, a lock, no permission)
  is not damage: it is reported, and the file stays where it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import attrs
import msgspec

from chordnet.core.base.errors import LogFailed
from chordnet.storage.base.private import narrow, private
from chordnet.storage.log.rows import checksum, known_from

Durability = Literal["process", "power"]

MIGRATIONS = (
    """
    CREATE TABLE messages (
        position INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE,
        created REAL NOT NULL,
        received_at REAL NOT NULL,
        route BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE ledger (
        origin BLOB NOT NULL,
        incarnation INTEGER NOT NULL,
        watermark INTEGER NOT NULL,
        above BLOB NOT NULL,
        PRIMARY KEY (origin, incarnation)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE messages ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    UPDATE messages
        SET checksum = row_checksum(position, id, created, received_at, route, body);
    ALTER TABLE ledger ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
    UPDATE ledger SET checksum = row_checksum(origin, incarnation, watermark, above);
    """,
    "",  # the ledger need not name what the messages tell; an older program would miss that
    "",  # messages may stand in the file written ahead; an older program would not look there
    """
    ALTER TABLE ledger RENAME TO watermarks;
    CREATE TABLE ledger (
        origin BLOB NOT NULL,
        incarnation INTEGER NOT NULL,
        known BLOB NOT NULL,
        lost BLOB NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (origin, incarnation)
    ) WITHOUT ROWID;
    INSERT INTO ledger
        SELECT origin, incarnation, known, x'90', row_checksum(origin, incarnation, known, x'90')
        FROM (SELECT origin, incarnation, known_from(watermark, above) AS known FROM watermarks
              WHERE checksum = row_checksum(origin, incarnation, watermark, above));
    DROP TABLE watermarks;
    """,
)
"""Step n migrates a file of schema version n to version n + 1 (``PRAGMA user_version``)."""

_BESIDE = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database."""
UNREADABLE = (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError)
"""What damage to a row can cause: any page may hold values of any type."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLite's errors for a file that is not a log: broken pages, another format, missing tables."""


class _Damaged(LogFailed):
    """The file is not a log, or not any more."""


def failure(path: Path, what: str, error: Exception) -> LogFailed:
    """Return the error for a file at ``path`` that cannot be ``what`` (a past participle)."""
    reason = getattr(error, "strerror", None) or error
    return LogFailed(f"the message log {path} cannot be {what}: {reason}")


@attrs.frozen
class LogFile:
    """One message log's file.

    :param path: the file; made if it is missing.
    :param durability: what a commit survives.
    :param migrations: scripts from each schema version to the next.
    :param warn: called with one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    """

    path: Path
    durability: Durability
    migrations: Sequence[str]
    warn: Callable[[str], object]
    wall: Callable[[], float]

    def open(self, restore: Callable[[sqlite3.Connection], None]) -> None:
        """Have ``restore`` read the file, or an empty one that replaces a damaged file.

        :param restore: takes the database and keeps it; starts over if it is called again. If it
            raises one of :data:`UNREADABLE` the file is damaged.
        :raises LogFailed: the file cannot be used.
        """
        try:
            self._open(restore)
        except _Damaged as damage:
            self.warn(
                f"{self.path} is damaged ({damage}); it is kept as {self._set_aside().name},"
                " and the log starts empty: neighbours give back what they keep"
            )
            self._open(restore)

    def _open(self, restore: Callable[[sqlite3.Connection], None]) -> None:
        """Open the file and read it.

        :raises LogFailed: it cannot be used.
        :raises _Damaged: it is damaged and can be set aside.
        """
        try:
            # Made here, for its mode: SQLite gives the files beside the database the same one.
            os.close(private(self.path, os.O_RDWR | os.O_CREAT))
            narrow([self.path, *(self.path.with_name(self.path.name + s) for s in _BESIDE)])
            db = sqlite3.connect(self.path, isolation_level=None, cached_statements=64)
        except (sqlite3.Error, OSError) as error:
            raise failure(self.path, "opened", error) from None
        try:
            self._prepare(db)
            restore(db)
        except UNREADABLE as error:
            db.close()
            if _is_damage(error):
                raise _Damaged(str(error)) from None
            raise failure(self.path, "opened", error) from None
        except LogFailed:
            db.close()
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'power' else 'OFF'}")
        self._migrate(db)
        verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise ValueError(" ".join(verdict.split()).removeprefix("*** in database main *** "))

    def _migrate(self, db: sqlite3.Connection) -> None:
        version, newest = db.execute("PRAGMA user_version").fetchone()[0], len(self.migrations)
        if version > newest:
            raise LogFailed(
                f"the message log {self.path} was written by a newer version of this program"
                f" (its schema is {version}, {newest} is known here); use that one, or choose"
                " another state directory"
            )
        if version < 0:
            raise ValueError(f"its schema version is {version}")
        db.create_function("row_checksum", -1, checksum, deterministic=True)
        db.create_function("known_from", 2, known_from, deterministic=True)
        for step in range(version, newest):
            script = self.migrations[step]
            db.executescript(f"BEGIN; {script} PRAGMA user_version = {step + 1}; COMMIT;")

    def _set_aside(self) -> Path:
        """Rename the file and SQLite's journals, for a person to look at."""
        path = self.path
        aside = path.with_name(f"{path.name}.damaged-{int(self.wall())}")
        try:
            path.rename(aside)
            for suffix in _BESIDE:
                with contextlib.suppress(FileNotFoundError):
                    beside = path.with_name(path.name + suffix)
                    beside.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            raise failure(path, "set aside", error) from None
        return aside


def _is_damage(error: Exception) -> bool:
    """Return True for damage; False for a full disk, a lock or a missing permission."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
    return True
