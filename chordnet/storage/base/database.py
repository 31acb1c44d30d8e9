"""A database in a node's state directory (SQLite): opened and brought up to date, or set aside.

- A file of an older schema is migrated in steps, each in its own transaction. A file that a newer
  program has written is refused and left alone.
- A damaged file (broken pages, another format, missing tables, impossible values) is set aside with
  one warning, together with the files that belong to it, for a person to look at. An empty file
  takes its place.
- A problem that may go away by itself or be solved elsewhere (a full disk, a lock, no permission)
  is not damage: it is reported, and the file stays where it is.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import attrs
import msgspec

from chordnet.core.base.errors import ChordnetError
from chordnet.storage.base.private import narrow, private
from chordnet.storage.base.rows import checksum

Durability = Literal["process", "power"]
T = TypeVar("T")

BESIDE = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database."""
UNREADABLE = (sqlite3.Error, msgspec.DecodeError, TypeError, ValueError)
"""What damage to a row can cause: any page may hold values of any type."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})
"""SQLite's errors for a file that is not ours: broken pages, another format, missing tables."""


class _Damaged(Exception):
    """The file is no such database, or not any more."""


@attrs.frozen(kw_only=True)
class Kind:
    """What is particular to the databases of one part of a node."""

    what: str
    """How they are called in messages, such as "the message log"."""
    error: type[ChordnetError]
    """What is raised when a file cannot be used."""
    emptied: str
    """What follows when a damaged file has been set aside."""
    migrations: Sequence[str]
    """Scripts from each schema version to the next. They may call ``row_checksum``."""
    functions: Mapping[str, tuple[int, Callable[..., int | bytes]]] = {}
    """What else they may call, with the number of arguments."""
    beside: tuple[str, ...] = BESIDE
    """Suffixes of the files that are set aside together with the database, in this order."""

    def failure(self, path: Path, what: str, error: Exception) -> ChordnetError:
        """Return the error for a file at ``path`` that cannot be ``what`` (a past participle)."""
        reason = getattr(error, "strerror", None) or error
        return self.error(f"{self.what} {path} cannot be {what}: {reason}")


@attrs.frozen
class DatabaseFile:
    """One database's file.

    :param path: the file; made if it is missing.
    :param kind: which part of a node it belongs to.
    :param durability: what a commit survives.
    :param warn: called with one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    """

    path: Path
    kind: Kind
    durability: Durability
    warn: Callable[[str], object]
    wall: Callable[[], float]

    def open(self, restore: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``restore`` makes of the file, or of an empty one if it is damaged.

        :param restore: reads the database and keeps it; starts over if it is called again. If it
            raises one of :data:`UNREADABLE` the file is damaged.
        :raises ChordnetError: the file cannot be used.
        """
        try:
            return self._open(restore)
        except _Damaged as damage:
            self.warn(
                f"{self.path} is damaged ({damage}); it is kept as {self.set_aside().name},"
                f" and {self.kind.emptied}"
            )
            try:
                return self._open(restore)
            except _Damaged as again:
                raise self.kind.error(str(again)) from None

    def _open(self, restore: Callable[[sqlite3.Connection], T]) -> T:
        """Open the file and read it.

        :raises ChordnetError: it cannot be used.
        :raises _Damaged: it is damaged and can be set aside.
        """
        try:
            # Made here, for its mode: SQLite gives the files beside the database the same one.
            os.close(private(self.path, os.O_RDWR | os.O_CREAT))
            narrow(
                [self.path, *(self.path.with_name(self.path.name + s) for s in self.kind.beside)]
            )
            db = sqlite3.connect(self.path, isolation_level=None, cached_statements=64)
        except (sqlite3.Error, OSError) as error:
            raise self.kind.failure(self.path, "opened", error) from None
        try:
            self._prepare(db)
            return restore(db)
        except UNREADABLE as error:
            db.close()
            if _is_damage(error):
                raise _Damaged(str(error)) from None
            raise self.kind.failure(self.path, "opened", error) from None
        except ChordnetError:
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
        version, newest = db.execute("PRAGMA user_version").fetchone()[0], len(self.kind.migrations)
        if version > newest:
            raise self.kind.error(
                f"{self.kind.what} {self.path} was written by a newer version of this program"
                f" (its schema is {version}, {newest} is known here); use that one, or choose"
                " another state directory"
            )
        if version < 0:
            raise ValueError(f"its schema version is {version}")
        db.create_function("row_checksum", -1, checksum, deterministic=True)
        for name, (count, function) in self.kind.functions.items():
            db.create_function(name, count, function, deterministic=True)
        for step in range(version, newest):
            script = self.kind.migrations[step]
            db.executescript(f"BEGIN; {script} PRAGMA user_version = {step + 1}; COMMIT;")

    def set_aside(self, why: str = "damaged") -> Path:
        """Rename the file and those that belong to it, for a person to look at.

        :param why: a word for their new names.
        :raises ChordnetError: that is not possible.
        """
        path = self.path
        aside = path.with_name(f"{path.name}.{why}-{int(self.wall())}")
        try:
            path.rename(aside)
            for suffix in self.kind.beside:
                with contextlib.suppress(FileNotFoundError):
                    beside = path.with_name(path.name + suffix)
                    beside.rename(aside.with_name(aside.name + suffix))
        except OSError as error:
            raise self.kind.failure(path, "set aside", error) from None
        return aside


def _is_damage(error: Exception) -> bool:
    """Return True for damage; False for a full disk, a lock or a missing permission."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
    return True
