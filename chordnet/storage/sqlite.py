"""The message log on disk: SQLite from the standard library, one file, written ahead (WAL).

Messages are committed once a turn of the reactor, before anything that presupposes them is sent: a
burst costs few commits, and a node never confirms what it has not recorded, nor records a message
twice (what it has recorded, kept or not, is in :mod:`chordnet.storage.recorded`).

Two degrees of durability:

- ``process``: a commit is in the operating system's hands. It survives the death of every process
  (``kill -9``), not the loss of power.
- ``power``: a commit is on the disk before the node goes on.

The kept history is capped by bytes and by age; the ledger remembers what was dropped. A single row
that is not what was written, which its checksum shows when the file is opened and whenever it is
read, is never given to anybody: the message counts as missing, so that neighbours give it back.
Once anything else has failed (a full disk, a broken page) every further commit raises
:class:`LogFailed`; what can be read is still read. How the file is opened, and what becomes of a
damaged one, is in :mod:`chordnet.storage.database`.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from chordnet.core.effects import Record
from chordnet.core.errors import LogFailed
from chordnet.core.messages import MessageId, OriginState
from chordnet.storage.database import MIGRATIONS, UNREADABLE, Durability, LogFile, failure
from chordnet.storage.paging import KeptMessage, PagedLog
from chordnet.storage.recorded import Recorded
from chordnet.storage.rows import (
    INSERT_MESSAGE,
    SELECT_MESSAGES,
    Row,
    SpoiledRow,
    decode_id,
    encode,
    is_sound,
    kept_message,
    message_rows,
)

HISTORY_BYTES = 64 * 1024 * 1024
HISTORY_S = 24 * 3600.0
"""How much of the history is kept by default, in bytes and in seconds."""

_PRUNE_ROWS = 512
_SPARE = 64
"""When the bytes kept are too many, one part in so many goes beyond what has to: a full log need
not drop something for every message."""


class SqliteLog(PagedLog):
    """Implements :class:`chordnet.net.interfaces.MessageLog` on a file.

    :param path: the file; made if it is missing.
    :param durability: what a commit survives.
    :param max_bytes: bodies and routes kept, in bytes; the oldest messages go first.
    :param max_age: how long a message is kept, in seconds.
    :param warn: told in one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    :raises LogFailed: the file cannot be opened or made, or a newer program has written it.
    """

    migrations: ClassVar[Sequence[str]] = MIGRATIONS

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = "process",
        max_bytes: int = HISTORY_BYTES,
        max_age: float = HISTORY_S,
        warn: Callable[[str], object] = lambda _text: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._wall = wall
        self._pending: list[KeptMessage] = []
        self._refused = False
        self._prune_at = 0.0
        self._warn = warn
        self._unsound: dict[int, Row] = {}
        self._first = self._next = self._count = self.bytes = 0
        self.failed = ""
        """Why nothing more can be kept; empty while all is well."""
        self.spoiled: set[MessageId] = set()
        """Messages found damaged after the file was opened, until somebody takes note of them."""
        LogFile(path, durability, self.migrations, warn, wall).open(self._restore)

    # ---- opening ----------------------------------------------------------------------------

    def _restore(self, db: sqlite3.Connection) -> None:
        """Read what the file remembers.

        :raises SpoiledRow: a row of the ledger is damaged.
        """
        self._db = db
        self._unsound.clear()
        self._recorded = Recorded()
        self._recorded.restore(db)
        first, last, self._count, self.bytes = db.execute(
            "SELECT min(position), max(position), count(*),"
            " coalesce(sum(length(body) + length(route)), 0) FROM messages"
        ).fetchone()
        self._first, self._next = (first, last + 1) if last is not None else (0, 0)
        for row in db.execute(f"{SELECT_MESSAGES} ORDER BY position"):
            if is_sound(row):
                self._recorded.note(decode_id(row[1]))
            else:
                self._unsound[row[0]] = row
        if self._unsound:
            self._write([])
        self.spoiled.clear()  # nobody has been told that they were recorded

    def _failure(self, what: str, error: Exception) -> LogFailed:
        problem = failure(self._path, what, error)
        self.failed = str(problem)
        return problem

    # ---- writing ----------------------------------------------------------------------------

    @property
    def first(self) -> int:
        return self._first

    @property
    def last(self) -> int:
        return self._next + len(self._pending) - 1

    def __len__(self) -> int:
        return self._count + len(self._pending)

    def append(self, record: Record, received_at: float) -> KeptMessage:
        """Take ``record`` as the newest; :meth:`commit` keeps it."""
        kept = KeptMessage(self._next + len(self._pending), received_at, record)
        if self.failed:
            self._refused = True
        else:
            self._pending.append(kept)
            self._recorded.note(record.id)
        return kept

    def skip(self, ids: Iterable[MessageId]) -> None:
        """Count messages as recorded that nobody keeps any more."""
        self._recorded.skip(ids)

    def commit(self) -> None:
        """Make everything so far as durable as was asked for.

        :raises LogFailed: it could not be written; nothing of it counts as recorded.
        """
        pending, self._pending = self._pending, []
        if not (pending or self._unsound or self._refused or self._recorded.touched):
            return
        if self.failed:
            raise LogFailed(self.failed)
        rows = message_rows(pending)
        try:
            self._write(rows)
            self._next += len(rows)
            self._count += len(rows)
            for row in rows:
                self.bytes += len(row[4]) + len(row[5])
            if self.bytes > self._max_bytes or self._wall() > self._prune_at:
                self._prune()
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):  # it may have been rolled back already
                self._db.execute("ROLLBACK")
            raise self._failure("written", error) from None

    def _write(self, rows: list[Row]) -> None:
        if len(rows) == 1 and not (self._unsound or self._recorded.touched):
            self._db.execute(INSERT_MESSAGE, rows[0])  # a transaction of its own
            return
        self._db.execute("BEGIN IMMEDIATE")
        if self._unsound:
            self._discard()
            for row in rows:  # one of them may have come anew
                self._recorded.note(decode_id(row[1]))
        self._db.executemany(INSERT_MESSAGE, rows)
        self._recorded.write(self._db)
        self._db.execute("COMMIT")

    def _discard(self) -> None:
        """Drop rows that are damaged, and count their messages as missing."""
        unsound, self._unsound = self._unsound, {}
        for position, raw_id, *_values in unsound.values():
            message_id = self._identified(position, raw_id)
            size = self._db.execute(
                "DELETE FROM messages WHERE position = ? RETURNING length(body) + length(route)",
                (position,),
            ).fetchone()
            self._count -= 1
            self.bytes -= size[0] if size else 0
            if message_id is not None and self._recorded.forget(message_id):
                self.spoiled.add(message_id)
        self._warn(
            f"damaged messages in {self._path}: {len(unsound)}; they are dropped and count as"
            " missing, and neighbours give back what they keep"
        )

    def _identified(self, position: int, raw_id: object) -> MessageId | None:
        """Return which message a damaged row was, if its index still says so, too."""
        found = self._db.execute("SELECT position FROM messages WHERE id = ?", (raw_id,)).fetchone()
        try:
            return decode_id(raw_id) if found == (position,) else None  # type: ignore[arg-type]
        except (msgspec.DecodeError, TypeError):
            return None

    def _prune(self) -> None:
        """Drop the oldest messages that are over the caps, and remember that they were here."""
        now = self._wall()
        self._prune_at = now + 60.0
        oldest = self._db.execute(
            "SELECT position, id, received_at, length(body) + length(route) FROM messages"
            " ORDER BY position LIMIT ?",
            (_PRUNE_ROWS,),
        ).fetchall()
        room = self._max_bytes - self._max_bytes // _SPARE if self.bytes > self._max_bytes else None
        dropped: list[Row] = []
        for row in oldest[: max(0, self._count - 1)]:
            if (room is None or self.bytes <= room) and row[2] >= now - self._max_age:
                break
            dropped.append(row)
            self.bytes -= row[3]
        if dropped:
            self._drop(dropped)
            if len(dropped) == len(oldest):
                self._prune_at = 0.0

    def _drop(self, rows: list[Row]) -> None:
        last = rows[-1][0]
        self._recorded.gone(each for each in map(_named, rows) if each is not None)
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM messages WHERE position <= ?", (last,))
        self._recorded.write(self._db)
        self._db.execute("COMMIT")
        self._first = last + 1
        self._count -= len(rows)

    # ---- reading ----------------------------------------------------------------------------

    def ledger(self) -> list[OriginState]:
        """Return what has been recorded, kept or not."""
        return self._recorded.ledger.states(None, 1 << 62, 1 << 62)

    def find(self, message_id: MessageId) -> KeptMessage | None:
        for kept in self._pending:
            if kept.record.id == message_id:
                return kept
        rows = self._select("WHERE id = ?", encode(message_id))
        found = self._sound(rows)
        if rows and not found:
            self.spoiled.add(message_id)
        return found[0] if found else None

    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        found: list[KeptMessage] = []
        start: int | None = position
        while start is not None and not found:
            rows = self._select("WHERE position > ? ORDER BY position LIMIT ?", start, limit)
            found = self._sound(rows)
            start = rows[-1][0] if rows else None
        fresh = [kept for kept in self._pending if kept.position > position]
        return (found + fresh)[:limit]

    def _select(self, where: str, *values: Any) -> list[Row]:
        try:
            return self._db.execute(f"{SELECT_MESSAGES} {where}", values).fetchall()
        except UNREADABLE as error:
            raise self._failure("read", error) from None

    def _sound(self, rows: list[Row]) -> list[KeptMessage]:
        """Return the messages of rows that are what was written; the next commit drops others."""
        found = []
        for row in rows:
            if is_sound(row):
                found.append(self._message(row))
            else:
                self._unsound[row[0]] = row
        return found

    def _message(self, row: Row) -> KeptMessage:
        try:
            return kept_message(row)
        except SpoiledRow as error:
            raise self._failure("read", error) from None

    def close(self) -> None:
        """Release the file."""
        self._db.close()


def _named(row: Row) -> MessageId | None:
    """Return which message a row is; None if that is damaged."""
    try:
        return decode_id(row[1])
    except (msgspec.DecodeError, TypeError):
        return None


__all__ = ["HISTORY_BYTES", "HISTORY_S", "Durability", "SqliteLog"]
